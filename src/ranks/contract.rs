//! The contract of a rank index, wherever its standings are: random histories, queries, and a naive index that sorts a
//! list for each answer. It depends neither on [`RankIndex`] nor on the order of [`Standing`].

use std::{cmp::Reverse, collections::HashMap, sync::Arc};

use proptest::{prelude::*, sample::Index as At, test_runner::TestCaseError};
use uuid::Uuid;

use super::{
    Key,
    board::{Board, Scope, Span, Window},
    index::{RankIndex, RankedEntry, Standing, Update},
    question::{Answer, Question},
    shared::Shared,
};
use crate::{
    clock::{Clock, SystemClock},
    db::{Db, Synchronous},
    fleet::Fleet,
    id::QuizId,
};

/// An index under test, empty at first.
trait Index {
    fn apply(&mut self, updates: &[Update]);

    /// For each query the number of standings, and the ranked rows.
    fn ask(&mut self, questions: &[Question]) -> Vec<(u64, Vec<RankedEntry>)>;
}

fn answers_like_a_sorted_list(
    index: &mut impl Index,
    history: &[Update],
    questions: &[Question],
) -> Result<(), TestCaseError> {
    let mut model = Model::default();
    for updates in history.chunks(history.len().div_ceil(2).max(1)) {
        index.apply(updates);
        updates.iter().for_each(|update| _ = model.apply(*update));
        let total = model.entries().len() as u64;
        for (question, answer) in questions.iter().zip(index.ask(questions)) {
            prop_assert_eq!(answer, (total, model.answer(question)), "{:?}", question);
        }
    }
    Ok(())
}

impl Index for RankIndex {
    fn apply(&mut self, updates: &[Update]) {
        updates.iter().for_each(|update| _ = Self::apply(self, *update));
    }

    fn ask(&mut self, questions: &[Question]) -> Vec<(u64, Vec<RankedEntry>)> {
        let answer = |question: &Question| (self.len() as u64, question.of(self));
        questions.iter().map(answer).collect()
    }
}

/// An index that is built at once from all updates so far.
#[derive(Default)]
struct Rebuilt(Vec<Update>);

impl Index for Rebuilt {
    fn apply(&mut self, updates: &[Update]) {
        self.0.extend(updates);
    }

    fn ask(&mut self, questions: &[Question]) -> Vec<(u64, Vec<RankedEntry>)> {
        RankIndex::from_updates(self.0.clone()).ask(questions)
    }
}

/// A board in Redis, over tables that are empty.
struct InRedis<'a> {
    runtime: &'a tokio::runtime::Runtime,
    shared: &'a Shared,
    db: &'a Db,
    board: Board,
}

impl Index for InRedis<'_> {
    fn apply(&mut self, updates: &[Update]) {
        let key: Key = self.board.key();
        // One by one and all at once must be the same.
        let (some, others) = updates.split_at(updates.len() / 2);
        let others: Vec<_> = others.iter().map(|update| (key.clone(), *update)).collect();
        let work = async {
            // The board is there before anything is applied.
            self.shared.ask(self.db, self.board.key(), &[]).await.expect("a board");
            for update in some {
                self.shared
                    .apply(update.student, update.version, &[(key.clone(), *update)])
                    .await?;
            }
            self.shared.apply(Uuid::nil(), 0, &others).await.map(drop)
        };
        self.runtime.block_on(work).unwrap_or_else(|_| panic!("applies"));
    }

    fn ask(&mut self, questions: &[Question]) -> Vec<(u64, Vec<RankedEntry>)> {
        let answers = self
            .runtime
            .block_on(self.shared.ask(self.db, self.board.key(), questions));
        let rows = |Answer { total, entries, .. }| (total, entries);
        answers.expect("a board").into_iter().map(rows).collect()
    }
}

proptest! {
    #[test]
    fn memory_answers_like_a_sorted_list(history in history(), questions in questions()) {
        answers_like_a_sorted_list(&mut RankIndex::new(), &history, &questions)?;
        answers_like_a_sorted_list(&mut Rebuilt::default(), &history, &questions)?;
    }
}

#[test]
fn redis_answers_like_a_sorted_list() {
    let Ok(url) = std::env::var("TEST_REDIS_URL") else {
        // Past the test runner's capture: what is skipped is to be seen.
        let text = b"The index in Redis is not tested: TEST_REDIS_URL is not set\n";
        std::io::Write::write_all(&mut std::io::stderr(), text).ok();
        return;
    };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let (shared, db) = runtime.block_on(async {
        let db = Db::sqlite(&folder.path().join("empty.db"), Synchronous::Normal).await;
        let db = db.unwrap_or_else(|_| panic!("SQLite opens"));
        db.migrate().await.unwrap_or_else(|_| panic!("migrates"));
        let prefix = format!("test-{}", Uuid::now_v7().simple());
        let fleet = Fleet::new(&url, &prefix, super::shared::scripts().collect()).unwrap_or_else(|_| panic!("a fleet"));
        fleet.join().await.unwrap_or_else(|_| panic!("Redis"));
        (Shared::new(fleet, Arc::new(SystemClock), chrono_tz::Tz::UTC), db)
    });
    let window = Window::at(Span::AllTime, SystemClock.now(), chrono_tz::Tz::UTC);
    proptest!(ProptestConfig::with_cases(128), |(history in history(), questions in questions())| {
        let scope = Scope::Quiz(QuizId(Uuid::now_v7()));
        let mut index = InRedis { runtime: &runtime, shared: &shared, db: &db, board: Board { scope, window } };
        answers_like_a_sorted_list(&mut index, &history, &questions)?;
    });
}

