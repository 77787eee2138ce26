//! The GraphQL schema: the domains' surfaces put together, and the little that they share.

use async_graphql::{
    Context, ID, Interface, MergedObject, MergedSubscription, Object, OutputType, PathSegment, ServerError,
    SimpleObject,
    connection::{Connection, CursorType, Edge},
    dataloader::DataLoader,
};

use crate::{
    account::{
        self,
        graphql::{AccountMutation, AccountQuery, User},
    },
    app::App,
    attempt::{
        self,
        graphql::{Attempt, AttemptMutation, AttemptQuery},
    },
    auth::Viewer,
    clock::{Moment, Time},
    dashboard::graphql::DashboardQuery,
    entity::{AttemptId, ChapterId, QuizId, SubjectId, UserId},
    error::{Error, Result},
    leaderboard::{
        self, board,
        graphql::{Board, BoardQuery, BoardSubscription},
    },
    page::Slice,
    quiz::{
        self,
        graphql::{CatalogueQuery, Chapter, Quiz, Subject},
    },
};

/// The schema of Marmalade.
pub type Schema = async_graphql::Schema<Query, Mutation, Subscription>;

/// What can be asked.
#[derive(MergedObject, Default)]
pub struct Query(
    NodeQuery,
    AccountQuery,
    CatalogueQuery,
    AttemptQuery,
    DashboardQuery,
    BoardQuery,
);

/// What can be changed. Outcomes that a person can act on are in the payload's `errors`.
#[derive(MergedObject, Default)]
pub struct Mutation(AccountMutation, AttemptMutation);

/// What can be followed. Every stream begins with the present state and goes on with each new one.
#[derive(MergedSubscription, Default)]
pub struct Subscription(BoardSubscription);

/// Deeper than any screen needs; introspection as GraphiQL asks it is 13 deep.
const DEPTH: usize = 16;
/// A page of 100 rows with everything a row shows costs a few thousand.
const COMPLEXITY: usize = 20_000;

/// Builds the schema. Request data (the app, the viewer, loaders) is added by [`with_request`].
pub fn build() -> Schema {
    async_graphql::Schema::build(Query::default(), Mutation::default(), Subscription::default())
        .limit_depth(DEPTH)
        .limit_complexity(COMPLEXITY)
        .limit_directives(50)
        .finish()
}

/// The text of `schema.graphql`.
pub fn sdl() -> String {
    build().sdl_with_options(
        async_graphql::SDLExportOptions::new()
            .sorted_fields()
            .sorted_arguments()
            .sorted_enum_items(),
    )
}

/// Who and what a request is, beside the viewer.
#[derive(Clone, Debug)]
pub struct Caller {
    pub device: crate::auth::session::Device,
    /// Whether the response can carry cookies: over HTTP it can, over a WebSocket not.
    pub takes_cookies: bool,
}

/// Equips a request with what its resolvers reach for. Loaders live as long as the operation and cache nothing beyond
/// a batch.
pub fn with_request(
    request: async_graphql::Request,
    app: &App,
    viewer: Option<Viewer>,
    caller: Caller,
) -> async_graphql::Request {
    let db = || app.db.clone();
    let mut request = request
        .data(app.clone())
        .data(caller)
        .data(DataLoader::new(account::loader::Accounts(db()), tokio::spawn))
        .data(DataLoader::new(quiz::loader::Subjects(db()), tokio::spawn))
        .data(DataLoader::new(quiz::loader::Chapters(db()), tokio::spawn))
        .data(DataLoader::new(quiz::loader::Catalogue(db()), tokio::spawn))
        .data(DataLoader::new(attempt::loader::Results(db()), tokio::spawn))
        .data(DataLoader::new(attempt::loader::Answers(db()), tokio::spawn));
    if let Some(viewer) = viewer {
        request = request
            .data(DataLoader::new(
                quiz::loader::QuizzesOfAttempts(db(), viewer.clone()),
                tokio::spawn,
            ))
            .data(DataLoader::new(
                attempt::loader::Attempts(db(), viewer.clone()),
                tokio::spawn,
            ))
            .data(viewer);
    }
    request
}

/// What resolvers reach for.
pub trait RequestContext<'a> {
    /// The application.
    fn app(&self) -> &'a App;
    /// Whoever is asking; an error if nobody is signed in.
    fn viewer(&self) -> Result<&'a Viewer>;
    /// The present moment.
    fn now(&self) -> Moment;
    /// Who and what the request is, beside the viewer.
    fn caller(&self) -> &'a Caller;
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

    fn caller(&self) -> &'a Caller {
        self.data_unchecked()
    }
}

