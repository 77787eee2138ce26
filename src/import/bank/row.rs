//! One row: a whole question, or every cell that prevents it.

use std::borrow::Cow;

use super::{
    Question,
    columns::Columns,
    folded,
    report::{Code, Problem},
};
use crate::{
    import::sheet::{Cell, Row},
    text::{Markdown, REPLACEMENT, is_unsafe},
};

// Lengths in characters.
const MAX_QUESTION: usize = 4_000;
const MAX_CHOICE: usize = 500;
const MAX_EXPLANATION: usize = 8_000;
const MAX_CHAPTER: usize = 120;
const MAX_IMAGE: usize = 255;

/// SVG is not among them: it can carry script.
const IMAGE_ENDINGS: [&str; 5] = ["png", "jpg", "jpeg", "gif", "webp"];

/// The content of a row, as far as it could be read.
pub(super) struct Reading {
    text: Option<String>,
    /// The choices, if they form a list that an answer can be looked up in.
    choices: Option<Vec<String>>,
    right: Option<usize>,
    image: Option<String>,
    explanation: Option<String>,
    chapter: Option<String>,
    /// Every bad cell of the row; the row is sound when there is none.
    problems: Vec<Problem>,
}

impl Reading {
    pub(super) fn of(row: &Row, columns: &Columns) -> Reading {
        let mut cells = Cells {
            row,
            problems: Vec::new(),
        };
        let text = cells.question(columns.question);
        let image = columns.image.and_then(|column| cells.image(column));
        let choices = cells.choices(columns);
        let right = cells.answer(columns.answer, choices.as_deref());
        let explanation = columns
            .explanation
            .and_then(|column| cells.text(column, MAX_EXPLANATION));
        let chapter = columns.chapter.and_then(|column| cells.line(column, MAX_CHAPTER));
        Reading {
            text,
            choices,
            right,
            image,
            explanation,
            chapter,
            problems: cells.problems,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn choices(&self) -> Option<&[String]> {
        self.choices.as_deref()
    }

    /// The text of the right choice.
    pub(super) fn right_choice(&self) -> Option<&str> {
        let right = self.right?;
        self.choices()?.get(right).map(String::as_str)
    }

    /// The question, or all that is wrong with it: never half a question.
    pub(super) fn question(self) -> Result<Question, Vec<Problem>> {
        match (self.text, self.choices, self.right) {
            (Some(text), Some(choices), Some(right)) if self.problems.is_empty() => Ok(Question {
                text: text.into(),
                image: self.image,
                choices: choices.into_iter().map(Markdown::from).collect(),
                right,
                explanation: self.explanation.map(Markdown::from),
                chapter: self.chapter,
            }),
            _ => Err(self.problems),
        }
    }
}

/// A row being read: each method takes what it can and notes what is wrong.
struct Cells<'a> {
    row: &'a Row,
    problems: Vec<Problem>,
}

impl<'a> Cells<'a> {
    fn note(&mut self, column: u32, code: Code, message: impl Into<Cow<'static, str>>) {
        let cell = self.row.address(column);
        self.problems.push(Problem::new(cell, code, message));
    }

    fn is_blank(&self, column: u32) -> bool {
        *self.row.cell(column) == Cell::Blank
    }

    /// The typed text of a cell; what was not typed cannot be trusted to be what was meant.
    fn typed(&mut self, column: u32) -> Option<&'a str> {
        let (code, message) = match self.row.cell(column) {
            Cell::Blank => return None,
            Cell::Text(text) => return Some(text),
            Cell::Formula => (
                Code::Formula,
                "This cell holds a formula; replace it by the value it should show.",
            ),
            Cell::Date => (
                Code::DateCell,
                "The spreadsheet has made this a date or time; format the cell as text and type the value again.",
            ),
            Cell::Error => (
                Code::ErrorCell,
                "This cell shows an error of the spreadsheet; type the value itself.",
            ),
        };
        self.note(column, code, message);
        None
    }

    /// Text of at most `limit` characters, its line breaks kept.
    fn text(&mut self, column: u32, limit: usize) -> Option<String> {
        let text = self.typed(column)?;
        let length = text.chars().count();
        if text.contains(is_unsafe) {
            self.note(
                column,
                Code::UnsafeText,
                "This cell holds an invisible character that can garble what is shown; delete the text and type it again.",
            );
            return None;
        }
        if text.contains(REPLACEMENT) {
            let message = "This cell holds U+FFFD (\u{FFFD}) for letters that could not be read; type them again.";
            self.note(column, Code::UnsafeText, message);
            return None;
        }
        if length > limit {
            self.note(
                column,
                Code::TooLong,
                format!("This text has {length} characters; shorten it to {limit}."),
            );
            return None;
        }
        Some(text.to_owned())
    }

    /// Text that is shown on one line.
    fn line(&mut self, column: u32, limit: usize) -> Option<String> {
        let text = self.text(column, limit)?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(lines.join(" "))
    }