/// The last update of each student.
#[derive(Default)]
pub(super) struct Model(HashMap<Uuid, Update>);

impl Model {
    pub(super) fn apply(&mut self, update: Update) -> bool {
        let newer = self
            .0
            .get(&update.student)
            .is_none_or(|seen| seen.version < update.version);
        if newer {
            self.0.insert(update.student, update);
        }
        newer
    }

    pub(super) fn answer(&self, question: &Question) -> Vec<RankedEntry> {
        let entries = self.entries();
        let all = || entries.iter().copied();
        let last = |n: usize, entries: Vec<RankedEntry>| entries[entries.len().saturating_sub(n)..].to_vec();
        match *question {
            Question::After(from, n) => all()
                .filter(|entry| from.is_none_or(|from| key(&entry.standing) > key(&from)))
                .take(n)
                .collect(),
            Question::Before(to, n) => {
                let before = all().filter(|entry| to.is_none_or(|to| key(&entry.standing) < key(&to)));
                last(n, before.collect())
            }
            Question::FromRank(rank, n) => all().filter(|entry| entry.rank >= rank).take(n).collect(),
            Question::Around(student, above, below) => {
                let Some(at) = all().position(|entry| entry.standing.student == student) else {
                    return Vec::new();
                };
                let after = all().skip(at).take(below + 1);
                last(above, all().take(at).collect()).into_iter().chain(after).collect()
            }
        }
    }

    pub(super) fn entries(&self) -> Vec<RankedEntry> {
        let mut standings: Vec<_> = self
            .0
            .values()
            .filter_map(|update| update.to.map(|to| (update.student, to)))
            .map(|(student, (score, reached_at))| Standing {
                student,
                score,
                reached_at,
            })
            .collect();
        standings.sort_by_key(key);
        let rank = |score| 1 + standings.iter().filter(|other| other.score > score).count() as u64;
        (0..)
            .zip(&standings)
            .map(|(position, &s)| RankedEntry {
                rank: rank(s.score),
                position,
                standing: s,
            })
            .collect()
    }
}

/// `ORDER BY score DESC, reached_at, student`
fn key(standing: &Standing) -> (Reverse<i64>, i64, Uuid) {
    (Reverse(standing.score), standing.reached_at, standing.student)
}

/// Few, so that they meet again; their bytes don't sort as their numbers do.
fn student() -> impl Strategy<Value = Uuid> {
    (1..60_u8).prop_map(|n| Uuid::from_bytes([n.wrapping_mul(171); 16]))
}

/// Many ties, also of score and time.
fn reached() -> impl Strategy<Value = (i64, i64)> {
    ((-4..8_i64).prop_map(|points| points * 250), 0..6_i64)
}

fn standing() -> impl Strategy<Value = Standing> {
    (student(), reached()).prop_map(|(student, (score, reached_at))| Standing {
        student,
        score,
        reached_at,
    })
}

/// Students who join, climb, fall, leave and return; some updates late, some delivered twice. No two different
/// updates have the same student and version.
pub(super) fn history() -> impl Strategy<Value = Vec<Update>> {
    let change = (
        student(),
        prop_oneof![4 => Just(0), 1 => 0..60_usize],
        prop::option::weighted(0.8, reached()),
    );
    let again = prop::option::weighted(0.1, any::<At>());
    prop::collection::vec((change, again), 0..300).prop_map(|steps| {
        let mut history: Vec<Update> = Vec::with_capacity(steps.len());
        for (i, ((student, late, to), again)) in steps.into_iter().enumerate() {
            history.push(match again {
                Some(earlier) if i > 0 => history[earlier.index(i)],
                _ => Update {
                    student,
                    version: (i.saturating_sub(late) * 1000 + i) as i64,
                    to,
                },
            });
        }
        history
    })
}

pub(super) fn questions() -> impl Strategy<Value = Vec<Question>> {
    let n = || 0..20_usize;
    let key = || prop::option::weighted(0.8, standing());
    let question = prop_oneof![
        (key(), n()).prop_map(|(key, n)| Question::After(key, n)),
        (key(), n()).prop_map(|(key, n)| Question::Before(key, n)),
        (0..70_u64, n()).prop_map(|(rank, n)| Question::FromRank(rank, n)),
        (student(), n(), n()).prop_map(|(student, above, below)| Question::Around(student, above, below)),
    ];
    prop::collection::vec(question, 1..60)
}
