//! The normal form of an operation: what is executed, charged, measured and written.
//!
//! Fragments are put in place by type, `@skip` and `@include` are decided, variables are replaced by their values, and
//! fields with the same response name are one field that selects what all of them do, as the specification's section
//! 6.3.2 collects them (<https://spec.graphql.org/draft/#sec-Field-Collection>). The library's executor departs from it
//! in each of these; in a document in normal form it has nothing to depart from.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use async_graphql::{
    Name, Pos, Positioned, ServerError,
    parser::types::{
        BaseType, Directive, ExecutableDocument, Field as Selected, InlineFragment, OperationDefinition, Selection,
        SelectionSet, Type, TypeCondition,
    },
};

use super::{
    types::{Kind, Types, named, root},
    variables::Values,
};

/// The response name of the field that tells the type of an object in a list of several, or that keeps an object whose
/// selections were all skipped. No client can choose it, for it is no name.
pub(crate) const TYPE: &str = ":type";

/// A selection of fields from an object.
pub(crate) struct Object {
    pub name: Name,
    pub fields: Vec<Field>,
}

/// A field of an object.
pub(crate) struct Field {
    /// The name in the response.
    pub key: Name,
    /// The name in the schema.
    pub name: Name,
    pub ty: Arc<Type>,
    pub below: Below,
    /// The type that the selection reads it by: where an interface declares the field, the object's own may be narrower.
    declared: Arc<Type>,
    pos: Pos,
}

/// What is selected from a field's value.
pub(crate) enum Below {
    Leaf,
    Object(Object),
    /// For each object that an interface or a union may be.
    Several(Vec<Object>),
}

/// An operation in normal form: for the writer, and for the library.
pub(crate) struct Normal {
    pub form: Object,
    pub operation: OperationDefinition,
}

/// Brings an operation that the validator has passed into its normal form. Fields with one response name must be one
/// field of the same arguments, also where they are skipped: the library's validator looks at them one by one. Where the
/// schema is not open, `__type` finds none: it is not run, and written as `null`.
pub(crate) fn normalise(
    types: &Types,
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    values: &Values<'_>,
    is_open: bool,
) -> Result<Normal, ServerError> {
    let walk = |takes_all| Walk {
        types,
        document,
        values,
        is_open,
        takes_all,
        is_conditional: false,
    };
    let mut all = walk(true);
    let (root, pos) = (root(operation.ty), operation.selection_set.pos);
    let sets = [(&root, &operation.selection_set.node)];
    let mut found = all.object(&root, &sets, pos)?;
    if all.is_conditional {
        found = walk(false).object(&root, &sets, pos)?;
    }
    let (form, selection_set) = found;
    let operation = OperationDefinition {
        ty: operation.ty,
        variable_definitions: Vec::new(),
        directives: Vec::new(),
        selection_set,
    };
    Ok(Normal { form, operation })
}

struct Walk<'d> {
    types: &'d Types,
    document: &'d ExecutableDocument,
    values: &'d Values<'d>,
    is_open: bool,
    /// Whether what is skipped is selected all the same, to be checked.
    takes_all: bool,
    /// Whether anything could be skipped.
    is_conditional: bool,
}

/// Fields with one response name, each with the type that it is selected from: the object's, or an interface of it.
struct Group<'d> {
    key: &'d Name,
    fields: Vec<(&'d Name, &'d Positioned<Selected>)>,
}

/// A selection, with the type that it is from.
type Set<'d> = (&'d Name, &'d SelectionSet);

#[derive(Default)]
struct Groups<'d> {
    groups: Vec<Group<'d>>,
    by_key: HashMap<&'d str, usize>,
    spread: HashSet<&'d str>,
}

