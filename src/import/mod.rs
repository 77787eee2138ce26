//! Question banks from spreadsheets: values only, checked cell by cell, never half a question.

mod bank;
pub mod confirm;
mod drafts;
pub(crate) mod options;
pub(crate) mod own;
pub mod preview;
mod sheet;
#[cfg(test)]
mod tests;
mod writing;

pub mod background;

use std::{fmt, path::PathBuf};

use serde::{Deserialize, Serialize};

#[cfg(test)]
pub(crate) use self::bank::one_name_of_chapters;
pub(crate) use self::writing::Target;
use self::writing::{Outcome, Run};
pub(crate) use self::{
    bank::{Code, Column, MAX_KEPT, Problem, Question, Settings, Sheet, SheetReport, read},
    sheet::Unreadable,
};
pub use self::{
    bank::{ColumnRole, Mapped, Numbers, Several},
    sheet::Encoding,
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    error::{Error, Result},
    id::QuizId,
    quiz::author::{self, NewQuestion, NewQuiz},
    site::Site,
    text,
};

/// The most cells of one kind of finding that the command line names.
const CELLS_SHOWN: usize = 10;

/// As what a file is imported.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    /// The title of the quiz; each further sheet's name is added to it.
    pub quiz: String,
    /// The subject; made if there is none of this name.
    pub subject: String,
    /// Only this sheet; without it every sheet with questions becomes a quiz of its own.
    pub sheet: Option<String>,
    /// Whether to publish what was imported.
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
#[derive(Clone, Debug, Default, clap::Args)]
pub struct File {
    /// The bank: XLSX; CSV or TSV; Aiken (.txt); GIFT; Moodle XML; JSON of an export
    #[arg(required_unless_present = "template")]
    pub file: Option<PathBuf>,
    /// The title of the quiz; each further sheet's name is added to it
    #[arg(long, required_unless_present_any = ["template", "preview", "into_draft"])]
    pub quiz: Option<String>,
    /// The subject; made if there is none of this name
    #[arg(long, required_unless_present_any = ["template", "preview", "into_draft"])]
    pub subject: Option<String>,
    /// Only this sheet; without it every sheet with questions becomes a quiz of its own
    #[arg(long)]
    pub sheet: Option<String>,
    /// Add the questions to the draft of this quiz
    #[arg(long, value_name = "QUIZ_ID", conflicts_with_all = ["quiz", "subject"])]
    pub into_draft: Option<String>,
    /// Replace the draft's questions
    #[arg(long, requires = "into_draft")]
    pub replace: bool,
    /// Import nothing if a row is refused
    #[arg(long)]
    pub all_or_nothing: bool,
    /// Publish what was imported, if no row is refused
    #[arg(long)]
    pub publish: bool,
    /// Report, and import nothing
    #[arg(long)]
    pub preview: bool,
    /// What numbers among the answers are, if their column leaves it open
    #[arg(long, value_enum, default_value_t)]
    pub numbers: Numbers,
    /// What an answer asks for that names several choices, if its row does not say
    #[arg(long, value_enum, default_value_t)]
    pub several: Several,
    /// The encoding of a text file that is not in UTF-8 or UTF-16
    #[arg(long, value_enum, default_value_t)]
    pub encoding: Encoding,
    /// What a column holds, by its heading or letters, such as "Stem text=question"; may be given again
    #[arg(long, value_name = "COLUMN=ROLE", value_parser = mapped)]
    pub mapping: Vec<Mapped>,
    /// Also read hidden rows and sheets
    #[arg(long)]
    pub hidden: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// A column and its role, as the command line gives them.
fn mapped(argument: &str) -> Result<Mapped, String> {
    let (column, role) = argument.rsplit_once('=').ok_or("write COLUMN=ROLE")?;
    let role = <ColumnRole as clap::ValueEnum>::from_str(role.trim(), true).map_err(|_| {
        let names = <ColumnRole as clap::ValueEnum>::value_variants().iter();
        let names = names.filter_map(|role| Some(clap::ValueEnum::to_possible_value(role)?.get_name().to_owned()));
        format!("the roles are: {}", names.collect::<Vec<_>>().join(", "))
    })?;
    Ok(Mapped {
        column: column.trim().to_owned(),
        role,
    })
}

/// The import report of one sheet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Imported {
    #[serde(flatten)]
    pub report: SheetReport,
    /// What its questions went into, if it has any.
    pub quiz: Option<QuizId>,
    /// Questions that the draft had already, and that were left out.
    #[serde(default)]
    pub skipped: usize,
}

impl Imported {
    fn of(report: SheetReport, written: Option<Outcome>) -> Self {
        Self {
            report,
            quiz: written.map(|written| written.quiz),
            skipped: written.map_or(0, |written| written.skipped),
        }
    }
}

/// The report of every sheet.
pub struct Report {
    sheets: Vec<Imported>,
    outcome: &'static str,
    json: bool,
}

/// A file that was read.
pub struct Readable {
    sheets: Vec<Sheet>,
    /// Where its questions go; `None`: nowhere, they are looked at only.
    target: Option<Target>,
    publish: bool,
    all_or_nothing: bool,
    json: bool,
}

