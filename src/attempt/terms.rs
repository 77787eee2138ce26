//! Rules for starting an attempt: pure functions of the stored data.

use sea_orm::FromQueryResult;

use crate::{
    clock::Time,
    entity::{attempt::GRACE, quiz, reviews::Reviews},
    error::{Error, Result, UserErrorCode},
    id::RevisionId,
};

/// A student's history with a quiz.
#[derive(Clone, Debug, FromQueryResult)]
pub(crate) struct History {
    #[sea_orm(nested)]
    pub reviews: Reviews,
    /// Number of attempts started, in any state.
    pub taken: i64,
    /// The time of the most recent submit.
    pub last_submitted_at: Option<Time>,
    /// The deadline of the attempt in progress, if there is one.
    pub open_deadline: Option<Time>,
    /// The number of results of which the student has seen anything.
    pub seen: i64,
    /// Whether the quiz has a published revision.
    pub is_published: bool,
    /// The time the student confirmed the email address.
    pub email_confirmed_at: Option<Time>,
}

/// Why an attempt is practice and counts on no board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnrankedReason {
    /// The student can read a review of the quiz, or has been able to.
    ReviewOpen,
    /// The student has seen the points of an earlier attempt.
    ResultSeen,
    /// The site ranks only students who have confirmed their email address.
    EmailUnconfirmed,
}

impl History {
    /// Why an attempt that starts `now` would not be ranked; `None` if it would. Whoever knows anything of what was right
    /// has an advantage.
    pub(crate) fn unranked(&self, needs_confirmed_email: bool, now: Time) -> Option<UnrankedReason> {
        if self.reviews.are_open(now) {
            Some(UnrankedReason::ReviewOpen)
        } else if self.seen > 0 {
            Some(UnrankedReason::ResultSeen)
        } else if needs_confirmed_email && self.email_confirmed_at.is_none() {
            Some(UnrankedReason::EmailUnconfirmed)
        } else {
            None
        }
    }
}

/// An attempt that may be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub revision: RevisionId,
    pub number: i32,
    pub deadline: Time,
    pub ranked: bool,
}

/// Why a student can't start a quiz now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// The quiz was deleted.
    Deleted,
    /// The quiz was withdrawn or archived, or is a draft: the catalogue does not have it.
    Withdrawn,
    /// The quiz is not open yet.
    NotOpenYet,
    /// The quiz has closed.
    Closed,
    /// The student has used all attempts that the quiz allows.
    AttemptsExhausted,
    /// The quiz requires a pause after the last submit.
    Cooldown,
}

/// What an attempt that starts now would come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outlook {
    /// Why it can't be started, and the time from which it can, if there is one.
    pub obstacle: Option<(Obstacle, Option<Time>)>,
    /// Why it would count on no board.
    pub unranked: Option<UnrankedReason>,
}

/// What an attempt of a student with this history that starts now would come to. One that is in progress is resumed.
pub(crate) fn outlook(quiz: &quiz::Model, history: &History, needs_confirmed_email: bool, now: Time) -> Outlook {
    let is_resumed = history.open_deadline.is_some_and(|deadline| now <= deadline + GRACE);
    // One that is overdue is submitted before another is started, as of its deadline.
    let last = history.last_submitted_at.max(history.open_deadline);
    Outlook {
        obstacle: if quiz.deleted_at.is_some() {
            Some((Obstacle::Deleted, None))
        } else if is_resumed {
            None
        } else if !quiz.is_listed() || !history.is_published {
            Some((Obstacle::Withdrawn, None))
        } else {
            obstacle(quiz, history.taken, last, now)
        },
        unranked: history.unranked(needs_confirmed_email, now),
    }
}

/// What keeps a student who has taken so many attempts, and submitted the last one then, from another one.
fn obstacle(quiz: &quiz::Model, taken: i64, last: Option<Time>, now: Time) -> Option<(Obstacle, Option<Time>)> {
    let (closes, rested) = (quiz.closes_at, last.map(|last| last + quiz.cooldown()));
    let until = |time: Time| Some(time).filter(|time| closes.is_none_or(|closes| *time < closes));
    if closes.is_some_and(|closes| now >= closes) {
        return Some((Obstacle::Closed, None));
    }
    if quiz.max_attempts.is_some_and(|most| taken >= i64::from(most)) {
        return Some((Obstacle::AttemptsExhausted, None));
    }
    if let Some(opens) = quiz.opens_at.filter(|opens| now < *opens) {
        return Some((
            Obstacle::NotOpenYet,
            until(rested.map_or(opens, |rested| rested.max(opens))),
        ));
    }
    let rested = rested.filter(|rested| now < *rested)?;
    Some((Obstacle::Cooldown, until(rested)))
}