impl<'d> Walk<'d> {
    /// What the sets select from an object of a type.
    fn object(
        &mut self,
        name: &Name,
        sets: &[Set<'d>],
        pos: Pos,
    ) -> Result<(Object, Positioned<SelectionSet>), ServerError> {
        let mut groups = Groups::default();
        for set in sets {
            self.collect(name, *set, &mut groups);
        }
        let (mut fields, mut items) = (Vec::new(), Vec::new());
        for group in groups.groups {
            let (field, selected) = self.field(name, &group)?;
            let pos = field.pos;
            let is_hidden = !self.is_open && field.name == "__type";
            fields.push(field);
            if is_hidden {
                continue;
            }
            items.push(Positioned::new(Selection::Field(Positioned::new(selected, pos)), pos));
        }
        if items.is_empty() {
            items.push(type_of_object(pos));
        }
        let object = Object {
            name: name.clone(),
            fields,
        };
        Ok((object, Positioned::new(SelectionSet { items }, pos)))
    }

    /// The specification's `CollectFields`.
    fn collect(&mut self, object: &Name, (from, set): Set<'d>, into: &mut Groups<'d>) {
        for selection in &set.items {
            if !self.includes(selection.node.directives()) {
                continue;
            }
            let (condition, set) = match &selection.node {
                Selection::Field(field) => {
                    let key = &field.node.response_key().node;
                    let at = *into.by_key.entry(key).or_insert(into.groups.len());
                    match into.groups.get_mut(at) {
                        Some(group) => group.fields.push((from, field)),
                        None => into.groups.push(Group {
                            key,
                            fields: vec![(from, field)],
                        }),
                    }
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    let condition = fragment.node.type_condition.as_ref();
                    (condition, &fragment.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    let Some(fragment) = self.document.fragments.get(name).filter(|_| into.spread.insert(name)) else {
                        continue;
                    };
                    (Some(&fragment.node.type_condition), &fragment.node.selection_set)
                }
            };
            let from = condition.map_or(from, |condition| &condition.node.on.node);
            if self.types.applies(from, object) {
                self.collect(object, (from, &set.node), into);
            }
        }
    }

    fn includes(&mut self, directives: &[Positioned<Directive>]) -> bool {
        self.is_conditional |= !directives.is_empty();
        self.takes_all || self.values.include(directives)
    }

    /// One field of all of a group.
    fn field(&mut self, object: &Name, group: &Group<'d>) -> Result<(Field, Selected), ServerError> {
        let [(from, first), others @ ..] = &group.fields[..] else {
            return Err(ServerError::new("A field is missing.", None));
        };
        let (name, declared) = (&first.node.name.node, self.type_of(from, first)?);
        let mut sets = vec![(named(declared), &first.node.selection_set.node)];
        for (from, other) in others {
            let ty = self.type_of(from, other)?;
            let differ = if first.node.name != other.node.name {
                format!("`{name}` and `{}` are different fields", other.node.name)
            } else if !alike(&first.node, &other.node) {
                "they have differing arguments".to_owned()
            } else if !self.same_shape(declared, ty) {
                different_types(declared, ty)
            } else {
                sets.push((named(ty), &other.node.selection_set.node));
                continue;
            };
            return Err(conflict(group.key, &differ, [first.pos, other.pos]));
        }
        let ty = self.type_of(object, first)?.clone();
        let (below, selection_set) = self.below(named(&ty), &sets, first.node.selection_set.pos)?;
        let arguments = first.node.arguments.iter();
        let arguments = arguments.filter_map(|(name, value)| {
            let put = self.values.put_into(&value.node)?;
            Some((name.clone(), Positioned::new(put, value.pos)))
        });
        let selected = Selected {
            alias: first.node.alias.clone(),
            name: first.node.name.clone(),
            arguments: arguments.collect(),
            directives: Vec::new(),
            selection_set,
        };
        let field = Field {
            key: group.key.clone(),
            name: name.clone(),
            ty,
            declared: declared.clone(),
            below,
            pos: first.pos,
        };
        Ok((field, selected))
    }

    /// What the sets select from a value of a type.
    fn below(
        &mut self,
        of: &Name,
        sets: &[Set<'d>],
        pos: Pos,
    ) -> Result<(Below, Positioned<SelectionSet>), ServerError> {
        let objects = match self.types.kind(of) {
            Kind::Leaf => return Ok((Below::Leaf, Positioned::new(SelectionSet::default(), pos))),
            Kind::Object => {
                let (object, set) = self.object(of, sets, pos)?;
                return Ok((Below::Object(object), set));
            }
            Kind::Abstract(objects) => objects,
        };
        let (mut several, mut items) = (Vec::new(), Vec::new());
        for name in objects {
            let (object, mut set) = self.object(name, sets, pos)?;
            if !object.fields.is_empty() {
                set.node.items.push(type_of_object(pos));
            }
            several.push(object);
            let on = TypeCondition {
                on: Positioned::new(name.clone(), pos),
            };
            let fragment = InlineFragment {
                type_condition: Some(Positioned::new(on, pos)),
                directives: Vec::new(),
                selection_set: set,
            };
            let fragment = Selection::InlineFragment(Positioned::new(fragment, pos));
            items.push(Positioned::new(fragment, pos));
        }
        if self.takes_all {
            self.agree(&several.iter().collect::<Vec<_>>())?;
        }
        Ok((Below::Several(several), Positioned::new(SelectionSet { items }, pos)))
    }

    fn type_of(&self, from: &Name, field: &Positioned<Selected>) -> Result<&'d Arc<Type>, ServerError> {
        let name = &field.node.name.node;
        self.types.field(from, name).ok_or_else(|| {
            let message = format!("Unknown field `{name}` on type `{from}`.");
            ServerError::new(message, Some(field.pos))
        })
    }

    /// Whatever object is there, a response name has values of one shape.
    fn agree(&self, objects: &[&Object]) -> Result<(), ServerError> {
        let mut by_key = HashMap::<&str, Vec<&Field>>::new();
        for field in objects.iter().flat_map(|object| &object.fields) {
            by_key.entry(&field.key).or_default().push(field);
        }
        for fields in by_key.values() {
            let [first, others @ ..] = &fields[..] else { continue };
            for other in others {
                if !self.same_shape(&first.declared, &other.declared) {
                    let differ = different_types(&first.declared, &other.declared);
                    return Err(conflict(&first.key, &differ, [first.pos, other.pos]));
                }
            }
            let below = fields.iter().flat_map(|field| match &field.below {
                Below::Leaf => &[],
                Below::Object(object) => std::slice::from_ref(object),
                Below::Several(objects) => &objects[..],
            });
            self.agree(&below.collect::<Vec<_>>())?;
        }
        Ok(())
    }

    /// The specification's `SameResponseShape`, of two types.
    fn same_shape(&self, one: &Type, other: &Type) -> bool {
        let is_leaf = |name| matches!(self.types.kind(name), Kind::Leaf);
        one.nullable == other.nullable
            && match (&one.base, &other.base) {
                (BaseType::List(one), BaseType::List(other)) => self.same_shape(one, other),
                (BaseType::Named(one), BaseType::Named(other)) => one == other || !is_leaf(one) && !is_leaf(other),
                _ => false,
            }
    }
}

fn type_of_object(pos: Pos) -> Positioned<Selection> {
    let field = Selected {
        alias: Some(Positioned::new(Name::new(TYPE), pos)),
        name: Positioned::new(Name::new("__typename"), pos),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: Positioned::new(SelectionSet::default(), pos),
    };
    Positioned::new(Selection::Field(Positioned::new(field, pos)), pos)
}

/// Whether two fields have the same arguments, in any order.
fn alike(one: &Selected, other: &Selected) -> bool {
    one.arguments.len() == other.arguments.len()
        && one
            .arguments
            .iter()
            .all(|(name, value)| other.get_argument(&name.node) == Some(value))
}

fn different_types(one: &Type, other: &Type) -> String {
    format!("they return conflicting types `{one}` and `{other}`")
}

fn conflict(key: &Name, differ: &str, at: [Pos; 2]) -> ServerError {
    let message =
        format!("Fields `{key}` conflict because {differ}. Use different aliases on the fields to fetch both.");
    let mut error = ServerError::new(message, None);
    error.locations = at.into();
    error
}
