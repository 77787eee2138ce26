//! One row: a whole question, or every cell that prevents it.

use std::borrow::Cow;

use super::{
    Question, Several,
    alike::as_seen,
    answer::{Convention, Meaning, meaning, several},
    columns::{Choices, Columns},
    directions::unpaired,
    headings::MAX_CHOICES,
    image::is_safe_image,
    kind::{self, Asked, MOST_TRUTH},
    mojibake::looks_misread,
    one_cell,
    report::{Code, Problem},
};
use crate::{
    entity::question::Kind,
    import::sheet::{Cell, Flaw, Row},
    quiz::right::{Choices as Set, Right},
    text::{Markdown, REPLACEMENT, is_unsafe},
};

// Lengths in characters.
const MAX_QUESTION: usize = 4_000;
const MAX_CHOICE: usize = 500;
const MAX_EXPLANATION: usize = 8_000;
const MAX_CHAPTER: usize = 120;
/// A letter with the text of its choice.
const MAX_ANSWER: usize = MAX_CHOICE + 100;
/// All choices in one cell.
const MAX_LIST: usize = MAX_CHOICES * MAX_CHOICE;

const TOO_MANY: &str = "A question has at most six choices, A to F; take one away.";

/// The content of a row, as far as it could be read.
pub(super) struct Reading {
    text: Option<String>,
    /// The choices, if they form a list that an answer can be looked up in.
    choices: Option<Vec<String>>,
    right: Option<(Kind, Right)>,
    is_markdown: bool,
    image: Option<String>,
    explanation: Option<String>,
    chapter: Option<String>,
    /// Every bad cell of the row; the row is sound when there is none.
    problems: Vec<Problem>,
    /// What to look at, though the row is sound.
    pub(super) warnings: Vec<Problem>,
}

