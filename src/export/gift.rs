//! Questions in GIFT. What it has no words for stands in comments, which other readers pass over.

use std::fmt::Write;

use sea_orm::ActiveEnum;

use super::Texts;
use crate::{entity::question::Kind, import::Question};

pub(super) fn gift(questions: &[Question]) -> String {
    let mut file = String::new();
    let mut chapter = "";
    for (number, question) in (1..).zip(questions) {
        let own = question.chapter.as_deref().unwrap_or_default();
        if own != chapter {
            chapter = own;
            // A slash would part a category from one inside it.
            let _ = write!(file, "$CATEGORY: {}\n\n", escaped(own).replace('/', "//"));
        }
        write_question(&mut file, number, question);
    }
    file
}

fn write_question(file: &mut String, number: usize, question: &Question) {
    let texts = Texts::of(question);
    let right = question.right.choices().unwrap_or_default();
    let is_bare = question.kind == Kind::TrueFalse && texts.choices == ["True", "False"];
    // A kind that does not show in the weights.
    let is_shown = match question.kind {
        Kind::SingleChoice | Kind::Number => true,
        Kind::AllChoices | Kind::AnyChoice => right.len() > 1,
        Kind::TrueFalse => is_bare,
    };
    if !is_shown {
        let _ = writeln!(file, "// kind: {}", question.kind.to_value());
    }
    if let Some(image) = &question.image {
        let _ = writeln!(file, "// image: {image}");
    }
    let _ = write!(file, "::Q{number}::[{}]{}{{", texts.format(), escaped(&texts.text));
    match (question.right.number(), is_bare) {
        (Some(number), _) => {
            let _ = write!(file, "#{}:{}", number.value, number.tolerance);
        }
        (None, true) => file.push_str(if right.has(0) { "TRUE" } else { "FALSE" }),
        (None, false) => {
            let share = match question.kind {
                Kind::AllChoices if right.len() > 1 => 100.0 / right.len() as f64,
                _ => 100.0,
            };
            let is_one = right.len() == 1;
            for (place, choice) in texts.choices.iter().enumerate() {
                file.push('\n');
                match (right.has(place), is_one) {
                    // Words that begin with a weight are told from one by another before them.
                    (true, true) if choice.starts_with('%') => file.push_str("=%100%"),
                    (false, _) if choice.starts_with('%') => file.push_str("~%0%"),
                    (true, true) => file.push('='),
                    (true, false) => {
                        let _ = write!(file, "~%{share:.5}%");
                    }
                    (false, _) => file.push('~'),
                }
                file.push_str(&escaped(choice));
            }
            file.push('\n');
        }
    }
    if let Some(explanation) = &texts.explanation {
        let _ = write!(file, "####{}", escaped(explanation));
    }
    file.push_str("}\n\n");
}

/// Text with the characters of the format escaped, on one line.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => escaped.push_str("\\n"),
            '\\' | '=' | '~' | '#' | '{' | '}' | ':' => escaped.extend(['\\', c]),
            c => escaped.push(c),
        }
    }
    escaped
}
