//! Rows of a board: a place and who has it.

use std::collections::HashMap;

use crate::{account::Profile, id::UserId, ranks::index::Place};

/// A place and who has it.
#[derive(Clone, Debug)]
pub struct Row {
    pub place: Place,
    pub profile: Profile,
}

/// Places with the profiles of those who have them.
pub fn rows(places: &[Place], profiles: &HashMap<UserId, Profile>) -> Vec<Row> {
    let row = |place: &Place| {
        let profile = profiles.get(&student_of(place))?.clone();
        Some(Row { place: *place, profile })
    };
    places.iter().filter_map(row).collect()
}

/// Who has a place.
pub fn student_of(place: &Place) -> UserId {
    UserId(place.standing.student)
}
