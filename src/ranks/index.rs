//! The rank index: one board in memory.
//!
//! It is derived from the tables and never stored. Updates arrive after the commit, in any order and any number of
//! times; each carries a version and the absolute score, and only a higher version than the stored one changes
//! anything. So the same updates give the same index, however they were delivered.
//!
//! # Structure
//!
//! The standings are sorted, best first, in blocks of at most 512. Separators between the blocks find the block of a
//! key by binary search; a Fenwick tree over the blocks' lengths converts a block to a position and back. One map holds
//! each student's state, another the versions of those who left.
//!
//! A query takes O(log n) plus the rows it returns. An update takes O(log n) comparisons and moves at most 16 KiB
//! within a block; occasionally (amortised, once in some hundred updates) a split or a merge recomputes the n / 350
//! lengths.
//!
//! # Why this one
//!
//! Measured on a two-core machine with other work on it, a million students, 181 distinct scores, ordered part
//! alone. Bytes are per standing: built from sorted input; and after 200,000 students climbed from zero in ten
//! steps each, in random order, as students do.
//!
//! | ordered part | build, sorted | update | rank | page of 50 | bytes, built | bytes, climbed |
//! |---|---|---|---|---|---|---|
//! | these blocks | 31 ms | 2.2 µs | 0.9 µs | 0.07 µs | 32 | 47 |
//! | indexset 0.18 `BTreeSet` | 53 ms | 2.1 µs | 0.9 µs | 0.19 µs | 64 | 411 |
//! | wabi_tree 0.1 `OSBTreeSet` | 45 ms | 2.3 µs, once 26 ms | 1.1 µs | 1.8 µs | 42 | 107 |
//! | a set for each score | 54 ms | 1.5 µs | 0.7 µs | 0.20 µs | 48 | not measured |
//!
//! Times are similar, since all wait for memory; memory use decides. indexset neither merges nodes nor releases their
//! memory, so a board on which everyone climbs grows without need. A set for each score is the fastest with few scores;
//! with 100,000 distinct ones a standing takes 247 bytes and an update 8 µs, against 32 bytes and 3 µs here.
//!
//! The maps are B-trees: 42 to 62 bytes a student and no pauses. A hash map answers in 0.2 instead of 0.6 µs but
//! takes 86 bytes at a million, and the one insertion that makes it grow holds the board for 50 to 80 ms.
//!
//! The whole index, a million students: 74 bytes a student once built, 122 while it is built, up to 109 after long use,
//! by a counting allocator; by `benches/rank_index.rs`, built in 0.3 s in any order, update 3.1 µs, a student's rank
//! 2.3 µs, ten around it 2.6 µs, a page of 50 at the middle 0.4 µs.

use std::{cmp::Ordering, collections::BTreeMap};

use uuid::Uuid;

/// Standings in a block at most. Small in tests, so that a short history splits and merges many blocks.
const BLOCK: usize = if cfg!(test) { 8 } else { 512 };

/// Room that a block takes at once when it is full, in standings.
const SLACK: usize = BLOCK / 8;

/// A student's row on the board.
///
/// The order is the board's, so the best standing is the least: higher scores first; within a tie who reached the score
/// first; then by student.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Standing {
    /// The account.
    pub student: Uuid,
    /// Thousandths of a point; may be negative.
    pub score: i64,
    /// The time the score was reached, in microseconds since the epoch.
    pub reached_at: i64,
}

impl Standing {
    /// The standing of `student`: the score, and the time it was reached.
    pub const fn of(student: Uuid, (score, reached_at): (i64, i64)) -> Self {
        Self {
            student,
            score,
            reached_at,
        }
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        other
            .score
            .cmp(&self.score)
            .then_with(|| self.reached_at.cmp(&other.reached_at))
            .then_with(|| self.student.cmp(&other.student))
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// A change of one student's standing on this board, with its version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Update {
    /// The account.
    pub student: Uuid,
    /// Grows with each change of the student's standing on this board.
    pub version: i64,
    /// The absolute score (thousandths of a point) and when it was reached (microseconds since the epoch); `None` when
    /// the student is no longer ranked here.
    pub to: Option<(i64, i64)>,
}

impl Update {
    /// The student has this standing.
    pub const fn ranked(standing: Standing, version: i64) -> Self {
        let to = Some((standing.score, standing.reached_at));
        Self {
            to,
            ..Self::left(standing.student, version)
        }
    }

