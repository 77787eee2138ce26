//! Texts of our own making, by the kinds of fault that banks have.

use super::*;

fn csv(text: &str) -> Vec<String> {
    told("bank.csv", text.as_bytes(), Settings::default())
}

/// The only question of a file with these headings.
fn one(headings: &str, row: &str) -> Vec<String> {
    csv(&format!("{headings}\n{row}\n"))
}

fn check(cases: &[(&str, &[&str])]) {
    for (text, expected) in cases {
        assert_eq!(csv(text), *expected, "{text}");
    }
}

#[test]
fn a_row_longer_than_the_headings_is_refused_with_its_surplus_cell() {
    check(&[
        (
            "Question,A,B,Answer,Explanation\nQ1,a,b,A,First, then second\nQ2,a,b,B,Fine",
            &["Q2: a / *b (Fine)", "! F2 ROW_TOO_LONG"],
        ),
        ("Question;A;B;Answer\nQ1;1;5;2;A\n", &["! E2 ROW_TOO_LONG"]),
        ("Question,A,B,Answer\nQ1,a,b,A,,,\n", &["Q1: *a / b"]),
        ("Question,A,B,Answer,,\nQ1,a,b,A,,x\n", &["! F2 ROW_TOO_LONG"]),
    ]);
    let tabs = "Question\tA\tB\tAnswer\nQ1\ta\tb\tA\tB\n";
    assert_eq!(
        told("bank.tsv", tabs.as_bytes(), Settings::default()),
        ["! E2 ROW_TOO_LONG"]
    );
}

#[test]
fn numbers_are_judged_by_their_column() {
    check(&[
        // Letters stand whatever the numbers are.
        (
            "Question,A,B,C,Answer\nQ1,x,y,z,0\nQ2,x,y,z,2\nQ3,x,y,z,B\n",
            &["Q3: x / *y / z", "! E2 AMBIGUOUS_ANSWER", "! E3 AMBIGUOUS_ANSWER"],
        ),
        (
            "Question,A,B,C,Answer\nQ1,x,y,z,(0)\nQ2,x,y,z,Option 1\n",
            &["! E2 AMBIGUOUS_ANSWER", "! E3 AMBIGUOUS_ANSWER"],
        ),
        // One is only a text, the other only a place.
        (
            "Question,A,B,C,Answer\nQ1,5,6,7,6\nQ2,x,y,z,2\n",
            &["! E2 AMBIGUOUS_ANSWER", "! E3 AMBIGUOUS_ANSWER"],
        ),
        (
            "Question,A,B,C,Answer\nQ1,5,6,7,6\nQ2,8,9,10,10\n",
            &["Q1: 5 / *6 / 7", "Q2: 8 / 9 / *10"],
        ),
        (
            "Question,A,B,C,Answer\nQ1,1,2,3,2\nQ2,x,y,z,3\n",
            &["Q1: 1 / *2 / 3", "Q2: x / y / *z"],
        ),
    ]);
}

