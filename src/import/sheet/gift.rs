//! GIFT: a question with its answers in braces, `=` before the right one and `~` before the others
//! (<https://docs.moodle.org/en/GIFT_format>). Questions of other kinds are refused by their line.

use super::{Cell, Flaw, Grid, Kind, Remark, Row, Unreadable, column};

/// Stands for a character of the format that was escaped, and so is text: the private use area from here on.
const ESCAPED: u32 = 0xF0000;

/// Whether a text is meant as GIFT.
pub(super) fn looks_like(text: &str) -> bool {
    text.split_once('{').is_some_and(|(_, answers)| {
        let answers = answers.trim_start();
        answers.starts_with(['=', '~']) || answers.starts_with('}')
    })
}

pub(super) fn grid(name: &str, text: &str) -> Result<Grid, Unreadable> {
    let mut reading = Reading::default();
    let mut block: Vec<(u32, &str)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.starts_with("//") {
            continue;
        }
        if let Some(category) = line.strip_prefix("$CATEGORY:") {
            reading.close(&mut block);
            let chapter = category.rsplit('/').next().unwrap_or_default().trim();
            reading.chapter = chapter.to_owned();
        } else if line.is_empty() {
            reading.close(&mut block);
        } else {
            block.push((number, line));
        }
    }
    reading.close(&mut block);
    Grid::of_questions(name, reading.rows, reading.remarks)
}

#[derive(Default)]
struct Reading {
    rows: Vec<Row>,
    remarks: Vec<Remark>,
    chapter: String,
}

impl Reading {
    /// Reads the lines between blank ones as a question.
    fn close(&mut self, block: &mut Vec<(u32, &str)>) {
        let lines = std::mem::take(block);
        let Some((start, _)) = lines.first() else {
            return;
        };
        let text = masked(&lines.iter().map(|(_, line)| *line).collect::<Vec<_>>().join("\n"));
        // The lines of a block follow each other but for comments.
        let line_of = |at: usize| {
            let index = text[..at].matches('\n').count();
            lines.get(index).map_or(*start, |(number, _)| *number)
        };
        let mut row = Building::at(*start);
        match parts(&text) {
            Parts::Question { before, answers, after } => row.question(&text, before, answers, after, line_of),
            Parts::NoAnswers => {
                let message = "There is no question here: no answers in braces follow; it was passed over.";
                self.remarks.push(Remark::PassedOver {
                    cell: format!("line {start}"),
                    message: message.to_owned(),
                });
                return;
            }
            Parts::Unclosed(at) => row.flaw(
                column::QUESTION,
                line_of(at),
                Flaw::Malformed(
                    "The braces around the answers are not closed before the blank line; close them.".to_owned(),
                ),
            ),
            Parts::Stray(at) => row.flaw(
                column::QUESTION,
                line_of(at),
                Flaw::Malformed("A brace too many stands here; write \\{ or \\} if it belongs to the text.".to_owned()),
            ),
        }
        row.cell(column::CHAPTER, *start, &self.chapter);
        self.rows.push(row.closed());
    }
}

enum Parts<'t> {
    Question {
        before: &'t str,
        answers: &'t str,
        after: &'t str,
    },
    NoAnswers,
    Unclosed(usize),
    Stray(usize),
}

fn parts(text: &str) -> Parts<'_> {
    let (open, close) = (text.find('{'), text.find('}'));
    match (open, close) {
        (None, None) => Parts::NoAnswers,
        (Some(open), None) => Parts::Unclosed(open),
        (None, Some(close)) => Parts::Stray(close),
        (Some(open), Some(close)) if close < open => Parts::Stray(close),
        (Some(open), Some(close)) => {
            let (answers, after) = (&text[open + 1..close], &text[close + 1..]);
            match (answers.find('{'), after.find(['{', '}'])) {
                (Some(at), _) => Parts::Stray(open + 1 + at),
                (None, Some(at)) => Parts::Stray(close + 1 + at),
                (None, None) => Parts::Question {
                    before: &text[..open],
                    answers,
                    after,
                },
            }
        }
    }
}

/// A row that is being built.
struct Building {
    row: Row,
    lines: Vec<u32>,
}

impl Building {
    fn at(number: u32) -> Self {
        let mut lines = vec![0; column::ALL];
        lines[0] = number;
        let row = Row {
            number,
            cells: Vec::new(),
            flaws: Vec::new(),
            kind: Kind::Sheet,
        };
        Self { row, lines }
    }

    fn cell(&mut self, column: u32, line: u32, text: &str) {
        let cell = Cell::text(&unmasked(text));
        self.lines[column as usize] = line;
        if cell != Cell::Blank {
            self.row.cells.push((column, cell));
        }
    }

    fn flaw(&mut self, column: u32, line: u32, flaw: Flaw) {
        self.lines[column as usize] = line;
        self.row.flaws.push((column, flaw));
    }

    fn closed(mut self) -> Row {
        self.row.cells.sort_by_key(|(column, _)| *column);
        self.row.kind = Kind::Lines(self.lines);
        self.row
    }

