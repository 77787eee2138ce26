//! What was done, by whom, to what: rows that are added and sealed, and never changed.

use sea_orm::{QueryOrder, entity::prelude::*};

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
    /// JSON: the same, as it became.
    pub became: Option<String>,
    pub at: Time,
    pub request_id: Option<String>,
    /// The place in the chain, from 1.
    pub seq: Option<i64>,
    pub hash: Option<Vec<u8>>,
    pub key_id: Option<String>,
    pub mac: Option<Vec<u8>>,
}

/// What was done. The closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, async_graphql::Enum, serde::Serialize)]
#[graphql(name = "AuditAction")]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Action {
    /// Staff made an account.
    UserCreated,
    /// An account got another role.
    RoleChanged,
    /// An admin shut an account out.
    UserSuspended,
    /// An admin let a suspended account in again.
    UserReinstated,
    /// Somebody deleted their account.
    UserDeleted,
    /// An admin restored a deleted account.
    UserRestored,
    /// The clock removed what was personal of a deleted account.
    UserErased,
    /// A password or an e-mail address was wrong. The object is the account, or a keyed digest of an address without one.
    SignInFailed,
    /// Sessions of an account were ended: by its owner, by staff, or by what else this request did.
    SessionsRevoked,
    /// A refresh token was used a second time; the session that it belongs to was ended.
    RefreshTokenReused,
    /// Somebody gave their account another password.
    PasswordChanged,
    /// A password was set by a link.
    PasswordReset,
    /// An account got another e-mail address.
    EmailChanged,
    /// A quiz was imported as a draft.
    QuizImported,
    /// A draft was published.
    QuizPublished,
    /// Staff changed what attempts are worth.
    ScoreChanged,
    /// Staff had a job that was given up run again.
    JobRetried,
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl Entity {
    /// All entries; for admins.
    pub fn log() -> Select<Self> {
        Self::find()
    }

    /// What the sealer has not met yet. A lower id may be committed later: whoever reads these takes them as they come.
    pub fn unsealed() -> Select<Self> {
        Self::find().filter(Column::Seq.is_null()).order_by_asc(Column::Id)
    }

    /// The chain after a place in it.
    pub fn sealed_after(seq: i64) -> Select<Self> {
        Self::find().filter(Column::Seq.gt(seq)).order_by_asc(Column::Seq)
    }

    /// The end of the chain.
    pub fn head() -> Select<Self> {
        Self::find()
            .filter(Column::Seq.is_not_null())
            .order_by_desc(Column::Seq)
    }
}
