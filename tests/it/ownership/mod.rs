//! Who may do what: everything in the schema, tried by everybody, held against `rules.txt`.

mod alike;
mod withheld;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use async_graphql::parser::{
    parse_schema,
    types::{Type, TypeKind, TypeSystemDefinition},
};
use serde_json::{Value, json};

use self::world::{Case, Owner, Person, Start, World};
use crate::{on_both_databases, support::Actor};

/// The mutations that lead to a new credential.
const ENTRIES: [&str; 6] = [
    "signIn",
    "register",
    "confirmRegistration",
    "refreshSession",
    "requestPasswordReset",
    "resetPassword",
];

/// What a field asks of whoever reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    Anyone,
    SignedIn,
    Owner,
    OwnerOrStaff,
    Staff,
    Admin,
}

impl Rule {
    /// The code that `who` is refused with, if the object belongs to `owner`.
    fn refusal(self, who: Person, owner: Owner) -> Option<&'static str> {
        if self == Self::Anyone {
            return None;
        }
        if who == Person::Anonymous {
            return Some("UNAUTHENTICATED");
        }
        let owns = owner == Owner::Is(who) || owner == Owner::Viewer;
        let allowed = match self {
            Self::Anyone | Self::SignedIn => true,
            Self::Owner => owns,
            Self::OwnerOrStaff => owns || who.is_staff(),
            Self::Staff => who.is_staff(),
            Self::Admin => who == Person::Admin,
        };
        (!allowed).then_some("FORBIDDEN")
    }
}

/// Rules by type and field.
pub type Rules = BTreeMap<(String, String), Rule>;

pub fn rules() -> Rules {
    let mut rules = Rules::new();
    for line in include_str!("rules.txt").lines().filter(|line| !line.starts_with('#')) {
        let mut words = line.split_whitespace();
        let (Some(ty), Some(rule)) = (words.next(), words.next()) else {
            continue;
        };
        let rule = match rule {
            "anyone" => Rule::Anyone,
            "signed-in" => Rule::SignedIn,
            "owner" => Rule::Owner,
            "owner-or-staff" => Rule::OwnerOrStaff,
            "staff" => Rule::Staff,
            "admin" => Rule::Admin,
            other => panic!("no such rule: {other}"),
        };
        for field in words {
            let before = rules.insert((ty.to_owned(), field.to_owned()), rule);
            assert!(before.is_none(), "two rules for {ty}.{field}");
        }
    }
    rules
}

/// The object types: per type its fields, each with its named type.
pub struct Schema(BTreeMap<String, Vec<(String, String)>>);

impl Schema {
    pub fn read() -> Self {
        let document = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
        let named = |ty: &Type| ty.to_string().replace(['!', '[', ']'], "");
        let objects = document
            .definitions
            .into_iter()
            .filter_map(|definition| match definition {
                TypeSystemDefinition::Type(ty) => match ty.node.kind {
                    TypeKind::Object(object) => Some((
                        ty.node.name.node.to_string(),
                        object
                            .fields
                            .into_iter()
                            .map(|field| (field.node.name.node.to_string(), named(&field.node.ty.node)))
                            .collect(),
                    )),
                    _ => None,
                },
                _ => None,
            });
        Self(objects.collect())
    }

    pub fn fields(&self, ty: &str) -> &[(String, String)] {
        &self.0[ty]
    }

    /// A field with as little below it as there must be.
    fn select(&self, (field, ty): &(String, String)) -> String {
        let below = if self.0.contains_key(ty) || ty == "Node" {
            " { __typename }"
        } else {
            ""
        };
        format!("{field}{below}")
    }
}

/// A way to objects of one type: from a start down some fields.
#[derive(Clone)]
struct Walk<'a> {
    start: &'a Start,
    ty: String,
    /// Each with its arguments.
    fields: Vec<(String, &'static str)>,
    /// The rules on the way, each with the owner of the object there.
    rules: Vec<(Rule, Owner)>,
    owner: Owner,
}