impl Reading {
    pub(super) fn of(row: &Row, columns: &Columns, convention: Convention, joined: Several) -> Reading {
        let mut cells = Cells {
            row,
            is_markdown: false,
            is_guarded: false,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        cells.flaws();
        // Of a question that could not be read there is no more to say, nor of a row that holds nothing else.
        if !cells.problems.is_empty() && cells.row.is_of_lines() || !columns.any_filled(row) {
            return cells.nothing();
        }
        cells.surplus(columns.last);
        if let Some(column) = columns.format {
            cells.format(column);
        }
        let text = cells.question(columns.question);
        let image = columns.image.and_then(|column| cells.image(column));
        let asked = columns.kind.map_or(Some(Asked::Unsaid), |column| cells.asked(column));
        let (choices, right) = match (asked, &columns.choices) {
            // What the row should hold is not known.
            (None, _) => (None, None),
            (Some(Asked::Number), _) => cells.number(columns),
            (Some(Asked::TrueFalse), choices) => cells.truth(columns.answer, choices),
            (Some(Asked::All | Asked::Any), Choices::Wrong(_)) => {
                let message = "A question with several right choices needs a column for each choice; name them A to F.";
                cells.note(columns.answer, Code::Unsupported, message);
                (None, None)
            }
            (Some(_), Choices::Wrong(wrong)) => {
                let (choices, right) = cells.right_and_wrong(columns.answer, wrong);
                (choices, right.map(|right| (Kind::SingleChoice, Right::one(right))))
            }
            (Some(asked), choices) => {
                let choices = cells.choices(choices);
                let right = cells.right(columns.answer, choices.as_deref(), convention, asked.or(joined));
                (choices, right)
            }
        };
        if asked.is_some_and(|asked| asked != Asked::Number)
            && let Some(column) = columns.tolerance
            && !cells.is_blank(column)
        {
            let message = "Only a question for a number has a tolerance; empty this cell, or give the kind NUMBER.";
            cells.note(column, Code::Unsupported, message);
        }
        let explanation = columns
            .explanation
            .and_then(|column| cells.text(column, MAX_EXPLANATION));
        let chapter = columns.chapter.and_then(|column| cells.line(column, MAX_CHAPTER));
        Reading {
            text,
            choices,
            right,
            is_markdown: cells.is_markdown,
            image,
            explanation,
            chapter,
            problems: cells.problems,
            warnings: cells.warnings,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        self.text.as_deref()
    }

    pub(super) fn choices(&self) -> Option<&[String]> {
        self.choices.as_deref()
    }

    /// What is right, to be compared: the texts of the right choices, or the number.
    pub(super) fn right_texts(&self) -> Option<Vec<String>> {
        let (_, right) = self.right?;
        let number = right.number().map(|number| vec![number.value.normalize().to_string()]);
        number.or_else(|| {
            let (set, choices) = (right.choices()?, self.choices()?);
            let mut texts: Vec<String> = set
                .positions()
                .filter_map(|at| Some(as_seen(choices.get(at)?)))
                .collect();
            texts.sort_unstable();
            Some(texts)
        })
    }

    /// The question, or all that is wrong with it: never half a question.
    pub(super) fn question(self) -> Result<Question, Vec<Problem>> {
        match (self.text, self.choices, self.right) {
            (Some(text), Some(choices), Some((kind, right))) if self.problems.is_empty() => {
                let markdown = match self.is_markdown {
                    true => |text: &str| Markdown::of(text),
                    false => Markdown::plain,
                };
                Ok(Question {
                    text: markdown(&text),
                    image: self.image,
                    choices: choices.iter().map(|choice| markdown(choice)).collect(),
                    kind,
                    right,
                    explanation: self.explanation.as_deref().map(markdown),
                    chapter: self.chapter,
                })
            }
            _ => Err(self.problems),
        }
    }
}

/// A row being read: each method takes what it can and notes what is wrong.
struct Cells<'a> {
    row: &'a Row,
    /// Whether the texts of the row are Markdown.
    is_markdown: bool,
    /// Whether the row says what its texts are, as our own exports do: an apostrophe guards a text there.
    is_guarded: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Cells<'a> {
    fn note(&mut self, column: u32, code: Code, message: impl Into<Cow<'static, str>>) {
        let cell = self.row.address(column);
        self.problems.push(Problem::new(cell, code, message));
    }

    /// The row without a question.
    fn nothing(self) -> Reading {
        Reading {
            text: None,
            choices: None,
            right: None,
            is_markdown: false,
            image: None,
            explanation: None,
            chapter: None,
            problems: self.problems,
            warnings: self.warnings,
        }
    }

    fn warn(&mut self, column: u32, code: Code, message: impl Into<Cow<'static, str>>) {
        let cell = self.row.address(column);
        self.warnings.push(Problem::new(cell, code, message));
    }

    /// What the file itself says about the row's cells.
    fn flaws(&mut self) {
        for (column, flaw) in self.row.flaws() {
            match flaw {
                Flaw::Struck => self.warn(
                    *column,
                    Code::StruckOut,
                    "Text that is struck out here was left out; delete it, or take the line through it away.",
                ),
                Flaw::Picture => self.note(
                    *column,
                    Code::Picture,
                    "A picture lies on this cell, and pictures in a sheet can\u{2019}t be imported; take it away, and name its file in a column \u{201C}Image\u{201D}.",
                ),
                Flaw::Malformed(message) => self.note(*column, Code::Malformed, message.clone()),
                Flaw::Unsupported(message) => self.note(*column, Code::Unsupported, message.clone()),
                Flaw::NotUsed(message) => self.warn(*column, Code::UnusedColumn, message.clone()),
            }
        }
    }

    /// Values in columns have shifted if there are more of them than headings.
    fn surplus(&mut self, last: u32) {
        if self.row.is_delimited()
            && let Some((column, _)) = self.row.filled().find(|(column, _)| *column > last)
        {
            let message = "This cell is under no heading, so the cells before it may have shifted; a comma inside a text wants quotation marks around the text.";
            self.note(column, Code::RowTooLong, message);
        }
    }

    fn is_blank(&self, column: u32) -> bool {
        *self.row.cell(column) == Cell::Blank
    }

    /// The typed text of a cell; what was not typed cannot be trusted to be what was meant.
    fn typed(&mut self, column: u32) -> Option<&'a str> {
        let (code, message) = match self.row.cell(column) {
            Cell::Blank => return None,
            Cell::Text(text) if self.is_guarded => return Some(text.strip_prefix('\'').unwrap_or(text)),
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
            Cell::Formatted => (
                Code::Formatting,
                "This cell is formatted in a way that can\u{2019}t be kept and may carry meaning; type what it shows as text, a formula as $x^{n+1}$.",
            ),
        };
        self.note(column, code, message);
        None
    }

