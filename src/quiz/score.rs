//! Scoring: pure functions, testable without a database.

use std::collections::BTreeMap;

use crate::{
    entity::question::Kind,
    id::ChapterId,
    quiz::{
        Marking,
        right::{Given, Right},
    },
};

/// A question of an attempt as scoring sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    pub chapter: Option<ChapterId>,
    pub kind: Kind,
    pub right: Right,
    /// `None`: not answered, or cleared.
    pub given: Option<Given>,
}

/// The outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The answer was right.
    Right,
    /// The answer was wrong.
    Wrong,
    /// There was no answer.
    Blank,
}

/// Counts and points of some questions. Points are thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub right: i64,
    pub wrong: i64,
    pub blank: i64,
    pub score: i64,
    /// The points if all answers were right.
    pub max_score: i64,
}

/// The score of an attempt, in all and by chapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Score {
    pub total: Tally,
    pub by_chapter: BTreeMap<ChapterId, Tally>,
}

/// The outcome of a question. One choice is right if it is among the right ones: of most questions that is one, and a
/// correction may accept others beside it.
pub(crate) fn outcome(kind: Kind, right: Right, given: Option<Given>) -> Outcome {
    let Some(given) = given else {
        return Outcome::Blank;
    };
    let is_right = match (right, given) {
        (Right::Choices(right), Given::Choices(given)) if kind == Kind::AllChoices => given == right,
        (Right::Choices(right), Given::Choices(given)) => {
            given.len() == 1 && given.positions().all(|position| right.has(position))
        }
        (Right::Number(right), Given::Number(given)) => right.accepts(given),
        (Right::Choices(_), Given::Number(_)) | (Right::Number(_), Given::Choices(_)) => false,
    };
    if is_right { Outcome::Right } else { Outcome::Wrong }
}

/// The points of an outcome, in thousandths.
pub(crate) fn worth(marking: Marking, outcome: Outcome) -> i64 {
    match outcome {
        Outcome::Right => marking.right,
        Outcome::Wrong => marking.wrong,
        Outcome::Blank => marking.blank,
    }
}

/// The score of an attempt: the sum of what its questions are worth. It may be negative.
pub(crate) fn score(marking: Marking, questions: impl IntoIterator<Item = Marked>) -> Score {
    let mut score = Score::default();
    for question in questions {
        let outcome = outcome(question.kind, question.right, question.given);
        score.total.add(marking, outcome);
        if let Some(chapter) = question.chapter {
            score.by_chapter.entry(chapter).or_default().add(marking, outcome);
        }
    }
    score
}

impl Tally {
    /// By how much it is more than another.
    pub(crate) fn minus(self, other: Self) -> Self {
        Self {
            right: self.right - other.right,
            wrong: self.wrong - other.wrong,
            blank: self.blank - other.blank,
            score: self.score - other.score,
            max_score: self.max_score - other.max_score,
        }
    }

    fn add(&mut self, marking: Marking, outcome: Outcome) {
        match outcome {
            Outcome::Right => self.right += 1,
            Outcome::Wrong => self.wrong += 1,
            Outcome::Blank => self.blank += 1,
        }
        self.score = self.score.saturating_add(worth(marking, outcome));
        self.max_score = self.max_score.saturating_add(marking.right);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;

    use crate::quiz::right::{Choices, MAX_CHOICES, Number};

    fn choice(n: usize) -> Given {
        Given::Choices(Choices::of([n]))
    }

    fn single(chapter: Option<ChapterId>, chosen: Option<usize>) -> Marked {
        Marked {
            chapter,
            kind: Kind::SingleChoice,
            right: Right::one(1),
            given: chosen.map(choice),
        }
    }

    #[test]
    fn right_wrong_and_blank_are_counted_apart() {
        let marking = Marking {
            right: 4000,
            wrong: -1000,
            blank: 0,
        };
        let asked = [Some(1), Some(2), None, Some(1)];
        let chapter = ChapterId(Uuid::from_u128(8));
        let score = score(
            marking,
            asked
                .iter()
                .enumerate()
                .map(|(i, chosen)| single((i < 2).then_some(chapter), *chosen)),
        );
        let total = Tally {
            right: 2,
            wrong: 1,
            blank: 1,
            score: 7000,
            max_score: 16_000,
        };
        assert_eq!(score.total, total);
        let in_chapter = Tally {
            right: 1,
            wrong: 1,
            blank: 0,
            score: 3000,
            max_score: 8000,
        };
        assert_eq!(
            score.by_chapter.into_iter().collect::<Vec<_>>(),
            [(chapter, in_chapter)]
        );
    }

    proptest! {
        #[test]
        fn the_total_is_what_the_counts_are_worth(
            chosen in prop::collection::vec(prop::option::of(0usize..4), 0..200),
            (right, wrong, blank) in (-5000i64..5000, -5000i64..5000, -5000i64..5000),
        ) {
            let marking = Marking { right, wrong, blank };
            let marked = chosen.iter().map(|chosen| single(chosen.map(|n| ChapterId(Uuid::from_u128(n as u128))), *chosen));
            let score = score(marking, marked);
            let total = score.total;
            prop_assert_eq!(total.right + total.wrong + total.blank, chosen.len() as i64);
            prop_assert_eq!(total.score, total.right * right + total.wrong * wrong + total.blank * blank);
            let by_chapter: i64 = score.by_chapter.values().map(|tally| tally.right + tally.wrong).sum();
            prop_assert_eq!(by_chapter, total.right + total.wrong);
        }

        #[test]
        fn all_choices_are_right_as_a_set_and_any_choice_as_one_of_it(right in 1i32..64, given in 1i32..64) {
            let (right, given) = (Choices::from_bits(right), Choices::from_bits(given));
            let outcome = |kind| outcome(kind, Right::Choices(right), Some(Given::Choices(given)));
            let (mut chosen, mut all) = (0, true);
            for position in 0..MAX_CHOICES {
                chosen += usize::from(given.has(position));
                all &= given.has(position) == right.has(position);
            }
            prop_assert_eq!(outcome(Kind::AllChoices) == Outcome::Right, all);
            let any = chosen == 1 && (0..MAX_CHOICES).any(|position| given.has(position) && right.has(position));
            for kind in [Kind::AnyChoice, Kind::SingleChoice, Kind::TrueFalse] {
                prop_assert_eq!(outcome(kind) == Outcome::Right, any);
            }
        }

        #[test]
        fn a_number_is_judged_by_its_tolerance(value in -100i64..100, tolerance in 0i64..20, given in -100i64..100) {
            let right = Number { value: value.into(), tolerance: tolerance.into() };
            let outcome = outcome(Kind::Number, Right::Number(right), Some(Given::Number(given.into())));
            prop_assert_eq!(outcome == Outcome::Right, (given - value).abs() <= tolerance);
        }
    }
}
