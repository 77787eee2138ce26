//! Quizzes as files: for a spreadsheet program, for other systems, and for an import that makes the same quiz of them.

mod gift;
mod table;

use std::{collections::HashMap, sync::Arc};

use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter};
use serde::Serialize;

use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    db::sql,
    entity::{chapter, question, revision},
    error::{Error, Result, UserErrorCode},
    id::{ChapterId, QuizId},
    import::{Question, own::Written},
    quiz::{
        content,
        right::{Choices, Number, Right},
    },
    site::Site,
    text::{self, Markdown},
};

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// A workbook for a spreadsheet program
    Xlsx,
    /// Values separated by commas, in UTF-8
    Csv,
    /// Moodle's text format
    Gift,
    /// All there is, for programs
    Json,
}

/// A file.
#[derive(Debug)]
pub struct File {
    pub name: String,
    pub media_type: &'static str,
    pub content: Vec<u8>,
}

/// The revision of a quiz that is exported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Which {
    /// The revision in force
    Published,
    /// The draft
    Draft,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Xlsx => "xlsx",
            Self::Csv => "csv",
            Self::Gift => "gift",
            Self::Json => "json",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Xlsx => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Gift => "text/plain; charset=utf-8",
            Self::Json => "application/json",
        }
    }

    /// Questions in this format.
    fn write(self, title: &str, questions: &[Question]) -> Result<Vec<u8>> {
        match self {
            Self::Xlsx => table::xlsx(title, questions),
            Self::Csv => table::csv(questions),
            Self::Gift => Ok(gift::gift(questions).into_bytes()),
            Self::Json => json(title, questions),
        }
    }
}

/// What our own JSON is, for who reads it.
pub(crate) const OWN_FORMAT: &str = "marmalade-bank";

fn json(title: &str, questions: &[Question]) -> Result<Vec<u8>> {
    #[derive(Serialize)]
    struct Bank<'b> {
        format: &'static str,
        version: u32,
        title: &'b str,
        questions: Vec<Written>,
    }
    let bank = Bank {
        format: OWN_FORMAT,
        version: 1,
        title,
        questions: questions.iter().map(Written::from).collect(),
    };
    serde_json::to_vec_pretty(&bank).map_err(Error::internal)
}

/// A file to begin a bank with: a question of each kind.
pub fn template(format: Format) -> Result<File> {
    let question = |text: &str, kind, choices: &[&str], right, explanation: &str| Question {
        text: Markdown::plain(text),
        image: None,
        choices: choices.iter().map(|choice| Markdown::plain(choice)).collect(),
        kind,
        right,
        explanation: Some(Markdown::plain(explanation)),
        chapter: Some("Cells".to_owned()),
    };
    let number = Number {
        value: 65.into(),
        tolerance: 10.into(),
    };
    let questions = [
        question(
            "Which organelle makes ATP?",
            question::Kind::SingleChoice,
            &["Nucleus", "Mitochondrion", "Ribosome", "Golgi body"],
            Right::one(1),
            "Most ATP of a cell is made in its mitochondria.",
        ),
        question(
            "Which of these have a wall? Name all.",
            question::Kind::AllChoices,
            &["Plant cells", "Animal cells", "Bacteria"],
            Right::Choices(Choices::of([0, 2])),
            "Animal cells have none.",
        ),
        question(
            "Name one of the bases of RNA.",
            question::Kind::AnyChoice,
            &["Adenine", "Thymine", "Uracil"],
            Right::Choices(Choices::of([0, 2])),
            "Thymine is in DNA only.",
        ),
        question(
            "A virus is a cell.",
            question::Kind::TrueFalse,
            &["True", "False"],
            Right::one(1),
            "It has no metabolism of its own.",
        ),
        question(
            "How many per cent of a cell are water?",
            question::Kind::Number,
            &[],
            Right::Number(number),
            "About 65; from 55 to 75 is right.",
        ),
    ];
    Ok(File {
        name: format!("template.{}", format.ending()),
        media_type: format.media_type(),
        content: format.write("Questions", &questions)?,
    })
}

