//! Saving answers. A single statement checks the owner, the state, the deadline, that the question takes such an answer,
//! and that its choices belong to that question of that revision.

use std::collections::HashMap;

use rust_decimal::Decimal;
use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter};

use crate::{
    auth::Viewer,
    clock::{Moment, Time},
    db::{self, Values, with_retries},
    entity::{
        answer,
        attempt::{self, GRACE},
        question::Kind,
    },
    error::{Error, Result, UserErrorCode},
    id::{AttemptId, ChoiceId, QuestionId},
    limit::Allowance,
    site::Site,
};

/// The most answers of one batch.
pub(crate) const MAX_SAVES: usize = 200;

/// An answer to be saved.
#[derive(Clone, Debug)]
pub struct Save {
    pub question: QuestionId,
    /// `None` clears the answer.
    pub answer: Option<Reply>,
    /// One more than the highest that the client has seen for this question.
    pub seq: i64,
}

/// What a student answers, in the form that the kind of the question asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// One choice.
    Choice(ChoiceId),
    /// All choices that are taken for right; at least one.
    Choices(Vec<ChoiceId>),
    /// A number.
    Number(Decimal),
}

impl Reply {
    /// Whether a question of this kind asks for this form.
    fn fits(&self, kind: Kind) -> bool {
        match self {
            Self::Choice(_) => matches!(kind, Kind::SingleChoice | Kind::AnyChoice | Kind::TrueFalse),
            Self::Choices(_) => kind == Kind::AllChoices,
            Self::Number(_) => kind == Kind::Number,
        }
    }
}

/// The outcome of a save.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Saved {
    /// The answer is stored and will be scored.
    Saved(answer::Model),
    /// A save with the same or a higher `seq` was there before; this is what is stored.
    Stale(answer::Model),
    /// The question is none of this attempt's, or the choice none of the question's.
    NoSuchChoice,
    /// A question of this kind does not take an answer of this form.
    WrongForm(Kind),
}

/// Saves answers of the viewer's attempt in one statement, and returns the outcome of each. Of several answers to one
/// question, the one with the highest `seq` is saved. Up to three more statements run only to explain why an answer was
/// not saved. The call takes one use from the allowance if it saves anything; with nothing left a statement more
/// finds out whether it would.
pub async fn save(
    site: &Site,
    viewer: &Viewer,
    id: AttemptId,
    saves: &[Save],
    allowance: Allowance<'_>,
    now: &Moment,
) -> Result<Vec<Saved>> {
    if saves.is_empty() || saves.len() > MAX_SAVES {
        return Err(Error::input(
            "answers",
            format!("Save 1 to {MAX_SAVES} answers at a time."),
        ));
    }
    // Beyond that clients can't read it back: a GraphQL `Int` has 32 bits.
    if saves.iter().any(|save| !(1..=i64::from(i32::MAX)).contains(&save.seq)) {
        let message = "`seq` begins at 1, grows with every save of a question, and ends at 2147483647.";
        return Err(Error::input("seq", message));
    }
    let newest = newest_of_each_question(saves);
    let conn = site.db.write();
    let reserved = match allowance.reserve(now.at).await {
        Ok(reserved) => reserved,
        Err(_) if !with_retries(|| would_store(conn, viewer, id, &newest, now.at)).await? => {
            return explain(site, viewer, id, saves, &HashMap::new(), now).await;
        }
        // Others may have come to nothing meanwhile.
        Err(_) => allowance.reserve(now.at).await?,
    };
    let stored = match with_retries(|| store(conn, viewer, id, &newest, now.at)).await {
        Ok(stored) if !stored.is_empty() => stored,
        Ok(nothing) => {
            reserved.release().await;
            nothing
        }
        // It may be stored all the same.
        Err(error) => return Err(error),
    };
    if stored.len() == newest.len() && newest.len() == saves.len() {
        return Ok(saves
            .iter()
            .filter_map(|save| stored.get(&save.question).cloned())
            .map(Saved::Saved)
            .collect());
    }
    explain(site, viewer, id, saves, &stored, now).await
}

