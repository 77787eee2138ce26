//! Roles: what an account may do.

use sea_orm::{DeriveActiveEnum, EnumIter};

/// The role of an account, which determines its permissions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumIter, DeriveActiveEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Takes quizzes and is ranked on boards.
    Student,
    /// Staff. Writes, imports and publishes content.
    Editor,
    /// Staff. Also manages accounts and reads the audit log.
    Admin,
}

impl Role {
    /// Editors and admins.
    pub fn is_staff(self) -> bool {
        self != Self::Student
    }
}
