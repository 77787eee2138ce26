//! The life of quizzes, subjects and chapters at the command line, by the rules of the API.

use std::fmt;

use sea_orm::{ColumnTrait, QueryFilter, QueryOrder};
use serde_json::{Value, json};

use crate::{
    app::App,
    change::Cause,
    clock::Time,
    entity::{chapter, quiz, revision, subject},
    error::{Error, Result},
    id::{ChapterId, QuizId, SubjectId},
    quiz::{
        chapters,
        life::{self, Step},
        paper::Published,
        subjects,
    },
};

/// What is done to a quiz.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum QuizStep {
    Publish,
    Withdraw,
    Reinstate,
    Archive,
    Unarchive,
    Delete,
    Restore,
}

/// The arguments of the `quiz` command.
#[derive(Clone, Debug, clap::Args)]
pub struct QuizCommand {
    /// The step to take; without one the quizzes are listed
    #[arg(requires_all = ["quiz", "reason"])]
    pub step: Option<QuizStep>,
    /// The id of the quiz
    pub quiz: Option<String>,
    /// Why, 3 to 500 characters, for the audit log
    #[arg(long)]
    pub reason: Option<String>,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

/// What is done to a subject.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum SubjectAction {
    /// List the subjects, deleted ones too
    List,
    /// Create a subject
    Create { name: String },
    /// Give a subject another name
    Rename { subject: String, name: String },
    /// Move all of a subject into another one; it can't be undone
    Merge { subject: String, into: String },
    /// Delete a subject that has no quizzes
    Delete { subject: String },
    /// Restore a deleted subject
    Restore { subject: String },
}

/// What is done to a chapter.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum ChapterAction {
    /// List the chapters of a subject in their order, deleted ones too
    List { subject: String },
    /// Create a chapter
    Create { subject: String, name: String },
    /// Give a chapter another name
    Rename { chapter: String, name: String },
    /// Move a chapter behind another one of its subject, or to the front
    Move { chapter: String, after: Option<String> },
    /// Make two chapters of a subject one; it can't be undone
    Merge { chapter: String, into: String },
    /// Delete a chapter
    Delete { chapter: String },
    /// Restore a deleted chapter
    Restore { chapter: String },
}

/// The arguments that the commands about subjects and chapters have in common.
#[derive(Clone, Debug, clap::Args)]
pub struct Common {
    /// Why, 3 to 500 characters, for the audit log
    #[arg(long, global = true, default_value = "By the command line.")]
    pub reason: String,
    /// Print JSON, one object a line
    #[arg(long, global = true)]
    pub json: bool,
}

/// What a command prints: an object a line.
#[derive(Debug)]
pub struct Listed {
    pub rows: Vec<Value>,
    json: bool,
}

impl fmt::Display for Listed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for row in &self.rows {
            if self.json {
                writeln!(f, "{row}")?;
                continue;
            }
            let cells = row.as_object().into_iter().flatten().map(|(_, cell)| match cell {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            writeln!(f, "{}", cells.collect::<Vec<_>>().join("  "))?;
        }
        Ok(())
    }
}

/// Runs the `quiz` command.
pub async fn of_quizzes(app: &App, command: QuizCommand) -> Result<Listed> {
    let (now, json) = (app.now(), command.json);
    let listed = |rows| Listed { rows, json };
    let (Some(step), Some(id), Some(reason)) = (command.step, &command.quiz, &command.reason) else {
        let all = quiz::Entity::of_staff().order_by_asc(quiz::Column::Id);
        let all = all.all(app.db.read()).await?.into_iter();
        let row = |(quiz, revision): (_, Option<_>)| {
            Some(of_quiz(
                &Published {
                    quiz,
                    revision: revision?,
                },
                now.at,
            ))
        };
        return Ok(listed(all.filter_map(row).collect()));
    };
    let (id, cause) = (QuizId::decode(id)?, Cause::clock(&now));
    let step = match step {
        QuizStep::Publish => {
            let draft = revision::Entity::draft_of(id).one(app.db.read()).await?;
            let version = draft.ok_or(Error::NotFound)?.version;
            let published = life::publish(app, id, version, reason, &cause).await?;
            return Ok(listed(vec![of_quiz(&published, now.at)]));
        }
        QuizStep::Withdraw => Step::Withdraw,
        QuizStep::Reinstate => Step::Reinstate,
        QuizStep::Archive => Step::Archive,
        QuizStep::Unarchive => Step::Unarchive,
        QuizStep::Delete => Step::Delete,
        QuizStep::Restore => Step::Restore,
    };
    let quiz = life::step(app, id, step, reason, &cause).await?;
    Ok(listed(vec![of_quiz(&quiz, now.at)]))
}

