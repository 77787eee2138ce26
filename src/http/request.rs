//! The operation of a request as it comes: in a body of JSON, in a form with files, or in the URL.

use std::{collections::BTreeMap, time::Duration};

use async_graphql::{Name, Value, indexmap::IndexMap};
use axum::{
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Multipart, Query, Request, multipart::MultipartError},
    http::{HeaderMap, Method, StatusCode, header},
};
use serde::Deserialize;
use tokio::time::timeout;

use super::accept::JSON;
use crate::{error::Error, import::background::MAX_BYTES, operation::persisted};

/// A request with 200 answers takes 30 KiB.
pub(super) const BODY_BYTES: usize = 1024 * 1024;
/// For the whole body of a request to come.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The same with files, of those who may send them.
const FILES_TIME: Duration = Duration::from_secs(25);
/// Files of one request.
const FILES: usize = 10;
/// Places of all files of one request.
const PLACES: usize = 100;

/// Headers that clients of the field send with a GET or a form, to show that no link and no form of a page did.
pub(super) const PREFLIGHTED: [&str; 2] = ["apollo-require-preflight", "x-apollo-operation-name"];

/// The sender of a request, as far as it decides over what is read.
pub(super) struct Sender {
    /// Whether the request is more than a link or a form of any page could send.
    pub is_deliberate: bool,
    pub is_staff: bool,
}

/// The parameters of a request, in a body or in the URL.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: Option<String>,
    /// Instead of the text; as [the appendix on persisted documents][appendix] has it, or Relay's guide.
    ///
    /// [appendix]: https://github.com/graphql/graphql-over-http/blob/main/spec/Appendix%20A%20--%20Persisted%20Documents.md
    #[serde(alias = "doc_id")]
    document_id: Option<String>,
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Value>,
    #[serde(default)]
    extensions: Option<serde_json::Value>,
}

