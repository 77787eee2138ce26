//! The header row: which column holds what.

use std::collections::BTreeSet;

use super::{
    alike::{as_named, folded},
    headings::{MAX_CHOICES, Role, WOULD_DO, role},
    report::{Code, Problem},
    role::{Column, ColumnRole, Mapped},
};
use crate::import::sheet::{Cell, Row, column_letters};

/// The most characters of a heading that a report shows.
const MAX_HEADING: usize = 100;

/// The most filled rows in which the header is looked for: titles and remarks may stand above it.
const LOOKED_THROUGH: usize = 10;

/// The columns of a sheet that matter, counted from 0.
#[derive(Debug)]
pub(super) struct Columns {
    pub question: u32,
    pub choices: Choices,
    pub answer: u32,
    pub image: Option<u32>,
    pub explanation: Option<u32>,
    pub chapter: Option<u32>,
    pub kind: Option<u32>,
    pub tolerance: Option<u32>,
    pub format: Option<u32>,
    /// The last column that has a heading.
    pub last: u32,
    /// Columns that keep the bank in order; not used, and nobody misses them.
    records: Vec<u32>,
}

/// How a sheet gives its choices.
#[derive(Debug)]
pub(super) enum Choices {
    /// Two to six columns in the order of their letters, and a seventh where all six are there.
    Columns { columns: Vec<u32>, surplus: Option<u32> },
    /// One column for all of them.
    OneCell(u32),
    /// The answer's column has the right one, these the others.
    Wrong(Vec<u32>),
}

/// Finds the row that names the columns: the first of the upper ones that names the question and either the answer or a
/// choice, else the first filled one. Returns its index.
pub(super) fn header(rows: &[Row], mapping: &[Mapped]) -> usize {
    let names = |row: &Row| {
        let roles: Vec<Role> = roles(row, mapping).into_iter().map(|(_, role, _)| role).collect();
        let is_other = |role: &Role| matches!(role, Role::Answer | Role::Choice(_) | Role::Choices | Role::Wrong);
        roles.contains(&Role::Question) && roles.iter().any(is_other)
    };
    rows.iter().take(LOOKED_THROUGH).position(names).unwrap_or(0)
}

impl Columns {
    /// Finds the columns by their headings; otherwise says what the header lacks.
    pub(super) fn of(header: &Row, mapping: &[Mapped]) -> Result<Columns, Vec<Problem>> {
        let headings = Headings::of(header, mapping);
        let mut problems = headings.repeated();
        let Some(question) = headings.find(Role::Question) else {
            return Err(vec![headings.lacks(
                Code::NoQuestionColumn,
                "This row has no heading for the questions; if the sheet holds questions, let one of its first rows name the columns",
            )]);
        };
        let choices = headings.choices(&mut problems);
        let answer = headings.find(Role::Answer);
        if answer.is_none() {
            let message = "This row has no heading for the answers; add a column that names the right choice";
            problems.push(headings.lacks(Code::NoAnswerColumn, message));
        }
        match (choices, answer) {
            (Some(choices), Some(answer)) if problems.is_empty() => Ok(Columns {
                question,
                choices,
                answer,
                image: headings.find(Role::Image),
                explanation: headings.find(Role::Explanation),
                chapter: headings.find(Role::Chapter),
                kind: headings.find(Role::Kind),
                tolerance: headings.find(Role::Tolerance),
                format: headings.find(Role::Format),
                last: header.filled().last().map_or(0, |(column, _)| column),
                records: headings.all(Role::Record),
            }),
            _ => Err(problems),
        }
    }

    /// The columns of choices.
    pub(super) fn of_choices(&self) -> impl Iterator<Item = u32> {
        let (columns, surplus): (&[u32], Option<u32>) = match &self.choices {
            Choices::Columns { columns, surplus } => (columns, *surplus),
            Choices::OneCell(column) => (std::slice::from_ref(column), None),
            Choices::Wrong(columns) => (columns, None),
        };
        columns.iter().copied().chain(surplus)
    }

