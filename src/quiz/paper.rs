//! Published revisions in memory. They never change, so they may stay for ever; the key, which may be corrected, is
//! kept apart from what students see.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    sync::Arc,
    time::Duration,
};

use moka::future::Cache;
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Time,
    db::{Db, SELECTS_AT_ONCE, sql_of_each},
    entity::{choice, picture, question, quiz, revision, subject},
    error::{Error, Result},
    fleet::Health,
    id::{ChapterId, ChoiceId, QuestionId, QuizId, RevisionId, SubjectId},
    outbox::{Event, Follower, Topic},
    quiz::right::Right,
    text::Markdown,
};

/// A quiz was published, changed, deleted or restored.
#[derive(Debug, Serialize, Deserialize)]
pub struct QuizChanged {
    pub quiz: QuizId,
}

impl Topic for QuizChanged {
    const KIND: &'static str = "quiz_changed";
}

/// Subjects were made, renamed, merged, deleted or restored.
#[derive(Debug, Serialize, Deserialize)]
pub struct SubjectsChanged {}

impl Topic for SubjectsChanged {
    const KIND: &'static str = "subjects_changed";
}

/// A published revision as students see it: no key, no explanations.
#[derive(Debug)]
pub struct Paper {
    pub revision: revision::Model,
    pub questions: Vec<Arc<Question>>,
}

/// A question without its answer.
#[derive(Debug)]
pub struct Question {
    pub id: QuestionId,
    /// From 0, in the revision's order.
    pub position: i32,
    pub chapter: Option<ChapterId>,
    /// Made safe when it is read, too: older releases stored what they took for safe.
    pub text: Markdown,
    pub image: Option<String>,
    /// With the paper, as it never changes either.
    pub picture: Option<Arc<picture::Model>>,
    pub kind: question::Kind,
    /// In the order of their positions: bit n of a set of choices is the nth of these. None of a number.
    pub choices: Vec<Choice>,
}

/// One of the choices of a question.
#[derive(Clone, Debug)]
pub struct Choice {
    pub id: ChoiceId,
    pub text: Markdown,
}

/// The right answers and explanations of a revision, by one correction. Only a review reads it.
#[derive(Debug, Default)]
pub struct Key {
    pub right: HashMap<QuestionId, Right>,
    pub explanations: HashMap<QuestionId, Markdown>,
}

/// A quiz with its current revision; for staff also one that was never published, with its draft.
#[derive(Clone, Debug)]
pub struct Published {
    pub quiz: quiz::Model,
    pub revision: revision::Model,
}

/// The cache of published content.
pub struct Papers {
    subjects: Cache<SubjectId, Arc<subject::Model>>,
    quizzes: Cache<QuizId, Arc<Published>>,
    papers: Cache<RevisionId, Arc<Paper>>,
    /// Numbers of questions.
    sizes: Cache<RevisionId, usize>,
    keys: Cache<(RevisionId, i32), Arc<Key>>,
}

/// Maximum age of a cached quiz, in case an invalidation is lost.
const QUIZ_TTL: Duration = Duration::from_secs(60);

impl Default for Papers {
    fn default() -> Self {
        Self {
            subjects: Cache::builder().max_capacity(1_000).time_to_live(QUIZ_TTL).build(),
            quizzes: Cache::builder().max_capacity(10_000).time_to_live(QUIZ_TTL).build(),
            papers: Cache::new(1_000),
            sizes: Cache::new(100_000),
            keys: Cache::new(1_000),
        }
    }
}

impl Papers {
    /// Subjects, as far as they are there. One statement, none once they are known.
    pub(crate) async fn subjects(
        &self,
        conn: &impl ConnectionTrait,
        ids: Vec<SubjectId>,
    ) -> Result<HashMap<SubjectId, Arc<subject::Model>>> {
        let (mut known, unknown) = known(&self.subjects, ids).await;
        if unknown.is_empty() {
            return Ok(known);
        }
        let select = subject::Entity::present().filter(subject::Column::Id.is_in(unknown));
        for subject in select.all(conn).await? {
            let subject = Arc::new(subject);
            self.subjects.insert(subject.id, subject.clone()).await;
            known.insert(subject.id, subject);
        }
        Ok(known)
    }

