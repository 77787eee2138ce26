//! Subjects: Biology, Chemistry, …

use sea_orm::entity::prelude::*;

use crate::{clock::Time, id::SubjectId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subjects")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SubjectId,
    pub name: String,
    pub created_at: Time,
    pub deleted_at: Option<Time>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All subjects: for content that the viewer has been let in to already, which stays readable.
    pub fn of_content() -> Select<Self> {
        Self::find()
    }

    /// Subjects that are not deleted.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}
