//! The operation of a request: found, parsed and checked before it runs, for all transports.

pub(crate) mod cost;
pub(crate) mod error;
pub(crate) mod persisted;

use async_graphql::{
    Request, ServerError,
    parser::types::{OperationType, Selection},
};

use self::persisted::Operations;
pub use self::persisted::Settings;
use crate::{auth::Viewer, error::Error, operation::error::of_request};

/// A request that may run. Only [`admit`] makes one.
pub struct Admitted {
    request: Request,
    kind: OperationType,
    fields: Vec<String>,
}

impl Admitted {
    /// The kind of operation.
    pub fn kind(&self) -> OperationType {
        self.kind
    }

    /// The first field at its root, as the schema names it; for metrics.
    pub fn field(&self) -> &str {
        self.fields.first().map_or("fragment", String::as_str)
    }

    /// Whether its root has these fields alone, not by a fragment.
    pub fn has_only(&self, fields: &[&str]) -> bool {
        self.fields.iter().all(|field| fields.contains(&field.as_str()))
    }

    /// The request, its document read.
    pub fn into_request(self) -> Request {
        self.request
    }
}

/// Lets a request in: its document is looked up if it goes by a hash, must be within the bounds, and name one operation.
pub async fn admit(
    operations: &Operations,
    viewer: Option<&Viewer>,
    mut request: Request,
) -> Result<Admitted, ServerError> {
    let staff = viewer.is_some_and(|viewer| viewer.role().is_staff());
    let learn = operations.resolve(&mut request, staff).await.map_err(of_request)?;
    cost::scan(&request.query, &operations.bounds).map_err(of_request)?;
    cost::refuse_characters(&request.variables)?;
    let name = request.operation_name.clone();
    let document = request.parsed_query()?;
    let asks = cost::measure(document, &operations.bounds)?;
    if asks.introspection && !operations.open_introspection && !staff {
        return Err(of_request(Error::Forbidden));
    }
    let mut candidates = document.operations.iter();
    let operation = match &name {
        Some(name) => candidates
            .find(|(operation, _)| operation.is_some_and(|operation| operation.as_str() == name))
            .ok_or_else(|| ServerError::new(format!("There is no operation named {name}."), None))?,
        None => match (candidates.next(), candidates.next()) {
            (Some(only), None) => only,
            _ => {
                let message = "Name the operation to run with `operationName`.";
                return Err(ServerError::new(message, None));
            }
        },
    };
    let kind = operation.1.node.ty;
    let fields = operation.1.node.selection_set.node.items.iter();
    let fields = fields.map(|selection| match &selection.node {
        Selection::Field(field) => field.node.name.node.to_string(),
        _ => "fragment".to_owned(),
    });
    let fields = fields.collect();
    if let Some(hash) = learn {
        operations.learn(hash, &request.query).await;
    }
    Ok(Admitted { request, kind, fields })
}
