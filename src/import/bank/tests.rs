use rust_xlsxwriter::{Format, Formula, Workbook};

use super::*;

const HEADER: &str = "Question,A,B,C,D,E,F,Option G,Answer,Image,Explanation,Chapter";

/// The only sheet of a CSV file with the usual header; row 2 is the first of `rows`.
fn import(rows: &[&str]) -> Sheet {
    import_text(&format!("{HEADER}\n{}", rows.join("\n")))
}

fn import_text(csv: &str) -> Sheet {
    read("bank.csv", csv.as_bytes(), None, &Settings::default())
        .unwrap()
        .remove(0)
}

fn marks(problems: &[Problem]) -> Vec<(&str, Code)> {
    problems.iter().map(|p| (p.cell.as_str(), p.code)).collect()
}

/// The problems of a sheet that imports nothing.
fn refused(row: &str) -> Vec<(String, Code)> {
    let sheet = import(&[row]);
    assert!(sheet.questions.is_empty(), "{row}");
    assert_eq!(sheet.report.imported, 0);
    let errors = sheet.report.errors;
    errors.into_iter().map(|p| (p.cell, p.code)).collect()
}

fn refused_header(csv: &str) -> Vec<(String, Code)> {
    let sheet = import_text(csv);
    assert!(sheet.questions.is_empty(), "{csv}");
    let errors = sheet.report.errors;
    errors.into_iter().map(|p| (p.cell, p.code)).collect()
}

fn at(cell: &str, code: Code) -> (String, Code) {
    (cell.to_owned(), code)
}

#[test]
fn a_whole_row_becomes_a_question() {
    let sheet = import(&["\" What is\r\nATP? \",a fuel,\"two\nlines\",,,,,,a,cells/atp.png,\"One.\nTwo.\",Energy"]);
    assert_eq!(
        sheet.questions,
        [Question {
            text: "What is  \nATP?".into(),
            image: Some("cells/atp.png".to_owned()),
            choices: vec!["a fuel".into(), "two lines".into()],
            kind: Kind::SingleChoice,
            right: Right::one(0),
            explanation: Some("One.  \nTwo.".into()),
            chapter: Some("Energy".to_owned()),
        }]
    );
    assert_eq!(sheet.report.errors, []);
    assert_eq!(sheet.report.warnings, []);
}