    /// Text of at most `limit` characters, its line breaks kept.
    fn text(&mut self, column: u32, limit: usize) -> Option<String> {
        let text = unpaired(self.typed(column)?);
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
        if let Some(meant) = looks_misread(&text) {
            let message = format!(
                "This text may have been read in the wrong encoding before it came here (\u{201C}{meant}\u{201D}?); it was imported as it is."
            );
            self.warn(column, Code::Mojibake, message);
        }
        Some(text)
    }

    /// Text that is shown on one line.
    fn line(&mut self, column: u32, limit: usize) -> Option<String> {
        let text = self.text(column, limit)?;
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        Some(lines.join(" "))
    }

    /// A choice, on one line unless it is Markdown.
    fn choice(&mut self, column: u32) -> Option<String> {
        match self.is_markdown {
            true => self.text(column, MAX_CHOICE),
            false => self.line(column, MAX_CHOICE),
        }
    }

    /// Reads whether the texts of the row are Markdown.
    fn format(&mut self, column: u32) {
        let Some(format) = self.line(column, MAX_ANSWER) else {
            return;
        };
        self.is_guarded = !self.row.is_of_lines();
        match format.to_lowercase().as_str() {
            "markdown" => self.is_markdown = true,
            "plain" => {}
            _ => self.note(
                column,
                Code::Unsupported,
                "This names no format of text; write \u{201C}plain\u{201D} or \u{201C}markdown\u{201D}.",
            ),
        }
    }

    /// The kind of question that a cell names.
    fn asked(&mut self, column: u32) -> Option<Asked> {
        if self.is_blank(column) {
            return Some(Asked::Unsaid);
        }
        let asked = Asked::of(&self.line(column, MAX_ANSWER)?);
        if asked.is_none() {
            let message = format!(
                "This is no kind of question that there is; write one of {}.",
                kind::NAMES
            );
            self.note(column, Code::Unsupported, message);
        }
        asked
    }

    /// A number with its tolerance; it has no choices.
    fn number(&mut self, columns: &Columns) -> (Option<Vec<String>>, Option<(Kind, Right)>) {
        let before = self.problems.len();
        let filled = columns.of_choices().find(|column| !self.is_blank(*column));
        if let Some(column) = filled {
            let message = "A question for a number has no choices; empty this cell.";
            self.note(column, Code::TooManyChoices, message);
        }
        if self.is_blank(columns.answer) {
            self.note(
                columns.answer,
                Code::NoAnswer,
                "The answer is missing; type the right number.",
            );
        }
        let answer = self.line(columns.answer, MAX_ANSWER);
        let tolerance = columns.tolerance.filter(|column| !self.is_blank(*column));
        let said = tolerance.map(|column| (column, self.line(column, MAX_ANSWER)));
        let number = answer.as_deref().and_then(|answer| {
            let number = kind::number(answer, said.as_ref().and_then(|(_, said)| said.as_deref()));
            if let Err(of_tolerance) = number {
                let column = said
                    .as_ref()
                    .filter(|_| of_tolerance)
                    .map_or(columns.answer, |(column, _)| *column);
                self.note(column, Code::NotANumber, kind::NO_NUMBER);
            }
            number.ok()
        });
        let right = number.map(|number| (Kind::Number, Right::Number(number)));
        (Some(Vec::new()).filter(|_| self.problems.len() == before), right)
    }

