//! The values of variables, by the specification's section 6.1.2 (<https://spec.graphql.org/draft/#sec-Coercing-Variable-Values>).

use std::{cell::Cell, collections::HashMap};

use async_graphql::{
    Name, Positioned, ServerError, Value as Const, Variables,
    parser::types::{Directive, VariableDefinition},
};
use async_graphql_value::Value;

/// The most that all arguments of an operation come to once their values are put in, in bytes. A value may be long, and
/// stand at many fields: each has a copy of its own.
const ROOM: usize = 16 * 1024 * 1024;

/// What a value takes beside its text, in bytes.
const EACH: usize = 64;

/// The values of an operation's variables: those given, or else their defaults.
pub(crate) struct Values<'r> {
    values: HashMap<&'r Name, &'r Const>,
    room: Cell<usize>,
}

impl<'r> Values<'r> {
    /// Looks every variable up. Whether a value fits its type is the validator's to say, where it is used.
    pub(crate) fn of(
        definitions: &'r [Positioned<VariableDefinition>],
        given: &'r Variables,
    ) -> Result<Self, ServerError> {
        let mut values = HashMap::with_capacity(definitions.len());
        for Positioned { node: variable, pos } in definitions {
            let (name, of_type) = (&variable.name.node, &variable.var_type.node);
            let default = variable.default_value.as_ref().map(|default| &default.node);
            let value = given.get(name).or(default);
            if !of_type.nullable && value.is_none_or(|value| *value == Const::Null) {
                let message = format!("The variable `${name}` of the type `{of_type}` needs a value.");
                return Err(ServerError::new(message, Some(*pos)));
            }
            values.extend(value.map(|value| (name, value)));
        }
        Ok(Self {
            values,
            room: Cell::new(ROOM),
        })
    }

    /// Whether the arguments have come to more than an operation may have; what was put in then is `null`.
    pub(crate) fn are_too_much(&self) -> bool {
        self.room.get() == 0
    }

    /// Takes room for a value, before it is copied.
    fn take(&self, bytes: usize) {
        self.room.set(self.room.get().saturating_sub(bytes));
    }

    fn weigh(&self, value: &Const) {
        self.take(EACH);
        match value {
            Const::String(text) => self.take(text.len()),
            Const::List(items) => items
                .iter()
                .take_while(|_| !self.are_too_much())
                .for_each(|item| self.weigh(item)),
            Const::Object(fields) => {
                let fields = fields.iter().take_while(|_| !self.are_too_much());
                fields.for_each(|(name, value)| {
                    self.take(name.len());
                    self.weigh(value);
                });
            }
            // The bytes of a file are shared.
            _ => {}
        }
    }

    /// An argument's value, with variables put in; none if it is a variable without a value.
    pub(crate) fn put_into(&self, value: &Value) -> Option<Value> {
        self.take(EACH);
        if let Value::String(text) = value {
            self.take(text.len());
        }
        if self.are_too_much() {
            return Some(Value::Null);
        }
        Some(match value {
            Value::Variable(name) => {
                let value = *self.values.get(name)?;
                self.weigh(value);
                if self.are_too_much() {
                    return Some(Value::Null);
                }
                value.clone().into_value()
            }
            Value::List(items) => {
                let items = items.iter().map(|item| self.put_into(item).unwrap_or(Value::Null));
                Value::List(items.collect())
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let fields = fields.filter_map(|(name, value)| Some((name.clone(), self.put_into(value)?)));
                Value::Object(fields.collect())
            }
            constant => constant.clone(),
        })
    }

    /// Whether `@skip` and `@include` leave a selection in.
    pub(crate) fn include(&self, directives: &[Positioned<Directive>]) -> bool {
        directives.iter().all(|directive| {
            let condition = directive.node.get_argument("if").map(|condition| &condition.node);
            let condition = match condition {
                Some(Value::Boolean(condition)) => *condition,
                Some(Value::Variable(name)) => self.values.get(name) == Some(&&Const::Boolean(true)),
                _ => false,
            };
            match directive.node.name.node.as_str() {
                "skip" => !condition,
                "include" => condition,
                _ => true,
            }
        })
    }
}
