//! The context of resolvers: the application, the viewer, the loaders of the operation.

use std::sync::{Arc, Mutex};

use async_graphql::{Context, dataloader::DataLoader};
use axum::http::Extensions;

use super::batch::Batches;
use crate::{
    app::App,
    audit::Source,
    auth::Viewer,
    change::Cause,
    clock::Moment,
    error::{Error, Result},
    limit::Budget,
    sync::lock,
};

/// The context of a request, apart from the viewer.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The request's id, as the client sees it in `x-request-id` and with errors: for logs and for the audit.
    pub request_id: String,
    pub device: crate::account::session::Device,
    /// The reason that cookies of the response would be lost, as over a WebSocket, for whoever signs in.
    pub loses_cookies: Option<String>,
    /// Whether the client asks for the cost of its operations.
    pub asks_cost: bool,
    /// The remaining requests of the client.
    pub requests: Option<Budget>,
}

/// A loader, created for the viewer of an operation.
pub(crate) trait OfOperation: Send + Sync + 'static {
    /// The loader for this operation.
    fn of(ctx: &Context<'_>) -> Result<Self>
    where
        Self: Sized;
}

/// The loaders of one operation by type, each created on first use.
pub(crate) struct Loaders {
    batches: Batches,
    made: Mutex<Extensions>,
}

impl Loaders {
    /// For one operation; `Batches::loads` are to be run beside it.
    pub(crate) fn new(batches: Batches) -> Self {
        Self {
            batches,
            made: Mutex::default(),
        }
    }

    fn get<L: OfOperation>(&self, ctx: &Context<'_>) -> Result<Arc<DataLoader<L>>> {
        let mut made = lock(&self.made);
        if let Some(loader) = made.get::<Arc<DataLoader<L>>>() {
            return Ok(loader.clone());
        }
        let loader = Arc::new(self.batches.loader(L::of(ctx)?));
        made.insert(loader.clone());
        Ok(loader)
    }
}

/// Access to the request's context in resolvers.
pub(crate) trait RequestContext<'a> {
    /// The application.
    fn app(&self) -> &'a App;
    /// The viewer; an error without a session.
    fn viewer(&self) -> Result<&'a Viewer>;
    /// The present moment.
    fn now(&self) -> Moment;
    /// The operation's loader of this type.
    fn loader<L: OfOperation>(&self) -> Result<Arc<DataLoader<L>>>;
    /// The context of the request, apart from the viewer.
    fn caller(&self) -> &'a Caller;
    /// The cause of a change: actor, request and time.
    fn cause(&self) -> Cause;
}

impl<'a> RequestContext<'a> for Context<'a> {
    fn app(&self) -> &'a App {
        self.data_unchecked()
    }

    fn viewer(&self) -> Result<&'a Viewer> {
        self.data_opt().ok_or(Error::Unauthenticated)
    }

    fn now(&self) -> Moment {
        self.app().now()
    }

    fn loader<L: OfOperation>(&self) -> Result<Arc<DataLoader<L>>> {
        self.data_unchecked::<Loaders>().get(self)
    }

    fn caller(&self) -> &'a Caller {
        self.data_unchecked()
    }

    fn cause(&self) -> Cause {
        let viewer = self.viewer().ok();
        Cause {
            source: Source {
                actor: viewer.map(Viewer::user),
                request_id: Some(self.caller().request_id.clone()),
            },
            viewer: viewer.cloned(),
            now: self.now(),
        }
    }
}
