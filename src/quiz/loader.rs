//! Content in batches.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, DbErr, QueryFilter, Select, SelectTwo};

use super::paper::Published;
use crate::{
    auth::Viewer,
    db::Db,
    entity::{ChapterId, QuizId, SubjectId, chapter, quiz, revision, subject},
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

/// Loads the subjects of content that the viewer has been let in to.
pub struct SubjectsOfContent(pub Db);

impl Loader<SubjectId> for SubjectsOfContent {
    type Value = subject::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[SubjectId]) -> Result<HashMap<SubjectId, subject::Model>, Arc<DbErr>> {
        subjects(&self.0, subject::Entity::of_content(), ids).await
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

/// Loads the chapters of content that the viewer has been let in to.
pub struct ChaptersOfContent(pub Db);

impl Loader<ChapterId> for ChaptersOfContent {
    type Value = chapter::Model;
    type Error = Arc<DbErr>;

    async fn load(&self, ids: &[ChapterId]) -> Result<HashMap<ChapterId, chapter::Model>, Arc<DbErr>> {
        chapters(&self.0, chapter::Entity::of_content(), ids).await
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
