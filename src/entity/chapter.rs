//! Chapters of subjects.

use sea_orm::{QuerySelect, QueryTrait, entity::prelude::*};

use super::subject;
use crate::{
    clock::Time,
    id::{ChapterId, SubjectId},
};

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
    /// Chapters of subjects that are not deleted.
    pub fn present() -> Select<Self> {
        let subjects = subject::Entity::present().select_only().column(subject::Column::Id);
        Self::of_content().filter(Column::SubjectId.in_subquery(subjects.into_query()))
    }

    /// All chapters: for content that the viewer has been let in to already, which stays readable.
    pub fn of_content() -> Select<Self> {
        Self::find()
    }
}