    /// The student left the board.
    pub const fn left(student: Uuid, version: i64) -> Self {
        Self {
            student,
            version,
            to: None,
        }
    }
}

/// A standing and where it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RankedEntry {
    /// 1 + the number of students with a higher score: 1, 2, 2, 4.
    pub rank: u64,
    /// The number of standings listed before this one.
    pub position: u64,
    /// The standing.
    pub standing: Standing,
}

impl RankedEntry {
    /// Consecutive standings from a position on, the first of which has this rank. Within a tie the rank is that of the
    /// previous one, else the position's.
    pub fn in_order(rank: u64, start: u64, standings: impl IntoIterator<Item = Standing>) -> Vec<Self> {
        let mut entries: Vec<Self> = Vec::new();
        for (position, standing) in (start..).zip(standings) {
            let rank = match entries.last() {
                None => rank,
                Some(previous) if previous.standing.score == standing.score => previous.rank,
                Some(_) => position + 1,
            };
            entries.push(Self {
                rank,
                position,
                standing,
            });
        }
        entries
    }
}

/// The stored state of a ranked student.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    version: i64,
    /// Score and when it was reached, as in [`Update::to`].
    reached: (i64, i64),
}

/// One board: every ranked student's standing, in order and by student. See the [module](self) for its structure.
#[derive(Clone, Debug, Default)]
pub struct RankIndex {
    order: Order,
    members: BTreeMap<Uuid, Member>,
    /// Versions at which students left, so that a delayed older update does not bring one back.
    departed: BTreeMap<Uuid, i64>,
}

impl RankIndex {
    /// A board without students.
    pub fn new() -> Self {
        Self::default()
    }

    /// Builds a board from standings and their versions, in any order, in O(n log n): see [`Self::from_updates`].
    pub fn from_standings(standings: impl IntoIterator<Item = (Standing, i64)>) -> Self {
        let ranked = |(standing, version)| Update::ranked(standing, version);
        Self::from_updates(standings.into_iter().map(ranked))
    }

    /// Builds the board that applying `updates` one by one would give, in O(n log n).
    ///
    /// A rebuild should give the students who left, too: otherwise an update from before they left, collected while the
    /// snapshot was taken, brings them back.
    pub fn from_updates(updates: impl IntoIterator<Item = Update>) -> Self {
        let mut updates: Vec<Update> = updates.into_iter().collect();
        updates.sort_unstable_by(|a, b| a.student.cmp(&b.student).then_with(|| b.version.cmp(&a.version)));
        updates.dedup_by_key(|update| update.student);

        let standing = |update: &Update| update.to.map(|reached| Standing::of(update.student, reached));
        let mut standings: Vec<Standing> = updates.iter().filter_map(standing).collect();
        standings.sort_unstable();
        let order = Order::from_sorted(standings);

        let departed = |update: &Update| update.to.is_none().then_some((update.student, update.version));
        let departed = updates.iter().filter_map(departed).collect();
        // By value, so that the vector's own memory is used again on the way to the tree.
        let members = updates.into_iter().filter_map(|Update { student, version, to }| {
            let reached = to?;
            Some((student, Member { version, reached }))
        });
        Self {
            members: members.collect(),
            order,
            departed,
        }
    }

    /// Applies `update` if its version is higher than the one held, and says whether it was.
    ///
    /// O(log n), see the [module](self).
    pub fn apply(&mut self, update: Update) -> bool {
        let Update { student, version, to } = update;
        let member = self.members.get(&student).copied();
        let seen = member
            .map(|member| member.version)
            .or_else(|| self.departed.get(&student).copied());
        if seen.is_some_and(|seen| seen >= version) {
            return false;
        }
        match member {
            Some(member) => self.order.remove(&Standing::of(student, member.reached)),
            None => _ = self.departed.remove(&student),
        }
        match to {
            Some(reached) => {
                self.members.insert(student, Member { version, reached });
                self.order.insert(Standing::of(student, reached));
            }
            None => {
                self.members.remove(&student);
                self.departed.insert(student, version);
            }
        }
        true
    }

    /// The score of `student` and the time it was reached; `None` if not ranked here.
    pub fn reached_by(&self, student: Uuid) -> Option<(i64, i64)> {
        self.members.get(&student).map(|member| member.reached)
    }

