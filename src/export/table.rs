//! Questions in columns: a workbook, or comma-separated values. No spreadsheet program runs a cell as a formula: in a
//! workbook each is text; in a text file one that could begin a formula begins with an apostrophe, which an import takes
//! away again.

use rust_xlsxwriter::{Format, Workbook, XlsxError};
use sea_orm::ActiveEnum;

use super::{Texts, letters};
use crate::{
    error::{Error, Result},
    import::Question,
};

const HEADINGS: [&str; 14] = [
    "Question",
    "A",
    "B",
    "C",
    "D",
    "E",
    "F",
    "Answer",
    "Kind",
    "Tolerance",
    "Explanation",
    "Chapter",
    "Image",
    "Text format",
];
/// The columns of choices.
const CHOICES: usize = 6;

fn row(question: &Question) -> Vec<String> {
    let texts = Texts::of(question);
    let number = question.right.number();
    let answer = match (number, question.right.choices()) {
        (Some(number), _) => number.value.to_string(),
        (None, right) => letters(right.unwrap_or_default()),
    };
    let format = texts.format();
    let mut row = vec![texts.text];
    let choices = texts.choices.into_iter().chain(std::iter::repeat(String::new()));
    row.extend(choices.take(CHOICES));
    row.push(answer);
    row.push(question.kind.to_value());
    row.push(number.map_or_else(String::new, |number| number.tolerance.to_string()));
    row.push(texts.explanation.unwrap_or_default());
    row.push(question.chapter.clone().unwrap_or_default());
    row.push(question.image.clone().unwrap_or_default());
    row.push(format.to_owned());
    row
}

/// What a spreadsheet program could take for a formula, also in the full-width forms of East Asian keyboards.
fn begins_a_formula(text: &str) -> bool {
    text.starts_with([
        '=', '+', '-', '@', '\t', '\r', '\n', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}',
    ])
}

/// An apostrophe before it says that the rest is text, so one that is there already is written twice.
fn guarded(text: &str, guards: impl Fn(&str) -> bool) -> String {
    match text.starts_with('\'') || guards(text) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

pub(super) fn csv(questions: &[Question]) -> Result<Vec<u8>> {
    // A spreadsheet program takes the file for UTF-8 only with this mark.
    let mut file = "\u{FEFF}".as_bytes().to_vec();
    let mut writer = csv::Writer::from_writer(&mut file);
    writer.write_record(HEADINGS).map_err(Error::internal)?;
    for question in questions {
        let cells = row(question).into_iter().map(|cell| guarded(&cell, begins_a_formula));
        writer.write_record(cells).map_err(Error::internal)?;
    }
    writer.flush().map_err(Error::internal)?;
    drop(writer);
    Ok(file)
}

pub(super) fn xlsx(title: &str, questions: &[Question]) -> Result<Vec<u8>> {
    workbook(title, questions).map_err(Error::internal)
}

fn workbook(title: &str, questions: &[Question]) -> Result<Vec<u8>, XlsxError> {
    let mut workbook = Workbook::new();
    // Without a format of its own a number that somebody types over a cell would be shown as the program likes.
    let text = Format::new().set_num_format("@").set_text_wrap();
    let heading = Format::new().set_bold();
    let sheet = workbook.add_worksheet();
    sheet.set_name(sheet_name(title))?;
    for (column, name) in (0..).zip(HEADINGS) {
        sheet.write_string_with_format(0, column, name, &heading)?;
    }
    sheet.set_column_width(0, 60)?;
    sheet.set_freeze_panes(1, 0)?;
    for (line, question) in (1..).zip(questions) {
        for (column, cell) in (0..).zip(row(question)) {
            if !cell.is_empty() {
                sheet.write_string_with_format(line, column, guarded(&cell, |_| false), &text)?;
            }
        }
    }
    workbook.save_to_buffer()
}

/// A title as the name of a sheet: 31 characters, without those that have a meaning in formulas.
fn sheet_name(title: &str) -> String {
    let name: String = title
        .chars()
        .map(|c| {
            if "[]:*?/\\'".contains(c) || c.is_control() {
                ' '
            } else {
                c
            }
        })
        .collect();
    let mut name = name.trim().to_owned();
    while name.encode_utf16().count() > 31 {
        name.pop();
    }
    let name = name.trim();
    match name.is_empty() || name.eq_ignore_ascii_case("history") {
        true => "Questions".to_owned(),
        false => name.to_owned(),
    }
}
