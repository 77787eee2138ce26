//! The answer to an operation, written by its normal form (the specification's sections 6.4 and 7,
//! <https://spec.graphql.org/draft/#sec-Executing-Fields>).
//!
//! The library's executor leaves a failed field out of its object, an object without fields is `null` to it, and fields
//! come as they were completed. One walk over the selection, the schema's types and the values puts that right: fields
//! in the order of the query, `null` where a field failed, or at the nearest parent that may be `null`.

use std::collections::{BTreeMap, HashMap};

use async_graphql::{
    Name, PathSegment, Response, ServerError, Value,
    indexmap::IndexMap,
    parser::types::{BaseType, Type},
};
use axum::http::HeaderMap;

use super::normal::{Below, Field, Object, TYPE};
use crate::error::Error;

/// The answer to an operation, or one event of a subscription.
#[derive(Debug, Default)]
pub struct Answer {
    /// The data as JSON; none if nothing was executed.
    pub data: Option<Vec<u8>>,
    /// Whether all of the data is `null`.
    pub is_nothing: bool,
    pub errors: Vec<ServerError>,
    pub extensions: BTreeMap<String, Value>,
    /// Headers for a transport that has them.
    pub headers: HeaderMap,
}

impl Answer {
    /// The refusal of a request: nothing was executed.
    pub fn refusal(errors: Vec<ServerError>) -> Self {
        Self {
            is_nothing: true,
            errors,
            ..Self::default()
        }
    }

    /// Writes what the library has executed by the form of the operation.
    pub(crate) fn of(form: &Object, response: Response) -> Self {
        let (requests, fields): (Vec<_>, Vec<_>) = response.errors.into_iter().partition(|error| error.path.is_empty());
        let mut answer = Self {
            extensions: response.extensions,
            headers: response.http_headers,
            ..Self::refusal(requests)
        };
        if response.data == Value::Null && !answer.errors.is_empty() {
            return answer;
        }
        let mut writer = Writer {
            out: Vec::with_capacity(1024),
            errors: Vec::new(),
            is_lost: false,
        };
        let values = match response.data {
            Value::Object(values) => values,
            _ => IndexMap::new(),
        };
        let mut failures = Failures::of(fields);
        if writer.object(form, &values, &mut failures, None).is_err() {
            writer.out = b"null".to_vec();
        }
        answer.is_nothing = writer.out == b"null"
            || form
                .fields
                .iter()
                .all(|field| values.get(&field.key).is_none_or(|value| *value == Value::Null));
        answer.data = Some(writer.out);
        answer.errors.append(&mut writer.errors);
        answer
    }

    /// The whole as JSON. The specification requires `data` to be absent if nothing was executed.
    pub fn json(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.as_ref().map_or(0, Vec::len) + 64);
        let mut open: &[u8] = b"{";
        let mut member = |name: &str, value: &[u8]| {
            out.extend_from_slice(open);
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value);
            open = b",";
        };
        if let Some(data) = &self.data {
            member("\"data\":", data);
        }
        if !self.errors.is_empty() {
            member("\"errors\":", &json(&self.errors));
        }
        if !self.extensions.is_empty() {
            member("\"extensions\":", &json(&self.extensions));
        }
        if out.is_empty() {
            out.push(b'{');
        }
        out.push(b'}');
        out
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|error| {
        tracing::error!(%error, "a part of a response can't be written as JSON");
        b"null".to_vec()
    })
}

/// The errors of fields, by their paths.
#[derive(Default)]
struct Failures {
    here: Vec<ServerError>,
    fields: HashMap<String, Failures>,
    items: HashMap<usize, Failures>,
}

impl Failures {
    fn of(errors: Vec<ServerError>) -> Self {
        let mut root = Self::default();
        for error in errors {
            let mut at = &mut root;
            for segment in &error.path {
                at = match segment {
                    PathSegment::Field(name) => at.fields.entry(name.clone()).or_default(),
                    PathSegment::Index(index) => at.items.entry(*index).or_default(),
                };
            }
            at.here.push(error);
        }
        root
    }
}

/// A place in the response, from its parent's.
#[derive(Clone, Copy)]
struct Place<'p> {
    parent: Option<&'p Place<'p>>,
    segment: Segment<'p>,
}

#[derive(Clone, Copy)]
enum Segment<'p> {
    Field(&'p Name),
    Index(usize),
}

impl Place<'_> {
    fn path(&self) -> Vec<PathSegment> {
        let mut path = self.parent.map(Place::path).unwrap_or_default();
        path.push(match self.segment {
            Segment::Field(name) => PathSegment::Field(name.to_string()),
            Segment::Index(index) => PathSegment::Index(index),
        });
        path
    }
}

/// A value that may not be `null` has failed: its parent is `null` instead.
struct Failed;

struct Writer {
    out: Vec<u8>,
    errors: Vec<ServerError>,
    /// Whether what is walked is in a list that the library has given up: only its errors are known.
    is_lost: bool,
}

