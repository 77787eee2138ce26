//! The order of an attempt's questions, and of the choices of each, drawn from the attempt's seed.
//!
//! The seed is stored and the order is not: it is drawn again at every read, also in years to come, when a review shows
//! the order in which the attempt was taken. So the generator is written down here, and is not that of a library, whose
//! next release may draw otherwise: SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014) and the shuffle of Fisher and Yates. Neither keeps a secret: whoever knows the order knows nothing of
//! what is right.

use crate::{
    entity::{question::Kind, revision},
    quiz::paper::{Paper, Question},
};

/// The order of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Order {
    seed: u64,
    questions: bool,
    choices: bool,
}

impl Order {
    /// The order of an attempt with this seed at a revision. Without a seed it is the revision's.
    pub fn of(revision: &revision::Model, seed: Option<i64>) -> Self {
        Self {
            seed: seed.unwrap_or_default() as u64,
            questions: seed.is_some() && revision.shuffle_questions,
            choices: seed.is_some() && revision.shuffle_choices,
        }
    }

    /// The places of the paper's questions, in the order of the attempt.
    pub fn questions(&self, paper: &Paper) -> Vec<usize> {
        let count = paper.questions.len();
        match self.questions {
            true => permutation(self.seed, count),
            false => (0..count).collect(),
        }
    }

    /// The places of a question's choices, in the order of the attempt; `None` if it is the question's own. True and false
    /// stay where everybody looks for them.
    pub fn choices(&self, question: &Question) -> Option<Vec<usize>> {
        let shuffles = self.choices && question.kind != Kind::TrueFalse && !question.choices.is_empty();
        // By the position: every question draws on its own, whatever comes before it.
        let seed = Generator(self.seed ^ (1 << 63) ^ question.position as u64).next();
        shuffles.then(|| permutation(seed, question.choices.len()))
    }
}

/// A permutation of 0 to `count` - 1.
fn permutation(seed: u64, count: usize) -> Vec<usize> {
    let mut generator = Generator(seed);
    let mut places: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        // Of 2^64 numbers the few that don't come out even make no difference.
        let chosen = generator.next() % (last as u64 + 1);
        places.swap(last, chosen as usize);
    }
    places
}

/// SplitMix64.
struct Generator(u64);

impl Generator {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::{
        id::{ChoiceId, QuestionId},
        quiz::paper::Choice,
    };

    fn order(seed: i64) -> Order {
        Order {
            seed: seed as u64,
            questions: true,
            choices: true,
        }
    }

    fn question(position: i32, kind: Kind, choices: usize) -> Question {
        let choice = |n: usize| Choice {
            id: ChoiceId(Uuid::from_u128(n as u128)),
            text: format!("{n}").into(),
        };
        Question {
            id: QuestionId(Uuid::nil()),
            position,
            chapter: None,
            text: "?".into(),
            image: None,
            picture: None,
            kind,
            choices: (0..choices).map(choice).collect(),
        }
    }

    #[test]
    fn the_generator_is_the_published_one() {
        // The first outputs for seed 1234567, as the reference implementation (Vigna, splitmix64.c) has them.
        let mut generator = Generator(1_234_567);
        let drawn = [generator.next(), generator.next(), generator.next()];
        assert_eq!(
            drawn,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn an_order_never_changes() {
        // If this fails, attempts that were taken are reviewed in another order than they had.
        assert_eq!(permutation(7, 8), EIGHT);
        assert_eq!(
            order(7).choices(&question(3, Kind::SingleChoice, 4)),
            Some(FOUR.to_vec())
        );
    }

    const EIGHT: [usize; 8] = [1, 4, 5, 2, 6, 0, 3, 7];
    const FOUR: [usize; 4] = [1, 3, 0, 2];

    #[test]
    fn every_order_is_drawn_about_as_often() {
        let mut counts = std::collections::BTreeMap::new();
        for seed in 0..24_000 {
            *counts.entry(permutation(seed, 4)).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 24);
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }

    #[test]
    fn true_comes_before_false() {
        for seed in 0..100 {
            assert_eq!(order(seed).choices(&question(0, Kind::TrueFalse, 2)), None);
        }
    }

    proptest! {
        #[test]
        fn an_order_is_a_permutation_and_always_the_same(seed: u64, count in 0usize..300) {
            let places = permutation(seed, count);
            prop_assert_eq!(&places, &permutation(seed, count));
            let mut sorted = places;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..count).collect::<Vec<_>>());
        }

        #[test]
        fn the_choices_of_a_question_are_all_there(seed: i64, position in 0i32..300, count in 2usize..=6) {
            let mut places = order(seed).choices(&question(position, Kind::AllChoices, count)).unwrap_or_default();
            places.sort_unstable();
            prop_assert_eq!(places, (0..count).collect::<Vec<_>>());
        }
    }
}
