//! Small files as staff send them, and what is right: each shows one kind of fault.
//!
//! Expected is a line for each question, `text: choice / *right choice / choice (explanation) [chapter]`, and one for each
//! finding: `! cell CODE` of an error, `~ cell CODE` of a warning.

use crate::entity::question::Kind;

use super::{
    ColumnRole, Encoding, Mapped, Numbers, Settings, Several, Sheet, Unreadable,
    bank::{Problem, Question, read},
};

mod files;
mod kinds;
mod own;
mod workbooks;

const BY_TEXT: Settings = settings(Numbers::Text, false);
const BY_PLACE: Settings = settings(Numbers::Place, false);
const FROM_ZERO: Settings = settings(Numbers::Zero, false);
const WITH_HIDDEN: Settings = settings(Numbers::Unsaid, true);

const fn settings(numbers: Numbers, hidden: bool) -> Settings {
    Settings {
        numbers,
        hidden,
        several: Several::Unsaid,
        encoding: Encoding::Unsaid,
        columns: Vec::new(),
    }
}

/// What the sheets of a file give.
fn told(file: &str, bytes: &[u8], settings: Settings) -> Vec<String> {
    match read(file, bytes, None, &settings) {
        Ok(sheets) => sheets.iter().flat_map(told_by).collect(),
        Err(unreadable) => vec![unreadable.to_string()],
    }
}

fn told_by(sheet: &Sheet) -> Vec<String> {
    let of = |mark: char| move |problem: &Problem| format!("{mark} {} {}", problem.cell, problem.code);
    let questions = sheet.questions.iter().map(shown);
    let errors = sheet.report.errors.iter().map(of('!'));
    questions
        .chain(errors)
        .chain(sheet.report.warnings.iter().map(of('~')))
        .collect()
}

fn shown(question: &Question) -> String {
    let choice = |(index, choice): (usize, &crate::text::Markdown)| {
        let is_right = question.right.choices().is_some_and(|right| right.has(index));
        let mark = if is_right { "*" } else { "" };
        format!("{mark}{}", choice.as_str())
    };
    let choices: Vec<String> = question.choices.iter().enumerate().map(choice).collect();
    let explanation = question
        .explanation
        .as_ref()
        .map(|text| format!(" ({})", text.as_str()));
    let chapter = question.chapter.as_ref().map(|name| format!(" [{name}]"));
    let kind = match question.kind {
        Kind::SingleChoice => String::new(),
        kind => format!("{kind:?} "),
    };
    let number = question.right.number().map_or_else(String::new, |number| {
        format!("{} \u{B1} {}", number.value, number.tolerance)
    });
    format!(
        "{kind}{}: {}{number}{}{}",
        question.text.as_str(),
        choices.join(" / "),
        explanation.unwrap_or_default(),
        chapter.unwrap_or_default()
    )
}

/// The messages of a file's findings, errors first.
fn messages(file: &str, bytes: &[u8]) -> Vec<String> {
    let sheets = read(file, bytes, None, &Settings::default()).unwrap_or_else(|e: Unreadable| panic!("{e}"));
    let problems = sheets.iter().flat_map(|sheet| sheet.report.kept());
    problems.map(|problem| problem.message.to_string()).collect()
}