/// The terms on which a student with this history may start the quiz now.
pub(crate) fn start(
    quiz: &quiz::Model,
    revision: &crate::entity::revision::Model,
    history: &History,
    needs_confirmed_email: bool,
    now: Time,
) -> Result<Start> {
    let last = history.last_submitted_at;
    if let Some((obstacle, _)) = obstacle(quiz, history.taken, last, now) {
        return Err(refusal(quiz, obstacle, last));
    }
    let full = now + revision.duration();
    Ok(Start {
        revision: revision.id,
        number: i32::try_from(history.taken + 1).unwrap_or(i32::MAX),
        // Answers end when the quiz closes: reviews open to all when the last have arrived.
        deadline: quiz.closes_at.map_or(full, |closes| full.min(closes)),
        ranked: history.unranked(needs_confirmed_email, now).is_none(),
    })
}

/// The refusal of a start, for the student.
fn refusal(quiz: &quiz::Model, obstacle: Obstacle, last: Option<Time>) -> Error {
    let (code, message) = match obstacle {
        Obstacle::Deleted | Obstacle::Withdrawn => return Error::NotFound,
        Obstacle::NotOpenYet => (
            UserErrorCode::QuizNotOpen,
            format!("This quiz opens at {}.", rfc3339(quiz.opens_at)),
        ),
        Obstacle::Closed => (
            UserErrorCode::QuizNotOpen,
            format!("This quiz closed at {}.", rfc3339(quiz.closes_at)),
        ),
        Obstacle::AttemptsExhausted => {
            let most = quiz.max_attempts.unwrap_or_default();
            let message = format!("You have taken this quiz {most} times, which is all that it allows.");
            (UserErrorCode::AttemptsExhausted, message)
        }
        Obstacle::Cooldown => {
            let again = last.map(|last| last + quiz.cooldown());
            let message = format!("You can take this quiz again at {}.", rfc3339(again));
            (UserErrorCode::Cooldown, message)
        }
    };
    Error::refused(code, message)
}