impl Writer {
    fn object(
        &mut self,
        form: &Object,
        values: &IndexMap<Name, Value>,
        failures: &mut Failures,
        at: Option<&Place<'_>>,
    ) -> Result<(), Failed> {
        let mut open = b'{';
        for Field { key, ty, below, .. } in &form.fields {
            self.out.extend_from_slice(&[open, b'"']);
            self.out.extend_from_slice(key.as_bytes());
            self.out.extend_from_slice(b"\":");
            open = b',';
            let mut failures = match failures.fields.is_empty() {
                true => None,
                false => failures.fields.remove(key.as_str()),
            };
            let place = Place {
                parent: at,
                segment: Segment::Field(key),
            };
            self.value(ty, below, values.get(key), failures.as_mut(), &place)?;
        }
        if open == b'{' {
            self.out.push(b'{');
        }
        self.out.push(b'}');
        Ok(())
    }

    /// The specification's `CompleteValue`.
    fn value(
        &mut self,
        ty: &Type,
        below: &Below,
        value: Option<&Value>,
        failures: Option<&mut Failures>,
        at: &Place<'_>,
    ) -> Result<(), Failed> {
        let start = self.out.len();
        let mut none = Failures::default();
        let failures = failures.unwrap_or(&mut none);
        let has_failed = !failures.here.is_empty();
        self.errors.append(&mut failures.here);
        let written = match (&ty.base, below, value.unwrap_or(&Value::Null)) {
            (BaseType::List(item), _, Value::List(values)) => self.list(item, below, values, failures, at),
            (BaseType::List(item), _, _) if !failures.items.is_empty() => self.lost(item, below, failures, at),
            (_, Below::Object(form), Value::Object(values)) => self.object(form, values, failures, Some(at)),
            // All of the object's fields have failed.
            (_, Below::Object(form), Value::Null) if !has_failed && !failures.fields.is_empty() => {
                self.object(form, &IndexMap::new(), failures, Some(at))
            }
            (_, Below::Several(forms), Value::Null) if self.is_lost => {
                let has_all = |form: &&Object| {
                    let mut keys = failures.fields.keys();
                    keys.all(|key| form.fields.iter().any(|field| field.key.as_str() == key))
                };
                match forms.iter().find(has_all) {
                    Some(form) => self.object(form, &IndexMap::new(), failures, Some(at)),
                    None => Ok(()),
                }
            }
            (_, Below::Several(forms), Value::Object(values)) => {
                let form = values.get(TYPE).and_then(|name| match name {
                    Value::String(name) => forms.iter().find(|form| form.name == name.as_str()),
                    _ => None,
                });
                match form {
                    Some(form) => self.object(form, values, failures, Some(at)),
                    None => self.null(ty, has_failed, at),
                }
            }
            (_, Below::Leaf, value) if *value != Value::Null => {
                serde_json::to_writer(&mut self.out, value).map_err(|error| {
                    tracing::error!(%error, "a value can't be written as JSON");
                    Failed
                })
            }
            _ => self.null(ty, has_failed, at),
        };
        if written.is_err() && ty.nullable {
            self.out.truncate(start);
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        written
    }

    fn list(
        &mut self,
        item: &Type,
        below: &Below,
        values: &[Value],
        failures: &mut Failures,
        at: &Place<'_>,
    ) -> Result<(), Failed> {
        let mut open = b'[';
        for (index, value) in values.iter().enumerate() {
            self.out.push(open);
            open = b',';
            let place = Place {
                parent: Some(at),
                segment: Segment::Index(index),
            };
            self.value(item, below, Some(value), failures.items.get_mut(&index), &place)?;
        }
        if open == b'[' {
            self.out.push(b'[');
        }
        self.out.push(b']');
        Ok(())
    }

    /// The library gives a list up with the first item that fails: tells its errors up to there.
    fn lost(&mut self, item: &Type, below: &Below, failures: &mut Failures, at: &Place<'_>) -> Result<(), Failed> {
        let was_lost = std::mem::replace(&mut self.is_lost, true);
        let mut items: Vec<_> = failures.items.drain().collect();
        items.sort_by_key(|(index, _)| *index);
        for (index, mut failures) in items {
            let place = Place {
                parent: Some(at),
                segment: Segment::Index(index),
            };
            if self.value(item, below, None, Some(&mut failures), &place).is_err() {
                self.is_lost = was_lost;
                return Err(Failed);
            }
        }
        self.is_lost = was_lost;
        // Around this list another one may be lost, and this one not.
        if was_lost { Ok(()) } else { Err(Failed) }
    }

    /// `null`, if the type allows it; if no error says why it is not there, there is one now.
    fn null(&mut self, ty: &Type, is_known: bool, at: &Place<'_>) -> Result<(), Failed> {
        if ty.nullable {
            self.out.extend_from_slice(b"null");
            return Ok(());
        }
        if !is_known && self.is_lost {
            return Ok(());
        }
        if !is_known {
            let missing = Error::internal(format!("null where the type is {ty}"));
            let mut error = async_graphql::Error::from(missing).into_server_error(async_graphql::Pos::default());
            error.locations.clear();
            error.path = at.path();
            self.errors.push(error);
        }
        Err(Failed)
    }
}
