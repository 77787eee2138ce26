//! Accounts in batches.

use std::{collections::HashMap, sync::Arc};

use async_graphql::dataloader::Loader;
use sea_orm::{ColumnTrait, DbErr, QueryFilter};

use crate::{
    auth::Viewer,
    db::Db,
    entity::{UserId, user},
};

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
