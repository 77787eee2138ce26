//! GIFT: a question with its answers in braces, `=` before the right one and `~` before the others
//! (<https://docs.moodle.org/en/GIFT_format>). Questions of other kinds are refused by their line.
//!
//! What the format has no words for our own export says in comments: `// kind: ANY_CHOICE`, `// image: cells/frog.png`.

use rust_decimal::Decimal;

use super::{Building, Flaw, Grid, Remark, Row, Unreadable, column};

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
        if let Some(comment) = line.strip_prefix("//") {
            reading.comment(comment, block.is_empty());
            continue;
        }
        if let Some(category) = line.strip_prefix("$CATEGORY:") {
            reading.close(&mut block);
            // A slash that belongs to a name is written twice.
            let slash = char::from_u32(ESCAPED + u32::from('/')).unwrap_or('/');
            let category = category.replace("//", slash.encode_utf8(&mut [0; 4]));
            let chapter = category.rsplit('/').next().unwrap_or_default().trim();
            reading.chapter = masked(chapter);
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
    /// What comments of our own export say of the next question.
    kind: String,
    image: String,
}

impl Reading {
    /// Reads a comment, if it is one of our own.
    fn comment(&mut self, comment: &str, before_the_question: bool) {
        let said = comment.trim().split_once(':').filter(|_| before_the_question);
        match said {
            Some(("kind", kind)) => self.kind = kind.trim().to_owned(),
            Some(("image", image)) => self.image = image.trim().to_owned(),
            _ => {}
        }
    }

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
        let (kind, image) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.image));
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
        row.escaped(column::CHAPTER, *start, &self.chapter);
        row.cell(column::IMAGE, *start, &image);
        if !kind.is_empty() {
            row.row.cells.retain(|(column, _)| *column != column::KIND);
            row.cell(column::KIND, *start, &kind);
        }
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

impl Building {
    /// A cell with what was escaped.
    fn escaped(&mut self, column: u32, line: u32, text: &str) {
        self.cell(column, line, &unmasked(text));
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
        match format {
            Some("markdown") => self.escaped(column::FORMAT, place(before), "markdown"),
            Some("html") => {
                let message = "The text is in HTML, which is not read; write it as plain text or Markdown.";
                self.flaw(column::QUESTION, place(before), Flaw::Unsupported(message.to_owned()));
            }
            _ => {}
        }
        let question = match after.trim() {
            "" => stem.trim().to_owned(),
            after => format!("{} ____ {after}", stem.trim()),
        };
        self.escaped(column::QUESTION, place(before), &question);
        let (answers, explanation) = match answers.split_once("####") {
            Some((answers, explanation)) => (answers, explanation.trim()),
            None => (answers, ""),
        };
        self.escaped(column::EXPLANATION, place(answers), explanation);
        match Kinds::of(answers) {
            Kinds::Choices(choices) => self.choices(&choices, place),
            Kinds::TrueFalse(is_true) => {
                self.escaped(column::CHOICES.start, place(answers), "True");
                self.escaped(column::CHOICES.start + 1, place(answers), "False");
                self.escaped(column::ANSWER, place(answers), if is_true { "A" } else { "B" });
                self.escaped(column::KIND, place(answers), "TRUE_FALSE");
            }
            Kinds::Number(value, tolerance) => {
                self.escaped(column::ANSWER, place(answers), &value);
                self.escaped(column::TOLERANCE, place(answers), &tolerance);
                self.escaped(column::KIND, place(answers), "NUMBER");
            }
            Kinds::Other(kind) => {
                let message = format!(
                    "This is {kind}; only questions for choices (= or ~), true or false, or one number are imported."
                );
                self.flaw(column::ANSWER, place(answers), Flaw::Unsupported(message));
            }
        }
    }

