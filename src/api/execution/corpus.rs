//! The executor, held against graphql-js: random operations with random failing fields, and what graphql-js answers to
//! them (`tests/corpus/generate.mjs`). The library runs them over its own registry of our schema, and over shapes that our
//! schema does not have; every value follows from its path, see `tests/corpus/rule.mjs`.

use std::{borrow::Cow, collections::HashMap, marker::PhantomData};

use async_graphql::{
    ContainerType, Context, ContextSelectionSet, EmptyMutation, EmptySubscription, Name, ObjectType, OutputType,
    Positioned, ServerError, ServerResult, Value,
    parser::{
        parse_schema,
        types::{BaseType, Field, Type, TypeKind, TypeSystemDefinition},
    },
    registry::Registry,
    resolver_utils::{resolve_container, resolve_list},
};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::*;
use crate::operation::{
    cost::Bounds,
    persisted::{Operations, Settings},
};

/// A line of the corpus.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    operation: String,
    operation_name: Option<String>,
    variables: serde_json::Value,
    rule: Rule,
    response: Expected,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) seed: String,
    pub(super) fail_every: u32,
    pub(super) null_every: u32,
}

#[derive(Deserialize)]
struct Expected {
    data: Box<RawValue>,
    #[serde(default)]
    errors: Vec<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    path: Box<RawValue>,
}

/// The types of a schema, and the rule for their values.
#[derive(Clone)]
pub(super) struct World {
    types: Arc<HashMap<Name, TypeKind>>,
    possible: Arc<HashMap<Name, Vec<Name>>>,
}

impl World {
    pub(super) fn of(sdl: &str) -> Self {
        let (mut types, mut possible) = (HashMap::new(), HashMap::<Name, Vec<Name>>::new());
        for definition in parse_schema(sdl).expect("the schema parses").definitions {
            let TypeSystemDefinition::Type(definition) = definition else {
                continue;
            };
            let name = definition.node.name.node;
            match &definition.node.kind {
                TypeKind::Object(object) => {
                    for interface in &object.implements {
                        possible.entry(interface.node.clone()).or_default().push(name.clone());
                    }
                }
                TypeKind::Union(union) => {
                    let members = union.members.iter().map(|member| member.node.clone());
                    possible.entry(name.clone()).or_default().extend(members);
                }
                _ => {}
            }
            types.insert(name, definition.node.kind);
        }
        possible.values_mut().for_each(|names| names.sort());
        Self {
            types: Arc::new(types),
            possible: Arc::new(possible),
        }
    }

    /// The fields of an object or an interface, and the type of what is below each that is no leaf.
    pub(super) fn fields(&self, of: &str) -> Vec<(Name, Option<Name>)> {
        let fields = match self.types.get(of) {
            Some(TypeKind::Object(object)) => &object.fields[..],
            Some(TypeKind::Interface(interface)) => &interface.fields[..],
            _ => &[],
        };
        let below = |ty: &Type| {
            let mut base = &ty.base;
            while let BaseType::List(item) = base {
                base = &item.base;
            }
            match base {
                BaseType::Named(name) if !self.fields_of_none(name) => Some(name.clone()),
                _ => None,
            }
        };
        fields
            .iter()
            .map(|field| (field.node.name.node.clone(), below(&field.node.ty.node)))
            .collect()
    }

    fn fields_of_none(&self, name: &Name) -> bool {
        !matches!(
            self.types.get(name),
            Some(TypeKind::Object(_) | TypeKind::Interface(_) | TypeKind::Union(_))
        )
    }

    /// The types of fragments that may select from a type.
    pub(super) fn overlapping(&self, of: &str) -> Vec<Name> {
        let objects = |of: &str| self.possible.get(of).cloned().unwrap_or_else(|| vec![Name::new(of)]);
        let own = objects(of);
        let shares = |name: &Name| objects(name).iter().any(|object| own.contains(object));
        let mut names: Vec<_> = self
            .types
            .keys()
            .filter(|name| !self.fields_of_none(name) && shares(name))
            .cloned()
            .collect();
        names.sort();
        names
    }

    fn field(&self, object: &str, field: &str) -> Type {
        let Some(TypeKind::Object(object)) = self.types.get(object) else {
            panic!("{object} is no object");
        };
        let field = object
            .fields
            .iter()
            .find(|it| it.node.name.node == field)
            .expect("the field is there");
        field.node.ty.node.clone()
    }
}

/// The rule's hash: FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>), its halves xored.
fn hash(rule: &Rule, path: &[String], salt: &str) -> u32 {
    let text = format!("{}/{}{salt}", rule.seed, path.join("/"));
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    u32::try_from((hash >> 32) ^ (hash & 0xffff_ffff)).expect("32 bits")
}

