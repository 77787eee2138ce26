//! Accounts.

use sea_orm::{ExprTrait, Set, UpdateMany, entity::prelude::*};

use crate::{
    auth::{Viewer, role::Role},
    clock::Time,
    id::UserId,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// Lower-cased.
    pub email: String,
    pub handle: String,
    pub avatar: Option<String>,
    pub password_hash: String,
    pub role: Role,
    pub opted_out: bool,
    pub demo: bool,
    pub version: i64,
    pub created_at: Time,
    pub access_changed_at: Option<Time>,
    /// The time of the last change of password or address.
    pub credentials_changed_at: Option<Time>,
    pub suspended_at: Option<Time>,
    /// In an admin's words.
    pub suspension_reason: Option<String>,
    pub deleted_at: Option<Time>,
    /// The time the personal data of the deleted account was erased.
    pub erased_at: Option<Time>,
    /// Computed by the database from role, suspension, deletion and choice.
    pub ranked: bool,
}

/// The state of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The account can sign in.
    Active,
    /// The account was suspended by an admin.
    Suspended,
    /// The account was deleted by its owner.
    Deleted,
}

impl Model {
    /// Whether it is there, and an admin's.
    pub fn is_admin(&self) -> bool {
        self.is_active() && self.role == Role::Admin
    }

    /// Whether it is there: neither deleted nor suspended.
    pub fn is_active(&self) -> bool {
        self.deleted_at.is_none() && self.suspended_at.is_none()
    }
}

#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}

impl ActiveModel {
    /// A new account of a student.
    pub fn student(id: UserId, email: String, handle: String, password_hash: String, created_at: Time) -> Self {
        Self {
            id: Set(id),
            email: Set(email),
            handle: Set(handle),
            avatar: Set(None),
            password_hash: Set(password_hash),
            role: Set(Role::Student),
            opted_out: Set(false),
            demo: Set(false),
            version: Set(0),
            created_at: Set(created_at),
            ..Default::default()
        }
    }
}

impl Entity {
    /// Accounts that are there: neither deleted nor suspended.
    pub fn active() -> Select<Self> {
        Self::present().filter(Column::SuspendedAt.is_null())
    }

    /// The account with this address, in whatever state.
    pub fn with_email(email: &str) -> Select<Self> {
        Self::find().filter(Column::Email.eq(email))
    }

    /// Accounts whose address is at this domain, in whatever state.
    pub fn with_domain(domain: &str) -> Select<Self> {
        Self::find().filter(Column::Email.ends_with(format!("@{domain}")))
    }

    /// Demo accounts.
    pub fn demo() -> Select<Self> {
        Self::find().filter(Column::Demo.eq(true))
    }

    /// All accounts, in whatever state; for admins.
    pub fn all() -> Select<Self> {
        Self::find()
    }

    /// All accounts in this state; for admins.
    pub fn in_state(state: State) -> Select<Self> {
        match state {
            State::Active => Self::active(),
            State::Suspended => Self::present().filter(Column::SuspendedAt.is_not_null()),
            State::Deleted => Self::find().filter(Column::DeletedAt.is_not_null()),
        }
    }

    /// Accounts that this viewer can find: those that are not deleted, and for an admin those, too.
    pub fn known_to(viewer: Option<&Viewer>) -> Select<Self> {
        match viewer.map(Viewer::role) {
            Some(Role::Admin) => Self::all(),
            _ => Self::present(),
        }
    }

    /// An update of this account that increments its version. Every change of a student's results or standings locks
    /// this row first; its version orders the changes on boards.
    pub fn grow(id: UserId) -> UpdateMany<Self> {
        Self::update_many()
            .col_expr(Column::Version, Expr::col(Column::Version).add(1i64))
            .filter(Column::Id.eq(id))
    }

    /// Accounts deleted at or before `deleted_by` whose personal data is not erased yet.
    pub fn to_erase(deleted_by: Time) -> Select<Self> {
        Self::find()
            .filter(Column::DeletedAt.lte(deleted_by))
            .filter(Column::ErasedAt.is_null())
    }

    /// Accounts that are not deleted.
    pub fn present() -> Select<Self> {
        Self::find().filter(Column::DeletedAt.is_null())
    }
}
