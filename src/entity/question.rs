//! Questions of a revision, with the key.

use sea_orm::{Condition, ExprTrait, JoinType, QueryOrder, QuerySelect, QueryTrait, SelectTwo, entity::prelude::*};

use super::{attempt, picture, revision};
use crate::{
    auth::Viewer,
    id::{ChapterId, PictureId, QuestionId, RevisionId},
};

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
    /// Of a question with one right choice, for servers of the previous release; see `right_set`.
    pub right_position: Option<i32>,
    pub kind: Kind,
    /// The right choices, as `right::Choices`; `None`: `right_position` tells.
    pub right_set: Option<i32>,
    pub right_number: Option<String>,
    pub tolerance: Option<String>,
    pub picture_id: Option<PictureId>,
    /// The question that it was copied from, transitively the first; `None`: it is the first.
    pub origin_id: Option<QuestionId>,
    /// Of a draft's question: the version of the draft that wrote it last; `None`: it is as it came into the draft.
    pub changed_in: Option<i32>,
    /// Of a question that was taken out of its draft: the position that it had.
    pub removed_from: Option<i32>,
}

/// What a question asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Kind {
    /// One choice; exactly one is right.
    SingleChoice,
    /// All right choices and no other.
    AllChoices,
    /// One choice; several are right.
    AnyChoice,
    /// One of the two choices true and false.
    TrueFalse,
    /// A number, right within a tolerance; it has no choices.
    Number,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {
    #[sea_orm(
        belongs_to = "revision::Entity",
        from = "Column::RevisionId",
        to = "revision::Column::Id"
    )]
    Revision,
    #[sea_orm(
        belongs_to = "picture::Entity",
        from = "Column::PictureId",
        to = "picture::Column::Id"
    )]
    Picture,
}

impl Related<picture::Entity> for Entity {
    fn to() -> RelationDef {
        Relation::Picture.def()
    }
}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// The questions that `viewer` may read, without their answers: those of the own attempts; staff may read all that were
    /// published.
    pub fn readable_by(viewer: &Viewer) -> Select<Self> {
        let published = Self::find()
            .join(JoinType::InnerJoin, Relation::Revision.def())
            .filter(revision::Column::State.eq(revision::State::Published));
        if viewer.role().is_staff() {
            return published;
        }
        let of_revision = |column: attempt::Column, other: revision::Column| {
            Expr::col((attempt::Entity, column)).equals((revision::Entity, other))
        };
        // By the quiz, too: that has an index.
        let taken = attempt::Entity::of(viewer)
            .filter(of_revision(attempt::Column::QuizId, revision::Column::QuizId))
            .filter(of_revision(attempt::Column::RevisionId, revision::Column::Id))
            .select_only()
            .column(attempt::Column::Id)
            .into_query();
        published.filter(Expr::exists(taken))
    }

    /// Questions of drafts, removed ones too; for authoring only.
    pub fn of_drafts() -> Select<Self> {
        Self::find().filter(Column::RevisionId.in_subquery(revision::Entity::ids_of_drafts()))
    }

    /// The questions that were taken out of drafts; for authoring only.
    pub fn removed_from(revisions: impl IntoIterator<Item = RevisionId>) -> Select<Self> {
        Self::find()
            .filter(Column::RevisionId.is_in(revisions))
            .filter(Column::RemovedFrom.is_not_null())
    }

    /// The questions of a draft that were written after this version of it, removed ones too; for authoring only.
    pub fn written_after(draft: RevisionId, version: i32) -> Select<Self> {
        Self::find()
            .filter(Column::RevisionId.eq(draft))
            .filter(Column::ChangedIn.gt(version))
    }

    /// The questions of revisions, in no order.
    pub fn present_in(revisions: impl IntoIterator<Item = RevisionId>) -> Select<Self> {
        Self::find()
            .filter(Column::RevisionId.is_in(revisions))
            .filter(Column::RemovedFrom.is_null())
    }

    /// The questions of a revision in their order.
    pub fn of_revision(revision: RevisionId) -> Select<Self> {
        Self::of_revisions([revision])
    }

    /// The questions of revisions, each revision's in their order.
    pub fn of_revisions(revisions: impl IntoIterator<Item = RevisionId>) -> Select<Self> {
        Self::present_in(revisions).order_by_asc(Column::Position)
    }

    /// The questions of revisions, each revision's in their order, and each with its picture.
    pub fn with_pictures_of(revisions: impl IntoIterator<Item = RevisionId>) -> SelectTwo<Self, picture::Entity> {
        Self::of_revisions(revisions).find_also_related(picture::Entity)
    }

    /// The pictures that `viewer` may read: those of the questions that the viewer may read, and for staff also those that
    /// are not deleted.
    pub fn pictures_readable_by(viewer: &Viewer) -> Select<picture::Entity> {
        let shown = Self::readable_by(viewer)
            .filter(Expr::col((Self, Column::PictureId)).equals((picture::Entity, picture::Column::Id)))
            .select_only()
            .column(Column::Id)
            .into_query();
        let present = viewer.role().is_staff().then(|| picture::Column::DeletedAt.is_null());
        picture::Entity::find().filter(Condition::any().add(Expr::exists(shown)).add_option(present))
    }
}