#[test]
fn headings_have_many_spellings() {
    check(&[
        (
            "سوال,الف,ب,ج,د,درست جواب,وضاحت,باب\nس۱,ایک,دو,تین,چار,ب,کیونکہ,خلیہ\n",
            &["س۱: ایک / *دو / تین / چار (کیونکہ) [خلیہ]"],
        ),
        (
            "Biology\nPaper 1 of 2024\n\nNo;Question;Opt 1;Opt 2;Key\n1;Q1;a;b;2\n",
            &["Q1: a / *b", "~ A1 PASSED_OVER", "~ A2 PASSED_OVER"],
        ),
        (
            "MCQ,Options,Ans,Rationale\nQ1,A) alpha B) beta C) gamma,C,because\nQ2,\"alpha\nbeta\",1,\n",
            &["Q1: alpha / beta / *gamma (because)", "Q2: *alpha / beta"],
        ),
        (
            "Question,Choices,Answer\nQ1,\"alpha, beta\",A\n",
            &["! B2 TOO_FEW_CHOICES"],
        ),
        (
            "Stem,Key,Distractor 1,Distractor 2\nQ1,mitochondrion,nucleus,ribosome\nQ2,,x,y\nQ3,x,X,\nQ4,x,x,y\n",
            &[
                "Q1: *mitochondrion / nucleus / ribosome",
                "Q3: *x / X",
                "! B3 NO_ANSWER",
                "! C5 DUPLICATE_CHOICE",
            ],
        ),
        (
            "Question,A,B,Answer,Topic,Chapter\nQ1,a,b,A,Osmosis,Cells\n",
            &["Q1: *a / b [Cells]", "~ E1 UNUSED_COLUMN"],
        ),
        ("sep=|\nQuestion|A|B|Answer\nQ1|a, b|c;d|B\n", &["Q1: a, b / *c;d"]),
    ]);
    let message = messages("bank.csv", b"Frage,A,B,Antwort\nWarum?,a,b,A\n").swap_remove(0);
    for would_do in ["Question", "Option 1", "Options", "Wrong 1", "Answer"] {
        assert!(message.contains(&format!("\u{201C}{would_do}\u{201D}")), "{message}");
    }
}

#[test]
fn columns_that_are_not_used_are_named() {
    check(&[
        (
            "Question,A,B,Answer,Explaination (long)\nQ1,a,b,A,because\n",
            &["Q1: *a / b", "~ E1 UNUSED_COLUMN"],
        ),
        // Nothing is lost of an empty one, nor of what keeps the bank in order.
        (
            "Question No.,Year,Question,A,B,Answer,Difficulty\n1,2024,Q1,a,b,A,\n",
            &["Q1: *a / b"],
        ),
        (
            ",Question,A,B,Answer\nx,Q1,a,b,A\n",
            &["Q1: *a / b", "~ A1 UNUSED_COLUMN"],
        ),
    ]);
    let message = messages("bank.csv", b"Question,A,B,Answer,Bloom  level\nQ1,a,b,A,2\n").swap_remove(0);
    assert!(message.contains("\u{201C}Bloom level\u{201D}"), "{message}");
}

#[test]
fn answers_are_read_where_only_one_choice_can_be_meant() {
    let headings = "Question,A,B,C,D,Answer";
    for answer in [
        "B.",
        "[b]",
        "B. beta",
        "Ans: B",
        "Correct answer is B",
        "\"Option B, \"",
        "beta.",
        "BETA",
        "2)",
        "“beta”",
    ] {
        let row = format!("Q,alpha,beta,gamma,delta,{answer}");
        let expected = match answer {
            "\"Option B, \"" | "“beta”" => "! F2 ANSWER_NOT_A_CHOICE",
            _ => "Q: alpha / *beta / gamma / delta",
        };
        assert_eq!(one(headings, &row), [expected], "{answer}");
    }
    for (answer, code) in [
        ("B) gamma", "AMBIGUOUS_ANSWER"),
        ("\"A, B\"", "SEVERAL_ANSWERS"),
        ("A & C", "SEVERAL_ANSWERS"),
        ("E", "ANSWER_NOT_A_CHOICE"),
        ("none", "ANSWER_NOT_A_CHOICE"),
    ] {
        let row = format!("Q,alpha,beta,gamma,delta,{answer}");
        assert_eq!(one(headings, &row), [format!("! F2 {code}")], "{answer}");
    }
}

#[test]
fn text_is_shown_as_it_was_typed() {
    let headings = "Question,A,B,Answer,Explanation";
    for (row, expected) in [
        ("2*3*4 = ?,24,# 9,A,- 5", "2\\*3\\*4 = ?: *24 / \\# 9 (\\- 5)"),
        ("1. First?,<b>x</b>,_y_,B,", "1\\. First?: &lt;b>x&lt;/b> / *\\_y\\_"),
        (
            "Cost of $5 or $6?,H₂O,a|b,A,\"I. x\nII. y\"",
            "Cost of \\$5 or \\$6?: *H₂O / a\\|b (I. x  \nII. y)",
        ),
        (
            "$a*b$ and a*b,\\(c*d\\),[x](y),A,",
            "$a*b$ and a\\*b: *\\(c*d\\) / [x\\](y)",
        ),
    ] {
        assert_eq!(one(headings, row), [expected]);
    }
}

