//! Quizzes as files: for a spreadsheet program, for other systems, and for an import that makes the same quiz of them.

mod gift;
mod table;

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter};
use serde::Serialize;

use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    db::sql,
    entity::{chapter, choice, correction, question, revision},
    error::{Error, Result, UserErrorCode},
    id::{ChapterId, QuestionId, QuizId},
    import::{Question, own::Written},
    quiz::right::{Choices, Number, Right},
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
    let rows = question::Entity::of_revision(revision.id).all(conn).await?;
    let mut choices: HashMap<QuestionId, Vec<choice::Model>> = HashMap::new();
    for choice in choice::Entity::of_revision(revision.id).all(conn).await? {
        choices.entry(choice.question_id).or_default().push(choice);
    }
    let ids: Vec<ChapterId> = rows.iter().filter_map(|row| row.chapter_id).collect();
    let chapters = chapter::Entity::of_content().filter(chapter::Column::Id.is_in(ids));
    let chapters: HashMap<ChapterId, String> = chapters
        .all(conn)
        .await?
        .into_iter()
        .map(|chapter| (chapter.id, chapter.name))
        .collect();
    let corrected: HashMap<QuestionId, i32> = correction::Entity::of_revision(revision.id)
        .all(conn)
        .await?
        .into_iter()
        .map(|correction| (correction.question_id, correction.right_position))
        .collect();
    let question = |row: question::Model| {
        let mut choices = choices.remove(&row.id).unwrap_or_default();
        choices.sort_by_key(|choice| choice.position);
        let decimal = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok());
        let place = |position: i32| usize::try_from(position).ok();
        let right = match (row.kind, corrected.get(&row.id)) {
            (question::Kind::Number, _) => Right::Number(Number {
                value: decimal(&row.right_number).unwrap_or_default(),
                tolerance: decimal(&row.tolerance).unwrap_or_default(),
            }),
            (_, Some(position)) => Right::Choices(Choices::of(place(*position))),
            (_, None) => Right::Choices(match (row.right_set, row.right_position) {
                (Some(bits), _) => Choices::from_bits(bits),
                (None, position) => Choices::of(position.and_then(place)),
            }),
        };
        Question {
            text: Markdown::of(&row.text),
            image: row.image,
            choices: choices.into_iter().map(|choice| Markdown::of(&choice.text)).collect(),
            kind: row.kind,
            right,
            explanation: row.explanation.as_deref().map(Markdown::of),
            chapter: row.chapter_id.and_then(|id| chapters.get(&id).cloned()),
        }
    };
    Ok(rows.into_iter().map(question).collect())
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
