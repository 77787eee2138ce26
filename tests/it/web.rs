//! The web app's files: where they are, how they are kept and packed, and what a page of theirs may load.

use axum::{
    body::{Body, Bytes, to_bytes},
    http::{HeaderMap, Request, StatusCode},
};
use tower::ServiceExt;

use crate::{on_both_databases, support::TestApp};

struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("ASCII"))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

async fn get(app: &TestApp, path: &str, headers: &[(&str, &str)]) -> Reply {
    let mut request = Request::get(path).header("host", "localhost:8080");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::empty()).expect("a request");
    let (parts, body) = app.router().oneshot(request).await.expect("a response").into_parts();
    Reply {
        status: parts.status,
        headers: parts.headers,
        body: to_bytes(body, usize::MAX).await.expect("a body"),
    }
}

/// The paths of the assets that a page names.
fn assets(page: &str) -> Vec<String> {
    let parts = page.split("\"/assets/").skip(1);
    let names = parts.filter_map(|part| part.split('"').next());
    names.map(|name| format!("/assets/{name}")).collect()
}

on_both_databases! {
    async fn the_apps_pages_may_load_what_is_here_and_nothing_else(app: TestApp) {
        for path in ["/", "/sign-in", "/reset-password", "/confirm-email", "/confirm-registration", "/quizzes", "/quizzes/quiz_1", "/attempts/attempt_1", "/boards"] {
            let page = get(&app, path, &[]).await;
            assert_eq!((page.status, page.header("content-type")), (StatusCode::OK, Some("text/html; charset=utf-8")), "{path}");
            assert_eq!(page.header("cache-control"), Some("no-cache"), "{path}");
            assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{path}");
            assert_eq!(page.header("referrer-policy"), Some("same-origin"), "{path}");
            let policy = page.header("content-security-policy").expect("a policy");
            for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
                assert!(policy.split("; ").any(|found| found == part), "{path}: {part} in {policy}");
            }
            // What the policy would refuse is not in the page.
            let text = page.text();
            for refused in ["<style", " style=", "javascript:", "onclick", "//cdn", "https://"] {
                assert!(!text.contains(refused), "{path}: {refused}");
            }
            assert!(text.matches("<script").count() == text.matches("<script fetchpriority=\"low\" type=\"module\" crossorigin src=\"/assets/").count() + text.matches("<script src=\"/assets/").count(), "{path}: {text}");
            let assets = assets(text);
            assert!(assets.len() >= 2, "{path}: {text}");
            for asset in assets {
                assert_eq!(get(&app, &asset, &[]).await.status, StatusCode::OK, "{asset}");
            }
        }
        let landing = get(&app, "/", &[]).await;
        assert!(landing.text().contains("<h1"), "the first page is there without a script: {}", landing.text());
    }

    async fn a_page_is_asked_for_again_and_an_asset_never(app: TestApp) {
        let page = get(&app, "/", &[]).await;
        let tag = page.header("etag").expect("a tag").to_owned();
        for known in [tag.clone(), format!("W/{tag}"), format!("\"other\", {tag}"), "*".to_owned()] {
            let again = get(&app, "/", &[("if-none-match", &known)]).await;
            assert_eq!((again.status, again.body.len()), (StatusCode::NOT_MODIFIED, 0), "{known}");
            assert_eq!(again.header("etag"), Some(tag.as_str()));
            assert!(again.header("content-security-policy").is_some(), "a browser takes the headers of a 304");
        }
        assert_eq!(get(&app, "/", &[("if-none-match", "\"other\"")]).await.status, StatusCode::OK);
        for asset in assets(page.text()) {
            let asset = get(&app, &asset, &[]).await;
            assert_eq!(asset.header("cache-control"), Some("public, max-age=31536000, immutable"));
        }
    }

    async fn files_come_as_they_were_packed_for_whoever_can_unpack_them(app: TestApp) {
        let page = get(&app, "/", &[]).await;
        let script = assets(page.text()).into_iter().find(|name| name.ends_with(".js")).expect("a script");
        for path in ["/", "/quizzes", &script] {
            let plain = get(&app, path, &[]).await;
            assert_eq!(plain.header("content-encoding"), None, "{path}");
            let mut tags = vec![plain.header("etag").expect("a tag").to_owned()];
            for (accept, encoding) in [("gzip, deflate, br", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip")] {
                let packed = get(&app, path, &[("accept-encoding", accept)]).await;
                assert_eq!(packed.header("content-encoding"), Some(encoding), "{path}: {accept}");
                assert!(packed.headers.get_all("vary").iter().any(|vary| vary == "accept-encoding"), "{path}: {accept}");
                assert_eq!(packed.header("content-type"), plain.header("content-type"), "{path}");
                assert!(packed.body.len() < plain.body.len(), "{path}: {accept}");
                assert_eq!(packed.header("x-content-type-options"), Some("nosniff"), "{path}");
                tags.push(packed.header("etag").expect("a tag").to_owned());
            }
            assert_eq!(tags[2], tags[3]);
            tags.dedup();
            assert_eq!(tags.len(), 3, "{path}: one tag for each form");
        }
    }

    async fn what_is_not_there_is_not_found_and_graphiql_stays_where_it_was(app: TestApp) {
        for path in ["/assets/nothing.js", "/assets/..%2Findex.html", "/assets/", "/nothing", "/index.html", "/routes.json", "/quizzes/1/2"] {
            assert_eq!(get(&app, path, &[]).await.status, StatusCode::NOT_FOUND, "{path}");
        }
        let page = get(&app, "/", &[]).await;
        let script = assets(page.text()).into_iter().find(|name| name.ends_with(".js")).expect("a script");
        let packed = format!("{script}.br");
        assert_eq!(get(&app, &packed, &[]).await.status, StatusCode::NOT_FOUND, "the packed form has no address of its own");
        let graphiql = get(&app, "/graphiql", &[]).await;
        assert_eq!((graphiql.status, graphiql.header("location")), (StatusCode::SEE_OTHER, Some("/graphiql/sign-in")));
    }
}
