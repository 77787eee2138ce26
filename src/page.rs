//! Keyset pagination: a page starts at the key of a row, never at a position, so its cost does not depend on its
//! position.

use sea_orm::{ColumnTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::error::{Error, Result};

/// The requested rows: `limit` of them after or before a key.
#[derive(Clone, Debug)]
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
