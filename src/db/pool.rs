//! Connections on which a statement alone is a transaction of its own.
#![expect(clippy::disallowed_methods, reason = "transactions are made of the library's here")]

use std::{pin::Pin, sync::Arc};

use futures_util::{TryStreamExt, stream::BoxStream};
use migration::{IntoSchemaManagerConnection, SchemaManagerConnection};
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, DbErr, ExecResult, QueryResult,
    SqliteTransactionMode, Statement, StreamTrait, TransactionOptions, TransactionTrait,
};
use tracing::Instrument;

use super::pooler::Pooler;

/// Connections to a database, or one transaction in their place.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Inner,
    /// What each transaction begins with, behind a pooler. A statement alone is then such a transaction, too.
    prelude: Option<Arc<str>>,
}

#[derive(Clone, Debug)]
enum Inner {
    Connections(DatabaseConnection),
    Transaction(Arc<DatabaseTransaction>),
}

impl Pool {
    pub(super) fn new(connections: DatabaseConnection, prelude: Option<Arc<str>>) -> Self {
        Self {
            inner: Inner::Connections(connections),
            prelude,
        }
    }

    /// All statements run in this transaction, and transactions within it.
    pub(super) fn within(transaction: Arc<DatabaseTransaction>) -> Self {
        Self {
            inner: Inner::Transaction(transaction),
            prelude: None,
        }
    }

    pub(super) fn pooler(&self) -> Pooler {
        match self.prelude {
            Some(_) => Pooler::Transaction,
            None => Pooler::None,
        }
    }

    /// The connections themselves, unless this is a transaction.
    pub(super) fn connections(&self) -> Option<&DatabaseConnection> {
        match &self.inner {
            Inner::Connections(connections) => Some(connections),
            Inner::Transaction(_) => None,
        }
    }

    pub(super) fn connections_mut(&mut self) -> Option<&mut DatabaseConnection> {
        match &mut self.inner {
            Inner::Connections(connections) => Some(connections),
            Inner::Transaction(_) => None,
        }
    }

    /// Begins a transaction. On SQLite it takes the write lock at once (`IMMEDIATE`): a transaction that reads first
    /// and writes later would fail if another one wrote in between.
    pub(super) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        let connections = match &self.inner {
            Inner::Connections(connections) => connections,
            Inner::Transaction(transaction) => return transaction.begin().await,
        };
        let immediate = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        };
        // In a task of its own, which ends whoever waits for it: of a `BEGIN` that is given up on its way the driver for
        // PostgreSQL knows nothing (sqlx 0.9.0, https://github.com/transact-rs/sqlx/issues/4393). It lends the connection
        // to others, who then write into that transaction, which nobody commits.
        let connections = connections.clone();
        let begins = async move { connections.begin_with_options(immediate).await };
        let begun = tokio::spawn(begins.in_current_span()).await;
        let transaction = begun.map_err(|died| DbErr::Custom(died.to_string()))??;
        if let Some(prelude) = &self.prelude {
            transaction.execute_unprepared(prelude).await?;
        }
        Ok(transaction)
    }
}

/// Runs a statement alone.
macro_rules! alone {
    ($pool:ident.$run:ident($statement:expr)) => {
        match &$pool.inner {
            Inner::Transaction(transaction) => transaction.$run($statement).await,
            Inner::Connections(connections) if $pool.prelude.is_none() => connections.$run($statement).await,
            Inner::Connections(_) => {
                let transaction = $pool.begin().await?;
                let outcome = transaction.$run($statement).await?;
                transaction.commit().await?;
                Ok(outcome)
            }
        }
    };
}

#[async_trait::async_trait]
impl ConnectionTrait for Pool {
    fn get_database_backend(&self) -> DbBackend {
        match &self.inner {
            Inner::Connections(connections) => connections.get_database_backend(),
            Inner::Transaction(transaction) => ConnectionTrait::get_database_backend(&**transaction),
        }
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        alone!(self.query_one_raw(statement))
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        alone!(self.query_all_raw(statement))
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        alone!(self.execute_raw(statement))
    }

    async fn execute_unprepared(&self, statements: &str) -> Result<ExecResult, DbErr> {
        alone!(self.execute_unprepared(statements))
    }
}

type Rows<'a> = BoxStream<'a, Result<QueryResult, DbErr>>;

impl StreamTrait for Pool {
    type Stream<'a> = Rows<'a>;

    fn get_database_backend(&self) -> DbBackend {
        ConnectionTrait::get_database_backend(self)
    }

    fn stream_raw<'a>(
        &'a self,
        statement: Statement,
    ) -> Pin<Box<dyn Future<Output = Result<Rows<'a>, DbErr>> + 'a + Send>> {
        Box::pin(async move {
            let rows: Rows<'a> = match &self.inner {
                Inner::Transaction(transaction) => Box::pin(transaction.stream_raw(statement).await?),
                Inner::Connections(connections) if self.prelude.is_none() => {
                    Box::pin(connections.stream_raw(statement).await?)
                }
                Inner::Connections(_) => Box::pin(async_stream::try_stream! {
                    let transaction = self.begin().await?;
                    let mut rows = transaction.stream_raw(statement).await?;
                    while let Some(row) = rows.try_next().await? {
                        yield row;
                    }
                    drop(rows);
                    transaction.commit().await?;
                }),
            };
            Ok(rows)
        })
    }
}

/// For the migrator, which begins transactions of its own: behind a pooler it is given one instead.
impl<'c> IntoSchemaManagerConnection<'c> for &'c Pool {
    fn into_database_executor(self) -> SchemaManagerConnection<'c> {
        match &self.inner {
            Inner::Connections(connections) => SchemaManagerConnection::Connection(connections),
            Inner::Transaction(transaction) => SchemaManagerConnection::Transaction(transaction),
        }
    }
}
