//! What is exported is imported again as the same, and runs nowhere.

use proptest::prelude::*;

use super::*;
use crate::{
    entity::question::Kind,
    import::{self, Settings},
};

/// What the file of these questions is read as.
fn again(format: Format, questions: &[Question]) -> Vec<Question> {
    let file = format.write("A quiz", questions).unwrap_or_else(|_| panic!("written"));
    let name = format!("quiz.{}", format.ending());
    let sheets = import::read(&name, &file, None, &Settings::default()).unwrap_or_else(|error| panic!("{error}"));
    for sheet in &sheets {
        let errors: Vec<_> = sheet
            .report
            .errors
            .iter()
            .map(|e| format!("{} {}: {}", e.cell, e.code, e.message))
            .collect();
        assert!(errors.is_empty(), "{errors:#?}\n{}", String::from_utf8_lossy(&file));
    }
    sheets.into_iter().flat_map(|sheet| sheet.questions).collect()
}

fn question(text: &str, kind: Kind, choices: &[&str], right: Right) -> Question {
    Question {
        text: Markdown::plain(text),
        image: None,
        choices: choices.iter().map(|choice| Markdown::plain(choice)).collect(),
        kind,
        right,
        explanation: None,
        chapter: None,
    }
}

/// Text as staff type it, with all that has a meaning in some format.
fn typed() -> impl Strategy<Value = String> {
    let parts = prop_oneof![
        "[a-zA-Z0-9 ]{1,8}",
        "[-=+@'\"#~{}:%\\\\/*_`$<>|,;.()!&^\\[\\]]{1,3}",
        Just("$x^{2}$".to_owned()),
        Just("\\(a_b\\)".to_owned()),
        Just("µ م é ²".to_owned()),
        Just("\n".to_owned()),
        Just("1. ".to_owned()),
        Just("_x0041_".to_owned()),
        Just("->".to_owned()),
        Just("//".to_owned()),
    ];
    proptest::collection::vec(parts, 1..6)
        .prop_map(|parts| parts.concat().trim().to_owned())
        .prop_filter("is something", |text| text.chars().any(char::is_alphanumeric))
}

fn text() -> impl Strategy<Value = Markdown> {
    (typed(), any::<bool>()).prop_map(|(text, is_markdown)| match is_markdown {
        true => Markdown::of(&format!("**{text}**")),
        false => Markdown::plain(&text),
    })
}

