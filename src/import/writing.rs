//! Writes the quizzes of an import in many short transactions, of which only the last lets anybody see them: nobody waits
//! long for SQLite's only writer, and an import still happens whole or not at all.
//!
//! Until then the quizzes are listed as unfinished. What a run leaves that dies in between is discarded by the next run of
//! the same import, which starts again. At most one run may write: a run takes over from the one before, which notices it
//! at its next transaction and stops.

use std::{collections::HashMap, time::Duration};

use sea_orm::{
    ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, QueryFilter, QuerySelect, sea_query::Expr,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{bank::Sheet, drafts};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    db::sql,
    entity::{bank_import, unfinished_quiz},
    error::Result,
    id::{BankImportId, QuizId},
    quiz::author::{self, Draft, NewQuestion, NewQuiz},
    site::Site,
};

/// Questions that one transaction writes.
const AT_ONCE: usize = 100;
/// Age after which an unfinished quiz of the command line is not being written any more.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// Where the questions of a sheet go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Target {
    /// Into a quiz of their own.
    #[serde(rename_all = "camelCase")]
    New { title: String, subject: String },
    /// Into the draft of a quiz, behind its questions or in their place.
    #[serde(rename_all = "camelCase")]
    Draft {
        quiz: QuizId,
        /// The version of the draft that was seen; `None`: whichever there is, for the command line.
        version: Option<i32>,
        replace: bool,
    },
}

/// Questions to be written, with every rule kept.
pub(super) struct Planned {
    pub target: Target,
    pub questions: Vec<NewQuestion>,
}

/// Plans where the questions of each sheet that has some go, in their order: of several, each becomes a quiz of its own.
pub(super) fn plan(sheets: &mut [Sheet], target: &Target, publish: bool) -> Result<Vec<Option<Planned>>> {
    let several = sheets.iter().filter(|sheet| !sheet.questions.is_empty()).count() > 1;
    let plan = |sheet: &mut Sheet| {
        if sheet.questions.is_empty() {
            return Ok(None);
        }
        let target = match target.clone() {
            Target::New { title, subject } if several => Target::New {
                title: format!("{title}: {}", sheet.report.name),
                subject,
            },
            target => target,
        };
        let questions: Vec<_> = sheet.questions.drain(..).map(NewQuestion::from).collect();
        if publish {
            author::check_new(&questions)?;
        }
        Ok(Some(Planned { target, questions }))
    };
    sheets.iter_mut().map(plan).collect()
}

/// A run that writes the quizzes of one import.
pub(super) struct Run<'s> {
    site: &'s Site,
    cause: &'s Cause,
    /// `None` of the command line, which nobody takes over from.
    import: Option<(BankImportId, Uuid)>,
    written: Vec<Written>,
}

struct Written {
    draft: Draft,
    title: String,
    /// The quiz whose draft the questions go into at last, its version, and whether in place of those there.
    into: Option<(QuizId, Option<i32>, bool)>,
}

/// What became of the questions of a sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub quiz: QuizId,
    /// Questions that the draft had already, and that were left out.
    pub skipped: usize,
}

impl<'s> Run<'s> {
    /// Takes over the import from a run before, and discards what that has left. `None` if the import is finished.
    pub(super) async fn begin(site: &'s Site, cause: &'s Cause, import: Option<BankImportId>) -> Result<Option<Self>> {
        let import = import.map(|import| (import, cause.now.id::<Uuid>()));
        let run = Self {
            site,
            cause,
            import,
            written: Vec::new(),
        };
        let left = match import {
            Some((import, writer)) => {
                let taken = bank_import::Entity::update_many()
                    .col_expr(bank_import::Column::Writer, Expr::value(writer))
                    .filter(bank_import::Column::Id.eq(import))
                    .filter(bank_import::Column::FinishedAt.is_null())
                    .exec(site.db.write())
                    .await?;
                if taken.rows_affected == 0 {
                    return Ok(None);
                }
                unfinished_quiz::Entity::of_import(import).all(site.db.write()).await?
            }
            None => Vec::new(),
        };
        let abandoned = unfinished_quiz::Entity::abandoned(cause.now.at - ABANDONED);
        let abandoned = abandoned.all(site.db.write()).await?;
        for quiz in left.into_iter().chain(abandoned) {
            if !run.discard(quiz.quiz_id).await? {
                return Ok(None);
            }
        }
        Ok(Some(run))
    }

