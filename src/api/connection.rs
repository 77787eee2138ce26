//! Lists as connections, by [Relay's specification](https://relay.dev/graphql/connections.htm).

use async_graphql::{
    ComplexObject, ObjectType, OutputType, SimpleObject,
    connection::{Edge, EmptyFields, PageInfo},
};

use super::{
    attempt::{Attempt, AttemptTotal},
    audit::{AuditEntry, AuditTotal},
    board::{AsOf, Standing},
    job::{Job, JobTotal},
    people::UserTotal,
    quiz::{Chapter, ChapterTotal, Quiz, QuizTotal, Subject, SubjectTotal},
    session::Session,
    user::{SessionTotal, User},
};
use crate::page::{Page, Slice};

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(
    complex,
    concrete(name = "AttemptConnection", params(Attempt, AttemptTotal)),
    concrete(name = "AuditConnection", params(AuditEntry, AuditTotal)),
    concrete(name = "ChapterConnection", params(Chapter, ChapterTotal)),
    concrete(name = "JobConnection", params(Job, JobTotal)),
    concrete(name = "QuizConnection", params(Quiz, QuizTotal)),
    concrete(name = "SessionConnection", params(Session, SessionTotal)),
    concrete(name = "StandingConnection", params(Standing, AsOf)),
    concrete(name = "SubjectConnection", params(Subject, SubjectTotal)),
    concrete(name = "UserConnection", params(User, UserTotal))
)]
pub struct Connection<N: OutputType, F: ObjectType> {
    /// The objects of the page, each with its cursor.
    edges: Vec<Edge<String, N, EmptyFields>>,
    /// Information for paginating forwards and backwards.
    page_info: PageInfo,
    #[graphql(flatten)]
    beside: F,
}

#[ComplexObject]
impl<N: OutputType, F: ObjectType> Connection<N, F> {
    /// The objects of the page.
    async fn nodes(&self) -> Vec<&N> {
        self.edges.iter().map(|edge| &edge.node).collect()
    }
}

/// Turns a page of rows into a connection with additional fields.
pub fn connection<T, N: OutputType, F: ObjectType>(
    slice: Slice<T>,
    beside: F,
    cursor: impl Fn(&T) -> String,
    node: impl Fn(T) -> N,
) -> Connection<N, F> {
    let edge = |row| Edge::new(cursor(&row), node(row));
    let edges: Vec<_> = slice.rows.into_iter().map(edge).collect();
    let cursor = |edge: Option<&Edge<String, N, EmptyFields>>| edge.map(|edge| edge.cursor.clone());
    Connection {
        page_info: PageInfo {
            has_previous_page: slice.has_previous,
            has_next_page: slice.has_next,
            start_cursor: cursor(edges.first()),
            end_cursor: cursor(edges.last()),
        },
        edges,
        beside,
    }
}

/// The cost of a page: each row with its selected fields.
pub fn page_cost(first: Option<i32>, last: Option<i32>, child_complexity: usize) -> usize {
    let rows = first.or(last).unwrap_or(Page::<()>::USUAL).clamp(1, Page::<()>::MAX);
    1 + usize::try_from(rows).unwrap_or(1) * child_complexity
}