fn of_quiz(quiz: &Published, now: Time) -> Value {
    let state = format!("{:?}", quiz.state(now)).to_uppercase();
    json!({"id": quiz.quiz.id.encode(), "state": state, "title": quiz.quiz.title})
}

/// Runs the `subject` command.
pub async fn of_subjects(app: &App, action: SubjectAction, common: Common) -> Result<Listed> {
    let cause = Cause::clock(&app.now());
    let reason = &common.reason;
    let done = match action {
        SubjectAction::List => {
            let all = subject::Entity::unmerged().order_by_asc(subject::Column::Id);
            all.all(app.db.read()).await?
        }
        SubjectAction::Create { name } => vec![subjects::create(app, &name, reason, &cause).await?],
        SubjectAction::Rename { subject, name } => {
            vec![subjects::rename(app, SubjectId::decode(&subject)?, &name, reason, &cause).await?]
        }
        SubjectAction::Merge { subject, into } => {
            let (from, into) = (SubjectId::decode(&subject)?, SubjectId::decode(&into)?);
            vec![subjects::merge(app, from, into, reason, &cause).await?]
        }
        SubjectAction::Delete { subject } => {
            vec![subjects::delete(app, SubjectId::decode(&subject)?, reason, &cause).await?]
        }
        SubjectAction::Restore { subject } => {
            vec![subjects::restore(app, SubjectId::decode(&subject)?, reason, &cause).await?]
        }
    };
    let row = |subject: &subject::Model| json!({"id": subject.id.encode(), "name": subject.name, "deleted": subject.deleted_at.is_some()});
    Ok(Listed {
        rows: done.iter().map(row).collect(),
        json: common.json,
    })
}

/// Runs the `chapter` command.
pub async fn of_chapters(app: &App, action: ChapterAction, common: Common) -> Result<Listed> {
    let cause = Cause::clock(&app.now());
    let reason = &common.reason;
    let done = match action {
        ChapterAction::List { subject } => {
            let of_subject = chapter::Column::SubjectId.eq(SubjectId::decode(&subject)?);
            let all = chapter::Entity::unmerged().filter(of_subject);
            all.order_by_asc(chapter::Column::Place).all(app.db.read()).await?
        }
        ChapterAction::Create { subject, name } => {
            vec![chapters::create(app, SubjectId::decode(&subject)?, &name, reason, &cause).await?]
        }
        ChapterAction::Rename { chapter, name } => {
            vec![chapters::rename(app, ChapterId::decode(&chapter)?, &name, reason, &cause).await?]
        }
        ChapterAction::Move { chapter, after } => {
            let after = after.map(|after| ChapterId::decode(&after)).transpose()?;
            vec![chapters::place(app, ChapterId::decode(&chapter)?, after, reason, &cause).await?]
        }
        ChapterAction::Merge { chapter, into } => {
            let (from, into) = (ChapterId::decode(&chapter)?, ChapterId::decode(&into)?);
            vec![chapters::merge(app, from, into, reason, &cause).await?]
        }
        ChapterAction::Delete { chapter } => {
            vec![chapters::delete(app, ChapterId::decode(&chapter)?, reason, &cause).await?]
        }
        ChapterAction::Restore { chapter } => {
            vec![chapters::restore(app, ChapterId::decode(&chapter)?, reason, &cause).await?]
        }
    };
    let row = |chapter: &chapter::Model| json!({"id": chapter.id.encode(), "name": chapter.name, "deleted": chapter.deleted_at.is_some()});
    Ok(Listed {
        rows: done.iter().map(row).collect(),
        json: common.json,
    })
}