    fn question(&mut self, column: u32) -> Option<String> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::NoQuestion,
                "The question is missing; type it here or empty the whole row.",
            );
        }
        self.text(column, MAX_QUESTION)
    }

    fn image(&mut self, column: u32) -> Option<String> {
        let path = self.typed(column)?;
        if !is_safe_image(path) {
            self.note(
                column,
                Code::UnsafeImage,
                "This is not a picture inside the image folder; give a path such as \u{201C}cells/frog.png\u{201D} to a png, jpg, gif or webp file.",
            );
            return None;
        }
        Some(path.to_owned())
    }

    /// The choices from A on, if they are two to six without a gap and all of them can be read.
    fn choices(&mut self, columns: &Columns) -> Option<Vec<String>> {
        let before = self.problems.len();
        let filled = self.filled_choices(&columns.choices);
        let choices: Vec<(u32, String)> = filled
            .iter()
            .filter_map(|column| Some((*column, self.line(*column, MAX_CHOICE)?)))
            .collect();
        if let Some(surplus) = columns.surplus_choice
            && !self.is_blank(surplus)
        {
            self.note(
                surplus,
                Code::TooManyChoices,
                "A question has at most six choices, A to F; take one away.",
            );
        }
        let complete = self.problems.len() == before;
        self.refuse_repeated(&choices);
        complete.then(|| choices.into_iter().map(|(_, text)| text).collect())
    }

    /// The columns of the choices that a row fills; notes gaps, and too few.
    fn filled_choices(&mut self, columns: &[u32]) -> Vec<u32> {
        let (filled, empty): (Vec<u32>, Vec<u32>) = columns.iter().partition(|column| !self.is_blank(**column));
        let letters_used = columns.iter().rposition(|column| !self.is_blank(*column));
        let gaps = &columns[..letters_used.unwrap_or(0)];
        let gaps: Vec<u32> = gaps.iter().copied().filter(|c| empty.contains(c)).collect();
        for gap in &gaps {
            self.note(
                *gap,
                Code::MissingChoice,
                "This choice is empty though a later one is not; fill it or move the later ones up.",
            );
        }
        if gaps.is_empty()
            && filled.len() < 2
            && let Some(next) = empty.first()
        {
            self.note(
                *next,
                Code::TooFewChoices,
                "A question needs at least two choices; add one here.",
            );
        }
        filled
    }

    /// Case counts, for CO is not Co; blanks do not. They are compared as they will be shown.
    fn refuse_repeated(&mut self, choices: &[(u32, String)]) {
        let shown = |text: &String| folded(Markdown::of(text).as_str());
        for (index, (column, text)) in choices.iter().enumerate() {
            let earlier = &choices[..index];
            if let Some((first, _)) = earlier.iter().find(|(_, e)| shown(e) == shown(text)) {
                let first = self.row.address(*first);
                self.note(
                    *column,
                    Code::DuplicateChoice,
                    format!("This choice repeats {first}; change one of the two."),
                );
            }
        }
    }

    /// The index of the right choice. If choices are incomplete themselves, only an empty or unreadable answer is
    /// reported: whether it names one of them is not known yet.
    fn answer(&mut self, column: u32, choices: Option<&[String]>) -> Option<usize> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::NoAnswer,
                "The answer is missing; give the letter of the right choice.",
            );
        }
        let answer = self.line(column, MAX_CHOICE)?;
        let (code, message) = match choices_named(&answer, choices?).as_slice() {
            [right] => return Some(*right),
            [] => (
                Code::AnswerNotAChoice,
                "This names none of the choices; give the letter of the right one.",
            ),
            _ => (
                Code::AmbiguousAnswer,
                "This can mean more than one choice, by letter, position or text; give an answer that fits only one.",
            ),
        };
        self.note(column, code, message);
        None
    }
}

/// The choices that an answer matches as a letter, as a position from 1 and as a choice's text, each once.
fn choices_named(answer: &str, choices: &[String]) -> Vec<usize> {
    let by_letter = index_by_letter(answer);
    let by_position = index_by_position(answer);
    let mut named: Vec<usize> = [by_letter, by_position]
        .into_iter()
        .flatten()
        .filter(|index| *index < choices.len())
        .chain(index_by_text(answer, choices))
        .collect();
    named.sort_unstable();
    named.dedup();
    named
}

fn index_by_letter(answer: &str) -> Option<usize> {
    match answer.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(usize::from(letter.to_ascii_lowercase() - b'a')),
        _ => None,
    }
}

fn index_by_position(answer: &str) -> Option<usize> {
    let digits_only = answer.bytes().all(|byte| byte.is_ascii_digit());
    let position: usize = answer.parse().ok().filter(|_| digits_only)?;
    position.checked_sub(1)
}