fn rfc3339(at: Option<Time>) -> String {
    at.map(|at| at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Secs, true))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use uuid::Uuid;

    use super::*;
    use crate::{
        entity::{
            quiz::{ResultOpens, ReviewOpens},
            revision,
        },
        id::{QuizId, SubjectId},
    };

    const NOON: Time = Time(1_800_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn quiz() -> quiz::Model {
        quiz::Model {
            id: QuizId(Uuid::nil()),
            subject_id: SubjectId(Uuid::nil()),
            title: "Cells".into(),
            title_folded: None,
            description: None,
            max_attempts: None,
            cooldown_ms: 0,
            opens_at: None,
            closes_at: None,
            review_opens: ReviewOpens::AfterSubmit,
            result_opens: ResultOpens::AfterSubmit,
            created_at: NOON,
            deleted_at: None,
            withdrawn_at: None,
            archived_at: None,
            results_at: None,
            version: 1,
        }
    }

    fn hour_long() -> revision::Model {
        revision::Model {
            id: RevisionId(Uuid::nil()),
            quiz_id: QuizId(Uuid::nil()),
            number: 1,
            state: revision::State::Published,
            duration_ms: 3_600_000,
            right_score: 1000,
            wrong_score: 0,
            blank_score: 0,
            question_count: 1,
            correction: 0,
            created_at: NOON,
            published_at: Some(NOON),
            superseded_at: None,
            version: 1,
            updated_at: None,
            updated_by: None,
            discarded_at: None,
            shuffle_questions: false,
            shuffle_choices: false,
        }
    }

    fn code(quiz: &quiz::Model, history: &History, now: Time) -> Option<UserErrorCode> {
        match start(quiz, &hour_long(), history, false, now) {
            Err(Error::User(error)) => Some(error.code),
            _ => None,
        }
    }

    fn terms(quiz: &quiz::Model, history: &History) -> Start {
        start(quiz, &hour_long(), history, false, NOON).unwrap_or_else(|_| panic!("may start"))
    }

    fn taken(submitted: i64) -> History {
        History {
            reviews: Reviews {
                review_opens: ReviewOpens::AfterClose,
                max_attempts: None,
                closes_at: Some(NOON + HOUR),
                results_at: None,
                submitted,
                open_ranked: 0,
                last_deadline: None,
            },
            taken: submitted,
            last_submitted_at: (submitted > 0).then_some(NOON - HOUR),
            open_deadline: None,
            seen: 0,
            is_published: true,
            email_confirmed_at: None,
        }
    }

    #[test]
    fn a_quiz_is_open_from_its_opening_until_just_before_its_closing() {
        let quiz = quiz::Model {
            opens_at: Some(NOON),
            closes_at: Some(NOON + HOUR),
            ..quiz()
        };
        let microsecond = Duration::from_micros(1);
        assert_eq!(
            code(&quiz, &taken(0), NOON - microsecond),
            Some(UserErrorCode::QuizNotOpen)
        );
        assert_eq!(code(&quiz, &taken(0), NOON), None);
        assert_eq!(code(&quiz, &taken(0), NOON + HOUR - microsecond), None);
        assert_eq!(code(&quiz, &taken(0), NOON + HOUR), Some(UserErrorCode::QuizNotOpen));
    }

    #[test]
    fn the_deadline_is_the_closing_if_that_comes_first() {
        let half_an_hour = NOON + HOUR / 2;
        let closing = quiz::Model {
            closes_at: Some(half_an_hour),
            ..quiz()
        };
        assert_eq!(terms(&quiz(), &taken(0)).deadline, NOON + HOUR);
        assert_eq!(terms(&closing, &taken(0)).deadline, half_an_hour);
    }

    #[test]
    fn attempts_may_be_limited_and_spaced() {
        let twice = quiz::Model {
            max_attempts: Some(2),
            ..quiz()
        };
        assert_eq!(code(&twice, &taken(1), NOON), None);
        assert_eq!(code(&twice, &taken(2), NOON), Some(UserErrorCode::AttemptsExhausted));
        let spaced = quiz::Model {
            cooldown_ms: 2 * 3_600_000,
            ..quiz()
        };
        assert_eq!(code(&spaced, &taken(1), NOON), Some(UserErrorCode::Cooldown));
        assert_eq!(code(&spaced, &taken(1), NOON + HOUR), None);
    }

    #[test]
    fn the_outlook_is_what_a_start_finds() {
        let (times, mut promised) = ([None, Some(NOON - HOUR), Some(NOON + HOUR), Some(NOON + 3 * HOUR)], 0);
        for opens_at in times {
            for closes_at in times {
                for (max_attempts, cooldown, submitted) in
                    [(None, 0, 2), (Some(2), 0, 2), (None, 2, 1), (Some(2), 3, 1)]
                {
                    let quiz = quiz::Model {
                        opens_at,
                        closes_at,
                        max_attempts,
                        cooldown_ms: cooldown * 3_600_000,
                        ..quiz()
                    };
                    let history = taken(submitted);
                    let starts = |at| start(&quiz, &hour_long(), &history, false, at).is_ok();
                    match outlook(&quiz, &history, false, NOON).obstacle {
                        None => assert!(starts(NOON), "{quiz:?}"),
                        Some((obstacle, None)) => {
                            let later = (0..10).any(|hours| starts(NOON + hours * HOUR));
                            assert!(!later, "{obstacle:?}: {quiz:?}");
                        }
                        Some((obstacle, Some(from))) => {
                            let before = from - Duration::from_micros(1);
                            assert!(
                                starts(from) && !starts(before) && !starts(NOON),
                                "{obstacle:?}: {quiz:?}"
                            );
                            promised += 1;
                        }
                    }
                }
            }
        }
        assert!(promised > 10, "{promised}");
    }

    #[test]
    fn an_attempt_in_progress_is_resumed_until_its_grace_is_over_and_then_counts_as_submitted() {
        let spaced = quiz::Model {
            max_attempts: Some(2),
            cooldown_ms: 3_600_000,
            ..quiz()
        };
        let under_way = |deadline| History {
            taken: 1,
            open_deadline: Some(deadline),
            ..taken(0)
        };
        let obstacle = |quiz: &quiz::Model, history: History| outlook(quiz, &history, false, NOON).obstacle;
        assert_eq!(obstacle(&spaced, under_way(NOON - GRACE)), None);
        let overdue = NOON - GRACE - Duration::from_micros(1);
        let again = Some((Obstacle::Cooldown, Some(overdue + HOUR)));
        assert_eq!(obstacle(&spaced, under_way(overdue)), again);
        let deleted = quiz::Model {
            deleted_at: Some(NOON),
            ..spaced
        };
        assert_eq!(obstacle(&deleted, under_way(NOON)), Some((Obstacle::Deleted, None)));
    }

    #[test]
    fn an_attempt_of_somebody_who_knows_what_was_right_is_not_ranked() {
        let reason = |history: &History, needs_confirmed_email| history.unranked(needs_confirmed_email, NOON);
        let nothing_seen = taken(4);
        assert_eq!(reason(&nothing_seen, false), None);
        assert!(terms(&quiz(), &nothing_seen).ranked);
        let mut reviewed = taken(1);
        reviewed.reviews.review_opens = ReviewOpens::AfterSubmit;
        assert_eq!(reason(&reviewed, false), Some(UnrankedReason::ReviewOpen));
        assert!(!terms(&quiz(), &reviewed).ranked);
        let scored = History { seen: 1, ..taken(1) };
        assert_eq!(reason(&scored, false), Some(UnrankedReason::ResultSeen));
        assert_eq!(reason(&nothing_seen, true), Some(UnrankedReason::EmailUnconfirmed));
        let confirmed = History {
            email_confirmed_at: Some(NOON),
            ..nothing_seen
        };
        assert_eq!(reason(&confirmed, true), None);
    }
}
