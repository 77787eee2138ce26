//! JSON of our own export. Its texts are Markdown; each question is checked as a row is.

use serde::Deserialize;
use serde_json::Value;

use super::{Building, Cell, Flaw, Grid, Kind, Row, Unreadable, column};

#[derive(Deserialize)]
struct Bank {
    format: String,
    version: u32,
    questions: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Question {
    text: String,
    kind: String,
    #[serde(default)]
    choices: Vec<Choice>,
    number: Option<String>,
    tolerance: Option<String>,
    explanation: Option<String>,
    chapter: Option<String>,
    image: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Choice {
    text: String,
    #[serde(default)]
    is_right: bool,
}

pub(super) fn grid(name: &str, text: &str) -> Result<Grid, Unreadable> {
    let broken = |error: serde_json::Error| Unreadable::Broken {
        place: format!("line {}, column {}", error.line(), error.column()),
        what: "it is no JSON of an export".to_owned(),
    };
    let bank: Bank = serde_json::from_str(text).map_err(broken)?;
    if bank.format != "marmalade-bank" || bank.version != 1 {
        return Err(Unreadable::Broken {
            place: "line 1".to_owned(),
            what:
                "its \u{201C}format\u{201D} and \u{201C}version\u{201D} are not those of an export that is known here"
                    .to_owned(),
        });
    }
    let rows = (1..)
        .zip(bank.questions)
        .map(|(number, question)| row(number, question));
    Grid::of_questions(name, rows.collect(), Vec::new())
}

fn row(number: u32, question: Value) -> Row {
    let mut row = Building::at(number);
    match serde_json::from_value::<Question>(question) {
        Ok(question) => fill(&mut row, number, &question),
        Err(error) => {
            let message = format!("This is no question of an export ({error}); export the quiz again, or mend it.");
            row.flaw(column::QUESTION, number, Flaw::Malformed(message));
        }
    }
    let mut row = row.closed();
    row.kind = Kind::Listed;
    row
}

fn fill(row: &mut Building, number: u32, question: &Question) {
    let mut cell = |column, text: &str| row.typed(column, number, Cell::text(text));
    cell(column::QUESTION, &question.text);
    for (column, choice) in column::CHOICES.zip(&question.choices) {
        cell(column, &choice.text);
    }
    let right = ('A'..='Z').zip(&question.choices).filter(|(_, choice)| choice.is_right);
    let letters: Vec<String> = right.map(|(letter, _)| letter.to_string()).collect();
    match &question.number {
        Some(number) => cell(column::ANSWER, number),
        None => cell(column::ANSWER, &letters.join(",")),
    }
    for (column, text) in [
        (column::KIND, &Some(question.kind.clone())),
        (column::TOLERANCE, &question.tolerance),
        (column::EXPLANATION, &question.explanation),
        (column::CHAPTER, &question.chapter),
        (column::IMAGE, &question.image),
    ] {
        cell(column, text.as_deref().unwrap_or_default());
    }
    cell(column::FORMAT, "markdown");
}