/// Row by row the kinds of dirt that real banks showed.
#[test]
fn a_messy_workbook_is_reported_cell_by_cell() {
    let mut workbook = Workbook::new();
    let biology = workbook.add_worksheet().set_name("Biology").unwrap();
    let header = ["Question", "Image", "A", "B", "C", "D", "Answer", "Explanation"];
    biology.write_row(0, 0, header).unwrap();
    biology
        .write_row(
            1,
            0,
            [
                "Which organelle makes ATP?",
                "",
                "Nucleus",
                "Mitochondrion",
                "Ribosome",
                "Golgi body",
                "B",
            ],
        )
        .unwrap();
    biology.write(3, 0, "How many chambers has a frog's heart?").unwrap();
    biology.write_row(3, 2, [2, 3, 4, 5]).unwrap();
    biology.write(3, 6, "B ").unwrap();
    biology
        .write_row(
            4,
            0,
            [
                "Which base is found in RNA only?",
                "",
                "Adenine",
                "Guanine",
                "Uracil",
                "Cytosine",
                "c",
            ],
        )
        .unwrap();
    biology
        .write_row(
            5,
            0,
            [
                "  Which base is found in RNA only? ",
                "",
                "Adenine",
                "Guanine",
                "Uracil",
                "Cytosine",
                "C",
            ],
        )
        .unwrap();
    biology
        .write_row(
            6,
            0,
            [
                "Water leaves a leaf through its ...",
                "",
                "stomata",
                "lenticels",
                "cuticle",
                "hydathodes",
                "stomata",
            ],
        )
        .unwrap();
    biology
        .write_row(
            7,
            0,
            ["What is the ploidy of a gamete?", "", "haploid", "diploid", "", "", "A"],
        )
        .unwrap();
    biology
        .write_row(
            8,
            0,
            [
                "Which vessel?",
                "../../etc/passwd",
                "Aorta",
                "Pulmonary vein",
                "Vena cava",
                "Pulmonary artery",
                "B",
            ],
        )
        .unwrap();

    let physics = workbook.add_worksheet().set_name("Physics").unwrap();
    let header = [
        "Exam Centre",
        "Year",
        "Question No.",
        " question",
        "Image",
        "Option A",
        "option b",
        "Option  C",
        "OPTION D",
        "Correct Answer",
        "Explanation",
    ];
    physics.write_row(0, 0, header).unwrap();
    for (index, (question, choices, answer)) in [
        ("The unit of flux density?", ["weber", "tesla", "henry", "gauss"], "B"),
        ("What is left after two half-lives?", ["1/2", "", "1/8", "1/16"], "B"),
        ("The transformer gives from 6 V ...", ["", "3 V", "6 V", "24 V"], "A"),
        ("Work done in one turn?", ["zero", "mv^2/r", "2 pi mv^2", "mgr"], "E"),
        (
            "The dimension of impulse?",
            ["force", "momentum", "energy", "power"],
            "",
        ),
        (
            "Sound in air is a ... wave",
            ["transverse", "longitudinal", "longitudinal", "standing"],
            "B",
        ),
        (
            "A body in free fall has ... weight",
            ["zero apparent", "full", "double", "half"],
            "",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let row = index as u32 + 1;
        physics.write_row(row, 1, [2012, row]).unwrap();
        physics.write(row, 3, question).unwrap();
        physics.write_row(row, 5, choices).unwrap();
        physics.write(row, 9, answer).unwrap();
    }
    let date = Format::new().set_num_format("yyyy-mm-dd h:mm:ss");
    physics.write_with_format(2, 6, 41_000, &date).unwrap();
    physics
        .write_formula(3, 5, Formula::new("=6*200/100").set_result(""))
        .unwrap();
    physics.write(7, 9, 1).unwrap();

    let notes = workbook.add_worksheet().set_name("Notes").unwrap();
    notes.write(0, 0, "This sheet holds remarks").unwrap();

    let sheets = read(
        "messy.xlsx",
        &workbook.save_to_buffer().unwrap(),
        None,
        &Settings::default(),
    )
    .unwrap();
    let reports: Vec<&SheetReport> = sheets.iter().map(|sheet| &sheet.report).collect();
    let counts: Vec<_> = reports.iter().map(|r| (r.name.as_str(), r.imported, r.blank)).collect();
    assert_eq!(counts, [("Biology", 5, 1), ("Physics", 2, 0), ("Notes", 0, 0)]);
    assert_eq!(marks(&reports[0].errors), [("B9", Code::UnsafeImage)]);
    assert_eq!(marks(&reports[0].warnings), [("A6", Code::DuplicateQuestion)]);
    assert_eq!(
        marks(&reports[1].errors),
        [
            ("G3", Code::DateCell),
            ("F4", Code::Formula),
            ("J5", Code::AnswerNotAChoice),
            ("J6", Code::NoAnswer),
            ("H7", Code::DuplicateChoice),
        ]
    );
    assert_eq!(marks(&reports[1].warnings), []);
    assert_eq!(marks(&reports[2].errors), [("A1", Code::NoQuestionColumn)]);
    assert_eq!(sheets[0].questions[1].choices, ["2", "3", "4", "5"].map(Markdown::from));
    let right: Vec<usize> = sheets
        .iter()
        .flat_map(|s| &s.questions)
        .filter_map(|q| q.right.only_choice())
        .collect();
    assert_eq!(right, [1, 1, 2, 0, 0, 1, 0]);
}

#[test]
fn headings_have_several_spellings() {
    for header in [
        "Question;A;B;Answer",
        "QUESTION;Option A;option  b;Correct Answer",
        " question ;Choice A;CHOICE B;correct",
        "Year;Question;A;B;G;Answer",
    ] {
        let columns = header
            .split(';')
            .map(|heading| match heading.trim().to_lowercase().as_str() {
                "question" => "Q",
                "answer" | "correct answer" | "correct" => "1",
                other => {
                    if other.ends_with('a') {
                        "x"
                    } else {
                        "y"
                    }
                }
            });
        let row = columns.collect::<Vec<_>>().join(";");
        let sheet = import_text(&format!("\n{header}\n{row}"));
        assert_eq!(sheet.report.imported, 1, "{header}");
    }
}

#[test]
fn a_header_that_lacks_columns_refuses_its_sheet() {
    use Code::{DuplicateColumn, NoAnswerColumn, NoChoiceColumns, NoQuestionColumn};
    assert_eq!(refused_header("\n\n,Remarks\nx"), [at("B3", NoQuestionColumn)]);
    assert_eq!(refused_header("Question,Answer\nx,A"), [at("A1", NoChoiceColumns)]);
    assert_eq!(refused_header("Question,A,Answer\nx,y,A"), [at("A1", NoChoiceColumns)]);
    assert_eq!(refused_header("Question,A,B,D,Answer\nx"), [at("D1", NoChoiceColumns)]);
    assert_eq!(refused_header("Question,A,B\nx,y,z"), [at("A1", NoAnswerColumn)]);
    assert_eq!(
        refused_header("Question,A,B,Option a,Answer,Correct\nx"),
        [at("D1", DuplicateColumn), at("F1", DuplicateColumn)]
    );
}

#[test]
fn every_bad_cell_of_a_row_is_named() {
    use Code::*;
    for (row, expected) in [
        (",x,y,,,,,,A", vec![at("A2", NoQuestion)]),
        ("Q,,,,,,,,A", vec![at("B2", TooFewChoices)]),
        ("Q,x,,,,,,,A", vec![at("C2", TooFewChoices)]),
        ("Q,,x,,,,,,A", vec![at("B2", MissingChoice)]),
        ("Q,x,,,y,,,,A", vec![at("C2", MissingChoice), at("D2", MissingChoice)]),
        ("Q,CO,Co,c o,c  o,,,,A", vec![at("E2", DuplicateChoice)]),
        ("Q,1,2,3,4,5,6,7,A", vec![at("H2", TooManyChoices)]),
        ("Q,x,y,,,,,,", vec![at("I2", NoAnswer)]),
        ("Q,x,y,,,,,,C", vec![at("I2", AnswerNotAChoice)]),
        ("Q,3,2,1,,,,,1", vec![at("I2", AmbiguousAnswer)]),
        ("Q,x,y,,,,,,=A1", vec![at("I2", Formula)]),
        ("Q,x,=1+1,,,,,,C", vec![at("C2", Formula)]),
        ("Q\u{202E},x,y,,,,,,A", vec![at("A2", UnsafeText)]),
        ("Q,x\0,y,,,,,,A", vec![at("B2", UnsafeText)]),
        ("Q,x,y,,,,,,A,/etc/frog.png", vec![at("J2", UnsafeImage)]),
        (
            ",x,x,,,,,,E,a.svg,=1",
            vec![
                at("A2", NoQuestion),
                at("J2", UnsafeImage),
                at("C2", DuplicateChoice),
                at("I2", AnswerNotAChoice),
                at("K2", Formula),
            ],
        ),
    ] {
        assert_eq!(refused(row), expected, "{row}");
    }
}

#[test]
fn texts_have_a_longest_length_in_characters() {
    let row = |question: usize, choice: usize, explanation: usize, chapter: usize| {
        let letters = |count| "\u{642}".repeat(count);
        let (question, choice) = (letters(question), letters(choice));
        format!(
            "{question},{choice},y,,,,,,A,,{},{}",
            letters(explanation),
            letters(chapter)
        )
    };
    assert_eq!(import(&[&row(4_000, 500, 8_000, 120)]).report.imported, 1);
    assert_eq!(
        refused(&row(4_001, 501, 8_001, 121)),
        ["A2", "B2", "K2", "L2"].map(|cell| at(cell, Code::TooLong))
    );
}

#[test]
fn a_question_met_before_is_left_out_sound_or_not() {
    let sheet = import(&[
        "What is CO?,gas,metal,,,,,,A",
        "what  is co?,metal,gas,,,,,,B",
        "What is CO?,gas,metal,,,,,,B",
        "What is Co?,gas,metal,salt,,,,,B",
        "No answer,x,y",
        "No answer,x,y,,,,,,A",
    ]);
    assert_eq!(sheet.report.imported, 2);
    assert_eq!(marks(&sheet.report.errors), [("I6", Code::NoAnswer)]);
    assert_eq!(
        marks(&sheet.report.warnings),
        [
            ("A3", Code::DuplicateQuestion),
            ("A4", Code::DuplicateQuestion),
            ("A5", Code::SameText),
            ("A7", Code::DuplicateQuestion),
        ]
    );
    let agrees = |warning: usize| !sheet.report.warnings[warning].message.contains("another answer");
    assert_eq!([agrees(0), agrees(1), agrees(3)], [true, false, true]);
}

#[test]
fn blank_rows_count_up_to_the_last_question() {
    let sheet = import(&["", "Q1,x,y,,,,,,A", "", " ,", "Q2,x,y,,,,,,A", "", ""]);
    assert_eq!((sheet.report.imported, sheet.report.blank), (2, 3));
    let numbered = import_text("No.,Question,A,B,Answer\n1,Q,x,y,A\n2\n3,R,x,y,A\n4\n5");
    assert_eq!((numbered.report.imported, numbered.report.blank), (2, 1));
    assert_eq!(numbered.report.errors, []);
}

#[test]
fn an_empty_sheet_is_only_worth_a_warning() {
    for (csv, cell) in [("", "A1"), ("\n\n", "A1"), ("\nQuestion,A,B,Answer\n\n", "A2")] {
        let sheet = import_text(csv);
        assert_eq!(marks(&sheet.report.warnings), [(cell, Code::EmptySheet)]);
        assert_eq!(sheet.report.errors, []);
    }
}

#[test]
fn a_report_in_json_has_codes_in_capitals() {
    let report = import(&["Q,x,y,,,,,,C"]).report;
    let mut told = serde_json::to_value(&report).unwrap();
    let columns = told["columns"].take();
    assert_eq!(
        [&columns[0], &columns[7]],
        [
            &serde_json::json!({"letters": "A", "heading": "Question", "role": "QUESTION"}),
            &serde_json::json!({"letters": "H", "heading": "Option G", "role": null}),
        ]
    );
    assert_eq!(
        told,
        serde_json::json!({
            "name": "bank",
            "columns": null,
            "imported": 0,
            "blank": 0,
            "errors": [{
                "cell": "I2",
                "code": "ANSWER_NOT_A_CHOICE",
                "message": "This names none of the choices; give the letter of the right one.",
            }],
            "warnings": [],
            "counts": {"ANSWER_NOT_A_CHOICE": 1},
        })
    );
}

/// Whatever a file holds, reading it ends, and what it gives keeps the rules.
#[test]
fn no_text_makes_it_panic_or_breaks_a_rule() {
    let pieces = [
        "Question", "A", "B", "C", "Answer", "Image", ",", ",", ",", ";", "\t", "\n", "\n", "\r", "\"", "=", "1", "2",
        "a", "\u{202E}", "\u{FEFF}", "\u{A0}", "../", "x.png", "\0", "%2e",
    ];
    // A small fixed generator (Knuth's MMIX constants): the same texts at every run.
    let mut state = 7_u64;
    let mut draw = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for round in 0..20_000 {
        let mut csv = if round % 2 == 0 {
            "Question,A,B,C,Answer,Image\n".to_owned()
        } else {
            String::new()
        };
        for _ in 0..draw(60) {
            csv.push_str(pieces[draw(pieces.len())]);
        }
        let Ok(sheets) = read("bank.csv", csv.as_bytes(), None, &Settings::default()) else {
            continue;
        };
        for question in sheets.iter().flat_map(|sheet| &sheet.questions) {
            assert!(!question.text.as_str().is_empty(), "{csv:?}");
            assert!((2..=6).contains(&question.choices.len()), "{csv:?}");
            assert!(question.right.only_choice() < Some(question.choices.len()), "{csv:?}");
            assert!(
                question.image.as_ref().is_none_or(|image| !image.contains("..")),
                "{csv:?}"
            );
        }
    }
}
