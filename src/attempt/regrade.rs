//! Rescores results after a correction of an answer key. A job with one transaction per attempt: however often it runs,
//! each result is rescored once, with its best results, standings and roll-ups.

use std::collections::BTreeMap;

use sea_orm::{
    ActiveValue::Set, ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
};

use super::{student::lock_student, submit::answered};
use crate::{
    calendar::day_of,
    change::{Cause, Change},
    clock::{Moment, Time},
    dashboard::{self, Counts},
    entity::{
        attempt,
        result::{self, Visibility},
        revision,
    },
    error::Result,
    id::{ChapterId, RevisionId},
    jobs::Run,
    leaderboard::{
        StandingsChanged,
        standings::{self, Taken},
    },
    quiz::{
        author::Regrade,
        score::{self, Tally},
    },
    ranks::board::Window,
    site::Site,
};

impl Run for Regrade {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        regrade(site, self.revision, now).await
    }
}

/// Rescores all results of a revision that were scored with an older key.
pub async fn regrade(site: &Site, revision: RevisionId, now: &Moment) -> Result<()> {
    const AT_ONCE: u64 = 100;
    loop {
        let newest = revision::Entity::published()
            .filter(revision::Column::Id.eq(revision))
            .select_only()
            .column(revision::Column::Correction)
            .into_query();
        let outdated = attempt::Entity::scored()
            .filter(attempt::Column::RevisionId.eq(revision))
            .filter(result::Column::Correction.into_expr().lt(newest))
            .order_by_asc(attempt::Column::Id)
            .limit(AT_ONCE)
            .all(site.db.read())
            .await?;
        if outdated.is_empty() {
            return Ok(());
        }
        for attempt in &outdated {
            one(site, attempt, now).await?;
        }
    }
}

/// Rescores one result, if it was scored with an older key.
async fn one(site: &Site, attempt: &attempt::Model, now: &Moment) -> Result<()> {
    let mut change = Change::begin(site, &Cause::clock(now)).await?;
    let tx = &change;
    let student = lock_student(tx, attempt.student_id).await?;
    // Read after the lock, so no other transaction changes it.
    let Some(stored) = result::Entity::of_attempts([attempt.id]).one(tx).await? else {
        return Ok(());
    };
    let new = answered(tx, attempt, i32::MAX).await?;
    if stored.correction >= new.correction {
        return Ok(());
    }
    let old = answered(tx, attempt, stored.correction).await?;
    let (before, after) = (
        score::score(old.marking, old.questions),
        score::score(new.marking, new.questions),
    );
    let total = after.total;
    let anew = result::ActiveModel {
        correction: Set(new.correction),
        score: Set(total.score),
        max_score: Set(total.max_score),
        right_count: Set(total.right as i32),
        wrong_count: Set(total.wrong as i32),
        blank_count: Set(total.blank as i32),
        ..Default::default()
    };
    result::Entity::update_many()
        .set(anew)
        .filter(result::Column::AttemptId.eq(attempt.id))
        .exec(tx)
        .await?;

    let submitted_at = stored.submitted_at;
    let of = Taken {
        student: attempt.student_id,
        quiz: attempt.quiz_id,
        subject: new.subject,
    };
    let standings = if attempt.ranked && stored.visibility != Visibility::Hidden {
        let windows = Window::all_at(submitted_at, site.zone);
        standings::recount(tx, &of, &windows, site.zone, student.version).await?
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
    let counts = Counts::of(of.subject, day, 0, &more, &by_chapter);
    dashboard::count(tx, &of, counts, stored.visibility).await?;

    let changed = StandingsChanged {
        student: attempt.student_id,
        version: student.version,
        ranked: student.ranked,
        standings,
    };
    change.emit(changed).await?;
    change.commit().await
}
