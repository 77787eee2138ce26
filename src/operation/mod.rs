//! The operation of a request: found, parsed, checked and brought into its normal form before it runs, and its answer
//! written by that form, for all transports.

pub(crate) mod answer;
pub(crate) mod cost;
mod document;
pub(crate) mod error;
pub(crate) mod normal;
pub(crate) mod persisted;
pub(crate) mod types;
mod variables;

use async_graphql::{
    Request, Response, ServerError,
    parser::types::{DocumentOperations, ExecutableDocument, OperationType, SelectionSet},
};

pub use self::{answer::Answer, persisted::Settings};
use self::{
    normal::{Normal, Object, normalise},
    persisted::Operations,
    types::Types,
    variables::Values,
};
use crate::{auth::Viewer, error::Error, operation::error::of_request};

/// A request that may run. Only [`admit`] makes one.
pub struct Admitted {
    request: Request,
    normal: Normal,
    is_persisted: bool,
}

/// What the answers to an operation look like.
pub(crate) struct Form(Object);

impl Admitted {
    /// The kind of operation.
    pub fn kind(&self) -> OperationType {
        self.normal.operation.ty
    }

    /// The fields at its root, as the schema names them.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.normal.form.fields.iter().map(|field| field.name.as_str())
    }

    /// Whether it went by an id.
    pub(crate) fn is_persisted(&self) -> bool {
        self.is_persisted
    }

    /// What its answers look like.
    pub(crate) fn form(&self) -> &Object {
        &self.normal.form
    }

    /// What it selects, in normal form.
    pub(crate) fn selection(&self) -> &SelectionSet {
        &self.normal.operation.selection_set.node
    }

    /// The request, its document in normal form, and the form of its answers.
    pub(crate) fn into_parts(self) -> (Request, Form) {
        let Self {
            mut request, normal, ..
        } = self;
        let pos = normal.operation.selection_set.pos;
        request.set_parsed_query(ExecutableDocument {
            operations: DocumentOperations::Single(async_graphql::Positioned::new(normal.operation, pos)),
            fragments: Default::default(),
        });
        (request, Form(normal.form))
    }
}

impl Form {
    #[cfg(test)]
    pub(crate) fn object(&self) -> &Object {
        &self.0
    }

    /// Writes what was executed.
    pub(crate) fn answer(&self, response: Response) -> Answer {
        Answer::of(&self.0, response)
    }
}

/// Lets a request in: its document is looked up if it goes by a hash, must be within the bounds, name one operation and
/// be valid.
pub(crate) async fn admit(
    operations: &Operations,
    types: &Types,
    validate: impl Fn(Request) -> Result<(), Vec<ServerError>>,
    viewer: Option<&Viewer>,
    mut request: Request,
) -> Result<Admitted, Vec<ServerError>> {
    let staff = viewer.is_some_and(|viewer| viewer.role().is_staff());
    let refuse = |error| vec![of_request(error)];
    let is_persisted = request.query.is_empty();
    let learn = operations.resolve(&mut request, staff).await.map_err(refuse)?;
    cost::scan(&request.query, &operations.bounds).map_err(refuse)?;
    cost::refuse_characters(&request.variables).map_err(|error| vec![error])?;
    let normal = read(operations, types, &validate, staff, &request)?;
    if let Some(hash) = learn {
        operations.learn(hash, &request.query).await;
    }
    // All of it is in the normal form.
    request.query.clear();
    request.variables = Default::default();
    request.operation_name = None;
    Ok(Admitted {
        request,
        normal,
        is_persisted,
    })
}

/// Reads and judges the document of a request.
fn read(
    operations: &Operations,
    types: &Types,
    validate: &impl Fn(Request) -> Result<(), Vec<ServerError>>,
    staff: bool,
    request: &Request,
) -> Result<Normal, Vec<ServerError>> {
    let one = |error| vec![error];
    let name = request.operation_name.as_deref();
    let mut document = document::choose(document::parse(&request.query).map_err(one)?, name).map_err(one)?;
    let asks = cost::measure(&document, &operations.bounds).map_err(one)?;
    let is_open = operations.open_introspection || staff;
    if asks.introspection && !is_open {
        return Err(vec![of_request(Error::Forbidden)]);
    }
    document::show_directives(&mut document);
    let operation = document::operation(&document).ok_or_else(Vec::new)?;
    let values = Values::of(&operation.variable_definitions, &request.variables).map_err(one)?;
    let mut judged = Request::new("").variables(request.variables.clone());
    judged.operation_name.clone_from(&request.operation_name);
    judged.set_parsed_query(document.clone());
    validate(judged)?;
    let normal = normalise(types, &document, operation, &values, is_open).map_err(one)?;
    if values.are_too_much() {
        let message = "The arguments of the operation are too long, or stand at too many fields. Send less at once.";
        return Err(vec![of_request(Error::TooComplex(message.into()))]);
    }
    if operation.ty == OperationType::Subscription && normal.form.fields.len() != 1 {
        let message = "A subscription selects one field at its root. Subscribe to each by itself.";
        return Err(vec![ServerError::new(message, None)]);
    }
    Ok(normal)
}
