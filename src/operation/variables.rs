//! The values of variables, by the specification's section 6.1.2 (<https://spec.graphql.org/draft/#sec-Coercing-Variable-Values>).

use std::collections::HashMap;

use async_graphql::{
    Name, Positioned, ServerError, Value as Const, Variables,
    parser::types::{Directive, VariableDefinition},
};
use async_graphql_value::Value;

/// The values of an operation's variables: those given, or else their defaults.
pub(crate) struct Values<'r>(HashMap<&'r Name, &'r Const>);

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
        Ok(Self(values))
    }

    /// An argument's value, with variables put in; none if it is a variable without a value.
    pub(crate) fn put_into(&self, value: &Value) -> Option<Value> {
        Some(match value {
            Value::Variable(name) => (*self.0.get(name)?).clone().into_value(),
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
                Some(Value::Variable(name)) => self.0.get(name) == Some(&&Const::Boolean(true)),
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
