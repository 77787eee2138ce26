//! Names of subjects and chapters: "Biology", "biology" and "BIOLOGY" are one.

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter,
    sea_query::OnConflict,
};
use uuid::Uuid;

use crate::{
    clock::Moment,
    db::{Db, sql},
    entity::{chapter, subject},
    error::{Error, Result, UserErrorCode},
    id::{ChapterId, SubjectId},
    text,
};

/// The most characters of a subject's or a chapter's name.
pub(crate) const MOST: usize = 80;

/// What two names have in common that are one.
pub(super) fn key(name: &str) -> String {
    let folded = text::folded(name);
    let words: Vec<_> = folded.split_whitespace().collect();
    if words.is_empty() {
        name.to_owned()
    } else {
        words.join(" ")
    }
}

/// The subject with this name; created if there is none.
pub(super) async fn subject(conn: &impl ConnectionTrait, name: &str, now: &Moment) -> Result<SubjectId> {
    let name = text::name("subject", name, MOST)?;
    let key = key(&name);
    let row = subject::ActiveModel {
        id: Set(now.id()),
        name: Set(name.clone()),
        created_at: Set(now.at),
        deleted_at: Set(None),
        name_folded: Set(Some(key.clone())),
        merged_into: Set(None),
    };
    subject::Entity::insert(row)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(conn)
        .await?;
    let found = subject_named(conn, &name, &key).await?;
    let found = match found.as_ref().and_then(|found| found.merged_into) {
        Some(into) => {
            subject::Entity::of_content()
                .filter(subject::Column::Id.eq(into))
                .one(conn)
                .await?
        }
        None => found,
    };
    match found {
        Some(found) if found.deleted_at.is_none() => Ok(found.id),
        _ => {
            let message = format!("The subject {name} is deleted. Restore it, or choose another name.");
            Err(Error::refused(UserErrorCode::Conflict, message))
        }
    }
}

/// The subject that has this name, whether or not it is deleted, or was merged into another.
pub(super) async fn subject_named(
    conn: &impl ConnectionTrait,
    name: &str,
    key: &str,
) -> Result<Option<subject::Model>> {
    let same = Condition::any()
        .add(subject::Column::NameFolded.eq(key))
        .add(subject::Column::Name.eq(name));
    let found = subject::Entity::of_content().filter(same).all(conn).await?;
    let best = found
        .iter()
        .find(|subject| subject.name_folded.as_deref() == Some(key))
        .or(found.first());
    Ok(best.cloned())
}

/// The chapters of a subject with these names, by name; created where there is none, and there again if they were deleted.
pub(super) async fn chapters(
    conn: &impl ConnectionTrait,
    subject: SubjectId,
    names: &[String],
    now: &Moment,
) -> Result<HashMap<String, ChapterId>> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let mut keys: Vec<String> = Vec::new();
    let mut rows = Vec::new();
    for name in names {
        let key = key(name);
        if !keys.contains(&key) {
            let id = now.id();
            rows.push(row(id, subject, name.clone(), key.clone(), now));
            keys.push(key);
        }
    }
    chapter::Entity::insert_many(rows)
        .on_conflict(OnConflict::new().do_nothing().to_owned())
        .exec_without_returning(conn)
        .await?;
    let same = Condition::any()
        .add(chapter::Column::NameFolded.is_in(keys))
        .add(chapter::Column::Name.is_in(names));
    let known = chapter::Entity::of_content()
        .filter(chapter::Column::SubjectId.eq(subject))
        .filter(same)
        .all(conn)
        .await?;
    let mut found = HashMap::new();
    for name in names {
        let key = key(name);
        let best = known
            .iter()
            .find(|chapter| chapter.name_folded.as_deref() == Some(&key))
            .or_else(|| known.iter().find(|chapter| chapter.name == *name));
        if let Some(chapter) = best {
            found.insert(name.clone(), chapter.merged_into.unwrap_or(chapter.id));
        }
    }
    chapter::Entity::update_many()
        .set(chapter::ActiveModel {
            deleted_at: Set(None),
            ..Default::default()
        })
        .filter(chapter::Column::Id.is_in(found.values().copied()))
        .filter(chapter::Column::DeletedAt.is_not_null())
        .exec(conn)
        .await?;
    Ok(found)
}

/// A new chapter, after all others of its subject.
pub(super) fn row(id: ChapterId, subject: SubjectId, name: String, key: String, now: &Moment) -> chapter::ActiveModel {
    chapter::ActiveModel {
        id: Set(id),
        subject_id: Set(subject),
        name: Set(name),
        created_at: Set(now.at),
        name_folded: Set(Some(key)),
        merged_into: Set(None),
        deleted_at: Set(None),
        place: Set(Some(id)),
    }
}

#[derive(FromQueryResult)]
struct Unfolded {
    id: Uuid,
    name: String,
}

/// Folds the names that are not: those from before the columns, and those that servers of the previous release write. Of
/// two that are one the later stays as it is, until staff merge them. Returns how many were folded.
pub async fn fold(db: &Db) -> Result<u64> {
    let conn = db.write();
    let places = "UPDATE chapters SET place = id WHERE place IS NULL";
    conn.execute_raw(sql(conn, places, [])).await?;
    let mut folded = 0;
    for (table, siblings) in [("subjects", "TRUE"), ("chapters", "s.subject_id = chapters.subject_id")] {
        let mut after = Uuid::nil();
        loop {
            let select = format!(
                "SELECT id, name FROM {table} WHERE name_folded IS NULL AND merged_into IS NULL AND id > $1 \
                 ORDER BY id LIMIT 500"
            );
            let unfolded = Unfolded::find_by_statement(sql(conn, select, [after.into()]));
            let unfolded = unfolded.all(conn).await?;
            let Some(last) = unfolded.last() else { break };
            after = last.id;
            for Unfolded { id, name } in unfolded {
                let update = format!(
                    "UPDATE {table} SET name_folded = $1 WHERE id = $2 AND name = $3 \
                     AND NOT EXISTS (SELECT 1 FROM {table} s WHERE s.name_folded = $1 AND {siblings})"
                );
                let values = [key(&name).into(), id.into(), name.into()];
                folded += conn.execute_raw(sql(conn, update, values)).await?.rows_affected();
            }
        }
    }
    Ok(folded)
}

#[cfg(test)]
mod tests {
    use super::key;

    #[test]
    fn names_that_look_alike_are_one() {
        for name in [
            "Biology",
            "biology",
            "BIOLOGY",
            " Biology ",
            "Bíology",
            "Biology\u{200B}",
        ] {
            assert_eq!(key(name), "biology", "{name:?}");
        }
        assert_eq!(key("Cell  Cycle"), key("cell cycle"));
        assert_ne!(key("Biology"), key("Biology 2"));
        assert!(!key("\u{0301}").is_empty());
    }
}
