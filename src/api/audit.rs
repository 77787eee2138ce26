//! The audit log in the API.

use async_graphql::{Context, Enum, ID, InputObject, Object, OutputType, connection::ConnectionNameType};

use crate::{
    api::payload::if_there,
    api::{
        connection::{Connection, Total, connection},
        context::RequestContext,
        guard::Needs,
        loader::AuditEntries,
        payload::date_time,
        scalar::{DateTime, Json},
        user::{User, user},
    },
    audit::Filter,
    entity::audit_entry::Model,
    error::{Error, Result},
    id::{AuditEntryId, UserId},
    page::Page,
};

/// The kind of a recorded action. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(name = "AuditAction", remote = "crate::audit::Action")]
pub enum AuditAction {
    /// Staff created an account.
    UserCreated,
    /// An account's role was changed.
    RoleChanged,
    /// An admin suspended an account.
    UserSuspended,
    /// An admin reinstated a suspended account.
    UserReinstated,
    /// An account was deleted by its owner.
    UserDeleted,
    /// An admin restored a deleted account.
    UserRestored,
    /// The personal data of a deleted account was erased after its retention period.
    UserErased,
    /// A sign-in failed: the password or the email address was wrong. The object is the account, or a keyed digest of
    /// an address without an account.
    SignInFailed,
    /// Sessions of an account were revoked: by its owner, by staff, or as a consequence of the same request.
    SessionsRevoked,
    /// A refresh token was used a second time; its session was revoked.
    RefreshTokenReused,
    /// An account's password was changed by its owner.
    PasswordChanged,
    /// A password was set with the link of an email.
    PasswordReset,
    /// An account's email address was changed.
    EmailChanged,
    /// Staff sent a question bank to be previewed.
    BankUploaded,
    /// Staff confirmed an import.
    ImportConfirmed,
    /// Staff gave an import up before it was confirmed.
    ImportCancelled,
    /// A quiz was imported as a draft, or questions were imported into its draft.
    QuizImported,
    /// Staff exported a quiz with its answer key.
    QuizExported,
    /// A draft was published.
    QuizPublished,
    /// Staff created a quiz.
    QuizCreated,
    /// The settings of a quiz were changed.
    QuizChanged,
    /// A quiz was withdrawn from the catalogue.
    QuizWithdrawn,
    /// A withdrawn quiz was brought back into the catalogue.
    QuizReinstated,
    /// A quiz was archived.
    QuizArchived,
    /// A quiz was taken out of the archive.
    QuizUnarchived,
    /// A quiz was deleted.
    QuizDeleted,
    /// A deleted quiz was restored.
    QuizRestored,
    /// Staff created a subject.
    SubjectCreated,
    /// A subject was renamed.
    SubjectRenamed,
    /// A subject was merged into another.
    SubjectMerged,
    /// A subject was deleted.
    SubjectDeleted,
    /// A deleted subject was restored.
    SubjectRestored,
    /// Staff created a chapter.
    ChapterCreated,
    /// A chapter was renamed.
    ChapterRenamed,
    /// A chapter was moved among those of its subject.
    ChapterMoved,
    /// A chapter was merged into another.
    ChapterMerged,
    /// A chapter was deleted.
    ChapterDeleted,
    /// A deleted chapter was restored.
    ChapterRestored,
    /// A quiz was copied into a new one, which has a draft.
    QuizDuplicated,
    /// The next draft of a quiz was begun. The object is the draft.
    DraftCreated,
    /// The questions or settings of a draft were changed.
    DraftChanged,
    /// A draft was discarded.
    DraftDiscarded,
    /// A discarded draft was restored.
    DraftRestored,
    /// Staff corrected an answer key, which changes scores.
    ScoreChanged,
    /// Staff uploaded a picture.
    PictureUploaded,
    /// Staff deleted a picture. Questions that have it keep it.
    PictureDeleted,
    /// Staff retried a dead job.
    JobRetried,
    /// An operator accepted the audit log as it was: entries that could not be verified, or were missing. The object is
    /// the last entry of the accepted ones.
    AuditLogAccepted,
}

/// Conditions for audit log entries. Omitted fields match everything.
#[derive(InputObject)]
pub(crate) struct AuditFilter {
    /// Matches actions of this account.
    actor_id: Option<ID>,
    /// Matches actions of this kind.
    action: Option<AuditAction>,
    /// Matches actions on the object with this id.
    object_id: Option<ID>,
    /// Matches entries at or after this time.
    from: Option<DateTime>,
    /// Matches entries before this time.
    until: Option<DateTime>,
}

