//! What holds of every normal form, and of every answer that is written by one.

use async_graphql::{
    PathSegment,
    parser::types::{BaseType, Type},
};
use proptest::prelude::*;
use serde_json::Value as Json;

use super::{
    corpus::{Root, Rule, SHAPES, Shapes, World},
    *,
};
use crate::operation::{
    cost::Bounds,
    normal::{Below, Field, Object},
    persisted::{Operations, Settings},
};

/// How a random document is written.
#[derive(Clone, Copy)]
struct How {
    /// Selections are skipped by directives with variables, or not written at all.
    by_directives: bool,
    /// Fragments are named and spread, or in place.
    by_name: bool,
}

/// Writes a document by throws of a dice.
struct Writing<'d> {
    world: &'d World,
    how: How,
    throws: &'d [u8],
    fragments: Vec<String>,
}

/// Selects nothing.
const NOTHING: &str = "... @skip(if: true) { __typename } ";

impl Writing<'_> {
    fn throw(&mut self, sides: usize) -> usize {
        let (first, rest) = self.throws.split_first().unwrap_or((&0, &[]));
        self.throws = rest;
        usize::from(*first) % sides
    }

    fn document(mut self) -> String {
        let selected = self.set("Query", 4);
        format!(
            "query($yes: Boolean!, $no: Boolean! = false) {{ k: __typename @include(if: $yes) l: __typename @skip(if: $no) {selected} }} {}",
            self.fragments.join(" ")
        )
    }

    fn set(&mut self, of: &str, deep: usize) -> String {
        (0..=self.throw(3)).map(|_| self.selection(of, deep)).collect()
    }

    fn selection(&mut self, of: &str, deep: usize) -> String {
        let (directive, is_in) = [
            ("", true),
            ("@include(if: $yes)", true),
            ("@skip(if: $no) @include(if: true)", true),
            ("@include(if: $no)", false),
            ("@skip(if: $yes)", false),
        ][self.throw(5)];
        let kind = self.throw(4);
        let on = self.world.overlapping(of);
        let on = &on[self.throw(on.len())];
        let directive = if self.how.by_directives { directive } else { "" };
        let text = match kind {
            3 => {
                let set = self.set(on, deep.saturating_sub(1));
                let name = format!("F{}", self.fragments.len());
                if self.how.by_name {
                    self.fragments.push(format!("fragment {name} on {on} {{ {set} }}"));
                    format!("...{name} {directive} ")
                } else {
                    self.fragments.push(String::new());
                    format!("... on {on} {directive} {{ {set} }} ")
                }
            }
            _ => self.field(of, directive, deep),
        };
        if is_in || self.how.by_directives {
            text
        } else {
            NOTHING.to_owned()
        }
    }

    fn field(&mut self, of: &str, directive: &str, deep: usize) -> String {
        let fields = self.world.fields(of);
        let at = self.throw(fields.len() + 1);
        let Some((name, below)) = fields.get(at).filter(|(_, below)| deep > 0 || below.is_none()) else {
            return format!("__typename {directive} ");
        };
        let (name, below) = (name.clone(), below.clone());
        let arguments = if name == "things" { "(first: 1)" } else { "" };
        let set = below.map(|below| format!("{{ {} }}", self.set(&below, deep - 1)));
        // The same field of an interface may be of a wider type.
        format!(
            "{name}_{of}: {name}{arguments} {directive} {} ",
            set.unwrap_or_default()
        )
    }
}

/// A normal form as text.
fn text(form: &Object) -> String {
    let below = |field: &Field| match &field.below {
        Below::Leaf => String::new(),
        Below::Object(object) => text(object),
        Below::Several(objects) => objects.iter().map(text).collect(),
    };
    let fields: String = form
        .fields
        .iter()
        .map(|field| format!("{}:{}{} ", field.key, field.name, below(field)))
        .collect();
    format!("{}{{{fields}}}", form.name)
}

async fn admitted(document: &str) -> Admitted {
    let operations = Operations::new(
        &Settings {
            manifest: None,
            bounds: Bounds::unlimited(),
        },
        true,
    )
    .ok();
    let request =
        Request::new(document).variables(async_graphql::Variables::from_json(serde_json::json!({"yes": true})));
    let types = Types::of(SHAPES).ok().expect("the types");
    let admitted = operation::admit(&operations.expect("no manifest"), &types, |_| Ok(()), None, request).await;
    admitted.unwrap_or_else(|errors| panic!("{document}\n{errors:?}"))
}

/// What is wrong with a written value of a form.
fn faults(ty: &Type, below: &Below, value: &Json, at: &str, found: &mut Vec<String>) {
    match (&ty.base, below, value) {
        (_, _, Json::Null) if ty.nullable => {}
        (BaseType::List(item), _, Json::Array(values)) => {
            for (index, value) in values.iter().enumerate() {
                faults(item, below, value, &format!("{at}/{index}"), found);
            }
        }
        (BaseType::Named(_), Below::Leaf, value) if !value.is_null() && !value.is_object() => {}
        (BaseType::Named(_), Below::Object(form), Json::Object(_)) => faults_of_object(form, value, at, found),
        (BaseType::Named(_), Below::Several(forms), Json::Object(values)) => {
            let is_of = |form: &&Object| {
                form.fields.len() == values.len()
                    && form.fields.iter().all(|field| values.contains_key(field.key.as_str()))
            };
            match forms.iter().find(is_of) {
                Some(form) => faults_of_object(form, value, at, found),
                None => found.push(format!("{at} is none of its types: {value}")),
            }
        }
        (_, _, value) => found.push(format!("{at} is no {ty}: {value}")),
    }
}