impl Walk<'_> {
    fn query(&self, selection: &str) -> String {
        let inner = self
            .fields
            .iter()
            .rev()
            .fold(selection.to_owned(), |inner, (field, page)| {
                format!("{field}{page} {{ {inner} }}")
            });
        self.start.query.replace("$X", &inner)
    }

    fn refusal(&self, who: Person) -> Option<&'static str> {
        let on_the_way = |(rule, owner): &(Rule, Owner)| rule.refusal(who, *owner);
        (self.start.refusal)(who).or_else(|| self.rules.iter().find_map(on_the_way))
    }

    /// What a response holds where the walk leads to.
    fn found<'v>(&self, data: &'v Value) -> Vec<&'v Value> {
        let mut at: Vec<&Value> = vec![data];
        for key in std::iter::once(self.start.field).chain(self.fields.iter().map(|(field, _)| field.as_str())) {
            at = at.into_iter().map(|value| &value[key]).flat_map(flat).collect();
        }
        at
    }
}

fn flat(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(items) => items.iter().flat_map(flat).collect(),
        Value::Null => Vec::new(),
        other => vec![other],
    }
}

/// All walks from a start: to each type on the shortest way.
fn walks<'a>(schema: &Schema, rules: &Rules, start: &'a Start) -> Vec<Walk<'a>> {
    let first = Walk {
        start,
        ty: start.ty.to_owned(),
        fields: Vec::new(),
        rules: Vec::new(),
        owner: start.owner,
    };
    let is_reachable = (start.refusal)(Person::Admin).is_none() || (start.refusal)(Person::Ada).is_none();
    let (mut all, mut seen, mut next) = (vec![first], BTreeSet::from([(start.ty.to_owned(), start.owner)]), 0);
    while next < all.len() {
        let walk = all[next].clone();
        next += 1;
        for (field, ty) in schema.fields(&walk.ty) {
            let owner = match (walk.ty.as_str(), field.as_str()) {
                ("Board", "viewerStanding") | ("Quiz", "viewerAttempts" | "viewerBestAttempt") => Owner::Viewer,
                // Whoever has written the drafts of the world.
                ("Draft", "updatedBy") => Owner::Is(Person::Editor),
                ("Standing", _) if walk.owner != Owner::Viewer => Owner::Is(World::TOP),
                _ => walk.owner,
            };
            // One way in by each root field; the ways on are the same from all of them.
            let goes_on = start.field != "nodes" && is_reachable && schema.0.contains_key(ty) && walk.fields.len() < 6;
            if !goes_on || !seen.insert((ty.clone(), owner)) {
                continue;
            }
            let mut further = walk.clone();
            further
                .rules
                .push((rules[&(walk.ty.clone(), field.clone())], walk.owner));
            further.fields.push((field.clone(), page_of(field, ty)));
            further.ty = ty.clone();
            further.owner = owner;
            all.push(further);
        }
    }
    all
}

/// Small pages: a walk through several lists stays below the limit of complexity.
fn page_of(field: &str, ty: &str) -> &'static str {
    match field {
        "aroundViewer" => "(above: 1, below: 1)",
        _ if ty.ends_with("Connection") => "(first: 5)",
        _ => "",
    }
}

/// What a request came to: the status, and the code of its first error.
async fn outcome(actor: &Actor, query: &str) -> (u16, Option<String>, Value) {
    let (status, mut body) = actor.send(query, json!({})).await;
    let code = body["errors"][0]["extensions"]["code"].as_str().map(str::to_owned);
    (status.as_u16(), code, body["data"].take())
}

#[test]
fn every_field_has_a_rule_and_every_rule_a_field() {
    let fields: BTreeSet<_> = Schema::read()
        .0
        .into_iter()
        .flat_map(|(ty, fields)| fields.into_iter().map(move |(field, _)| (ty.clone(), field)))
        .collect();
    let ruled: BTreeSet<_> = rules().into_keys().collect();
    let missing: Vec<_> = fields.difference(&ruled).collect();
    let surplus: Vec<_> = ruled.difference(&fields).collect();
    assert!(
        missing.is_empty() && surplus.is_empty(),
        "without a rule: {missing:?}; without a field: {surplus:?}"
    );
}