#[test]
fn letters_are_looked_at_as_a_reader_sees_them() {
    check(&[
        ("Question,A,B,Answer\nCafe\u{301}?,a,b,A\n", &["Caf\u{E9}?: *a / b"]),
        (
            "Question,A,B,Answer\nQ,Cushingâ€™s,b,A\n",
            &["Q: *Cushingâ€™s / b", "~ B2 MOJIBAKE"],
        ),
        (
            "Question,A,B,Answer\nQ,\u{2067}خلیہ\u{2069},b,خلیہ\n",
            &["Q: *خلیہ / b"],
        ),
        (
            "Question,A,B,Answer\nQ,\u{202E}abc\u{202C},b,B\n",
            &["! B2 UNSAFE_TEXT"],
        ),
        ("Question,A,B,Answer\nQ,10²,102,A\n", &["Q: *10² / 102"]),
        (
            "Question,A,B,Answer\nQ,don\u{2019}t,don't,A\n",
            &["! C2 DUPLICATE_CHOICE"],
        ),
    ]);
}

#[test]
fn chapters_that_differ_by_case_or_form_are_one() {
    check(&[
        (
            "Question,A,B,Answer,Chapter\nQ1,a,b,A,Élan\nQ2,a,b,A,E\u{301}LAN\n",
            &["Q1: *a / b [Élan]", "Q2: *a / b [Élan]"],
        ),
        (
            "Question,A,B,Answer,Chapter\nQ1,a,b,A,کیمیا\nQ2,a,b,A,كيميا\n",
            &["Q1: *a / b [کیمیا]", "Q2: *a / b [کیمیا]"],
        ),
        (
            "Question,A,B,Answer,Chapter\nQ1,a,b,A,Cell Cycle\nQ2,a,b,A,Cells\n",
            &["Q1: *a / b [Cell Cycle]", "Q2: *a / b [Cells]"],
        ),
    ]);
}

#[test]
fn errors_are_not_buried_under_warnings() {
    let many = "Q,a,b,A\n".repeat(1_200);
    let sheet = csv(&format!("Question,A,B,Answer\n{many}R,a,b,C\n"));
    assert_eq!(sheet[1], "! D1202 ANSWER_NOT_A_CHOICE");
    assert_eq!(sheet.len(), 1 + 1_000);
    let of_a_kind = |text: &str| {
        let sheets = read("bank.csv", text.as_bytes(), None, &Settings::default()).unwrap();
        let lines = super::super::of_a_kind(&sheets[0].report.errors);
        lines
            .into_iter()
            .map(|(cells, problem)| format!("{cells} {}", problem.code))
            .collect::<Vec<_>>()
    };
    let unanswered = (0..12).map(|i| format!("Q{i},a,b,\n")).collect::<String>();
    assert_eq!(
        of_a_kind(&format!("Question,A,B,Answer\nQ,a,b,C\n{unanswered}")),
        [
            "D2 ANSWER_NOT_A_CHOICE",
            "D3, D4, D5, D6, D7, D8, D9, D10, D11, D12 and 2 more NO_ANSWER"
        ]
    );
}

