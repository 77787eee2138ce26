//! Rules for starting an attempt and reading its review: pure functions of the stored data.

use sea_orm::FromQueryResult;

use crate::{
    clock::Time,
    entity::quiz::{self, ReviewOpens},
    error::{Error, Result, UserErrorCode},
    id::RevisionId,
};

/// A student's history with a quiz.
#[derive(Clone, Copy, Debug, Default, FromQueryResult)]
pub(crate) struct History {
    /// Number of attempts started, in any state.
    pub taken: i64,
    /// Attempts submitted.
    pub submitted: i64,
    /// The time of the most recent submit.
    pub last_submitted_at: Option<Time>,
}

/// The rule that opens the reviews of a quiz.
#[derive(Clone, Copy, Debug, FromQueryResult)]
pub(crate) struct ReviewPolicy {
    pub review_opens: ReviewOpens,
    pub max_attempts: Option<i32>,
    pub closes_at: Option<Time>,
}

impl From<&quiz::Model> for ReviewPolicy {
    fn from(quiz: &quiz::Model) -> Self {
        Self {
            review_opens: quiz.review_opens,
            max_attempts: quiz.max_attempts,
            closes_at: quiz.closes_at,
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

/// Whether a student with this history may start the quiz now, and if so, on which terms.
pub(crate) fn start(
    quiz: &quiz::Model,
    revision: &crate::entity::revision::Model,
    history: &History,
    now: Time,
) -> Result<Start> {
    if quiz.opens_at.is_some_and(|opens| now < opens) {
        let message = format!("This quiz opens at {}.", rfc3339(quiz.opens_at));
        return Err(Error::refused(UserErrorCode::QuizNotOpen, message));
    }
    if quiz.closes_at.is_some_and(|closes| now >= closes) {
        let message = format!("This quiz closed at {}.", rfc3339(quiz.closes_at));
        return Err(Error::refused(UserErrorCode::QuizNotOpen, message));
    }
    if let Some(most) = quiz.max_attempts
        && history.taken >= i64::from(most)
    {
        let message = format!("You have taken this quiz {most} times, which is all that it allows.");
        return Err(Error::refused(UserErrorCode::AttemptsExhausted, message));
    }
    if let Some(last) = history.last_submitted_at
        && now < last + quiz.cooldown()
    {
        let message = format!(
            "You can take this quiz again at {}.",
            rfc3339(Some(last + quiz.cooldown()))
        );
        return Err(Error::refused(UserErrorCode::Cooldown, message));
    }
    let full = now + revision.duration();
    Ok(Start {
        revision: revision.id,
        number: i32::try_from(history.taken + 1).unwrap_or(i32::MAX),
        // Answers end when the quiz closes: from then on others may read their reviews.
        deadline: quiz.closes_at.map_or(full, |closes| full.min(closes)),
        ranked: !ReviewPolicy::from(quiz).is_open(history.submitted, now),
    })
}

impl ReviewPolicy {
    /// Whether a student who has submitted so many attempts may read their reviews.
    pub(crate) fn is_open(&self, submitted: i64, now: Time) -> bool {
        let closed = self.closes_at.is_some_and(|closes| now >= closes);
        match self.review_opens {
            ReviewOpens::AfterSubmit => submitted > 0,
            ReviewOpens::AfterLastAttempt => {
                closed || self.max_attempts.is_some_and(|most| submitted >= i64::from(most))
            }
            ReviewOpens::AfterClose => closed,
        }
    }
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
        entity::revision,
        id::{QuizId, SubjectId},
    };

    const NOON: Time = Time(1_800_000_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);

    fn quiz() -> quiz::Model {
        quiz::Model {
            id: QuizId(Uuid::nil()),
            subject_id: SubjectId(Uuid::nil()),
            title: "Cells".into(),
            description: None,
            max_attempts: None,
            cooldown_ms: 0,
            opens_at: None,
            closes_at: None,
            review_opens: ReviewOpens::AfterSubmit,
            created_at: NOON,
            deleted_at: None,
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
        }
    }

    fn code(quiz: &quiz::Model, history: &History, now: Time) -> Option<UserErrorCode> {
        match start(quiz, &hour_long(), history, now) {
            Err(Error::User(error)) => Some(error.code),
            _ => None,
        }
    }

    fn terms(quiz: &quiz::Model, history: &History) -> Start {
        start(quiz, &hour_long(), history, NOON).unwrap_or_else(|_| panic!("may start"))
    }

    fn taken(submitted: i64) -> History {
        History {
            taken: submitted,
            submitted,
            last_submitted_at: (submitted > 0).then_some(NOON - HOUR),
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
    fn an_attempt_after_seeing_the_answer_key_is_not_ranked() {
        let policy = |review_opens| quiz::Model {
            review_opens,
            max_attempts: Some(5),
            ..quiz()
        };
        assert!(terms(&policy(ReviewOpens::AfterSubmit), &taken(0)).ranked);
        assert!(!terms(&policy(ReviewOpens::AfterSubmit), &taken(1)).ranked);
        assert!(terms(&policy(ReviewOpens::AfterLastAttempt), &taken(4)).ranked);
        assert!(terms(&policy(ReviewOpens::AfterClose), &taken(4)).ranked);
    }

    #[test]
    fn reviews_open_by_the_quizs_policy() {
        let closing = |review_opens| quiz::Model {
            review_opens,
            max_attempts: Some(2),
            closes_at: Some(NOON + HOUR),
            ..quiz()
        };
        let last = closing(ReviewOpens::AfterLastAttempt);
        assert!(!ReviewPolicy::from(&last).is_open(1, NOON));
        assert!(ReviewPolicy::from(&last).is_open(2, NOON));
        assert!(ReviewPolicy::from(&last).is_open(1, NOON + HOUR));
        let close = closing(ReviewOpens::AfterClose);
        assert!(!ReviewPolicy::from(&close).is_open(2, NOON));
        assert!(ReviewPolicy::from(&close).is_open(1, NOON + HOUR));
        assert!(ReviewPolicy::from(&closing(ReviewOpens::AfterSubmit)).is_open(1, NOON));
    }
}
