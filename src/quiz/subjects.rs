//! The life of subjects: named, renamed, merged, deleted, restored.

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait,
    QueryFilter, Select, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{
    chapters,
    life::conflict,
    names::{self, MOST},
    paper::SubjectsChanged,
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    clock::Moment,
    entity::{quiz, subject},
    error::{Error, Result, UserErrorCode},
    id::{QuizId, SubjectId},
    jobs::Job,
    page::{Order, Page, Slice},
    site::Site,
    text,
};

/// Counts anew, by subject, the results of everybody who took one of these quizzes: they belong to another subject now.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Recount {
    pub quizzes: Vec<QuizId>,
}

impl Job for Recount {
    const KIND: &'static str = "recount_subjects";
    const ABOUT: &'static str = "Counts results by subject anew after quizzes were moved to another subject.";
}

/// Creates a subject.
pub async fn create(site: &Site, name: &str, reason: &str, cause: &Cause) -> Result<subject::Model> {
    let (name, reason) = (text::name("name", name, MOST)?, text::reason("reason", reason)?);
    let mut change = Change::begin(site, cause).await?;
    free(&change, None, &name, &cause.now).await?;
    let row = subject::Model {
        id: cause.now.id(),
        name_folded: Some(names::key(&name)),
        name,
        created_at: cause.now.at,
        deleted_at: None,
        merged_into: None,
    };
    let insert = subject::Entity::insert(row.clone().into_active_model().reset_all());
    insert.exec_without_returning(&change).await.map_err(taken)?;
    let became = json!({"name": row.name});
    record(&mut change, Action::SubjectCreated, &row, None, Some(became), &reason).await?;
    change.commit().await?;
    Ok(row)
}

/// Gives a subject another name.
pub async fn rename(site: &Site, id: SubjectId, name: &str, reason: &str, cause: &Cause) -> Result<subject::Model> {
    let (name, reason) = (text::name("name", name, MOST)?, text::reason("reason", reason)?);
    let mut change = Change::begin(site, cause).await?;
    let before = held(&change, id).await?;
    if before.name == name {
        return Ok(before);
    }
    free(&change, Some(id), &name, &cause.now).await?;
    let after = subject::Model {
        name_folded: Some(names::key(&name)),
        name,
        ..before.clone()
    };
    store(&change, &after).await?;
    let (was, became) = (json!({"name": before.name}), json!({"name": after.name}));
    record(
        &mut change,
        Action::SubjectRenamed,
        &after,
        Some(was),
        Some(became),
        &reason,
    )
    .await?;
    change.commit().await?;
    Ok(after)
}

/// Moves all quizzes and chapters of a subject to another one, which has its results, standings and roll-ups from then on.
/// Chapters of the same name become one.
pub async fn merge(
    site: &Site,
    from: SubjectId,
    into: SubjectId,
    reason: &str,
    cause: &Cause,
) -> Result<subject::Model> {
    let reason = text::reason("reason", reason)?;
    if from == into {
        return Err(Error::input("intoId", "Choose another subject than the one to merge."));
    }
    let mut change = Change::begin(site, cause).await?;
    // Both at once, in the order of their ids.
    let both = subject::Entity::held([from, into]).all(&change).await?;
    let of = |id| both.iter().find(|subject| subject.id == id).cloned();
    let (Some(from), Some(into)) = (of(from), of(into)) else {
        return Err(Error::NotFound);
    };
    if into.deleted_at.is_some() {
        return Err(conflict(format!("The subject {} is deleted. Restore it first.", into.name)).at("intoId"));
    }
    let quizzes = quiz::Entity::of_subject(from.id).all(&change).await?;
    quiz::Entity::update_many()
        .col_expr(quiz::Column::SubjectId, Expr::value(into.id))
        .filter(quiz::Column::SubjectId.eq(from.id))
        .exec(&change)
        .await?;
    chapters::move_all(&change, from.id, into.id).await?;
    // The way from each that was merged before leads on.
    subject::Entity::update_many()
        .col_expr(subject::Column::MergedInto, Expr::value(into.id))
        .filter(subject::Column::MergedInto.eq(from.id))
        .exec(&change)
        .await?;
    let merged = subject::Model {
        merged_into: Some(into.id),
        ..from.clone()
    };
    store(&change, &merged).await?;
    if !quizzes.is_empty() {
        let quizzes = quizzes.iter().map(|quiz| quiz.id).collect();
        change.enqueue(&Recount { quizzes }).await?;
    }
    let (was, became) = (
        json!({"name": from.name}),
        json!({"mergedInto": into.id.encode(), "name": into.name, "quizzes": quizzes.len()}),
    );
    record(
        &mut change,
        Action::SubjectMerged,
        &merged,
        Some(was),
        Some(became),
        &reason,
    )
    .await?;
    change.commit().await?;
    Ok(into)
}

