//! The header row: which column holds what.

use super::report::{Code, Problem};
use crate::import::sheet::{Cell, Row};

/// The letters of choices, and so the maximum number of choices.
const LETTERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// One more letter, so that a seventh choice is refused and not silently dropped.
const SURPLUS: &str = "g";

/// The columns of a sheet that matter, counted from 0. All others (exam centre, year, number) are
/// ignored.
#[derive(Debug)]
pub(super) struct Columns {
    pub question: u32,
    /// Two to six, in the order of their letters.
    pub choices: Vec<u32>,
    /// A seventh, where all six are there.
    pub surplus_choice: Option<u32>,
    pub answer: u32,
    pub image: Option<u32>,
    pub explanation: Option<u32>,
    pub chapter: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Question,
    /// A choice by its index: 0 for A, and 6 for the surplus one.
    Choice(usize),
    Answer,
    Image,
    Explanation,
    Chapter,
}

impl Columns {
    /// Finds the columns by their headings; otherwise says what the header lacks.
    pub(super) fn of(header: &Row) -> Result<Columns, Vec<Problem>> {
        let roles: Vec<(u32, Role)> = header
            .filled()
            .filter_map(|(column, cell)| Some((column, role(cell)?)))
            .collect();
        let find = |role| {
            let found = roles.iter().find(|(_, found)| *found == role);
            found.map(|(column, _)| *column)
        };
        let start = header.filled().next().map_or(0, |(column, _)| column);
        let lacks = |column, code, message: &'static str| Problem::new(header.address(column), code, message);

        let Some(question) = find(Role::Question) else {
            return Err(vec![lacks(
                start,
                Code::NoQuestionColumn,
                "This row has no heading \u{201C}Question\u{201D}; if the sheet holds questions, make its first filled row name the columns.",
            )]);
        };
        let mut problems = repeated(header, &roles);
        let choice_columns: Vec<Option<u32>> = (0..=LETTERS.len()).map(|index| find(Role::Choice(index))).collect();
        let (choices, surplus) = choice_columns.split_at(LETTERS.len());
        let after_gap = choices.iter().skip_while(|c| c.is_some()).flatten().next();
        let choices: Vec<u32> = choices.iter().map_while(|column| *column).collect();
        if choices.len() < 2 || after_gap.is_some() {
            problems.push(lacks(
                after_gap.copied().unwrap_or(start),
                Code::NoChoiceColumns,
                "The columns of choices must start with A and B and leave no letter out; add the missing heading.",
            ));
        }
        let answer = find(Role::Answer);
        if answer.is_none() {
            problems.push(lacks(
                start,
                Code::NoAnswerColumn,
                "This row has no heading \u{201C}Answer\u{201D}; add a column that names the right choice.",
            ));
        }
        match answer {
            Some(answer) if problems.is_empty() => Ok(Columns {
                question,
                surplus_choice: surplus[0].filter(|_| choices.len() == LETTERS.len()),
                choices,
                answer,
                image: find(Role::Image),
                explanation: find(Role::Explanation),
                chapter: find(Role::Chapter),
            }),
            _ => Err(problems),
        }
    }

    /// Whether a row says anything in a column that matters. Numbered but otherwise empty rows are
    /// common, for numbering a sheet to its end takes one drag of the mouse.
    pub(super) fn any_filled(&self, row: &Row) -> bool {
        let optional = [self.surplus_choice, self.image, self.explanation, self.chapter];
        [self.question, self.answer]
            .into_iter()
            .chain(self.choices.iter().copied())
            .chain(optional.into_iter().flatten())
            .any(|column| *row.cell(column) != Cell::Blank)
    }
}

fn repeated(header: &Row, roles: &[(u32, Role)]) -> Vec<Problem> {
    let earlier = |at: usize| roles[..at].iter().find(|(_, role)| *role == roles[at].1);
    (0..roles.len())
        .filter_map(|at| {
            let (first, _) = earlier(at)?;
            let message = format!(
                "This column has the same meaning as the one at {}; keep one of the two.",
                header.address(*first)
            );
            let cell = header.address(roles[at].0);
            Some(Problem::new(cell, Code::DuplicateColumn, message))
        })
        .collect()
}

/// The role of a heading, ignoring case and blanks between its words.
fn role(heading: &Cell) -> Option<Role> {
    let Cell::Text(text) = heading else {
        return None;
    };
    let name = super::folded(text).to_lowercase();
    match name.as_str() {
        "question" => Some(Role::Question),
        "answer" | "correct answer" | "correct" => Some(Role::Answer),
        "image" => Some(Role::Image),
        "explanation" => Some(Role::Explanation),
        "chapter" => Some(Role::Chapter),
        other => {
            let letter = ["option ", "choice "]
                .iter()
                .find_map(|prefix| other.strip_prefix(prefix))
                .unwrap_or(other);
            let index = LETTERS.iter().chain([&SURPLUS]).position(|known| *known == letter)?;
            Some(Role::Choice(index))
        }
    }
}
