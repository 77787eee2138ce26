//! Scoring: pure functions, testable without a database.

use std::collections::BTreeMap;

use crate::{
    id::{ChapterId, ChoiceId},
    quiz::Marking,
};

/// A question of an attempt as scoring sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Marked {
    pub chapter: Option<ChapterId>,
    pub right: ChoiceId,
    /// `None`: not answered, or cleared.
    pub chosen: Option<ChoiceId>,
}

/// The outcome of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The right choice was made.
    Right,
    /// A wrong choice was made.
    Wrong,
    /// No choice was made.
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

/// The outcome of a question.
pub(crate) fn outcome(right: ChoiceId, chosen: Option<ChoiceId>) -> Outcome {
    match chosen {
        None => Outcome::Blank,
        Some(chosen) if chosen == right => Outcome::Right,
        Some(_) => Outcome::Wrong,
    }
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
        let outcome = outcome(question.right, question.chosen);
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

    fn choice(n: u128) -> ChoiceId {
        ChoiceId(Uuid::from_u128(n))
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
            asked.iter().enumerate().map(|(i, chosen)| Marked {
                chapter: (i < 2).then_some(chapter),
                right: choice(1),
                chosen: chosen.map(choice),
            }),
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
            chosen in prop::collection::vec(prop::option::of(0u128..4), 0..200),
            (right, wrong, blank) in (-5000i64..5000, -5000i64..5000, -5000i64..5000),
        ) {
            let marking = Marking { right, wrong, blank };
            let marked = chosen.iter().map(|chosen| Marked {
                chapter: chosen.map(|n| ChapterId(Uuid::from_u128(n))),
                right: choice(0),
                chosen: chosen.map(choice),
            });
            let score = score(marking, marked);
            let total = score.total;
            prop_assert_eq!(total.right + total.wrong + total.blank, chosen.len() as i64);
            prop_assert_eq!(total.score, total.right * right + total.wrong * wrong + total.blank * blank);
            let by_chapter: i64 = score.by_chapter.values().map(|tally| tally.right + tally.wrong).sum();
            prop_assert_eq!(by_chapter, total.right + total.wrong);
        }
    }
}