/// Exports a quiz with its key: the revision in force, or else the draft. Whoever does it is recorded.
pub async fn export(
    site: &Site,
    quiz: QuizId,
    format: Format,
    which: Option<Which>,
    reason: Option<&str>,
    cause: &Cause,
) -> Result<File> {
    #[derive(FromQueryResult)]
    struct Row {
        title: String,
    }
    let reason = reason.map(|reason| text::reason("reason", reason)).transpose()?;
    let change = Change::begin(site, cause).await?;
    let select = "SELECT title FROM quizzes q WHERE id = $1 AND deleted_at IS NULL \
                  AND NOT EXISTS (SELECT 1 FROM unfinished_quizzes u WHERE u.quiz_id = q.id)";
    let row = Row::find_by_statement(sql(&change, select, [quiz.into()]))
        .one(&change)
        .await?;
    let Row { title } = row.ok_or(Error::NotFound)?;
    let published = async || {
        let current = revision::Entity::published()
            .filter(revision::Column::QuizId.eq(quiz))
            .filter(revision::Column::SupersededAt.is_null());
        current.one(&change).await
    };
    let draft = async || revision::Entity::draft_of(quiz).one(&change).await;
    let revision = match which {
        Some(Which::Published) => published().await?,
        Some(Which::Draft) => draft().await?,
        None => match published().await? {
            Some(revision) => Some(revision),
            None => draft().await?,
        },
    };
    let none = || {
        let message = "The quiz has no such revision. Export the other one.";
        Error::refused(UserErrorCode::Conflict, message).at("revision")
    };
    let revision = revision.ok_or_else(none)?;
    let questions = questions(&change, &revision).await?;
    let content = format.write(&title, &questions)?;
    let became =
        serde_json::json!({"revision": revision.number, "questions": questions.len(), "format": format.ending()});
    let exported = Entry::of(Action::QuizExported, quiz.encode()).became(became);
    change.audit(exported.reason(reason.as_deref())).await?;
    change.commit().await?;
    let safe = |c: char| {
        if c.is_alphanumeric() || " -_".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = title.chars().map(safe).take(80).collect();
    Ok(File {
        name: format!("{}.{}", name.trim(), format.ending()),
        media_type: format.media_type(),
        content,
    })
}

/// The questions of a revision with the key in force.
async fn questions(conn: &impl ConnectionTrait, revision: &revision::Model) -> Result<Vec<Question>> {
    let mut contents = content::in_force(conn, &[revision.id]).await?;
    let written = contents.remove(&revision.id).unwrap_or_default();
    let ids = written.iter().filter_map(|question| question.content.chapter);
    let chapters = chapter::Entity::of_content().filter(chapter::Column::Id.is_in(ids));
    let chapters: HashMap<ChapterId, String> = chapters
        .all(conn)
        .await?
        .into_iter()
        .map(|chapter| (chapter.id, chapter.name))
        .collect();
    let question = |written: Arc<content::Written>| {
        let content = written.content.clone();
        Question {
            text: content.text,
            image: content.image,
            choices: content.choices,
            kind: content.kind,
            right: content.right.unwrap_or(Right::Choices(Choices::default())),
            explanation: content.explanation,
            chapter: content.chapter.and_then(|id| chapters.get(&id).cloned()),
        }
    };
    Ok(written.into_iter().map(question).collect())
}

/// The texts of a question as they are written: as they were typed if all of them can be, else as Markdown.
struct Texts {
    is_markdown: bool,
    text: String,
    choices: Vec<String>,
    explanation: Option<String>,
}

impl Texts {
    fn of(question: &Question) -> Self {
        let typed = || {
            Some(Self {
                is_markdown: false,
                text: question.text.as_plain()?,
                choices: question
                    .choices
                    .iter()
                    // A typed choice is one line.
                    .map(|choice| choice.as_plain().filter(|typed| !typed.contains('\n')))
                    .collect::<Option<_>>()?,
                explanation: match &question.explanation {
                    Some(explanation) => Some(explanation.as_plain()?),
                    None => None,
                },
            })
        };
        typed().unwrap_or_else(|| Self {
            is_markdown: true,
            text: question.text.as_str().to_owned(),
            choices: question
                .choices
                .iter()
                .map(|choice| choice.as_str().to_owned())
                .collect(),
            explanation: question.explanation.as_ref().map(|text| text.as_str().to_owned()),
        })
    }

    fn format(&self) -> &'static str {
        if self.is_markdown { "markdown" } else { "plain" }
    }
}

/// The letters of the right choices, `A` or `A,C`.
fn letters(right: Choices) -> String {
    let letters: Vec<String> = right
        .positions()
        .filter_map(|place| Some(('A'..='F').nth(place)?.to_string()))
        .collect();
    letters.join(",")
}

#[cfg(test)]
mod tests;