/// In a URL, variables and extensions are JSON as text.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TextParameters {
    query: Option<String>,
    #[serde(alias = "doc_id")]
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Reads the request of GraphQL that an HTTP request carries.
pub(super) async fn read(
    method: &Method,
    headers: &HeaderMap,
    sender: &Sender,
    request: Request,
) -> Result<async_graphql::Request, Unread> {
    match *method {
        Method::POST => {}
        Method::GET => {
            let Query(parameters) = Query::<TextParameters>::try_from_uri(request.uri())
                .map_err(|_| Unread::bad("The URL's parameters can't be read."))?;
            let bad = |_| Unread::bad("`variables` and `extensions` must be JSON.");
            return parameters.parse().map_err(bad)?.into_request();
        }
        _ => {
            let message = "Use POST, or GET for queries.";
            return Err(Unread::Foreign(StatusCode::METHOD_NOT_ALLOWED, message));
        }
    }
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media_type = content_type
        .and_then(|kind| kind.split(';').next())
        .unwrap_or_default()
        .trim();
    let is_form = media_type.eq_ignore_ascii_case("multipart/form-data");
    // Nothing that a form could send: that is half of what keeps other sites' pages out.
    if !is_form && !media_type.eq_ignore_ascii_case(JSON) {
        let message = "Send the request as application/json, or with files as multipart/form-data.";
        return Err(Unread::Foreign(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    if is_form && !sender.is_deliberate {
        return Err(Unread::Refused(Error::CsrfRefused));
    }
    // Nothing is unpacked, so that nothing small can grow.
    let is_packed = headers
        .get(header::CONTENT_ENCODING)
        .is_some_and(|coding| coding != "identity");
    if is_packed {
        let message = "Send the request without compression.".to_owned();
        return Err(Unread::Bad(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
    }
    let (bytes, patience) = match is_form && sender.is_staff {
        true => (MAX_BYTES + BODY_BYTES, FILES_TIME),
        false => (BODY_BYTES, BODY_TIME),
    };
    let reading = async {
        match is_form {
            true => form(request, bytes).await,
            false => json(request).await,
        }
    };
    timeout(patience, reading).await.unwrap_or_else(|_| {
        let message = "The body took too long to come.".to_owned();
        Err(Unread::Bad(StatusCode::REQUEST_TIMEOUT, message))
    })
}

async fn json(request: Request) -> Result<async_graphql::Request, Unread> {
    let body = Bytes::from_request(request, &()).await;
    let body = body.map_err(|rejection| Unread::broken(rejection.status(), BODY_BYTES))?;
    parameters(&body)?.into_request()
}

fn parameters(json: &[u8]) -> Result<Parameters, Unread> {
    if json.trim_ascii_start().starts_with(b"[") {
        return Err(Unread::bad("Batches are not accepted: send one operation per request."));
    }
    serde_json::from_slice(json)
        .map_err(|error| Unread::bad(&format!("The body is not a GraphQL request in JSON: {error}.")))
}

/// A form by the [GraphQL multipart request specification][spec]: `operations`, then `map`, then the files that it names.
///
/// [spec]: https://github.com/jaydenseric/graphql-multipart-request-spec
async fn form(mut request: Request, bytes: usize) -> Result<async_graphql::Request, Unread> {
    DefaultBodyLimit::max(bytes).apply(&mut request);
    let broken = |error: MultipartError| Unread::broken(error.status(), bytes);
    let form = Multipart::from_request(request, &()).await;
    let mut form = form.map_err(|_| Unread::bad("A form has a boundary."))?;
    let mut part = async |name: &str| match form.next_field().await.map_err(broken)? {
        Some(field) if field.name() == Some(name) => field.bytes().await.map_err(broken),
        _ => Err(Unread::bad(&format!(
            "A form with files has the fields `operations`, `map` and the files, in this order: `{name}` is missing."
        ))),
    };
    let operation = parameters(&part("operations").await?)?;
    let places: BTreeMap<String, Vec<String>> = serde_json::from_slice(&part("map").await?)
        .map_err(|error| Unread::bad(&format!("`map` is not an object of lists of paths: {error}.")))?;
    if places.len() > FILES || places.values().map(Vec::len).sum::<usize>() > PLACES {
        return Err(Unread::bad(&format!(
            "A request has at most {FILES} files, in at most {PLACES} places."
        )));
    }
    let mut request = operation.into_request()?;
    let mut missing = places;
    while let Some(field) = form.next_field().await.map_err(broken)? {
        let name = field.name().unwrap_or_default().to_owned();
        let paths = missing.remove(&name);
        let paths =
            paths.ok_or_else(|| Unread::bad(&format!("`map` does not name the file `{name}`, or it came twice.")))?;
        let file_name = field.file_name().map_or(Value::Null, Value::from);
        let content = Value::Binary(field.bytes().await.map_err(broken)?);
        // What `api::scalar::Upload` reads; nothing else in a request is binary.
        let file = Value::Object(IndexMap::from([
            (Name::new("fileName"), file_name),
            (Name::new("content"), content),
        ]));
        for path in paths {
            place(&mut request, &path, &file)
                .ok_or_else(|| Unread::bad(&format!("`{path}` is not the path of a variable that is null.")))?;
        }
    }
    match missing.keys().next() {
        Some(name) => Err(Unread::bad(&format!("The file `{name}` of `map` is missing."))),
        None => Ok(request),
    }
}

/// Puts a file where the variables have a `null` for it; `None` if they have not.
fn place(request: &mut async_graphql::Request, path: &str, file: &Value) -> Option<()> {
    let mut steps = path.strip_prefix("variables.")?.split('.');
    let mut at = request.variables.get_mut(steps.next()?)?;
    for step in steps {
        at = match at {
            Value::Object(fields) => fields.get_mut(step)?,
            Value::List(items) => items.get_mut(step.parse::<usize>().ok()?)?,
            _ => return None,
        };
    }
    (*at == Value::Null).then(|| *at = file.clone())
}

impl TextParameters {
    fn parse(self) -> serde_json::Result<Parameters> {
        let json = |text: Option<String>| {
            let text = text.filter(|text| !text.is_empty());
            text.map(|text| serde_json::from_str(&text)).transpose()
        };
        Ok(Parameters {
            query: self.query,
            document_id: self.document_id,
            operation_name: self.operation_name,
            variables: json(self.variables)?,
            extensions: json(self.extensions)?,
        })
    }
}

impl Parameters {
    fn into_request(self) -> Result<async_graphql::Request, Unread> {
        let object = |value: Option<serde_json::Value>, name: &str| match value {
            None | Some(serde_json::Value::Null) => Ok(None),
            Some(value @ serde_json::Value::Object(_)) => Ok(Some(value)),
            Some(_) => Err(Unread::bad(&format!("`{name}` must be an object."))),
        };
        let mut request = async_graphql::Request::new(self.query.unwrap_or_default());
        if let Some(serde_json::Value::Object(extensions)) = object(self.extensions, "extensions")? {
            for (name, value) in extensions {
                let value = Value::from_json(value).map_err(|_| Unread::bad("`extensions` can't be read."))?;
                request.extensions.insert(name, value);
            }
        }
        if let Some(variables) = object(self.variables, "variables")? {
            request = request.variables(async_graphql::Variables::from_json(variables));
        }
        if let Some(name) = self.operation_name.filter(|name| !name.is_empty()) {
            request = request.operation_name(name);
        }
        if let Some(id) = self.document_id {
            persisted::name(&mut request, id);
        }
        Ok(request)
    }
}

/// The reason a request's parameters could not be read.
pub(super) enum Unread {
    /// It is not GraphQL over HTTP at all.
    Foreign(StatusCode, &'static str),
    /// It is, but for this.
    Bad(StatusCode, String),
    /// It may have been sent by a page that may not.
    Refused(Error),
}

impl Unread {
    fn bad(message: &str) -> Self {
        Self::Bad(StatusCode::BAD_REQUEST, message.to_owned())
    }

    fn broken(status: StatusCode, bytes: usize) -> Self {
        if status != StatusCode::PAYLOAD_TOO_LARGE {
            return Self::bad("The body broke off, or can't be read.");
        }
        let message = format!(
            "This request has at most {bytes} bytes. Send less at once; larger files are for staff, as multipart/form-data."
        );
        Self::Bad(status, message)
    }
}