/// The outcome of each, given what was stored.
async fn explain(
    site: &Site,
    viewer: &Viewer,
    id: AttemptId,
    saves: &[Save],
    stored: &HashMap<QuestionId, answer::Model>,
    now: &Moment,
) -> Result<Vec<Saved>> {
    if stored.is_empty() {
        with_retries(|| must_be_open(site, viewer, id, now)).await?;
    }
    let questions = saves.iter().map(|save| save.question);
    let present = answer::Entity::of_attempts([id]).filter(answer::Column::QuestionId.is_in(questions));
    let present: HashMap<_, _> = with_retries(async || Ok(present.clone().all(site.db.write()).await?))
        .await?
        .into_iter()
        .map(|answer| (answer.question_id, answer))
        .collect();
    let is_explained = |save: &Save| {
        let newer = |known: Option<&answer::Model>| known.is_some_and(|known| known.seq >= save.seq);
        newer(stored.get(&save.question)) || newer(present.get(&save.question))
    };
    let kinds = match saves.iter().all(is_explained) {
        true => HashMap::new(),
        false => with_retries(|| kinds(site.db.write(), id, saves)).await?,
    };
    let mut seen: HashMap<QuestionId, ()> = HashMap::new();
    let became = |save: &Save| match (stored.get(&save.question), present.get(&save.question)) {
        (Some(saved), _) if saved.seq == save.seq && seen.insert(save.question, ()).is_none() => {
            Saved::Saved(saved.clone())
        }
        // An answer that is not there, or is older than the save, was refused because of what it is.
        (_, Some(present)) if present.seq >= save.seq => Saved::Stale(present.clone()),
        _ => match (kinds.get(&save.question), &save.answer) {
            (Some(kind), Some(answer)) if !answer.fits(*kind) => Saved::WrongForm(*kind),
            _ => Saved::NoSuchChoice,
        },
    };
    Ok(saves.iter().map(became).collect())
}

/// The kinds of those of these questions that the attempt has.
async fn kinds(conn: &impl ConnectionTrait, id: AttemptId, saves: &[Save]) -> Result<HashMap<QuestionId, Kind>> {
    #[derive(FromQueryResult)]
    struct Asked {
        id: QuestionId,
        kind: Kind,
    }
    let mut values = Values::default();
    let attempt = values.bind(id);
    let questions: Vec<_> = saves.iter().map(|save| values.bind(save.question)).collect();
    let select = format!(
        "SELECT q.id, q.kind FROM attempts a JOIN questions q ON q.revision_id = a.revision_id \
         WHERE a.id = {attempt} AND q.id IN ({})",
        questions.join(", ")
    );
    let asked = Asked::find_by_statement(values.sql(conn, select)).all(conn).await?;
    Ok(asked.into_iter().map(|asked| (asked.id, asked.kind)).collect())
}

/// One statement can't change a row twice, so only the newest save of each question takes part.
fn newest_of_each_question(saves: &[Save]) -> Vec<Save> {
    let mut newest: HashMap<QuestionId, &Save> = HashMap::new();
    for save in saves {
        let held = newest.entry(save.question).or_insert(save);
        if save.seq > held.seq {
            *held = save;
        }
    }
    let mut newest: Vec<Save> = newest.into_values().cloned().collect();
    // All transactions take the row locks in the same order.
    newest.sort_by_key(|save| save.question);
    newest
}

/// The one statement. On PostgreSQL it holds the attempt's row `FOR SHARE`: a save that overlaps a submit either waits
/// for it and is refused, or makes it wait and is scored.
async fn store(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    id: AttemptId,
    saves: &[Save],
    now: Time,
) -> Result<HashMap<QuestionId, answer::Model>> {
    let (fitting, mut values) = fitting(viewer, id, saves, now);
    let at = values.bind(now);
    let insert = format!(
        "INSERT INTO answers (attempt_id, question_id, choice_id, choice_set, number, seq, answered_at, late) \
         SELECT a.id, q.id, s.choice_id, s.choice_set, s.number, s.seq, {at}, {at} > a.deadline_at {fitting} {} \
         ON CONFLICT (attempt_id, question_id) DO UPDATE \
         SET choice_id = excluded.choice_id, choice_set = excluded.choice_set, number = excluded.number, \
             seq = excluded.seq, answered_at = excluded.answered_at, \
             late = excluded.late \
         WHERE excluded.seq > answers.seq \
         RETURNING *",
        db::for_share_of(conn, "a"),
    );
    let insert = values.sql(conn, insert);
    let stored = answer::Model::find_by_statement(insert).all(conn).await?;
    Ok(stored.into_iter().map(|answer| (answer.question_id, answer)).collect())
}

