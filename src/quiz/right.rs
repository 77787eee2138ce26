//! What is right, and what was answered: choices of a question, or a number.

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

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Given {
    /// Choices; one, or several if the question takes them.
    Choices(Choices),
    /// A number.
    Number(Decimal),
}

impl Right {
    /// As it was stored. What servers of an earlier release wrote has no set, but the position of the one right choice.
    pub fn stored(
        set: Option<i32>,
        position: Option<i32>,
        number: Option<&str>,
        tolerance: Option<&str>,
    ) -> Option<Self> {
        if let Some(value) = number.and_then(read) {
            let tolerance = tolerance.and_then(read).unwrap_or_default();
            return Some(Self::Number(Number { value, tolerance }));
        }
        let one = || {
            position
                .and_then(|position| usize::try_from(position).ok())
                .map(Self::one)
        };
        set.map(|set| Self::Choices(Choices::from_bits(set))).or_else(one)
    }

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

impl Given {
    /// As it was stored: a set, the position of a choice, or a number. `None` if the answer was cleared.
    pub fn stored(set: Option<i32>, position: Option<i32>, number: Option<&str>) -> Option<Self> {
        let one = |position: i32| Choices::of(usize::try_from(position).ok());
        match (set, position) {
            (Some(set), _) => Some(Self::Choices(Choices::from_bits(set))),
            (None, Some(position)) => Some(Self::Choices(one(position))),
            (None, None) => number.and_then(read).map(Self::Number),
        }
    }

    /// The choices, if it is not a number.
    pub fn choices(&self) -> Option<Choices> {
        match self {
            Self::Choices(choices) => Some(*choices),
            Self::Number(_) => None,
        }
    }

    /// The number, if it is one.
    pub fn number(&self) -> Option<Decimal> {
        match self {
            Self::Choices(_) => None,
            Self::Number(number) => Some(*number),
        }
    }
}

/// A number as it is stored.
fn read(stored: &str) -> Option<Decimal> {
    Decimal::from_str_exact(stored).ok()
}

/// The most digits before the point of a number, and behind it. Differences of such numbers are exact: a `Decimal` has 28.
const DIGITS: (u32, u32) = (15, 12);

/// A number as people type it: digits with at most one point, with a sign or without; no exponent, no separators.
///
/// The error says what to do.
pub fn decimal(typed: &str) -> Result<Decimal, &'static str> {
    let text = typed.trim().replace('\u{2212}', "-");
    let digits = text.strip_prefix(['-', '+']).unwrap_or(&text);
    let (whole, part) = digits.split_once('.').unwrap_or((digits, "0"));
    let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !are_digits(whole) || !are_digits(part) {
        return Err("Write a number in digits with a point, such as 12.5 or -3.");
    }
    let too_long = "Write a number of at most 15 digits before the point and 12 behind it.";
    let whole = whole.trim_start_matches('0');
    if whole.len() > DIGITS.0 as usize || part.len() > DIGITS.1 as usize {
        return Err(too_long);
    }
    read(text.strip_prefix('+').unwrap_or(&text)).ok_or(too_long)
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
        let distance = answer.checked_sub(self.value).map(|difference| difference.abs());
        distance.is_some_and(|distance| distance <= self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        decimal(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn a_number_is_read_as_it_is_typed() {
        for (typed, read) in [
            ("12.50", "12.50"),
            (" -3 ", "-3"),
            ("\u{2212}0.5", "-0.5"),
            ("+007", "7"),
        ] {
            assert_eq!(number(typed).to_string(), read);
        }
        let longest = "999999999999999.999999999999";
        assert_eq!(number(longest).to_string(), longest);
        for typed in [
            "",
            "-",
            ".",
            "1.",
            ".5",
            "1,5",
            "1e3",
            "1_000",
            "0x1",
            "NaN",
            "--1",
            "+-1",
            "1.2.3",
            "٣",
            "1 000",
            "1000000000000000",
            "0.0000000000001",
        ] {
            assert!(decimal(typed).is_err(), "{typed}");
        }
    }

    #[test]
    fn a_tolerance_is_exact_at_both_ends() {
        let right = Number {
            value: number("0.3"),
            tolerance: number("0.1"),
        };
        for (answer, is_right) in [
            ("0.2", true),
            ("0.4", true),
            ("0.40", true),
            ("0.400000000001", false),
            ("0.1999", false),
        ] {
            assert_eq!(right.accepts(number(answer)), is_right, "{answer}");
        }
    }

    #[test]
    fn what_an_earlier_release_stored_is_one_choice() {
        assert_eq!(Right::stored(None, Some(2), None, None), Some(Right::one(2)));
        assert_eq!(
            Right::stored(Some(0b101), Some(0), None, None),
            Some(Right::Choices(Choices::of([0, 2])))
        );
        assert_eq!(Right::stored(None, None, None, None), None);
        let right = Right::stored(None, Some(0), Some("1.5"), Some("0.1"));
        assert_eq!(
            right.and_then(|right| right.number()).map(|right| right.value),
            Some(number("1.5"))
        );
    }

    proptest! {
        #[test]
        fn a_number_is_right_whatever_its_zeros(value in -1_000_000i64..1_000_000, scale in 0u32..6, zeros in 0usize..5) {
            let value = Decimal::new(value, scale);
            let typed = if zeros == 0 || value.scale() == 0 { value.to_string() } else { format!("{value}{}", "0".repeat(zeros)) };
            let right = Number { value, tolerance: Decimal::ZERO };
            prop_assert!(right.accepts(number(&typed)));
        }

        #[test]
        fn what_is_near_enough_is_right_and_nothing_else(
            value in -1_000_000i64..1_000_000, tolerance in 0i64..1000, answer in -1_000_000i64..1_000_000, scale in 0u32..6,
        ) {
            let right = Number { value: Decimal::new(value, scale), tolerance: Decimal::new(tolerance, scale) };
            prop_assert_eq!(right.accepts(Decimal::new(answer, scale)), (answer - value).abs() <= tolerance);
        }

        #[test]
        fn a_set_is_what_was_put_in(positions in prop::collection::btree_set(0usize..MAX_CHOICES, 0..=MAX_CHOICES)) {
            let set = Choices::of(positions.iter().copied());
            prop_assert_eq!(Choices::from_bits(set.bits()), set);
            prop_assert_eq!(set.positions().collect::<Vec<_>>(), positions.into_iter().collect::<Vec<_>>());
        }
    }
}
