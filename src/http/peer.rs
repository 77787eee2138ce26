//! Facts about a request that do not depend on its own claims.

use std::net::{IpAddr, SocketAddr};

use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::Response,
};
use futures_util::{Stream, StreamExt as _, stream::poll_fn};
use ipnet::IpNet;
use tracing::{Instrument as _, Span};

use crate::{app::App, telemetry};

/// The response header with the request's id.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// The other end of a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Peer {
    /// Of this one request, to find it again in the logs and in the audit.
    pub request_id: String,
    /// The client's address, past the proxies that are trusted. `None` where there is no network between.
    pub address: Option<IpAddr>,
}

/// Gives a request its id, which is in all that is logged meanwhile and in the response, and finds out where it comes
/// from and which host it is for.
pub(super) async fn meet(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let connection = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address =
        connection.map(|ConnectInfo(end)| client(end.ip(), request.headers(), &app.config.server.trusted_proxies));
    let request_id = new_request_id();
    let span = request_span(&request_id);
    telemetry::follow(&span, request.headers());
    name_host(&mut request);
    let header = HeaderValue::from_str(&request_id);
    request.extensions_mut().insert(Peer { request_id, address });
    let mut response = next.run(request).instrument(span).await;
    telemetry::responded(response.status().as_u16());
    if let Ok(header) = header {
        response.headers_mut().insert(REQUEST_ID, header);
    }
    response
}

/// HTTP/2 names the host in `:authority`, and HTTP/1.1 may name it in the request line; either goes before `Host`
/// ([RFC 9113, section 8.3.1][2]; [RFC 9112, section 3.2.2][1]). After this it is in `Host`, whatever the protocol.
///
/// [1]: https://www.rfc-editor.org/rfc/rfc9112#section-3.2.2
/// [2]: https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1
fn name_host(request: &mut Request) {
    let authority = request.uri().authority();
    if let Some(host) = authority.and_then(|authority| HeaderValue::from_str(authority.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
}

/// An id for a request, to find it again in the logs.
pub(super) fn new_request_id() -> String {
    uuid::Uuid::now_v7().simple().to_string()
}

/// Whatever is logged while a request is at work carries its id.
pub(super) fn request_span(request_id: &str) -> Span {
    tracing::info_span!("request", id = request_id)
}

/// Logs of a stream's items carry the request's id, too.
pub(super) fn in_span<S: Stream>(span: Span, stream: S) -> impl Stream<Item = S::Item> {
    let mut stream = Box::pin(stream);
    poll_fn(move |cx| span.in_scope(|| stream.poll_next_unpin(cx)))
}

/// The client's address. Each proxy appends the address of its client to `X-Forwarded-For`, so the list is read from
/// its end, only as far as our own proxies have written it: earlier entries can be forged.
fn client(connection: IpAddr, headers: &HeaderMap, proxies: &[IpNet]) -> IpAddr {
    let lines = headers.get_all("x-forwarded-for").iter();
    let hops: Vec<&[u8]> = lines
        .flat_map(|line| line.as_bytes().split(|byte| *byte == b','))
        .collect();
    let mut client = connection.to_canonical();
    for hop in hops.into_iter().rev() {
        if !proxies.iter().any(|network| network.contains(&client)) {
            break;
        }
        let Some(before) = address(hop) else { break };
        client = before.to_canonical();
    }
    client
}

/// Some proxies write the port, too.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let hop = std::str::from_utf8(hop).ok()?.trim();
    let with_port = || hop.parse().ok().map(|address: SocketAddr| address.ip());
    hop.parse().ok().or_else(with_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_name_the_client() {
        let proxies: Vec<IpNet> = ["10.0.0.0/8", "fd00::/8", "192.0.2.7/32"]
            .map(|net| net.parse().expect("a network"))
            .into();
        for (connection, forwarded, expected) in [
            ("198.51.100.1", &["203.0.113.9"][..], "198.51.100.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("::ffff:10.0.0.1", &["203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4", "203.0.113.9,192.0.2.7"], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4, 203.0.113.9:5123"], "203.0.113.9"),
            ("fd00::1", &["[2001:db8::1]:443"], "2001:db8::1"),
            ("10.0.0.1", &["203.0.113.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["\u{202e}1.2.3.4, 203.0.113.9"], "203.0.113.9"),
            ("10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append(
                    "x-forwarded-for",
                    HeaderValue::from_bytes(line.as_bytes()).expect("a header"),
                );
            }
            let found = client(connection.parse().expect("an address"), &headers, &proxies);
            assert_eq!(
                found,
                expected.parse::<IpAddr>().expect("an address"),
                "{connection} for {forwarded:?}"
            );
        }
    }
}
