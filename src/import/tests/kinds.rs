//! Questions of each kind, in each format.

use super::*;

fn csv(text: &str) -> Vec<String> {
    told("bank.csv", text.as_bytes(), Settings::default())
}

#[test]
fn several_right_choices_are_read_where_it_is_said_how_they_go_together() {
    let row = |kind: &str, answer: &str| {
        csv(&format!(
            "Question,A,B,C,Kind,Answer\nQ,alpha,beta,gamma,{kind},\"{answer}\"\n"
        ))
    };
    for (kind, answer, expected) in [
        ("ALL_CHOICES", "A, C", "AllChoices Q: *alpha / beta / *gamma"),
        ("all", "A and C", "AllChoices Q: *alpha / beta / *gamma"),
        (
            "Multiple response",
            "alpha; gamma",
            "AllChoices Q: *alpha / beta / *gamma",
        ),
        ("any choice", "1 or 3", "AnyChoice Q: *alpha / beta / *gamma"),
        ("ANY_CHOICE", "B", "AnyChoice Q: alpha / *beta / gamma"),
        ("all", "(A) & (B) & (C)", "AllChoices Q: *alpha / *beta / *gamma"),
        ("single", "B", "Q: alpha / *beta / gamma"),
        ("", "B", "Q: alpha / *beta / gamma"),
        ("", "A, C", "! F2 SEVERAL_ANSWERS"),
        ("single choice", "A, C", "! F2 SEVERAL_ANSWERS"),
        ("all", "A, A", "! F2 SEVERAL_ANSWERS"),
        ("all", "A, D", "! F2 ANSWER_NOT_A_CHOICE"),
        ("all", "", "! F2 NO_ANSWER"),
        ("matching", "A", "! E2 UNSUPPORTED"),
    ] {
        assert_eq!(row(kind, answer), [expected], "{kind} {answer}");
    }
    let settings = |several| Settings {
        several,
        ..Settings::default()
    };
    let text = "Question,A,B,C,Answer\nQ1,alpha,beta,gamma,\"A, C\"\nQ2,alpha,beta,gamma,B\n";
    assert_eq!(
        told("bank.csv", text.as_bytes(), settings(Several::All)),
        ["AllChoices Q1: *alpha / beta / *gamma", "Q2: alpha / *beta / gamma"]
    );
    assert_eq!(
        told("bank.csv", text.as_bytes(), settings(Several::Any)),
        ["AnyChoice Q1: *alpha / beta / *gamma", "Q2: alpha / *beta / gamma"]
    );
}

#[test]
fn true_or_false_needs_no_choices() {
    let row =
        |a: &str, b: &str, answer: &str| csv(&format!("Question,A,B,C,Kind,Answer\nQ,{a},{b},,True/False,{answer}\n"));
    for (a, b, answer, expected) in [
        ("", "", "True", "TrueFalse Q: *True / False"),
        ("", "", "f", "TrueFalse Q: True / *False"),
        ("", "", "B", "TrueFalse Q: True / *False"),
        ("Yes", "No", "No", "TrueFalse Q: Yes / *No"),
        ("False", "True", "true", "TrueFalse Q: False / *True"),
        ("", "", "maybe", "! F2 ANSWER_NOT_A_CHOICE"),
        ("", "", "", "! F2 NO_ANSWER"),
        ("Yes", "", "Yes", "! C2 TOO_FEW_CHOICES"),
    ] {
        assert_eq!(row(a, b, answer), [expected], "{a} {b} {answer}");
    }
    let three = csv("Question,A,B,C,Kind,Answer\nQ,yes,no,maybe,TF,A\n");
    assert_eq!(three, ["! D2 TOO_MANY_CHOICES"]);
}

