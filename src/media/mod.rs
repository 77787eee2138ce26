//! Pictures of questions: checked by what they are, encoded anew, and kept under the hash of their bytes. docs/media.md is
//! the manual.

mod encoding;
pub mod store;

use std::collections::HashMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, sea_query::Expr,
};
use sha2::{Digest, Sha256};
use tokio::{sync::Semaphore, task::spawn_blocking};

use self::store::{Name, Store};
use crate::{
    audit::{Action, Entry},
    auth::Viewer,
    change::{Cause, Change},
    entity::{picture, question},
    error::{Error, Result},
    id::PictureId,
    limit::Limit,
    page::{Order, Page, Slice},
    site::Site,
    text,
};

/// The largest file that is taken, in bytes.
pub(crate) const MAX_BYTES: usize = 2 * 1024 * 1024;

/// The longest alternative text, in characters.
pub(crate) const MAX_ALT_TEXT: usize = 500;

/// One picture at a time in each process: the pixels of one have a bound, and this bounds the sum.
static TURN: Semaphore = Semaphore::const_new(1);

/// A picture that staff send.
pub(crate) struct Upload {
    pub content: Vec<u8>,
    /// What the picture shows, for whoever can't see it.
    pub alt_text: String,
}

/// Keeps a picture. A refusal costs no use of the limit.
pub(crate) async fn upload(
    site: &Site,
    store: &Store,
    viewer: &Viewer,
    upload: Upload,
    reason: &str,
    cause: &Cause,
) -> Result<picture::Model> {
    let reason = text::reason("reason", reason)?;
    let alt_text = text::name("altText", &upload.alt_text, MAX_ALT_TEXT)?;
    if upload.content.is_empty() || upload.content.len() > MAX_BYTES {
        let message = format!("A picture has 1 to {MAX_BYTES} bytes. Save it smaller, and send that.");
        return Err(Error::input("file", message));
    }
    let turn = TURN.acquire().await.map_err(Error::internal)?;
    let encoded = spawn_blocking(move || encoding::anew(&upload.content));
    let encoded = encoded.await.map_err(Error::internal)?;
    let encoded = encoded.map_err(|message| Error::input("file", message))?;
    drop(turn);
    let _counted = site.limiter.reserve(Limit::Picture, viewer, cause.now.at).await?;
    let name = Name::new(Sha256::digest(&encoded.bytes).into(), encoded.format);
    let size = encoded.bytes.len();
    // Before the row: a row without its bytes would be shown, and bytes without a row are not.
    store.put(&name, encoded.bytes).await?;

    let change = Change::begin(site, cause).await?;
    let now = change.now();
    let row = picture::ActiveModel {
        id: Set(now.id()),
        sha256: Set(name.hash()),
        format: Set(encoded.format),
        width: Set(encoded.width as i32),
        height: Set(encoded.height as i32),
        bytes: Set(i32::try_from(size).unwrap_or(i32::MAX)),
        alt_text: Set(alt_text),
        created_at: Set(now.at),
        created_by: Set(viewer.user()),
        deleted_at: Set(None),
    };
    let picture = picture::Entity::insert(row).exec_with_returning(&change).await?;
    let uploaded = Entry::of(Action::PictureUploaded, picture.id.encode())
        .became(serde_json::json!({"sha256": picture.sha256, "bytes": picture.bytes}))
        .reason(reason.as_str());
    change.audit(uploaded).await?;
    change.commit().await?;
    Ok(picture)
}

/// Takes a picture out of what staff give to questions. Those that have it keep it.
pub(crate) async fn delete(site: &Site, id: PictureId, reason: &str, cause: &Cause) -> Result<()> {
    let reason = text::reason("reason", reason)?;
    let change = Change::begin(site, cause).await?;
    let deleted = picture::Entity::update_many()
        .col_expr(picture::Column::DeletedAt, Expr::value(Some(change.now().at)))
        .filter(picture::Column::Id.eq(id))
        .filter(picture::Column::DeletedAt.is_null())
        .exec(&change)
        .await?;
    if deleted.rows_affected == 0 {
        return Err(Error::NotFound);
    }
    let deleted = Entry::of(Action::PictureDeleted, id.encode())
        .became(serde_json::json!({"deletedAt": change.now().at.to_utc()}))
        .reason(reason.as_str());
    change.audit(deleted).await?;
    change.commit().await
}

/// A page of the pictures, the newest first; for staff.
pub(crate) async fn list(conn: &impl ConnectionTrait, page: &Page<PictureId>) -> Result<Slice<picture::Model>> {
    let rows = page.select(picture::Entity::present(), picture::Column::Id, Order::Descending);
    Ok(page.slice(rows.all(conn).await?))
}

/// The number of pictures.
pub(crate) async fn count(conn: &impl ConnectionTrait) -> Result<u64> {
    Ok(picture::Entity::present().count(conn).await?)
}

/// Those of these pictures that the viewer may read.
pub(crate) async fn find(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    ids: &[PictureId],
) -> Result<HashMap<PictureId, picture::Model>> {
    let these = picture::Column::Id.is_in(ids.iter().copied());
    let found = question::Entity::pictures_readable_by(viewer)
        .filter(these)
        .all(conn)
        .await?;
    Ok(found.into_iter().map(|picture| (picture.id, picture)).collect())
}
