//! What the headings of question banks mean, in the spellings that public banks have.

use super::alike::as_seen;

/// The letters of choices, and so the maximum number of choices.
const LETTERS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
/// The letters of an Urdu paper.
const URDU_LETTERS: [&str; 6] = ["الف", "ب", "ج", "د", "ہ", "و"];
/// One choice more, so that a seventh is refused and not silently dropped.
pub(super) const MAX_CHOICES: usize = LETTERS.len();

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Question,
    /// A choice by its index: 0 for A, and 6 for the surplus one.
    Choice(usize),
    /// All choices in one cell.
    Choices,
    /// A choice that is wrong, beside the column of the right one.
    Wrong,
    Answer,
    Image,
    Explanation,
    Chapter,
    /// What the question asks for: one choice, several, a number.
    Kind,
    /// How far from the right number an answer may be.
    Tolerance,
    /// Whether the texts of the row are Markdown.
    Format,
    /// Keeps the bank in order and is no part of a question: its number, year, centre.
    Record,
}

/// Headings by their role, as [`named`] writes them. Of a role's headings the first in the list is preferred.
const SPELLINGS: [(Role, &[&str]); 11] = [
    (
        Role::Question,
        &[
            "question",
            "questions",
            "question text",
            "question stem",
            "question statement",
            "question body",
            "question title",
            "questiontext",
            "stem",
            "q",
            "ques",
            "mcq",
            "mcqs",
            "prompt",
            "سوال",
            "سوالات",
        ],
    ),
    (
        Role::Answer,
        &[
            "answer",
            "correct answer",
            "right answer",
            "correct",
            "correct option",
            "correct choice",
            "right option",
            "right choice",
            "correct ans",
            "correct key",
            "correct letter",
            "correct alternative",
            "correctanswer",
            "correctoption",
            "answer key",
            "answerkey",
            "key",
            "ans",
            "ans key",
            "answers",
            "جواب",
            "درست جواب",
            "صحیح جواب",
            "درست",
            "صحیح",
        ],
    ),
    (
        Role::Choices,
        &[
            "options",
            "choices",
            "alternatives",
            "answer choices",
            "answer options",
            "possible answers",
            "mcq options",
            "آپشنز",
            "انتخابات",
        ],
    ),
    (
        Role::Wrong,
        &[
            "wrong",
            "wrong answer",
            "wrong answers",
            "wrong option",
            "wrong choice",
            "incorrect",
            "incorrect answer",
            "incorrect answers",
            "incorrect option",
            "incorrect choice",
            "distractor",
            "distractors",
            "غلط جواب",
            "غلط",
        ],
    ),
    (
        Role::Image,
        &[
            "image",
            "picture",
            "figure",
            "diagram",
            "image file",
            "image path",
            "تصویر",
        ],
    ),
    (
        Role::Explanation,
        &[
            "explanation",
            "explanations",
            "answer explanation",
            "explaination",
            "solution",
            "detailed solution",
            "rationale",
            "reasoning",
            "reason",
            "justification",
            "general feedback",
            "feedback",
            "وضاحت",
            "تشریح",
        ],
    ),
    (
        Role::Chapter,
        &[
            "chapter",
            "chapter name",
            "topic",
            "topic name",
            "unit",
            "unit name",
            "باب",
            "موضوع",
        ],
    ),
    (
        Role::Kind,
        &["kind", "question kind", "question type", "kind of question", "قسم"],
    ),
    (Role::Tolerance, &["tolerance", "error margin", "margin of error"]),
    (Role::Format, &["text format"]),
    (
        Role::Record,
        &[
            "no",
            "number",
            "#",
            "s no",
            "sno",
            "sr no",
            "sr",
            "srno",
            "serial",
            "serial no",
            "serial number",
            "question no",
            "question number",
            "q no",
            "qno",
            "question id",
            "id",
            "year",
            "exam centre",
            "exam center",
            "نمبر",
            "نمبر شمار",
        ],
    ),
];

/// The headings that would do, for who has used others.
pub(super) const WOULD_DO: &str = "\u{201C}Question\u{201D}, \u{201C}A\u{201D} to \u{201C}F\u{201D} (or \u{201C}Option 1\u{201D} to \u{201C}Option 6\u{201D}, or \u{201C}Options\u{201D} for all in one cell, or \u{201C}Wrong 1\u{201D}, \u{201C}Wrong 2\u{201D} \u{2026}) and \u{201C}Answer\u{201D}";

