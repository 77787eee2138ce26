//! Drafts as editors change them: one write at a time, each by somebody who has seen the one before.

use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, sea_query::Expr};

use crate::{
    change::Change,
    entity::revision,
    error::{Error, Result, UserErrorCode},
    id::QuizId,
};

/// Holds the draft of a quiz for a write by an editor who has seen its `version`, which grows by one. An editor whose copy
/// is stale gets `CONFLICT`, and nothing is written.

pub(crate) async fn hold(change: &Change<'_>, quiz: QuizId, version: i32) -> Result<revision::Model> {
    let draft = revision::Entity::draft_of(quiz)
        .one(change)
        .await?
        .ok_or(Error::NotFound)?;
    let held = revision::Entity::update_many()
        .col_expr(revision::Column::Version, Expr::col(revision::Column::Version).add(1))
        .col_expr(revision::Column::UpdatedAt, Expr::value(Some(change.now().at)))
        .col_expr(revision::Column::UpdatedBy, Expr::value(change.source().actor))
        .filter(revision::Column::Id.eq(draft.id))
        .filter(revision::Column::State.eq(revision::State::Draft))
        .filter(revision::Column::Version.eq(version))
        .exec_with_returning(change)
        .await?;
    let stale = || {
        let message = "Somebody else has changed this draft meanwhile. Load it again, and repeat your change.";
        Error::refused(UserErrorCode::Conflict, message).at("version")
    };
    held.into_iter().next().ok_or_else(stale)
}
