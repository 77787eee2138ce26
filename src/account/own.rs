//! Changes of one's own account.

use sea_orm::{
    ActiveValue::{NotSet, Set},
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QuerySelect,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{RESTORABLE, hash_of, hold, people, store, taken, with_password};
use crate::{
    account::session::{self, Ending},
    audit::{self, Action, Entry},
    auth::{Viewer, revocation::AccountChanged, role::Role},
    change::{Cause, Change},
    clock::{Moment, Time},
    db::sql,
    entity::{
        self, link,
        result::Visibility,
        reviews::{self, Reviews},
        user,
    },
    error::{Error, Result},
    id::UserId,
    jobs::{self, Job, Run},
    site::Site,
    text,
};

/// The changes; `None` keeps a value.
#[derive(Default)]
pub struct Changes {
    pub handle: Option<String>,
    /// `Some(None)` takes the picture away.
    pub avatar: Option<Option<String>>,
    pub opted_out: Option<bool>,
}

/// Changes the viewer's account.
pub async fn update(site: &Site, viewer: &Viewer, changes: Changes, cause: &Cause) -> Result<user::Model> {
    let handle = changes
        .handle
        .map(|handle| text::own_handle("handle", &handle))
        .transpose()?;
    let avatar = match &changes.avatar {
        Some(Some(avatar)) => Some(text::picture("avatar", avatar, &site.config.site.avatar_hosts)?),
        _ => None,
    };
    let mut change = Change::begin(site, cause).await?;
    let changes = user::ActiveModel {
        handle_look: handle.as_deref().map_or(NotSet, |handle| Set(Some(text::look(handle)))),
        handle: handle.map_or(NotSet, Set),
        avatar: changes.avatar.map_or(NotSet, |_| Set(avatar)),
        opted_out: changes.opted_out.map_or(NotSet, Set),
        ..Default::default()
    };
    let update = user::Entity::grow(viewer.user())
        .set(changes)
        .filter(user::Column::DeletedAt.is_null());
    let account = update.exec_with_returning(&change).await.map_err(taken)?.pop();
    let account = account.ok_or(Error::Unauthenticated)?;
    change.emit(AccountChanged::profile(account.id)).await?;
    change.commit().await?;
    Ok(account)
}

/// Sets a new password and revokes all other sessions. Returns their number.
pub(crate) async fn change_password(
    site: &Site,
    viewer: &Viewer,
    old: String,
    new: String,
    cause: &Cause,
) -> Result<usize> {
    let new = text::password("newPassword", &new)?;
    let checked = with_password(site, viewer, old, cause).await?;
    let password_hash = hash_of("newPassword", &new, &cause.now).await?;
    let (mut change, account) = hold(site, &checked, cause).await?;
    store(&mut change, &account, |account| account.password_hash = password_hash).await?;
    let changed = Entry::of(Action::PasswordChanged, account.id.encode());
    change.audit(changed).await?;
    let count = session::end(&mut change, account.id, Ending::Others(viewer.session())).await?;
    change.commit().await?;
    Ok(count)
}

/// Deletes the viewer's account: it leaves every live board and all its sessions end. Staff can restore it for 30 days;
/// then [`erase`] removes what is personal. Its results stay, without a name.
pub(crate) async fn delete(site: &Site, viewer: &Viewer, password: String, cause: &Cause) -> Result<()> {
    let checked = with_password(site, viewer, password, cause).await?;
    let (mut change, before) = hold(site, &checked, cause).await?;
    let delete = |account: &mut user::Model| account.deleted_at = Some(cause.now.at);
    let account = store(&mut change, &before, delete).await?;
    if account.role == Role::Admin {
        people::an_admin_stays(&change, account.id).await?;
    }
    let deleted = Entry::of(Action::UserDeleted, account.id.encode())
        .was(json!({"deletedAt": null}))
        .became(json!({"deletedAt": cause.now.at.to_utc()}));
    change.audit(deleted).await?;
    session::end(&mut change, account.id, Ending::All).await?;
    change.commit().await
}

/// Deletes data whose retention period has ended: sessions, tokens, links, personal data of deleted accounts, done jobs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Purge {}

impl Job for Purge {
    const KIND: &'static str = "purge";
    const ABOUT: &'static str = "Deletes data whose retention period has ended.";
}

impl Run for Purge {
    type Context = Site;

    async fn run(self, site: &Site, _: Time, now: &Moment) -> Result<()> {
        session::purge(site, now).await?;
        while erase(site, now).await? > 0 {}
        jobs::forget(site.db.write(), now.at, RESTORABLE).await
    }
}

/// Erases the personal data of accounts deleted 30 days ago. Returns their number.
pub async fn erase(site: &Site, now: &Moment) -> Result<usize> {
    const AT_ONCE: u64 = 100;
    let due: Vec<UserId> = user::Entity::to_erase(now.at - RESTORABLE)
        .select_only()
        .column(user::Column::Id)
        .limit(AT_ONCE)
        .into_tuple()
        .all(site.db.read())
        .await?;
    for id in &due {
        let change = Change::begin(site, &Cause::clock(now)).await?;
        // Neither the handle nor the address can be registered: they do not have the required form.
        let placeholder = format!("erased-{}", id.0.simple());
        let nothing = user::ActiveModel {
            email: Set(placeholder.clone()),
            handle: Set(placeholder),
            handle_look: Set(None),
            avatar: Set(None),
            suspension_reason: Set(None),
            password_hash: Set(String::new()),
            erased_at: Set(Some(now.at)),
            ..Default::default()
        };
        let account = user::Entity::update_many()
            .set(nothing)
            .filter(user::Column::Id.eq(*id))
            .filter(user::Column::ErasedAt.is_null());
        if account.exec(&change).await?.rows_affected == 0 {
            // By another server.
            continue;
        }
        let from_nowhere = entity::session::ActiveModel {
            user_agent: Set(None),
            address: Set(None),
            ..Default::default()
        };
        entity::session::Entity::update_many()
            .set(from_nowhere)
            .filter(entity::session::Column::UserId.eq(*id))
            .exec(&change)
            .await?;
        link::Entity::delete_many()
            .filter(link::Column::UserId.eq(*id))
            .exec(&change)
            .await?;
        audit::forget_reasons(&change, &id.encode()).await?;
        change.audit(Entry::of(Action::UserErased, id.encode())).await?;
        change.commit().await?;
    }
    Ok(due.len())
}

/// All stored data of the viewer. Five statements.
pub(crate) async fn export(site: &Site, viewer: &Viewer, now: &Moment) -> Result<serde_json::Value> {
    let conn = site.db.read();
    let account = super::own(conn, viewer).await?;
    let sessions = rows(
        conn,
        viewer,
        "SELECT client, user_agent, address, created_at, used_at, revoked_at FROM sessions WHERE user_id = $1 ORDER BY id",
    );
    let attempts = attempts(conn, viewer, now);
    let answers = rows(
        conn,
        viewer,
        "SELECT v.title AS quiz, a.number AS attempt, q.position AS question, c.text AS choice, \
           (SELECT STRING_AGG(o.text, '; ') FROM choices o \
            WHERE o.question_id = q.id AND (s.choice_set >> o.position) & 1 = 1) AS choices, \
           s.number, s.answered_at \
         FROM attempts a JOIN quizzes v ON v.id = a.quiz_id JOIN answers s ON s.attempt_id = a.id \
         JOIN questions q ON q.id = s.question_id LEFT JOIN choices c ON c.id = s.choice_id \
         WHERE a.student_id = $1 ORDER BY a.id, q.position",
    );
    let standings = rows(
        conn,
        viewer,
        "SELECT window_key, score AS score_thousandths, reached_at FROM standings WHERE student_id = $1 \
         ORDER BY window_key, scope_id",
    );
    Ok(json!({
        "exported_at": now.at.to_utc(),
        "times": "microseconds since 1970-01-01 UTC",
        "account": {
            "id": account.id.encode(),
            "email": account.email,
            "handle": account.handle,
            "avatar": account.avatar,
            "role": account.role,
            "email_confirmed_at": account.email_confirmed_at.map(Time::to_utc),
            "hidden_from_boards": account.opted_out,
            "created_at": account.created_at,
        },
        "sessions": sessions.await?,
        "attempts": attempts.await?,
        "answers": answers.await?,
        "standings": standings.await?,
    }))
}

/// An attempt as the export has it; of its result, what its student may see.
#[derive(Serialize, FromQueryResult)]
struct Attempt {
    quiz: String,
    number: i32,
    state: String,
    started_at: Time,
    deadline_at: Time,
    submitted_at: Option<Time>,
    submitted_by: Option<String>,
    late: bool,
    ranked: bool,
    score_thousandths: Option<i64>,
    right_count: Option<i32>,
    wrong_count: Option<i32>,
    blank_count: Option<i32>,
    #[serde(skip)]
    visibility: Option<Visibility>,
    #[serde(skip)]
    #[sea_orm(nested)]
    reviews: Reviews,
}

impl Attempt {
    /// The same without what its student may not see yet.
    fn shown(mut self, now: &Moment) -> Self {
        let visibility = self.visibility.unwrap_or(Visibility::Full);
        if visibility != Visibility::Full && !self.reviews.are_open(now.at) {
            (self.right_count, self.wrong_count, self.blank_count) = (None, None, None);
            self.score_thousandths = self.score_thousandths.filter(|_| visibility == Visibility::Points);
        }
        self
    }
}

async fn attempts(conn: &impl ConnectionTrait, viewer: &Viewer, now: &Moment) -> Result<Vec<Attempt>> {
    let select = sql(
        conn,
        format!(
            "SELECT v.title AS quiz, a.number, a.state, a.started_at, a.deadline_at, a.submitted_at, a.submitted_by, \
                    a.late, a.ranked, r.score AS score_thousandths, r.right_count, r.wrong_count, r.blank_count, \
                    r.visibility, {} \
             FROM attempts a JOIN quizzes v ON v.id = a.quiz_id LEFT JOIN results r ON r.attempt_id = a.id \
             WHERE a.student_id = $1 ORDER BY a.id",
            reviews::columns("v", "v.id", "$1")
        ),
        [viewer.user().into()],
    );
    let attempts = Attempt::find_by_statement(select).all(conn).await?;
    Ok(attempts.into_iter().map(|attempt| attempt.shown(now)).collect())
}

/// The viewer's rows as JSON objects.
async fn rows(conn: &impl ConnectionTrait, viewer: &Viewer, select: &str) -> Result<Vec<serde_json::Value>> {
    let select = sql(conn, select, [viewer.user().into()]);
    Ok(sea_orm::JsonValue::find_by_statement(select).all(conn).await?)
}