/// A value of a type; which one, its path says.
struct Mock(Type);

impl OutputType for Mock {
    fn type_name() -> Cow<'static, str> {
        "Mock".into()
    }

    fn create_type_info(_: &mut Registry) -> String {
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, field: &Positioned<Field>) -> ServerResult<Value> {
        self.value(ctx, field).await
    }
}

impl Mock {
    /// Boxed, for a list may hold lists.
    fn value<'a>(
        &'a self,
        ctx: &'a ContextSelectionSet<'_>,
        field: &'a Positioned<Field>,
    ) -> BoxFuture<'a, ServerResult<Value>> {
        Box::pin(async move {
            let (world, rule): (&World, &Rule) = (ctx.data_unchecked(), ctx.data_unchecked());
            let path = ctx.path_node.expect("a path").to_string_vec();
            let hash = |salt| hash(rule, &path, salt);
            let falls = |salt, every| every > 0 && hash(salt) % every == 0;
            if falls("#fail", rule.fail_every) {
                let error = ctx.set_error_path(ServerError::new("failed", Some(field.pos)));
                if path
                    .iter()
                    .rev()
                    .take(2)
                    .all(|segment| segment.parse::<usize>().is_ok())
                {
                    // In a list of lists the library would put the inner list's path in place of the item's: a resolver
                    // has to tell such an error itself, as that of `nodes` does.
                    ctx.add_error(error);
                    return Ok(Value::Null);
                }
                return Err(error);
            }
            if self.0.nullable && falls("#null", rule.null_every) {
                return Ok(Value::Null);
            }
            let name = match &self.0.base {
                BaseType::List(item) => {
                    let length = hash("#len") as usize % 3;
                    let items = (0..length).map(|_| Mock((**item).clone()));
                    return match item.nullable {
                        true => resolve_list(ctx, field, items.map(Some), Some(length)).await,
                        false => resolve_list(ctx, field, items, Some(length)).await,
                    };
                }
                BaseType::Named(name) => name,
            };
            let value = hash("");
            match (world.types.get(name), name.as_str()) {
                (Some(TypeKind::Object(_)), _) => resolve_container(ctx, &Object(name.clone())).await,
                (Some(TypeKind::Interface(_) | TypeKind::Union(_)), _) => {
                    let names = &world.possible[name];
                    let name = &names[hash("#type") as usize % names.len()];
                    resolve_container(ctx, &Object(name.clone())).await
                }
                (Some(TypeKind::Enum(members)), _) => {
                    let member = &members.values[value as usize % members.values.len()];
                    Ok(Value::Enum(member.node.value.node.clone()))
                }
                (_, "Int") => Ok((value % 1000).into()),
                // As JavaScript writes it.
                (_, "Float") if value % 2 == 0 => Ok((value % 1000 / 2).into()),
                (_, "Float") => Ok((f64::from(value % 1000) / 2.0).into()),
                (_, "Boolean") => Ok((value % 2 == 1).into()),
                _ => Ok(format!("s{value}").into()),
            }
        })
    }
}

/// An object of a type.
struct Object(Name);

impl OutputType for Object {
    fn type_name() -> Cow<'static, str> {
        "Mock".into()
    }

    fn introspection_type_name(&self) -> Cow<'static, str> {
        self.0.to_string().into()
    }

    fn create_type_info(_: &mut Registry) -> String {
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl ContainerType for Object {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        let ty = ctx.data_unchecked::<World>().field(&self.0, &ctx.item.node.name.node);
        let below = ctx.with_selection_set(&ctx.item.node.selection_set);
        Mock(ty).resolve(&below, ctx.item).await.map(Some)
    }
}

/// A schema to run operations over.
pub(super) trait Over: Send + Sync + 'static {
    fn register(registry: &mut Registry);
}

struct Ours;

impl Over for Ours {
    fn register(registry: &mut Registry) {
        Query::create_type_info(registry);
        Mutation::create_type_info(registry);
    }
}

pub(super) struct Shapes;

pub(super) const SHAPES: &str = include_str!("../../../tests/corpus/shapes.graphql");

impl Over for Shapes {
    fn register(registry: &mut Registry) {
        for root in ["Query", "Mutation"] {
            let unread = registry.create_fake_output_type::<EmptyMutation>();
            registry.types.insert(root.into(), unread);
        }
        for (interface, objects) in &*World::of(SHAPES).possible {
            objects
                .iter()
                .for_each(|object| registry.add_implements(object, interface));
        }
    }
}

