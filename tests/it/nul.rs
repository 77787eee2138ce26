//! NUL, which PostgreSQL stores in no text, and U+FFFD, which stands for what could not be read: refused at the door, whatever
//! string they are in and however they are written.

use std::collections::BTreeMap;

use async_graphql::parser::{
    parse_schema,
    types::{BaseType, InputValueDefinition, Type, TypeKind, TypeSystemDefinition},
};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use base64::Engine;
use marmalade::{auth::role::Role, id::BankImportId, import::background};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::{on_both_databases, support::Actor};

/// An argument or a field of an input object: its name and type.
type Input = (String, Type);

/// What takes arguments, and what they are made of.
#[derive(Default)]
struct Schema {
    /// By type and field, with whether a selection follows.
    fields: Vec<(String, String, Vec<Input>, bool)>,
    inputs: BTreeMap<String, Vec<Input>>,
    enums: BTreeMap<String, String>,
    nodes: Vec<String>,
}

fn base(ty: &Type) -> (&str, bool) {
    match &ty.base {
        BaseType::Named(name) => (name.as_str(), false),
        BaseType::List(inner) => (base(inner).0, true),
    }
}

impl Schema {
    fn read() -> Self {
        let document = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
        let input = |of: &InputValueDefinition| (of.name.node.to_string(), of.ty.node.clone());
        let (mut schema, mut objects) = (Self::default(), Vec::new());
        for definition in document.definitions {
            let TypeSystemDefinition::Type(ty) = definition else {
                continue;
            };
            let name = ty.node.name.node.to_string();
            match ty.node.kind {
                TypeKind::Object(object) => {
                    if object.implements.iter().any(|interface| interface.node == "Node") {
                        schema.nodes.push(name.clone());
                    }
                    objects.push((name, object.fields));
                }
                TypeKind::InputObject(of) => {
                    let fields = of.fields.iter().map(|field| input(&field.node));
                    schema.inputs.insert(name, fields.collect());
                }
                TypeKind::Enum(of) => {
                    schema.enums.insert(name, of.values[0].node.value.node.to_string());
                }
                _ => {}
            }
        }
        let names: Vec<_> = objects.iter().map(|(name, _)| name.clone()).collect();
        for (name, fields) in objects {
            for field in fields {
                let arguments: Vec<_> = field
                    .node
                    .arguments
                    .iter()
                    .map(|argument| input(&argument.node))
                    .collect();
                let of = base(&field.node.ty.node).0.to_owned();
                let selects = names.contains(&of) || of == "Node";
                schema
                    .fields
                    .push((name.clone(), field.node.name.node.to_string(), arguments, selects));
            }
        }
        schema
    }

    fn is_text(&self, ty: &Type) -> bool {
        let name = base(ty).0;
        !matches!(name, "Int" | "Float" | "Boolean")
            && !self.enums.contains_key(name)
            && !self.inputs.contains_key(name)
    }

    /// Any value of a type, in a document.
    fn any(&self, ty: &Type) -> String {
        let (name, is_list) = base(ty);
        let value = match name {
            "Int" | "Float" => "1".to_owned(),
            "Boolean" => "true".to_owned(),
            "DateTime" => "\"2026-11-23T10:00:00Z\"".to_owned(),
            "Date" => "\"2026-11-23\"".to_owned(),
            _ => match (self.enums.get(name), self.inputs.get(name)) {
                (Some(value), _) => value.clone(),
                (_, Some(fields)) => self.object(fields, None),
                _ => "\"something\"".to_owned(),
            },
        };
        if is_list { format!("[{value}]") } else { value }
    }

    /// The required fields of an input object, and one more with this value.
    fn object(&self, fields: &[Input], more: Option<(&str, &str)>) -> String {
        format!("{{{}}}", self.list(fields, more))
    }

    fn list(&self, inputs: &[Input], more: Option<(&str, &str)>) -> String {
        let value = |(name, ty): &Input| match more {
            Some((other, value)) if other == name => Some(format!("{name}: {value}")),
            _ => (!ty.nullable).then(|| format!("{name}: {}", self.any(ty))),
        };
        inputs.iter().filter_map(value).collect::<Vec<_>>().join(", ")
    }

