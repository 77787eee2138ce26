//! Questions of a revision, with the key.

use sea_orm::{QueryOrder, entity::prelude::*};

use crate::id::{ChapterId, QuestionId, RevisionId};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "questions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: QuestionId,
    pub revision_id: RevisionId,
    pub position: i32,
    pub chapter_id: Option<ChapterId>,
    pub text: String,
    pub image: Option<String>,
    pub explanation: Option<String>,
    pub right_position: Option<i32>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The questions of a revision in their order.
    pub fn of_revision(revision: RevisionId) -> Select<Self> {
        Self::of_revisions([revision])
    }

    /// The questions of revisions, each revision's in their order.
    pub fn of_revisions(revisions: impl IntoIterator<Item = RevisionId>) -> Select<Self> {
        Self::find()
            .filter(Column::RevisionId.is_in(revisions))
            .order_by_asc(Column::Position)
    }
}
