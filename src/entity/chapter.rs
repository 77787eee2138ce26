//! Chapters of subjects.

use sea_orm::{Condition, QuerySelect, QueryTrait, entity::prelude::*, sea_query::SelectStatement};

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
    /// The name as it is compared (`text::folded`); without it, by a server of the previous release.
    pub name_folded: Option<String>,
    /// The chapter that has the questions of this one, which keep its id.
    pub merged_into: Option<ChapterId>,
    pub deleted_at: Option<Time>,
    /// Its place among the chapters of its subject: the id of one that was made in this place.
    pub place: Option<ChapterId>,
}

impl Model {
    /// Its place among the chapters of its subject.
    pub fn place(&self) -> ChapterId {
        self.place.unwrap_or(self.id)
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Chapters that are neither deleted nor merged into another, of subjects that are not either.
    pub fn present() -> Select<Self> {
        let subjects = subject::Entity::present().select_only().column(subject::Column::Id);
        Self::unmerged()
            .filter(Column::DeletedAt.is_null())
            .filter(Column::SubjectId.in_subquery(subjects.into_query()))
    }

    /// Chapters that are not merged into another, deleted ones too; for staff only.
    pub fn unmerged() -> Select<Self> {
        Self::find().filter(Column::MergedInto.is_null())
    }

    /// This chapter, and those whose questions it has by merging; ids, for a subquery.
    pub fn and_merged(id: ChapterId) -> SelectStatement {
        Self::find()
            .filter(Condition::any().add(Column::Id.eq(id)).add(Column::MergedInto.eq(id)))
            .select_only()
            .column(Column::Id)
            .into_query()
    }

    /// All chapters: for content that the viewer has been let in to already, which stays readable.
    pub fn of_content() -> Select<Self> {
        Self::find()
    }
}