    /// Published quizzes, as far as they are there, withdrawn and archived ones too. One statement, none once they are known.
    pub(crate) async fn quizzes(
        &self,
        conn: &impl ConnectionTrait,
        ids: Vec<QuizId>,
    ) -> Result<HashMap<QuizId, Arc<Published>>> {
        let (mut known, unknown) = known(&self.quizzes, ids).await;
        if unknown.is_empty() {
            return Ok(known);
        }
        let select = quiz::Entity::there().filter(quiz::Column::Id.is_in(unknown));
        for (quiz, revision) in select.all(conn).await? {
            let Some(revision) = revision else { continue };
            let published = Arc::new(Published { quiz, revision });
            self.quizzes.insert(published.quiz.id, published.clone()).await;
            known.insert(published.quiz.id, published);
        }
        Ok(known)
    }

    /// A quiz of the catalogue. One statement, none once it is known.
    pub async fn quiz(&self, conn: &impl ConnectionTrait, id: QuizId) -> Result<Arc<Published>> {
        let found = self.quizzes(conn, vec![id]).await?.remove(&id);
        found.filter(|found| found.quiz.is_listed()).ok_or(Error::NotFound)
    }

    /// The numbers of questions of published revisions. One statement, none once they are known.
    pub(crate) async fn sizes(
        &self,
        conn: &impl ConnectionTrait,
        ids: Vec<RevisionId>,
    ) -> Result<HashMap<RevisionId, usize>> {
        let (mut known, unknown) = known(&self.sizes, ids).await;
        if unknown.is_empty() {
            return Ok(known);
        }
        let select = revision::Entity::published().filter(revision::Column::Id.is_in(unknown));
        for revision in select.all(conn).await? {
            known.insert(revision.id, revision.size());
            self.sizes.insert(revision.id, revision.size()).await;
        }
        Ok(known)
    }

    /// The paper of a published revision. Three statements, none once it is known.
    pub async fn paper(&self, conn: &impl ConnectionTrait, id: RevisionId) -> Result<Arc<Paper>> {
        let mut papers = self.papers(conn, vec![(id, None)]).await?;
        papers.remove(&id).ok_or(Error::NotFound)
    }

    /// The papers of published revisions, some of which were loaded already. Three statements, two with all revisions in
    /// hand, none once the papers are known.
    pub(crate) async fn papers(
        &self,
        conn: &impl ConnectionTrait,
        wanted: Vec<(RevisionId, Option<revision::Model>)>,
    ) -> Result<HashMap<RevisionId, Arc<Paper>>> {
        let mut wanted: HashMap<_, _> = wanted.into_iter().collect();
        let (mut known, mut unknown) = known(&self.papers, wanted.keys().copied().collect()).await;
        let mut revisions = Vec::new();
        unknown.retain(|id| match wanted.remove(id).flatten() {
            Some(revision) => {
                revisions.push(revision);
                false
            }
            None => true,
        });
        if !unknown.is_empty() {
            let select = revision::Entity::published().filter(revision::Column::Id.is_in(unknown));
            revisions.extend(select.all(conn).await?);
        }
        if revisions.is_empty() {
            return Ok(known);
        }
        let ids = || revisions.iter().map(|revision| revision.id);
        let mut choices: HashMap<QuestionId, Vec<Choice>> = HashMap::new();
        for choice in choice::Entity::of_revisions(ids()).all(conn).await? {
            let of_question = choices.entry(choice.question_id).or_default();
            of_question.push(Choice {
                id: choice.id,
                text: choice.text.into(),
            });
        }
        let mut questions: HashMap<RevisionId, Vec<_>> = HashMap::new();
        for (question, picture) in question::Entity::with_pictures_of(ids()).all(conn).await? {
            let of_revision = questions.entry(question.revision_id).or_default();
            of_revision.push(Arc::new(Question {
                id: question.id,
                position: question.position,
                chapter: question.chapter_id,
                text: question.text.into(),
                image: question.image,
                picture: picture.map(Arc::new),
                kind: question.kind,
                choices: choices.remove(&question.id).unwrap_or_default(),
            }));
        }
        for revision in revisions {
            let id = revision.id;
            self.sizes.insert(id, revision.size()).await;
            let questions = questions.remove(&id).unwrap_or_default();
            let paper = Arc::new(Paper { revision, questions });
            self.papers.insert(id, paper.clone()).await;
            known.insert(id, paper);
        }
        Ok(known)
    }

    /// The key of a revision by a correction; 0 is the key as it was published.
    pub async fn key(&self, conn: &impl ConnectionTrait, revision: RevisionId, correction: i32) -> Result<Arc<Key>> {
        let mut keys = self.keys(conn, vec![(revision, correction)]).await?;
        keys.remove(&(revision, correction)).ok_or(Error::NotFound)
    }