    /// A transaction of this run; `None` once another has taken over, or the import is finished.
    pub(super) async fn change(&self) -> Result<Option<Change<'s>>> {
        let change = Change::begin(self.site, self.cause).await?;
        let Some((import, writer)) = self.import else {
            return Ok(Some(change));
        };
        // Only the id: the row has the file in it.
        let held = bank_import::Entity::written_by(writer, import)
            .select_only()
            .column(bank_import::Column::Id)
            .into_tuple::<Uuid>()
            .one(&change)
            .await?;
        Ok(held.map(|_| change))
    }

    /// Writes a quiz that nobody sees yet. `None` once another run has taken over.
    pub(super) async fn write(&mut self, planned: Planned) -> Result<Option<Outcome>> {
        let Planned { target, mut questions } = planned;
        let (now, count) = (&self.cause.now, questions.len());
        let Some(change) = self.change().await? else {
            return Ok(None);
        };
        let (subject, title, into) = match target {
            Target::New { title, subject } => (author::subject(&change, &subject, now).await?, title, None),
            Target::Draft { quiz, version, replace } => {
                let (subject, title) = drafts::of_quiz(&change, quiz).await?;
                if !replace {
                    drafts::leave_out(&change, quiz, &mut questions).await?;
                }
                (subject, title, Some((quiz, version, replace)))
            }
        };
        let quiz = NewQuiz::titled(title.clone(), questions.len());
        let draft = author::begin_draft(&change, subject, quiz, questions.len(), now).await?;
        let row = unfinished_quiz::ActiveModel {
            quiz_id: Set(draft.quiz),
            import_id: Set(self.import.map(|(import, _)| import)),
            created_at: Set(now.at),
        };
        unfinished_quiz::Entity::insert(row)
            .exec_without_returning(&change)
            .await?;
        change.commit().await?;
        self.written.push(Written { draft, title, into });
        for (part, questions) in questions.chunks(AT_ONCE).enumerate() {
            let Some(change) = self.change().await? else {
                return Ok(None);
            };
            author::write_questions(&change, &draft, part * AT_ONCE, questions, now).await?;
            if let Some((import, _)) = self.import {
                progress(&change, import, questions.len()).await?;
            }
            change.commit().await?;
        }
        Ok(Some(Outcome {
            quiz: into.map_or(draft.quiz, |(quiz, ..)| quiz),
            skipped: count - questions.len(),
        }))
    }

    /// Lets everybody see what was written, as part of the last change.
    pub(super) async fn show(&self, change: &mut Change<'_>, publish: bool, reason: Option<&str>) -> Result<()> {
        let new = self.written.iter().filter(|written| written.into.is_none());
        unfinished_quiz::Entity::delete_many()
            .filter(unfinished_quiz::Column::QuizId.is_in(new.map(|written| written.draft.quiz)))
            .exec(change)
            .await?;
        // Two sheets may go into one draft.
        let mut versions: HashMap<QuizId, i32> = HashMap::new();
        for Written { draft, title, into } in &self.written {
            let Some((quiz, version, replace)) = *into else {
                let became = serde_json::json!({"title": title, "questions": draft.questions});
                let imported = Entry::of(Action::QuizImported, draft.quiz.encode()).became(became);
                change.audit(imported.reason(reason)).await?;
                if publish {
                    author::publish_new(change, draft).await?;
                }
                continue;
            };
            let version = versions.get(&quiz).copied().or(version);
            let (before, version) = drafts::take_in(change, draft, quiz, version, replace).await?;
            versions.insert(quiz, version);
            let became = serde_json::json!({
                "title": title,
                "questions": draft.questions + if replace { 0 } else { before },
                "replaced": if replace { before } else { 0 },
            });
            let imported = Entry::of(Action::QuizImported, quiz.encode())
                .was(serde_json::json!({"questions": before}))
                .became(became);
            change.audit(imported.reason(reason)).await?;
        }
        if publish {
            for quiz in versions.into_keys() {
                author::publish_in(change, quiz).await?;
            }
        }
        Ok(())
    }

    /// Discards what the last change has left: hidden quizzes whose questions were moved, or that have those which were
    /// replaced. If this dies in between, a later run does it.
    pub(super) async fn tidy(&self) -> Result<()> {
        let left = Run {
            site: self.site,
            cause: self.cause,
            import: None,
            written: Vec::new(),
        };
        for written in self.written.iter().filter(|written| written.into.is_some()) {
            left.discard(written.draft.quiz).await?;
        }
        Ok(())
    }

    /// Takes back what was written.
    pub(super) async fn undo(&self) -> Result<()> {
        for written in &self.written {
            if !self.discard(written.draft.quiz).await? {
                break;
            }
        }
        Ok(())
    }

    /// Discards an unfinished quiz, in short transactions as it was written. False once another run has taken over.
    async fn discard(&self, quiz: QuizId) -> Result<bool> {
        let some = format!(
            "SELECT q.id FROM questions q JOIN revisions r ON r.id = q.revision_id WHERE r.quiz_id = $1 \
             ORDER BY q.position LIMIT {AT_ONCE}"
        );
        loop {
            let Some(change) = self.change().await? else {
                return Ok(false);
            };
            let delete = async |what: String| change.execute_raw(sql(&change, what, [quiz.into()])).await;
            delete(format!("DELETE FROM choices WHERE question_id IN ({some})")).await?;
            let left = delete(format!("DELETE FROM questions WHERE id IN ({some})"))
                .await?
                .rows_affected();
            if left == 0 {
                for (table, column) in [
                    ("unfinished_quizzes", "quiz_id"),
                    ("revisions", "quiz_id"),
                    ("quizzes", "id"),
                ] {
                    delete(format!("DELETE FROM {table} WHERE {column} = $1")).await?;
                }
            }
            change.commit().await?;
            if left == 0 {
                return Ok(true);
            }
        }
    }
}

/// Counts questions that the step at hand has done, for who watches it.
pub(super) async fn progress(conn: &impl ConnectionTrait, import: BankImportId, done: usize) -> Result<()> {
    let done = i32::try_from(done).unwrap_or(i32::MAX);
    let column = Expr::col(bank_import::Column::ProgressDone);
    bank_import::Entity::update_many()
        .col_expr(bank_import::Column::ProgressDone, column.add(done))
        .filter(bank_import::Column::Id.eq(import))
        .exec(conn)
        .await?;
    Ok(())
}
