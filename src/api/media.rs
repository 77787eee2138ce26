//! Pictures in the API.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use base64::{Engine, engine::general_purpose::STANDARD};

use crate::{
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        loader::ReadablePictures,
        payload::{UserError, as_payload},
        scalar::{Reason, Upload},
    },
    entity::picture,
    error::{Error, Result},
    id::PictureId,
    media::{self, store::Name},
    page::Page,
};

/// A picture.
#[derive(Clone)]
pub(crate) struct Picture(picture::Model);

impl From<picture::Model> for Picture {
    fn from(picture: picture::Model) -> Self {
        Self(picture)
    }
}

/// The picture with this id, if the viewer may read a question that shows it.
pub(crate) async fn picture(ctx: &Context<'_>, id: PictureId) -> Result<Picture> {
    ctx.viewer()?;
    let found = ctx.loader::<ReadablePictures>()?.load_one(id).await?;
    found.map(Picture).ok_or(Error::NotFound)
}

/// A picture. It never changes.
#[Object]
impl Picture {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The URL of the file, relative to the address of the API, e.g. `/media/….png`. What it leads to never changes.
    async fn url(&self) -> Result<String> {
        let name = Name::of(&self.0).ok_or_else(|| Error::internal("a picture without a hash"))?;
        Ok(format!("/media/{name}"))
    }

    /// The alternative text: what the picture shows, for whoever can't see it.
    async fn alt_text(&self) -> &str {
        &self.0.alt_text
    }

    /// The width, in pixels.
    async fn width(&self) -> i32 {
        self.0.width
    }

    /// The height, in pixels.
    async fn height(&self) -> i32 {
        self.0.height
    }

    /// The size of the file, in bytes.
    async fn byte_size(&self) -> i32 {
        self.0.bytes
    }
}

/// Input of `uploadPicture`.
#[derive(InputObject)]
pub(crate) struct UploadPictureInput {
    /// The file: PNG, JPEG, WebP or GIF, at most 2 MiB and 4,096 by 4,096 pixels. It is encoded anew, without what is no
    /// pixel: comments, the place of a photo, a color profile. Exactly one of `file` and `content` is required.
    file: Option<Upload>,
    /// The content of the file in base64 (RFC 4648, section 4), at most 700 KiB before encoding.
    content: Option<String>,
    /// The alternative text: what the picture shows, for whoever can't see it; 1 to 500 characters on one line. It must not
    /// give the answer away.
    alt_text: String,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The outcome of `uploadPicture`.
#[derive(SimpleObject)]
pub(crate) struct UploadPicturePayload {
    /// The picture.
    picture: Option<Picture>,
    /// Errors that the person can act on; empty if the picture was stored.
    errors: Vec<UserError>,
}

/// Input of `deletePicture`.
#[derive(InputObject)]
pub(crate) struct DeletePictureInput {
    /// The picture.
    picture_id: ID,
    /// The reason, for the audit log.
    reason: Reason,
}

/// The outcome of `deletePicture`.
#[derive(SimpleObject)]
pub(crate) struct DeletePicturePayload {
    /// Errors that the person can act on; empty if the picture was deleted.
    errors: Vec<UserError>,
}

/// Pictures: queries.
#[derive(Default)]
pub(crate) struct MediaQuery;

#[Object]
impl MediaQuery {
    /// The pictures, newest first, without deleted ones. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn pictures(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<Connection<Picture>>> {
        let page = Page::of((first, last), (after, before), |cursor| PictureId::decode(cursor).ok())?;
        let slice = media::list(ctx.app().db.read(), &page).await?;
        let total = Total::of(|ctx| Box::pin(media::count(ctx.app().db.read())));
        Ok(Some(connection(slice, total, |picture| picture.id.encode(), Picture)))
    }
}

/// Pictures: mutations.
#[derive(Default)]
pub(crate) struct MediaMutation;

#[Object]
impl MediaMutation {
    /// Uploads a picture for questions. The same picture is stored once, however often it is sent. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn upload_picture(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The file, and its alternative text.")] input: UploadPictureInput,
    ) -> Result<Option<UploadPicturePayload>> {
        let (app, viewer) = (ctx.app(), ctx.viewer()?);
        let uploaded = async {
            let upload = media::Upload {
                content: sent(input.file, input.content)?,
                alt_text: input.alt_text,
            };
            media::upload(app, &app.media, viewer, upload, &input.reason.0, &ctx.cause()).await
        };
        let (picture, errors) = as_payload(uploaded.await)?;
        Ok(Some(UploadPicturePayload {
            picture: picture.map(Picture),
            errors,
        }))
    }

    /// Deletes a picture: it is no longer listed, and no question can be given it. Questions that have it keep it; to bring
    /// it back, upload it again. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn delete_picture(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The picture.")] input: DeletePictureInput,
    ) -> Result<Option<DeletePicturePayload>> {
        let (id, reason) = (PictureId::decode(&input.picture_id)?, &input.reason.0);
        let (_, errors) = as_payload(media::delete(ctx.app(), id, reason, &ctx.cause()).await)?;
        Ok(Some(DeletePicturePayload { errors }))
    }
}

/// The bytes of a picture, in whichever way they were sent. What fits into a request in base64 is bounded by its size.
fn sent(file: Option<Upload>, content: Option<String>) -> Result<Vec<u8>> {
    match (file, content) {
        (Some(file), None) => Ok(file.content.into()),
        (None, Some(content)) => {
            let message = "This is not base64. Send the file's bytes in base64.";
            STANDARD.decode(content).map_err(|_| Error::input("content", message))
        }
        _ => Err(Error::input("file", "Send the picture as `file` or as `content`.")),
    }
}
