//! Aiken: a question, its choices with letters, and a line `ANSWER: B`
//! (<https://docs.moodle.org/en/Aiken_format>).

use super::{Cell, Flaw, Grid, Kind, Row, Unreadable, column};

/// Whether a text is meant as Aiken: it has a line with an answer, or two choices that follow each other.
pub(super) fn looks_like(text: &str) -> bool {
    let mut lines = text.lines().map(str::trim);
    let mut before = None;
    lines.any(|line| {
        let found = choice(line).map(|(index, _)| index);
        let follows = before.is_some() && found == before.map(|index: usize| index + 1);
        before = found;
        follows || answer(line).is_some()
    })
}

pub(super) fn grid(name: &str, text: &str) -> Result<Grid, Unreadable> {
    let mut rows = Vec::new();
    let mut open = Question::default();
    for (number, line) in (1..).zip(text.lines()) {
        open.take(number, line.trim(), &mut rows);
    }
    rows.extend(open.closed());
    Grid::of_questions(name, rows, Vec::new())
}

/// A question as far as it was read.
#[derive(Default)]
struct Question {
    text: Vec<String>,
    choices: Vec<(u32, String)>,
    answer: Option<(u32, String)>,
    start: u32,
    flaws: Vec<(u32, Flaw)>,
}

impl Question {
    fn take(&mut self, number: u32, line: &str, rows: &mut Vec<Row>) {
        if line.is_empty() {
            // A blank line ends a question, and stands between the lines of none.
            if !self.choices.is_empty() {
                rows.extend(std::mem::take(self).closed());
            }
            return;
        }
        if let Some(letter) = answer(line) {
            self.begin(number);
            self.answer = Some((number, letter.to_owned()));
            rows.extend(std::mem::take(self).closed());
        } else if let Some((_, text)) =
            choice(line).filter(|(index, _)| *index == self.choices.len() && !self.text.is_empty())
        {
            self.choices.push((number, text.to_owned()));
        } else if self.choices.is_empty() {
            self.begin(number);
            self.text.push(line.to_owned());
        } else {
            let message = "This line is neither the next choice (\u{201C}C. \u{2026}\u{201D}) nor the answer (\u{201C}ANSWER: C\u{201D}); each choice stands on one line, under the letter that follows.";
            let column = column::CHOICES.start + (self.choices.len() as u32).min(6);
            if self.flaws.is_empty() {
                self.flaws.push((column, Flaw::Malformed(message.to_owned())));
                self.choices.push((number, String::new()));
            }
        }
    }

    fn begin(&mut self, number: u32) {
        if self.start == 0 {
            self.start = number;
        }
    }

    fn closed(mut self) -> Option<Row> {
        if self.start == 0 {
            return None;
        }
        let mut lines = vec![0; column::ALL];
        let mut cells = vec![(column::QUESTION, Cell::text(&self.text.join("\n")))];
        let last = self.choices.last().map_or(self.start, |(line, _)| *line);
        for (column, (line, text)) in column::CHOICES.zip(&self.choices) {
            lines[column as usize] = *line;
            cells.push((column, Cell::text(text)));
        }
        match &self.answer {
            Some((line, letter)) => {
                lines[column::ANSWER as usize] = *line;
                cells.push((column::ANSWER, Cell::text(letter)));
            }
            None => {
                lines[column::ANSWER as usize] = last;
                let message = "This question has no answer; end it with a line \u{201C}ANSWER: \u{201D} and the letter of the right choice.";
                self.flaws.push((column::ANSWER, Flaw::Malformed(message.to_owned())));
            }
        }
        cells.retain(|(_, cell)| *cell != Cell::Blank);
        lines[0] = self.start;
        Some(Row {
            number: self.start,
            cells,
            flaws: self.flaws,
            kind: Kind::Lines(lines),
        })
    }
}

/// The index and text of a choice: `A. …` or `A) …`.
fn choice(line: &str) -> Option<(usize, &str)> {
    let (letter, text) = line.split_at_checked(1)?;
    let letter = letter.bytes().next().filter(u8::is_ascii_uppercase)?;
    let text = text.strip_prefix(['.', ')'])?;
    text.starts_with(char::is_whitespace)
        .then(|| (usize::from(letter - b'A'), text.trim()))
}

/// What follows `ANSWER:`.
fn answer(line: &str) -> Option<&str> {
    let (word, letter) = line.split_once(':')?;
    word.trim().eq_ignore_ascii_case("answer").then(|| letter.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aiken_is_told_by_its_answers_or_choices() {
        assert!(looks_like("Q?\nA. x\nB. y\nANSWER: A"));
        assert!(looks_like("Q?\nA) x\nB) y\n"));
        assert!(!looks_like("Question,A,B,Answer\nQ,x,y,A"));
        assert!(!looks_like("Question\tA\tB\nA. x\ty\tz"));
    }
}
