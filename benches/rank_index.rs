//! What one board's rank index costs, at ten thousand, a hundred thousand and a million students.
//!
//! `cargo bench --bench rank_index`. Scores are those of a quiz of 180 questions, so ties are long.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use marmalade::ranks::index::{RankIndex, Standing, Update};
use uuid::Uuid;

const SIZES: [usize; 3] = [10_000, 100_000, 1_000_000];

/// SplitMix64 (Steele, Lea, Flood 2014): the same standings in each run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// Most are near the middle.
    fn score(&mut self) -> i64 {
        (0..4).map(|_| self.below(46) as i64).sum::<i64>() * 1000
    }

    fn student(&mut self) -> Uuid {
        Uuid::from_u64_pair(self.next(), self.next())
    }
}

/// `n` standings in no order, reached within one day.
fn standings(n: usize, random: &mut Random) -> Vec<Standing> {
    let day = 86_400_000_000;
    (0..n)
        .map(|_| Standing {
            student: random.student(),
            score: random.score(),
            reached_at: random.below(day) as i64,
        })
        .collect()
}

fn versioned(standings: &[Standing]) -> impl Iterator<Item = (Standing, i64)> {
    standings.iter().map(|&standing| (standing, 0))
}

fn build(c: &mut Criterion) {
    let mut group = c.benchmark_group("build");
    group.sample_size(10);
    for n in SIZES {
        let mut standings = standings(n, &mut Random(1));
        group.bench_with_input(BenchmarkId::new("in no order", n), &standings, |b, standings| {
            b.iter_with_large_drop(|| RankIndex::from_standings(versioned(standings)));
        });
        standings.sort_unstable();
        group.bench_with_input(BenchmarkId::new("sorted", n), &standings, |b, standings| {
            b.iter_with_large_drop(|| RankIndex::from_standings(versioned(standings)));
        });
    }
}

fn ask(c: &mut Criterion) {
    for n in SIZES {
        let mut random = Random(1);
        let standings = standings(n, &mut random);
        let index = RankIndex::from_standings(versioned(&standings));
        let middle = index.from_rank(n as u64 / 2, 1)[0].standing;

        c.bench_function(&format!("rank/{n}"), |b| {
            b.iter_batched(
                || standings[random.below(n)].student,
                |student| black_box(index.entry_of(student)),
                BatchSize::SmallInput,
            );
        });
        c.bench_function(&format!("page of 50 at the middle/{n}"), |b| {
            b.iter(|| black_box(index.after(Some(&middle), 50)));
        });
        c.bench_function(&format!("ten around/{n}"), |b| {
            b.iter_batched(
                || standings[random.below(n)].student,
                |student| black_box(index.around(student, 5, 5)),
                BatchSize::SmallInput,
            );
        });
    }
}

fn update(c: &mut Criterion) {
    for n in SIZES {
        let mut random = Random(1);
        let standings = standings(n, &mut random);
        let mut index = RankIndex::from_standings(versioned(&standings));
        let mut version = 0;
        c.bench_function(&format!("update/{n}"), |b| {
            b.iter_batched(
                || {
                    version += 1;
                    let student = standings[random.below(n)].student;
                    Update {
                        student,
                        version,
                        to: Some((random.score(), 86_400_000_000 + version)),
                    }
                },
                |update| black_box(index.apply(update)),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, build, ask, update);
criterion_main!(benches);
