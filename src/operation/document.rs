//! The document of a request, reduced to the operation that runs.

use std::collections::HashSet;

use async_graphql::{
    Name, Positioned, ServerError,
    parser::{
        self, parse_query,
        types::{
            DocumentOperations, ExecutableDocument, Field, InlineFragment, OperationDefinition, Selection, SelectionSet,
        },
    },
};

/// Parses a document. A mistake is told in one sentence, its place in the error's location.
pub(crate) fn parse(text: &str) -> Result<ExecutableDocument, ServerError> {
    parse_query(text).map_err(|error| {
        let at = error.positions().next();
        let message = match &error {
            // The parser draws the line with an arrow below it, and ends with what it expected.
            parser::Error::Syntax { message, .. } => {
                let expected = message
                    .rsplit_once("= ")
                    .map_or("it is no GraphQL", |(_, expected)| expected);
                format!("Syntax error: {}.", expected.trim().replace('_', " "))
            }
            other => format!("The {other}."),
        };
        ServerError::new(message, at)
    })
}

/// Leaves the operation to run and the fragments that it reaches: nothing else is judged, charged or run.
pub(crate) fn choose(document: ExecutableDocument, name: Option<&str>) -> Result<ExecutableDocument, ServerError> {
    let ExecutableDocument {
        operations,
        mut fragments,
    } = document;
    let operations = match (operations, name) {
        (DocumentOperations::Multiple(mut named), Some(name)) => {
            named.retain(|operation, _| operation.as_str() == name);
            DocumentOperations::Multiple(named)
        }
        (DocumentOperations::Single(_), Some(_)) => DocumentOperations::Multiple(std::collections::HashMap::new()),
        (operations, None) => operations,
    };
    let mut chosen = operations.iter().map(|(_, operation)| operation);
    let operation = match (chosen.next(), chosen.next(), name) {
        (Some(operation), None, _) => operation,
        (_, _, Some(name)) => {
            let message = format!("There is no operation named {name}.");
            return Err(ServerError::new(message, None));
        }
        (_, _, None) => {
            let message = "Name the operation to run with `operationName`.";
            return Err(ServerError::new(message, None));
        }
    };
    let mut reached = HashSet::<Name>::new();
    let mut open = vec![&operation.node.selection_set.node];
    while let Some(set) = open.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => open.push(&field.node.selection_set.node),
                Selection::InlineFragment(fragment) => open.push(&fragment.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if reached.insert(name.clone()) {
                        open.extend(fragments.get(name).map(|fragment| &fragment.node.selection_set.node));
                    }
                }
            }
        }
    }
    fragments.retain(|name, _| reached.contains(name));
    Ok(ExecutableDocument { operations, fragments })
}

/// The one operation of a document that [`choose`] has reduced.
pub(crate) fn operation(document: &ExecutableDocument) -> Option<&OperationDefinition> {
    document.operations.iter().next().map(|(_, operation)| &operation.node)
}

/// Puts `__typename @include(…)` as `... @include(…) { __typename }`: the library's validators don't look at the
/// directives of `__typename`, and say that their variables are not used.
pub(crate) fn show_directives(document: &mut ExecutableDocument) {
    let operations: Box<dyn Iterator<Item = &mut Positioned<OperationDefinition>>> = match &mut document.operations {
        DocumentOperations::Single(operation) => Box::new(std::iter::once(operation)),
        DocumentOperations::Multiple(named) => Box::new(named.values_mut()),
    };
    operations.for_each(|operation| show_directives_in(&mut operation.node.selection_set.node));
    for fragment in document.fragments.values_mut() {
        show_directives_in(&mut fragment.node.selection_set.node);
    }
}

fn show_directives_in(set: &mut SelectionSet) {
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(Positioned { node: field, pos }) if is_conditional_typename(field) => {
                let (pos, directives) = (*pos, std::mem::take(&mut field.directives));
                let field = std::mem::replace(&mut selection.node, Selection::InlineFragment(empty(pos)));
                if let Selection::InlineFragment(fragment) = &mut selection.node {
                    fragment.node.directives = directives;
                    fragment.node.selection_set.node.items = vec![Positioned::new(field, pos)];
                }
            }
            Selection::Field(field) => show_directives_in(&mut field.node.selection_set.node),
            Selection::InlineFragment(fragment) => show_directives_in(&mut fragment.node.selection_set.node),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn is_conditional_typename(field: &Field) -> bool {
    field.name.node == "__typename" && !field.directives.is_empty()
}

fn empty(pos: async_graphql::Pos) -> Positioned<InlineFragment> {
    let fragment = InlineFragment {
        type_condition: None,
        directives: Vec::new(),
        selection_set: Positioned::new(SelectionSet { items: Vec::new() }, pos),
    };
    Positioned::new(fragment, pos)
}