/// Deletes a subject in which there are no quizzes but deleted ones.
pub async fn delete(site: &Site, id: SubjectId, reason: &str, cause: &Cause) -> Result<subject::Model> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    let before = held(&change, id).await?;
    if before.deleted_at.is_some() {
        return Ok(before);
    }
    let quizzes = quiz::Entity::of_subject(id)
        .filter(quiz::Column::DeletedAt.is_null())
        .count(&change)
        .await?;
    if quizzes > 0 {
        let message = format!("There are {quizzes} quizzes in this subject. Move or delete them first, or merge it.");
        return Err(conflict(message));
    }
    let after = subject::Model {
        deleted_at: Some(cause.now.at),
        ..before.clone()
    };
    store(&change, &after).await?;
    record(
        &mut change,
        Action::SubjectDeleted,
        &after,
        Some(json!({"deletedAt": null})),
        Some(json!({"name": before.name, "deletedAt": cause.now.at.to_utc()})),
        &reason,
    )
    .await?;
    change.commit().await?;
    Ok(after)
}

/// Brings a deleted subject back.
pub async fn restore(site: &Site, id: SubjectId, reason: &str, cause: &Cause) -> Result<subject::Model> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    let before = held(&change, id).await?;
    if before.deleted_at.is_none() {
        return Ok(before);
    }
    let after = subject::Model {
        deleted_at: None,
        ..before
    };
    store(&change, &after).await?;
    let became = json!({"name": after.name});
    record(
        &mut change,
        Action::SubjectRestored,
        &after,
        None,
        Some(became),
        &reason,
    )
    .await?;
    change.commit().await?;
    Ok(after)
}

/// A page of the deleted subjects, in the order in which they were made.
pub(crate) async fn deleted(conn: &impl ConnectionTrait, page: &Page<SubjectId>) -> Result<Slice<subject::Model>> {
    let rows = page.select(gone(), subject::Column::Id, Order::Ascending);
    Ok(page.slice(rows.all(conn).await?))
}

/// The number of deleted subjects.
pub(crate) async fn deleted_count(conn: &impl ConnectionTrait) -> Result<u64> {
    Ok(gone().count(conn).await?)
}

fn gone() -> Select<subject::Entity> {
    subject::Entity::unmerged().filter(subject::Column::DeletedAt.is_not_null())
}

async fn held(tx: &impl ConnectionTrait, id: SubjectId) -> Result<subject::Model> {
    subject::Entity::held([id]).one(tx).await?.ok_or(Error::NotFound)
}

async fn store(tx: &impl ConnectionTrait, subject: &subject::Model) -> Result<()> {
    let mut row = subject.clone().into_active_model().reset_all();
    row.id = NotSet;
    subject::Entity::update_many()
        .set(row)
        .filter(subject::Column::Id.eq(subject.id))
        .exec(tx)
        .await
        .map_err(taken)?;
    Ok(())
}

/// Refuses a name that another subject has. One whose subject was merged into `own` is given up by it.
async fn free(tx: &impl ConnectionTrait, own: Option<SubjectId>, name: &str, now: &Moment) -> Result<()> {
    let key = names::key(name);
    let Some(other) = names::subject_named(tx, name, &key).await? else {
        return Ok(());
    };
    if Some(other.id) == own {
        return Ok(());
    }
    if other.merged_into.is_none() {
        let state = if other.deleted_at.is_some() {
            "a deleted subject"
        } else {
            "another subject"
        };
        let message = format!(
            "{} is the name of {state} already. Restore or merge it, or choose another name.",
            other.name
        );
        return Err(conflict(message).at("name"));
    }
    // The name of one that is gone: it is nobody's, and stays unique by its id.
    let given_up: SubjectId = now.id();
    let gone = subject::Model {
        name: format!("{} ({})", other.name, given_up.encode()),
        name_folded: None,
        ..other
    };
    store(tx, &gone).await
}

fn taken(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => {
            let message = "Another subject has this name already. Choose another one, or merge the two.";
            Error::refused(UserErrorCode::Conflict, message).at("name")
        }
        _ => error.into(),
    }
}

async fn record(
    change: &mut Change<'_>,
    action: Action,
    subject: &subject::Model,
    was: Option<serde_json::Value>,
    became: Option<serde_json::Value>,
    reason: &str,
) -> Result<()> {
    let entry = Entry::of(action, subject.id.encode()).was(was).became(became);
    change.audit(entry.reason(reason)).await?;
    change.emit(SubjectsChanged {}).await
}
