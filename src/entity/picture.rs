//! Pictures that staff uploaded. A row never changes but for being deleted: then no question can be given it any more, and
//! those that have it keep it.

use sea_orm::entity::prelude::*;

use crate::{
    clock::Time,
    id::{PictureId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "pictures")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: PictureId,
    /// Of the stored bytes, in hexadecimal digits: their name in the media store.
    pub sha256: String,
    pub format: Format,
    pub width: i32,
    pub height: i32,
    /// The number of stored bytes.
    pub bytes: i32,
    pub alt_text: String,
    pub created_at: Time,
    pub created_by: UserId,
    pub deleted_at: Option<Time>,
}

/// The format of the stored bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Format {
    Png,
    Jpeg,
    Webp,
    Gif,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// Pictures that are not deleted; for staff, who give them to questions.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}
