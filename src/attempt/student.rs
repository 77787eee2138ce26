//! The student's row, which orders what happens to a student's results.

use sea_orm::{ConnectionTrait, FromQueryResult};

use crate::{
    db::sql,
    error::{Error, Result},
    id::UserId,
};

#[derive(FromQueryResult)]
pub(super) struct Student {
    pub version: i64,
    pub ranked: bool,
}

/// Whatever changes a student's results or standings goes through this row first, so that no two such transactions can
/// mix or wait for each other in a circle.
pub(super) async fn lock_student(conn: &impl ConnectionTrait, student: UserId) -> Result<Student> {
    let update = sql(
        conn,
        "UPDATE users SET version = version + 1 WHERE id = $1 RETURNING version, ranked",
        [student.into()],
    );
    Student::find_by_statement(update)
        .one(conn)
        .await?
        .ok_or_else(|| Error::internal("an attempt without a student"))
}