impl File {
    /// Reads the file; it may need no database then.
    pub async fn read(self) -> Result<Readable> {
        let file = self.file.ok_or_else(|| Error::BadInput("Give a file.".into()))?;
        let named = |argument, text: Option<&str>, most| text::name(argument, text.unwrap_or_default(), most);
        let target = match (&self.into_draft, self.preview) {
            (_, true) => None,
            (Some(quiz), false) => Some(Target::Draft {
                quiz: QuizId::decode(quiz)?,
                version: None,
                replace: self.replace,
            }),
            (None, false) => Some(Target::New {
                title: named("quiz", self.quiz.as_deref(), 120)?,
                subject: named("subject", self.subject.as_deref(), 80)?,
            }),
        };
        let sheet = self
            .sheet
            .as_deref()
            .map(|sheet| text::name("sheet", sheet, 200))
            .transpose()?;
        let path = file.display();
        let bytes = std::fs::read(&file).map_err(|error| Error::BadInput(format!("{path}: {error}")))?;
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let settings = Settings {
            numbers: self.numbers,
            hidden: self.hidden,
            several: self.several,
            encoding: self.encoding,
            columns: self.mapping,
        };
        let sheets = read_in_child(name.unwrap_or_default(), bytes, sheet, settings).await?;
        let sheets = sheets.map_err(|error| Error::BadInput(format!("{path}: {error}")))?;
        Ok(Readable {
            sheets,
            target,
            publish: self.publish,
            all_or_nothing: self.all_or_nothing,
            json: self.json,
        })
    }
}

/// Imports a file. Rows that can't be used are reported and left out.
pub async fn run(site: &Site, mut file: Readable, cause: &Cause) -> Result<Report> {
    preview::compare(site.db.read(), &mut file.sheets).await?;
    let is_refused = file.sheets.iter().any(|sheet| sheet.report.has_errors());
    let Some(target) = file.target.filter(|_| !(is_refused && file.all_or_nothing)) else {
        let sheets = file.sheets.into_iter().map(|sheet| Imported::of(sheet.report, None));
        return Ok(Report {
            sheets: sheets.collect(),
            outcome: "was not imported",
            json: file.json,
        });
    };
    let publish = file.publish && !is_refused;
    let superseded = || Error::internal("another run has taken over an import that has but one");
    let mut run = Run::begin(site, cause, None).await?.ok_or_else(superseded)?;
    let plans = writing::plan(&mut file.sheets, &target, publish)?;
    let imported = async {
        let imported = import(&mut run, file.sheets, plans).await?.ok_or_else(superseded)?;
        let mut change = run.change().await?.ok_or_else(superseded)?;
        run.show(&mut change, publish, None).await?;
        change.commit().await?;
        run.tidy().await?;
        Ok(imported)
    };
    let imported: Result<_> = imported.await;
    if imported.is_err() {
        run.undo().await?;
    }
    Ok(Report {
        sheets: imported?,
        outcome: match (publish, file.publish) {
            (true, _) => "is published",
            (false, true) => "is a draft: it is not published, for rows were refused",
            (false, false) => "is a draft",
        },
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
    tokio::task::spawn_blocking(move || read(&name, &bytes, sheet.as_deref(), &settings))
        .await
        .map_err(Error::internal)
}

/// Writes the questions of sheets; `run` shows them at its end. `None` once another run has taken over.
async fn import(
    run: &mut Run<'_>,
    sheets: Vec<Sheet>,
    plans: Vec<Option<writing::Planned>>,
) -> Result<Option<Vec<Imported>>> {
    let mut imported = Vec::new();
    for (Sheet { report, .. }, planned) in sheets.into_iter().zip(plans) {
        let mut written = None;
        if let Some(planned) = planned {
            written = run.write(planned).await?;
            if written.is_none() {
                return Ok(None);
            }
        }
        imported.push(Imported::of(report, written));
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
            kind: question.kind,
            right: question.right,
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
            #[derive(Serialize)]
            struct Sheet<'r> {
                #[serde(flatten)]
                report: &'r SheetReport,
                quiz: Option<String>,
                skipped: usize,
            }
            let sheet = |sheet: &'_ Imported| {
                serde_json::to_value(Sheet {
                    report: &sheet.report,
                    quiz: sheet.quiz.map(|quiz| quiz.encode()),
                    skipped: sheet.skipped,
                })
            };
            let sheets: Vec<_> = self
                .sheets
                .iter()
                .map(sheet)
                .collect::<Result<_, _>>()
                .map_err(|_| fmt::Error)?;
            return writeln!(f, "{}", serde_json::to_string_pretty(&sheets).map_err(|_| fmt::Error)?);
        }
        for Imported { report, quiz, skipped } in &self.sheets {
            writeln!(
                f,
                "{}: {} questions imported, {} blank rows",
                report.name, report.imported, report.blank
            )?;
            if *skipped > 0 {
                writeln!(f, "  {skipped} were in the draft already, and left out")?;
            }
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
                writeln!(f, "  quiz {} {}", quiz.encode(), self.outcome)?;
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
