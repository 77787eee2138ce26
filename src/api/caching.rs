//! Operations whose responses may be kept by whoever carried or received them.
//!
//! A response may be kept if it is to a GET of a persisted query, and every field that the query selects is listed here: it
//! has the same value for everybody who may read it, whoever asks. What is not listed is not kept, so a new field changes
//! nothing until somebody thinks about it. A list that names what depends on the viewer fails `tests/it/caching.rs`, which
//! asks for each listed field as everybody.

use async_graphql::parser::types::{Field as Selected, OperationType, Selection, SelectionSet};
use async_graphql_value::Value as Literal;

use crate::{
    app::App,
    operation::{
        Admitted,
        normal::{Below, Field, Object},
    },
    ranks::board::Board,
};

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
pub(crate) fn of(admitted: &Admitted, app: &App) -> Option<Kept> {
    let is_kept = admitted.is_persisted() && admitted.kind() == OperationType::Query;
    is_kept
        .then(|| selection(admitted.form(), admitted.selection(), app))
        .flatten()
}

/// Of all fields; the form and the selection have them in the same order.
fn selection(form: &Object, set: &SelectionSet, app: &App) -> Option<Kept> {
    let fields = form.fields.iter().zip(&set.items);
    fields
        .map(|(field, selected)| of_field(&form.name, field, &selected.node, app))
        .try_fold(Kept::ByAnyone, |all, field| Some(all.max(field?)))
}

fn of_field(ty: &str, field: &Field, selected: &Selection, app: &App) -> Option<Kept> {
    let Selection::Field(selected) = selected else {
        return None;
    };
    let (name, selected) = (field.name.as_str(), &selected.node);
    if name == "__typename" {
        return Some(Kept::ByAnyone);
    }
    let kept = match (is_listed(PUBLIC, ty, name), is_listed(SIGNED_IN, ty, name)) {
        (true, _) => Kept::ByAnyone,
        (false, true) => Kept::ByClient,
        (false, false) => return None,
    };
    if (ty, name) == ("Query", "board") && !is_closed(selected, app) {
        return None;
    }
    match &field.below {
        Below::Leaf => Some(kept),
        Below::Object(form) => Some(kept.max(selection(form, &selected.selection_set.node, app)?)),
        Below::Several(_) => None,
    }
}

/// Whether a field names the window of a board that has ended.
fn is_closed(board: &Selected, app: &App) -> bool {
    let Some(Literal::String(id)) = board.get_argument("id").map(|id| &id.node) else {
        return false;
    };
    let ends_at = Board::decode(id).and_then(|board| board.window.ends_at(app.zone));
    ends_at.is_some_and(|end| end <= app.clock.now())
}

fn is_listed(fields: &Fields, ty: &str, name: &str) -> bool {
    let listed = fields.iter().find(|(of, _)| *of == ty).map_or("", |(_, listed)| listed);
    listed
        .split_whitespace()
        .any(|field| field.split(':').next() == Some(name))
}