impl AuditFilter {
    fn decode(self) -> Result<Filter> {
        Ok(Filter {
            actor: self.actor_id.map(|id| UserId::decode(&id)).transpose()?,
            action: self.action.map(Into::into),
            object: self.object_id.map(|ID(id)| id),
            from: self.from.map(Into::into),
            until: self.until.map(Into::into),
        })
    }
}

/// An entry of the audit log. Entries are never changed or removed; `marmalade verify` proves it.
pub(crate) struct AuditEntry(pub(super) Model);

/// An entry of the audit log. Entries are never changed or removed; `marmalade verify` proves it.
#[Object]
impl AuditEntry {
    /// The opaque id.
    pub async fn id(&self) -> ID {
        self.0.id.encode().into()
    }

    /// The account that acted; `null` for the command line, the clock, and requests without a session.
    async fn actor(&self, ctx: &Context<'_>) -> Result<Option<User>> {
        match self.0.actor_id {
            Some(id) => if_there(user(ctx, id).await),
            None => Ok(None),
        }
    }

    /// The kind of action.
    async fn action(&self) -> AuditAction {
        self.0.action.into()
    }

    /// The id of the object. For a sign-in with an address that has no account, a keyed digest of the address.
    async fn object_id(&self) -> ID {
        self.0.object_id.as_str().into()
    }

    /// The changed values before the action.
    async fn before(&self) -> Option<Json> {
        json(self.0.was.as_deref())
    }

    /// The changed values after the action.
    async fn after(&self) -> Option<Json> {
        json(self.0.became.as_deref())
    }

    /// The reason given for the action; `null` if none is asked for, and after the account that it is about was erased.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The time of the action.
    async fn at(&self) -> DateTime {
        date_time(self.0.at)
    }

    /// The id of the request; `null` without a request.
    async fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// Position in the log, starting at 1; `null` until the entry is sealed, within a second.
    async fn sequence(&self) -> Option<i64> {
        self.0.seq
    }
}

fn json(text: Option<&str>) -> Option<Json> {
    text.and_then(|text| serde_json::from_str(text).ok()).map(Json)
}

/// A page of the audit log.
pub(crate) type AuditConnection = Connection<AuditEntry, Total, Name>;

/// The type name of a page of the audit log, which is not the default.
pub(crate) struct Name;

impl ConnectionNameType for Name {
    fn type_name<T: OutputType>() -> String {
        "AuditConnection".into()
    }
}

/// The entry with this id, for admins.
pub(crate) async fn audit_entry(ctx: &Context<'_>, id: AuditEntryId) -> Result<AuditEntry> {
    Needs::Admin.of(ctx)?;
    let found = ctx.loader::<AuditEntries>()?.load_one(id).await?;
    found.map(AuditEntry).ok_or(Error::NotFound)
}

/// The audit log: queries.
#[derive(Default)]
pub(crate) struct AuditQuery;

#[Object]
impl AuditQuery {
    /// The audit log, newest first. For admins.
    #[graphql(guard = "Needs::Admin")]
    async fn audit_log(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Conditions for the entries. Defaults to all.")] filter: Option<AuditFilter>,
        #[graphql(desc = "Returns the first _n_ items, 1 to 100.")] first: Option<i32>,
        #[graphql(desc = "Returns items after this cursor.")] after: Option<String>,
        #[graphql(desc = "Returns the last _n_ items, 1 to 100.")] last: Option<i32>,
        #[graphql(desc = "Returns items before this cursor.")] before: Option<String>,
    ) -> Result<Option<AuditConnection>> {
        let filter = filter.map(AuditFilter::decode).transpose()?.unwrap_or_default();
        let page = Page::of((first, last), (after, before), |cursor| {
            AuditEntryId::decode(cursor).ok()
        })?;
        let slice = crate::audit::list(ctx.app().db.read(), &filter, &page).await?;
        let total = Total::of(move |ctx| {
            let filter = filter.clone();
            Box::pin(async move { crate::audit::count(ctx.app().db.read(), &filter).await })
        });
        Ok(Some(connection(slice, total, |entry| entry.id.encode(), AuditEntry)))
    }
}
