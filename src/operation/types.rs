//! The output types of the schema, as far as the execution of an operation needs them.

use std::{collections::HashMap, sync::Arc};

use async_graphql::{
    Name, Positioned,
    parser::{
        parse_schema,
        types::{BaseType, FieldDefinition, OperationType, Type, TypeKind, TypeSystemDefinition},
    },
};

use crate::error::{Error, Result};

/// What every schema has besides its own types (<https://spec.graphql.org/draft/#sec-Schema-Introspection>).
const INTROSPECTION: &str = include_str!("introspection.graphql");

/// The types of a schema.
pub(crate) struct Types {
    /// The fields of objects and interfaces.
    fields: HashMap<Name, HashMap<Name, Arc<Type>>>,
    /// Interfaces and unions, with the objects that they may be.
    abstracts: HashMap<Name, Vec<Name>>,
    typename: Arc<Type>,
}

/// The kind of an output type.
pub(crate) enum Kind<'t> {
    Leaf,
    Object,
    /// An interface or a union of these objects.
    Abstract(&'t [Name]),
}

impl Types {
    /// Reads the types of a schema in the schema definition language.
    pub(crate) fn of(sdl: &str) -> Result<Self> {
        let read = |text| parse_schema(text).map_err(Error::internal);
        let (mut types, introspection) = (Self::empty(), read(INTROSPECTION)?);
        for definition in introspection.definitions.into_iter().chain(read(sdl)?.definitions) {
            if let TypeSystemDefinition::Type(definition) = definition {
                let (name, kind) = (definition.node.name.node, definition.node.kind);
                types.add(name, kind);
            }
        }
        let meta = types.fields.remove("__Meta").unwrap_or_default();
        types.fields.entry(root(OperationType::Query)).or_default().extend(meta);
        Ok(types)
    }

    fn empty() -> Self {
        let typename = Type {
            base: BaseType::Named(Name::new("String")),
            nullable: false,
        };
        Self {
            fields: HashMap::new(),
            abstracts: HashMap::new(),
            typename: Arc::new(typename),
        }
    }

    fn add(&mut self, name: Name, kind: TypeKind) {
        match kind {
            TypeKind::Object(object) => {
                for interface in object.implements {
                    self.abstracts.entry(interface.node).or_default().push(name.clone());
                }
                self.add_fields(name, object.fields);
            }
            TypeKind::Interface(interface) => self.add_fields(name, interface.fields),
            TypeKind::Union(union) => {
                let members = union.members.into_iter().map(|member| member.node);
                self.abstracts.entry(name).or_default().extend(members);
            }
            TypeKind::Scalar | TypeKind::Enum(_) | TypeKind::InputObject(_) => {}
        }
    }

    fn add_fields(&mut self, of: Name, fields: Vec<Positioned<FieldDefinition>>) {
        let fields = fields
            .into_iter()
            .map(|field| (field.node.name.node, Arc::new(field.node.ty.node)));
        self.fields.insert(of, fields.collect());
    }

    /// The type of a field of an object, or as an interface declares it.
    pub(crate) fn field(&self, of: &Name, field: &Name) -> Option<&Arc<Type>> {
        match field.as_str() {
            "__typename" => Some(&self.typename),
            _ => self.fields.get(of)?.get(field),
        }
    }

    pub(crate) fn kind(&self, name: &Name) -> Kind<'_> {
        match self.abstracts.get(name) {
            Some(objects) => Kind::Abstract(objects),
            None if self.fields.contains_key(name) => Kind::Object,
            None => Kind::Leaf,
        }
    }

    /// Whether a fragment on `condition` selects from an object of this type.
    pub(crate) fn applies(&self, condition: &Name, object: &Name) -> bool {
        condition == object
            || self
                .abstracts
                .get(condition)
                .is_some_and(|objects| objects.contains(object))
    }
}

/// The name of the type at the root of operations of a kind.
pub(crate) fn root(kind: OperationType) -> Name {
    Name::new(match kind {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    })
}

/// The name at the bottom of a type: `Quiz` of `[Quiz!]!`.
pub(crate) fn named(of: &Type) -> &Name {
    match &of.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}
