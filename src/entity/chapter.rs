//! Chapters of subjects.

use sea_orm::entity::prelude::*;

use super::{ChapterId, SubjectId};
use crate::clock::Time;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "chapters")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ChapterId,
    pub subject_id: SubjectId,
    pub name: String,
    pub created_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Chapters are public; so is everything in the table.
    pub fn present() -> Select<Self> {
        Self::find()
    }
}
