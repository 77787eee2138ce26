//! The one name of a development server. `localhost` and `127.0.0.1` are two sites to a browser: a page under one that
//! calls the other loses its cookies.

use axum::{
    extract::{Request, State},
    http::header,
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use super::identity::Server;
use crate::{config::has_name, text::url::is_local_host};

/// Sends a browser that came to the address to the name.
pub(super) async fn redirect(State(server): State<Server>, request: Request, next: Next) -> Response {
    let config = &server.app.config;
    let named = config.speaks_plainly() && has_name(config.server.listen);
    match named.then(|| elsewhere(&request)).flatten() {
        Some(url) => Redirect::temporary(&url).into_response(),
        None => next.run(request).await,
    }
}

/// The same page under the name, if the request is for an address of this machine.
fn elsewhere(request: &Request) -> Option<String> {
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    let host = url::Url::parse(&format!("http://{host}")).ok()?;
    let is_address = !matches!(host.host()?, url::Host::Domain(_)) && is_local_host(host.host_str()?);
    let port = host.port().map_or_else(String::new, |port| format!(":{port}"));
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    is_address.then(|| format!("http://localhost{port}{path}"))
}
