//! Question banks that staff have sent.

use sea_orm::{QueryOrder, QuerySelect, entity::prelude::*};

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
    /// How far an import that is previewed has come; `None`: it was sent to be imported at once, or by an older server.
    pub step: Option<Step>,
    /// JSON: how the file is read.
    pub options: Option<String>,
    /// SHA-256 of the file.
    pub content_digest: Option<String>,
    /// SHA-256 of the file, how it is read and where it goes.
    pub order_digest: Option<String>,
    /// JSON: where each sheet goes, and why.
    pub orders: Option<String>,
    /// Questions of the step that are done, of how many.
    pub progress_done: Option<i32>,
    pub progress_total: Option<i32>,
}

/// How far an import that is previewed has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Step {
    /// The file is being read.
    Reading,
    /// It can be confirmed.
    Ready,
    /// It is confirmed, and its questions are being written.
    Writing,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All imports; for staff.
    pub fn all() -> Select<Self> {
        Self::find()
    }

    /// The imports of a file, the newest first.
    pub fn of_content(digest: &str) -> Select<Self> {
        Self::find()
            .filter(Column::ContentDigest.eq(digest))
            .order_by_desc(Column::Id)
    }

    /// The import of a file to a place.
    pub fn of_order(digest: &str) -> Select<Self> {
        Self::find().filter(Column::OrderDigest.eq(digest))
    }

    /// Imports that were sent before this time and never confirmed.
    pub fn unconfirmed_since(before: Time) -> Select<Self> {
        Self::find()
            .filter(Column::FinishedAt.is_null())
            .filter(Column::Step.is_in([Step::Reading, Step::Ready]))
            .filter(Column::CreatedAt.lt(before))
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
