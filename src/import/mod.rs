//! Question banks from spreadsheets: values only, checked cell by cell, never half a question.

mod bank;
mod sheet;

use std::{fmt, path::PathBuf};

pub use self::{
    bank::{Code, Problem, Question, Sheet, SheetReport, read},
    sheet::Unreadable,
};
use crate::{
    app::App,
    audit::{self, Action, Entry, Source},
    clock::Moment,
    entity::QuizId,
    error::{Error, Result},
    quiz::author::{self, NewQuestion, NewQuiz},
};

/// What to import, and as what.
#[derive(Clone, Debug, clap::Args)]
pub struct Job {
    /// The spreadsheet: XLSX, or CSV in UTF-8
    pub file: PathBuf,
    /// The title of the quiz; each further sheet's name is added to it
    #[arg(long)]
    pub quiz: String,
    /// The subject; made if there is none of this name
    #[arg(long)]
    pub subject: String,
    /// Only this sheet; every sheet with questions becomes a quiz of its own without it
    #[arg(long)]
    pub sheet: Option<String>,
    /// Publish what was imported
    #[arg(long)]
    pub publish: bool,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// What became of every sheet.
pub struct Report {
    sheets: Vec<(SheetReport, Option<QuizId>)>,
    published: bool,
    json: bool,
}

/// Imports a file. Rows that can't be used are reported and left out; nothing is imported of a file that can't be read.
pub async fn run(app: &App, job: &Job, source: &Source) -> Result<Report> {
    let bytes =
        std::fs::read(&job.file).map_err(|error| Error::BadInput(format!("{}: {error}", job.file.display())))?;
    let name = job
        .file
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let wanted = job.sheet.clone();
    let sheets = tokio::task::spawn_blocking(move || read(&name, &bytes, wanted.as_deref()))
        .await
        .map_err(Error::internal)?
        .map_err(|error| Error::BadInput(format!("{}: {error}", job.file.display())))?;
    let now = app.now();
    let several = sheets.iter().filter(|sheet| !sheet.questions.is_empty()).count() > 1;
    let mut report = Report {
        sheets: Vec::new(),
        published: job.publish,
        json: job.json,
    };
    for sheet in sheets {
        let title = if several {
            format!("{}: {}", job.quiz, sheet.report.name)
        } else {
            job.quiz.clone()
        };
        let quiz = if sheet.questions.is_empty() {
            None
        } else {
            Some(
                make_quiz(
                    app,
                    &job.subject,
                    NewQuiz::titled(title, sheet.questions.len()),
                    sheet.questions,
                    source,
                    &now,
                )
                .await?,
            )
        };
        if let (Some(quiz), true) = (quiz, job.publish) {
            author::publish(app, quiz, source, &now).await?;
        }
        report.sheets.push((sheet.report, quiz));
    }
    Ok(report)
}

/// Makes a draft of imported questions.
pub async fn make_quiz(
    app: &App,
    subject: &str,
    quiz: NewQuiz,
    questions: Vec<Question>,
    source: &Source,
    now: &Moment,
) -> Result<QuizId> {
    let questions: Vec<_> = questions.into_iter().map(NewQuestion::from).collect();
    let tx = app.db.begin().await?;
    let subject = author::subject(&tx, subject, now).await?;
    let became = serde_json::json!({"title": quiz.title, "questions": questions.len()});
    let quiz = author::draft(&tx, subject, quiz, &questions, now).await?;
    let imported = Entry::of(Action::QuizImported, quiz.encode()).became(became);
    audit::record(&tx, source, imported, now).await?;
    tx.commit().await?;
    Ok(quiz)
}

impl From<Question> for NewQuestion {
    fn from(question: Question) -> Self {
        Self {
            chapter: question.chapter,
            text: question.text,
            image: question.image,
            choices: question.choices,
            right: question.right,
            explanation: question.explanation,
        }
    }
}

impl Report {
    /// Whether every row was imported or knowingly skipped.
    pub fn is_clean(&self) -> bool {
        self.sheets.iter().all(|(report, _)| report.errors.is_empty())
    }

    /// What became of each sheet, and the quiz made of it.
    pub fn sheets(&self) -> impl Iterator<Item = (&SheetReport, Option<QuizId>)> {
        self.sheets.iter().map(|(report, quiz)| (report, *quiz))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.json {
            let sheets: Vec<_> = self.sheets.iter().map(|(report, _)| report).collect();
            return writeln!(f, "{}", serde_json::to_string_pretty(&sheets).map_err(|_| fmt::Error)?);
        }
        for (report, quiz) in &self.sheets {
            writeln!(
                f,
                "{}: {} questions imported, {} blank rows",
                report.name, report.imported, report.blank
            )?;
            for problem in &report.errors {
                writeln!(f, "  refused {:<5} {}: {}", problem.cell, problem.code, problem.message)?;
            }
            for problem in &report.warnings {
                writeln!(f, "  warning {:<5} {}: {}", problem.cell, problem.code, problem.message)?;
            }
            if let Some(quiz) = quiz {
                let state = if self.published { "published" } else { "a draft" };
                writeln!(f, "  quiz {} is {state}", quiz.encode())?;
            }
        }
        Ok(())
    }
}
