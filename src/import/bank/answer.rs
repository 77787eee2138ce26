//! Which choice an answer means: by its letter, its place or its text, if only one can be meant.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use super::alike::{as_answered, as_seen, folded};

/// What the numbers in the column of answers are, where a file leaves that open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Numbers {
    /// Whatever the column as a whole leaves no doubt about; else its numbers are refused.
    #[default]
    Unsaid,
    /// The text of a choice.
    Text,
    /// The place of a choice, from 1.
    Place,
    /// The place of a choice, from 0.
    Zero,
}

/// How the numbers of a column are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Convention {
    /// Each by itself: in this column no two readings contradict each other.
    Either,
    Given(Numbers),
    /// Not at all: a number is 0, so others may count from 0.
    SomeZero,
    /// Not at all: some may be texts of choices, and others places.
    Mixed,
}

/// The meaning of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    One(usize),
    None,
    /// More than one choice could be meant.
    Ambiguous,
    /// More than one choice is named (`B and C`).
    Several,
    /// A number, in a column whose numbers are not clear.
    Unclear(Convention),
}

impl Convention {
    /// Judges the column as a whole, by the answers and choices of all its rows.
    pub(super) fn of<'a>(said: Numbers, rows: impl Iterator<Item = (&'a str, Vec<Cow<'a, str>>)>) -> Self {
        if said != Numbers::Unsaid {
            return Convention::Given(said);
        }
        let (mut zero, mut texts, mut places, mut differ) = (false, false, false, false);
        for (answer, choices) in rows {
            let Some(Label {
                mark: Mark::Number(number),
                rest: "",
            }) = Label::of(answer)
            else {
                continue;
            };
            let text = index_by_text(answer, &choices);
            let place = number.checked_sub(1).filter(|place| *place < choices.len());
            zero |= number == 0 && text.is_none();
            match (text, place) {
                (Some(text), Some(place)) => differ |= text != place,
                (Some(_), None) => texts = true,
                (None, Some(_)) => places = true,
                (None, None) => {}
            }
        }
        if zero {
            Convention::SomeZero
        } else if differ || texts && places {
            Convention::Mixed
        } else {
            Convention::Either
        }
    }
}

/// The choice that an answer means.
pub(super) fn meaning(answer: &str, choices: &[String], convention: Convention) -> Meaning {
    let by_text = index_by_text(answer, choices).or_else(|| index_by_text(unprefixed(answer.trim()), choices));
    let by_label = match Label::of(answer) {
        Some(Label {
            mark: Mark::Number(number),
            rest: "",
        }) => {
            return number_means(number, by_text, choices.len(), convention);
        }
        Some(label) => label.means(choices, convention),
        None => Meaning::None,
    };
    match (by_text, by_label) {
        (Some(text), Meaning::One(label)) if text != label => Meaning::Ambiguous,
        (Some(text), _) => Meaning::One(text),
        (None, Meaning::None) if names_several(answer, choices.len()) => Meaning::Several,
        (None, by_label) => by_label,
    }
}

fn number_means(number: usize, by_text: Option<usize>, choices: usize, convention: Convention) -> Meaning {
    let place = |first: usize| number.checked_sub(first).filter(|place| *place < choices);
    let found = match convention {
        Convention::SomeZero | Convention::Mixed => return Meaning::Unclear(convention),
        Convention::Given(Numbers::Text) => by_text,
        Convention::Given(Numbers::Place) => place(1),
        Convention::Given(Numbers::Zero) => place(0),
        Convention::Given(Numbers::Unsaid) | Convention::Either => match (by_text, place(1)) {
            (Some(text), Some(place)) if text != place => return Meaning::Ambiguous,
            (text, place) => text.or(place),
        },
    };
    found.map_or(Meaning::None, Meaning::One)
}

/// The choice with this text; written more freely (case, a full stop) only if no other choice could be meant.
fn index_by_text(answer: &str, choices: &[impl AsRef<str>]) -> Option<usize> {
    let only = |is_meant: &dyn Fn(&str) -> bool| {
        let mut meant = (0..choices.len()).filter(|index| is_meant(choices[*index].as_ref()));
        meant.next().filter(|_| meant.next().is_none())
    };
    let (typed, seen, free) = (folded(answer), as_seen(answer), as_answered(answer));
    only(&|choice| folded(choice) == typed)
        .or_else(|| only(&|choice| as_seen(choice) == seen))
        .or_else(|| only(&|choice| as_answered(choice) == free))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mark {
    /// The index of a letter.
    Letter(usize),
    Number(usize),
}

/// A letter or number that an answer begins with, and what follows it: `B`, `(B)`, `Option B`, `Ans: B. beta`.
#[derive(Debug, PartialEq, Eq)]
struct Label<'a> {
    mark: Mark,
    rest: &'a str,
}

