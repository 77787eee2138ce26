//! Operations whose responses may be kept by whoever carried or received them.
//!
//! A response may be kept if it is to a GET of a persisted query, and every field that the query selects is listed here: it
//! has the same value for everybody who may read it, whoever asks. What is not listed is not kept, so a new field changes
//! nothing until somebody thinks about it. A list that names what depends on the viewer fails `tests/it/caching.rs`, which
//! asks for each listed field as everybody.

use async_graphql::{
    Name, Value, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};

use crate::{app::App, operation::Admitted, ranks::board::Board};

/// Fields by their type, each with the type that it leads to, if any.
pub type Fields = [(&'static str, &'static str)];

/// What anyone reads, and the same: the catalogue, and the public face of quizzes.
pub const PUBLIC: &Fields = &[
    ("Query", "quiz:Quiz quizzes:QuizConnection subjects:SubjectConnection"),
    (
        "Quiz",
        "id title description subject:Subject questionCount durationSeconds marking:MarkingScheme maxAttempts \
         cooldownSeconds opensAt closesAt reviewOpens resultOpens publishedAt",
    ),
    (
        "QuizConnection",
        "edges:QuizEdge nodes:Quiz pageInfo:PageInfo totalCount",
    ),
    ("QuizEdge", "cursor node:Quiz"),
    ("MarkingScheme", "right wrong blank"),
    ("Subject", "id name chapters:ChapterConnection"),
    (
        "SubjectConnection",
        "edges:SubjectEdge nodes:Subject pageInfo:PageInfo totalCount",
    ),
    ("SubjectEdge", "cursor node:Subject"),
    ("Chapter", "id name subject:Subject"),
    (
        "ChapterConnection",
        "edges:ChapterEdge nodes:Chapter pageInfo:PageInfo totalCount",
    ),
    ("ChapterEdge", "cursor node:Chapter"),
    ("PageInfo", "hasNextPage hasPreviousPage startCursor endCursor"),
];

/// What whoever is signed in reads, and the same: a window of a board that has ended, named by its id.
pub const SIGNED_IN: &Fields = &[
    ("Query", "board:Board"),
    (
        "Board",
        "id window startsAt endsAt closed previous:Board winners:Standing subject:Subject quiz:Quiz \
         standings:StandingConnection",
    ),
    (
        "StandingConnection",
        "asOf edges:StandingEdge nodes:Standing pageInfo:PageInfo totalCount",
    ),
    ("StandingEdge", "cursor node:Standing"),
    ("Standing", "rank points reachedAt percentile user:User"),
    ("User", "id handle avatar"),
];

/// Who may keep a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kept {
    /// Also what stands between: it is the same for everybody.
    ByAnyone,
    /// The client alone, for as long as it is signed in as now.
    ByClient,
}

/// Who may keep the response of a query that is no error; `None` if nobody may.
pub(crate) fn of(admitted: &mut Admitted, app: &App) -> Option<Kept> {
    let request = admitted.persisted()?;
    let (name, variables) = (request.operation_name.clone(), request.variables.clone());
    let document = request.parsed_query().ok()?;
    let mut operations = document.operations.iter();
    let (_, operation) = match name {
        Some(name) => operations.find(|(operation, _)| operation.is_some_and(|operation| operation.as_str() == name)),
        None => operations.next(),
    }?;
    let walk = Walk {
        document,
        operation: &operation.node,
        variables: &variables,
        app,
    };
    walk.selections("Query", &operation.node.selection_set.node)
}

struct Walk<'a> {
    document: &'a ExecutableDocument,
    operation: &'a OperationDefinition,
    variables: &'a Variables,
    app: &'a App,
}

impl Walk<'_> {
    /// Of all selections; fragments end, since the document has been measured.
    fn selections(&self, ty: &str, set: &SelectionSet) -> Option<Kept> {
        let mut all = Kept::ByAnyone;
        for selection in &set.items {
            let (condition, inner) = match &selection.node {
                Selection::Field(field) => {
                    all = all.max(self.field(ty, &field.node)?);
                    continue;
                }
                Selection::InlineFragment(fragment) => {
                    (fragment.node.type_condition.as_ref(), &fragment.node.selection_set)
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &self.document.fragments.get(&spread.node.fragment_name.node)?.node;
                    (Some(&fragment.type_condition), &fragment.selection_set)
                }
            };
            // Every type here is an object, and an interface that it has is no narrower.
            if condition.is_some_and(|condition| condition.node.on.node != ty && condition.node.on.node != "Node") {
                return None;
            }
            all = all.max(self.selections(ty, &inner.node)?);
        }
        Some(all)
    }

    fn field(&self, ty: &str, field: &Field) -> Option<Kept> {
        let name = field.name.node.as_str();
        if name == "__typename" {
            return Some(Kept::ByAnyone);
        }
        let (kept, target) = match (target(PUBLIC, ty, name), target(SIGNED_IN, ty, name)) {
            (Some(target), _) => (Kept::ByAnyone, target),
            (None, Some(target)) => (Kept::ByClient, target),
            (None, None) => return None,
        };
        if (ty, name) == ("Query", "board") && !self.is_closed(field) {
            return None;
        }
        match target {
            Some(target) => Some(kept.max(self.selections(target, &field.selection_set.node)?)),
            None => Some(kept),
        }
    }

    /// Whether a field names the window of a board that has ended.
    fn is_closed(&self, field: &Field) -> bool {
        let id = field.get_argument("id").map(|id| id.node.clone());
        let id = id.and_then(|id| id.into_const_with(|name| self.variable(&name).ok_or(())).ok());
        let Some(Value::String(id)) = id else { return false };
        let ends_at = Board::decode(&id).and_then(|board| board.window.ends_at(self.app.zone));
        ends_at.is_some_and(|end| end <= self.app.clock.now())
    }

    fn variable(&self, name: &Name) -> Option<Value> {
        let given = self.variables.get(name).cloned();
        let defined = || {
            let mut definitions = self.operation.variable_definitions.iter();
            let defined = definitions.find(|definition| definition.node.name.node == *name)?;
            defined.node.default_value.as_ref().map(|default| default.node.clone())
        };
        given.or_else(defined)
    }
}

/// Whether a field is listed, and the type that it leads to.
fn target(fields: &'static Fields, ty: &str, name: &str) -> Option<Option<&'static str>> {
    let (_, listed) = fields.iter().find(|(of, _)| *of == ty)?;
    listed.split_whitespace().find_map(|field| match field.split_once(':') {
        Some((field, target)) => (field == name).then_some(Some(target)),
        None => (field == name).then_some(None),
    })
}
