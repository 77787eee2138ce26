//! Rows of a board: a ranked standing and its student's profile.

use std::collections::HashMap;

use crate::{account::Profile, id::UserId, ranks::index::Place};

/// A ranked standing and its student's profile.
#[derive(Clone, Debug)]
pub struct Row {
    pub place: Place,
    pub profile: Profile,
}

/// Standings joined with their students' profiles.
pub fn rows(places: &[Place], profiles: &HashMap<UserId, Profile>) -> Vec<Row> {
    let row = |place: &Place| {
        let profile = profiles.get(&student_of(place))?.clone();
        Some(Row { place: *place, profile })
    };
    places.iter().filter_map(row).collect()
}

/// The student of a row.
pub fn student_of(place: &Place) -> UserId {
    UserId(place.standing.student)
}