    /// The places for texts in a list of inputs: its path, its type, and the list with `$X` there.
    fn places(&self, inputs: &[Input]) -> Vec<(String, String, String)> {
        let mut places = Vec::new();
        for (name, ty) in inputs {
            let (of, is_list) = base(ty);
            let around = |value: &str| {
                if is_list {
                    format!("[{value}]")
                } else {
                    value.to_owned()
                }
            };
            if self.is_text(ty) {
                let list = self.list(inputs, Some((name, &around("$X"))));
                places.push((name.clone(), of.to_owned(), list));
            }
            for (path, ty, inner) in self
                .inputs
                .get(of)
                .map(|fields| self.places(fields))
                .unwrap_or_default()
            {
                let list = self.list(inputs, Some((name, &around(&format!("{{{inner}}}")))));
                places.push((format!("{name}.{path}"), ty, list));
            }
        }
        places
    }

    /// Documents, each with `$X` where a text goes, and the name and type of the place.
    fn documents(&self) -> Vec<(String, String, String)> {
        let mut documents = Vec::new();
        for (ty, field, arguments, selects) in &self.fields {
            for (place, of, list) in self.places(arguments) {
                let selection = if *selects { " { __typename }" } else { "" };
                let field_with = format!("{field}({list}){selection}");
                let document = match ty.as_str() {
                    "Query" | "Mutation" | "Subscription" => format!("{}$V {{ {field_with} }}", ty.to_lowercase()),
                    "ImportedSheet" => format!("query$V {{ bankImport(id: \"\") {{ sheets {{ {field_with} }} }} }}"),
                    node if self.nodes.iter().any(|name| name == node) => {
                        format!("query$V {{ nodes(ids: []) {{ ... on {node} {{ {field_with} }} }} }}")
                    }
                    other => panic!("nothing leads to {other}.{field}"),
                };
                documents.push((format!("{ty}.{field}({place})"), of, document));
            }
        }
        documents
    }
}

/// The status of an operation, the code and the message of its first error.
async fn refusal(actor: &Actor, query: &str, variables: Value) -> (u16, String, String) {
    let (status, body) = actor.send(query, variables).await;
    let error = &body["errors"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        status.as_u16(),
        text(&error["extensions"]["code"]),
        text(&error["message"]),
    )
}

