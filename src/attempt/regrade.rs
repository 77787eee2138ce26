//! Results follow a correction of the key. A job, one transaction per attempt: however often it is begun, each result is
//! scored anew once, and what follows from it (best results, standings, roll-ups) with it.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, FromQueryResult};

use super::submit::{answered, lock_student};
use crate::{
    calendar::day_of,
    change::{Cause, Change},
    clock::Moment,
    dashboard,
    db::sql,
    entity::{attempt, result},
    error::Result,
    id::{AttemptId, ChapterId, RevisionId},
    leaderboard::{
        StandingsChanged,
        standings::{self, Ranked},
    },
    quiz::score::{self, Tally},
    ranks::board::Window,
    site::Site,
};

#[derive(FromQueryResult)]
struct Outdated {
    attempt_id: AttemptId,
}

/// Scores all results of a revision anew that an older key was used for.
pub async fn regrade(site: &Site, revision: RevisionId, now: &Moment) -> Result<()> {
    const AT_ONCE: usize = 100;
    loop {
        let select = sql(
            site.db.read(),
            format!(
                "SELECT r.attempt_id FROM attempts a JOIN results r ON r.attempt_id = a.id \
                 WHERE a.revision_id = $1 AND r.correction < (SELECT correction FROM revisions WHERE id = $1) \
                 ORDER BY r.attempt_id LIMIT {AT_ONCE}"
            ),
            [revision.into()],
        );
        let outdated = Outdated::find_by_statement(select).all(site.db.read()).await?;
        if outdated.is_empty() {
            return Ok(());
        }
        for Outdated { attempt_id } in outdated {
            one(site, attempt_id, now).await?;
        }
    }
}

/// Scores one result anew, if an older key was used for it.
async fn one(site: &Site, id: AttemptId, now: &Moment) -> Result<()> {
    let mut change = Change::begin(site, &Cause::clock(now)).await?;
    let tx = &change;
    let attempt = sql(
        tx,
        "SELECT * FROM attempts WHERE id = $1 AND state = 'SUBMITTED'",
        [id.into()],
    );
    let Some(attempt) = attempt::Model::find_by_statement(attempt).one(tx).await? else {
        return Ok(());
    };
    let student = lock_student(tx, attempt.student_id).await?;
    // Only now nobody else changes it.
    let stored = sql(tx, "SELECT * FROM results WHERE attempt_id = $1", [id.into()]);
    let Some(stored) = result::Model::find_by_statement(stored).one(tx).await? else {
        return Ok(());
    };
    let new = answered(tx, &attempt, i32::MAX).await?;
    if stored.correction >= new.correction {
        return Ok(());
    }
    let old = answered(tx, &attempt, stored.correction).await?;
    let (before, after) = (
        score::score(old.marking, old.questions),
        score::score(new.marking, new.questions),
    );
    let total = after.total;
    let update = sql(
        tx,
        "UPDATE results SET correction = $2, score = $3, max_score = $4, right_count = $5, wrong_count = $6, \
           blank_count = $7 WHERE attempt_id = $1",
        [
            id.into(),
            new.correction.into(),
            total.score.into(),
            total.max_score.into(),
            (total.right as i32).into(),
            (total.wrong as i32).into(),
            (total.blank as i32).into(),
        ],
    );
    tx.execute_raw(update).await?;

    let submitted_at = stored.submitted_at;
    let standings = if attempt.ranked {
        let ranked = Ranked {
            student: attempt.student_id,
            quiz: attempt.quiz_id,
            subject: new.subject,
            score: total.score,
            at: submitted_at,
        };
        let windows = Window::all_at(submitted_at, site.zone);
        standings::recount(tx, &ranked, windows, site.zone, student.version).await?
    } else {
        Vec::new()
    };
    let by_chapter: BTreeMap<ChapterId, Tally> = after
        .by_chapter
        .iter()
        .map(|(chapter, tally)| {
            (
                *chapter,
                tally.minus(before.by_chapter.get(chapter).copied().unwrap_or_default()),
            )
        })
        .collect();
    let day = day_of(submitted_at, site.zone);
    let more = total.minus(before.total);
    dashboard::count(tx, attempt.student_id, new.subject, day, 0, &more, &by_chapter).await?;

    let changed = StandingsChanged {
        student: attempt.student_id,
        version: student.version,
        ranked: student.ranked,
        standings,
    };
    change.tell(changed).await?;
    change.commit().await
}
