//! The settings of a quiz, which may change after it was published: deadlines of open attempts don't move with them, and
//! what is still withheld is shown by the settings of the moment.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{
    life::{self, must_be_there, present_subject, store},
    paper::Published,
    subjects::Recount,
};
use crate::{
    audit::{Action, Entry},
    change::{Cause, Change},
    clock::Time,
    entity::{
        quiz::{self, ResultOpens, ReviewOpens},
        revision,
    },
    error::{Error, Result, UserError, UserErrorCode},
    id::{QuizId, SubjectId},
    jobs::Job,
    site::Site,
    text,
};

/// The most attempts that a quiz can allow; without a limit there is no such number.
const MOST_ATTEMPTS: i32 = 1000;

/// The longest pause between two attempts.
const LONGEST_COOLDOWN: Duration = Duration::from_secs(366 * 24 * 3600);

/// New values of settings; what is `None` stays. The inner `None` clears.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub title: Option<String>,
    pub subject: Option<SubjectId>,
    pub description: Option<Option<String>>,
    pub max_attempts: Option<Option<i32>>,
    pub cooldown_seconds: Option<i32>,
    pub opens_at: Option<Option<Time>>,
    pub closes_at: Option<Option<Time>>,
    pub results_at: Option<Option<Time>>,
    pub review_opens: Option<ReviewOpens>,
    pub result_opens: Option<ResultOpens>,
}

impl Settings {
    /// The quiz with these settings, or all that is wrong with them.
    pub(crate) fn apply(self, quiz: &quiz::Model, is_published: bool) -> Result<quiz::Model, Vec<UserError>> {
        let mut errors = Vec::new();
        let mut wrong = |argument: &str, message: String| {
            if let Error::User(error) = Error::input(argument, message) {
                errors.push(error);
            }
        };
        let mut quiz = quiz.clone();
        if let Some(title) = self.title {
            match text::name("title", &title, 120) {
                Ok(title) => {
                    quiz.title_folded = Some(text::folded(&title));
                    quiz.title = title;
                }
                Err(error) => wrong("title", error.describe()),
            }
        }
        match self.description {
            Some(Some(description)) => match text::paragraphs("description", &description, 2000) {
                Ok(description) => quiz.description = Some(description).filter(|text| !text.is_empty()),
                Err(error) => wrong("description", error.describe()),
            },
            Some(None) => quiz.description = None,
            None => {}
        }
        if let Some(most) = self.max_attempts {
            if most.is_none_or(|most| (1..=MOST_ATTEMPTS).contains(&most)) {
                quiz.max_attempts = most;
            } else {
                let message = format!("Allow 1 to {MOST_ATTEMPTS} attempts, or any number with null.");
                wrong("maxAttempts", message);
            }
        }
        if let Some(seconds) = self.cooldown_seconds {
            match u64::try_from(seconds).map(Duration::from_secs) {
                Ok(cooldown) if cooldown <= LONGEST_COOLDOWN => quiz.cooldown_ms = i64::from(seconds) * 1000,
                _ => wrong("cooldownSeconds", "A pause is 0 seconds to a year.".to_owned()),
            }
        }
        quiz.opens_at = self.opens_at.unwrap_or(quiz.opens_at);
        quiz.closes_at = self.closes_at.unwrap_or(quiz.closes_at);
        quiz.results_at = self.results_at.unwrap_or(quiz.results_at);
        quiz.review_opens = self.review_opens.unwrap_or(quiz.review_opens);
        quiz.result_opens = self.result_opens.unwrap_or(quiz.result_opens);
        quiz.subject_id = self.subject.unwrap_or(quiz.subject_id);
        if let (Some(opens), Some(closes)) = (quiz.opens_at, quiz.closes_at)
            && closes <= opens
        {
            wrong("closesAt", "A quiz closes after it opens.".to_owned());
        }
        if is_published && !quiz.opens_reviews() {
            let message = "The reviews of this quiz would never open. Set the time at which it closes, or open them \
                           after the submit.";
            wrong("reviewOpens", message.to_owned());
        }
        if errors.is_empty() { Ok(quiz) } else { Err(errors) }
    }
}

/// Changes the settings of a quiz, for an editor who has seen their `version`. All that is wrong with the new ones is told
/// at once, and nothing is written.
pub async fn update(
    site: &Site,
    id: QuizId,
    version: i32,
    settings: Settings,
    reason: &str,
    cause: &Cause,
) -> Result<Result<Published, Vec<UserError>>> {
    let reason = text::reason("reason", reason)?;
    let mut change = Change::begin(site, cause).await?;
    let before = quiz::Entity::held(id).one(&change).await?.ok_or(Error::NotFound)?;
    must_be_there(&before)?;
    if before.version != version {
        let message = "Somebody else has changed this quiz meanwhile. Load it again, and repeat your change.";
        return Err(Error::refused(UserErrorCode::Conflict, message).at("version"));
    }
    let found = life::find(&change, id).await?;
    let is_published = found.revision.state == revision::State::Published;
    let mut after = match settings.apply(&before, is_published) {
        Ok(after) => after,
        Err(errors) => return Ok(Err(errors)),
    };
    if after == before {
        return Ok(Ok(found));
    }
    if after.subject_id != before.subject_id {
        present_subject(&change, after.subject_id, "subjectId").await?;
        change.enqueue(&Recount { quizzes: vec![id] }).await?;
    }
    after.version += 1;
    store(&mut change, &after).await?;
    let (was, became) = differences(&before, &after);
    let entry = Entry::of(Action::QuizChanged, id.encode()).was(was).became(became);
    change.audit(entry.reason(reason.as_str())).await?;
    // Reviews may be open to everybody, or to some, by the new ones.
    change.enqueue(&Release { quiz: id }).await?;
    change.commit().await?;
    Ok(Ok(Published {
        quiz: after,
        revision: found.revision,
    }))
}

/// Shows the withheld results of a quiz whose settings have changed, as far as they open its reviews.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Release {
    pub quiz: QuizId,
}

impl Job for Release {
    const KIND: &'static str = "release";
    const ABOUT: &'static str = "Shows the withheld results of a quiz, as far as its new settings open them.";
}

/// The settings that differ, before and after.
fn differences(before: &quiz::Model, after: &quiz::Model) -> (Value, Value) {
    let settings = |quiz: &quiz::Model| {
        let time = |at: Option<Time>| at.map(|at| at.to_utc());
        let review_opens = sea_orm::ActiveEnum::to_value(&quiz.review_opens);
        let result_opens = sea_orm::ActiveEnum::to_value(&quiz.result_opens);
        let all = json!({
            "title": quiz.title,
            "subject": quiz.subject_id.encode(),
            "description": quiz.description,
            "maxAttempts": quiz.max_attempts,
            "cooldownSeconds": quiz.cooldown_ms / 1000,
            "opensAt": time(quiz.opens_at),
            "closesAt": time(quiz.closes_at),
            "resultsAt": time(quiz.results_at),
            "reviewOpens": review_opens,
            "resultOpens": result_opens,
        });
        match all {
            Value::Object(all) => all,
            _ => Map::new(),
        }
    };
    let (mut was, mut became) = (settings(before), settings(after));
    let same: Vec<_> = was
        .iter()
        .filter(|(key, value)| became.get(*key) == Some(value))
        .map(|(key, _)| key.clone())
        .collect();
    for key in same {
        was.remove(&key);
        became.remove(&key);
    }
    (Value::Object(was), Value::Object(became))
}
