//! Loaders: one statement for each kind of object in an operation, whatever the length of its lists. Results and
//! answers are those of attempts that the viewer may read.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use async_graphql::{Context, dataloader::Loader};
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

use crate::{
    api::context::{OfOperation, RequestContext},
    app::App,
    attempt::terms::UnrankedReason,
    auth::Viewer,
    calendar::{day_of, midnight},
    db::Db,
    entity::{answer, attempt, chapter, quiz, reviews::Shown, revision, subject, user},
    error::Result,
    id::{AttemptId, ChapterId, QuizId, SubjectId, UserId},
    quiz::paper::Published,
    ranks::{board::Board, question::Question},
};

type Loaded<K, V> = Result<HashMap<K, V>, Arc<DbErr>>;

/// A loader of one statement: what it needs of the viewer, the rows with these ids, and the entry of each.
macro_rules! loader {
    (
        $(#[$doc:meta])* $Name:ident: $Id:ty => $Value:ty,
        $Viewer:ty = |$ctx:pat_param| $given:expr,
        |$viewer:pat_param, $ids:ident| $rows:expr,
        $entry:expr
    ) => {
        $(#[$doc])*
        pub struct $Name(pub Db, pub $Viewer);

        impl OfOperation for $Name {
            fn of(ctx: &Context<'_>) -> Result<Self> {
                let $ctx = ctx;
                Ok(Self(ctx.app().db.clone(), $given))
            }
        }

        impl Loader<$Id> for $Name {
            type Value = $Value;
            type Error = Arc<DbErr>;

            async fn load(&self, ids: &[$Id]) -> Loaded<$Id, $Value> {
                let ($viewer, $ids) = (&self.1, ids.iter().copied());
                let rows = $rows.all(self.0.read()).await?;
                Ok(rows.into_iter().filter_map($entry).collect())
            }
        }
    };
}

loader! {
    /// Loads subjects that are not deleted.
    Subjects: SubjectId => subject::Model,
    () = |_| (),
    |_, ids| subject::Entity::present().filter(subject::Column::Id.is_in(ids)),
    |subject| Some((subject.id, subject))
}

loader! {
    /// Loads chapters of subjects that are not deleted.
    Chapters: ChapterId => chapter::Model,
    () = |_| (),
    |_, ids| chapter::Entity::present().filter(chapter::Column::Id.is_in(ids)),
    |chapter| Some((chapter.id, chapter))
}

loader! {
    /// Loads quizzes of the catalogue.
    Catalogue: QuizId => Published,
    () = |_| (),
    |_, ids| quiz::Entity::catalogue().filter(quiz::Column::Id.is_in(ids)),
    published
}

loader! {
    /// Loads the quizzes of attempts that a viewer may read, deleted ones too.
    QuizzesOfAttempts: QuizId => Published,
    Viewer = |ctx| ctx.viewer()?.clone(),
    |viewer, ids| quiz::Entity::of_attempts_of(viewer).filter(quiz::Column::Id.is_in(ids)),
    published
}

fn published((quiz, revision): (quiz::Model, Option<revision::Model>)) -> Option<(QuizId, Published)> {
    revision.map(|revision| (quiz.id, Published { quiz, revision }))
}

loader! {
    /// Loads accounts that a viewer can find, whole: what of them may be shown is the fields' business.
    Accounts: UserId => user::Model,
    Option<Viewer> = |ctx| ctx.viewer().ok().cloned(),
    |viewer, ids| user::Entity::known_to(viewer.as_ref()).filter(user::Column::Id.is_in(ids)),
    |account| Some((account.id, account))
}

loader! {
    /// Loads attempts that a viewer may read.
    Attempts: AttemptId => attempt::Model,
    Viewer = |ctx| ctx.viewer()?.clone(),
    |viewer, ids| attempt::Entity::readable_by(viewer).filter(attempt::Column::Id.is_in(ids)),
    |attempt| Some((attempt.id, attempt))
}

/// Loads the results of attempts, as far as a viewer may see them.
pub(crate) struct Results(App, Viewer);

impl OfOperation for Results {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().clone(), ctx.viewer()?.clone()))
    }
}

impl Loader<AttemptId> for Results {
    type Value = Shown;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Loaded<AttemptId, Shown> {
        let (app, ids) = (&self.0, ids.iter().copied());
        Ok(crate::attempt::results(app.db.read(), &self.1, ids, &app.now()).await?)
    }
}

/// Loads why attempts of the viewer at quizzes would not be ranked. Quizzes at which they would have no entry.
pub(crate) struct Unranked(App, Viewer);

impl OfOperation for Unranked {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().clone(), ctx.viewer()?.clone()))
    }
}

impl Loader<QuizId> for Unranked {
    type Value = UnrankedReason;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[QuizId]) -> Loaded<QuizId, UnrankedReason> {
        let (app, ids) = (&self.0, ids.iter().copied());
        Ok(crate::attempt::unranked(app, &self.1, ids, &app.now()).await?)
    }
}

/// Loads all answers of attempts.
pub(crate) struct Answers(Db);

impl OfOperation for Answers {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().db.clone()))
    }
}

impl Loader<AttemptId> for Answers {
    type Value = Vec<answer::Model>;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Loaded<AttemptId, Vec<answer::Model>> {
        let mut answers: HashMap<_, Vec<_>> = HashMap::new();
        for answer in answer::Entity::of_attempts(ids.iter().copied())
            .all(self.0.read())
            .await?
        {
            answers.entry(answer.attempt_id).or_default().push(answer);
        }
        Ok(answers)
    }
}

/// Loads the ranks at the start of the day. Students without one have no entry; neither has anyone while the index is
/// unavailable, as the tables would take too long.
pub(crate) struct RanksThisMorning(App);

impl OfOperation for RanksThisMorning {
    fn of(ctx: &Context<'_>) -> Result<Self> {
        Ok(Self(ctx.app().clone()))
    }
}

impl Loader<(Board, UserId)> for RanksThisMorning {
    type Value = u64;
    type Error = Infallible;

    async fn load(&self, keys: &[(Board, UserId)]) -> Result<HashMap<(Board, UserId), u64>, Infallible> {
        let app = &self.0;
        let today = day_of(app.clock.now(), app.zone);
        let morning = midnight(today, app.zone);
        let mut students: HashMap<Board, Vec<UserId>> = HashMap::new();
        for (board, student) in keys {
            // A board that began this morning was empty then.
            if board.window.starts_at(app.zone).is_none_or(|start| start < morning) {
                students.entry(*board).or_default().push(*student);
            }
        }
        let mut ranks = HashMap::new();
        for (board, students) in students {
            let questions: Vec<_> = students
                .iter()
                .map(|student| Question::Around(student.0, 0, 0))
                .collect();
            let answers = app
                .boards
                .ranks
                .ask_as_of(&app.db, board, today, &questions)
                .await
                .unwrap_or_default();
            for (student, answer) in students.into_iter().zip(answers) {
                ranks.extend(answer.entries.first().map(|entry| ((board, student), entry.rank)));
            }
        }
        Ok(ranks)
    }
}