    fn question(&mut self, text: &str, before: &str, answers: &str, after: &str, line_of: impl Fn(usize) -> u32) {
        // Parts are slices of the text.
        let place = |part: &str| {
            line_of(
                (part.as_ptr() as usize)
                    .saturating_sub(text.as_ptr() as usize)
                    .min(text.len()),
            )
        };
        let stem = without_title(before);
        let (format, stem) = without_format(stem);
        if !matches!(format, None | Some("plain" | "moodle")) {
            let message = "The text is in HTML or Markdown, which is not read; write it as plain text.";
            self.flaw(column::QUESTION, place(before), Flaw::Unsupported(message.to_owned()));
        }
        let question = match after.trim() {
            "" => stem.trim().to_owned(),
            after => format!("{} ____ {after}", stem.trim()),
        };
        self.cell(column::QUESTION, place(before), &question);
        let (answers, explanation) = match answers.split_once("####") {
            Some((answers, explanation)) => (answers, explanation.trim()),
            None => (answers, ""),
        };
        self.cell(column::EXPLANATION, place(answers), explanation);
        match Kinds::of(answers) {
            Kinds::Choices(choices) => self.choices(&choices, place),
            Kinds::TrueFalse(is_true) => {
                self.cell(column::CHOICES.start, place(answers), "True");
                self.cell(column::CHOICES.start + 1, place(answers), "False");
                self.cell(column::ANSWER, place(answers), if is_true { "A" } else { "B" });
            }
            Kinds::Other(kind) => {
                let message =
                    format!("This is {kind}; only questions with one right choice (=) among others (~) are imported.");
                self.flaw(column::ANSWER, place(answers), Flaw::Unsupported(message));
            }
        }
    }

    fn choices(&mut self, choices: &[(bool, &str)], place: impl Fn(&str) -> u32) {
        for (column, (_, text)) in column::CHOICES.zip(choices) {
            let (choice, feedback) = text.split_once('#').unwrap_or((text, ""));
            self.cell(column, place(text), choice);
            if !feedback.trim().is_empty() {
                let message = "The feedback to this choice is not used; nothing of it was imported.";
                self.row.flaws.push((column, Flaw::NotUsed(message.to_owned())));
            }
        }
        let right: Vec<usize> = (0..choices.len()).filter(|index| choices[*index].0).collect();
        let line = place(choices[right.first().copied().unwrap_or(0)].1);
        match right[..] {
            [] => {
                let message = "No choice is marked as right; write = before it.";
                self.flaw(column::ANSWER, line, Flaw::Malformed(message.to_owned()));
            }
            [right] => {
                let letter = ('A'..='Z').nth(right).unwrap_or('?');
                self.cell(column::ANSWER, line, &letter.to_string());
            }
            _ => {
                let message = "Several choices are marked as right, and a question has one; write ~ before the others.";
                self.flaw(column::ANSWER, line, Flaw::Unsupported(message.to_owned()));
            }
        }
    }
}

/// The kinds of GIFT's questions.
enum Kinds<'t> {
    /// Choices, and whether each is right.
    Choices(Vec<(bool, &'t str)>),
    TrueFalse(bool),
    Other(&'static str),
}

impl<'t> Kinds<'t> {
    fn of(answers: &'t str) -> Self {
        let trimmed = answers.trim();
        let word = trimmed
            .split('#')
            .next()
            .unwrap_or_default()
            .trim()
            .to_ascii_uppercase();
        match word.as_str() {
            "T" | "TRUE" => return Kinds::TrueFalse(true),
            "F" | "FALSE" => return Kinds::TrueFalse(false),
            "" if trimmed.starts_with('#') => return Kinds::Other("a question for a number"),
            "" => return Kinds::Other("an essay"),
            _ => {}
        }
        let starts: Vec<usize> = trimmed.match_indices(['=', '~']).map(|(at, _)| at).collect();
        if starts.first() != Some(&0) {
            return Kinds::Other("a question of a kind that is not known");
        }
        let ends = starts.iter().skip(1).copied().chain([trimmed.len()]);
        let choices: Vec<(bool, &str)> = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| (trimmed[*start..].starts_with('='), &trimmed[start + 1..end]))
            .collect();
        if choices.iter().any(|(_, text)| text.trim_start().starts_with('%')) {
            Kinds::Other("a question with weights")
        } else if choices.iter().any(|(_, text)| text.contains("->")) {
            Kinds::Other("a matching question")
        } else if choices.iter().all(|(is_right, _)| *is_right) {
            Kinds::Other("a question for a short text")
        } else {
            Kinds::Choices(choices)
        }
    }
}

fn without_title(text: &str) -> &str {
    let rest = text.trim_start().strip_prefix("::");
    rest.and_then(|rest| rest.split_once("::"))
        .map_or(text, |(_, stem)| stem)
}

/// The format that a text names (`[html]`), and the text after it.
fn without_format(text: &str) -> (Option<&str>, &str) {
    let named = text
        .trim_start()
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'));
    match named {
        Some((format @ ("html" | "markdown" | "plain" | "moodle"), rest)) => (Some(format), rest),
        _ => (None, text),
    }
}

/// The text with escaped characters of the format (`\=`, `\~`, `\#`, `\{`, `\}`, `\:`) as others; `\n` is a line's end.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next @ ('=' | '~' | '#' | '{' | '}' | ':'))) => {
                masked.extend(char::from_u32(ESCAPED + u32::from(*next)));
                chars.next();
            }
            (c, _) => masked.push(c),
        }
    }
    masked
}

fn unmasked(text: &str) -> String {
    let plain = |c: char| {
        let code = u32::from(c).checked_sub(ESCAPED).filter(|code| *code < 0x80);
        code.and_then(char::from_u32).unwrap_or(c)
    };
    text.replace("\\n", "\n").chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gift_is_told_by_its_braces() {
        assert!(looks_like("::Q:: What? {\n =a ~b}"));
        assert!(looks_like("Essay {}"));
        assert!(!looks_like("Question,A,B\n{a},b,c"));
        assert!(!looks_like("Question\tA"));
    }
}
