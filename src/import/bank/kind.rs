//! The kind of a question as a bank names it, and the answers of kinds that are not one choice.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::{entity::question::Kind, quiz::right::Number};

/// The names of the kinds, for who has written another.
pub(super) const NAMES: &str = "SINGLE_CHOICE, ALL_CHOICES, ANY_CHOICE, TRUE_FALSE, NUMBER";
/// What is wrong with a number.
pub(super) const NO_NUMBER: &str = "This is no number that can be kept; write digits with a point (3.14), below 10 to the power of 18, and a tolerance of 0 or more.";
/// The choices of true and false, where a bank leaves them out.
pub(super) const TRUTH: [&str; MOST_TRUTH] = ["True", "False"];
/// How many choices a question of true or false has.
pub(super) const MOST_TRUTH: usize = 2;
/// The largest number.
const LARGEST: i64 = 1_000_000_000_000_000_000;

/// What an answer asks for that names several choices, where a file leaves that open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub enum Several {
    /// It is refused.
    #[default]
    Unsaid,
    /// All of them and no other.
    All,
    /// Any one of them.
    Any,
}

/// What a row, or else the import, asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Unsaid,
    Single,
    /// All right choices; by the row, or by the import if the answer names several.
    All,
    AllIfSeveral,
    Any,
    AnyIfSeveral,
    TrueFalse,
    Number,
}

impl Asked {
    /// The kind that a cell names.
    pub(super) fn of(name: &str) -> Option<Self> {
        let letters: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
        Some(match letters.to_lowercase().as_str() {
            "singlechoice" | "single" | "onechoice" | "mcq" | "multiplechoice" => Self::Single,
            "allchoices" | "all" | "multipleresponse" | "multipleanswers" | "multiselect" | "multipleselect" => {
                Self::All
            }
            "anychoice" | "any" | "anyof" => Self::Any,
            "truefalse" | "trueorfalse" | "tf" => Self::TrueFalse,
            "number" | "numeric" | "numerical" => Self::Number,
            _ => return None,
        })
    }

    /// What is asked for if the row does not say.
    pub(super) fn or(self, import: Several) -> Self {
        match (self, import) {
            (Self::Unsaid, Several::All) => Self::AllIfSeveral,
            (Self::Unsaid, Several::Any) => Self::AnyIfSeveral,
            (asked, _) => asked,
        }
    }

    /// Whether several right choices are possible.
    pub(super) fn takes_several(self) -> bool {
        matches!(self, Self::All | Self::Any | Self::AllIfSeveral | Self::AnyIfSeveral)
    }

    /// Whether the row itself says what it asks for.
    pub(super) fn is_named(self) -> bool {
        !matches!(self, Self::Unsaid | Self::AllIfSeveral | Self::AnyIfSeveral)
    }

    /// The kind of a question with so many right choices.
    pub(super) fn kind(self, right: usize) -> Kind {
        match self {
            Self::All => Kind::AllChoices,
            Self::AllIfSeveral if right > 1 => Kind::AllChoices,
            Self::Any => Kind::AnyChoice,
            Self::AnyIfSeveral if right > 1 => Kind::AnyChoice,
            Self::TrueFalse => Kind::TrueFalse,
            Self::Number => Kind::Number,
            Self::Unsaid | Self::Single | Self::AllIfSeveral | Self::AnyIfSeveral => Kind::SingleChoice,
        }
    }
}

/// Whether a cell names the kind whose answer is a number.
pub(super) fn is_number(name: &str) -> bool {
    Asked::of(name) == Some(Asked::Number)
}

/// The number of an answer: `3.14`, `3.14 ± 0.01`, or with its tolerance in a cell of its own. The error tells whether it is
/// the tolerance's.
pub(super) fn number(answer: &str, tolerance: Option<&str>) -> Result<Number, bool> {
    let parts = ["\u{B1}", "+/-", "+-"].iter().find_map(|mark| answer.split_once(mark));
    let (value, said) = match (parts, tolerance) {
        (Some(_), Some(_)) => return Err(true),
        (Some((value, tolerance)), None) => (value, Some(tolerance)),
        (None, tolerance) => (answer, tolerance),
    };
    let value = decimal(value).ok_or(false)?;
    let tolerance = said
        .map_or(Some(Decimal::ZERO), decimal)
        .filter(|said| !said.is_sign_negative());
    let tolerance = tolerance.ok_or(true)?;
    Ok(Number { value, tolerance })
}

/// A decimal number with a point, in whichever minus.
pub(crate) fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim().replace(['\u{2212}', '\u{2013}'], "-");
    let is_plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = match text.contains(['e', 'E']) {
        _ if !is_plain => None,
        true => Decimal::from_scientific(&text).ok(),
        false => Decimal::from_str_exact(&text).ok(),
    };
    number.filter(|number| number.abs() < Decimal::from(LARGEST))
}

/// The place of the choice that an answer of true or false means: by its letter or text, or as the word.
pub(super) fn truth(answer: &str, choices: &[String]) -> Option<usize> {
    let word = answer.trim().trim_end_matches('.').to_lowercase();
    let by_text = choices.iter().position(|choice| choice.trim().to_lowercase() == word);
    by_text.or_else(|| match word.as_str() {
        "a" => Some(0),
        "b" => Some(1),
        "t" | "true" | "f" | "false" => {
            let initial = &word[..1];
            let is_meant = |choice: &String| {
                matches!(choice.trim().to_lowercase().as_str(), "true" | "false")
                    && choice.trim().to_lowercase().starts_with(initial)
            };
            choices.iter().position(is_meant)
        }
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_their_tolerance() {
        let read = |answer, tolerance| {
            number(answer, tolerance).map(|number| (number.value.to_string(), number.tolerance.to_string()))
        };
        let of = |value: &str, tolerance: &str| Ok((value.to_owned(), tolerance.to_owned()));
        assert_eq!(read("3.14", None), of("3.14", "0"));
        assert_eq!(read(" 3.14 \u{B1} 0.01", None), of("3.14", "0.01"));
        assert_eq!(read("-5 +/- 1", None), of("-5", "1"));
        assert_eq!(read("\u{2212}5", Some("0.5")), of("-5", "0.5"));
        assert_eq!(read("1.5e3", None), of("1500", "0"));
        for (answer, tolerance, of_tolerance) in [
            ("3,14", None, false),
            ("five", None, false),
            ("5 cm", None, false),
            ("1e30", None, false),
            ("5", Some("-1"), true),
            ("5", Some("some"), true),
            ("5 \u{B1} 1", Some("1"), true),
        ] {
            assert_eq!(read(answer, tolerance), Err(of_tolerance), "{answer}");
        }
    }

    #[test]
    fn truth_is_a_word_a_letter_or_a_text() {
        let choices = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        for (answer, place) in [
            ("TRUE", Some(0)),
            ("t", Some(0)),
            ("False.", Some(1)),
            ("b", Some(1)),
            ("yes", None),
        ] {
            assert_eq!(truth(answer, &choices("True", "False")), place, "{answer}");
        }
        assert_eq!(truth("true", &choices("False", "True")), Some(1));
        assert_eq!(truth("true", &choices("Yes", "No")), None);
        assert_eq!(truth("yes", &choices("Yes", "No")), Some(0));
    }
}
