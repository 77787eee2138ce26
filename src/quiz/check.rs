//! What publishing asks of a question: a submit must never fail because of content. A draft may still lack what is
//! [`missing`], but holds nothing that is [`wrong`].

use std::collections::HashSet;

use super::{
    content::{Content, MAX_CHOICE, MAX_EXPLANATION, MAX_QUESTION, MAX_QUESTIONS},
    right::{MAX_CHOICES, Right},
};
use crate::{
    entity::question::Kind,
    error::{Error, Faults, Result, UserErrorCode},
};

/// Notes what a draft does not take, with the paths of the arguments.
pub(crate) fn wrong(content: &Content, faults: &mut Faults) {
    if content.text.as_str().trim().is_empty() {
        faults.note(&["text"], "Write the question.");
    } else if content.text.as_str().chars().count() > MAX_QUESTION {
        faults.note(&["text"], format!("A question has at most {MAX_QUESTION} characters."));
    }
    let explanation = content.explanation.as_ref();
    if explanation.is_some_and(|explanation| explanation.as_str().chars().count() > MAX_EXPLANATION) {
        let message = format!("An explanation has at most {MAX_EXPLANATION} characters.");
        faults.note(&["explanation"], message);
    }
    if content.choices.len() > MAX_CHOICES {
        faults.note(&["choices"], format!("A question has at most {MAX_CHOICES} choices."));
    }
    let mut texts = HashSet::new();
    for (at, choice) in content.choices.iter().enumerate() {
        let (at, text) = (at.to_string(), choice.as_str().trim());
        let path = ["choices", at.as_str(), "text"];
        if text.is_empty() {
            faults.note(&path, "Write the choice, or leave it out.");
        } else if text.chars().count() > MAX_CHOICE {
            faults.note(&path, format!("A choice has at most {MAX_CHOICE} characters."));
        } else if !texts.insert(text) {
            faults.note(
                &path,
                "Another choice says the same. Change one of them, or leave it out.",
            );
        }
    }
    let right = content.right_choices().len();
    match content.kind {
        Kind::Number if !content.choices.is_empty() => {
            faults.note(&["choices"], "A question that asks for a number has no choices.");
        }
        Kind::SingleChoice | Kind::TrueFalse if right > 1 => {
            let message = "Mark one choice as right, or choose the kind ALL_CHOICES or ANY_CHOICE.";
            faults.note(&["choices"], message);
        }
        Kind::TrueFalse if content.choices.len() > 2 => {
            faults.note(&["choices"], "A question of the kind TRUE_FALSE has two choices.");
        }
        _ => {}
    }
}

/// What a question lacks to be published, if anything, as a clause.
pub(crate) fn missing(kind: Kind, text: &str, choices: &[&str], right: Option<Right>) -> Option<&'static str> {
    let mut texts = HashSet::new();
    let in_range = |right: Right| {
        let positions = right.choices().unwrap_or_default();
        !positions.is_empty() && positions.positions().all(|position| position < choices.len())
    };
    let only_one = |right: Right| right.only_choice().is_some();
    if text.trim().is_empty() || choices.iter().any(|choice| choice.trim().is_empty()) {
        return Some("the question or one of its choices is empty");
    }
    if !choices.iter().all(|choice| texts.insert(choice.trim())) {
        return Some("two of its choices are equal");
    }
    match (kind, right) {
        (Kind::Number, _) if !choices.is_empty() => Some("it asks for a number, and has choices"),
        (Kind::Number, Some(Right::Number(number))) if number.tolerance.is_sign_negative() => {
            Some("its tolerance is less than 0")
        }
        (Kind::Number, Some(Right::Number(_))) => None,
        (Kind::Number, _) => Some("it needs a right number"),
        (Kind::TrueFalse, _) if choices.len() != 2 => Some("it needs exactly 2 choices"),
        _ if !(2..=MAX_CHOICES).contains(&choices.len()) => Some("it needs 2 to 6 choices"),
        (_, Some(right)) if in_range(right) => match kind {
            Kind::SingleChoice | Kind::TrueFalse if !only_one(right) => {
                Some("several of its choices are marked as the right one")
            }
            _ => None,
        },
        (Kind::AllChoices | Kind::AnyChoice, _) => Some("none of its choices is marked as right"),
        _ => Some("none of its choices is marked as the right one"),
    }
}

