//! Moodle XML (<https://docs.moodle.org/en/Moodle_XML_format>): questions with one or several right choices, of true or
//! false, and for a number. Other kinds are refused by their line. A document type, and so any entity of its own, is refused:
//! nothing is fetched, and nothing grows.

use quick_xml::{Reader, events::Event};

use super::{Building, Flaw, Grid, Remark, Row, Unreadable, column, html};

/// How deep elements may lie in each other.
const MAX_DEPTH: usize = 32;

pub(super) fn grid(name: &str, text: &str) -> Result<Grid, Unreadable> {
    let lines = Lines::of(text);
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let mut reading = Reading::default();
    loop {
        let at = reader.buffer_position();
        let broken = |what: &str| Unreadable::Broken {
            place: format!("line {}", lines.of_byte(at)),
            what: what.to_owned(),
        };
        let event = reader.read_event().map_err(|error| broken(&error.to_string()))?;
        match event {
            Event::Eof => break,
            Event::DocType(_) => {
                return Err(broken(
                    "it declares a document type, which an export of Moodle does not",
                ));
            }
            Event::Start(element) => {
                if reading.path.len() == MAX_DEPTH {
                    return Err(broken("its elements lie too deep in each other"));
                }
                let attribute = |name: &str| {
                    let mut attributes = element.attributes();
                    let mut all = attributes.with_checks(false).flatten();
                    let found = all.find(|attribute| attribute.key.local_name().as_ref() == name)?;
                    Some(found.value.to_string())
                };
                let name = element.local_name().as_ref().to_owned();
                if reading.path.is_empty() && name != "quiz" {
                    return Err(broken("it is no export of Moodle, which begins with <quiz>"));
                }
                reading.start(name, &attribute, lines.of_byte(at));
            }
            Event::End(_) => reading.end(),
            Event::Text(text) => reading.text(&text.xml10_content()),
            Event::CData(text) => reading.text(&text.xml10_content()),
            Event::GeneralRef(name) => {
                let resolved = name.resolve_char_ref().map_err(|error| broken(&error.to_string()))?;
                match (&*name.xml10_content(), resolved) {
                    (_, Some(c)) => reading.text(c.encode_utf8(&mut [0; 4])),
                    ("amp", _) => reading.text("&"),
                    ("lt", _) => reading.text("<"),
                    ("gt", _) => reading.text(">"),
                    ("quot", _) => reading.text("\""),
                    ("apos", _) => reading.text("'"),
                    _ => return Err(broken("it has an entity of its own")),
                }
            }
            _ => {}
        }
    }
    if !reading.path.is_empty() || !reading.began {
        return Err(Unreadable::Broken {
            place: format!("line {}", lines.of_byte(text.len() as u64)),
            what: "it breaks off".to_owned(),
        });
    }
    Grid::of_questions(name, reading.rows, reading.remarks)
}

/// Where lines begin.
struct Lines(Vec<u64>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(
            (0..)
                .zip(text.bytes())
                .filter(|(_, byte)| *byte == b'\n')
                .map(|(at, _): (u64, _)| at)
                .collect(),
        )
    }

    fn of_byte(&self, at: u64) -> u32 {
        self.0.partition_point(|end| *end < at) as u32 + 1
    }
}

#[derive(Default)]
struct Reading {
    began: bool,
    path: Vec<String>,
    rows: Vec<Row>,
    remarks: Vec<Remark>,
    chapter: String,
    open: Option<Question>,
}

/// A question as far as it was read.
#[derive(Default)]
struct Question {
    line: u32,
    kind: String,
    text: Text,
    explanation: Text,
    category: String,
    single: String,
    answers: Vec<Answer>,
    has_file: bool,
}

#[derive(Default)]
struct Text {
    format: String,
    text: String,
}

#[derive(Default)]
struct Answer {
    line: u32,
    fraction: String,
    tolerance: String,
    text: Text,
    feedback: String,
}

impl Reading {
    fn start(&mut self, name: String, attribute: &dyn Fn(&str) -> Option<String>, line: u32) {
        self.began = true;
        self.path.push(name);
        let format = attribute("format").unwrap_or_default();
        let path: Vec<&str> = self.path.iter().map(String::as_str).collect();
        match (&path[..], &mut self.open) {
            (["quiz", "question"], open) => {
                *open = Some(Question {
                    line,
                    kind: attribute("type").unwrap_or_default(),
                    ..Question::default()
                });
            }
            (["quiz", "question", "questiontext"], Some(open)) => open.text.format = format,
            (["quiz", "question", "generalfeedback"], Some(open)) => open.explanation.format = format,
            (["quiz", "question", "answer"], Some(open)) => open.answers.push(Answer {
                line,
                fraction: attribute("fraction").unwrap_or_default(),
                text: Text {
                    format,
                    text: String::new(),
                },
                ..Answer::default()
            }),
            (["quiz", "question", .., "file"], Some(open)) => open.has_file = true,
            _ => {}
        }
    }

    fn text(&mut self, text: &str) {
        let Some(open) = &mut self.open else { return };
        let path: Vec<&str> = self.path.iter().skip(2).map(String::as_str).collect();
        let place = match &path[..] {
            ["questiontext", "text"] => &mut open.text.text,
            ["generalfeedback", "text"] => &mut open.explanation.text,
            ["category", "text"] => &mut open.category,
            ["single"] => &mut open.single,
            ["answer", rest @ ..] => {
                let Some(answer) = open.answers.last_mut() else { return };
                match rest {
                    ["text"] => &mut answer.text.text,
                    ["tolerance"] => &mut answer.tolerance,
                    ["feedback", "text"] => &mut answer.feedback,
                    _ => return,
                }
            }
            _ => return,
        };
        place.push_str(text);
    }

