//! What the domains' surfaces share: what a resolver reaches for, user errors, and lists as connections by
//! [Relay's specification](https://relay.dev/graphql/connections.htm).

pub mod scalar;

use std::sync::OnceLock;

use async_graphql::{
    ComplexObject, Context, ObjectType, OutputType, SimpleObject,
    connection::{Edge, EmptyFields, PageInfo},
    dataloader::DataLoader,
};

use crate::{
    account::{
        graphql::{SessionTotal, User, people::UserTotal, session::Session},
        loader::Accounts,
    },
    app::App,
    attempt::{
        graphql::{Attempt, AttemptTotal},
        loader::{Answers, Attempts, Results},
    },
    audit::{
        Source,
        graphql::{AuditEntry, AuditTotal},
    },
    auth::Viewer,
    batch::Batches,
    clock::{Moment, Time},
    db::Db,
    error::{Error, Result},
    jobs::graphql::{Job, JobTotal},
    leaderboard::{
        graphql::{AsOf, Standing},
        loader::RanksThisMorning,
    },
    limit::Budget,
    page::{Page, Slice},
    quiz::{
        graphql::{Chapter, ChapterTotal, Quiz, QuizTotal, Subject, SubjectTotal},
        loader::{Catalogue, Chapters, QuizzesOfAttempts, Subjects},
    },
};

/// Who and what a request is, beside the viewer.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The request's id, as the client sees it in `x-request-id` and with errors: for logs and for the audit.
    pub request_id: String,
    pub device: crate::auth::session::Device,
    /// Whether the response can carry cookies: over HTTP it can, over a WebSocket not.
    pub takes_cookies: bool,
    /// What is left of the requests that whoever asks may send.
    pub requests: Option<Budget>,
}

/// The loaders of one operation, each made when it is first asked for.
pub struct Loaders {
    app: App,
    batches: Batches,
    accounts: OnceLock<DataLoader<Accounts>>,
    subjects: OnceLock<DataLoader<Subjects>>,
    chapters: OnceLock<DataLoader<Chapters>>,
    catalogue: OnceLock<DataLoader<Catalogue>>,
    quizzes_of_attempts: OnceLock<DataLoader<QuizzesOfAttempts>>,
    attempts: OnceLock<DataLoader<Attempts>>,
    results: OnceLock<DataLoader<Results>>,
    answers: OnceLock<DataLoader<Answers>>,
    ranks_this_morning: OnceLock<DataLoader<RanksThisMorning>>,
}

impl Loaders {
    /// For one operation; `Batches::loads` are to be run beside it.
    pub fn new(app: App, batches: Batches) -> Self {
        Self {
            app,
            batches,
            accounts: OnceLock::new(),
            subjects: OnceLock::new(),
            chapters: OnceLock::new(),
            catalogue: OnceLock::new(),
            quizzes_of_attempts: OnceLock::new(),
            attempts: OnceLock::new(),
            results: OnceLock::new(),
            answers: OnceLock::new(),
            ranks_this_morning: OnceLock::new(),
        }
    }

    fn made<'l, L>(&'l self, place: &'l OnceLock<DataLoader<L>>, make: impl FnOnce(Db) -> L) -> &'l DataLoader<L> {
        place.get_or_init(|| self.batches.loader(make(self.app.db.clone())))
    }

    /// Accounts, as far as the viewer may know of them.
    pub fn accounts(&self, viewer: Option<&Viewer>) -> &DataLoader<Accounts> {
        self.made(&self.accounts, |db| Accounts(db, viewer.cloned()))
    }

    /// Subjects of the catalogue.
    pub fn subjects(&self) -> &DataLoader<Subjects> {
        self.made(&self.subjects, Subjects)
    }

    /// Chapters of the catalogue.
    pub fn chapters(&self) -> &DataLoader<Chapters> {
        self.made(&self.chapters, Chapters)
    }

    /// Quizzes of the catalogue.
    pub fn catalogue(&self) -> &DataLoader<Catalogue> {
        self.made(&self.catalogue, Catalogue)
    }

    /// The quizzes of attempts that the viewer may read.
    pub fn quizzes_of_attempts(&self, viewer: &Viewer) -> &DataLoader<QuizzesOfAttempts> {
        self.made(&self.quizzes_of_attempts, |db| QuizzesOfAttempts(db, viewer.clone()))
    }

    /// Attempts that the viewer may read.
    pub fn attempts(&self, viewer: &Viewer) -> &DataLoader<Attempts> {
        self.made(&self.attempts, |db| Attempts(db, viewer.clone()))
    }

    /// Results of attempts that the viewer has been given.
    pub fn results(&self) -> &DataLoader<Results> {
        self.made(&self.results, Results)
    }