on_both_databases! {
    async fn no_actor_reads_what_the_rules_forbid(app: TestApp) {
        let (schema, rules, world) = (Schema::read(), rules(), World::new(&app).await);
        let starts = world.starts();
        let started: BTreeSet<_> = starts.iter().map(|start| start.field).collect();
        let (mut tried, mut wrong, mut reached, mut by_id) = (0, Vec::new(), BTreeSet::new(), BTreeSet::new());
        for (field, ty) in schema.fields("Query") {
            if started.contains(field.as_str()) {
                continue;
            }
            assert!(!schema.0.contains_key(ty), "nothing starts at Query.{field}");
            for (who, actor) in world.cast.iter().filter(|(who, _)| *who != Person::Suspended) {
                let (_, code, data) = outcome(actor, &format!("{{ {field} }}")).await;
                let expected = rules[&("Query".to_owned(), field.clone())].refusal(*who, Owner::Viewer);
                tried += 1;
                if code.as_deref() != expected || (expected.is_some() && !data[field.as_str()].is_null()) {
                    wrong.push(format!("{who:?}: expected {expected:?}, got {code:?}: {field}"));
                }
            }
        }
        for start in &starts {
            // Enough is known: the rest would only take its time.
            if wrong.len() > 20 {
                break;
            }
            for walk in walks(&schema, &rules, start) {
                for (who, actor) in &world.cast {
                    let fields = schema.fields(&walk.ty);
                    let refusal = |field: &str| rules[&(walk.ty.clone(), field.to_owned())].refusal(*who, walk.owner);
                    tried += fields.len();
                    if *who == Person::Suspended || walk.refusal(*who).is_some() {
                        let all: Vec<_> = fields.iter().map(|field| schema.select(field)).collect();
                        let query = walk.query(&all.join(" "));
                        let (status, code, data) = outcome(actor, &query).await;
                        let expected = if *who == Person::Suspended { (401, Some("UNAUTHENTICATED")) } else { (200, walk.refusal(*who)) };
                        // What is not there for this person (a standing, say) leads nowhere, without an error.
                        let nowhere = (status, code.as_deref()) == (200, None) && !walk.fields.is_empty();
                        if !(nowhere || (status, code.as_deref()) == expected) || !walk.found(&data).is_empty() {
                            wrong.push(format!("{who:?}: expected {expected:?}, got {status} {code:?} {data}: {query}"));
                        }
                        continue;
                    }
                    let (open, closed): (Vec<_>, Vec<_>) = fields.iter().partition(|(field, _)| refusal(field).is_none());
                    let selection: Vec<_> = open.iter().map(|field| schema.select(field)).collect();
                    let query = walk.query(&format!("__typename {}", selection.join(" ")));
                    let (status, code, data) = outcome(actor, &query).await;
                    let found = !walk.found(&data).is_empty();
                    if (status, code.as_deref()) != (200, None) {
                        wrong.push(format!("{who:?} may, but got {status} {code:?}: {query}"));
                    }
                    if found && start.field == "node" && walk.fields.is_empty() {
                        by_id.insert(walk.ty.clone());
                    }
                    if found {
                        reached.extend(fields.iter().map(|(field, _)| (walk.ty.clone(), field.clone(), refusal(field))));
                    }
                    for field in closed.iter().filter(|_| found) {
                        let query = walk.query(&schema.select(field));
                        let (_, code, data) = outcome(actor, &query).await;
                        let revealed = walk.found(&data).iter().any(|object| !object[field.0.as_str()].is_null());
                        if code.as_deref() != refusal(&field.0) || revealed {
                            wrong.push(format!("{who:?}: expected {:?}, got {code:?} {data}: {query}", refusal(&field.0)));
                        }
                    }
                }
            }
        }
        let shown: Vec<_> = wrong.iter().take(20).map(|line| line.chars().take(400).collect::<String>()).collect();
        assert!(wrong.is_empty(), "{} of {tried} are wrong:\n{}", wrong.len(), shown.join("\n"));
        // Whatever has an id was found by it, by somebody.
        let identified = schema.0.iter().filter(|(_, fields)| fields.iter().any(|(field, _)| field == "id"));
        let identified: BTreeSet<_> = identified.map(|(ty, _)| ty.clone()).collect();
        assert_eq!(by_id, identified);
        // Each field was met by somebody who may read it, and each that is kept from signed-in people by such a person.
        for ((ty, field), rule) in &rules {
            if !world.by_queries(&schema.0, ty) {
                continue;
            }
            let met = |refusal| reached.contains(&(ty.clone(), field.clone(), refusal));
            assert!(met(None), "nobody who may has reached {ty}.{field}");
            assert!(*rule <= Rule::SignedIn || met(Some("FORBIDDEN")), "nobody has been refused {ty}.{field}");
        }
        // Past the test runner's capture: its size is to be seen.
        let size = format!("the matrix: {tried} combinations of field, way and person over {} ways in\n", starts.len());
        std::io::Write::write_all(&mut std::io::stderr(), size.as_bytes()).ok();
        assert!(tried > 1, "{tried}");
        // Admins count all accounts and all entries of the log; nobody else has a table read from end to end.
        let whole: Vec<_> = app.whole_tables().into_iter().filter(|select| !select.starts_with("SELECT COUNT(*)")).collect();
        assert_eq!(whole, Vec::<String>::new());
    }

    async fn no_actor_changes_what_the_rules_forbid(app: TestApp) {
        let (schema, rules, world) = (Schema::read(), rules(), World::new(&app).await);
        let cases = world.mutations();
        let named: BTreeSet<_> = cases.iter().map(|case| case.field).collect();
        for (field, _) in schema.fields("Mutation") {
            assert!(named.contains(field.as_str()), "nothing tries Mutation.{field}");
        }
        let mut wrong = Vec::new();
        for Case { field, what, query, refusal } in &cases {
            for (who, actor) in &world.cast {
                // A session of its own, for the case may end it.
                let actor = app.again(actor).await;
                let rule = rules[&("Mutation".to_owned(), (*field).to_owned())];
                let expected = rule.refusal(*who, Owner::None).or_else(|| refusal(*who));
                let expected = if *who == Person::Suspended { (401, Some("UNAUTHENTICATED")) } else { (200, expected) };
                let (status, code, data) = outcome(&actor, &format!("mutation {{ {query} }}")).await;
                // A credential that is not good any more is not held against who asks for another.
                let is_ignored = *who == Person::Suspended && ENTRIES.contains(field) && status != 401;
                if (status, code.as_deref()) != expected && !is_ignored {
                    wrong.push(format!("{who:?} {field} of {what}: expected {expected:?}, got {status} {code:?} {data}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        println!("{} combinations of mutation, object and person", cases.len() * world.cast.len());
        app.verify().await;
    }

    async fn no_actor_subscribes_to_what_the_rules_forbid(app: TestApp) {
        let (schema, rules, world) = (Schema::read(), rules(), World::new(&app).await);
        let cases = world.subscriptions();
        let named: BTreeSet<_> = cases.iter().map(|case| case.field).collect();
        for (field, _) in schema.fields("Subscription") {
            assert!(named.contains(field.as_str()), "nothing tries Subscription.{field}");
        }
        let mut wrong = Vec::new();
        for Case { field, what, query, refusal } in &cases {
            for (who, actor) in &world.cast {
                let viewer = actor.let_in().await;
                // Whoever is suspended is not let in at the door.
                assert_eq!(viewer.is_some(), !matches!(who, Person::Suspended | Person::Anonymous), "{who:?}");
                let rule = rules[&("Subscription".to_owned(), (*field).to_owned())];
                let who = if viewer.is_some() { *who } else { Person::Anonymous };
                let expected = rule.refusal(who, Owner::None).or_else(|| refusal(who));
                let response = actor.first_answer(&format!("subscription {{ {query} }}")).await;
                let code = response["errors"][0]["extensions"]["code"].as_str();
                if code != expected {
                    wrong.push(format!("{who:?} {field} of {what}: expected {expected:?}, got {response}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        println!("{} combinations of subscription, object and person", cases.len() * world.cast.len());
    }
}