#[test]
fn a_number_has_a_tolerance_and_no_choices() {
    let row = |a: &str, answer: &str, tolerance: &str| {
        csv(&format!(
            "Question,A,B,Kind,Answer,Tolerance\nQ,{a},,NUMBER,{answer},{tolerance}\n"
        ))
    };
    for (a, answer, tolerance, expected) in [
        ("", "3.14", "0.01", "Number Q: 3.14 \u{B1} 0.01"),
        ("", "3.14 \u{B1} 0.01", "", "Number Q: 3.14 \u{B1} 0.01"),
        ("", "-40", "", "Number Q: -40 \u{B1} 0"),
        ("", "0", "", "Number Q: 0 \u{B1} 0"),
        ("", "five", "", "! E2 NOT_A_NUMBER"),
        ("", "\"3,14\"", "", "! E2 NOT_A_NUMBER"),
        ("", "3", "-1", "! F2 NOT_A_NUMBER"),
        ("", "", "", "! E2 NO_ANSWER"),
        ("a", "3", "", "! B2 TOO_MANY_CHOICES"),
    ] {
        assert_eq!(row(a, answer, tolerance), [expected], "{answer} {tolerance}");
    }
    // A bank of nothing else has no columns of choices; and 0 is no place that numbers could count from.
    assert_eq!(
        csv("Question,Kind,Answer\nQ1,number,0\nQ2,number,2\n"),
        ["Number Q1: 0 \u{B1} 0", "Number Q2: 2 \u{B1} 0"]
    );
    assert_eq!(
        csv("Question,A,B,Kind,Answer,Tolerance\nQ1,,,number,0,\nQ2,a,b,,2,1\n"),
        ["Number Q1: 0 \u{B1} 0", "! F3 UNSUPPORTED"]
    );
}

#[test]
fn columns_are_mapped_by_heading_or_letters() {
    let mapped = |text: &str, columns: &[(&str, ColumnRole)]| {
        let columns = columns.iter().map(|(column, role)| Mapped {
            column: (*column).to_owned(),
            role: *role,
        });
        let settings = Settings {
            columns: columns.collect(),
            ..Settings::default()
        };
        told("bank.csv", text.as_bytes(), settings)
    };
    use ColumnRole::{Answer, ChoiceA, ChoiceB, Explanation, NotUsed, Question};
    assert_eq!(
        mapped(
            "Stem text,First,Second,Solution key\nQ1,a,b,B\n",
            &[
                ("stem TEXT", Question),
                ("First", ChoiceA),
                ("c", ChoiceB),
                ("Solution key", Answer)
            ]
        ),
        ["Q1: a / *b"]
    );
    // What its heading says is taken back by the mapping.
    assert_eq!(
        mapped(
            "Question,A,B,Answer,Solution,Why\nQ1,a,b,B,no,yes\n",
            &[("Solution", NotUsed), ("Why", Explanation)]
        ),
        ["Q1: a / *b (yes)", "~ E1 UNUSED_COLUMN"]
    );
    // A heading goes before letters.
    assert_eq!(
        mapped("B,A,Question,Answer\nx,y,Q1,B\n", &[("A", ChoiceB), ("B", ChoiceA)]),
        ["Q1: x / *y"]
    );
}

#[test]
fn gift_has_kinds() {
    let gift = |text: &str| told("bank.gift", text.as_bytes(), Settings::default());
    for (text, expected) in [
        ("Pi? {#3.14:0.01}", "Number Pi?: 3.14 \u{B1} 0.01"),
        ("Pi? {#3.13..3.15 #### About.}", "Number Pi?: 3.14 \u{B1} 0.01 (About.)"),
        ("Pi? {#3}", "Number Pi?: 3 \u{B1} 0"),
        ("Q {~%50%a ~%50%b ~%-100%c}", "AllChoices Q: *a / *b / c"),
        (
            "Q {~%33.33333%a ~%33.33333%b ~%33.33333%c ~d}",
            "AllChoices Q: *a / *b / *c / d",
        ),
        ("Q {=a =b ~c}", "AnyChoice Q: *a / *b / c"),
        ("Q {TRUE}", "TrueFalse Q: *True / False"),
        ("[markdown]**Q** {=a ~b}", "**Q**: *a / b"),
        ("// kind: ALL_CHOICES\nQ {=a ~b}", "AllChoices Q: *a / b"),
        ("// image: cells/frog.png\nQ {=a ~b}", "Q: *a / b"),
        ("Q {=50 % ~%0%% of all}", "Q: *50 % / % of all"),
        ("$CATEGORY: a/b//c\n\nQ {=x ~y}", "Q: *x / y [b/c]"),
        ("Q {=a ~%50%b ~c}", "! line 1 UNSUPPORTED"),
        ("Q {#=3:1 =%50%4:1}", "! line 1 UNSUPPORTED"),
        ("Q {#three}", "! line 1 NOT_A_NUMBER"),
        // Here an answer is a place, whatever the texts of the choices.
        ("Q {=B ~A}", "Q: *B / A"),
    ] {
        assert_eq!(gift(text), [expected], "{text}");
    }
}