    fn used(&self) -> impl Iterator<Item = u32> {
        let optional = [
            self.image,
            self.explanation,
            self.chapter,
            self.kind,
            self.tolerance,
            self.format,
        ];
        [self.question, self.answer]
            .into_iter()
            .chain(self.of_choices())
            .chain(optional.into_iter().flatten())
    }

    /// Whether a row says anything in a column that matters. Numbered but otherwise empty rows are
    /// common, for numbering a sheet to its end takes one drag of the mouse.
    pub(super) fn any_filled(&self, row: &Row) -> bool {
        self.used().any(|column| *row.cell(column) != Cell::Blank)
    }

    /// Whether a column is used, or known to keep the bank in order.
    pub(super) fn knows(&self, column: u32) -> bool {
        self.records.contains(&column) || self.used().any(|used| used == column)
    }
}

struct Headings<'r> {
    header: &'r Row,
    /// The columns that mean something, with their role and its preference.
    roles: Vec<(u32, Role, usize)>,
}

impl<'r> Headings<'r> {
    fn of(header: &'r Row, mapping: &[Mapped]) -> Self {
        let roles = roles(header, mapping);
        Self { header, roles }
    }

    fn all(&self, role: Role) -> Vec<u32> {
        let columns = self.roles.iter().filter(|(_, found, _)| *found == role);
        columns.map(|(column, ..)| *column).collect()
    }

    /// The column of a role, in its preferred spelling.
    fn find(&self, role: Role) -> Option<u32> {
        let columns = self.roles.iter().filter(|(_, found, _)| *found == role);
        let preferred = columns.min_by_key(|(_, _, place)| *place);
        preferred.map(|(column, ..)| *column)
    }

    fn start(&self) -> u32 {
        self.header.filled().next().map_or(0, |(column, _)| column)
    }

    fn lacks(&self, code: Code, message: &str) -> Problem {
        let message = format!("{message}. These headings would do: {WOULD_DO}.");
        Problem::new(self.header.address(self.start()), code, message)
    }

    fn choices(&self, problems: &mut Vec<Problem>) -> Option<Choices> {
        let by_letter: Vec<Option<u32>> = (0..=MAX_CHOICES).map(|index| self.find(Role::Choice(index))).collect();
        if by_letter.iter().all(Option::is_none) {
            if let Some(column) = self.find(Role::Choices) {
                return Some(Choices::OneCell(column));
            }
            let wrong = self.all(Role::Wrong);
            if !wrong.is_empty() {
                return Some(Choices::Wrong(wrong));
            }
            // A bank of numbers has none.
            if self.find(Role::Kind).is_some() {
                return Some(Choices::Columns {
                    columns: Vec::new(),
                    surplus: None,
                });
            }
        }
        let (letters, surplus) = by_letter.split_at(MAX_CHOICES);
        let after_gap = letters.iter().skip_while(|c| c.is_some()).flatten().next();
        let columns: Vec<u32> = letters.iter().map_while(|column| *column).collect();
        if columns.len() < 2 || after_gap.is_some() {
            let message = format!(
                "The columns of choices must start with A and B and leave no letter out; add the missing heading. These headings would do: {WOULD_DO}."
            );
            let cell = self.header.address(after_gap.copied().unwrap_or_else(|| self.start()));
            problems.push(Problem::new(cell, Code::NoChoiceColumns, message));
            return None;
        }
        let surplus = surplus[0].filter(|_| columns.len() == MAX_CHOICES);
        Some(Choices::Columns { columns, surplus })
    }

