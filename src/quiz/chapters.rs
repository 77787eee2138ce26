//! The life of chapters. Questions keep the id of the chapter under which they were published: one that was merged leads on
//! to the chapter that it was merged into, and so do roll-ups when they are read.

use std::collections::HashMap;

use sea_orm::{
    ActiveModelTrait, ActiveValue::NotSet, ColumnTrait, ConnectionTrait, EntityTrait, IntoActiveModel, QueryFilter,
    QueryOrder, sea_query::Expr,
};
use serde_json::{Value, json};

use super::{
    life::{conflict, present_subject},
    names::{self, MOST},
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    entity::{
        chapter::{self, Column},
        subject,
    },
    error::{Error, Result, UserErrorCode},
    id::{ChapterId, SubjectId},
    site::Site,
    text,
};

/// Creates a chapter, after the others of its subject.
pub async fn create(
    site: &Site,
    subject: SubjectId,
    name: &str,
    reason: &str,
    cause: &Cause,
) -> Result<chapter::Model> {
    let (name, reason) = (text::name("name", name, MOST)?, text::reason("reason", reason)?);
    let change = Change::begin(site, cause).await?;
    if subject::Entity::held([subject]).one(&change).await?.is_none() {
        return Err(Error::NotFound);
    }
    present_subject(&change, subject, "subjectId").await?;
    free(&change, subject, None, &name).await?;
    let id = cause.now.id();
    let key = names::key(&name);
    let row = names::row(id, subject, name, key, &cause.now);
    chapter::Entity::insert(row)
        .exec_without_returning(&change)
        .await
        .map_err(taken)?;
    let made = find(&change, id).await?;
    let became = json!({"name": made.name, "subject": subject.encode()});
    record(&change, Action::ChapterCreated, id, Value::Null, became, &reason).await?;
    change.commit().await?;
    Ok(made)
}

/// Gives a chapter another name.
pub async fn rename(site: &Site, id: ChapterId, name: &str, reason: &str, cause: &Cause) -> Result<chapter::Model> {
    let (name, reason) = (text::name("name", name, MOST)?, text::reason("reason", reason)?);
    let (change, before) = begin(site, id, cause).await?;
    if before.name == name {
        return Ok(before);
    }
    free(&change, before.subject_id, Some(id), &name).await?;
    let after = chapter::Model {
        name_folded: Some(names::key(&name)),
        name,
        ..before.clone()
    };
    store(&change, &after).await?;
    let (was, became) = (json!({"name": before.name}), json!({"name": after.name}));
    record(&change, Action::ChapterRenamed, id, was, became, &reason).await?;
    change.commit().await?;
    Ok(after)
}

/// Puts a chapter behind another one of its subject; before all of them without one.
pub async fn place(
    site: &Site,
    id: ChapterId,
    after: Option<ChapterId>,
    reason: &str,
    cause: &Cause,
) -> Result<chapter::Model> {
    let reason = text::reason("reason", reason)?;
    let (change, moved) = begin(site, id, cause).await?;
    let all = of_subject(&change, moved.subject_id).await?;
    let mut places: Vec<_> = all.iter().map(chapter::Model::place).collect();
    places.sort_unstable();
    let before: Vec<_> = all.iter().map(|chapter| chapter.id).collect();
    let mut order: Vec<_> = before.iter().copied().filter(|other| *other != id).collect();
    let at = match after {
        None => 0,
        Some(after) => {
            let found = order.iter().position(|other| *other == after);
            let elsewhere = || Error::input("afterId", "This is no other chapter of the same subject.");
            found.ok_or_else(elsewhere)? + 1
        }
    };
    order.insert(at, id);
    if order == before {
        return Ok(moved);
    }
    for (id, place) in order.iter().zip(&places) {
        let old = all.iter().find(|chapter| chapter.id == *id).map(chapter::Model::place);
        if old != Some(*place) {
            chapter::Entity::update_many()
                .col_expr(Column::Place, Expr::value(*place))
                .filter(Column::Id.eq(*id))
                .exec(&change)
                .await?;
        }
    }
    let position = |order: &[ChapterId]| order.iter().position(|other| *other == id).map(|at| at + 1);
    let (was, became) = (
        json!({"position": position(&before)}),
        json!({"position": position(&order)}),
    );
    record(&change, Action::ChapterMoved, id, was, became, &reason).await?;
    let moved = find(&change, id).await?;
    change.commit().await?;
    Ok(moved)
}