fn moodle(questions: &str) -> Vec<String> {
    let file = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<quiz>\n{questions}\n</quiz>\n");
    told("bank.xml", file.as_bytes(), Settings::default())
}

fn multichoice(single: bool, answers: &str) -> String {
    format!(
        "<question type=\"multichoice\"><name><text>n</text></name><questiontext format=\"html\"><text><![CDATA[<p>H<sub>2</sub>O?</p>]]></text></questiontext>\
         <generalfeedback format=\"html\"><text>&lt;p&gt;Why.&lt;/p&gt;</text></generalfeedback><single>{single}</single>{answers}</question>"
    )
}

#[test]
fn moodle_xml_is_read() {
    let answer = |fraction: &str, text: &str| format!("<answer fraction=\"{fraction}\"><text>{text}</text></answer>");
    let category = "<question type=\"category\"><category><text>$course$/top/Water</text></category></question>";
    assert_eq!(
        moodle(&format!(
            "{category}{}",
            multichoice(true, &(answer("0", "ice") + &answer("100", "water")))
        )),
        ["H₂O?: ice / *water (Why.) [Water]"]
    );
    assert_eq!(
        moodle(&multichoice(
            false,
            &(answer("50", "a") + &answer("50", "b") + &answer("-50", "c"))
        )),
        ["AllChoices H₂O?: *a / *b / c (Why.)"]
    );
    assert_eq!(
        moodle(&multichoice(
            true,
            &(answer("100", "a") + &answer("100", "b") + &answer("0", "c"))
        )),
        ["AnyChoice H₂O?: *a / *b / c (Why.)"]
    );
    assert_eq!(
        moodle(&multichoice(true, &(answer("100", "a") + &answer("50", "b")))),
        ["! line 3 UNSUPPORTED"]
    );
    assert_eq!(
        moodle(
            "<question type=\"truefalse\"><questiontext><text>Is it?</text></questiontext><answer fraction=\"0\"><text>true</text></answer><answer fraction=\"100\"><text>false</text></answer></question>"
        ),
        ["TrueFalse Is it?: True / *False"]
    );
    assert_eq!(
        moodle(
            "<question type=\"numerical\"><questiontext><text>Pi?</text></questiontext><answer fraction=\"100\"><text>3.14</text><tolerance>0.01</tolerance></answer></question>"
        ),
        ["Number Pi?: 3.14 \u{B1} 0.01"]
    );
    for (question, expected) in [
        (
            "<question type=\"essay\"><questiontext><text>Q</text></questiontext></question>",
            "! line 3 UNSUPPORTED",
        ),
        (
            "<question type=\"multichoice\"><questiontext format=\"html\"><text>&lt;img src='@@PLUGINFILE@@/a.png'&gt;</text><file name=\"a.png\" encoding=\"base64\">AA==</file></questiontext></question>",
            "! line 3 UNSUPPORTED",
        ),
    ] {
        assert_eq!(moodle(question)[0], expected, "{question}");
    }
}

