//! The dashboard in the API.

use async_graphql::{ComplexObject, Context, Object, SimpleObject};

use crate::{
    api::{
        attempt::Attempt, chapter::Chapter, context::RequestContext, cost::charge, guard::Needs, payload::points,
        scalar::Date, subject::Subject,
    },
    dashboard::{Dashboard, OfChapter, OfDay, OfSubject, Recent, Sums, daily},
    entity::daily_metric,
    error::{Error, Result},
};

/// Activity on one day.
#[derive(SimpleObject)]
pub(crate) struct DailyMetrics {
    /// The day, in the site's time zone.
    day: Date,
    /// The number of accounts created.
    new_accounts: i64,
    /// The number of students who started an attempt.
    active_students: i64,
    /// The number of attempts started.
    attempts_started: i64,
    /// The number of attempts submitted, by students or by the clock.
    attempts_submitted: i64,
}

impl From<daily_metric::Model> for DailyMetrics {
    fn from(row: daily_metric::Model) -> Self {
        Self {
            // Written by us, as a date.
            day: Date(row.day.parse().unwrap_or_default()),
            new_accounts: row.new_accounts,
            active_students: row.active_students,
            attempts_started: row.attempts_started,
            attempts_submitted: row.attempts_submitted,
        }
    }
}

/// Totals over submitted attempts. Results of quizzes whose reviews are still closed are not in them; the attempts are
/// counted.
#[derive(SimpleObject)]
pub(crate) struct Progress {
    /// The number of submitted attempts.
    attempts: i64,
    /// The number of those attempts whose results are not in the other totals yet, as the reviews of their quizzes are
    /// still closed.
    withheld_attempts: i64,
    /// The number of right answers.
    right_count: i64,
    /// The number of wrong answers.
    wrong_count: i64,
    /// The number of questions without an answer.
    blank_count: i64,
    /// The points.
    points: f64,
    /// The points if all answers were right.
    max_points: f64,
    /// The share of right answers among the answered questions, 0 to 1; `null` before the first answer.
    accuracy: Option<f64>,
}

impl From<Sums> for Progress {
    fn from(sums: Sums) -> Self {
        let answered = sums.right_count + sums.wrong_count;
        Self {
            attempts: sums.attempts,
            withheld_attempts: sums.withheld,
            right_count: sums.right_count,
            wrong_count: sums.wrong_count,
            blank_count: sums.blank_count,
            points: points(sums.score),
            max_points: points(sums.max_score),
            accuracy: (answered > 0).then(|| sums.right_count as f64 / answered as f64),
        }
    }
}

/// A student's progress. Includes every submit that has returned.
#[derive(SimpleObject)]
#[graphql(name = "Dashboard", complex)]
pub(crate) struct DashboardOfViewer {
    /// Progress over all subjects.
    total: Progress,
    /// The number of consecutive days with a submit, up to today, or up to yesterday while today has none.
    streak_days: i64,
    #[graphql(skip)]
    lists: Lists,
}

/// The lists of a dashboard.
pub(crate) struct Lists {
    subjects: Vec<OfSubject>,
    chapters: Vec<OfChapter>,
    days: Vec<OfDay>,
    recent: Vec<Recent>,
}

#[ComplexObject]
impl DashboardOfViewer {
    /// Progress by subject, ordered by name.
    async fn subjects(&self, ctx: &Context<'_>) -> Result<Vec<SubjectProgress>> {
        charge(ctx, self.lists.subjects.len())?;
        let subject = |of: &OfSubject| SubjectProgress {
            subject: Subject::new(of.id, of.name.clone()),
            progress: of.sums.into(),
        };
        Ok(self.lists.subjects.iter().map(subject).collect())
    }

    /// Progress by chapter, ordered by name.
    async fn chapters(&self, ctx: &Context<'_>) -> Result<Vec<ChapterProgress>> {
        charge(ctx, self.lists.chapters.len())?;
        let chapter = |of: &OfChapter| ChapterProgress {
            chapter: Chapter::new(of.id, of.subject, of.name.clone()),
            progress: of.sums.into(),
        };
        Ok(self.lists.chapters.iter().map(chapter).collect())
    }

    /// Progress by day in the site's time zone, oldest first; days without a submit are omitted.
    async fn days(&self, ctx: &Context<'_>) -> Result<Vec<DayProgress>> {
        charge(ctx, self.lists.days.len())?;
        let day = |of: &OfDay| DayProgress {
            day: Date(of.day),
            progress: of.sums.into(),
        };
        Ok(self.lists.days.iter().map(day).collect())
    }

    /// The 10 most recently submitted attempts.
    async fn recent_attempts(&self, ctx: &Context<'_>) -> Result<Vec<Attempt>> {
        charge(ctx, self.lists.recent.len())?;
        Ok(self.lists.recent.iter().cloned().map(Attempt::from).collect())
    }
}

/// Progress in a subject.
#[derive(SimpleObject)]
pub(crate) struct SubjectProgress {
    /// The subject.
    subject: Subject,
    /// The totals.
    progress: Progress,
}

/// Progress in a chapter.
#[derive(SimpleObject)]
pub(crate) struct ChapterProgress {
    /// The chapter.
    chapter: Chapter,
    /// The totals.
    progress: Progress,
}

/// Progress on one day.
#[derive(SimpleObject)]
pub(crate) struct DayProgress {
    /// The day, in the site's time zone.
    day: Date,
    /// The totals.
    progress: Progress,
}

impl From<Dashboard> for DashboardOfViewer {
    fn from(dashboard: Dashboard) -> Self {
        Self {
            total: dashboard.total.into(),
            streak_days: dashboard.streak,
            lists: Lists {
                subjects: dashboard.subjects,
                chapters: dashboard.chapters,
                days: dashboard.days,
                recent: dashboard.recent,
            },
        }
    }
}

/// Dashboards: queries.
#[derive(Default)]
pub(crate) struct DashboardQuery;

#[Object]
impl DashboardQuery {
    /// Activity on each day from `from` to `until`, oldest first. A day is included once it is over. For staff.
    #[graphql(guard = "Needs::Staff")]
    async fn daily_metrics(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first day, in the site's time zone.")] from: Date,
        #[graphql(desc = "The last day, at most a year after `from`.")] until: Date,
    ) -> Result<Option<Vec<DailyMetrics>>> {
        let (Date(from), Date(until)) = (from, until);
        if (until - from).num_days() > 366 {
            return Err(Error::BadInput("Request at most 366 days.".into()));
        }
        let conn = ctx.app().db.for_analytics().await;
        let days = daily::days(&conn, from, until).await?;
        Ok(Some(days.into_iter().map(Into::into).collect()))
    }

    /// The viewer's progress.
    #[graphql(guard = "Needs::SignedIn")]
    async fn dashboard(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The number of days that `days` covers, 1 to 366. Defaults to 30.")] days: Option<i32>,
    ) -> Result<Option<DashboardOfViewer>> {
        let days = u32::try_from(days.unwrap_or(30))
            .ok()
            .filter(|days| (1..=366).contains(days));
        let days = days.ok_or_else(|| Error::BadInput("`days` is 1 to 366.".into()))?;
        let dashboard = crate::dashboard::of_viewer(ctx.app(), ctx.viewer()?, days, &ctx.now()).await?;
        Ok(Some(dashboard.into()))
    }
}
