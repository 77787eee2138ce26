//! Questions of imports that are not confirmed yet.

use sea_orm::{DeleteMany, QueryOrder, entity::prelude::*};

use crate::id::BankImportId;

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "import_questions")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub import_id: BankImportId,
    /// The sheet's place in the report, from 0.
    #[sea_orm(primary_key, auto_increment = false)]
    pub sheet: i32,
    #[sea_orm(primary_key, auto_increment = false)]
    pub position: i32,
    /// Where in the file it comes from.
    pub cell: String,
    /// JSON: the question with what is right.
    pub content: String,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The questions of a sheet, for staff.
    pub fn of_sheet(import: BankImportId, sheet: i32) -> Select<Self> {
        Self::find()
            .filter(Column::ImportId.eq(import))
            .filter(Column::Sheet.eq(sheet))
    }

    /// The questions of a sheet in their order.
    pub fn in_order(import: BankImportId, sheet: i32) -> Select<Self> {
        Self::of_sheet(import, sheet).order_by_asc(Column::Position)
    }

    /// Deletes the questions of imports.
    pub fn forget(imports: impl IntoIterator<Item = BankImportId>) -> DeleteMany<Self> {
        Self::delete_many().filter(Column::ImportId.is_in(imports))
    }
}
