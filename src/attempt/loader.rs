//! Attempts, results and answers in batches. Results and answers are those of attempts that the viewer has been given.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

use crate::{
    auth::Viewer,
    db::Db,
    entity::{AttemptId, answer, attempt, result},
};

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
