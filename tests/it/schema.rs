//! The committed schema is the built one, says something about everything, and keeps the rules of docs/schema.md.

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, Type, TypeDefinition, TypeKind, TypeSystemDefinition},
};

/// The types of the schema by name.
fn types() -> BTreeMap<String, TypeDefinition> {
    let document = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
    let types = document
        .definitions
        .into_iter()
        .filter_map(|definition| match definition {
            TypeSystemDefinition::Type(ty) => Some((ty.node.name.node.to_string(), ty.node)),
            _ => None,
        });
    types.collect()
}

/// The fields of an object type.
fn fields(ty: &TypeDefinition) -> Vec<(String, Type)> {
    let TypeKind::Object(object) = &ty.kind else {
        return Vec::new();
    };
    let field = |field: &async_graphql::Positioned<async_graphql::parser::types::FieldDefinition>| {
        (field.node.name.node.to_string(), field.node.ty.node.clone())
    };
    object.fields.iter().map(field).collect()
}

/// The named type, and whether it is in a list.
fn named(ty: &Type) -> (String, bool) {
    match &ty.base {
        BaseType::Named(name) => (name.to_string(), false),
        BaseType::List(items) => (named(items).0, true),
    }
}

/// Lines of a table: a type, a word, and fields.
fn table(text: &'static str) -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let lines = lines.filter_map(|line| {
        let mut words = line.split_whitespace();
        Some((words.next()?, words.next()?, words.collect()))
    });
    lines.collect()
}

/// Who may read each field, as the matrix of ownership has it.
fn rules() -> BTreeMap<(String, String), &'static str> {
    let lines = table(include_str!("ownership/rules.txt")).into_iter();
    let rules = lines.flat_map(|(ty, rule, fields)| {
        fields
            .into_iter()
            .map(move |field| ((ty.to_owned(), field.to_owned()), rule))
    });
    rules.collect()
}

#[test]
fn whatever_has_an_id_is_a_node() {
    for (name, ty) in types() {
        let TypeKind::Object(object) = &ty.kind else { continue };
        let has_id = fields(&ty)
            .iter()
            .any(|(field, of)| field == "id" && of.to_string() == "ID!");
        let is_node = object.implements.iter().any(|interface| interface.node == "Node");
        assert_eq!(has_id, is_node, "{name}");
    }
}

#[test]
fn each_mutation_has_an_input_and_a_payload_of_its_own() {
    let types = types();
    for (field, ty) in fields(&types["Mutation"]) {
        let mut name = field.clone();
        name[..1].make_ascii_uppercase();
        assert_eq!(
            ty.to_string(),
            format!("{name}Payload"),
            "the type of {field}, which is nullable"
        );
        let errors = fields(&types[&format!("{name}Payload")]);
        assert!(
            errors
                .iter()
                .any(|(field, ty)| field == "errors" && ty.to_string() == "[UserError!]!"),
            "{name}"
        );
        let TypeKind::Object(mutations) = &types["Mutation"].kind else {
            continue;
        };
        let field = mutations
            .fields
            .iter()
            .find(|other| other.node.name.node == field.as_str())
            .expect("it is there");
        let arguments = field.node.arguments.iter();
        let arguments: Vec<_> = arguments
            .map(|argument| format!("{}: {}", argument.node.name.node, argument.node.ty.node))
            .collect();
        assert!(
            arguments.is_empty() || arguments == [format!("input: {name}Input!")],
            "{name}: {arguments:?}"
        );
    }
}

