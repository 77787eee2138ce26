//! Question banks from spreadsheets: values only, checked cell by cell, never half a question.

mod bank;
mod sheet;
#[cfg(test)]
mod tests;
mod writing;

pub mod background;

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

pub use self::bank::Numbers;
use self::writing::Run;
pub(crate) use self::{
    bank::{Code, MAX_KEPT, Problem, Question, Settings, Sheet, SheetReport, read},
    sheet::Unreadable,
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    entity::question::Kind,
    error::{Error, Result},
    id::QuizId,
    quiz::{
        author::{self, NewQuestion, NewQuiz},
        right::Right,
    },
    site::Site,
    text,
};

/// The most cells of one kind of finding that the command line names.
const CELLS_SHOWN: usize = 10;

/// As what a file is imported.
#[derive(Clone, Debug, clap::Args)]
pub struct Order {
    /// The title of the quiz; each further sheet's name is added to it
    #[arg(long)]
    pub quiz: String,
    /// The subject; made if there is none of this name
    #[arg(long)]
    pub subject: String,
    /// Only this sheet; without it every sheet with questions becomes a quiz of its own
    #[arg(long)]
    pub sheet: Option<String>,
    /// Publish what was imported
    #[arg(long)]
    pub publish: bool,
}

impl Order {
    /// The same as it will be stored, or what is wrong with it.
    pub(crate) fn read(&self) -> Result<Self> {
        let sheet = self.sheet.as_deref().map(|sheet| text::name("sheet", sheet, 200));
        Ok(Self {
            quiz: text::name("quizTitle", &self.quiz, 120)?,
            subject: text::name("subject", &self.subject, 80)?,
            sheet: sheet.transpose()?,
            publish: self.publish,
        })
    }
}

/// The arguments of the `import` command.
#[derive(Clone, Debug, clap::Args)]
pub struct File {
    /// The bank: XLSX; CSV or TSV in UTF-8 or UTF-16; Aiken (.txt) or GIFT
    pub file: PathBuf,
    #[command(flatten)]
    pub order: Order,
    /// What numbers among the answers are, if their column leaves it open
    #[arg(long, value_enum, default_value_t)]
    pub numbers: Numbers,
    /// Also read hidden rows and sheets
    #[arg(long)]
    pub hidden: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// The import report of one sheet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Imported {
    #[serde(flatten)]
    pub report: SheetReport,
    /// Made of its questions, if it has any.
    pub quiz: Option<QuizId>,
}

/// The report of every sheet.
pub struct Report {
    sheets: Vec<Imported>,
    published: bool,
    json: bool,
}

/// A file that was read.
pub struct Readable {
    sheets: Vec<Sheet>,
    order: Order,
    json: bool,
}

impl File {
    /// Reads the file; it may need no database then.
    pub async fn read(self) -> Result<Readable> {
        let (path, order) = (self.file.display(), self.order.read()?);
        let bytes = std::fs::read(&self.file).map_err(|error| Error::BadInput(format!("{path}: {error}")))?;
        let name = self.file.file_name().map(|name| name.to_string_lossy().into_owned());
        let settings = Settings {
            numbers: self.numbers,
            hidden: self.hidden,
        };
        let sheets = read_in_child(name.unwrap_or_default(), bytes, order.sheet.clone(), settings).await?;
        let sheets = sheets.map_err(|error| Error::BadInput(format!("{path}: {error}")))?;
        Ok(Readable {
            sheets,
            order,
            json: self.json,
        })
    }
}

/// Imports a file. Rows that can't be used are reported and left out.
pub async fn run(site: &Site, file: Readable, cause: &Cause) -> Result<Report> {
    let superseded = || Error::internal("another run has taken over an import that has but one");
    let mut run = Run::begin(site, cause, None).await?.ok_or_else(superseded)?;
    let imported = async {
        let imported = import(&mut run, file.sheets, &file.order)
            .await?
            .ok_or_else(superseded)?;
        let mut change = run.change().await?.ok_or_else(superseded)?;
        run.show(&mut change, file.order.publish).await?;
        change.commit().await?;
        Ok(imported)
    };
    let imported: Result<_> = imported.await;
    if imported.is_err() {
        run.undo().await?;
    }
    Ok(Report {
        sheets: imported?,
        published: file.order.publish,
        json: file.json,
    })
}

