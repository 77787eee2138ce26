//! The catalogue, and how content gets into it.

pub mod author;
pub mod chapters;
pub(crate) mod check;
pub mod command;
pub mod content;
pub(crate) mod copy;
pub(crate) mod correct;
pub mod diff;
pub mod draft;
pub mod life;
pub mod names;
pub mod paper;
pub(crate) mod questions;
pub mod right;
pub(crate) mod score;
pub mod settings;
pub mod shuffle;
pub mod subjects;
pub mod title;

use std::collections::HashMap;

use sea_orm::{ColumnTrait, Condition, ConnectionTrait, PaginatorTrait, QueryFilter, SelectTwo};

use self::paper::Published;
use crate::{
    db,
    entity::{chapter, question, quiz, revision, subject},
    error::Result,
    id::{ChapterId, QuizId, SubjectId},
    page::{Order, Page, Slice},
    text,
};

/// The points of each kind of answer, in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marking {
    pub right: i64,
    pub wrong: i64,
    pub blank: i64,
}

impl Default for Marking {
    /// One point for a right answer, nothing otherwise.
    fn default() -> Self {
        Self {
            right: 1000,
            wrong: 0,
            blank: 0,
        }
    }
}

/// Conditions for quizzes of the catalogue. Omitted fields match everything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Filter {
    pub subject: Option<SubjectId>,
    /// Quizzes with a question of this chapter.
    pub chapter: Option<ChapterId>,
    /// Words, each in the title.
    pub words: Vec<String>,
    pub questions: (Option<i32>, Option<i32>),
    pub minutes: (Option<i32>, Option<i32>),
}

impl Filter {
    fn apply(&self, catalogue: SelectTwo<quiz::Entity, revision::Entity>) -> SelectTwo<quiz::Entity, revision::Entity> {
        let mut all = Condition::all();
        if let Some(subject) = self.subject {
            all = all.add(quiz::Column::SubjectId.eq(subject));
        }
        if let Some(chapter) = self.chapter {
            let with_chapter = question_revisions(chapter);
            all = all.add(revision::Column::Id.in_subquery(with_chapter));
        }
        for word in &self.words {
            all = all.add(db::contains(title::looked_for(), &text::folded(word)));
        }
        let minute = |minutes: i32| i64::from(minutes) * 60_000;
        all = all
            .add_option(self.questions.0.map(|least| revision::Column::QuestionCount.gte(least)))
            .add_option(self.questions.1.map(|most| revision::Column::QuestionCount.lte(most)))
            .add_option(
                self.minutes
                    .0
                    .map(|least| revision::Column::DurationMs.gte(minute(least))),
            )
            .add_option(
                self.minutes
                    .1
                    .map(|most| revision::Column::DurationMs.lte(minute(most))),
            );
        catalogue.filter(all)
    }
}

fn question_revisions(chapter: ChapterId) -> sea_orm::sea_query::SelectStatement {
    sea_orm::sea_query::Query::select()
        .column(question::Column::RevisionId)
        .from(question::Entity)
        .and_where(question::Column::ChapterId.in_subquery(chapter::Entity::and_merged(chapter)))
        .to_owned()
}

/// A page of the catalogue, the newest quiz first.
pub(crate) async fn catalogue(
    conn: &impl ConnectionTrait,
    filter: &Filter,
    page: &Page<QuizId>,
) -> Result<Slice<Published>> {
    let query = filter.apply(quiz::Entity::catalogue());
    let rows = page
        .select(query, quiz::Column::Id, Order::Descending)
        .all(conn)
        .await?;
    let published = |(quiz, revision): (_, Option<_>)| {
        Some(Published {
            quiz,
            revision: revision?,
        })
    };
    let slice = page.slice(rows);
    Ok(Slice {
        rows: slice.rows.into_iter().filter_map(published).collect(),
        has_previous: slice.has_previous,
        has_next: slice.has_next,
    })
}

/// The number of quizzes that match the filter.
pub(crate) async fn catalogue_count(conn: &impl ConnectionTrait, filter: &Filter) -> Result<u64> {
    Ok(filter.apply(quiz::Entity::catalogue()).count(conn).await?)
}

/// A page of the subjects, in the order in which they were made.
pub(crate) async fn subjects(conn: &impl ConnectionTrait, page: &Page<SubjectId>) -> Result<Slice<subject::Model>> {
    let rows = page.select(subject::Entity::present(), subject::Column::Id, Order::Ascending);
    Ok(page.slice(rows.all(conn).await?))
}

/// The number of subjects.
pub(crate) async fn subject_count(conn: &impl ConnectionTrait) -> Result<u64> {
    Ok(subject::Entity::present().count(conn).await?)
}

/// The same page of the chapters of each of these subjects, in their order. One statement.
pub async fn chapters(
    conn: &impl ConnectionTrait,
    subjects: &[SubjectId],
    page: &Page<ChapterId>,
) -> Result<HashMap<SubjectId, Slice<chapter::Model>>> {
    let lists = subjects.iter().map(|subject| {
        let list = chapter::Entity::present().filter(chapter::Column::SubjectId.eq(*subject));
        (*subject, list)
    });
    let order = (chapter::Column::Place, Order::Ascending);
    let place = |chapter: &chapter::Model| (chapter.subject_id, chapter.place());
    Ok(page.of_each(conn, lists, order, place).await?)
}

/// The number of chapters of each of these subjects; a subject without any has no entry. One statement.
pub(crate) async fn chapter_counts(
    conn: &impl ConnectionTrait,
    subjects: &[SubjectId],
) -> Result<HashMap<SubjectId, u64>> {
    let column = chapter::Column::SubjectId;
    let chapters = chapter::Entity::present().filter(column.is_in(subjects.iter().copied()));
    Ok(db::counts(conn, chapters, column, chapter::Column::Id).await?)
}
