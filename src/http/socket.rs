//! GraphQL over WebSocket at `/graphql/ws`: who is let in, and what runs there.

use axum::{
    extract::{Extension, State, WebSocketUpgrade},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{
    Identity, Server, bearer, device, origin_is_allowed,
    peer::{Peer, new_request_id, request_span},
    ws::{self, Accepted, Close, Payload, Settings},
};
use crate::{
    auth::{self, Viewer},
    error::{self, Error, whole_seconds},
    graphql::Caller,
    limit::Who,
    operation, schema,
};

/// Upgrades to a WebSocket. A browser comes with its cookie, and only from an allowed page; a native app sends its
/// access token with `connection_init` as `{"authorization": "Bearer …"}`, or as a header.
pub async fn handle(
    State(server): State<Server>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    if origin_is_allowed(&server.app, &headers) == Some(false) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let identity = match Identity::of(&server.app, &headers) {
        // A browser always says where it comes from; a cookie without that is not a browser's.
        Identity::Cookie(_) if origin_is_allowed(&server.app, &headers).is_none() => {
            return StatusCode::FORBIDDEN.into_response();
        }
        identity => identity,
    };
    if let Err(Error::RateLimited(wait)) = server.app.limiter.request(identity.counted_as(&peer)) {
        let wait = [(header::RETRY_AFTER, whole_seconds(wait))];
        return (StatusCode::TOO_MANY_REQUESTS, wait).into_response();
    }
    let device = device(&headers, &peer);
    let settings = Settings::default();
    ws::prepare(upgrade, &settings).on_upgrade(move |socket| async move {
        let shutdown = server.app.shutdown.clone();
        let init = async |payload: Payload| {
            let viewer = viewer(&server, identity, &payload)?;
            let ended = match &viewer {
                Some(viewer) => server.app.revocations.end_of(viewer),
                None => CancellationToken::new(),
            };
            let (server, address) = (server.clone(), peer.address);
            let who = viewer.as_ref().map_or_else(|| Who::address(address), Who::from);
            let execute = move |request: async_graphql::Request| {
                let request_id = new_request_id();
                let span = request_span(&request_id);
                let mut caller = Caller {
                    request_id: request_id.clone(),
                    device: device.clone(),
                    takes_cookies: false,
                    requests: None,
                };
                let (server, viewer) = (server.clone(), viewer.clone());
                let responses = stream::once(async move {
                    let admitted = match server.app.limiter.request(who) {
                        Ok(left) => {
                            caller.requests = Some(left);
                            operation::admit(&server.app, viewer.as_ref(), request).await
                        }
                        Err(refused) => Err(error::of_request(refused)),
                    };
                    match admitted {
                        Ok(admitted) => {
                            schema::run(&server.schema, admitted, &server.app, viewer, caller).left_stream()
                        }
                        Err(error) => stream::iter([async_graphql::Response::from_errors(vec![error])]).right_stream(),
                    }
                });
                let mut responses = Box::pin(
                    responses
                        .flatten()
                        .map(move |response| error::finish(response, &request_id)),
                );
                stream::poll_fn(move |cx| span.in_scope(|| responses.poll_next_unpin(cx)))
            };
            Ok(Accepted { execute, ended })
        };
        ws::serve(socket, settings, shutdown, init).await;
    })
}

/// Whoever opens the socket; nobody is fine, too, but a credential that is no longer good is to be refreshed first.
fn viewer(server: &Server, identity: Identity, payload: &Payload) -> Result<Option<Viewer>, Close> {
    if let Some(authorization) = payload.get("authorization").or_else(|| payload.get("Authorization")) {
        let token = authorization.as_str().and_then(bearer).ok_or(Close::UNAUTHORIZED)?;
        let viewer = auth::authenticate(&server.app, token, server.app.clock.now());
        return viewer.map(Some).ok_or(Close::UNAUTHORIZED);
    }
    match identity {
        Identity::Cookie(viewer) | Identity::Bearer(viewer) => Ok(Some(viewer)),
        Identity::Nobody { stale_cookie: false } => Ok(None),
        Identity::Nobody { stale_cookie: true } | Identity::BadBearer => Err(Close::UNAUTHORIZED),
    }
}
