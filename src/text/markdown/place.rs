//! Where code and formulas stand in a text: a guess, by lines and pairs of marks, and what of it is no guess.
//!
//! Code is *surely* code if no reader can take it for anything else, however much grammar it has beyond CommonMark:
//!
//! - between equal runs of backticks on one line, in a block (lines between blank ones) in which every run has such a
//!   partner and all else is words and harmless punctuation: nothing that could hold a backtick itself, as links, footnotes,
//!   formulas, cells of a table or automatic links do;
//! - within a fence at the margin, if everything above is such blocks, whose lines begin with a letter at the margin: no
//!   list, quotation, note, container or front matter can be open.
//!
//! It never is by its indentation, nor at the start of a text: a client may have put the text into a list, say.

use std::{collections::HashMap, iter::Peekable, ops::Range, vec};

/// The kind of place that a character stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Text,
    Formula,
    /// Code to us; a reader may think otherwise.
    Code,
    /// Code to every reader.
    SurelyCode,
}

/// The places of a text that are not plain text, asked for from the beginning to the end.
pub(super) struct Places(Peekable<vec::IntoIter<(Range<usize>, Place)>>);

impl Places {
    pub(super) fn of(text: &str) -> Self {
        let mut reading = Reading {
            text,
            above: Above::Nothing,
            found: Vec::new(),
        };
        let mut lines = lines(text);
        while let Some(line) = lines.next() {
            if !text[line.clone()].trim().is_empty() {
                reading.block(line, &mut lines);
            }
        }
        Self(reading.found.into_iter().peekable())
    }

    /// The place of a position that is not before the last one asked for.
    pub(super) fn at(&mut self, at: usize) -> Place {
        while self.0.next_if(|(range, _)| range.end <= at).is_some() {}
        match self.0.peek() {
            Some((range, place)) if range.contains(&at) => *place,
            _ => Place::Text,
        }
    }
}

type Lines<'t> = Peekable<Box<dyn Iterator<Item = Range<usize>> + 't>>;

fn lines(text: &str) -> Lines<'_> {
    let mut start = 0;
    let lines = text.split_inclusive('\n').map(move |line| {
        let range = start..start + line.len();
        start = range.end;
        range
    });
    let lines: Box<dyn Iterator<Item = Range<usize>>> = Box::new(lines);
    lines.peekable()
}

/// What stands above a block.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Above {
    Nothing,
    /// Words from the margin on, and code that is surely code.
    Words,
    Anything,
}

struct Reading<'t> {
    text: &'t str,
    above: Above,
    found: Vec<(Range<usize>, Place)>,
}

impl Reading<'_> {
    /// Reads the block that begins with this line.
    fn block(&mut self, first: Range<usize>, lines: &mut Lines<'_>) {
        let opening = &self.text[first.clone()];
        if let Some(fence) = Fence::opened_by(opening) {
            let (end, closed_surely) = fence.closed_in(self.text, first.end, lines);
            let code = &self.text[first.start..end];
            return self.code(
                first.start..end,
                fence.is_plain && closed_surely && holds_no_formula(code),
            );
        }
        let mut end = first.end;
        let mut is_indented = indented(opening);
        while let Some(line) = lines.next_if(|line| {
            let line = &self.text[line.clone()];
            !line.trim().is_empty() && Fence::opened_by(line).is_none()
        }) {
            is_indented &= indented(&self.text[line.clone()]);
            end = line.end;
        }
        if is_indented {
            return self.code(first.start..end, false);
        }
        let is_plain = self.inline(first.start..end);
        let is_words = is_plain && self.text[first.start..end].lines().all(begins_as_words);
        self.above = match self.above {
            Above::Nothing | Above::Words if is_words => Above::Words,
            _ => Above::Anything,
        };
    }

    /// A whole block of code.
    fn code(&mut self, block: Range<usize>, surely: bool) {
        let surely = surely && self.above == Above::Words;
        if surely {
            self.found.push((block, Place::SurelyCode));
        } else {
            self.found.push((block, Place::Code));
            self.above = Above::Anything;
        }
    }

    /// Finds the code and formulas in a block of words. Returns whether all else is plain.
    fn inline(&mut self, block: Range<usize>) -> bool {
        let text = &self.text[block.clone()];
        let (mut runs, mut formulas) = (Run::all(text).peekable(), Formulas::default());
        let (mut is_plain, mut escaped, mut next) = (is_plain_but_for_characters(text), false, 0);
        let mut found = Vec::new();
        for (at, c) in text.char_indices() {
            if at < next {
                continue;
            }
            let place = match c {
                '`' if !escaped => {
                    while runs.next_if(|run| run.range.start < at).is_some() {}
                    let run = runs.next_if(|run| run.range.start == at);
                    let end = run.as_ref().and_then(|run| run.closed_at);
                    is_plain &= end.is_some_and(|end| {
                        let code = &text[at..end];
                        !code.contains('\n') && holds_no_formula(code)
                    });
                    next = end.or(run.map(|run| run.range.end)).unwrap_or(at + 1);
                    end.map(|end| (at..end, Place::Code))
                }
                '$' | '\\' if !escaped => {
                    is_plain = false;
                    let end = formulas.opened_at(text, at);
                    next = end.unwrap_or(next);
                    end.map(|end| (at..end, Place::Formula))
                }
                c => {
                    is_plain &= is_plain_character(c);
                    None
                }
            };
            escaped = c == '\\' && !escaped && next <= at;
            found.extend(place);
        }
        let found = found.into_iter().map(|(range, place)| {
            let range = block.start + range.start..block.start + range.end;
            match place {
                Place::Code if is_plain => (range, Place::SurelyCode),
                place => (range, place),
            }
        });
        self.found.extend(found);
        is_plain
    }
}