/// Reads a file on a thread of its own, where it blocks no request.
async fn read_in_child(
    name: String,
    bytes: Vec<u8>,
    sheet: Option<String>,
    settings: Settings,
) -> Result<Result<Vec<Sheet>, Unreadable>> {
    tokio::task::spawn_blocking(move || read(&name, &bytes, sheet.as_deref(), settings))
        .await
        .map_err(Error::internal)
}

/// Writes quizzes of the sheets that have questions; `run` shows them at its end. `None` once another run has taken over.
async fn import(run: &mut Run<'_>, mut sheets: Vec<Sheet>, order: &Order) -> Result<Option<Vec<Imported>>> {
    let plans = writing::plan(&mut sheets, &order.quiz, order.publish)?;
    let mut imported = Vec::new();
    for (Sheet { report, .. }, planned) in sheets.into_iter().zip(plans) {
        let mut quiz = None;
        if let Some(planned) = planned {
            quiz = run.write(planned, &order.subject).await?;
            if quiz.is_none() {
                return Ok(None);
            }
        }
        imported.push(Imported { report, quiz });
    }
    Ok(Some(imported))
}

/// Makes a draft of imported questions, in the change's transaction.
pub(crate) async fn make_quiz(
    change: &Change<'_>,
    subject: &str,
    quiz: NewQuiz,
    questions: Vec<Question>,
) -> Result<QuizId> {
    let questions: Vec<_> = questions.into_iter().map(NewQuestion::from).collect();
    let subject = author::subject(change, subject, change.now()).await?;
    let became = serde_json::json!({
        "title": quiz.title,
        "questions": questions.len(),
        "subject": subject.encode(),
    });
    let quiz = author::draft(change, subject, quiz, &questions, change.now()).await?;
    let imported = Entry::of(Action::QuizImported, quiz.encode()).became(became);
    change.audit(imported).await?;
    Ok(quiz)
}

impl From<Question> for NewQuestion {
    fn from(question: Question) -> Self {
        Self {
            chapter: question.chapter,
            text: question.text,
            image: question.image,
            picture: None,
            choices: question.choices,
            kind: Kind::SingleChoice,
            right: Right::one(question.right),
            explanation: question.explanation,
        }
    }
}

impl Report {
    /// Whether every row was imported or knowingly skipped.
    pub fn is_clean(&self) -> bool {
        !self.sheets.iter().any(|sheet| sheet.report.has_errors())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.json {
            let sheets: Vec<_> = self.sheets.iter().map(|sheet| &sheet.report).collect();
            return writeln!(f, "{}", serde_json::to_string_pretty(&sheets).map_err(|_| fmt::Error)?);
        }
        for Imported { report, quiz } in &self.sheets {
            writeln!(
                f,
                "{}: {} questions imported, {} blank rows",
                report.name, report.imported, report.blank
            )?;
            for (weight, problems) in [("refused", &report.errors), ("warning", &report.warnings)] {
                for (cells, problem) in of_a_kind(problems) {
                    writeln!(f, "  {weight} {cells:<5} {}: {}", problem.code, problem.message)?;
                }
            }
            let kept = report.errors.len() + report.warnings.len();
            if report.findings() > kept {
                writeln!(f, "  and {} more:", report.findings() - kept)?;
                for (code, count) in report.counts() {
                    writeln!(f, "    {code}: {count} in all")?;
                }
            }
            if let Some(quiz) = quiz {
                let state = if self.published { "published" } else { "a draft" };
                writeln!(f, "  quiz {} is {state}", quiz.encode())?;
            }
        }
        Ok(())
    }
}

/// The problems in their order; those of one kind and message as one, with their cells.
fn of_a_kind(problems: &[Problem]) -> Vec<(String, &Problem)> {
    let mut kinds: Vec<(Vec<&str>, &Problem)> = Vec::new();
    for problem in problems {
        let same =
            |(_, first): &&mut (Vec<&str>, &Problem)| first.code == problem.code && first.message == problem.message;
        match kinds.iter_mut().find(same) {
            Some((cells, _)) => cells.push(&problem.cell),
            None => kinds.push((vec![&problem.cell], problem)),
        }
    }
    let line = |(cells, problem): (Vec<&str>, _)| match cells.split_at_checked(CELLS_SHOWN) {
        Some((shown, more)) if !more.is_empty() => (format!("{} and {} more", shown.join(", "), more.len()), problem),
        _ => (cells.join(", "), problem),
    };
    kinds.into_iter().map(line).collect()
}
