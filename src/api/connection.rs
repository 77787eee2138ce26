//! Lists as connections, by [Relay's specification](https://relay.dev/graphql/connections.htm).

use async_graphql::{
    Context, Object, ObjectType, OutputType,
    connection::{self, ConnectionNameType, DefaultConnectionName, Edge, EmptyFields},
};
use futures_util::future::BoxFuture;

use crate::{error::Result, page::Slice};

/// A page of a list, with additional fields.
pub(crate) type Connection<N, F = Total, Name = DefaultConnectionName> =
    connection::Connection<String, N, F, EmptyFields, Name>;

/// Turns a page of rows into a connection with additional fields.
pub(crate) fn connection<T, N: OutputType, F: ObjectType, Name: ConnectionNameType>(
    slice: Slice<T>,
    beside: F,
    cursor: impl Fn(&T) -> String,
    node: impl Fn(T) -> N,
) -> Connection<N, F, Name> {
    let mut page = Connection::with_additional_fields(slice.has_previous, slice.has_next, beside);
    let edge = |row| Edge::new(cursor(&row), node(row));
    page.edges = slice.rows.into_iter().map(edge).collect();
    page
}

type Count = dyn for<'a> Fn(&'a Context<'_>) -> BoxFuture<'a, Result<u64>> + Send + Sync;

/// Beside a page: the length of the list.
pub(crate) struct Total(Box<Count>);

impl Total {
    /// Counted by this function.
    pub(crate) fn of(
        count: impl for<'a> Fn(&'a Context<'_>) -> BoxFuture<'a, Result<u64>> + Send + Sync + 'static,
    ) -> Self {
        Self(Box::new(count))
    }
}

#[Object]
impl Total {
    /// The total number of items. Counted only if selected.
    async fn total_count(&self, ctx: &Context<'_>) -> Result<u64> {
        (self.0)(ctx).await
    }
}
