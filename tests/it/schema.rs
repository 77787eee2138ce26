//! The committed schema is the built one, and says something about everything.

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};

#[test]
fn everything_has_a_description() {
    let document = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
    let mut silent = Vec::new();
    let mut counted = 0;
    let mut described = |what: String, description: bool| {
        counted += 1;
        if !description {
            silent.push(what);
        }
    };
    for definition in document.definitions {
        let TypeSystemDefinition::Type(ty) = definition else {
            continue;
        };
        let name = &ty.node.name.node;
        described(name.to_string(), ty.node.description.is_some());
        let (fields, inputs, values) = match ty.node.kind {
            TypeKind::Object(object) => (object.fields, vec![], vec![]),
            TypeKind::Interface(interface) => (interface.fields, vec![], vec![]),
            TypeKind::InputObject(input) => (vec![], input.fields, vec![]),
            TypeKind::Enum(of) => (vec![], vec![], of.values),
            TypeKind::Scalar | TypeKind::Union(_) => (vec![], vec![], vec![]),
        };
        for field in fields {
            let field = field.node;
            described(format!("{name}.{}", field.name.node), field.description.is_some());
            for argument in field.arguments {
                let argument = argument.node;
                let what = format!("{name}.{}({})", field.name.node, argument.name.node);
                described(what, argument.description.is_some());
            }
        }
        for field in inputs {
            described(
                format!("{name}.{}", field.node.name.node),
                field.node.description.is_some(),
            );
        }
        for value in values {
            described(
                format!("{name}.{}", value.node.value.node),
                value.node.description.is_some(),
            );
        }
    }
    assert!(silent.is_empty(), "of {counted} without a description: {silent:#?}");
}

#[test]
fn schema_graphql_is_up_to_date() {
    let committed = include_str!("../../schema.graphql");
    let built = marmalade::api::schema::sdl();
    assert!(
        committed == built,
        "run `cargo run -- schema > schema.graphql` and look at the difference"
    );
}
