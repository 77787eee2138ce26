//! Rows of a board: a ranked standing and its student's profile.

use std::collections::HashMap;

use crate::{account::Profile, id::UserId, ranks::index::RankedEntry};

/// A ranked standing and its student's profile.
#[derive(Clone, Debug)]
pub struct Row {
    pub entry: RankedEntry,
    pub profile: Profile,
}

/// Standings joined with their students' profiles.
pub(crate) fn rows(entries: &[RankedEntry], profiles: &HashMap<UserId, Profile>) -> Vec<Row> {
    let row = |entry: &RankedEntry| {
        let profile = profiles.get(&student_of(entry))?.clone();
        Some(Row { entry: *entry, profile })
    };
    entries.iter().filter_map(row).collect()
}

/// The student of a row.
pub(crate) fn student_of(entry: &RankedEntry) -> UserId {
    UserId(entry.standing.student)
}
