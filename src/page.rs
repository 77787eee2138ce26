//! Keyset pagination: a page starts at the key of a row, never at a position, so its cost does not depend on its
//! position.

use std::{collections::HashMap, hash::Hash};

use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    QueryTrait, Select,
    sea_query::{Asterisk, Query, UnionType},
};

use crate::error::{Error, Result};

/// The most lists of one statement. SQLite puts no more than 500 selects together.
const LISTS_AT_ONCE: usize = 200;

/// The requested rows: `limit` of them after or before a key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Page<K> {
    pub after: Option<K>,
    pub before: Option<K>,
    pub limit: usize,
    /// Whether the last rows are requested instead of the first.
    pub backward: bool,
}

/// The rows of a page, in the list's order, and whether there are more on either side.
#[derive(Clone, Debug)]
pub struct Slice<T> {
    pub rows: Vec<T>,
    pub has_previous: bool,
    pub has_next: bool,
}

/// The direction of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Ascending,
    Descending,
}

impl<K> Page<K> {
    /// The most rows of one page.
    pub const MAX: i32 = 100;
    /// The default page size.
    pub const USUAL: i32 = 20;

    /// Reads the arguments of a connection. `read` reads a cursor.
    pub fn of(
        (first, last): (Option<i32>, Option<i32>),
        (after, before): (Option<String>, Option<String>),
        read: impl Fn(&str) -> Option<K>,
    ) -> Result<Self> {
        let key = |cursor: Option<String>| {
            let bad =
                || Error::BadInput("This cursor is not one of this list. Use one that the list has returned.".into());
            cursor.map(|cursor| read(&cursor).ok_or_else(bad)).transpose()
        };
        let (limit, backward) = match (first, last) {
            (Some(_), Some(_)) => return Err(Error::BadInput("Give `first` or `last`, not both.".into())),
            (first, None) => (first.unwrap_or(Self::USUAL), false),
            (None, Some(last)) => (last, true),
        };
        if !(1..=Self::MAX).contains(&limit) {
            return Err(Error::BadInput(format!("`first` and `last` are 1 to {}.", Self::MAX)));
        }
        Ok(Self {
            after: key(after)?,
            before: key(before)?,
            limit: usize::try_from(limit).unwrap_or(1),
            backward,
        })
    }

    /// Narrows a query to the page by a unique column. One row more is read, to know whether there are more.
    pub fn select<S, C>(&self, query: S, column: C, order: Order) -> S
    where
        S: QueryFilter + QueryOrder + QuerySelect,
        C: ColumnTrait,
        K: Copy + Into<sea_orm::Value>,
    {
        let ascending = order == Order::Ascending;
        let beyond = |key, forward: bool| {
            if forward == ascending {
                column.gt::<sea_orm::Value>(key)
            } else {
                column.lt::<sea_orm::Value>(key)
            }
        };
        let mut query = query;
        if let Some(after) = self.after {
            query = query.filter(beyond(after.into(), true));
        }
        if let Some(before) = self.before {
            query = query.filter(beyond(before.into(), false));
        }
        let query = if ascending == self.backward {
            query.order_by_desc(column)
        } else {
            query.order_by_asc(column)
        };
        query.limit(Some(self.limit as u64 + 1))
    }

    /// The page of each of several lists of one kind, in one statement: the queries of all pages put together, because
    /// a window function would read every list to its end. `place` is the list of a row, and its key.
    pub(crate) async fn of_each<E, L>(
        &self,
        conn: &impl ConnectionTrait,
        lists: impl IntoIterator<Item = (L, Select<E>)>,
        (column, order): (E::Column, Order),
        place: impl Fn(&E::Model) -> (L, K),
    ) -> Result<HashMap<L, Slice<E::Model>>, DbErr>
    where
        E: EntityTrait,
        L: Copy + Eq + Hash,
        K: Copy + Ord + Into<sea_orm::Value>,
    {
        let mut lists: Vec<_> = lists.into_iter().collect();
        let mut pages: HashMap<L, Vec<(K, E::Model)>> = lists.iter().map(|(list, _)| (*list, Vec::new())).collect();
        while !lists.is_empty() {
            let some = lists.drain(..lists.len().min(LISTS_AT_ONCE));
            // A limit needs a select of its own around it.
            let mut selects = some.map(|(_, list)| {
                let page = self.select(list, column, order).into_query();
                Query::select().column(Asterisk).from_subquery(page, "page").to_owned()
            });
            let Some(mut together) = selects.next() else { break };
            together.unions(selects.map(|select| (UnionType::All, select)));
            let statement = conn.get_database_backend().build(&together);
            for row in E::Model::find_by_statement(statement).all(conn).await? {
                let (list, key) = place(&row);
                pages.entry(list).or_default().push((key, row));
            }
        }
        let ascending = (order == Order::Ascending) != self.backward;
        let slice = |(list, mut rows): (L, Vec<(K, E::Model)>)| {
            // No database promises the order of selects that were put together.
            rows.sort_unstable_by_key(|(key, _)| *key);
            if !ascending {
                rows.reverse();
            }
            (list, self.slice(rows.into_iter().map(|(_, row)| row).collect()))
        };
        Ok(pages.into_iter().map(slice).collect())
    }

    /// Puts the rows that [`Page::select`] found into the list's order.
    pub fn slice<T>(&self, mut rows: Vec<T>) -> Slice<T> {
        let more = rows.len() > self.limit;
        rows.truncate(self.limit);
        if self.backward {
            rows.reverse();
        }
        let (has_previous, has_next) = if self.backward {
            (more, self.before.is_some())
        } else {
            (self.after.is_some(), more)
        };
        Slice {
            rows,
            has_previous,
            has_next,
        }
    }
}
