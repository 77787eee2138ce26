//! The cost of an operation: the number of fields that it may return. What validation can't know, the length of a list
//! inside an object, it counts as one row; the rest is charged when the operation gets there, before the list is loaded.

use std::sync::atomic::{AtomicU64, Ordering};

use async_graphql::{Context, SelectionField, Value, parser::types::OperationType};

use crate::{
    error::{Error, Result},
    page::Page,
};

/// What an operation has cost so far.
pub(crate) struct Meter {
    kind: OperationType,
    allowed: usize,
    spent: AtomicU64,
}

impl Meter {
    /// For an operation of this kind, which may cost so much.
    pub(crate) fn new(kind: OperationType, allowed: usize) -> Self {
        Self {
            kind,
            allowed,
            spent: AtomicU64::default(),
        }
    }

    /// Starts from the cost that validation has found; each event of a stream does so anew.
    pub(crate) fn start(&self, cost: usize) {
        self.spent.store(as_u64(cost), Ordering::SeqCst);
    }

    /// The cost so far, with what was refused.
    pub(crate) fn spent(&self) -> u64 {
        self.spent.load(Ordering::SeqCst)
    }

    /// The refusal of an operation that has become too expensive.
    pub(crate) fn refusal(&self) -> Option<Error> {
        let (spent, allowed) = (self.spent(), self.allowed);
        (spent > as_u64(allowed)).then(|| {
            Error::TooComplex(format!(
                "The operation costs {spent}; at most {allowed} is allowed. Request shorter pages or fewer fields."
            ))
        })
    }

    /// Whether nothing has changed that a refusal of the whole operation would hide.
    pub(crate) fn is_query(&self) -> bool {
        self.kind == OperationType::Query
    }

    fn charge(&self, cost: u64) -> Result<()> {
        let add = |spent: u64| Some(spent.saturating_add(cost));
        _ = self.spent.fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        self.refusal().map_or(Ok(()), Err)
    }
}

/// Charges a list of so many rows that the field returns.
pub(crate) fn charge(ctx: &Context<'_>, rows: usize) -> Result<()> {
    charge_rows(ctx, rows, below(&ctx.field()))
}

/// Charges a list of so many rows that is returned by the fields of this name below the field.
pub(crate) fn charge_below(ctx: &Context<'_>, field: &str, rows: usize) -> Result<()> {
    let lists = ctx.look_ahead().field(field).selection_fields();
    charge_rows(ctx, rows, lists.iter().map(below).fold(0, u64::saturating_add))
}

fn charge_rows(ctx: &Context<'_>, rows: usize, cost_of_row: u64) -> Result<()> {
    let unknown_so_far = as_u64(rows.saturating_sub(1));
    ctx.data_unchecked::<Meter>()
        .charge(unknown_so_far.saturating_mul(cost_of_row))
}

/// The cost of the fields below a field, as validation counts them.
fn below(field: &SelectionField<'_>) -> u64 {
    let cost = |field: SelectionField<'_>| rows_of(&field).saturating_mul(below(&field)).saturating_add(1);
    let fields = field.selection_set().filter(|field| field.name() != "__typename");
    fields.map(cost).fold(0, u64::saturating_add)
}

/// The rows that validation counts for a field.
fn rows_of(field: &SelectionField<'_>) -> u64 {
    let argument = |name: &str| {
        let arguments = field.arguments().ok()?;
        let value = arguments.into_iter().find(|(argument, _)| argument == name)?.1;
        match value {
            Value::Number(number) => i32::try_from(number.as_i64()?).ok(),
            _ => None,
        }
    };
    let is_page = || {
        field
            .selection_set()
            .any(|field| matches!(field.name(), "nodes" | "edges"))
    };
    as_u64(match field.name() {
        "choices" => CHOICES,
        "aroundViewer" => rows_around(argument("above"), argument("below")),
        _ if is_page() => rows_of_page(argument("first"), argument("last")),
        _ => 1,
    })
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
