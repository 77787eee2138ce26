//! Files after public reports and public question banks.

use std::path::Path;

use super::*;

fn file(name: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const HEADINGS: &[&str] = &["Q1: a1 / *b1 / c1 / d1 (because)"];

const CASES: &[(&str, &[&str])] = &[
    (
        "01-superscripts-by-formatting.xlsx",
        &[
            "Avogadro's number is about: *6.022 × 10²³ / 6.022 × 10⁻²³ / 6.022 × 1023 / 3 × 108",
            "Which is the sulphate ion, SO₄²⁻?: *SO₄²⁻ / SO₃²⁻ / S / O2",
            "2⁵ equals: 10 / 25 / *32 / 64",
        ],
    ),
    (
        "02-struck-out-text.xlsx",
        &["New wording?: *a1 / b1 / c1 / d1", "~ A2 STRUCK_OUT"],
    ),
    (
        "03-greater-than-choice.csv",
        &["The pH of a basic solution at 25 °C is: 7 / <7 / *\\>7 / 0"],
    ),
    (
        "05-lines-of-statements.csv",
        &[
            "Which statements are true?  \nI. DNA has uracil.  \nII. RNA has ribose.  \nIII. ATP has ribose.: I only / II only / *II and III / all",
        ],
    ),
    ("07a-row-longer-than-the-header.csv", &["! G2 ROW_TOO_LONG"]),
    ("09-sep-line.csv", &["Q1: *a / b / c / d"]),
    ("10-headings-00.csv", HEADINGS),
    ("10-headings-01.csv", HEADINGS),
    ("10-headings-02.csv", HEADINGS),
    ("10-headings-03.csv", HEADINGS),
    ("10-headings-04.csv", HEADINGS),
    ("10-headings-05.csv", HEADINGS),
    ("10-headings-06.csv", HEADINGS),
    ("10-headings-07.csv", HEADINGS),
    ("11-answer-00.csv", &["Q0: alpha / *beta / gamma / delta"]),
    ("11-answer-02.csv", &["Q2: alpha / *beta / gamma / delta"]),
    ("11-answer-04.csv", &["Q4: alpha / *beta / gamma / delta"]),
    ("11-answer-06.csv", &["Q6: alpha / *beta / gamma / delta"]),
    ("11-answer-08.csv", &["Q8: alpha / *beta / gamma / delta"]),
    ("11-answer-10.csv", &["Q10: alpha / *beta / gamma / delta"]),
    ("11-answer-14.csv", &["Q14: alpha / *beta / gamma / delta"]),
    ("11-answer-16.csv", &["Q16: alpha / *beta / gamma / delta"]),
    ("11-answer-22.csv", &["! F2 SEVERAL_ANSWERS"]),
    ("11-answer-24.csv", &["! F2 AMBIGUOUS_ANSWER"]),
    (
        "13-ambiguous-numbers.csv",
        &[
            "! F2 AMBIGUOUS_ANSWER",
            "! F3 AMBIGUOUS_ANSWER",
            "! F4 AMBIGUOUS_ANSWER",
        ],
    ),
    ("18-lost-letters.csv", &["! A2 UNSAFE_TEXT", "! B2 UNSAFE_TEXT"]),
    (
        "22-comma-header-quoted-title-line.csv",
        &["Q1: *a / b / c / d", "~ A1 PASSED_OVER"],
    ),
    (
        "25-merged-chapter.xlsx",
        &[
            "Q1: *a1 / b1 / c1 / d1 [Cells]",
            "Q2: a2 / *b2 / c2 / d2 [Cells]",
            "Q3: a3 / b3 / *c3 / d3 [Cells]",
        ],
    ),
    (
        "26-hidden-row-and-sheets.xlsx",
        &[
            "Shown: *a / b / c / d",
            "~ A3 HIDDEN_ROW",
            "~ A1 HIDDEN_SHEET",
            "~ A1 HIDDEN_SHEET",
        ],
    ),
    (
        "27-number-formats.xlsx",
        &[
            "code: *007 / 008 / 009 / 010",
            "half: *1/2 / 1/4 / 3/4 / 1 1/2",
            "cost: *Rs 5 / Rs 6 / Rs 7 / Rs 8",
            "len: *5 cm / 6 cm / 7 cm / 8 cm",
            "thousand: *1,000 / 2,000 / 3,000 / 4,000",
            "sci: *6.02E+23 / 1.60E-19 / 3.00E+08 / 9.10E-31",
            "round: *2.3 / 3.00 / 5 / 5.7",
            "neg: *(5) / 5 / -0.5 / 0",
        ],
    ),
    ("31-picture-in-the-sheet.xlsx", &["! B2 PICTURE"]),
    (
        "32-urdu-from-word-with-embedding-marks.csv",
        &["خلیے کا طاقت گھر کون سا ہے؟: مرکزہ / *مائٹوکونڈریا / رائبوسوم / گولجی"],
    ),
    (
        "34-choices-equal-but-for-normal-form.csv",
        &[
            "! C2 DUPLICATE_CHOICE",
            "! C3 DUPLICATE_CHOICE",
            "! C4 DUPLICATE_CHOICE",
            "! C5 DUPLICATE_CHOICE",
            "! C6 DUPLICATE_CHOICE",
            "! C7 DUPLICATE_CHOICE",
            "! C8 DUPLICATE_CHOICE",
            "! C9 DUPLICATE_CHOICE",
        ],
    ),
    (
        "36b-answer-text-in-other-normal-form.csv",
        &[
            "Accent?: *café / thé / c / d",
            "Smart?: *Cushing’s / b / c / d",
            "Dash?: *1–2 / b / c / d",
            "Dot?: *alpha. / b / c / d",
        ],
    ),
    (
        "43-latex.csv",
        &["What is $\\frac{1}{2}$ of $x_1 \\times y_1$?: *\\(x^2\\) / $$a_i b_i$$ / \\[z\\] / $5*3*2$"],
    ),
    ("47-aiken.txt", &["What is 2+2?: 3 / *4 / 5", "What is 3+3?: 5 / *6"]),
    ("49-gift.gift", &["What is 2+2?: *4 / 3 / 5"]),
    (
        "54-chapter-case.csv",
        &[
            "Q1: *a / b [Cells]",
            "Q2: *a / b [Cells]",
            "Q3: *a / b [Cells]",
            "Q4: *a / b [Cells]",
        ],
    ),
    (
        "55-difficulty-tags-marks.csv",
        &[
            "Q1: *a / b / c / d (Because of X) [Cells]",
            "~ G1 UNUSED_COLUMN",
            "~ H1 UNUSED_COLUMN",
            "~ K1 UNUSED_COLUMN",
        ],
    ),
    ("58-tab-separated.tsv", &["Q1: *a / b / c / d"]),
    ("69-right-and-wrong-columns.csv", &["Q1: *a / b / c / d"]),
    (
        "72-answers-counted-from-zero.csv",
        &[
            "! F2 AMBIGUOUS_ANSWER",
            "! F3 AMBIGUOUS_ANSWER",
            "! F4 AMBIGUOUS_ANSWER",
            "! F5 AMBIGUOUS_ANSWER",
        ],
    ),
];

#[test]
fn each_file_gives_what_is_right() {
    for (name, expected) in CASES {
        assert_eq!(told(name, &file(name), Settings::default()), *expected, "{name}");
    }
}

#[test]
fn no_file_is_left_out_of_the_table() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        // That one goes through the API (tests/it/previews.rs).
        if name.starts_with("messy-bank.") {
            continue;
        }
        assert!(CASES.iter().any(|(known, _)| *known == name), "{name}");
    }
}