impl<'a> Label<'a> {
    fn of(answer: &'a str) -> Option<Self> {
        let answer = unprefixed(answer.trim());
        let inside = answer.strip_prefix(['(', '[']).map(str::trim_start);
        let text = inside.unwrap_or(answer);
        let end = text.find(|c: char| !c.is_alphanumeric()).unwrap_or(text.len());
        let (mark, after) = (mark(&text[..end])?, text[end..].trim_start());
        let rest = match (inside, after.strip_prefix([')', ']'])) {
            (_, Some(rest)) => rest,
            (Some(_), None) => return None,
            (None, None) => {
                let rest = after.strip_prefix(['.', ':', '-', '\u{2013}', '=']).unwrap_or(after);
                // 1.5 and B-12 are no labels.
                let is_parted = rest.is_empty() || text[end..].len() > rest.trim_start().len() + 1;
                let is_letter = matches!(mark, Mark::Letter(_));
                if !(is_parted || is_letter && text[end..].starts_with('.')) {
                    return None;
                }
                rest
            }
        };
        let rest = rest.trim().trim_end_matches('.');
        Some(Self { mark, rest })
    }

    /// The choice that is meant if the label is right about its text.
    fn means(&self, choices: &[String], convention: Convention) -> Meaning {
        let labelled = match (self.mark, convention) {
            (Mark::Letter(index), _) => Some(index),
            (Mark::Number(number), Convention::Given(Numbers::Zero)) => Some(number),
            (Mark::Number(number), _) => number.checked_sub(1),
        };
        let labelled = labelled.filter(|index| *index < choices.len());
        if self.rest.is_empty() {
            return labelled.map_or(Meaning::None, Meaning::One);
        }
        match (labelled, index_by_text(self.rest, choices)) {
            (Some(labelled), Some(text)) if labelled == text => Meaning::One(text),
            (_, Some(_)) => Meaning::Ambiguous,
            (_, None) => Meaning::None,
        }
    }
}

/// An answer without the words that only say it is one.
fn unprefixed(answer: &str) -> &str {
    const WORDS: [&str; 13] = [
        "the", "correct", "right", "answer", "ans", "key", "option", "opt", "choice", "is", "جواب", "آپشن", "درست",
    ];
    let mut rest = answer;
    loop {
        let end = rest.find(|c: char| !c.is_alphabetic()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let after = after.trim_start_matches([' ', ':', '=', '.']);
        let after = after.strip_prefix("- ").unwrap_or(after).trim_start();
        if after.is_empty() || !WORDS.contains(&word.to_lowercase().as_str()) {
            return rest;
        }
        rest = after;
    }
}

fn mark(label: &str) -> Option<Mark> {
    let urdu = ["الف", "ب", "ج", "د", "ہ", "و"];
    match label.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(Mark::Letter(usize::from(letter.to_ascii_lowercase() - b'a'))),
        [_, ..] if label.bytes().all(|byte| byte.is_ascii_digit()) => label.parse().ok().map(Mark::Number),
        _ => urdu.iter().position(|known| *known == label).map(Mark::Letter),
    }
}

/// The choices that an answer names, if it names one or more: as a list of labels or of texts.
pub(super) fn several(answer: &str, choices: &[String], convention: Convention) -> Option<Vec<usize>> {
    if let Meaning::One(only) = meaning(answer, choices, convention) {
        return Some(vec![only]);
    }
    let parts = labels(answer).into_iter().filter(|part| !part.is_empty());
    let mut named: Vec<usize> = parts
        .map(|part| match meaning(&part, choices, convention) {
            Meaning::One(choice) => Some(choice),
            _ => None,
        })
        .collect::<Option<_>>()?;
    named.sort_unstable();
    let count = named.len();
    named.dedup();
    // The same one twice is a slip.
    (!named.is_empty() && named.len() == count).then_some(named)
}

/// The parts of a list of labels.
fn labels(answer: &str) -> Vec<String> {
    let answer = unprefixed(answer.trim())
        .to_lowercase()
        .replace(" and ", ",")
        .replace(" or ", ",");
    answer
        .split([',', ';', '&', '/', '+', '|'])
        .map(|label| {
            label
                .trim_matches(|c: char| c.is_whitespace() || "().[]".contains(c))
                .to_owned()
        })
        .collect()
}