on_both_databases! {
    async fn no_text_takes_what_nobody_types_however_it_is_written(app: TestApp) {
        let documents = Schema::read().documents();
        assert!(documents.len() > 60, "{}", documents.len());
        let mut wrong = Vec::new();
        for (actor, characters) in [
            (app.anyone(), &["\0"][..]),
            (app.student().await, &["\0", "\u{FFFD}"]),
            (app.actor(Role::Admin).await, &["\0"]),
        ] {
            for (character, (place, ty, document)) in characters.iter().flat_map(|c| documents.iter().map(move |d| (c, d))) {
                let (name, escaped) = match *character {
                    "\0" => ("NUL", "\\u0000"),
                    _ => ("U+FFFD", "\\ufffd"),
                };
                let literal = |text: &str| (document.replace("$X", text).replace("$V", ""), json!({}), "argument");
                let variable = document.replace("$X", "$text").replace("$V", &format!("($text: {ty}!)"));
                let defaulted = document.replace("$X", "$text").replace("$V", &format!("($text: {ty}! = \"a{escaped}b\")"));
                for (query, variables, what) in [
                    literal(&format!("\"a{escaped}b\"")),
                    literal(&format!("\"a{character}b\"")),
                    literal(&format!("\"\"\"a{character}b\"\"\"")),
                    (variable, json!({"text": format!("a{character}b")}), "variable"),
                    (defaulted, json!({}), "variable"),
                ] {
                    let (status, code, message) = refusal(&actor, &query, variables).await;
                    let says_which = message.starts_with(&format!("The {what} `")) && message.contains(name);
                    if (status, code.as_str()) != (400, "BAD_USER_INPUT") || !says_which {
                        wrong.push(format!("{place}: {status} {code} {message}: {query:?}"));
                    }
                }
            }
        }
        assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong[..wrong.len().min(30)].join("\n"));
        let size = format!("{} places for texts in arguments, each in five ways\n", documents.len());
        std::io::Write::write_all(&mut std::io::stderr(), size.as_bytes()).ok();
    }

    async fn what_is_around_a_document_takes_no_nul_either(app: TestApp) {
        let send = async |request: Request<Body>| {
            let response = app.router().oneshot(request).await.expect("a response");
            let status = response.status();
            let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            (status, String::from_utf8_lossy(&body).into_owned())
        };
        let json = |body: Value| {
            let request = Request::post("/graphql").header("content-type", "application/json");
            request.body(Body::from(body.to_string())).expect("a request")
        };
        let get = |query: &str| {
            let request = Request::get(format!("/graphql?{query}")).header("apollo-require-preflight", "true");
            request.body(Body::empty()).expect("a request")
        };
        let about = json!({"persistedQuery": {"version": 1, "sha256Hash": "a\0b"}});
        for request in [
            get("query=%7B%20quiz(id%3A%20%22a%00b%22)%20%7B%20id%20%7D%20%7D"),
            get("query=query(%24a%3AID!)%7Bquiz(id%3A%24a)%7Bid%7D%7D&variables=%7B%22a%22%3A%22a%5Cu0000b%22%7D"),
            get("query=query(%24a%3AID!)%7Bquiz(id%3A%24a)%7Bid%7D%7D&variables=%7B%22a%22%3A%22a%FFb%22%7D"),
            json(json!({"query": "query A { __typename }", "operationName": "a\0b"})),
            json(json!({"query": "{ __typename }", "extensions": about})),
            json(json!({"query": "{ __type\0name }"})),
            json(json!({"query": "query($a: QuizFilter) { quizzes(filter: $a) { totalCount } }", "variables": {"a": {"text\0": "x"}}})),
        ] {
            let what = format!("{request:?}");
            let (status, body) = send(request).await;
            assert!(status.is_client_error() || body.contains("errors"), "{what}: {status} {body}");
            assert!(!body.contains("INTERNAL"), "{what}: {body}");
        }
        let refresh = Request::post("/auth/refresh").header("cookie", "refresh_token=a%00b").body(Body::empty());
        assert_ne!(send(refresh.expect("a request")).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    }

    async fn a_bank_with_nul_is_read_and_reported(app: TestApp) {
        let editor = app.actor(Role::Editor).await;
        let import = "mutation($content: String!) { importBank(input: {fileName: \"bank.csv\", content: $content,
            quizTitle: \"Sent\", subject: \"Physics\", publish: true}) { bankImport { id } errors { message } } }";
        let sound = "Question,A,B,Answer,Chapter,Explanation,Image\nOne?,1,2,1,Light,Because,a.png\n";
        for at in 0..sound.len() {
            // Once in each cell.
            if at > 0 && !matches!(sound.as_bytes()[at - 1], b',' | b'\n') {
                continue;
            }
            let bank = format!("{}\0{}", &sound[..at], &sound[at..]);
            let content = base64::engine::general_purpose::STANDARD.encode(bank);
            let sent = editor.ask(import, json!({"content": content})).await["importBank"].take();
            let id = sent["bankImport"]["id"].as_str().unwrap_or_else(|| panic!("{sent}")).to_owned();
            let decoded = BankImportId::decode(&id).unwrap_or_else(|_| panic!("an import"));
            app.advance(std::time::Duration::from_secs(3600));
            let run = background::run_import(&app.app, decoded, &app.app.now()).await;
            assert!(run.is_ok(), "byte {at}: {:?}", run.err().and_then(|error| error.cause().cloned()));
            let query = "query($id: ID!) { bankImport(id: $id) { finishedAt error sheets { errors { cell code message } } } }";
            let report = editor.ask(query, json!({"id": id})).await["bankImport"].take();
            assert!(report["finishedAt"].is_string(), "byte {at}: {report}");
        }
    }
}
