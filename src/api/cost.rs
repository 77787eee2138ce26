//! The cost of an operation: the number of fields that it may return, by its normal form. What can't be known before it
//! runs, the length of a list inside an object, counts as one row; the rest is charged when the operation gets there,
//! before the list is loaded.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_graphql::{
    Context,
    parser::types::{Field, Selection, SelectionSet},
};
use async_graphql_value::Value as Literal;

use crate::{
    error::{Error, Result},
    page::Page,
};

/// What an operation has cost so far.
pub(crate) struct Meter {
    known_before: u64,
    maximum: usize,
    spent: AtomicU64,
}

impl Meter {
    /// For an operation of this known cost, which may cost so much.
    pub(crate) fn new(known_before: u64, maximum: usize) -> Self {
        Self {
            known_before,
            maximum,
            spent: AtomicU64::new(known_before),
        }
    }

    /// Starts anew, for the next event of a stream.
    pub(crate) fn restart(&self) {
        self.spent.store(self.known_before, Ordering::SeqCst);
    }

    /// The cost so far, with what was refused.
    pub(crate) fn spent(&self) -> u64 {
        self.spent.load(Ordering::SeqCst)
    }

    /// The refusal of an operation that has become too expensive.
    pub(crate) fn refusal(&self) -> Option<Error> {
        refusal(self.spent(), self.maximum)
    }

    fn charge(&self, cost: u64) -> Result<()> {
        let add = |spent: u64| Some(spent.saturating_add(cost));
        _ = self.spent.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        self.refusal().map_or(Ok(()), Err)
    }
}

/// The refusal of an operation that costs more than the maximum.
pub(crate) fn refusal(cost: u64, maximum: usize) -> Option<Error> {
    (cost > as_u64(maximum)).then(|| {
        Error::TooComplex(format!(
            "The operation costs {cost}; at most {maximum} is allowed. Request shorter pages or fewer fields."
        ))
    })
}

/// Charges a list of so many rows that the field returns.
pub(crate) fn charge(ctx: &Context<'_>, rows: usize) -> Result<()> {
    charge_rows(ctx, rows, of(&ctx.item.node.selection_set.node))
}

/// Charges rows that a field loads and does not return, one by one.
pub(crate) fn charge_load(ctx: &Context<'_>, rows: usize) -> Result<()> {
    charge_rows(ctx, rows, 1)
}

/// Charges a list of so many rows that is returned by the fields of this name below the field.
pub(crate) fn charge_below(ctx: &Context<'_>, field: &str, rows: usize) -> Result<()> {
    let lists = ctx.item.node.selection_set.node.items.iter();
    let lists = lists.filter_map(|selection| match &selection.node {
        Selection::Field(list) if list.node.name.node == field => Some(of(&list.node.selection_set.node)),
        _ => None,
    });
    charge_rows(ctx, rows, lists.fold(0, u64::saturating_add))
}

fn charge_rows(ctx: &Context<'_>, rows: usize, cost_of_row: u64) -> Result<()> {
    let unknown_so_far = as_u64(rows.saturating_sub(1));
    ctx.data_unchecked::<Arc<Meter>>()
        .charge(unknown_so_far.saturating_mul(cost_of_row))
}

/// The cost of a selection in normal form. An object is one of those that it may be: the dearest counts.
pub(crate) fn of(set: &SelectionSet) -> u64 {
    let (mut all, mut dearest) = (0_u64, 0);
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => all = all.saturating_add(of_field(&field.node)),
            Selection::InlineFragment(object) => dearest = of(&object.node.selection_set.node).max(dearest),
            Selection::FragmentSpread(_) => {}
        }
    }
    all.saturating_add(dearest)
}

/// The cost of a field with what is selected below it; docs/errors.md has the table.
fn of_field(field: &Field) -> u64 {
    let below = of(&field.selection_set.node);
    let argument = |name: &str| match &field.get_argument(name)?.node {
        Literal::Number(number) => i32::try_from(number.as_i64()?).ok(),
        _ => None,
    };
    let rows = match field.name.node.as_str() {
        "__typename" => return 0,
        "accountExport" => return 5_000,
        "integritySignals" => {
            let rows = rows_of_page(argument("first"), None);
            return as_u64(rows)
                .saturating_mul(3)
                .saturating_mul(below)
                .saturating_add(2_000);
        }
        "nodes" if field.get_argument("ids").is_some() => {
            let ids = match field.get_argument("ids").map(|ids| &ids.node) {
                Some(Literal::List(ids)) => ids.len(),
                _ => 1,
            };
            return as_u64(ids).saturating_mul(below.saturating_add(1));
        }
        "choices" => CHOICES,
        "dailyMetrics" => 366,
        "aroundViewer" => rows_around(argument("above"), argument("below")),
        _ if is_page(&field.selection_set.node) => rows_of_page(argument("first"), argument("last")),
        _ => 1,
    };
    as_u64(rows).saturating_mul(below).saturating_add(1)
}

fn is_page(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => matches!(field.node.name.node.as_str(), "nodes" | "edges"),
        _ => false,
    })
}

/// Fields below each other.
pub(crate) fn depth(set: &SelectionSet) -> usize {
    let depths = set.items.iter().map(|selection| match &selection.node {
        Selection::Field(field) if field.node.name.node == "__typename" => 0,
        Selection::Field(field) => 1 + depth(&field.node.selection_set.node),
        Selection::InlineFragment(object) => depth(&object.node.selection_set.node),
        Selection::FragmentSpread(_) => 0,
    });
    depths.max().unwrap_or(0)
}

/// The most choices of a question.
pub(crate) const CHOICES: usize = 6;

/// The rows that a page may hold.
pub(crate) fn rows_of_page(first: Option<i32>, last: Option<i32>) -> usize {
    let rows = first.or(last).unwrap_or(Page::<()>::USUAL).clamp(1, Page::<()>::MAX);
    usize::try_from(rows).unwrap_or(1)
}

/// The rows around a standing, with itself.
pub(crate) fn rows_around(above: Option<i32>, below: Option<i32>) -> usize {
    let rows = |given: Option<i32>| usize::try_from(given.unwrap_or(5).clamp(0, 50)).unwrap_or(0);
    1 + rows(above) + rows(below)
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
