use proptest::prelude::*;

use super::*;
use crate::ranks::contract::{Model, history};

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn standing(student: u128, score: i64, reached_at: i64) -> Standing {
    Standing {
        student: id(student),
        score,
        reached_at,
    }
}

/// A board of (student, score, reached at), all at version 1.
fn board(standings: &[(u128, i64, i64)]) -> RankIndex {
    RankIndex::from_standings(standings.iter().map(|&(n, score, at)| (standing(n, score, at), 1)))
}

/// (student, rank) of each row.
fn ranks(entries: &[RankedEntry]) -> Vec<(u128, u64)> {
    entries
        .iter()
        .map(|entry| (entry.standing.student.as_u128(), entry.rank))
        .collect()
}

#[test]
fn a_tie_shares_a_rank_and_the_next_rank_counts_it() {
    let index = board(&[(1, 3000, 10), (2, 5000, 10), (3, 3000, 9), (4, 1000, 0)]);
    assert_eq!(ranks(&index.after(None, 9)), [(2, 1), (3, 2), (1, 2), (4, 4)]);
    let entry = index.entry_of(id(1)).unwrap();
    assert_eq!((entry.rank, entry.position), (2, 2));
    assert_eq!(
        [6000, 5000, 4000, 3000, 1000, 0].map(|score| index.rank_of_score(score)),
        [1, 1, 2, 2, 4, 5]
    );
}

#[test]
fn a_tie_at_one_moment_is_listed_by_student() {
    let index = board(&[(9, 1, 1), (7, 1, 1), (8, 1, 1)]);
    assert_eq!(ranks(&index.after(None, 9)), [(7, 1), (8, 1), (9, 1)]);
}

#[test]
fn a_page_that_begins_within_a_tie_keeps_its_rank() {
    let index = board(&[(1, 5, 1), (2, 4, 1), (3, 4, 2), (4, 4, 3), (5, 3, 1)]);
    assert_eq!(
        ranks(&index.after(Some(&standing(2, 4, 1)), 9)),
        [(3, 2), (4, 2), (5, 5)]
    );
    assert_eq!(ranks(&index.around(id(4), 1, 1).unwrap()), [(3, 2), (4, 2), (5, 5)]);
}

#[test]
fn scores_may_be_negative_and_extreme() {
    let index = board(&[
        (1, -250, 0),
        (2, 0, 0),
        (3, i64::MIN, i64::MIN),
        (4, i64::MAX, i64::MAX),
        (5, -250, 1),
    ]);
    assert_eq!(ranks(&index.after(None, 9)), [(4, 1), (2, 2), (1, 3), (5, 3), (3, 5)]);
    assert_eq!(index.rank_of_score(i64::MAX), 1);
    assert_eq!(index.rank_of_score(i64::MIN), 5);
}

#[test]
fn only_a_higher_version_changes_anything() {
    let mut index = board(&[(1, 10, 0)]);
    assert!(
        !index.apply(Update::ranked(standing(1, 20, 1), 1)),
        "the same version again"
    );
    assert!(!index.apply(Update::left(id(1), 0)), "a lower one");
    assert_eq!(index.entry_of(id(1)).unwrap().standing.score, 10);
    assert!(
        index.apply(Update::ranked(standing(1, 5, 2), 2)),
        "a score may fall: a correction"
    );
    assert_eq!(index.entry_of(id(1)).unwrap().standing, standing(1, 5, 2));
}

#[test]
fn who_left_comes_back_only_by_a_later_version() {
    let mut index = board(&[(1, 10, 0), (2, 5, 0)]);
    assert!(index.apply(Update::left(id(1), 4)));
    assert_eq!(
        (index.len(), index.entry_of(id(1)), index.rank_of_score(5)),
        (1, None, 1)
    );
    assert!(!index.apply(Update::ranked(standing(1, 10, 0), 3)), "late");
    assert_eq!(index.around(id(1), 1, 1), None);
    assert!(index.apply(Update::ranked(standing(1, 10, 0), 5)));
    assert_eq!(ranks(&index.after(None, 9)), [(1, 1), (2, 2)]);
    assert!(index.departed.is_empty());
}

#[test]
fn who_left_before_the_snapshot_is_not_brought_back_by_what_it_collected() {
    let mut index = RankIndex::from_updates([Update::left(id(1), 4)]);
    assert!(!index.apply(Update::ranked(standing(1, 10, 0), 3)));
    assert!(index.is_empty());
}