/// The role of a heading, and its place among the headings of that role: the lowest is preferred.
pub(super) fn role(heading: &str) -> Option<(Role, usize)> {
    let name = named(heading);
    let listed = SPELLINGS.iter().find_map(|(role, names)| {
        let place = names.iter().position(|known| *known == name)?;
        Some((*role, place))
    });
    listed
        .or_else(|| choice(&name).map(|index| (Role::Choice(index), 0)))
        .or_else(|| wrong(&name).map(|number| (Role::Wrong, number)))
}

/// A heading without what makes no difference: case, blanks, underscores, brackets, full stops, and the star of a field that
/// must be filled.
fn named(heading: &str) -> String {
    let heading = as_seen(heading).to_lowercase();
    let parts = |c: char| c.is_whitespace() || "_-.*:()[]".contains(c);
    let words: Vec<&str> = heading.split(parts).filter(|word| !word.is_empty()).collect();
    match words.as_slice() {
        [] => heading,
        words => words.join(" "),
    }
}

/// The index of a choice: `a`, `option a`, `optiona`, `choice 1`, `option1`, `1`, `answer b`.
fn choice(name: &str) -> Option<usize> {
    let before = [
        "option",
        "options",
        "choice",
        "opt",
        "answer",
        "ans",
        "alternative",
        "آپشن",
        "انتخاب",
        "جواب",
    ];
    let label = before
        .iter()
        .filter_map(|word| name.strip_prefix(word))
        .map(str::trim_start)
        .find_map(index);
    label.or_else(|| index(name))
}

fn index(label: &str) -> Option<usize> {
    let by_number = || {
        let number: usize = label.parse().ok()?;
        (1..=MAX_CHOICES + 1).contains(&number).then(|| number - 1)
    };
    let letter = |letters: &[&str]| letters.iter().position(|known| *known == label);
    letter(&LETTERS)
        .or_else(|| letter(&URDU_LETTERS))
        .or_else(|| (label == "g").then_some(MAX_CHOICES))
        .or_else(by_number)
}

/// The number of a wrong choice: `wrong 1`, `distractor2`.
fn wrong(name: &str) -> Option<usize> {
    let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let (word, number) = name.split_at(name.len() - digits);
    let number = number.parse().ok()?;
    let (_, names) = SPELLINGS.iter().find(|(role, _)| *role == Role::Wrong)?;
    names.contains(&word.trim_end()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn means(heading: &str) -> Option<Role> {
        role(heading).map(|(role, _)| role)
    }

    #[test]
    fn headings_have_the_spellings_of_public_banks() {
        for (role, headings) in [
            (
                Role::Question,
                &["Question*", "QUESTIONS", "Question_Text", " q. ", "سوال"][..],
            ),
            (
                Role::Answer,
                &[
                    "Ans",
                    "Key",
                    "Answer Key",
                    "correct_option",
                    "Correct Ans.",
                    "درست جواب",
                ],
            ),
            (
                Role::Choice(0),
                &[
                    "A",
                    "(A)",
                    "a)",
                    "Option A*",
                    "option_a",
                    "OptionA",
                    "Choice 1",
                    "Opt 1",
                    "1",
                    "الف",
                    "آپشن الف",
                ],
            ),
            (Role::Choice(3), &["D.", "[D]", "option4", "Answer D", "د"]),
            (Role::Choice(6), &["G", "Option 7"]),
            (Role::Choices, &["Options", "Answer choices"]),
            (Role::Wrong, &["wrong_1", "Incorrect Answer 2", "Distractor3", "Wrong"]),
            (Role::Explanation, &["Solution", "Rationale", "EXPLANATION:"]),
            (Role::Chapter, &["Topic", "chapter_name", "باب"]),
            (Role::Record, &["Question No.", "Sr. No", "#", "Year"]),
        ] {
            for heading in headings {
                assert_eq!(means(heading), Some(role), "{heading}");
            }
        }
    }

    #[test]
    fn other_headings_mean_nothing() {
        for heading in [
            "Difficulty",
            "Marks",
            "Tags",
            "H",
            "Option 8",
            "Option 0",
            "Ab",
            "Wrongly",
            "Remarks",
            "*",
        ] {
            assert_eq!(means(heading), None, "{heading}");
        }
    }
}
