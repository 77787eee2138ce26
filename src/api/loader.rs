//! Loaders: one statement for each kind of object in an operation, whatever the length of its lists. Results and
//! answers are those of attempts that the viewer may read.

use std::{collections::HashMap, convert::Infallible, sync::Arc};

use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, DbErr, QueryFilter, Select, SelectTwo};

use crate::{
    app::App,
    auth::Viewer,
    calendar::{day_of, midnight},
    db::Db,
    entity::{answer, attempt, chapter, quiz, result, revision, subject, user},
    id::{AttemptId, ChapterId, QuizId, SubjectId, UserId},
    quiz::paper::Published,
    ranks::{board::Board, question::Question},
};

/// Loads subjects that are not deleted.
pub struct Subjects(pub Db);

impl Loader<SubjectId> for Subjects {
    type Value = subject::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[SubjectId]) -> Result<HashMap<SubjectId, subject::Model>, Arc<DbErr>> {
        subjects(&self.0, subject::Entity::present(), ids).await
    }
}

async fn subjects(
    db: &Db,
    scope: Select<subject::Entity>,
    ids: &[SubjectId],
) -> Result<HashMap<SubjectId, subject::Model>, Arc<DbErr>> {
    let found = scope
        .filter(subject::Column::Id.is_in(ids.iter().copied()))
        .all(db.read())
        .await?;
    Ok(found.into_iter().map(|subject| (subject.id, subject)).collect())
}

/// Loads chapters of subjects that are not deleted.
pub struct Chapters(pub Db);

impl Loader<ChapterId> for Chapters {
    type Value = chapter::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[ChapterId]) -> Result<HashMap<ChapterId, chapter::Model>, Arc<DbErr>> {
        chapters(&self.0, chapter::Entity::present(), ids).await
    }
}

async fn chapters(
    db: &Db,
    scope: Select<chapter::Entity>,
    ids: &[ChapterId],
) -> Result<HashMap<ChapterId, chapter::Model>, Arc<DbErr>> {
    let found = scope
        .filter(chapter::Column::Id.is_in(ids.iter().copied()))
        .all(db.read())
        .await?;
    Ok(found.into_iter().map(|chapter| (chapter.id, chapter)).collect())
}

/// Loads quizzes of the catalogue.
pub struct Catalogue(pub Db);

impl Loader<QuizId> for Catalogue {
    type Value = Published;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[QuizId]) -> Result<HashMap<QuizId, Published>, Arc<DbErr>> {
        published(&self.0, quiz::Entity::catalogue(), ids).await
    }
}

/// Loads the quizzes of attempts that a viewer may read, deleted ones too.
pub struct QuizzesOfAttempts(pub Db, pub Viewer);

impl Loader<QuizId> for QuizzesOfAttempts {
    type Value = Published;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[QuizId]) -> Result<HashMap<QuizId, Published>, Arc<DbErr>> {
        published(&self.0, quiz::Entity::of_attempts_of(&self.1), ids).await
    }
}

async fn published(
    db: &Db,
    quizzes: SelectTwo<quiz::Entity, revision::Entity>,
    ids: &[QuizId],
) -> Result<HashMap<QuizId, Published>, Arc<DbErr>> {
    let rows = quizzes
        .filter(quiz::Column::Id.is_in(ids.iter().copied()))
        .all(db.read())
        .await?;
    let keyed = |(quiz, revision): (quiz::Model, Option<_>)| {
        Some((
            quiz.id,
            Published {
                quiz,
                revision: revision?,
            },
        ))
    };
    Ok(rows.into_iter().filter_map(keyed).collect())
}

/// Loads accounts that a viewer can find, whole: what of them may be shown is the fields' business.
pub struct Accounts(pub Db, pub Option<Viewer>);

impl Loader<UserId> for Accounts {
    type Value = user::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[UserId]) -> Result<HashMap<UserId, user::Model>, Arc<DbErr>> {
        let accounts = user::Entity::known_to(self.1.as_ref())
            .filter(user::Column::Id.is_in(ids.iter().copied()))
            .all(self.0.read())
            .await?;
        Ok(accounts.into_iter().map(|account| (account.id, account)).collect())
    }
}

/// Loads attempts that a viewer may read.
pub struct Attempts(pub Db, pub Viewer);

impl Loader<AttemptId> for Attempts {
    type Value = attempt::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Result<HashMap<AttemptId, attempt::Model>, Arc<DbErr>> {
        let attempts = attempt::Entity::readable_by(&self.1)
            .filter(attempt::Column::Id.is_in(ids.iter().copied()))
            .all(self.0.read())
            .await?;
        Ok(attempts.into_iter().map(|attempt| (attempt.id, attempt)).collect())
    }
}

/// Loads results.
pub struct Results(pub Db);

impl Loader<AttemptId> for Results {
    type Value = result::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Result<HashMap<AttemptId, result::Model>, Arc<DbErr>> {
        let results = result::Entity::of_attempts(ids.iter().copied())
            .all(self.0.read())
            .await?;
        Ok(results.into_iter().map(|result| (result.attempt_id, result)).collect())
    }
}

/// Loads all answers of attempts.
pub struct Answers(pub Db);

impl Loader<AttemptId> for Answers {
    type Value = Vec<answer::Model>;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[AttemptId]) -> Result<HashMap<AttemptId, Vec<answer::Model>>, Arc<DbErr>> {
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
pub struct RanksThisMorning(pub App);

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