/// A run of backticks.
struct Run {
    range: Range<usize>,
    /// The end of the next run of this length, which closes the code that this one opens.
    closed_at: Option<usize>,
}

impl Run {
    /// The runs of a text in their order.
    fn all(text: &str) -> vec::IntoIter<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for (at, _) in text.match_indices('`') {
            match runs.last_mut() {
                Some(run) if run.range.end == at => run.range.end += 1,
                _ => runs.push(Run {
                    range: at..at + 1,
                    closed_at: None,
                }),
            }
        }
        let mut next = HashMap::new();
        for run in runs.iter_mut().rev() {
            run.closed_at = next.insert(run.range.len(), run.range.end);
        }
        runs.into_iter()
    }
}

/// Finds the ends of formulas. What was not found once is not looked for again.
#[derive(Default)]
pub(super) struct Formulas {
    missing: Vec<&'static str>,
}

impl Formulas {
    /// The end of the formula that opens at `at`, if one does.
    pub(super) fn opened_at(&mut self, text: &str, at: usize) -> Option<usize> {
        let rest = &text[at..];
        let close = [("$$", "$$"), ("\\(", "\\)"), ("\\[", "\\]")]
            .into_iter()
            .find(|(open, _)| rest.starts_with(open));
        if let Some((open, close)) = close {
            let start = at + open.len();
            if self.missing.contains(&close) {
                return None;
            }
            let length = text[start..].find(close);
            look(length.unwrap_or(text.len() - start));
            if length.is_none() {
                self.missing.push(close);
            }
            return length.map(|length| start + length + close.len());
        }
        // A price is none: a formula starts and ends without a blank, and no digit follows.
        let formula = rest.strip_prefix('$')?;
        let length = formula.find('$')?;
        look(length);
        let (inside, after) = (&formula[..length], &formula[length + 1..]);
        let is_formula = !inside.starts_with(char::is_whitespace)
            && !inside.ends_with(char::is_whitespace)
            && !after.starts_with(|c: char| c.is_ascii_digit());
        is_formula.then_some(at + length + 2)
    }
}

/// A fence of backticks or tildes.
struct Fence {
    mark: char,
    length: usize,
    /// At the margin, of backticks, with nothing but a language after it.
    is_plain: bool,
}

impl Fence {
    fn opened_by(line: &str) -> Option<Self> {
        // Within quotations and lists, too.
        let opening = line.trim_start_matches(|c: char| c.is_ascii_digit() || " \t>-*+.)".contains(c));
        let mark = opening.chars().next().filter(|c| matches!(c, '`' | '~'))?;
        let after = opening.trim_start_matches(mark);
        let length = opening.len() - after.len();
        let opens = length >= 3 && !(mark == '`' && after.contains('`'));
        let is_language = |c: char| c.is_ascii_alphanumeric() || "+#-".contains(c);
        opens.then(|| Self {
            mark,
            length,
            is_plain: opening.len() == line.len()
                && mark == '`'
                && after.trim_end_matches('\n').chars().all(is_language),
        })
    }

    /// The end of the code, or of the text; and whether every reader sees it end there.
    fn closed_in(&self, text: &str, start: usize, lines: &mut Lines<'_>) -> (usize, bool) {
        let (mut end, mut surely) = (start, true);
        for line in lines {
            end = line.end;
            let line = &text[line];
            let closing = line.trim_start_matches([' ', '\t', '>']);
            let after = closing.trim_start_matches(self.mark);
            let length = closing.len() - after.len();
            if length >= self.length && after.trim().is_empty() {
                return (end, surely && closing.len() == line.len() && length == self.length);
            }
            surely &= length < 3;
        }
        (end, false)
    }
}

fn indented(line: &str) -> bool {
    line.starts_with("    ") || line.starts_with('\t')
}

/// Whether a line begins at the margin with a word, which is not the letter of a list (`a.`, `iv)`).
fn begins_as_words(line: &str) -> bool {
    let after = line.trim_start_matches(char::is_alphabetic);
    after.len() < line.len() && !after.starts_with(['.', ')'])
}

/// Whether nothing in a block lets a reader part it otherwise than by its lines and runs of backticks: no cell of a table,
/// no automatic link.
fn is_plain_but_for_characters(block: &str) -> bool {
    !(block.contains('|') || block.contains("://") || block.to_ascii_lowercase().contains("www."))
}

fn is_plain_character(c: char) -> bool {
    c.is_alphanumeric() || " \n.,;:!?'\"()-+*/=%#<>_&".contains(c)
}

/// Clients may take formulas out of a text before it is read.
fn holds_no_formula(code: &str) -> bool {
    !(code.contains('$') || code.contains("\\(") || code.contains("\\["))
}

/// Counts the bytes that are looked at beside the passes over the text, for the test of their bound.
pub(super) fn look(_bytes: usize) {
    #[cfg(test)]
    LOOKED.with(|looked| looked.set(looked.get() + _bytes));
}

#[cfg(test)]
thread_local! {
    pub(super) static LOOKED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}