    /// Columns that mean the same. Of two with an explanation or chapter the preferred one is read, and the other named as
    /// not used: a "Topic" beside a "Chapter" is common.
    fn repeated(&self) -> Vec<Problem> {
        let same = |at: usize| {
            let (_, role, place) = self.roles[at];
            let may_differ = matches!(role, Role::Explanation | Role::Chapter);
            let mut earlier = self.roles[..at].iter();
            match role {
                Role::Record | Role::Wrong => None,
                _ => earlier.find(|(_, other, at)| *other == role && (!may_differ || *at == place)),
            }
        };
        (0..self.roles.len())
            .filter_map(|at| {
                let (first, ..) = same(at)?;
                let message = format!(
                    "This column has the same meaning as the one at {}; keep one of the two.",
                    self.header.address(*first)
                );
                let cell = self.header.address(self.roles[at].0);
                Some(Problem::new(cell, Code::DuplicateColumn, message))
            })
            .collect()
    }
}

/// The columns of a row of headings that mean something, by their headings or as staff have mapped them: by its heading a
/// column is found before one by its letters is.
fn roles(header: &Row, mapping: &[Mapped]) -> Vec<(u32, Role, usize)> {
    let mapped = |column: u32, cell: &Cell| {
        let heading = match cell {
            Cell::Text(text) => as_named(text),
            _ => String::new(),
        };
        let by_heading = mapping.iter().find(|mapped| as_named(&mapped.column) == heading);
        let is_heading = |mapped: &&Mapped| {
            let mut others = header.filled();
            others.any(|(_, cell)| matches!(cell, Cell::Text(text) if as_named(text) == as_named(&mapped.column)))
        };
        let by_letters = || {
            let named = mapping
                .iter()
                .find(|mapped| mapped.column.trim().eq_ignore_ascii_case(&column_letters(column)));
            named.filter(|mapped| !is_heading(mapped))
        };
        by_heading.or_else(by_letters).map(|mapped| mapped.role)
    };
    let role_of = |(column, cell): (u32, &Cell)| {
        let (role, place) = match (mapped(column, cell), cell) {
            (Some(role), _) => role.meant()?,
            (None, Cell::Text(text)) => role(text)?,
            (None, _) => return None,
        };
        Some((column, role, place))
    };
    header.filled().filter_map(role_of).collect()
}

/// The columns of a sheet, and how each is read.
pub(super) fn listed(header: &Row, mapping: &[Mapped], columns: Option<&Columns>) -> Vec<Column> {
    let roles = roles(header, mapping);
    let listed = |(column, cell): (u32, &Cell)| {
        let role = roles.iter().find(|(at, ..)| *at == column).map(|(_, role, _)| *role);
        let is_read = columns.is_none_or(|columns| columns.knows(column));
        Column {
            letters: column_letters(column),
            heading: match cell {
                Cell::Text(text) => Some(folded(text).chars().take(MAX_HEADING).collect()),
                _ => None,
            },
            role: role.filter(|_| is_read).and_then(ColumnRole::of),
        }
    };
    header.filled().map(listed).collect()
}

/// Names the columns that hold something and are not used.
pub(super) fn unused(header: &Row, rows: &[Row], columns: &Columns) -> Vec<Problem> {
    let mut found: BTreeSet<u32> = BTreeSet::new();
    for row in rows {
        // Of a row that is too long the surplus cell is named.
        let last = if row.is_delimited() { columns.last } else { u32::MAX };
        for (column, _) in row.filled().take_while(|(column, _)| *column <= last) {
            if !found.contains(&column) && !columns.knows(column) {
                found.insert(column);
            }
        }
    }
    let named = |column: u32| {
        let cell = header.address(column);
        let message = match header.cell(column) {
            Cell::Text(heading) => format!(
                "The column \u{201C}{}\u{201D} is not used; nothing of it was imported.",
                folded(heading)
            ),
            _ => "This column has no heading and is not used; nothing of it was imported.".to_owned(),
        };
        Problem::new(cell, Code::UnusedColumn, message)
    };
    found.into_iter().map(named).collect()
}