/// The choice with this text; in another case only if no other choice could be meant.
fn index_by_text(answer: &str, choices: &[String]) -> Option<usize> {
    let answer = folded(answer);
    let exact = choices.iter().position(|choice| folded(choice) == answer);
    let lower = answer.to_lowercase();
    let mut alike = (0..choices.len()).filter(|i| folded(&choices[*i]).to_lowercase() == lower);
    exact.or_else(|| alike.next().filter(|_| alike.next().is_none()))
}

/// Whether a path leads to a picture and cannot lead out of the image folder, however it is joined
/// or decoded later.
fn is_safe_image(path: &str) -> bool {
    let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
    let is_picture = IMAGE_ENDINGS.contains(&ending.to_ascii_lowercase().as_str());
    // A colon makes a drive or a URL scheme; the others mean something to a shell or a URL.
    let is_plain = !path.contains(['\\', ':', '?', '*', '<', '>', '|', '"'])
        && !path.contains(|c| is_unsafe(c) || matches!(c, '\n' | '\t' | REPLACEMENT));
    // An empty segment is a leading or doubled slash; "." and ".." climb, and some systems also
    // overlook blanks and dots at a segment's end.
    let stays_inside = path
        .split('/')
        .all(|segment| !segment.trim_end_matches(['.', ' ']).is_empty());
    is_picture && is_plain && stays_inside && !is_percent_encoded(path) && path.chars().count() <= MAX_IMAGE
}

fn is_percent_encoded(path: &str) -> bool {
    path.as_bytes()
        .windows(3)
        .any(|part| part[0] == b'%' && part[1].is_ascii_hexdigit() && part[2].is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(answer: &str, choices: &[&str]) -> Vec<usize> {
        let choices: Vec<String> = choices.iter().map(|c| (*c).to_owned()).collect();
        choices_named(answer, &choices)
    }

    #[test]
    fn an_answer_is_a_letter_a_position_or_a_text() {
        let cells = ["Nucleus", "Ribosome", "Golgi  body"];
        for answer in ["C", "c", "3", "03", "Golgi body", "golgi BODY"] {
            assert_eq!(named(answer, &cells), [2], "{answer}");
        }
        for answer in [
            "D",
            "0",
            "4",
            "+1",
            "-1",
            "1.0",
            "Golgi",
            "AB",
            "\u{0661}",
            "99999999999999999999999",
        ] {
            assert!(named(answer, &cells).is_empty(), "{answer}");
        }
    }

    #[test]
    fn readings_that_agree_are_one_and_others_are_ambiguous() {
        assert_eq!(named("2", &["1", "2", "3"]), [1]);
        assert_eq!(named("2", &["4", "3", "2"]), [1, 2]);
        assert_eq!(named("B", &["A", "C", "B"]), [1, 2]);
        assert_eq!(named("b", &["A", "C", "B"]), [1, 2]);
        assert_eq!(named("7", &["5", "6", "7"]), [2]);
    }

    #[test]
    fn case_decides_between_texts_that_differ_by_case_only() {
        assert_eq!(named("Co", &["CO", "Co", "Cu"]), [1]);
        assert!(named("co", &["CO", "Co", "Cu"]).is_empty());
        assert_eq!(named("cu", &["CO", "Co", "Cu"]), [2]);
    }

    #[test]
    fn images_stay_in_their_folder() {
        for path in [
            "frog.png",
            "cells/frog heart.JPEG",
            "a/b/c.webp",
            "50%.gif",
            "v1.2/dots...png",
            "\u{645}\u{6CC}\u{646}\u{688}\u{6A9}.jpg",
        ] {
            assert!(is_safe_image(path), "{path}");
        }
        for path in [
            "../../etc/passwd",
            "../frog.png",
            "a/../frog.png",
            "a/.. /frog.png",
            "./frog.png",
            "/frog.png",
            "//host/frog.png",
            "a//frog.png",
            "C:/frog.png",
            "C:frog.png",
            "a\\frog.png",
            "%2e%2e/frog.png",
            "a%2Ffrog.png",
            "%252e%252e/frog.png",
            "https://example.org/frog.png",
            "data:image/png",
            "frog.png\0",
            "frog\n.png",
            "frog\u{202E}gnp.png",
            "frog.svg",
            "frog.png?x=.png",
            "frog",
            "frog.",
            "png",
        ] {
            assert!(!is_safe_image(path), "{path:?}");
        }
        assert!(!is_safe_image(&format!("{}.png", "a".repeat(MAX_IMAGE))));
    }

    #[test]
    fn marks_that_turn_text_are_unsafe_and_scripts_are_not() {
        for c in ['\0', '\u{1B}', '\u{85}', '\u{7F}', '\u{202E}', '\u{2066}', '\u{2069}'] {
            assert!(is_unsafe(c), "{c:?}");
        }
        for c in [
            '\n',
            '\t',
            ' ',
            '\u{200F}',
            '\u{200D}',
            '\u{642}',
            '\u{1F438}',
            '\u{221A}',
        ] {
            assert!(!is_unsafe(c), "{c:?}");
        }
    }
}