#[test]
fn what_a_file_leaves_open_may_be_said() {
    let (numbers, zero) = ("13-ambiguous-numbers.csv", "72-answers-counted-from-zero.csv");
    assert_eq!(
        told(numbers, &file(numbers), BY_TEXT),
        [
            "How many chambers has a human heart?: 2 / 3 / *4 / 5",
            "How many chambers has a frog heart?: 2 / *3 / 4 / 5",
            "Second prime?: *2 / 3 / 4 / 5",
        ]
    );
    assert_eq!(
        told(numbers, &file(numbers), BY_PLACE),
        [
            "How many chambers has a human heart?: 2 / 3 / 4 / *5",
            "How many chambers has a frog heart?: 2 / 3 / *4 / 5",
            "Second prime?: 2 / *3 / 4 / 5",
        ]
    );
    assert_eq!(
        told(zero, &file(zero), FROM_ZERO),
        [
            "Capital of Pakistan?: *Islamabad / Lahore / Karachi / Quetta",
            "Largest organ?: heart / *skin / liver / lung",
            "Blood pH?: 6.4 / 7.0 / *7.4 / 8.0",
            "Noble gas?: O / N / H / *Ne",
        ]
    );
}

#[test]
fn what_is_hidden_may_be_asked_for() {
    let name = "26-hidden-row-and-sheets.xlsx";
    assert_eq!(
        told(name, &file(name), WITH_HIDDEN),
        [
            "Shown: *a / b / c / d",
            "Hidden row: a / *b / c / d",
            "Retired question: *a / b / c / d",
            "Very retired question: *a / b / c / d",
            "~ A2 NEAR_DUPLICATE",
        ]
    );
    let sheets = read(name, &file(name), Some("Retired"), &Settings::default()).unwrap();
    assert_eq!(
        sheets.iter().flat_map(told_by).collect::<Vec<_>>(),
        ["Retired question: *a / b / c / d"]
    );
}

#[test]
fn a_finding_says_what_to_do() {
    for (name, expected) in [
        ("07a-row-longer-than-the-header.csv", "quotation marks"),
        ("72-answers-counted-from-zero.csv", "count from 0"),
        ("13-ambiguous-numbers.csv", "texts of choices or their places"),
        ("55-difficulty-tags-marks.csv", "\u{201C}Difficulty\u{201D} is not used"),
        ("26-hidden-row-and-sheets.xlsx", "show them"),
    ] {
        let first = messages(name, &file(name)).swap_remove(0);
        assert!(first.contains(expected), "{name}: {first}");
    }
}
