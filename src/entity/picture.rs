//! Pictures that staff uploaded. A row never changes.

use sea_orm::{ExprTrait, QuerySelect, QueryTrait, entity::prelude::*};

use super::question;
use crate::{
    auth::Viewer,
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
    /// All pictures: for staff, and for questions that the viewer has been let in to already.
    pub fn of_content() -> Select<Self> {
        Self::find()
    }

    /// The pictures that `viewer` may read: those of the questions that the viewer may read; staff may read all.
    pub fn readable_by(viewer: &Viewer) -> Select<Self> {
        if viewer.role().is_staff() {
            return Self::find();
        }
        let shown = question::Entity::readable_by(viewer)
            .filter(Expr::col((question::Entity, question::Column::PictureId)).equals((Self, Column::Id)))
            .select_only()
            .column(question::Column::Id)
            .into_query();
        Self::find().filter(Expr::exists(shown))
    }
}
