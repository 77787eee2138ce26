//! The bytes of pictures, by the hash of what they are: they never change, so whoever has them may keep them. Whoever knows
//! the hash has seen the picture, or was given its address.

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};

use super::identity::Server;
use crate::media::store::Name;

pub(super) fn routes() -> Router<Server> {
    Router::new().route("/media/{name}", get(picture))
}

async fn picture(State(server): State<Server>, Path(name): Path<String>) -> Response {
    let Some(name) = Name::read(&name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    match server.app.media.get(&name).await {
        Ok(Some(bytes)) => {
            let headers = [
                (header::CONTENT_TYPE, name.media_type()),
                (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
                // A picture that is opened by itself is a page of this site: it runs nothing and loads nothing.
                (header::CONTENT_SECURITY_POLICY, "default-src 'none'; sandbox"),
            ];
            (headers, bytes).into_response()
        }
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => {
            tracing::error!(cause = error.describe(), "a picture can't be read");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}