#[test]
fn broken_twins_are_refused_with_their_place() {
    for (name, file, place) in [
        ("bank.xml", "<quiz>\n<question>\n</quiz>", "line 3"),
        ("bank.xml", "<quiz>\n<question type=\"essay\">", "line 2"),
        ("bank.xml", "<html></html>", "line 1"),
        (
            "bank.json",
            "{\"format\": \"marmalade-bank\",\n\"version\": 1,\n\"questions\": [}",
            "line 3, column 15",
        ),
        (
            "bank.json",
            "{\"format\": \"other\", \"version\": 1, \"questions\": []}",
            "line 1",
        ),
        ("bank.json", "[]", "line 1"),
    ] {
        let refused = told(name, file.as_bytes(), Settings::default()).remove(0);
        assert!(refused.contains(place), "{name}: {refused}");
    }
    let json = "{\"format\": \"marmalade-bank\", \"version\": 1, \"questions\": [{\"text\": \"Q\", \"kind\": \"SINGLE_CHOICE\",
        \"choices\": [{\"text\": \"a\"}, {\"text\": \"b\", \"isRight\": true}]}, {\"kind\": 1}, {\"text\": \"R\", \"kind\": \"SINGLE_CHOICE\",
        \"choices\": [{\"text\": \"a\"}, {\"text\": \"a\", \"isRight\": true}]}]}";
    assert_eq!(
        told("bank.json", json.as_bytes(), Settings::default()),
        ["Q: a / *b", "! question 2 MALFORMED", "! question 3 DUPLICATE_CHOICE"]
    );
}

#[test]
fn entity_bombs_and_files_from_elsewhere_are_refused() {
    let bomb = "<!DOCTYPE quiz [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;\">]>\n<quiz><question type=\"essay\"><questiontext><text>&b;</text></questiontext></question></quiz>";
    let outside = "<!DOCTYPE quiz [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>\n<quiz>&x;</quiz>";
    let undeclared = "<quiz><question type=\"essay\"><questiontext><text>&x;</text></questiontext></question></quiz>";
    let deep = format!("<quiz>{}", "<a>".repeat(100_000));
    for file in [bomb, outside, undeclared, &deep] {
        let refused = told("bank.xml", file.as_bytes(), Settings::default()).remove(0);
        assert!(refused.contains("line 1"), "{refused}");
    }
    let deep = format!("{{\"format\": {}", "[".repeat(1_000_000));
    assert!(told("bank.json", deep.as_bytes(), Settings::default())[0].contains("line 1"));
}

#[test]
fn windows_1252_is_read_by_its_name_only() {
    let file = b"Question,A,B,Answer\nCaf\xE9 \x96 5 \xB5m?,a,b,A\n";
    let refused = told("bank.csv", file, Settings::default()).remove(0);
    assert!(refused.contains("Windows-1252"), "{refused}");
    let settings = Settings {
        encoding: Encoding::Windows1252,
        ..Settings::default()
    };
    assert_eq!(told("bank.csv", file, settings), ["Café – 5 µm?: *a / b"]);
}

#[test]
fn the_messy_bank_gives_what_is_expected() {
    let path = |name: &str| {
        std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/cases")
            .join(name)
    };
    let bank = std::fs::read(path("messy-bank.xlsx")).unwrap();
    let expected: serde_json::Value =
        serde_json::from_slice(&std::fs::read(path("messy-bank.expected.json")).unwrap()).unwrap();
    for sheet in read("messy-bank.xlsx", &bank, None, &Settings::default()).unwrap() {
        let of = |problems: &[Problem]| {
            let problems = problems
                .iter()
                .map(|p| serde_json::json!({"cell": p.cell, "code": p.code}));
            problems.collect::<Vec<_>>()
        };
        let report = &sheet.report;
        let found = serde_json::json!({"imported": report.imported, "blank": report.blank, "errors": of(&report.errors),
            "warnings": of(&report.warnings)});
        assert_eq!(found, expected[report.name.as_str()], "{}", report.name);
    }
}