/// The root of a kind of operations.
pub(super) struct Root<O, const MUTATION: bool>(PhantomData<O>);

impl<O: Over, const MUTATION: bool> OutputType for Root<O, MUTATION> {
    fn type_name() -> Cow<'static, str> {
        if MUTATION { "Mutation" } else { "Query" }.into()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        O::register(registry);
        Self::qualified_type_name()
    }

    async fn resolve(&self, ctx: &ContextSelectionSet<'_>, _: &Positioned<Field>) -> ServerResult<Value> {
        resolve_container(ctx, self).await
    }
}

impl<O: Over, const MUTATION: bool> ContainerType for Root<O, MUTATION> {
    async fn resolve_field(&self, ctx: &Context<'_>) -> ServerResult<Option<Value>> {
        Object(Name::new(Self::type_name())).resolve_field(ctx).await
    }
}

impl<O: Over, const MUTATION: bool> ObjectType for Root<O, MUTATION> {}

impl<O: Over> Root<O, false> {
    /// The library, as `execution.rs` has it run.
    pub(super) fn library() -> async_graphql::Schema<Self, Root<O, true>, EmptySubscription> {
        async_graphql::Schema::build(Self(PhantomData), Root(PhantomData), EmptySubscription)
            .validation_mode(ValidationMode::Fast)
            .limit_recursive_depth(usize::MAX)
            .finish()
    }
}

/// The differences to what graphql-js answers, and how many operations were run.
async fn differences<O: Over>(file: &str, sdl: &str, validator: Option<&Library>) -> (Vec<String>, usize) {
    let corpus = std::fs::read_to_string(file).expect("the corpus can be read");
    let (world, types) = (World::of(sdl), Types::of(sdl).ok().expect("the types of the schema"));
    let library = Root::<O, false>::library();
    let operations = Operations::new(
        &Settings {
            manifest: None,
            bounds: Bounds::unlimited(),
        },
        true,
    )
    .ok()
    .expect("no manifest");
    let (mut differences, mut run) = (Vec::new(), 0);
    for line in corpus.lines() {
        let line: Line = serde_json::from_str(line).expect("a line of the corpus");
        let mut request = Request::new(&line.operation).variables(async_graphql::Variables::from_json(line.variables));
        request.operation_name = line.operation_name;
        let validate = |request| match validator {
            Some(validator) => {
                let errors = validator
                    .execute(request)
                    .now_or_never()
                    .expect("the validator does not wait")
                    .errors;
                if errors.is_empty() { Ok(()) } else { Err(errors) }
            }
            None => Ok(()),
        };
        run += 1;
        let admitted = match operation::admit(&operations, &types, validate, None, request).await {
            Ok(admitted) => admitted,
            Err(errors) => {
                differences.push(format!("{}\nrefused: {errors:?}", line.operation));
                continue;
            }
        };
        let (request, form) = admitted.into_parts();
        let response = library.execute(request.data(world.clone()).data(line.rule)).await;
        let answer = form.answer(response);
        let data = String::from_utf8(answer.data.unwrap_or_default()).expect("JSON");
        let paths: Vec<_> = answer
            .errors
            .iter()
            .map(|error| serde_json::to_string(&error.path).expect("JSON"))
            .collect();
        let expected: Vec<_> = line.response.errors.iter().map(|error| error.path.get()).collect();
        if data != line.response.data.get() || paths != expected {
            let (wanted, operation) = (line.response.data, line.operation);
            differences.push(format!(
                "{operation}\nexpected {wanted}\n{expected:?}\ngot {data}\n{paths:?}"
            ));
        }
    }
    (differences, run)
}

#[tokio::test]
async fn every_answer_is_the_one_of_graphql_js() {
    let Ok(folder) = std::env::var("TEST_CORPUS") else {
        println!("skipped: TEST_CORPUS names no folder with ours.jsonl and shapes.jsonl (see tests/corpus)");
        return;
    };
    let schema = Schema::new().ok().expect("the schema");
    let sdl = crate::api::schema::sdl();
    let (mut different, ours) =
        differences::<Ours>(&format!("{folder}/ours.jsonl"), &sdl, Some(&schema.0.validator)).await;
    let (others, shapes) = differences::<Shapes>(&format!("{folder}/shapes.jsonl"), SHAPES, None).await;
    different.extend(others);
    println!(
        "{ours} operations over our schema, {shapes} over other shapes: {} differ",
        different.len()
    );
    assert!(ours > 0 && shapes > 0, "the corpus is empty");
    assert!(
        different.is_empty(),
        "{}",
        different[..different.len().min(5)].join("\n\n")
    );
}
