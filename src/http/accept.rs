//! The media types that a client can read, by its `Accept` header
//! ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.1)).

use axum::http::{HeaderMap, HeaderValue, header};
use mediatype::{MediaType, MediaTypeList, ReadParams, names};

use super::stream::Form;

/// The media type of GraphQL over HTTP.
pub(super) const GRAPHQL_RESPONSE: &str = "application/graphql-response+json";
/// The media type of clients from before it.
pub(super) const JSON: &str = "application/json";

/// The content types that a client accepts.
pub(super) struct Accepted {
    /// The media type for one result: what the client prefers of the two.
    pub single: Option<&'static str>,
    /// The form for results one after the other.
    pub stream: Option<Form>,
}

impl Accepted {
    /// `None` if the client can read nothing of ours. Without an `Accept` it is taken for an old client.
    pub(super) fn by(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(header::ACCEPT) {
            return Some(Self {
                single: Some(JSON),
                stream: None,
            });
        }
        let lines: Result<Vec<_>, _> = headers
            .get_all(header::ACCEPT)
            .iter()
            .map(HeaderValue::to_str)
            .collect();
        let accept = lines.ok()?.join(",").to_ascii_lowercase();
        let ranges: Vec<_> = MediaTypeList::new(&accept).flatten().map(weighed).collect();
        // Of equals the first one. Whoever does not name the new media type may not know it: many clients read a response
        // only if it is called application/json, and accept anything besides.
        let is_named = ranges.iter().any(|(name, _)| name == GRAPHQL_RESPONSE);
        let by_preference = match is_named {
            true => [GRAPHQL_RESPONSE, JSON],
            false => [JSON, GRAPHQL_RESPONSE],
        };
        let single = by_preference
            .map(|name| (weight(name, &ranges), name))
            .into_iter()
            .filter(|(weight, _)| *weight > 0)
            .rev()
            .max_by_key(|(weight, _)| *weight);
        let forms = ranges
            .iter()
            .filter_map(|(name, weight)| Some((*weight, Form::of(name)?)));
        // Of equals the first one, which the client prefers.
        let stream = forms
            .filter(|(weight, _)| *weight > 0)
            .rev()
            .max_by_key(|(weight, _)| *weight);
        let (single, stream) = (single.map(|(_, name)| name), stream.map(|(_, form)| form));
        (single.is_some() || stream.is_some()).then_some(Self { single, stream })
    }
}

/// A range and its weight in thousandths: 1000 where there is none that can be read.
fn weighed(range: MediaType<'_>) -> (String, u16) {
    let weight = range
        .get_param(names::Q)
        .and_then(|weight| weight.as_str().parse().ok());
    let weight: f32 = weight.filter(|weight| (0.0..=1.0).contains(weight)).unwrap_or(1.0);
    (range.essence().to_string(), (weight * 1000.0) as u16)
}

/// The weight of `application/…`: that of the most specific range that covers it.
fn weight(name: &str, ranges: &[(String, u16)]) -> u16 {
    let covers = |range: &str| match range {
        "*/*" => Some(0),
        "application/*" => Some(1),
        _ => (range == name).then_some(2),
    };
    let covering = ranges
        .iter()
        .filter_map(|(range, weight)| Some((covers(range)?, *weight)));
    covering.max().map_or(0, |(_, weight)| weight)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_count_and_zero_refuses() {
        const NEW: Option<&str> = Some(GRAPHQL_RESPONSE);
        const OLD: Option<&str> = Some(JSON);
        const EVENTS: Option<Form> = Some(Form::EventStream);
        const PARTS: Option<Form> = Some(Form::Multipart);
        for (accept, single, stream) in [
            ("*/*", OLD, None),
            ("application/*", OLD, None),
            ("application/json, */*", OLD, None),
            ("application/json, text/plain, */*", OLD, None),
            ("application/json, application/graphql-response+json", NEW, None),
            ("application/json", OLD, None),
            ("Application/JSON; charset=utf-8", OLD, None),
            (
                "application/graphql-response+json; charset=utf-8, application/json; charset=utf-8",
                NEW,
                None,
            ),
            ("application/json, application/graphql-response+json;q=0", OLD, None),
            (
                "application/json, application/graphql-response+json ; Q=0.000",
                OLD,
                None,
            ),
            ("application/json, application/graphql-response+json;q=0.9", OLD, None),
            (
                "application/json;q=0.8, application/graphql-response+json;q=0.9",
                NEW,
                None,
            ),
            ("application/json;q=0, */*", NEW, None),
            ("application/graphql-response+json;q=0, */*;q=0.1", OLD, None),
            ("application/json , */*;q=0.1", OLD, None),
            ("application/*;q=0.2, application/json;q=0.1", NEW, None),
            ("application/json;q=0.5, */*", NEW, None),
            ("application/graphql-response+json, */*", NEW, None),
            ("application/graphql-response+json;q=0.9, */*;q=0.9", NEW, None),
            ("application/graphql-response+json;q=0.1, */*", OLD, None),
            ("application/json;q=1;profile=\"a, b;q=0\"", OLD, None),
            ("application/json;q=much", OLD, None),
            ("text/html, nonsense, *;q=.2, */*;q=.2", OLD, None),
            ("text/event-stream", None, EVENTS),
            ("text/event-stream, application/json;q=0.5", OLD, EVENTS),
            ("multipart/mixed;subscriptionSpec=1.0, application/json", OLD, PARTS),
            ("multipart/mixed;boundary=\"graphql\", text/event-stream", None, PARTS),
            ("multipart/mixed;q=0.5, text/event-stream", None, EVENTS),
            ("multipart/mixed;q=0, text/event-stream;q=0.1", None, EVENTS),
            ("text/event-stream;q=0, */*", OLD, None),
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            let accepted = Accepted::by(&headers).map(|accepted| (accepted.single, accepted.stream));
            assert_eq!(accepted, Some((single, stream)), "{accept}");
        }
    }

    #[test]
    fn an_unacceptable_accept_header_differs_from_a_missing_one() {
        let silent = Accepted::by(&HeaderMap::new());
        assert_eq!(silent.and_then(|silent| silent.single), Some(JSON));
        for accept in [
            "",
            "text/html",
            "text/*",
            "image/*, text/html;q=0.9",
            "*/*;q=0",
            "application/*;q=0, */*",
            "application/json;q=0, application/graphql-response+json;q=0, */*;q=1, text/event-stream;q=0",
        ] {
            let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
            assert!(Accepted::by(&headers).is_none(), "{accept}");
        }
    }

    #[test]
    fn several_lines_are_one_list() {
        let mut headers = HeaderMap::new();
        headers.append(header::ACCEPT, HeaderValue::from_static("application/json;q=0.5"));
        headers.append(
            header::ACCEPT,
            HeaderValue::from_static("application/graphql-response+json"),
        );
        let accepted = Accepted::by(&headers);
        assert_eq!(accepted.and_then(|accepted| accepted.single), Some(GRAPHQL_RESPONSE));
    }
}