fn faults_of_object(form: &Object, value: &Json, at: &str, found: &mut Vec<String>) {
    for field in &form.fields {
        match value.get(field.key.as_str()) {
            Some(value) => faults(&field.ty, &field.below, value, &format!("{at}/{}", field.key), found),
            None => found.push(format!("{at}/{} is missing", field.key)),
        }
    }
}

/// How many segments of a path lead to the `null` that it ends in.
fn place_of_null(data: &Json, path: &[PathSegment]) -> Option<usize> {
    let mut at = data;
    for (place, segment) in path.iter().enumerate() {
        at = match (at, segment) {
            (Json::Null, _) => return Some(place),
            (Json::Object(fields), PathSegment::Field(name)) => fields.get(name)?,
            (Json::Array(items), PathSegment::Index(index)) => items.get(*index)?,
            _ => return None,
        };
    }
    at.is_null().then_some(path.len())
}

/// Whether the place that each segment of a path leads to may be `null`, of whichever type the objects on the way are.
fn nullable(form: &Object, path: &[PathSegment]) -> Vec<bool> {
    let (mut forms, mut types, mut found) = (vec![form], Vec::<&Type>::new(), Vec::new());
    for segment in path {
        match segment {
            PathSegment::Index(_) => {
                let items = types.iter().filter_map(|ty| match &ty.base {
                    BaseType::List(item) => Some(&**item),
                    BaseType::Named(_) => None,
                });
                types = items.collect();
            }
            PathSegment::Field(name) => {
                let fields = forms.iter().flat_map(|form| &form.fields);
                let fields: Vec<_> = fields.filter(|field| field.key == name.as_str()).collect();
                forms = fields
                    .iter()
                    .flat_map(|field| match &field.below {
                        Below::Leaf => &[],
                        Below::Object(object) => std::slice::from_ref(object),
                        Below::Several(objects) => &objects[..],
                    })
                    .collect();
                types = fields.iter().map(|field| &*field.ty).collect();
            }
        }
        found.push(types.iter().all(|ty| ty.nullable));
    }
    found
}

proptest! {
    #[test]
    fn a_normal_form_does_not_depend_on_how_the_document_is_written(throws in prop::collection::vec(any::<u8>(), 80)) {
        let world = World::of(SHAPES);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let mut forms = Vec::new();
        for by_directives in [true, false] {
            for by_name in [true, false] {
                let how = How { by_directives, by_name };
                let document = Writing { world: &world, how, throws: &throws, fragments: Vec::new() }.document();
                let (_, form) = runtime.block_on(admitted(&document)).into_parts();
                forms.push((text(form.object()), document));
            }
        }
        for (form, document) in &forms[1..] {
            prop_assert_eq!(form, &forms[0].0, "{}\n{}", &forms[0].1, document);
        }
    }

    #[test]
    fn an_answer_has_what_was_asked_for_and_nulls_where_they_may_be(
        throws in prop::collection::vec(any::<u8>(), 80),
        seed in any::<u64>(),
        fail_every in 0..9_u32,
    ) {
        let world = World::of(SHAPES);
        let how = How { by_directives: true, by_name: true };
        let document = Writing { world: &world, how, throws: &throws, fragments: Vec::new() }.document();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (request, form) = runtime.block_on(admitted(&document)).into_parts();
        let rule = Rule { seed: seed.to_string(), fail_every, null_every: 5 };
        let library = Root::<Shapes, false>::library();
        let response = runtime.block_on(library.execute(request.data(world).data(rule)));
        let answer = form.answer(response);
        let data: Json = serde_json::from_slice(&answer.data.clone().expect("it ran")).expect("JSON");
        let mut found = Vec::new();
        if !data.is_null() {
            faults_of_object(form.object(), &data, "", &mut found);
        }
        prop_assert!(found.is_empty(), "{}\n{:?}\n{}", document, found, data);
        prop_assert!(!data.is_null() || !answer.errors.is_empty(), "{}", document);
        for error in &answer.errors {
            // Each null has an error whose nearest place that may be null it is. Others may be below it.
            let place = place_of_null(&data, &error.path);
            prop_assert!(place.is_some(), "{}\n{:?}\n{}", document, error, data);
            let place = place.unwrap_or_default();
            let is_its_own = |other: &ServerError| {
                other.path.starts_with(&error.path[..place]) && !nullable(form.object(), &other.path)[place..].contains(&true)
            };
            prop_assert!(answer.errors.iter().any(is_its_own), "{}\n{:?}\n{}", document, error, data);
        }
    }
}
