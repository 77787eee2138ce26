//! Writes the quizzes of an import in many short transactions, of which only the last lets anybody see them: nobody waits
//! long for SQLite's only writer, and an import still happens whole or not at all.
//!
//! Until then the quizzes are listed as unfinished. What a run leaves that dies in between is discarded by the next run of
//! the same import, which starts again. At most one run may write: a run takes over from the one before, which notices it
//! at its next transaction and stops.

use std::time::Duration;

use sea_orm::{ActiveValue::Set, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::bank::Sheet;
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

/// A quiz to be written, with every rule kept.
pub(super) struct Planned {
    quiz: NewQuiz,
    questions: Vec<NewQuestion>,
}

/// Plans a quiz for each sheet that has questions, in their order.
pub(super) fn plan(sheets: &mut [Sheet], quiz: &str, publish: bool) -> Result<Vec<Option<Planned>>> {
    let several = sheets.iter().filter(|sheet| !sheet.questions.is_empty()).count() > 1;
    let plan = |sheet: &mut Sheet| {
        if sheet.questions.is_empty() {
            return Ok(None);
        }
        let title = match several {
            true => format!("{quiz}: {}", sheet.report.name),
            false => quiz.to_owned(),
        };
        let questions: Vec<_> = sheet.questions.drain(..).map(NewQuestion::from).collect();
        if publish {
            author::check_new(&questions)?;
        }
        let quiz = NewQuiz::titled(title, questions.len());
        Ok(Some(Planned { quiz, questions }))
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
                unfinished_quiz::Entity::of_import(import)
            }
            None => unfinished_quiz::Entity::abandoned(cause.now.at - ABANDONED),
        };
        for quiz in left.all(site.db.write()).await? {
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
    pub(super) async fn write(&mut self, planned: Planned, subject: &str) -> Result<Option<QuizId>> {
        let Planned { quiz, questions } = planned;
        let (now, title) = (&self.cause.now, quiz.title.clone());
        let Some(change) = self.change().await? else {
            return Ok(None);
        };
        let subject = author::subject(&change, subject, now).await?;
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
        self.written.push(Written { draft, title });
        for (part, questions) in questions.chunks(AT_ONCE).enumerate() {
            let Some(change) = self.change().await? else {
                return Ok(None);
            };
            author::write_questions(&change, &draft, part * AT_ONCE, questions, now).await?;
            change.commit().await?;
        }
        Ok(Some(draft.quiz))
    }

    /// Lets everybody see what was written, as part of the last change.
    pub(super) async fn show(&self, change: &mut Change<'_>, publish: bool) -> Result<()> {
        let quizzes = self.written.iter().map(|written| written.draft.quiz);
        unfinished_quiz::Entity::delete_many()
            .filter(unfinished_quiz::Column::QuizId.is_in(quizzes))
            .exec(change)
            .await?;
        for Written { draft, title } in &self.written {
            let became = serde_json::json!({"title": title, "questions": draft.questions});
            let imported = Entry::of(Action::QuizImported, draft.quiz.encode()).became(became);
            change.audit(imported).await?;
            if publish {
                author::publish_new(change, draft).await?;
            }
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
