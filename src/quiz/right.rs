//! What is right: choices of a question, or a number.

use rust_decimal::Decimal;

/// The most choices of a question.
pub const MAX_CHOICES: usize = 6;

/// The right answer of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// Choices; one or several.
    Choices(Choices),
    /// A number.
    Number(Number),
}

/// A set of choices, by their positions in the revision, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Choices(u8);

/// A right number. Whatever is at most `tolerance` away from it is right, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    pub value: Decimal,
    /// 0 or more.
    pub tolerance: Decimal,
}

impl Right {
    /// The choice at this position, and no other.
    pub fn one(position: usize) -> Self {
        Self::Choices(Choices::of([position]))
    }

    /// The right choices, if it is not a number.
    pub fn choices(&self) -> Option<Choices> {
        match self {
            Self::Choices(choices) => Some(*choices),
            Self::Number(_) => None,
        }
    }

    /// The right number, if it is one.
    pub fn number(&self) -> Option<Number> {
        match self {
            Self::Choices(_) => None,
            Self::Number(number) => Some(*number),
        }
    }

    /// The position of the right choice, if there is exactly one.
    pub fn only_choice(&self) -> Option<usize> {
        let choices = self.choices()?;
        (choices.len() == 1).then(|| choices.positions().next()).flatten()
    }
}

impl Choices {
    /// The choices at these positions; what is beyond the most choices of a question is left out.
    pub fn of(positions: impl IntoIterator<Item = usize>) -> Self {
        let bit = |position: usize| if position < MAX_CHOICES { 1 << position } else { 0 };
        Self(positions.into_iter().fold(0, |set, position| set | bit(position)))
    }

    /// As it is stored: bit n is set if the choice at position n is in it.
    pub fn bits(self) -> i32 {
        self.0.into()
    }

    /// As it was stored.
    pub fn from_bits(bits: i32) -> Self {
        Self::of((0..MAX_CHOICES).filter(|position| bits >> position & 1 == 1))
    }

    /// How many.
    pub fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// Whether it has none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the choice at this position is in it.
    pub fn has(self, position: usize) -> bool {
        position < MAX_CHOICES && self.0 >> position & 1 == 1
    }

    /// The positions, ascending.
    pub fn positions(self) -> impl Iterator<Item = usize> {
        (0..MAX_CHOICES).filter(move |position| self.has(*position))
    }
}

impl Number {
    /// Whether this answer is near enough.
    pub fn accepts(&self, answer: Decimal) -> bool {
        (answer - self.value).abs() <= self.tolerance
    }
}