/// Whether [`store`] would store any of them.
async fn would_store(
    conn: &impl ConnectionTrait,
    viewer: &Viewer,
    id: AttemptId,
    saves: &[Save],
    now: Time,
) -> Result<bool> {
    let (fitting, values) = fitting(viewer, id, saves, now);
    let select = format!(
        "SELECT q.id {fitting} \
           AND NOT EXISTS (SELECT 1 FROM answers n \
                           WHERE n.attempt_id = a.id AND n.question_id = q.id AND n.seq >= s.seq) \
         LIMIT 1"
    );
    let select = values.sql(conn, select);
    Ok(conn.query_one_raw(select).await?.is_some())
}

/// The saves that the attempt takes: the `FROM` and `WHERE` of a statement, and its values.
fn fitting(viewer: &Viewer, id: AttemptId, saves: &[Save], now: Time) -> (String, Values) {
    let mut values = Values::default();
    let (id, student) = (values.bind(id), values.bind(viewer.user()));
    let earliest = values.bind(now - GRACE);
    let rows: Vec<_> = saves.iter().map(|save| row(save, &mut values)).collect();
    let fitting = format!(
        "FROM ({}) AS s \
         JOIN attempts a ON a.id = {id} \
         JOIN questions q ON q.id = s.question_id AND q.revision_id = a.revision_id \
         WHERE a.student_id = {student} AND a.state = 'IN_PROGRESS' AND a.deadline_at >= {earliest} \
           AND CASE WHEN s.choice_id IS NOT NULL \
                    THEN q.kind IN ('SINGLE_CHOICE', 'ANY_CHOICE', 'TRUE_FALSE') \
                         AND EXISTS (SELECT 1 FROM choices c WHERE c.id = s.choice_id AND c.question_id = q.id) \
                    WHEN s.choice_set IS NOT NULL THEN q.kind = 'ALL_CHOICES' AND s.choice_set > 0 \
                    WHEN s.number IS NOT NULL THEN q.kind = 'NUMBER' \
                    ELSE TRUE END",
        rows.join(" UNION ALL "),
    );
    (fitting, values)
}

/// The row of a save, in SQL. Its types are spelled, as a row may have a value where the next has none.
fn row(save: &Save, values: &mut Values) -> String {
    let question = values.bind(save.question);
    let (mut choice, mut set) = ("CAST(NULL AS uuid)".to_owned(), "CAST(NULL AS integer)".to_owned());
    let mut number = "CAST(NULL AS text)".to_owned();
    match &save.answer {
        None => {}
        Some(Reply::Choice(id)) => choice = values.bind(*id),
        // Each choice is a bit; -1 if one of them is none of the question's.
        Some(Reply::Choices(ids)) => {
            let ids: Vec<_> = ids.iter().map(|id| values.bind(*id)).collect();
            set = format!(
                "(SELECT CASE WHEN COUNT(*) = {} THEN CAST(SUM(1 << o.position) AS integer) ELSE -1 END \
                  FROM choices o WHERE o.question_id = {question} AND o.id IN ({}))",
                ids.len(),
                ids.join(", ")
            );
        }
        Some(Reply::Number(value)) => number = values.bind(value.to_string()),
    }
    let seq = values.bind(save.seq);
    format!(
        "SELECT {question} AS question_id, {choice} AS choice_id, {set} AS choice_set, {number} AS number, {seq} AS seq"
    )
}

/// Returns the error, if the attempt is the reason that nothing was saved.
async fn must_be_open(site: &Site, viewer: &Viewer, id: AttemptId, now: &Moment) -> Result<()> {
    // From the writer's pool, which on SQLite has seen every commit that the statement before has seen.
    let attempt = attempt::Entity::of(viewer)
        .filter(attempt::Column::Id.eq(id))
        .one(site.db.write())
        .await?
        .ok_or(Error::NotFound)?;
    if attempt.is_overdue(now.at) {
        super::submit::by_clock(site, &attempt, now).await?;
    } else if attempt.state == attempt::State::InProgress {
        return Ok(());
    }
    let by_clock = attempt.submitted_by != Some(attempt::SubmittedBy::Student);
    Err(if by_clock {
        let message = "The time of this attempt has run out. It was submitted with what was saved.";
        Error::refused(UserErrorCode::AttemptExpired, message)
    } else {
        let message = "This attempt is submitted. Its answers can't be changed any more.";
        Error::refused(UserErrorCode::AttemptAlreadySubmitted, message)
    })
}
