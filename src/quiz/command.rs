//! Drafts on the command line.

use std::fmt::Write;

use serde_json::{Value, json};

use super::{
    check,
    content::{self, Written},
    diff::{self, Field},
    draft::{self, Drafted, Filter},
};
use crate::{
    change::Cause,
    error::{Error, Result},
    id::{DraftQuestionId, QuizId, RevisionId},
    page::Page,
    site::Site,
};

/// What is to be done with drafts. Ids are those of the API.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// List the drafts, newest first
    List {
        /// Those that were discarded instead
        #[arg(long)]
        discarded: bool,
        /// Print JSON, one draft a line
        #[arg(long)]
        json: bool,
    },
    /// Show a draft: its questions with their answers, and what keeps it from being published
    Show {
        draft: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Begin the next draft of a published quiz, or find the one that there is
    Begin {
        quiz: String,
        /// Why, 3 to 500 characters, for the audit log
        #[arg(long)]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Discard a draft
    Discard {
        draft: String,
        /// Why, 3 to 500 characters, for the audit log
        #[arg(long)]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Restore a discarded draft
    Restore {
        draft: String,
        /// Why, 3 to 500 characters, for the audit log
        #[arg(long)]
        reason: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl Command {
    /// Whether it changes anything.
    pub fn writes(&self) -> bool {
        !matches!(self, Self::List { .. } | Self::Show { .. })
    }
}

/// Does it. Returns what is to be printed.
pub async fn run(site: &Site, command: Command, cause: &Cause) -> Result<String> {
    match command {
        Command::List { discarded, json } => list(site, discarded, json).await,
        Command::Show { draft, json } => show(site, revision(&draft)?, json).await,
        Command::Begin { quiz, reason, json } => {
            let quiz = QuizId::decode(&quiz).map_err(|_| unknown(&quiz, "quiz"))?;
            let (draft, created) = draft::create(site, quiz, &reason, cause).await?;
            let what = if created { "is begun" } else { "was begun before" };
            Ok(line(&draft, what, json))
        }
        Command::Discard { draft, reason, json } => {
            let draft = revision(&draft)?;
            // Whoever types it has seen the present one.
            let version = one(site, draft).await?.revision.version;
            let discarded = draft::discard(site, draft, version, &reason, cause).await?;
            Ok(line(&discarded, "is discarded", json))
        }
        Command::Restore { draft, reason, json } => {
            let restored = draft::restore(site, revision(&draft)?, &reason, cause).await?;
            Ok(line(&restored, "is restored", json))
        }
    }
}

fn revision(id: &str) -> Result<RevisionId> {
    RevisionId::decode(id).map_err(|_| unknown(id, "draft"))
}

fn unknown(id: &str, what: &str) -> Error {
    Error::BadInput(format!(
        "{id} is no id of a {what}. `marmalade quiz list` has the ids of drafts and their quizzes."
    ))
}

async fn one(site: &Site, id: RevisionId) -> Result<Drafted> {
    draft::find(site.db.read(), [id])
        .await?
        .remove(&id)
        .ok_or(Error::NotFound)
}

fn values(draft: &Drafted) -> Value {
    let Drafted { revision, quiz } = draft;
    json!({
        "id": revision.id.encode(),
        "quizId": quiz.id.encode(),
        "title": quiz.title,
        "number": revision.number,
        "version": revision.version,
        "questionCount": revision.question_count,
        "durationSeconds": revision.duration().as_secs(),
        "discardedAt": revision.discarded_at.map(|at| at.to_utc().to_rfc3339()),
    })
}

fn line(draft: &Drafted, what: &str, json: bool) -> String {
    if json {
        return format!("{}\n", values(draft));
    }
    let Drafted { revision, quiz } = draft;
    let (id, title, number) = (revision.id.encode(), &quiz.title, revision.number);
    format!("{id}: the draft of \u{201C}{title}\u{201D}, revision {number}, {what}\n")
}

async fn list(site: &Site, discarded: bool, json: bool) -> Result<String> {
    let filter = Filter {
        subject: None,
        discarded,
    };
    let (mut printed, mut after) = (String::new(), None);
    loop {
        let page = Page {
            after,
            before: None,
            limit: 100,
            backward: false,
        };
        let slice = draft::list(site.db.read(), filter, &page).await?;
        for draft in &slice.rows {
            let what = format!(
                "of {}, has {} questions",
                draft.quiz.id.encode(),
                draft.revision.question_count
            );
            printed.push_str(&line(draft, &what, json));
        }
        after = slice.rows.last().map(|draft| draft.revision.id);
        if !slice.has_next {
            return Ok(printed);
        }
    }
}

async fn show(site: &Site, id: RevisionId, json: bool) -> Result<String> {
    let draft = one(site, id).await?;
    let contents = content::of_revisions(site.db.read(), &[id]).await?;
    let questions = contents.get(&id).map_or(&[][..], Vec::as_slice);
    let problem = |question: &Written| check::missing_in(&question.content);
    if json {
        let question = |question: &Written| {
            let value = |field| diff::value(question, field);
            json!({
                "id": DraftQuestionId(question.id.0).encode(),
                "number": question.position + 1,
                "kind": value(Field::Kind),
                "text": value(Field::Text),
                "choices": question.content.choices.iter().map(|choice| choice.as_str()).collect::<Vec<_>>(),
                "answer": value(Field::Answer),
                "explanation": value(Field::Explanation),
                "problem": problem(question),
            })
        };
        let mut shown = values(&draft);
        shown["questions"] = questions.iter().map(|written| question(written)).collect();
        return Ok(format!("{shown}\n"));
    }
    let mut printed = line(&draft, &format!("version {}", draft.revision.version), false);
    let mut problems = String::new();
    for question in questions {
        let number = question.position + 1;
        let field = |field| diff::value(question, field).unwrap_or_default();
        _ = writeln!(printed, "\n{number}. {}", field(Field::Text));
        for choice in field(Field::Choices).lines() {
            _ = writeln!(printed, "   {choice}");
        }
        _ = writeln!(printed, "   Answer: {}", field(Field::Answer));
        if let Some(problem) = problem(question) {
            _ = writeln!(problems, "Question {number}: {problem}.");
        }
    }
    if let Some(problem) = check::missing_in_all(questions.len()) {
        _ = writeln!(problems, "{problem}");
    }
    match problems.is_empty() {
        true => printed.push_str("\nIt can be published.\n"),
        false => _ = write!(printed, "\nIt can't be published yet:\n{problems}"),
    }
    Ok(printed)
}