fn generated(number: usize) -> impl Strategy<Value = Question> {
    let choices = proptest::collection::vec(typed(), 2..=6);
    let kind = prop_oneof![
        Just(Kind::SingleChoice),
        Just(Kind::AllChoices),
        Just(Kind::AnyChoice),
        Just(Kind::TrueFalse),
        Just(Kind::Number)
    ];
    let rest = (
        proptest::option::of(text()),
        proptest::option::of(typed()),
        proptest::option::of(Just("cells/frog.png".to_owned())),
    );
    (text(), choices, kind, 1..64i32, -9_999..9_999i64, 0..4u32, rest).prop_map(
        move |(text, choices, kind, bits, value, scale, (explanation, chapter, image))| {
            // No two alike.
            let choices: Vec<Markdown> = (0..)
                .zip(&choices)
                .map(|(place, choice): (usize, _)| Markdown::plain(&format!("{} {place}", choice.replace('\n', " "))))
                .collect();
            let count = choices.len();
            let one = usize::try_from(bits).unwrap_or(0) % count;
            let some = Choices::of(
                Choices::from_bits(bits)
                    .positions()
                    .filter(|place| *place < count)
                    .chain([one]),
            );
            let (choices, right) = match kind {
                Kind::SingleChoice => (choices, Right::one(one)),
                Kind::AllChoices | Kind::AnyChoice => (choices, Right::Choices(some)),
                Kind::TrueFalse if bits % 3 == 0 => (choices[..2].to_vec(), Right::one(one % 2)),
                Kind::TrueFalse => (vec!["True".into(), "False".into()], Right::one(one % 2)),
                Kind::Number => {
                    let value = rust_decimal::Decimal::new(value, scale);
                    let tolerance = rust_decimal::Decimal::new(bits.into(), scale);
                    (Vec::new(), Right::Number(Number { value, tolerance }))
                }
            };
            Question {
                // Nor questions.
                text: Markdown::of(&format!("{} {number}", text.as_str())),
                image,
                choices,
                kind,
                right,
                explanation,
                chapter: chapter.map(|name| name.split_whitespace().collect::<Vec<_>>().join(" ")),
            }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn export_and_import_again_is_the_same_quiz(
        one in generated(1), two in generated(2), three in generated(3),
    ) {
        let mut questions = vec![one, two, three];
        import::one_name_of_chapters(&mut questions);
        for format in [Format::Csv, Format::Gift, Format::Xlsx, Format::Json] {
            prop_assert_eq!(again(format, &questions), questions.clone(), "{:?}", format);
        }
    }
}

#[test]
fn what_was_typed_is_found_again() {
    for text in [
        "2*3*4",
        ">7",
        "- 5",
        "# 1",
        "1. one",
        "a_b",
        "x < y",
        "two\nlines",
        "$x_1$ is x_1",
        "[a](b)",
    ] {
        assert_eq!(Markdown::plain(text).as_plain().as_deref(), Some(text));
    }
    assert_eq!(Markdown::of("**bold**").as_plain(), None);
}

#[test]
fn no_cell_of_a_text_file_begins_a_formula() {
    let texts = [
        "=1+1",
        "+5 V",
        "-cos(x)",
        "@SUM(A1)",
        "'=1",
        "\u{FF1D}1",
        "=HYPERLINK(\"https://evil.example\")",
        "=cmd|' /C calc'!A0",
    ];
    let questions: Vec<Question> = texts
        .iter()
        .map(|text| question(text, Kind::SingleChoice, &[text, "other"], Right::one(0)))
        .collect();
    let file = Format::Csv
        .write("=Quiz", &questions)
        .unwrap_or_else(|_| panic!("written"));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(file.as_slice());
    for record in reader.records() {
        let record = record.unwrap();
        for cell in record.iter() {
            let is_live = cell.starts_with(['=', '+', '-', '@', '\t', '\u{FF1D}']);
            assert!(!is_live, "{cell}");
        }
    }
    assert_eq!(again(Format::Csv, &questions), questions);
    // In a workbook they are texts, as they were typed.
    assert_eq!(again(Format::Xlsx, &questions), questions);
    let mut parts = zip::ZipArchive::new(std::io::Cursor::new(
        Format::Xlsx
            .write("=Quiz", &questions)
            .unwrap_or_else(|_| panic!("written")),
    ))
    .unwrap();
    for at in 0..parts.len() {
        let mut part = parts.by_index(at).unwrap();
        let mut xml = String::new();
        std::io::Read::read_to_string(&mut part, &mut xml).unwrap();
        assert!(
            !xml.contains("<f>") && !xml.contains("<f ") && !xml.contains("hyperlink"),
            "{xml}"
        );
    }
}

#[test]
fn a_template_is_imported_whole() {
    for format in [Format::Xlsx, Format::Csv] {
        let file = template(format).unwrap_or_else(|_| panic!("a template"));
        let sheets = import::read(&file.name, &file.content, None, &Settings::default()).unwrap();
        assert_eq!(
            (sheets[0].report.imported, sheets[0].report.findings()),
            (5, 0),
            "{format:?}"
        );
    }
}

#[test]
fn a_title_names_a_sheet() {
    for title in [
        "MDCAT: Biology / Cells",
        "'quoted'",
        "",
        "A title that is much longer than the name of a sheet may be",
        "سوال",
        "History",
    ] {
        let questions = [question("Is it?", Kind::SingleChoice, &["a", "b"], Right::one(1))];
        assert!(Format::Xlsx.write(title, &questions).is_ok(), "{title}");
    }
}
