//! Published revisions in memory. They never change, so they may stay for ever; the key, which may be corrected, is
//! kept apart from what students see.

use std::{collections::HashMap, sync::Arc, time::Duration};

use moka::future::Cache;
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter};

use serde::{Deserialize, Serialize};

use crate::{
    clock::Time,
    db::{Db, sql},
    entity::{choice, question, quiz, revision, subject},
    error::{Error, Result},
    fleet::Health,
    id::{ChapterId, ChoiceId, QuestionId, QuizId, RevisionId, SubjectId},
    outbox::{Event, Follower, Topic},
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
    pub choices: Vec<Choice>,
}

/// One of the choices of a question.
#[derive(Clone, Debug)]
pub struct Choice {
    pub id: ChoiceId,
    pub text: Markdown,
}

/// The right answers and explanations of a revision, by one correction. Only a review reads it.
#[derive(Debug)]
pub struct Key {
    pub right: HashMap<QuestionId, ChoiceId>,
    pub explanations: HashMap<QuestionId, Markdown>,
}

/// A quiz of the catalogue with its current revision.
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
            keys: Cache::new(1_000),
        }
    }
}

impl Papers {
    /// A subject. One statement, none once it is known.
    pub async fn subject(&self, conn: &impl ConnectionTrait, id: SubjectId) -> Result<Arc<subject::Model>> {
        if let Some(known) = self.subjects.get(&id).await {
            return Ok(known);
        }
        let found = subject::Entity::present()
            .filter(subject::Column::Id.eq(id))
            .one(conn)
            .await?;
        let subject = Arc::new(found.ok_or(Error::NotFound)?);
        self.subjects.insert(id, subject.clone()).await;
        Ok(subject)
    }

    /// A quiz of the catalogue. One statement, none once it is known.
    pub async fn quiz(&self, conn: &impl ConnectionTrait, id: QuizId) -> Result<Arc<Published>> {
        if let Some(known) = self.quizzes.get(&id).await {
            return Ok(known);
        }
        let (quiz, revision) = quiz::Entity::catalogue()
            .filter(quiz::Column::Id.eq(id))
            .one(conn)
            .await?
            .ok_or(Error::NotFound)?;
        let revision = revision.ok_or(Error::NotFound)?;
        let published = Arc::new(Published { quiz, revision });
        self.quizzes.insert(id, published.clone()).await;
        Ok(published)
    }

    /// The paper of a published revision. Two statements with the revision in hand, three without; none once known.
    pub async fn paper(&self, conn: &impl ConnectionTrait, id: RevisionId) -> Result<Arc<Paper>> {
        if let Some(known) = self.papers.get(&id).await {
            return Ok(known);
        }
        let revision = revision::Entity::published()
            .filter(revision::Column::Id.eq(id))
            .one(conn)
            .await?
            .ok_or(Error::NotFound)?;
        self.paper_of(conn, &revision).await
    }

    /// The paper of a published revision that was loaded already.
    pub async fn paper_of(&self, conn: &impl ConnectionTrait, revision: &revision::Model) -> Result<Arc<Paper>> {
        if let Some(known) = self.papers.get(&revision.id).await {
            return Ok(known);
        }
        let questions = question::Entity::of_revision(revision.id).all(conn).await?;
        let mut choices: HashMap<QuestionId, Vec<Choice>> = HashMap::new();
        for choice in choice::Entity::of_revision(revision.id).all(conn).await? {
            let of_question = choices.entry(choice.question_id).or_default();
            of_question.push(Choice {
                id: choice.id,
                text: choice.text.into(),
            });
        }
        let questions = questions.into_iter().map(|question| {
            Arc::new(Question {
                id: question.id,
                position: question.position,
                chapter: question.chapter_id,
                text: question.text.into(),
                image: question.image,
                choices: choices.remove(&question.id).unwrap_or_default(),
            })
        });
        let paper = Arc::new(Paper {
            revision: revision.clone(),
            questions: questions.collect(),
        });
        self.papers.insert(revision.id, paper.clone()).await;
        Ok(paper)
    }

    /// The key of a revision by a correction; 0 is the key as it was published.
    pub async fn key(&self, conn: &impl ConnectionTrait, revision: RevisionId, correction: i32) -> Result<Arc<Key>> {
        if let Some(known) = self.keys.get(&(revision, correction)).await {
            return Ok(known);
        }
        let mut key = Key {
            right: HashMap::new(),
            explanations: HashMap::new(),
        };
        for row in read_key(conn, revision, correction).await? {
            if let Some(right) = row.right_choice {
                key.right.insert(row.question_id, right);
            }
            if let Some(explanation) = row.explanation {
                key.explanations.insert(row.question_id, explanation.into());
            }
        }
        let key = Arc::new(key);
        self.keys.insert((revision, correction), key.clone()).await;
        Ok(key)
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
    question_id: QuestionId,
    explanation: Option<String>,
    right_choice: Option<ChoiceId>,
}

/// The position of the right choice of question `q`, in SQL, as the newest correction up to number `up_to` has it.
pub(crate) fn right_position(up_to: &str) -> String {
    format!(
        "COALESCE((SELECT k.right_position FROM corrections k \
          WHERE k.question_id = q.id AND k.number <= {up_to} ORDER BY k.number DESC LIMIT 1), q.right_position)"
    )
}

async fn read_key(conn: &impl ConnectionTrait, revision: RevisionId, correction: i32) -> Result<Vec<KeyRow>> {
    let select = sql(
        conn,
        format!(
            "SELECT q.id AS question_id, q.explanation, c.id AS right_choice \
             FROM questions q \
             LEFT JOIN choices c ON c.question_id = q.id AND c.position = {} \
             WHERE q.revision_id = $1",
            right_position("$2")
        ),
        [revision.into(), correction.into()],
    );
    Ok(KeyRow::find_by_statement(select).all(conn).await?)
}