    /// Answers of attempts that the viewer has been given.
    pub fn answers(&self) -> &DataLoader<Answers> {
        self.made(&self.answers, Answers)
    }

    /// What ranks were when the day began.
    pub fn ranks_this_morning(&self) -> &DataLoader<RanksThisMorning> {
        self.made(&self.ranks_this_morning, |_| RanksThisMorning(self.app.clone()))
    }
}

/// What resolvers reach for.
pub trait RequestContext<'a> {
    /// The application.
    fn app(&self) -> &'a App;
    /// Whoever is asking; an error if nobody is signed in.
    fn viewer(&self) -> Result<&'a Viewer>;
    /// The present moment.
    fn now(&self) -> Moment;
    /// The loaders of this operation.
    fn loaders(&self) -> &'a Loaders;
    /// Who and what the request is, beside the viewer.
    fn caller(&self) -> &'a Caller;
    /// What the audit log says of where a change comes from.
    fn source(&self) -> Source;
}

impl<'a> RequestContext<'a> for Context<'a> {
    fn app(&self) -> &'a App {
        self.data_unchecked()
    }

    fn viewer(&self) -> Result<&'a Viewer> {
        self.data_opt().ok_or(Error::Unauthenticated)
    }

    fn now(&self) -> Moment {
        self.app().now()
    }

    fn loaders(&self) -> &'a Loaders {
        self.data_unchecked()
    }

    fn caller(&self) -> &'a Caller {
        self.data_unchecked()
    }

    fn source(&self) -> Source {
        Source {
            actor: self.viewer().ok().map(Viewer::user),
            request_id: Some(self.caller().request_id.clone()),
        }
    }
}

/// The time as the API shows it.
pub fn date_time(at: Time) -> chrono::DateTime<chrono::Utc> {
    at.to_utc()
}

/// Points from thousandths of a point.
pub fn points(score: i64) -> f64 {
    score as f64 / 1000.0
}

/// An outcome that a person can act on.
#[derive(SimpleObject)]
pub struct UserError {
    /// What kind of outcome it is.
    code: crate::error::UserErrorCode,
    /// What to do, in words to show.
    message: String,
    /// Where in the arguments the mistake is, e.g. `["input", "email"]`; empty if nowhere in particular.
    path: Vec<String>,
}

impl From<crate::error::UserError> for UserError {
    fn from(error: crate::error::UserError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            path: error.path,
        }
    }
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(
    complex,
    concrete(name = "AttemptConnection", params(Attempt, AttemptTotal)),
    concrete(name = "AuditConnection", params(AuditEntry, AuditTotal)),
    concrete(name = "ChapterConnection", params(Chapter, ChapterTotal)),
    concrete(name = "JobConnection", params(Job, JobTotal)),
    concrete(name = "QuizConnection", params(Quiz, QuizTotal)),
    concrete(name = "SessionConnection", params(Session, SessionTotal)),
    concrete(name = "StandingConnection", params(Standing, AsOf)),
    concrete(name = "SubjectConnection", params(Subject, SubjectTotal)),
    concrete(name = "UserConnection", params(User, UserTotal))
)]
pub struct Connection<N: OutputType, F: ObjectType> {
    /// The objects of the page, each with its cursor.
    edges: Vec<Edge<String, N, EmptyFields>>,
    /// Whether there is more, and where to go on.
    page_info: PageInfo,
    #[graphql(flatten)]
    beside: F,
}

#[ComplexObject]
impl<N: OutputType, F: ObjectType> Connection<N, F> {
    /// The objects of the page.
    async fn nodes(&self) -> Vec<&N> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }
}

/// Turns a page of rows into a connection, with what stands beside the rows.
pub fn connection<T, N: OutputType, F: ObjectType>(
    slice: Slice<T>,
    beside: F,
    cursor: impl Fn(&T) -> String,
    node: impl Fn(T) -> N,
) -> Connection<N, F> {
    let edge = |row| Edge::new(cursor(&row), node(row));
    let edges: Vec<_> = slice.rows.into_iter().map(edge).collect();
    let cursor = |edge: Option<&Edge<String, N, EmptyFields>>| edge.map(|edge| edge.cursor.clone());
    Connection {
        page_info: PageInfo {
            has_previous_page: slice.has_previous,
            has_next_page: slice.has_next,
            start_cursor: cursor(edges.first()),
            end_cursor: cursor(edges.last()),
        },
        edges,
        beside,
    }
}

/// What a page costs: each row with what is asked of it.
pub fn page_cost(first: Option<i32>, last: Option<i32>, child_complexity: usize) -> usize {
    let rows = first.or(last).unwrap_or(Page::<()>::USUAL).clamp(1, Page::<()>::MOST);
    1 + usize::try_from(rows).unwrap_or(1) * child_complexity
}
