//! Titles of quizzes, as they are looked for: folded, in a column beside the title, so that both databases find the same.

use sea_orm::{
    ColumnTrait, ConnectionTrait, FromQueryResult,
    sea_query::{Expr, Func},
};

use crate::{
    db::{Db, sql},
    entity::quiz,
    error::Result,
    id::QuizId,
    text,
};

/// Titles that one statement reads.
const AT_ONCE: i64 = 500;

/// What a title is looked for by. One that a server of the previous release has written is not folded yet: until
/// [`fold`] has done so, it is found as that release found it.
pub(super) fn looked_for() -> Expr {
    let lower = Func::lower(Expr::col(quiz::Column::Title.as_column_ref()));
    Func::coalesce([Expr::col(quiz::Column::TitleFolded.as_column_ref()), lower.into()]).into()
}

#[derive(FromQueryResult)]
struct Title {
    id: QuizId,
    title: String,
}

/// Folds the titles that are not: those from before the column, and those that servers of the previous release write
/// while they run beside this one. Returns how many there were.
pub async fn fold(db: &Db) -> Result<usize> {
    let conn = db.write();
    let mut folded = 0;
    loop {
        let select = "SELECT id, title FROM quizzes WHERE title_folded IS NULL LIMIT $1";
        let titles = Title::find_by_statement(sql(conn, select, [AT_ONCE.into()]))
            .all(conn)
            .await?;
        if titles.is_empty() {
            return Ok(folded);
        }
        for Title { id, title } in titles {
            // Whoever has changed the title meanwhile has folded it, or left that to the next look.
            let update = "UPDATE quizzes SET title_folded = $1 WHERE id = $2 AND title = $3";
            let values = [text::folded(&title).into(), id.into(), title.into()];
            conn.execute_raw(sql(conn, update, values)).await?;
            folded += 1;
        }
    }
}

/// The quizzes whose title is folded to something else than is stored.
pub(crate) async fn differences(conn: &impl ConnectionTrait) -> Result<Vec<String>> {
    #[derive(FromQueryResult)]
    struct Stored {
        id: QuizId,
        title: String,
        title_folded: String,
    }
    let select = "SELECT id, title, title_folded FROM quizzes WHERE title_folded IS NOT NULL ORDER BY id";
    let stored = Stored::find_by_statement(sql(conn, select, [])).all(conn).await?;
    let wrong = stored
        .iter()
        .filter(|stored| text::folded(&stored.title) != stored.title_folded);
    let line = |stored: &Stored| format!("quiz {}: is not found by its title", stored.id.encode());
    Ok(wrong.map(line).collect())
}