/// The same of a question as staff write it.
pub(crate) fn missing_in(content: &Content) -> Option<&'static str> {
    let choices: Vec<_> = content.choices.iter().map(|choice| choice.as_str()).collect();
    missing(content.kind, content.text.as_str(), &choices, content.right)
}

/// What a revision of so many questions lacks as a whole.
pub(crate) fn missing_in_all(questions: usize) -> Option<String> {
    match questions {
        0 => Some("A quiz needs at least one question.".into()),
        many if many > MAX_QUESTIONS => Some(format!("A quiz has at most {MAX_QUESTIONS} questions.")),
        _ => None,
    }
}

/// Refuses what must not be published: the first question with a problem is named.
pub(crate) fn all<'q>(problems: impl IntoIterator<Item = Option<&'q str>>) -> Result<()> {
    let mut count = 0;
    for problem in problems {
        count += 1;
        if let Some(problem) = problem {
            return Err(Error::input("questions", format!("Question {count}: {problem}")));
        }
    }
    match missing_in_all(count) {
        Some(message) => Err(Error::refused(UserErrorCode::BadUserInput, message)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quiz::right::{Choices, Number};

    #[test]
    fn each_kind_has_what_it_needs() {
        let set = |positions: &[usize]| Some(Right::Choices(Choices::of(positions.iter().copied())));
        let number = |tolerance: i64| {
            Some(Right::Number(Number {
                value: 9.into(),
                tolerance: tolerance.into(),
            }))
        };
        let two = ["a", "b"];
        for (kind, choices, right, is_complete) in [
            (Kind::SingleChoice, &two[..], set(&[1]), true),
            (Kind::SingleChoice, &two[..], set(&[0, 1]), false),
            (Kind::SingleChoice, &two[..], set(&[]), false),
            (Kind::SingleChoice, &two[..], None, false),
            (Kind::SingleChoice, &two[..], set(&[2]), false),
            (Kind::SingleChoice, &["a"], set(&[0]), false),
            (Kind::SingleChoice, &["a", "a"], set(&[0]), false),
            (Kind::SingleChoice, &["a", " "], set(&[0]), false),
            (Kind::SingleChoice, &two[..], number(0), false),
            (Kind::AllChoices, &two[..], set(&[0, 1]), true),
            (Kind::AllChoices, &two[..], set(&[]), false),
            (Kind::AnyChoice, &two[..], set(&[0]), true),
            (Kind::AnyChoice, &two[..], None, false),
            (Kind::TrueFalse, &two[..], set(&[0]), true),
            (Kind::TrueFalse, &["a", "b", "c"], set(&[0]), false),
            (Kind::TrueFalse, &two[..], set(&[0, 1]), false),
            (Kind::Number, &[], number(0), true),
            (Kind::Number, &[], number(2), true),
            (Kind::Number, &[], number(-1), false),
            (Kind::Number, &two[..], number(0), false),
            (Kind::Number, &[], None, false),
            (Kind::Number, &[], set(&[0]), false),
        ] {
            let found = missing(kind, "A question?", choices, right);
            assert_eq!(
                found.is_none(),
                is_complete,
                "{kind:?} {choices:?} {right:?}: {found:?}"
            );
        }
        assert!(missing(Kind::Number, " ", &[], number(0)).is_some());
        assert!(all([None, None]).is_ok() && all([]).is_err() && all([None, Some("x")]).is_err());
    }
}
