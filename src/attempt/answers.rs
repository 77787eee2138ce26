//! Saving answers. A single statement checks the owner, the state, the deadline, and that the choice belongs to that
//! question of that revision.

use std::collections::HashMap;

use sea_orm::{ColumnTrait, ConnectionTrait, FromQueryResult, QueryFilter, Statement, Value};

use crate::{
    auth::Viewer,
    clock::{Moment, Time},
    db::{self, with_retries},
    entity::{
        answer,
        attempt::{self, GRACE},
    },
    error::{Error, Result, UserErrorCode},
    id::{AttemptId, ChoiceId, QuestionId},
    limit::Allowance,
    site::Site,
};

/// The most answers of one batch.
pub(crate) const MAX_SAVES: usize = 200;

/// An answer to be saved.
#[derive(Clone, Copy, Debug)]
pub struct Save {
    pub question: QuestionId,
    /// `None` clears the answer.
    pub choice: Option<ChoiceId>,
    /// One more than the highest that the client has seen for this question.
    pub seq: i64,
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
}

/// Saves answers of the viewer's attempt in one statement, and returns the outcome of each. Of several answers to one
/// question, the one with the highest `seq` is saved. A second and third statement run only to explain why an answer
/// was not saved. The call takes one use from the allowance if it saves anything; with nothing left a statement more
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
    let mut seen: HashMap<QuestionId, ()> = HashMap::new();
    let became = |save: &Save| match (stored.get(&save.question), present.get(&save.question)) {
        (Some(saved), _) if saved.seq == save.seq && seen.insert(save.question, ()).is_none() => {
            Saved::Saved(saved.clone())
        }
        // An answer that is not there, or is older than the save, was refused because of the choice.
        (_, Some(present)) if present.seq >= save.seq => Saved::Stale(present.clone()),
        _ => Saved::NoSuchChoice,
    };
    Ok(saves.iter().map(became).collect())
}

/// One statement can't change a row twice, so only the newest save of each question takes part.
fn newest_of_each_question(saves: &[Save]) -> Vec<Save> {
    let mut newest: HashMap<QuestionId, Save> = HashMap::new();
    for save in saves {
        let held = newest.entry(save.question).or_insert(*save);
        if save.seq > held.seq {
            *held = *save;
        }
    }
    let mut newest: Vec<Save> = newest.into_values().collect();
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
    values.push(now.into());
    let at = values.len();
    let insert = format!(
        "INSERT INTO answers (attempt_id, question_id, choice_id, seq, answered_at, late) \
         SELECT a.id, q.id, s.choice_id, s.seq, ${at}, ${at} > a.deadline_at {fitting} {} \
         ON CONFLICT (attempt_id, question_id) DO UPDATE \
         SET choice_id = excluded.choice_id, seq = excluded.seq, answered_at = excluded.answered_at, \
             late = excluded.late \
         WHERE excluded.seq > answers.seq \
         RETURNING *",
        db::for_share_of(conn, "a"),
    );
    let insert = Statement::from_sql_and_values(conn.get_database_backend(), insert, values);
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
    let select = Statement::from_sql_and_values(conn.get_database_backend(), select, values);
    Ok(conn.query_one_raw(select).await?.is_some())
}

/// The saves that the attempt takes: the `FROM` and `WHERE` of a statement, and its values.
fn fitting(viewer: &Viewer, id: AttemptId, saves: &[Save], now: Time) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![id.into(), viewer.user().into(), (now - GRACE).into()];
    let mut rows = Vec::with_capacity(saves.len());
    for save in saves {
        let n = values.len();
        rows.push(format!(
            "SELECT ${} AS question_id, ${} AS choice_id, ${} AS seq",
            n + 1,
            n + 2,
            n + 3
        ));
        values.extend([save.question.into(), save.choice.into(), save.seq.into()]);
    }
    let fitting = format!(
        "FROM ({}) AS s \
         JOIN attempts a ON a.id = $1 \
         JOIN questions q ON q.id = s.question_id AND q.revision_id = a.revision_id \
         WHERE a.student_id = $2 AND a.state = 'IN_PROGRESS' AND a.deadline_at >= $3 \
           AND (s.choice_id IS NULL \
                OR EXISTS (SELECT 1 FROM choices c WHERE c.id = s.choice_id AND c.question_id = q.id))",
        rows.join(" UNION ALL "),
    );
    (fitting, values)
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
