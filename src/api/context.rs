//! The context of resolvers: the application, the viewer, the loaders of the operation.

use std::sync::OnceLock;

use async_graphql::{Context, dataloader::DataLoader};

use super::{
    batch::Batches,
    loader::{
        Accounts, Answers, Attempts, Catalogue, Chapters, QuizzesOfAttempts, RanksThisMorning, Results, Subjects,
    },
};
use crate::{
    app::App,
    audit::Source,
    auth::Viewer,
    change::Cause,
    clock::Moment,
    db::Db,
    error::{Error, Result},
    limit::Budget,
};

/// The context of a request, apart from the viewer.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The request's id, as the client sees it in `x-request-id` and with errors: for logs and for the audit.
    pub request_id: String,
    pub device: crate::account::session::Device,
    /// Whether the response can carry cookies: over HTTP it can, over a WebSocket not.
    pub takes_cookies: bool,
    /// The remaining requests of the client.
    pub requests: Option<Budget>,
}

/// The loaders of one operation, created on first use.
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

    fn made<'l, L>(&'l self, cell: &'l OnceLock<DataLoader<L>>, make: impl FnOnce(Db) -> L) -> &'l DataLoader<L> {
        cell.get_or_init(|| self.batches.loader(make(self.app.db.clone())))
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

    /// The ranks at the start of the day.
    pub fn ranks_this_morning(&self) -> &DataLoader<RanksThisMorning> {
        self.made(&self.ranks_this_morning, |_| RanksThisMorning(self.app.clone()))
    }
}

/// Access to the request's context in resolvers.
pub trait RequestContext<'a> {
    /// The application.
    fn app(&self) -> &'a App;
    /// The viewer; an error without a session.
    fn viewer(&self) -> Result<&'a Viewer>;
    /// The present moment.
    fn now(&self) -> Moment;
    /// The loaders of this operation.
    fn loaders(&self) -> &'a Loaders;
    /// The context of the request, apart from the viewer.
    fn caller(&self) -> &'a Caller;
    /// The cause of a change: actor, request and time.
    fn cause(&self) -> Cause;
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

    fn cause(&self) -> Cause {
        Cause {
            source: Source {
                actor: self.viewer().ok().map(Viewer::user),
                request_id: Some(self.caller().request_id.clone()),
            },
            now: self.now(),
        }
    }
}