    fn choices(&mut self, choices: &[(f64, &str)], place: impl Fn(&str) -> u32) {
        for (column, (_, text)) in column::CHOICES.zip(choices) {
            let (choice, feedback) = text.split_once('#').unwrap_or((text, ""));
            self.escaped(column, place(text), choice);
            if !feedback.trim().is_empty() {
                let message = "The feedback to this choice is not used; nothing of it was imported.";
                self.row.flaws.push((column, Flaw::NotUsed(message.to_owned())));
            }
        }
        let right: Vec<usize> = (0..choices.len()).filter(|index| choices[*index].0 > 0.0).collect();
        let line = place(choices[right.first().copied().unwrap_or(0)].1);
        let letter = |index: usize| ('A'..='Z').nth(index).unwrap_or('?').to_string();
        let is_whole = |index: &usize| choices[*index].0 >= 100.0;
        let sum: f64 = right.iter().map(|index| choices[*index].0).sum();
        match right[..] {
            [] => {
                let message = "No choice is marked as right; write = before it.";
                self.flaw(column::ANSWER, line, Flaw::Malformed(message.to_owned()));
            }
            [right] if is_whole(&right) => self.escaped(column::ANSWER, line, &letter(right)),
            // Each is right by itself, or all of them together are.
            _ if right.iter().all(is_whole) || !right.iter().any(is_whole) && (sum - 100.0).abs() < 1.0 => {
                let letters: Vec<String> = right.iter().map(|index| letter(*index)).collect();
                self.escaped(column::ANSWER, line, &letters.join(","));
                let kind = if is_whole(&right[0]) {
                    "ANY_CHOICE"
                } else {
                    "ALL_CHOICES"
                };
                self.escaped(column::KIND, line, kind);
            }
            _ => {
                let message = "A choice gives a part of the points, which there is not here; mark the right choices with =, or with weights that make 100 together.";
                self.flaw(column::ANSWER, line, Flaw::Unsupported(message.to_owned()));
            }
        }
    }
}

/// The kinds of GIFT's questions.
enum Kinds<'t> {
    /// Choices with the percentage of the points that each gives.
    Choices(Vec<(f64, &'t str)>),
    TrueFalse(bool),
    /// A number and its tolerance.
    Number(String, String),
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
            "" if trimmed.starts_with('#') => {
                let number = number(&trimmed[1..]);
                return number.map_or(Kinds::Other("a question for several numbers"), |(value, tolerance)| {
                    Kinds::Number(value, tolerance)
                });
            }
            "" => return Kinds::Other("an essay"),
            _ => {}
        }
        let starts: Vec<usize> = trimmed.match_indices(['=', '~']).map(|(at, _)| at).collect();
        if starts.first() != Some(&0) {
            return Kinds::Other("a question of a kind that is not known");
        }
        let ends = starts.iter().skip(1).copied().chain([trimmed.len()]);
        let marked: Vec<(bool, &str)> = starts
            .iter()
            .zip(ends)
            .map(|(start, end)| (trimmed[*start..].starts_with('='), &trimmed[start + 1..end]))
            .collect();
        if marked.iter().all(|(is_right, _)| *is_right) {
            return match marked.iter().any(|(_, text)| text.contains("->")) {
                true => Kinds::Other("a matching question"),
                false => Kinds::Other("a question for a short text"),
            };
        }
        let weighed = |(is_right, text)| {
            let (weight, text) = weight(text);
            (weight.unwrap_or(if is_right { 100.0 } else { 0.0 }), text)
        };
        Kinds::Choices(marked.into_iter().map(weighed).collect())
    }
}

/// The weight before a choice (`%50%`), and the choice.
fn weight(text: &str) -> (Option<f64>, &str) {
    let parts = text
        .trim_start()
        .strip_prefix('%')
        .and_then(|rest| rest.split_once('%'));
    match parts.and_then(|(weight, rest)| Some((weight.trim().parse::<f64>().ok()?, rest))) {
        Some((weight, rest)) if weight.is_finite() => (Some(weight), rest),
        _ => (None, text),
    }
}

/// A number with its tolerance: `3.14:0.01`, `=3.14:0.01` or a range, `3.13..3.15`. Nothing of several.
fn number(text: &str) -> Option<(String, String)> {
    let text = unmasked(text);
    let text = text.trim();
    let text = text.strip_prefix('=').unwrap_or(text);
    let text = text.split('#').next().unwrap_or_default().trim();
    if text.contains(['=', '~', '%']) {
        return None;
    }
    if let Some((from, to)) = text.split_once("..") {
        let (from, to): (Decimal, Decimal) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
        let half = to.checked_sub(from)?.checked_div(Decimal::TWO)?;
        let value = from.checked_add(half)?;
        return Some((value.normalize().to_string(), half.normalize().to_string()));
    }
    let (value, tolerance) = text.split_once(':').unwrap_or((text, ""));
    Some((value.trim().to_owned(), tolerance.trim().to_owned()))
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

/// The text with escaped characters of the format (`\=`, `\~`, `\#`, `\{`, `\}`, `\:`, `\\`) as others; `\n` is a line's end.
fn masked(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(next @ ('=' | '~' | '#' | '{' | '}' | ':' | '\\'))) => {
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