    /// True or false: the choices may be left out.
    fn truth(&mut self, answer: u32, choices_of: &Choices) -> (Option<Vec<String>>, Option<(Kind, Right)>) {
        let columns: Vec<u32> = match choices_of {
            Choices::Columns { columns, .. } | Choices::Wrong(columns) => columns.clone(),
            Choices::OneCell(column) => vec![*column],
        };
        let is_bare = columns.iter().all(|column| self.is_blank(*column));
        let choices = match is_bare {
            true => Some(kind::TRUTH.map(str::to_owned).to_vec()),
            false => self.choices(choices_of),
        };
        if let Some(surplus) = choices.as_ref().filter(|choices| choices.len() > MOST_TRUTH) {
            let column = columns.get(MOST_TRUTH).filter(|_| columns.len() >= surplus.len());
            let message = "A question of true or false has two choices; take the others away.";
            self.note(column.copied().unwrap_or(columns[0]), Code::TooManyChoices, message);
            return (None, None);
        }
        if self.is_blank(answer) {
            let message = "The answer is missing; write \u{201C}true\u{201D} or \u{201C}false\u{201D}.";
            self.note(answer, Code::NoAnswer, message);
        }
        let Some(said) = self.line(answer, MAX_ANSWER) else {
            return (choices, None);
        };
        let by_letter = self
            .letters(answer, choices.as_deref())
            .filter(|letters| letters.len() == 1);
        let right = match by_letter {
            Some(letters) => Some(letters[0]),
            None => choices.as_deref().and_then(|choices| kind::truth(&said, choices)),
        };
        if right.is_none() && choices.is_some() {
            let message = "This is neither true nor false; write \u{201C}true\u{201D} or \u{201C}false\u{201D}, or the letter of the choice.";
            self.note(answer, Code::AnswerNotAChoice, message);
        }
        (choices, right.map(|right| (Kind::TrueFalse, Right::one(right))))
    }

    /// The choices of an answer that can be nothing but letters: in texts with a format of their own, and in our own
    /// exports.
    fn letters(&self, column: u32, choices: Option<&[String]>) -> Option<Vec<usize>> {
        let Cell::Text(answer) = self.row.cell(column) else {
            return None;
        };
        if !(self.is_guarded || self.row.is_of_lines()) {
            return None;
        }
        let choices = choices?.len();
        let letter = |part: &str| match part.trim().as_bytes() {
            [letter @ b'A'..=b'F'] => Some(usize::from(letter - b'A')).filter(|place| *place < choices),
            _ => None,
        };
        answer.split(',').map(letter).collect()
    }

