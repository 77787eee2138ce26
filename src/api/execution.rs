//! From a request to its answers. The library validates the document as it was sent, and runs its normal form; what is
//! between and after is ours (`operation/normal.rs`, `operation/answer.rs`), because the library's executor departs from
//! the specification.

use std::sync::Arc;

use async_graphql::{
    Request, Response, ServerError, ValidationMode,
    extensions::{Extension, ExtensionContext, ExtensionFactory, NextExecute},
    parser::types::OperationType,
    value,
};
use futures_util::{FutureExt as _, Stream, StreamExt as _};

use super::measure::measured;
use crate::{
    api::{
        batch::Batches,
        context::{Caller, Loaders},
        cost::{self, Meter},
        schema::{Mutation, Query, Subscription, definition},
    },
    app::App,
    auth::Viewer,
    config::Mode,
    error::{Error, Result},
    operation::{self, Admitted, Answer, error::of_request, types::Types},
};

type Library = async_graphql::Schema<Query, Mutation, Subscription>;

/// The schema, ready to run operations.
#[derive(Clone)]
pub struct Schema(Arc<Parts>);

struct Parts {
    validator: Library,
    executor: Library,
    types: Types,
}

impl Schema {
    /// Builds the schema.
    pub fn new() -> Result<Self> {
        let executor = definition().validation_mode(ValidationMode::Fast).finish();
        Ok(Self(Arc::new(Parts {
            types: Types::of(&executor.sdl())?,
            validator: definition().extension(ValidatesOnly).finish(),
            executor,
        })))
    }

    /// Lets a request in that is valid, and costs no more than is allowed.
    pub async fn admit(
        &self,
        app: &App,
        viewer: Option<&Viewer>,
        request: Request,
    ) -> Result<Admitted, Vec<ServerError>> {
        let staff = viewer.is_some_and(|viewer| viewer.role().is_staff());
        let validate = |request| {
            // Nothing in it waits.
            let judged = self.0.validator.execute(request).now_or_never();
            let mut errors = judged.map_or_else(
                || vec![of_request(Error::internal("the validator waits"))],
                |judged| judged.errors,
            );
            if app.config.site.mode == Mode::Production && !staff {
                errors.iter_mut().for_each(hide_names);
            }
            if errors.is_empty() { Ok(()) } else { Err(errors) }
        };
        let admitted = operation::admit(&app.operations, &self.0.types, validate, viewer, request).await?;
        let cost = cost::of(admitted.selection());
        match cost::refusal(cost, app.config.operations.bounds.complexity) {
            Some(refusal) => Err(vec![of_request(refusal)]),
            None => Ok(admitted),
        }
    }

    /// Runs an operation: one answer for a query or a mutation, one per event for a subscription. Request data (the app,
    /// the viewer, loaders) is added here.
    pub fn run(
        &self,
        admitted: Admitted,
        app: &App,
        viewer: Option<Viewer>,
        caller: Caller,
    ) -> impl Stream<Item = Answer> + Send + use<> {
        let (kind, field) = (admitted.kind(), admitted.fields().next().unwrap_or("none").to_owned());
        let (cost, depth) = (cost::of(admitted.selection()), cost::depth(admitted.selection()));
        let (maximum, asks_cost) = (app.config.operations.bounds.complexity, caller.asks_cost);
        let meter = Arc::new(Meter::new(cost, maximum));
        let batches = Batches::default();
        let loads = batches.loads();
        let (request, form) = admitted.into_parts();
        let mut request = request
            .data(meter.clone())
            .data(app.clone())
            .data(caller)
            .data(Loaders::new(batches));
        if let Some(viewer) = viewer {
            request = request.data(viewer);
        }
        let responses = loads.drive(self.0.executor.execute_stream(request));
        let answers = responses.map(move |response: Response| {
            let is_query = kind == OperationType::Query;
            let mut answer = match meter.refusal().filter(|_| is_query) {
                // As if it had been known before: a part of what was asked for is of no use.
                Some(refusal) => Answer::refusal(vec![of_request(refusal)]),
                None => form.answer(response),
            };
            if asks_cost {
                let cost = value!({ "requested": meter.spent(), "maximum": maximum, "depth": depth });
                answer.extensions.insert("cost".into(), cost);
            }
            meter.restart();
            answer
        });
        measured(kind, field, answers)
    }
}

/// Takes out what a message tells of the schema.
fn hide_names(error: &mut ServerError) {
    if let Some(hint) = error.message.find(" Did you mean") {
        error.message.truncate(hint);
    }
}

/// Ends a request once it has been validated.
struct ValidatesOnly;

impl ExtensionFactory for ValidatesOnly {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_trait::async_trait]
impl Extension for ValidatesOnly {
    async fn execute(&self, _: &ExtensionContext<'_>, _: Option<&str>, _: NextExecute<'_>) -> Response {
        Response::default()
    }
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod properties;
