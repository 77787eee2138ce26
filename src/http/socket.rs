//! GraphQL over WebSocket at `/graphql/ws`: who is let in, and what runs there.

use std::sync::Arc;

use async_graphql::parser::types::OperationType;
use async_graphql_axum::GraphQLProtocol;
use axum::{
    extract::{Extension, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;

use super::{
    identity::{Identity, Server, asks_cost, bearer, device, end_of, origin_is_allowed, too_many_requests},
    peer::{Peer, in_span, new_request_id, request_span},
    ws::{self, Accepted, Close, Payload, Settings, Upgrade},
};
use crate::{
    account::session::authenticate,
    api::context::Caller,
    auth::Viewer,
    error::Error,
    limit::Who,
    operation::{self, Answer},
    telemetry,
};

/// Queries and mutations of one socket that run at once; more wait. Each holds its result until the client has read it.
const RUNNING: usize = 4;

/// The reason that a socket signs no browser in.
const SOCKET_COOKIES: &str = "Cookies can't be set over a WebSocket: sign in over HTTP.";

/// Upgrades to a WebSocket, if the client offers a protocol of GraphQL at all. A browser comes with its cookie, and only from an allowed page; a native app sends its
/// access token with `connection_init` as `{"authorization": "Bearer …"}`, or as a header.
pub(super) async fn handle(
    State(server): State<Server>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    upgrade: Upgrade,
    _: GraphQLProtocol,
) -> Response {
    if origin_is_allowed(&server.app, &headers) == Some(false) {
        return StatusCode::FORBIDDEN.into_response();
    }
    let identity = match Identity::of(&server.app, &headers).await {
        // A browser always says where it comes from; a cookie without that is not a browser's.
        Identity::Cookie(_) if origin_is_allowed(&server.app, &headers).is_none() => {
            return StatusCode::FORBIDDEN.into_response();
        }
        identity => identity,
    };
    // A native app says who it is with `connection_init`: it is counted then.
    if let Some(viewer) = identity.as_viewer()
        && let Err(Error::RateLimited(wait)) = server.app.limiter.request(viewer.into()).await.map_err(Error::from)
    {
        return too_many_requests(wait);
    }
    let upgraded_by = Who::of(identity.as_viewer(), peer.address);
    let mut slot = match server.app.streams.take(upgraded_by) {
        Ok(slot) => slot,
        Err(Error::RateLimited(wait)) => return too_many_requests(wait),
        Err(_) => return StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    };
    let (device, asks_cost) = (device(&server.app, &headers, &peer), asks_cost(&headers));
    upgrade.respond(Settings::default(), move |wire| async move {
        let _open = telemetry::Open::socket();
        let shutdown = server.app.shutdown.clone();
        let init = async |payload: Payload| {
            let is_counted = identity.as_viewer().is_some();
            let viewer = viewer(&server, identity, &payload).await?;
            let who = Who::of(viewer.as_ref(), peer.address);
            if !is_counted {
                let counted = server.app.limiter.request(who).await.map_err(Error::from);
                counted.map_err(|_| Close::TOO_MANY_REQUESTS)?;
            }
            let ended = end_of(&server.app, viewer.as_ref());
            if who != upgraded_by {
                // From the address's to the account's.
                slot = server.app.streams.take(who).map_err(|_| Close::TOO_MANY_STREAMS)?;
            }
            let server = server.clone();
            let running = Arc::new(Semaphore::new(RUNNING));
            let execute = move |request: async_graphql::Request| {
                let request_id = new_request_id();
                let span = request_span(&request_id);
                let mut caller = Caller {
                    request_id: request_id.clone(),
                    device: device.clone(),
                    loses_cookies: Some(SOCKET_COOKIES.to_owned()),
                    asks_cost,
                    requests: None,
                };
                let (server, viewer, running) = (server.clone(), viewer.clone(), running.clone());
                // Boxed, so that what it takes to begin is not kept for as long as the stream lives.
                let answers = stream::once(Box::pin(async move {
                    let admitted = match server.app.limiter.request(who).await {
                        Ok(left) => {
                            caller.requests = Some(left);
                            server.schema.admit(&server.app, viewer.as_ref(), request).await
                        }
                        Err(refused) => Err(vec![operation::error::of_request(refused.into())]),
                    };
                    match admitted {
                        Ok(admitted) => {
                            let permit = match admitted.kind() {
                                OperationType::Subscription => None,
                                // The semaphore is never closed.
                                OperationType::Query | OperationType::Mutation => running.acquire_owned().await.ok(),
                            };
                            let answers = server.schema.run(admitted, &server.app, viewer, caller);
                            let held = move |answer| {
                                _ = &permit;
                                answer
                            };
                            answers.map(held).left_stream()
                        }
                        Err(errors) => stream::iter([Answer::refusal(errors)]).right_stream(),
                    }
                }));
                let finish = move |answer| operation::error::finish(answer, &request_id);
                in_span(span, answers.flatten().map(finish))
            };
            Ok(Accepted { execute, ended })
        };
        ws::serve(wire, shutdown, init).await;
        drop(slot);
    })
}

/// The viewer of the socket, if any. An expired credential is refused, so that the client refreshes it and comes back.
async fn viewer(server: &Server, identity: Identity, payload: &Payload) -> Result<Option<Viewer>, Close> {
    if let Some(authorization) = payload.get("authorization").or_else(|| payload.get("Authorization")) {
        let token = authorization.as_str().and_then(bearer).ok_or(Close::FORBIDDEN)?;
        let viewer = authenticate(&server.app, &server.app.revocations, token, server.app.clock.now()).await;
        return viewer.map(Some).ok_or(Close::FORBIDDEN);
    }
    match identity {
        Identity::Cookie(viewer) | Identity::Bearer(viewer) => Ok(Some(viewer)),
        Identity::Anonymous { stale_cookie: false } => Ok(None),
        Identity::Anonymous { stale_cookie: true } | Identity::BadBearer => Err(Close::FORBIDDEN),
    }
}