    /// The keys of revisions, each by a correction. One statement, none once they are known.
    pub(crate) async fn keys(
        &self,
        conn: &impl ConnectionTrait,
        wanted: Vec<(RevisionId, i32)>,
    ) -> Result<HashMap<(RevisionId, i32), Arc<Key>>> {
        let (mut known, unknown) = known(&self.keys, wanted).await;
        for unknown in unknown.chunks(SELECTS_AT_ONCE) {
            let mut keys: Vec<_> = unknown.iter().map(|_| Key::default()).collect();
            for row in read_keys(conn, unknown).await? {
                let Some(key) = usize::try_from(row.n).ok().and_then(|n| keys.get_mut(n)) else {
                    continue;
                };
                if let Some(right) = row.right.read() {
                    key.right.insert(row.question_id, right);
                }
                if let Some(explanation) = row.explanation {
                    key.explanations.insert(row.question_id, explanation.into());
                }
            }
            for (wanted, key) in unknown.iter().zip(keys) {
                let key = Arc::new(key);
                self.keys.insert(*wanted, key.clone()).await;
                known.insert(*wanted, key);
            }
        }
        Ok(known)
    }

    /// Any quiz may have changed.
    fn invalidate_all(&self) {
        self.quizzes.invalidate_all();
        self.subjects.invalidate_all();
    }

    /// Invalidates a quiz. Its revisions stay, as they never change.
    async fn invalidate(&self, quiz: QuizId) {
        self.quizzes.invalidate(&quiz).await;
    }
}

#[async_trait::async_trait]
impl Follower for Papers {
    async fn follow(&self, event: &Event, _: Time) -> Result<()> {
        self.receive(event).await;
        Ok(())
    }

    async fn receive(&self, event: &Event) {
        if let Some(changed) = event.read::<QuizChanged>() {
            self.invalidate(changed.quiz).await;
        }
        // Quizzes may have moved to another one.
        if event.is::<SubjectsChanged>() {
            self.invalidate_all();
        }
    }

    async fn channel(&self, health: Health, _: &Db, _: Time) -> Result<()> {
        if health == Health::CatchingUp {
            self.invalidate_all();
        }
        Ok(())
    }
}

#[derive(FromQueryResult)]
struct KeyRow {
    n: i32,
    question_id: QuestionId,
    explanation: Option<String>,
    #[sea_orm(nested)]
    right: RightColumns,
}

/// The columns of [`right_columns`].
#[derive(FromQueryResult)]
pub(crate) struct RightColumns {
    right_set: Option<i32>,
    right_position: Option<i32>,
    right_number: Option<String>,
    tolerance: Option<String>,
}

impl RightColumns {
    /// The right answer; every published question has one.
    pub(crate) fn read(&self) -> Option<Right> {
        let (number, tolerance) = (self.right_number.as_deref(), self.tolerance.as_deref());
        Right::stored(self.right_set, self.right_position, number, tolerance)
    }
}

/// What is right of question `q`, in SQL, as [`corrected`] has it in `k`.
pub(crate) fn right_columns() -> String {
    let columns = ["right_set", "right_position", "right_number", "tolerance"];
    let column = |name| format!("CASE WHEN k.id IS NULL THEN q.{name} ELSE k.{name} END AS {name}");
    columns.map(column).join(", ")
}

/// Joins to question `q`, in SQL, its newest correction up to number `up_to`, as `k`.
pub(crate) fn corrected(up_to: &str) -> String {
    format!(
        "LEFT JOIN corrections k ON k.id = (SELECT n.id FROM corrections n \
         WHERE n.question_id = q.id AND n.number <= {up_to} ORDER BY n.number DESC LIMIT 1)"
    )
}

async fn read_keys(conn: &impl ConnectionTrait, wanted: &[(RevisionId, i32)]) -> Result<Vec<KeyRow>> {
    let select = sql_of_each(conn, wanted, |(revision, correction), values| {
        let (revision, correction) = (values.bind(*revision), values.bind(*correction));
        format!(
            "SELECT q.id AS question_id, q.explanation, {} FROM questions q {} WHERE q.revision_id = {revision}",
            right_columns(),
            corrected(&correction)
        )
    });
    Ok(KeyRow::find_by_statement(select).all(conn).await?)
}

/// What is cached of these, and the others, each once.
async fn known<K, V>(cache: &Cache<K, V>, keys: Vec<K>) -> (HashMap<K, V>, Vec<K>)
where
    K: Copy + Eq + Hash + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    let (mut known, mut unknown) = (HashMap::new(), HashSet::new());
    for key in keys {
        match cache.get(&key).await {
            Some(value) => drop(known.insert(key, value)),
            None => drop(unknown.insert(key)),
        }
    }
    (known, unknown.into_iter().collect())
}
