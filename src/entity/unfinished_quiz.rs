//! Quizzes that an import is still writing. Nobody sees them until its last transaction takes them out of this table.

use sea_orm::{QuerySelect, QueryTrait, entity::prelude::*, sea_query::SelectStatement};

use crate::{
    clock::Time,
    id::{BankImportId, QuizId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "unfinished_quizzes")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub quiz_id: QuizId,
    /// `None`: an import by the command line.
    pub import_id: Option<BankImportId>,
    pub created_at: Time,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// What an earlier run of an import has left.
    pub fn of_import(import: BankImportId) -> Select<Self> {
        Self::find().filter(Column::ImportId.eq(import))
    }

    /// What an import by the command line has left that ended before this time.
    pub fn abandoned(before: Time) -> Select<Self> {
        Self::find()
            .filter(Column::ImportId.is_null())
            .filter(Column::CreatedAt.lt(before))
    }

    /// The ids of all, for a subquery.
    pub(super) fn ids() -> SelectStatement {
        Self::find().select_only().column(Column::QuizId).into_query()
    }
}