/// Makes two chapters of a subject one: questions and roll-ups of the first are the second's from then on.
pub async fn merge(
    site: &Site,
    from: ChapterId,
    into: ChapterId,
    reason: &str,
    cause: &Cause,
) -> Result<chapter::Model> {
    let reason = text::reason("reason", reason)?;
    let (change, from) = begin(site, from, cause).await?;
    let into = chapter::Entity::unmerged()
        .filter(Column::Id.eq(into))
        .one(&change)
        .await?;
    let into = into
        .filter(|into| into.subject_id == from.subject_id && into.id != from.id)
        .ok_or_else(|| Error::input("intoId", "This is no other chapter of the same subject."))?;
    if into.deleted_at.is_some() {
        return Err(conflict(format!("The chapter {} is deleted. Restore it first.", into.name)).at("intoId"));
    }
    lead_on(&change, from.id, into.id).await?;
    let (was, became) = (
        json!({"name": from.name}),
        json!({"mergedInto": into.id.encode(), "name": into.name}),
    );
    record(&change, Action::ChapterMerged, from.id, was, became, &reason).await?;
    change.commit().await?;
    Ok(into)
}

/// Deletes a chapter. Questions keep it, and so do the dashboards of those who answered them.
pub async fn delete(site: &Site, id: ChapterId, reason: &str, cause: &Cause) -> Result<chapter::Model> {
    let reason = text::reason("reason", reason)?;
    let (change, before) = begin(site, id, cause).await?;
    if before.deleted_at.is_some() {
        return Ok(before);
    }
    let after = chapter::Model {
        deleted_at: Some(cause.now.at),
        ..before
    };
    store(&change, &after).await?;
    record(
        &change,
        Action::ChapterDeleted,
        id,
        json!({"deletedAt": null}),
        json!({"name": after.name, "deletedAt": cause.now.at.to_utc()}),
        &reason,
    )
    .await?;
    change.commit().await?;
    Ok(after)
}

/// Brings a deleted chapter back.
pub async fn restore(site: &Site, id: ChapterId, reason: &str, cause: &Cause) -> Result<chapter::Model> {
    let reason = text::reason("reason", reason)?;
    let (change, before) = begin(site, id, cause).await?;
    if before.deleted_at.is_none() {
        return Ok(before);
    }
    let after = chapter::Model {
        deleted_at: None,
        ..before
    };
    store(&change, &after).await?;
    record(
        &change,
        Action::ChapterRestored,
        id,
        Value::Null,
        json!({"name": after.name}),
        &reason,
    )
    .await?;
    change.commit().await?;
    Ok(after)
}

/// Moves the chapters of a subject to another one. Those whose name is taken there lead on to the one that has it.
pub(super) async fn move_all(tx: &impl ConnectionTrait, from: SubjectId, into: SubjectId) -> Result<()> {
    let there: HashMap<String, ChapterId> = chapter::Entity::of_content()
        .filter(Column::SubjectId.eq(into))
        .all(tx)
        .await?
        .into_iter()
        .map(|chapter| (names::key(&chapter.name), chapter.merged_into.unwrap_or(chapter.id)))
        .collect();
    let moved = chapter::Entity::of_content()
        .filter(Column::SubjectId.eq(from))
        .all(tx)
        .await?;
    let stays = |chapter: &&chapter::Model| there.contains_key(&names::key(&chapter.name));
    let (same, others): (Vec<_>, Vec<_>) = moved.iter().partition(stays);
    chapter::Entity::update_many()
        .col_expr(Column::SubjectId, Expr::value(into))
        .filter(Column::Id.is_in(others.iter().map(|chapter| chapter.id)))
        .exec(tx)
        .await?;
    for chapter in same {
        // One that led on before keeps its way, which is shortened below.
        if let (None, Some(into)) = (chapter.merged_into, there.get(&names::key(&chapter.name))) {
            lead_on(tx, chapter.id, *into).await?;
        }
    }
    Ok(())
}

/// Leads from a chapter, and from all that lead to it, on to another one.
async fn lead_on(tx: &impl ConnectionTrait, from: ChapterId, into: ChapterId) -> Result<()> {
    let and_merged = chapter::Entity::and_merged(from);
    let ids: Vec<_> = chapter::Entity::of_content()
        .filter(Column::Id.in_subquery(and_merged))
        .all(tx)
        .await?;
    chapter::Entity::update_many()
        .col_expr(Column::MergedInto, Expr::value(into))
        .filter(Column::Id.is_in(ids.iter().map(|chapter| chapter.id)))
        .exec(tx)
        .await?;
    Ok(())
}