    fn end(&mut self) {
        self.path.pop();
        if self.path.len() != 1 {
            return;
        }
        let Some(question) = self.open.take() else { return };
        match question.kind.as_str() {
            "category" => {
                let path = question.category.replace("//", "\u{F0000}");
                let last = path.rsplit('/').next().unwrap_or_default().replace('\u{F0000}', "/");
                self.chapter = if last == "top" { String::new() } else { last };
            }
            "description" => self.remarks.push(Remark::PassedOver {
                cell: format!("line {}", question.line),
                message: "There is no question here but a description; it was passed over.".to_owned(),
            }),
            _ => self.rows.push(question.row(&self.chapter)),
        }
    }
}

impl Question {
    fn row(self, chapter: &str) -> Row {
        let mut row = Building::at(self.line);
        let is_markdown = self.text.format == "markdown";
        if is_markdown {
            row.cell(column::FORMAT, self.line, "markdown");
        }
        if self.has_file {
            let message =
                "A picture or another file belongs to this question, and is not imported with it; take it away.";
            row.flaw(column::QUESTION, self.line, Flaw::Unsupported(message.to_owned()));
        }
        let fill = |row: &mut Building, column, line, text: &Text| match read(text, is_markdown) {
            Ok(text) => row.typed(column, line, super::Cell::text(&text)),
            Err(message) => row.flaw(column, line, Flaw::Unsupported(message)),
        };
        fill(&mut row, column::QUESTION, self.line, &self.text);
        fill(&mut row, column::EXPLANATION, self.line, &self.explanation);
        row.typed(column::CHAPTER, self.line, super::Cell::text(chapter));
        match self.kind.as_str() {
            "truefalse" => {
                let right = self.answers.iter().find(|answer| answer.percent() > 0.0);
                let letter = match right.map(|answer| answer.text.text.trim().to_ascii_lowercase()) {
                    Some(word) if word == "true" => "A",
                    Some(word) if word == "false" => "B",
                    _ => "",
                };
                row.cell(column::CHOICES.start, self.line, "True");
                row.cell(column::CHOICES.start + 1, self.line, "False");
                row.cell(column::ANSWER, self.line, letter);
                row.cell(column::KIND, self.line, "TRUE_FALSE");
            }
            "numerical" => match &self.answers[..] {
                [answer] if answer.percent() >= 100.0 => {
                    row.cell(column::ANSWER, answer.line, answer.text.text.trim());
                    row.cell(column::TOLERANCE, answer.line, answer.tolerance.trim());
                    row.cell(column::KIND, answer.line, "NUMBER");
                }
                _ => {
                    let message = "This asks for several numbers, or gives a part of the points; only one right number is imported.";
                    row.flaw(column::ANSWER, self.line, Flaw::Unsupported(message.to_owned()));
                }
            },
            "multichoice" => self.choices(&mut row, fill),
            kind => {
                let message = format!(
                    "This is a question of the kind \u{201C}{}\u{201D}; only multichoice, truefalse and numerical are imported.",
                    kind.chars().take(40).collect::<String>()
                );
                row.flaw(column::ANSWER, self.line, Flaw::Unsupported(message));
            }
        }
        row.closed()
    }

    fn choices(&self, row: &mut Building, fill: impl Fn(&mut Building, u32, u32, &Text)) {
        for (column, answer) in column::CHOICES.zip(&self.answers) {
            fill(row, column, answer.line, &answer.text);
            if !answer.feedback.trim().is_empty() {
                let message = "The feedback to this choice is not used; nothing of it was imported.";
                row.flaw(column, answer.line, Flaw::NotUsed(message.to_owned()));
            }
        }
        let right: Vec<usize> = (0..self.answers.len())
            .filter(|at| self.answers[*at].percent() > 0.0)
            .collect();
        let is_whole = |at: &usize| self.answers[*at].percent() >= 100.0;
        let sum: f64 = right.iter().map(|at| self.answers[*at].percent()).sum();
        let letters: Vec<String> = right
            .iter()
            .filter_map(|at| Some(('A'..='Z').nth(*at)?.to_string()))
            .collect();
        let is_single = !matches!(self.single.trim(), "false" | "0");
        let kind = match right.len() {
            0 => "",
            1 if is_whole(&right[0]) => {
                if is_single {
                    ""
                } else {
                    "ALL_CHOICES"
                }
            }
            _ if is_single && right.iter().all(is_whole) => "ANY_CHOICE",
            _ if !is_single && (sum - 100.0).abs() < 1.0 => "ALL_CHOICES",
            _ => {
                let message = "A choice gives a part of the points, which there is not here; let the right choices make 100 together.";
                row.flaw(column::ANSWER, self.line, Flaw::Unsupported(message.to_owned()));
                ""
            }
        };
        row.cell(column::ANSWER, self.line, &letters.join(","));
        row.cell(column::KIND, self.line, kind);
    }
}

impl Answer {
    fn percent(&self) -> f64 {
        self.fraction.trim().parse().unwrap_or(0.0)
    }
}

/// A text as it is shown; the error says what of it can't be kept.
fn read(text: &Text, is_markdown: bool) -> Result<String, String> {
    match text.format.as_str() {
        "html" | "moodle_auto_format" => html::text(&text.text),
        "markdown" if !is_markdown => {
            Err("One text of this question is Markdown and another is not; write them alike.".to_owned())
        }
        _ => Ok(text.text.clone()),
    }
}
