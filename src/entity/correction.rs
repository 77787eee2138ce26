//! Corrections of a key: another choice of a published question is the right one.

use sea_orm::{QueryOrder, entity::prelude::*};

use crate::{
    clock::Time,
    id::{QuestionId, RevisionId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "corrections")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: Uuid,
    pub revision_id: RevisionId,
    /// From 1 in each revision.
    pub number: i32,
    pub question_id: QuestionId,
    pub right_position: i32,
    pub reason: String,
    pub made_by: UserId,
    pub created_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The corrections of a revision, in their order.
    pub fn of_revision(revision: RevisionId) -> Select<Self> {
        Self::find()
            .filter(Column::RevisionId.eq(revision))
            .order_by_asc(Column::Number)
    }
}