/// An object with an id of its own.
#[derive(Interface)]
#[expect(clippy::large_enum_variant, reason = "a node lives for one field of one response")]
#[graphql(field(name = "id", ty = "ID", desc = "The opaque id of the object."))]
pub enum Node {
    User(User),
    Subject(Subject),
    Chapter(Chapter),
    Quiz(Quiz),
    Attempt(Attempt),
    Board(Board),
}

/// Objects by id.
#[derive(Default)]
pub struct NodeQuery;

#[Object]
impl NodeQuery {
    /// The object with this id. One that is not there and one that the viewer may not know of look the same.
    async fn node(&self, ctx: &Context<'_>, #[graphql(desc = "The id of the object.")] id: ID) -> Result<Option<Node>> {
        node(ctx, &id).await.map(Some)
    }

    /// The objects with these ids, in their order; `null` with an error where there is none. At most 100.
    #[graphql(complexity = "ids.len() * (1 + child_complexity)")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The ids of the objects.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > 100 {
            return Err(Error::BadInput("Ask for 100 nodes at most.".into()));
        }
        // All at once, so that the loaders make one statement per kind of object.
        let found = futures_util::future::join_all(ids.iter().map(|id| node(ctx, id))).await;
        let nodes = found.into_iter().enumerate().map(|(index, found)| match found {
            Ok(node) => Some(node),
            Err(error) => {
                ctx.add_error(at_item(ctx, error, index));
                None
            }
        });
        Ok(nodes.collect())
    }
}

/// An error about one item of the list that a field returns.
fn at_item(ctx: &Context<'_>, error: Error, index: usize) -> ServerError {
    let mut error = ctx.set_error_path(async_graphql::Error::from(error).into_server_error(ctx.item.pos));
    error.path.push(PathSegment::Index(index));
    error
}

async fn node(ctx: &Context<'_>, id: &str) -> Result<Node> {
    let prefix = id.split_once('_').map_or("", |(prefix, _)| prefix);
    Ok(match prefix {
        UserId::PREFIX => account::graphql::user(ctx, UserId::decode(id)?).await?.into(),
        SubjectId::PREFIX => quiz::graphql::subject(ctx, SubjectId::decode(id)?).await?.into(),
        ChapterId::PREFIX => quiz::graphql::chapter(ctx, ChapterId::decode(id)?).await?.into(),
        QuizId::PREFIX => quiz::graphql::quiz(ctx, QuizId::decode(id)?).await?.into(),
        AttemptId::PREFIX => attempt::graphql::attempt(ctx, AttemptId::decode(id)?).await?.into(),
        board::Board::PREFIX => leaderboard::graphql::board_by_id(ctx, id).await?.into(),
        _ => return Err(Error::NotFound),
    })
}

/// Turns a page of rows into a connection.
pub fn connection<T, C, N, F>(
    slice: Slice<T>,
    fields: F,
    cursor: impl Fn(&T) -> C,
    node: impl Fn(T) -> N,
) -> Connection<C, N, F>
where
    C: CursorType + Send + Sync,
    N: OutputType,
    F: async_graphql::ObjectType,
{
    let mut connection = Connection::with_additional_fields(slice.has_previous, slice.has_next, fields);
    connection.edges.extend(slice.rows.into_iter().map(|row| {
        let cursor = cursor(&row);
        Edge::new(cursor, node(row))
    }));
    connection
}

/// The time as the API shows it.
pub fn date_time(at: Time) -> chrono::DateTime<chrono::Utc> {
    at.to_utc()
}

/// Points from thousandths of a point.
pub fn points(score: i64) -> f64 {
    score as f64 / 1000.0
}

/// An outcome that a person can act on.
#[derive(SimpleObject)]
pub struct UserError {
    /// What kind of outcome it is.
    code: crate::error::UserErrorCode,
    /// What to do, in words to show.
    message: String,
    /// Where in the arguments the mistake is, e.g. `["input", "email"]`; empty if nowhere in particular.
    path: Vec<String>,
}

impl From<crate::error::UserError> for UserError {
    fn from(error: crate::error::UserError) -> Self {
        Self {
            code: error.code,
            message: error.message,
            path: error.path,
        }
    }
}