    /// The number of ranked students.
    pub fn len(&self) -> usize {
        self.members.len()
    }

    /// Whether no student is ranked.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// The rank and position of `student`; `None` if not ranked here. O(log n).
    pub fn entry_of(&self, student: Uuid) -> Option<RankedEntry> {
        let standing = Standing::of(student, self.members.get(&student)?.reached);
        Some(RankedEntry {
            rank: self.rank_of_score(standing.score),
            position: self.order.partition_point(|other| *other < standing) as u64,
            standing,
        })
    }

    /// The rank that `score` (thousandths of a point) has or would have: 1 + the number of higher ones. O(log n).
    pub fn rank_of_score(&self, score: i64) -> u64 {
        1 + self.order.partition_point(|standing| standing.score > score) as u64
    }

    /// The first `n` standings after `key`, or from the start; fewer at the end. O(log n + n).
    ///
    /// The key need not be on the board: its position in the order counts.
    pub fn after(&self, key: Option<&Standing>, n: usize) -> Vec<RankedEntry> {
        let start = key.map_or(0, |key| self.order.partition_point(|standing| standing <= key));
        self.entries(start, n)
    }

    /// The last `n` standings before `key`, or from the end, best first; fewer at the start. O(log n + n).
    ///
    /// The key need not be on the board: its position in the order counts.
    pub fn before(&self, key: Option<&Standing>, n: usize) -> Vec<RankedEntry> {
        let end = key.map_or(self.len(), |key| self.order.partition_point(|standing| standing < key));
        let start = end.saturating_sub(n);
        self.entries(start, end - start)
    }

    /// The first `n` standings with `rank` or the next one that exists. O(log n + n).
    ///
    /// If two share rank 2, rank 3 does not exist, and a jump to it lands on rank 4.
    pub fn from_rank(&self, rank: u64, n: usize) -> Vec<RankedEntry> {
        let position = usize::try_from(rank.saturating_sub(1)).unwrap_or(usize::MAX);
        let Some(score) = self.order.iter_from(position).next().map(|standing| standing.score) else {
            return Vec::new();
        };
        if self.rank_of_score(score) >= rank {
            self.entries(position, n)
        } else {
            self.entries(self.order.partition_point(|standing| standing.score >= score), n)
        }
    }

    /// The standing of `student` with up to `above` before and `below` after it; `None` if not ranked here. O(log n +
    /// above + below).
    pub fn around(&self, student: Uuid, above: usize, below: usize) -> Option<Vec<RankedEntry>> {
        let standing = Standing::of(student, self.members.get(&student)?.reached);
        let position = self.order.partition_point(|other| *other < standing);
        let start = position.saturating_sub(above);
        Some(self.entries(start, (position - start).saturating_add(1).saturating_add(below)))
    }

    /// Up to `n` standings from `start` on.
    fn entries(&self, start: usize, n: usize) -> Vec<RankedEntry> {
        let Some(first) = self.order.iter_from(start).next().filter(|_| n > 0) else {
            return Vec::new();
        };
        let standings = self.order.iter_from(start).take(n).copied();
        RankedEntry::in_order(self.rank_of_score(first.score), start as u64, standings)
    }
}

/// A sorted sequence of standings that knows its positions.
#[derive(Clone, Debug)]
struct Order {
    /// At least one; sorted within and among themselves.
    blocks: Vec<Vec<Standing>>,
    /// `separators[i]` is not before any of `blocks[i]` and before all of `blocks[i + 1]`; it need not be on the board.
    separators: Vec<Standing>,
    lengths: Lengths,
}

impl Default for Order {
    fn default() -> Self {
        Self::from_sorted(Vec::new())
    }
}

impl Order {
    fn from_sorted(standings: Vec<Standing>) -> Self {
        // Room is left, so that the first updates don't split every block.
        let mut blocks: Vec<_> = standings.chunks(BLOCK - 2 * SLACK).map(<[_]>::to_vec).collect();
        let separators = blocks.windows(2).filter_map(|pair| pair[0].last().copied()).collect();
        if blocks.is_empty() {
            blocks.push(Vec::new());
        }
        Self {
            lengths: Lengths::of(&blocks),
            separators,
            blocks,
        }
    }