#[test]
fn paging_goes_on_from_a_key_that_moved_away() {
    let mut index = board(&[(1, 40, 0), (2, 30, 0), (3, 20, 0), (4, 10, 0)]);
    let cursor = standing(2, 30, 0);
    index.apply(Update::ranked(standing(2, 50, 9), 2));
    assert_eq!(ranks(&index.after(Some(&cursor), 1)), [(3, 3)]);
    assert_eq!(ranks(&index.before(Some(&cursor), 9)), [(2, 1), (1, 2)]);
    assert_eq!(ranks(&index.before(None, 2)), [(3, 3), (4, 4)]);
}

#[test]
fn a_jump_to_a_rank_that_a_tie_skips_lands_after_the_tie() {
    let index = board(&[(1, 40, 0), (2, 30, 0), (3, 30, 1), (4, 10, 0)]);
    assert_eq!(ranks(&index.from_rank(2, 9)), [(2, 2), (3, 2), (4, 4)]);
    assert_eq!(ranks(&index.from_rank(3, 9)), [(4, 4)]);
    assert_eq!(ranks(&index.from_rank(0, 1)), [(1, 1)]);
    assert_eq!(index.from_rank(5, 9), []);
    assert_eq!(index.from_rank(u64::MAX, usize::MAX), []);
}

#[test]
fn an_empty_board_answers() {
    let mut index = RankIndex::new();
    assert!(index.is_empty() && index.after(None, 9).is_empty() && index.before(None, 9).is_empty());
    assert_eq!(index.rank_of_score(0), 1);
    index.apply(Update::ranked(standing(1, 0, 0), 1));
    index.apply(Update::left(id(1), 2));
    assert!(index.is_empty() && index.from_rank(1, 9).is_empty());
}

#[test]
fn a_board_that_empties_frees_its_memory() {
    let standings: Vec<_> = (0..4000).map(|n| (standing(n, n as i64 % 7, 0), 1)).collect();
    let mut index = RankIndex::from_standings(standings);
    for n in (0..4000).filter(|n| n % 100 != 0) {
        index.apply(Update::left(id(n), 2));
        index.order.check();
    }
    assert_eq!(index.len(), 40);
    assert!(
        index.order.blocks.len() <= 40 / (BLOCK / 4) + 1,
        "{} blocks",
        index.order.blocks.len()
    );
    assert!(
        index
            .order
            .blocks
            .iter()
            .all(|block| block.capacity() <= block.len() + 2 * SLACK)
    );
}

impl Order {
    /// Checks the invariants of the fields.
    fn check(&self) {
        assert_eq!(self.blocks.len(), self.separators.len() + 1);
        assert_eq!(self.lengths, Lengths::of(&self.blocks));
        assert!(self.blocks.iter().flatten().is_sorted_by(|a, b| a < b));
        assert!(self.blocks.iter().all(|block| block.len() <= BLOCK));
        for (i, separator) in self.separators.iter().enumerate() {
            assert!(self.blocks[i].iter().all(|standing| standing <= separator));
            assert!(self.blocks[i + 1].iter().all(|standing| standing > separator));
            assert!(self.blocks[i].len() + self.blocks[i + 1].len() >= BLOCK / 2);
        }
    }
}

proptest! {
    #[test]
    fn its_blocks_keep_what_they_promise(history in history()) {
        let (mut index, mut model) = (RankIndex::new(), Model::default());
        for &update in &history {
            prop_assert_eq!(index.apply(update), model.apply(update), "{:?}", update);
            index.order.check();
        }
        RankIndex::from_updates(history).order.check();
    }

    #[test]
    fn the_order_of_delivery_does_not_matter(
        (sent, met) in history().prop_flat_map(|history| (Just(history.clone()), Just(history).prop_shuffle()))
    ) {
        let [one, other] = [sent, met].map(|updates| {
            let mut index = RankIndex::new();
            updates.into_iter().for_each(|update| _ = index.apply(update));
            index
        });
        prop_assert_eq!(one.after(None, usize::MAX), other.after(None, usize::MAX));
        prop_assert_eq!(one.members, other.members);
        prop_assert_eq!(one.departed, other.departed);
    }
}