#[test]
fn tabs_and_utf16_are_read_and_their_broken_twins_refused() {
    let text = "Question\tA\tB\tAnswer\r\nQ1\tایک\tb\tA\r\n";
    let utf16 = [
        vec![0xFF, 0xFE],
        text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    ]
    .concat();
    for bytes in [text.as_bytes().to_vec(), utf16.clone()] {
        assert_eq!(told("bank.tsv", &bytes, Settings::default()), ["Q1: *ایک / b"]);
    }
    for (name, bytes, place) in [
        ("bank.tsv", "Question\tA\nQ1\t\"open\nQ2\tb\n".as_bytes(), "row 2"),
        ("bank.csv", b"Question,A\n\nQ1,\"open\nQ2,b\n", "row 3"),
        ("bank.csv", &utf16[..utf16.len() - 1], "line 2"),
    ] {
        let refused = told(name, bytes, Settings::default()).remove(0);
        assert!(refused.contains(place), "{refused}");
    }
}

#[test]
fn aiken_is_read_and_its_broken_twins_refused() {
    let aiken = |text: &str| told("bank.txt", text.as_bytes(), Settings::default());
    assert_eq!(
        aiken("Two\nlines?\nA. x\nB. y\nANSWER: B\nNext?\nA) 2*3\nB) #\nC) 7\nanswer: c\n"),
        ["Two  \nlines?: x / *y", "Next?: 2\\*3 / \\# / *7"]
    );
    for (text, expected) in [
        (
            "Q?\nA. x\nB. y\n\nR?\nA. x\nB. y\nANSWER: A\n",
            &["R?: *x / y", "! line 3 MALFORMED"][..],
        ),
        ("Q?\nA. x\nB. y\nANSWER: D\n", &["! line 4 ANSWER_NOT_A_CHOICE"]),
        ("Q?\nA. x\nC. y\nANSWER: A\n", &["! line 3 MALFORMED"]),
        ("Q?\nA. x\nB. x\nANSWER: A\n", &["! line 3 DUPLICATE_CHOICE"]),
        ("Q?\nA. x\nANSWER: A\n", &["! line 1 TOO_FEW_CHOICES"]),
    ] {
        assert_eq!(aiken(text), expected, "{text}");
    }
}

#[test]
fn gift_is_read_and_its_broken_twins_refused() {
    let gift = |text: &str| told("bank.gift", text.as_bytes(), Settings::default());
    assert_eq!(
        gift(
            "// A comment\n$CATEGORY: $course$/Biology/Cells\n\n::Q1:: What is 2+2? {=4 ~3 ~5 ####Count.}\n\n\
             Water is {~a metal\n=H₂O\n~x \\= y} for life.\n\nThe sun is a star. {T}\n"
        ),
        [
            "What is 2+2?: *4 / 3 / 5 (Count.) [Cells]",
            "Water is ____ for life.: a metal / *H₂O / x = y [Cells]",
            "TrueFalse The sun is a star.: *True / False [Cells]",
        ]
    );
    for (text, expected) in [
        (
            "Q1 {=a ~b}\n\nQ2 {=a\n~b\n\nQ3 {=a ~b}\n",
            &["Q1: *a / b", "Q3: *a / b", "! line 3 MALFORMED"][..],
        ),
        ("Q {~a\n~b}\n", &["! line 1 MALFORMED"]),
        ("Q {=a =b}\n", &["! line 1 UNSUPPORTED"]),
        ("Q {}\n", &["! line 1 UNSUPPORTED"]),
        ("Q {=a -> b =c -> d}\n", &["! line 1 UNSUPPORTED"]),
        ("Q {~%50%a ~%20%b ~c}\n", &["! line 1 UNSUPPORTED"]),
        ("[html]<p>Q</p> {=a ~b}\n", &["! line 1 UNSUPPORTED"]),
        ("Q } {=a ~b}\n", &["! line 1 MALFORMED"]),
        ("Q {=a # yes\n~b}\n", &["Q: *a / b", "~ line 1 UNUSED_COLUMN"]),
        (
            "Only a description.\n\nQ {=a ~b}\n",
            &["Q: *a / b", "~ line 1 PASSED_OVER"],
        ),
    ] {
        assert_eq!(gift(text), expected, "{text}");
    }
}
