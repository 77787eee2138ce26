//! Question banks that staff have sent.

use sea_orm::{QuerySelect, entity::prelude::*};

use crate::{
    clock::Time,
    id::{BankImportId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "bank_imports")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: BankImportId,
    pub wanted_by: UserId,
    pub file_name: String,
    /// The file, until it is read.
    pub content: Option<Vec<u8>>,
    pub quiz_title: String,
    pub subject: String,
    /// `None`: every sheet that has questions.
    pub sheet: Option<String>,
    pub publish: bool,
    pub created_at: Time,
    pub finished_at: Option<Time>,
    /// JSON: each sheet's report and quiz.
    pub report: Option<String>,
    /// The reason nothing was imported.
    pub error: Option<String>,
    /// The request that sent the file.
    pub request_id: Option<String>,
    /// The run that may write its quizzes.
    pub writer: Option<Uuid>,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All imports; for staff.
    pub fn all() -> Select<Self> {
        Self::find()
    }

    /// An import whose file has not been read yet.
    pub fn waiting(id: BankImportId) -> Select<Self> {
        Self::find_by_id(id).filter(Column::FinishedAt.is_null())
    }

    /// An import that this run may write. On PostgreSQL no other run takes over until the end of the transaction.
    pub fn written_by(writer: Uuid, id: BankImportId) -> Select<Self> {
        Self::waiting(id).filter(Column::Writer.eq(writer)).lock_exclusive()
    }
}
