//! Corrections of a key: another answer to a published question is the right one.

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
    /// The right choice, if there is one only, for servers of the previous release; see `right_set`.
    pub right_position: i32,
    pub reason: String,
    pub made_by: UserId,
    pub created_at: Time,
    /// The right choices, as `right::Choices`; `None`: `right_position` tells, unless a number is right.
    pub right_set: Option<i32>,
    pub right_number: Option<String>,
    pub tolerance: Option<String>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The corrections of revisions, the newest last; for staff.
    pub fn of_revisions(revisions: impl IntoIterator<Item = RevisionId>) -> Select<Self> {
        Self::find()
            .filter(Column::RevisionId.is_in(revisions))
            .order_by_asc(Column::Number)
    }
}