    /// The block, and the offset in it, of the first standing for which `before` is false. As with a slice's
    /// `partition_point`, those for which it is true must all come first.
    fn locate(&self, before: impl Fn(&Standing) -> bool) -> (usize, usize) {
        let block = self.separators.partition_point(&before);
        (block, self.blocks[block].partition_point(&before))
    }

    /// The number of standings for which `before` is true; they must all come first.
    fn partition_point(&self, before: impl Fn(&Standing) -> bool) -> usize {
        let (block, offset) = self.locate(before);
        self.lengths.before(block) + offset
    }

    /// All standings from `position` on; none if there are not so many.
    fn iter_from(&self, position: usize) -> impl Iterator<Item = &Standing> {
        let (block, offset) = self.lengths.locate(position);
        self.blocks[block..].iter().flatten().skip(offset)
    }

    fn insert(&mut self, standing: Standing) {
        let (index, offset) = self.locate(|other| *other < standing);
        let block = &mut self.blocks[index];
        if block.len() == block.capacity() {
            // Doubling, a vector's own way, would leave a third of all room unused.
            block.reserve_exact(SLACK);
        }
        block.insert(offset, standing);
        self.lengths.add(index, 1);
        if self.blocks[index].len() > BLOCK {
            self.split(index);
        }
    }

    /// Takes out a standing that is there.
    fn remove(&mut self, standing: &Standing) {
        let (index, offset) = self.locate(|other| other < standing);
        let block = &mut self.blocks[index];
        debug_assert_eq!(block.get(offset), Some(standing), "every held student is in the order");
        block.remove(offset);
        if block.capacity() > block.len() + 2 * SLACK {
            block.shrink_to(block.len() + SLACK);
        }
        self.lengths.add(index, -1);
        self.merge(index);
        if index > 0 {
            self.merge(index - 1);
        }
    }

    /// Halves a block.
    fn split(&mut self, index: usize) {
        let block = &mut self.blocks[index];
        let upper = block.split_off(block.len() / 2);
        block.shrink_to(block.len() + SLACK);
        self.separators.insert(index, block[block.len() - 1]);
        self.blocks.insert(index + 1, upper);
        self.lengths = Lengths::of(&self.blocks);
    }

    /// Joins a block and the next if they fill less than half of one: half, so that neither a split nor a merge is soon
    /// undone.
    fn merge(&mut self, index: usize) {
        let Some(next) = self.blocks.get(index + 1) else { return };
        if self.blocks[index].len() + next.len() < BLOCK / 2 {
            let upper = self.blocks.remove(index + 1);
            self.separators.remove(index);
            self.blocks[index].reserve_exact(upper.len());
            self.blocks[index].extend(upper);
            self.lengths = Lengths::of(&self.blocks);
        }
    }
}

/// The lengths of the blocks as a Fenwick tree (P. Fenwick, "A new data structure for cumulative frequency tables",
/// 1994), counted from 0: entry `i` holds the sum of the lengths from `i & (i + 1)` to `i`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Lengths(Vec<usize>);

impl Lengths {
    /// O(blocks).
    fn of(blocks: &[Vec<Standing>]) -> Self {
        let mut sums: Vec<usize> = blocks.iter().map(Vec::len).collect();
        for i in 0..sums.len() {
            let parent = i | (i + 1);
            if parent < sums.len() {
                sums[parent] += sums[i];
            }
        }
        Self(sums)
    }

    /// A block grew or shrank.
    fn add(&mut self, block: usize, change: isize) {
        let mut i = block;
        while let Some(sum) = self.0.get_mut(i) {
            *sum = sum.wrapping_add_signed(change);
            i |= i + 1;
        }
    }

    /// The number of standings in all blocks before this one.
    fn before(&self, block: usize) -> usize {
        let (mut i, mut sum) = (block, 0);
        while i > 0 {
            sum += self.0[i - 1];
            i &= i - 1;
        }
        sum
    }

    /// The block of a position and the offset in it; past the last block if there are not so many standings.
    fn locate(&self, position: usize) -> (usize, usize) {
        let (mut block, mut offset) = (0, position);
        let mut step = self.0.len().next_power_of_two();
        while step > 0 {
            if let Some(&sum) = self.0.get(block + step - 1)
                && sum <= offset
            {
                block += step;
                offset -= sum;
            }
            step /= 2;
        }
        (block, offset)
    }
}

#[cfg(test)]
mod tests;
