//! Audit log entries: rows that are inserted and sealed, and never changed.

use sea_orm::{Condition, QueryOrder, UpdateMany, entity::prelude::*};

use crate::{
    clock::Time,
    id::{AuditEntryId, UserId},
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit_entries")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: AuditEntryId,
    /// `None`: the command line, or the clock.
    pub actor_id: Option<UserId>,
    pub action: Action,
    /// The typed id of the API.
    pub object_id: String,
    /// JSON: what the action changed, as it was.
    pub was: Option<String>,
    /// JSON: the values after the action.
    pub became: Option<String>,
    pub at: Time,
    pub request_id: Option<String>,
    /// Why, in the words of who acted; erased with the account that it is about.
    pub reason: Option<String>,
    /// The signature of the reason, which stays.
    pub reason_digest: Option<String>,
    /// By whoever wrote the entry, until it is sealed.
    pub signature: Option<String>,
    /// Position in the chain, starting at 1.
    pub seq: Option<i64>,
    pub hash: Option<Vec<u8>>,
    /// The key that sealed it.
    pub key_id: Option<String>,
    pub mac: Option<Vec<u8>>,
}

/// The kind of a recorded action. The list is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
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

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All entries; for admins.
    pub fn log() -> Select<Self> {
        Self::find()
    }

    /// Entries that are not sealed yet, after this one. A lower id may commit later: the sealer takes them as it finds
    /// them.
    pub fn unsealed(after: Option<AuditEntryId>) -> Select<Self> {
        let unsealed = Self::find().filter(Column::Seq.is_null());
        let after = Condition::all().add_option(after.map(|after| Column::Id.gt(after)));
        unsealed.filter(after).order_by_asc(Column::Id)
    }

    /// The chain after a sequence number.
    pub fn sealed_after(seq: i64) -> Select<Self> {
        Self::find().filter(Column::Seq.gt(seq)).order_by_asc(Column::Seq)
    }

    /// The chain before a sequence number, from its end.
    pub fn sealed_before(seq: i64) -> Select<Self> {
        Self::find().filter(Column::Seq.lt(seq)).order_by_desc(Column::Seq)
    }

    /// Entries about an object that have a reason.
    pub fn reasoned(object: &str) -> UpdateMany<Self> {
        let about = Self::update_many().filter(Column::ObjectId.eq(object));
        about.filter(Column::Reason.is_not_null())
    }
}
