//! The web app, from built files embedded in the binary: `examples/spa` has its sources. Nothing is loaded from other
//! sites, no script or style stands in a page.
//!
//! `/` is a page that is complete without a script; the app's other paths, which `routes.json` lists for it and for this
//! module alike, get an empty page that its script fills. A path that is in neither is 404, as before.

use axum::{
    Router,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::{EmbeddedFile, RustEmbed};

use super::identity::Server;
use crate::error::{Error, Result};

#[derive(RustEmbed)]
#[folder = "examples/spa/dist"]
struct Built;

/// The path of the page that is complete without a script.
const LANDING: &str = "/";
/// How files are packed when they are built, best first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The pages and what they load.
pub(super) fn routes() -> Result<Router<Server>> {
    let mut routes = Router::new().route("/assets/{name}", get(asset));
    for path in paths()? {
        let file = match path.as_str() {
            LANDING => "index.html",
            _ => "shell.html",
        };
        let respond =
            move |State(server): State<Server>, headers: HeaderMap| async move { page(&server, file, &headers) };
        routes = routes.route(&path, get(respond));
    }
    Ok(routes)
}

/// The app's paths, in the router's spelling: `/quizzes/:id` is `/quizzes/{id}`.
fn paths() -> Result<Vec<String>> {
    let file = Built::get("routes.json").ok_or_else(|| Error::internal("the web app has no routes.json"))?;
    let routes: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&file.data).map_err(Error::internal)?;
    let spelt = |part: &str| match part.strip_prefix(':') {
        Some(name) => format!("{{{name}}}"),
        None => part.to_owned(),
    };
    Ok(routes
        .into_values()
        .map(|path| path.split('/').map(spelt).collect::<Vec<_>>().join("/"))
        .collect())
}

/// A page: asked for again each time, sent again only if another release has another one.
fn page(server: &Server, name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Packed::find(name, headers) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = file.response("text/html; charset=utf-8", "no-cache", headers);
    let policy = content_security_policy(&server.app.config.site.avatar_hosts);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

/// Everything from here, nothing from elsewhere but the pictures of accounts. `'self'` has the site's WebSocket, too.
fn content_security_policy(avatar_hosts: &[String]) -> String {
    let pictures: String = avatar_hosts.iter().map(|host| format!(" https://{host}")).collect();
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:{pictures}; \
         manifest-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'"
    )
}

/// A script, a style or a picture. Its name has a digest of its content, so it is never another one.
async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    // The packed forms have no address of their own, and a name that is a path leads nowhere.
    let is_asset = !name.ends_with(".br") && !name.ends_with(".gz") && !name.contains(['/', '\\']);
    let Some(file) = Packed::find(&format!("assets/{name}"), &headers).filter(|_| is_asset) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let content_type = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let mut response = file.response(content_type, "public, max-age=31536000, immutable", &headers);
    // An SVG may be opened as a page of its own.
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'self'; frame-ancestors 'none'");
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    response
}

/// A built file in the encoding that the client takes.
struct Packed {
    file: EmbeddedFile,
    encoding: Option<&'static str>,
}

impl Packed {
    fn find(name: &str, headers: &HeaderMap) -> Option<Self> {
        let accepted = ENCODINGS.into_iter().filter(|(encoding, _)| accepts(headers, encoding));
        let packed = accepted.filter_map(|(encoding, ending)| {
            let file = Built::get(&format!("{name}{ending}"))?;
            Some(Self {
                file,
                encoding: Some(encoding),
            })
        });
        let plain = || {
            let file = Built::get(name)?;
            Some(Self { file, encoding: None })
        };
        packed.into_iter().next().or_else(plain)
    }

    /// 200 with the file, or 304 if the client names its tag.
    fn response(self, content_type: &'static str, lifetime: &'static str, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", hex::encode(&self.file.metadata.sha256_hash()[..16]));
        let known = headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|tags| tags.to_str().ok());
        let is_known = known.flat_map(|tags| tags.split(',')).any(|known| {
            let known = known.trim();
            known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag
        });
        let common = [
            (header::CACHE_CONTROL, lifetime),
            (header::VARY, "accept-encoding"),
            (header::ETAG, tag.as_str()),
        ];
        if is_known {
            return (StatusCode::NOT_MODIFIED, common, Body::empty()).into_response();
        }
        let mut response = (common, [(header::CONTENT_TYPE, content_type)], self.file.data).into_response();
        if let Some(encoding) = self.encoding {
            let encoding = HeaderValue::from_static(encoding);
            response.headers_mut().insert(header::CONTENT_ENCODING, encoding);
        }
        response
    }
}

/// Whether the client takes the encoding: it names it, or everything, with a weight that is not zero
/// ([RFC 9110](https://www.rfc-editor.org/rfc/rfc9110#section-12.5.3)).
fn accepts(headers: &HeaderMap, encoding: &str) -> bool {
    let lines = headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|line| line.to_str().ok());
    let weights: Vec<_> = lines
        .flat_map(|line| line.split(','))
        .map(|item| {
            let (name, parameters) = item.split_once(';').unwrap_or((item, ""));
            let weight = parameters.trim().strip_prefix("q=");
            let weight = weight.map_or(1.0, |weight| weight.trim().parse().unwrap_or(0.0));
            (name.trim().to_ascii_lowercase(), weight)
        })
        .collect();
    let of = |wanted: &str| {
        weights
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, weight)| *weight)
    };
    of(encoding).or_else(|| of("*")).is_some_and(|weight: f32| weight > 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encoding_is_accepted_by_its_name_or_by_a_star_unless_it_weighs_nothing() {
        for (line, br, gzip) in [
            (None, false, false),
            (Some("gzip, deflate, br, zstd"), true, true),
            (Some("GZIP"), false, true),
            (Some("br;q=0, *;q=0.1"), false, true),
            (Some("*;q=0"), false, false),
            (Some("identity"), false, false),
            (Some("br; q=1.0, gzip;q=nonsense"), true, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(line) = line {
                headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(line));
            }
            assert_eq!(
                (accepts(&headers, "br"), accepts(&headers, "gzip")),
                (br, gzip),
                "{line:?}"
            );
        }
    }

    #[test]
    fn pictures_may_come_from_the_hosts_that_the_site_allows_and_scripts_from_nowhere_else() {
        let policy = content_security_policy(&["www.gravatar.com".to_owned()]);
        assert!(
            policy.contains("img-src 'self' data: https://www.gravatar.com;"),
            "{policy}"
        );
        assert!(policy.contains("script-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
    }
}