#[test]
fn null_follows_the_rule() {
    let (types, rules) = (types(), rules());
    let mut allowed = BTreeSet::new();
    for (ty, reason, fields) in table(include_str!("nullable.txt")) {
        let reasons = ["none", "not-yet", "withheld", "gone", "error", "unavailable"];
        assert!(reasons.contains(&reason), "{ty}: {reason}");
        for field in fields {
            assert!(
                allowed.insert((ty.to_owned(), field.to_owned())),
                "two lines for {ty}.{field}"
            );
        }
    }
    let is_object = |name: &str| types.get(name).is_some_and(|ty| matches!(ty.kind, TypeKind::Object(_)));
    // Whether the first thing that anybody reads below a field is refused to those who may read the field itself.
    let is_closed = |name: &str| {
        let fields = types.get(name).map(fields).unwrap_or_default();
        let is_open = |field: &String| rules[&(name.to_owned(), field.clone())] == "anyone";
        !fields.is_empty() && !fields.iter().any(|(field, _)| is_open(field))
    };
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (name, ty) in &types {
        let is_mixed = fields(ty)
            .iter()
            .any(|(field, _)| rules[&(name.clone(), field.clone())] == "anyone");
        for (field, ty) in fields(ty) {
            let key = (name.clone(), field.clone());
            let (rule, (of, is_list)) = (rules[&key], named(&ty));
            let is_payload = name.ends_with("Payload");
            let guarded = match (name.as_str(), rule) {
                // A stream that is refused has no event, and one that is not has nothing beside it.
                ("Subscription", _) => false,
                ("Mutation", _) => true,
                (_, "anyone") => !is_payload && is_closed(&of),
                (_, "signed-in") => is_mixed,
                _ => true,
            };
            // By an id that nothing may have.
            let by_id = name == "Query" && matches!(field.as_str(), "node" | "quiz");
            let in_payload = is_payload && is_object(&of) && !is_list;
            let listed = allowed.contains(&key);
            let nullable = guarded || by_id || in_payload || listed;
            if ty.nullable != nullable {
                wrong.push(format!(
                    "{name}.{field} is {ty}, which the rule has nullable: {nullable}"
                ));
            }
            if listed && (guarded || by_id || in_payload) {
                wrong.push(format!("{name}.{field} needs no line in nullable.txt"));
            }
            if listed && (is_list || of.ends_with("Connection")) {
                wrong.push(format!("{name}.{field} is a list, which is empty and not null"));
            }
            used.insert(key);
            // The items of a list are there; those of `nodes` stand in the place of their ids.
            if let BaseType::List(items) = &ty.base
                && items.nullable != (name == "Query" && field == "nodes")
            {
                wrong.push(format!("the items of {name}.{field} are {items}"));
            }
        }
        let TypeKind::InputObject(input) = &ty.kind else {
            continue;
        };
        for field in &input.fields {
            if let BaseType::List(items) = &field.node.ty.node.base
                && items.nullable
            {
                wrong.push(format!("the items of {name}.{} are {items}", field.node.name.node));
            }
        }
    }
    let surplus: Vec<_> = allowed.difference(&used).collect();
    assert!(
        wrong.is_empty() && surplus.is_empty(),
        "{wrong:#?}; without a field: {surplus:?}"
    );
}

#[test]
fn each_scalar_has_a_specification_and_a_type_in_each_language() {
    let types = types();
    let scalars: BTreeMap<_, _> = types
        .iter()
        .filter(|(_, ty)| matches!(ty.kind, TypeKind::Scalar))
        .collect();
    let page = include_str!("../../docs/scalars.md");
    for (name, ty) in &scalars {
        let specified = ty
            .directives
            .iter()
            .find(|directive| directive.node.name.node == "specifiedBy");
        let specified = specified.unwrap_or_else(|| panic!("{name} has no specification"));
        let url = specified
            .node
            .get_argument("url")
            .expect("a URL")
            .node
            .to_string()
            .replace('"', "");
        assert!(
            page.contains(&format!("\n## {name}\n")),
            "docs/scalars.md has no {name}"
        );
        match url.strip_prefix("/scalars#") {
            Some(anchor) => assert_eq!(anchor, name.to_ascii_lowercase()),
            None => assert!(url.starts_with("https://"), "{name}: {url}"),
        }
    }
    let maps: BTreeMap<String, BTreeMap<String, String>> =
        serde_json::from_str(include_str!("../../docs/clients/scalars.json")).expect("a map by language");
    assert_eq!(maps.keys().collect::<Vec<_>>(), ["kotlin", "swift", "typescript"]);
    for (language, map) in &maps {
        assert_eq!(
            map.keys().collect::<BTreeSet<_>>(),
            scalars.keys().copied().collect(),
            "{language}"
        );
    }
}

#[test]
fn a_closed_list_is_no_string() {
    let types = types();
    let named_so = |field: &str| {
        [
            "code", "kind", "state", "role", "status", "outcome", "severity", "action",
        ]
        .contains(&field)
    };
    for (name, ty) in &types {
        for (field, ty) in fields(ty) {
            assert!(
                !(named_so(&field) && named(&ty).0 == "String"),
                "{name}.{field} is a {ty}"
            );
        }
    }
    assert!(marmalade::api::schema::sdl().contains("input BoardInput @oneOf {"));
}

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
