//! Subjects: Biology, Chemistry, …

use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*, sea_query::LockType};

use crate::{clock::Time, id::SubjectId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "subjects")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: SubjectId,
    pub name: String,
    pub created_at: Time,
    pub deleted_at: Option<Time>,
    /// The name as it is compared (`text::folded`); without it, by a server of the previous release.
    pub name_folded: Option<String>,
    /// The subject that has what was in this one.
    pub merged_into: Option<SubjectId>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All subjects: for content that the viewer has been let in to already, which stays readable.
    pub fn of_content() -> Select<Self> {
        Self::find()
    }

    /// Subjects that are neither deleted nor merged into another.
    pub fn present() -> Select<Self> {
        Self::unmerged().filter(Column::DeletedAt.is_null())
    }

    /// Subjects that are not merged into another, deleted ones too; for staff only.
    pub fn unmerged() -> Select<Self> {
        Self::find().filter(Column::MergedInto.is_null())
    }

    /// Subjects, in the order of their ids, held for a change of them or of what is in them.
    pub fn held(ids: impl IntoIterator<Item = SubjectId>) -> Select<Self> {
        Self::unmerged()
            .filter(Column::Id.is_in(ids))
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate)
    }
}