    /// What is right among choices: one, or several if the row or the import says how they go together.
    fn right(
        &mut self,
        column: u32,
        choices: Option<&[String]>,
        convention: Convention,
        asked: Asked,
    ) -> Option<(Kind, Right)> {
        if let Some(letters) = self.letters(column, choices) {
            let is_fit = letters.len() == 1 || asked.takes_several();
            if is_fit {
                return Some((asked.kind(letters.len()), Right::Choices(Set::of(letters))));
            }
        }
        if asked.takes_several()
            && !self.is_blank(column)
            && let Some(choices) = choices
        {
            let answer = self.line(column, MAX_ANSWER)?;
            let set = several(&answer, choices, convention);
            let is_named = asked.is_named();
            if let Some(set) = set.filter(|set| is_named || set.len() > 1) {
                return Some((asked.kind(set.len()), Right::Choices(Set::of(set))));
            }
        }
        let right = self.answer(column, choices, convention, asked)?;
        Some((asked.kind(1), Right::one(right)))
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
    fn choices(&mut self, choices_of: &Choices) -> Option<Vec<String>> {
        let before = self.problems.len();
        let choices: Vec<(u32, String)> = match choices_of {
            Choices::OneCell(column) => self.choices_of_one_cell(*column)?,
            Choices::Columns { columns, .. } | Choices::Wrong(columns) => {
                let filled = self.filled_choices(columns);
                let choice = |column: &u32| Some((*column, self.choice(*column)?));
                filled.iter().filter_map(choice).collect()
            }
        };
        if let Choices::Columns {
            surplus: Some(surplus), ..
        } = choices_of
            && !self.is_blank(*surplus)
        {
            self.note(*surplus, Code::TooManyChoices, TOO_MANY);
        }
        let complete = self.problems.len() == before;
        self.refuse_repeated(&choices);
        complete.then(|| choices.into_iter().map(|(_, text)| text).collect())
    }

    /// The choices that one cell holds.
    fn choices_of_one_cell(&mut self, column: u32) -> Option<Vec<(u32, String)>> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::TooFewChoices,
                "The choices are missing; type at least two.",
            );
        }
        let text = self.text(column, MAX_LIST)?;
        let choices = one_cell::parted(&text);
        if choices.len() < 2 {
            let message = "These choices can\u{2019}t be told apart; write each on a line of its own, or as \u{201C}A) \u{2026} B) \u{2026}\u{201D}.";
            self.note(column, Code::TooFewChoices, message);
        } else if choices.len() > MAX_CHOICES {
            self.note(column, Code::TooManyChoices, TOO_MANY);
        } else if let Some(long) = choices
            .iter()
            .map(|c| c.chars().count())
            .find(|length| *length > MAX_CHOICE)
        {
            let message = format!("A choice in this cell has {long} characters; shorten it to {MAX_CHOICE}.");
            self.note(column, Code::TooLong, message);
        }
        Some(choices.into_iter().map(|choice| (column, choice)).collect())
    }

    /// Choices of which one column has the right one. They are listed in the order of their texts: the right one first would
    /// give it away.
    fn right_and_wrong(&mut self, right: u32, wrong: &[u32]) -> (Option<Vec<String>>, Option<usize>) {
        let before = self.problems.len();
        if self.is_blank(right) {
            self.note(right, Code::NoAnswer, "The right choice is missing; type it here.");
        }
        let filled: Vec<u32> = wrong.iter().copied().filter(|column| !self.is_blank(*column)).collect();
        if filled.is_empty() {
            self.note(
                wrong[0],
                Code::TooFewChoices,
                "A question needs at least one wrong choice; add one here.",
            );
        }
        if let Some(surplus) = filled.get(MAX_CHOICES - 1) {
            self.note(*surplus, Code::TooManyChoices, TOO_MANY);
        }
        let all = std::iter::once(right).chain(filled);
        let mut choices: Vec<(u32, String)> = all.filter_map(|column| Some((column, self.choice(column)?))).collect();
        self.refuse_repeated(&choices);
        if self.problems.len() > before {
            return (None, None);
        }
        choices.sort_by_cached_key(|(_, text)| as_seen(text).to_lowercase());
        let place = choices.iter().position(|(column, _)| *column == right);
        (Some(choices.into_iter().map(|(_, text)| text).collect()), place)
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

    /// They are compared as a reader sees them.
    fn refuse_repeated(&mut self, choices: &[(u32, String)]) {
        let shown = |text: &String| as_seen(text);
        for (index, (column, text)) in choices.iter().enumerate() {
            let earlier = &choices[..index];
            if let Some((first, _)) = earlier.iter().find(|(_, e)| shown(e) == shown(text)) {
                let message = if first == column {
                    format!("Two choices in this cell look the same (\u{201C}{text}\u{201D}); change one of the two.")
                } else {
                    let first = self.row.address(*first);
                    format!("This choice repeats {first}, or looks the same; change one of the two.")
                };
                self.note(*column, Code::DuplicateChoice, message);
            }
        }
    }

    /// The index of the right choice. If choices are incomplete themselves, only an empty or unreadable answer is
    /// reported: whether it names one of them is not known yet.
    fn answer(
        &mut self,
        column: u32,
        choices: Option<&[String]>,
        convention: Convention,
        asked: Asked,
    ) -> Option<usize> {
        if self.is_blank(column) {
            self.note(
                column,
                Code::NoAnswer,
                "The answer is missing; give the letter of the right choice.",
            );
        }
        let answer = self.line(column, MAX_ANSWER)?;
        let (code, message) = match meaning(&answer, choices?, convention) {
            Meaning::One(right) => return Some(right),
            Meaning::None => (
                Code::AnswerNotAChoice,
                "This names none of the choices; give the letter of the right one.",
            ),
            Meaning::Ambiguous => (
                Code::AmbiguousAnswer,
                "This can mean more than one choice, by letter, position or text; give an answer that fits only one.",
            ),
            Meaning::Several => (
                Code::SeveralAnswers,
                match asked {
                    Asked::Single => {
                        "This names more than one choice, and a question of this kind has one right choice; give its letter."
                    }
                    _ => {
                        "This names more than one choice, and whether all or any of them are right is not said; give the letter of one, or say in a column \u{201C}Kind\u{201D} whether all or any are right."
                    }
                },
            ),
            Meaning::Unclear(Convention::SomeZero) => (
                Code::AmbiguousAnswer,
                "An answer of this column is 0, so its numbers may count from 0 or from 1; give letters, or say how they count.",
            ),
            Meaning::Unclear(_) => (
                Code::AmbiguousAnswer,
                "The numbers of this column may be texts of choices or their places; give letters, or say which they are.",
            ),
        };
        self.note(column, code, message);
        None
    }
}
