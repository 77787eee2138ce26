//! Accounts.

use sea_orm::{
    ExprTrait, QueryOrder, QuerySelect, Set, UpdateMany,
    entity::prelude::*,
    sea_query::{Func, LockType, Query},
};

use crate::{
    auth::{Viewer, role::Role},
    clock::Time,
    entity::{link, refresh_token, session},
    id::UserId,
    text,
};

#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: UserId,
    /// Lower-cased.
    pub email: String,
    pub handle: String,
    /// What the handle looks like; without one it looks like an older account's, or is erased.
    pub handle_look: Option<String>,
    pub avatar: Option<String>,
    pub password_hash: String,
    pub role: Role,
    pub opted_out: bool,
    pub demo: bool,
    pub version: i64,
    pub created_at: Time,
    pub access_changed_at: Option<Time>,
    /// Grows with every change of role, suspension or deletion. An access token is issued for one version.
    pub access_version: i64,
    /// The time of the last change of password or address; for the previous release.
    pub credentials_changed_at: Option<Time>,
    /// Grows with those, and with every change of password or address. A sign-in, a check of the password or a link that
    /// began under a lower version is good for nothing.
    pub credentials_version: i64,
    /// The time the owner last proved to receive mail at the address.
    pub email_confirmed_at: Option<Time>,
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

    /// Whether it can be entered with what was checked when it was `earlier`: it is there, and since then nothing has
    /// changed that decides who may come in.
    pub fn is_entered_as(&self, earlier: &Self) -> bool {
        self.is_active() && self.credentials_version == earlier.credentials_version
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
            handle_look: Set(Some(text::look(&handle))),
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

    /// Accounts whose handle is this one, or can't be told from it.
    pub fn alike(handle: &str) -> Select<Self> {
        let same = Expr::expr(Func::lower(Expr::col(Column::Handle))).eq(handle.to_ascii_lowercase());
        Self::find().filter(Column::HandleLook.eq(text::look(handle)).or(same))
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

    /// These accounts, in whatever state, which nobody else changes until the transaction ends. In the order of their ids,
    /// so that two transactions which hold the same ones wait for each other in turn.
    pub fn held(ids: impl IntoIterator<Item = UserId>) -> Select<Self> {
        Self::find()
            .filter(Column::Id.is_in(ids))
            .order_by_asc(Column::Id)
            .lock(LockType::NoKeyUpdate)
    }

    /// The account of a refresh token, held; for refreshing only.
    pub fn held_of_refresh_token(hash: &[u8]) -> Select<Self> {
        let session = Query::select()
            .column(refresh_token::Column::SessionId)
            .from(refresh_token::Entity)
            .and_where(refresh_token::Column::Hash.eq(hash))
            .to_owned();
        let owner = Query::select()
            .column(session::Column::UserId)
            .from(session::Entity)
            .and_where(session::Column::Id.in_subquery(session))
            .to_owned();
        Self::find()
            .filter(Column::Id.in_subquery(owner))
            .lock(LockType::NoKeyUpdate)
    }

    /// The account of a link, held; for redeeming only.
    pub fn held_of_link(hash: &[u8]) -> Select<Self> {
        let owner = Query::select()
            .column(link::Column::UserId)
            .from(link::Entity)
            .and_where(link::Column::Hash.eq(hash))
            .to_owned();
        Self::find()
            .filter(Column::Id.in_subquery(owner))
            .lock(LockType::NoKeyUpdate)
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
