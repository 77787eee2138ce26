//! When a student may read the reviews of a quiz, and until then how much of a result: the stored facts, and the one
//! decision that everything asks.

use sea_orm::FromQueryResult;

use super::{
    attempt::GRACE,
    quiz::ReviewOpens,
    result::{self, Visibility},
};
use crate::{auth::Viewer, clock::Time};

/// What decides whether a student may read the reviews of a quiz.
#[derive(Clone, Debug, FromQueryResult)]
pub struct Reviews {
    pub review_opens: ReviewOpens,
    pub max_attempts: Option<i32>,
    pub closes_at: Option<Time>,
    /// The time before which nothing is shown.
    pub results_at: Option<Time>,
    /// The student's submitted attempts at the quiz.
    pub submitted: i64,
    /// The student's ranked attempts at the quiz that are in progress.
    pub open_ranked: i64,
    /// The latest deadline of all attempts at the quiz that are in progress, whoever takes them.
    pub last_deadline: Option<Time>,
}

impl Reviews {
    /// Whether the student may read them at `now`.
    pub fn are_open(&self, now: Time) -> bool {
        // Staff may have opened reviews while a ranked attempt was under way: it ends first.
        self.open_ranked == 0
            && self.may_show(now)
            && match self.review_opens {
                ReviewOpens::AfterSubmit => self.submitted > 0,
                ReviewOpens::AfterLastAttempt => {
                    self.max_attempts.is_some_and(|most| self.submitted >= i64::from(most)) || self.has_ended(now)
                }
                ReviewOpens::AfterClose => self.has_ended(now),
            }
    }

    /// Whether the time has come at which staff release results; before it, nothing of them is shown.
    pub fn may_show(&self, now: Time) -> bool {
        self.results_at.is_none_or(|at| now >= at)
    }

    /// Whether the quiz has closed and nobody's answers are accepted any more: the grace of all is over.
    fn has_ended(&self, now: Time) -> bool {
        self.closes_at
            .is_some_and(|closes| now > self.last_deadline.map_or(closes, |last| last.max(closes)) + GRACE)
    }
}

/// The columns of [`Reviews`] in a select: of the quiz whose alias and id these are, and of a student.
pub fn columns(quiz: &str, quiz_id: &str, student: &str) -> String {
    let attempts = format!("FROM attempts b WHERE b.quiz_id = {quiz_id}");
    format!(
        "{quiz}.review_opens, {quiz}.max_attempts, {quiz}.closes_at, {quiz}.results_at, \
         (SELECT COUNT(*) {attempts} AND b.student_id = {student} AND b.state = 'SUBMITTED') AS submitted, \
         (SELECT COUNT(*) {attempts} AND b.student_id = {student} AND b.state = 'IN_PROGRESS' AND b.ranked) \
           AS open_ranked, \
         (SELECT MAX(b.deadline_at) {attempts} AND b.state = 'IN_PROGRESS') AS last_deadline"
    )
}

/// A result as far as a viewer may see it. Nothing else of the API leads to a result's numbers.
#[derive(Clone, Debug)]
pub struct Shown {
    result: result::Model,
    visibility: Visibility,
}

impl Shown {
    /// A result as `viewer`, its student or staff, sees it: in full if `reviews` are open.
    pub fn of(result: result::Model, reviews: Option<&Reviews>, viewer: &Viewer, now: Time) -> Self {
        let full = viewer.role().is_staff() || reviews.is_some_and(|reviews| reviews.are_open(now));
        Self {
            visibility: if full { Visibility::Full } else { result.visibility },
            result,
        }
    }

    /// How much is shown.
    pub fn visibility(&self) -> Visibility {
        self.visibility
    }

    /// For its points; `None` while they are hidden.
    pub fn points(&self) -> Option<&result::Model> {
        (self.visibility != Visibility::Hidden).then_some(&self.result)
    }

    /// For its counts; `None` until it is shown in full.
    pub fn counts(&self) -> Option<&result::Model> {
        (self.visibility == Visibility::Full).then_some(&self.result)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const NOON: Time = Time(1_800_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const MICROSECOND: Duration = Duration::from_micros(1);

    fn closing_at_noon(review_opens: ReviewOpens, submitted: i64) -> Reviews {
        Reviews {
            review_opens,
            max_attempts: Some(2),
            closes_at: Some(NOON),
            results_at: None,
            submitted,
            open_ranked: 0,
            last_deadline: None,
        }
    }

    #[test]
    fn reviews_open_by_the_quizs_policy() {
        let (before, after) = (NOON - HOUR, NOON + HOUR);
        let after_submit = |submitted| closing_at_noon(ReviewOpens::AfterSubmit, submitted);
        assert!(!after_submit(0).are_open(before) && after_submit(1).are_open(before));
        let last = |submitted| closing_at_noon(ReviewOpens::AfterLastAttempt, submitted);
        assert!(!last(1).are_open(before) && last(2).are_open(before) && last(1).are_open(after));
        let close = |submitted| closing_at_noon(ReviewOpens::AfterClose, submitted);
        assert!(!close(2).are_open(before) && close(1).are_open(after));
        let never = Reviews {
            closes_at: None,
            ..close(2)
        };
        assert!(!never.are_open(after));
    }

    #[test]
    fn nothing_opens_before_results_are_released() {
        let released_later = |review_opens| Reviews {
            results_at: Some(NOON + 2 * HOUR),
            ..closing_at_noon(review_opens, 2)
        };
        for policy in [
            ReviewOpens::AfterSubmit,
            ReviewOpens::AfterLastAttempt,
            ReviewOpens::AfterClose,
        ] {
            let reviews = released_later(policy);
            assert!(!reviews.are_open(NOON + 2 * HOUR - MICROSECOND), "{policy:?}");
            assert!(reviews.are_open(NOON + 2 * HOUR), "{policy:?}");
        }
    }

    #[test]
    fn they_wait_for_the_grace_of_all() {
        let close = closing_at_noon(ReviewOpens::AfterClose, 1);
        assert!(!close.are_open(NOON) && !close.are_open(NOON + GRACE));
        assert!(close.are_open(NOON + GRACE + MICROSECOND));
        // Somebody's attempt may run past the closing, if that was moved.
        let longer = Reviews {
            last_deadline: Some(NOON + HOUR),
            ..close.clone()
        };
        assert!(!longer.are_open(NOON + HOUR + GRACE) && longer.are_open(NOON + HOUR + GRACE + MICROSECOND));
        // One that nobody has submitted yet, though its time is over, holds nothing up.
        let overdue = Reviews {
            last_deadline: Some(NOON - HOUR),
            ..close
        };
        assert!(overdue.are_open(NOON + GRACE + MICROSECOND));
    }

    #[test]
    fn ones_own_ranked_attempt_keeps_them_closed() {
        let under_way = Reviews {
            open_ranked: 1,
            ..closing_at_noon(ReviewOpens::AfterSubmit, 1)
        };
        assert!(!under_way.are_open(NOON));
    }
}