/// The chapters with these ids, deleted ones too, for content that the viewer has been let in to; for one that was merged
/// the chapter that has its questions. Two statements at most.
pub async fn of_content(
    conn: &impl ConnectionTrait,
    ids: &[ChapterId],
) -> Result<HashMap<ChapterId, chapter::Model>, sea_orm::DbErr> {
    let load = async |ids: Vec<ChapterId>| {
        chapter::Entity::of_content()
            .filter(Column::Id.is_in(ids))
            .all(conn)
            .await
    };
    let found = load(ids.to_vec()).await?;
    let further: Vec<_> = found.iter().filter_map(|chapter| chapter.merged_into).collect();
    let targets = match further.is_empty() {
        true => Vec::new(),
        false => load(further).await?,
    };
    let target = |chapter: chapter::Model| {
        let id = chapter.id;
        let leads_to = targets.iter().find(|target| Some(target.id) == chapter.merged_into);
        (id, leads_to.cloned().unwrap_or(chapter))
    };
    Ok(found.into_iter().map(target).collect())
}

/// Begins a change of a chapter: its subject is held, and with it the order of its chapters.
async fn begin<'s>(site: &'s Site, id: ChapterId, cause: &Cause) -> Result<(Change<'s>, chapter::Model)> {
    let change = Change::begin(site, cause).await?;
    let chapter = find(&change, id).await?;
    subject::Entity::held([chapter.subject_id]).one(&change).await?;
    // In a statement of its own: it sees what was committed while the subject was waited for.
    let chapter = find(&change, id).await?;
    Ok((change, chapter))
}

async fn find(tx: &impl ConnectionTrait, id: ChapterId) -> Result<chapter::Model> {
    let found = chapter::Entity::unmerged().filter(Column::Id.eq(id)).one(tx).await?;
    found.ok_or(Error::NotFound)
}

async fn of_subject(tx: &impl ConnectionTrait, subject: SubjectId) -> Result<Vec<chapter::Model>> {
    let all = chapter::Entity::unmerged()
        .filter(Column::SubjectId.eq(subject))
        .order_by_asc(Column::Place)
        .all(tx)
        .await?;
    Ok(all)
}

async fn store(tx: &impl ConnectionTrait, chapter: &chapter::Model) -> Result<()> {
    let mut row = chapter.clone().into_active_model().reset_all();
    row.id = NotSet;
    chapter::Entity::update_many()
        .set(row)
        .filter(Column::Id.eq(chapter.id))
        .exec(tx)
        .await
        .map_err(taken)?;
    Ok(())
}

/// Refuses a name that another chapter of the subject has, deleted or merged ones too.
async fn free(tx: &impl ConnectionTrait, subject: SubjectId, own: Option<ChapterId>, name: &str) -> Result<()> {
    let key = names::key(name);
    let others = chapter::Entity::of_content()
        .filter(Column::SubjectId.eq(subject))
        .all(tx)
        .await?;
    let same = |other: &&chapter::Model| Some(other.id) != own && names::key(&other.name) == key;
    match others.iter().find(same) {
        None => Ok(()),
        Some(other) => {
            let state = match (other.merged_into, other.deleted_at) {
                (Some(_), _) => "a chapter that was merged",
                (None, Some(_)) => "a deleted chapter",
                (None, None) => "another chapter",
            };
            let message = format!(
                "{} is the name of {state} of this subject already. Choose another one.",
                other.name
            );
            Err(conflict(message).at("name"))
        }
    }
}

fn taken(error: sea_orm::DbErr) -> Error {
    match error.sql_err() {
        Some(sea_orm::SqlErr::UniqueConstraintViolation(_)) => {
            let message = "Another chapter of this subject has this name already. Choose another one.";
            Error::refused(UserErrorCode::Conflict, message).at("name")
        }
        _ => error.into(),
    }
}

async fn record(
    change: &Change<'_>,
    action: Action,
    id: ChapterId,
    was: Value,
    became: Value,
    reason: &str,
) -> Result<()> {
    let there = |value: Value| Some(value).filter(|value| !value.is_null());
    let entry = Entry::of(action, id.encode()).was(there(was)).became(there(became));
    change.audit(entry.reason(reason)).await
}
