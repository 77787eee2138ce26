//! Ranks of the day before in batches.

use std::{collections::HashMap, convert::Infallible};

use async_graphql::dataloader::Loader;

use super::{
    board::{Board, day_of, midnight},
    query::Question,
};
use crate::{app::App, entity::UserId};

/// Loads the ranks that students had when the day began. Whoever had none has none here; nor has anybody while the
/// index is away: the tables would take too long.
pub struct RanksThisMorning(pub App);

impl Loader<(Board, UserId)> for RanksThisMorning {
    type Value = u64;
    type Error = Infallible;

    async fn load(&self, keys: &[(Board, UserId)]) -> Result<HashMap<(Board, UserId), u64>, Infallible> {
        let app = &self.0;
        let today = day_of(app.clock.now(), app.zone);
        let morning = midnight(today, app.zone);
        let mut students: HashMap<Board, Vec<UserId>> = HashMap::new();
        for (board, student) in keys {
            // A board that began this morning was empty then.
            if board.window.starts_at(app.zone).is_none_or(|start| start < morning) {
                students.entry(*board).or_default().push(*student);
            }
        }
        let mut ranks = HashMap::new();
        for (board, students) in students {
            let questions: Vec<_> = students
                .iter()
                .map(|student| Question::Around(student.0, 0, 0))
                .collect();
            let answers = app
                .boards
                .ask_as_of(&app.db, board, today, &questions)
                .await
                .unwrap_or_default();
            for (student, answer) in students.into_iter().zip(answers) {
                ranks.extend(answer.places.first().map(|place| ((board, student), place.rank)));
            }
        }
        Ok(ranks)
    }
}