/// Whether an answer is a list of labels: `B and C`, `A, D`, `1 & 3`.
fn names_several(answer: &str, choices: usize) -> bool {
    let labels = labels(answer);
    let is_label = |label: &String| match mark(label) {
        Some(Mark::Letter(index)) => index < choices,
        Some(Mark::Number(number)) => (1..=choices).contains(&number),
        None => false,
    };
    labels.len() > 1 && labels.iter().all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GREEK: [&str; 4] = ["alpha", "beta", "gamma", "delta"];

    fn read(answer: &str, choices: &[&str]) -> Meaning {
        let owned: Vec<String> = choices.iter().map(|c| (*c).to_owned()).collect();
        let convention = Convention::of(Numbers::Unsaid, [].into_iter());
        meaning(answer, &owned, convention)
    }

    fn judged(rows: &[(&'static str, &[&'static str])]) -> Convention {
        Convention::of(
            Numbers::Unsaid,
            rows.iter()
                .map(|(answer, choices)| (*answer, choices.iter().map(|c| Cow::from(*c)).collect())),
        )
    }

    #[test]
    fn an_answer_is_a_letter_a_position_or_a_text() {
        let cells = ["Nucleus", "Ribosome", "Golgi  body"];
        for answer in ["C", "c", "3", "03", "Golgi body", "golgi BODY"] {
            assert_eq!(read(answer, &cells), Meaning::One(2), "{answer}");
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
            assert_eq!(read(answer, &cells), Meaning::None, "{answer}");
        }
    }

    #[test]
    fn a_label_may_be_dressed() {
        for answer in [
            "B)",
            "(B)",
            "( b )",
            "[B]",
            "B.",
            "B:",
            "b)",
            "Option B",
            "option b",
            "OPTION (B)",
            "Choice 2",
            "(2)",
            "2)",
            "2.",
            "Ans: B",
            "Answer: B",
            "Answer - B",
            "The correct answer is B.",
            "B) beta",
            "B. Beta",
            "B.beta",
            "(B) beta.",
            "B - beta",
            "B: beta",
            "2. beta",
            "Ans: (B) beta",
            "Correct option: beta",
            "ب",
            "جواب: ب",
        ] {
            assert_eq!(read(answer, &GREEK), Meaning::One(1), "{answer}");
        }
    }

    #[test]
    fn a_label_and_its_text_must_agree() {
        assert_eq!(read("B) gamma", &GREEK), Meaning::Ambiguous);
        assert_eq!(read("B) epsilon", &GREEK), Meaning::None);
        assert_eq!(read("E) beta", &GREEK), Meaning::Ambiguous);
        assert_eq!(read("Option B", &["Option B", "x"]), Meaning::Ambiguous);
        assert_eq!(read("B-12", &["B-6", "B-12", "C"]), Meaning::One(1));
        assert_eq!(read("B-12", &["x", "y"]), Meaning::None);
    }

    #[test]
    fn several_choices_are_no_answer() {
        for answer in ["B and C", "A, D", "a & b", "(A) and (C)", "1, 3", "Options: A/B"] {
            let expected = if answer.starts_with("Options") {
                Meaning::None
            } else {
                Meaning::Several
            };
            assert_eq!(read(answer, &GREEK), expected, "{answer}");
        }
        assert_eq!(read("A and B", &["x", "y", "A and B"]), Meaning::One(2));
        assert_eq!(read("A and Z", &GREEK), Meaning::None);
    }

    #[test]
    fn readings_that_agree_are_one_and_others_are_ambiguous() {
        assert_eq!(read("2", &["1", "2", "3"]), Meaning::One(1));
        assert_eq!(read("2", &["4", "3", "2"]), Meaning::Ambiguous);
        assert_eq!(read("B", &["A", "C", "B"]), Meaning::Ambiguous);
        assert_eq!(read("7", &["5", "6", "7"]), Meaning::One(2));
    }

    #[test]
    fn case_decides_between_texts_that_differ_by_case_only() {
        assert_eq!(read("Co", &["CO", "Co", "Cu"]), Meaning::One(1));
        assert_eq!(read("co", &["CO", "Co", "Cu"]), Meaning::None);
        assert_eq!(read("cu", &["CO", "Co", "Cu"]), Meaning::One(2));
    }

    #[test]
    fn numbers_are_judged_by_the_column() {
        let words: &[&str] = &GREEK;
        let numbers: &[&str] = &["2", "3", "4", "5"];
        assert_eq!(judged(&[("1", words), ("4", words), ("C", words)]), Convention::Either);
        assert_eq!(judged(&[("1", words), ("0", words)]), Convention::SomeZero);
        assert_eq!(
            judged(&[("0", &["1", "0"]), ("1", &["0", "1", "2"])]),
            Convention::Mixed
        );
        assert_eq!(judged(&[("4", numbers), ("1", words)]), Convention::Mixed);
        assert_eq!(judged(&[("5", numbers), ("1", words)]), Convention::Mixed);
        assert_eq!(judged(&[("5", numbers), ("5", numbers)]), Convention::Either);
        assert_eq!(judged(&[("(0)", words)]), Convention::SomeZero);
        assert_eq!(
            Convention::of(Numbers::Zero, [].into_iter()),
            Convention::Given(Numbers::Zero)
        );
    }
}
