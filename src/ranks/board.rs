//! Boards: a scope and a window.

use chrono::{Datelike, Days, Months, NaiveDate, TimeZone, Weekday};
use chrono_tz::Tz;
use uuid::Uuid;

use super::question::Key;
use crate::{
    calendar::midnight,
    clock::Time,
    id::{self, QuizId, SubjectId},
};

/// Students ranked over a scope within a window of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Board {
    pub scope: Scope,
    pub window: Window,
}

/// The quizzes that count on a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    Everything,
    Subject(SubjectId),
    Quiz(QuizId),
}

/// One concrete window: all time, or a certain month, week or day in the site's time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Window {
    span: Span,
    /// The first day; irrelevant (and fixed) for all time.
    first: NaiveDate,
}

/// The kind of window of a board.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Span {
    /// All time.
    AllTime,
    /// A calendar month.
    Month,
    /// A calendar week, Monday to Sunday.
    Week,
    /// A calendar day.
    Day,
}

impl Span {
    /// All of them, the longest first.
    pub const ALL: [Self; 4] = [Self::AllTime, Self::Month, Self::Week, Self::Day];
}

impl Scope {
    /// The stored id: the nil UUID for everything.
    pub fn key(self) -> Uuid {
        match self {
            Self::Everything => Uuid::nil(),
            Self::Subject(SubjectId(id)) | Self::Quiz(QuizId(id)) => id,
        }
    }
}

impl Window {
    /// The window of a span that holds at `at`.
    pub fn at(span: Span, at: Time, zone: Tz) -> Self {
        let day = zone.from_utc_datetime(&at.to_utc().naive_utc()).date_naive();
        let first = match span {
            Span::AllTime => NaiveDate::default(),
            Span::Month => day.with_day(1).unwrap_or(day),
            Span::Week => day.week(Weekday::Mon).first_day(),
            Span::Day => day,
        };
        Self { span, first }
    }

    /// The four windows that hold at `at`.
    pub fn all_at(at: Time, zone: Tz) -> [Self; 4] {
        Span::ALL.map(|span| Self::at(span, at, zone))
    }

    /// The kind of window.
    pub fn span(self) -> Span {
        self.span
    }

    /// Its name by ISO 8601: `all`, `2026-11`, `2026-W48`, `2026-11-23`.
    pub fn key(self) -> String {
        let format = match self.span {
            Span::AllTime => "all",
            Span::Month => "%Y-%m",
            Span::Week => "%G-W%V",
            Span::Day => "%Y-%m-%d",
        };
        self.first.format(format).to_string()
    }

    /// The window of that name.
    pub fn of_key(key: &str) -> Option<Self> {
        let (span, first) = match (key.len(), key.as_bytes()) {
            _ if key == "all" => (Span::AllTime, NaiveDate::default()),
            (7, _) => (Span::Month, format!("{key}-01").parse().ok()?),
            (8, [.., b'W', _, _]) => {
                let (year, week) = key.split_once("-W")?;
                let first = NaiveDate::from_isoywd_opt(year.parse().ok()?, week.parse().ok()?, Weekday::Mon)?;
                (Span::Week, first)
            }
            (10, _) => (Span::Day, key.parse().ok()?),
            _ => return None,
        };
        let window = Self { span, first };
        (window.key() == key).then_some(window)
    }

    /// The one before; all time has none.
    pub fn previous(self) -> Option<Self> {
        let first = match self.span {
            Span::AllTime => None,
            Span::Month => self.first.checked_sub_months(Months::new(1)),
            Span::Week => self.first.checked_sub_days(Days::new(7)),
            Span::Day => self.first.checked_sub_days(Days::new(1)),
        };
        Some(Self { first: first?, ..self })
    }

    /// The start of the window; `None` for all time.
    pub fn starts_at(self, zone: Tz) -> Option<Time> {
        (self.span != Span::AllTime).then(|| midnight(self.first, zone))
    }

    /// The end of the window, exclusive; `None` for all time.
    pub fn ends_at(self, zone: Tz) -> Option<Time> {
        let next = match self.span {
            Span::AllTime => return None,
            Span::Month => self.first.checked_add_months(Months::new(1)),
            Span::Week => self.first.checked_add_days(Days::new(7)),
            Span::Day => self.first.checked_add_days(Days::new(1)),
        };
        next.map(|next| midnight(next, zone))
    }
}

impl Board {
    /// The stored name.
    pub fn key(self) -> Key {
        Key::now(self.scope.key(), self.window.key())
    }

    /// The board over the same scope in the window before; all time has none.
    pub fn previous(self) -> Option<Self> {
        Some(Self {
            window: self.window.previous()?,
            ..self
        })
    }

    /// The prefix of a board's id in the API.
    pub const PREFIX: &str = "board";

    /// The opaque id that the API shows. It names this very window, whatever the present one is.
    pub fn encode(self) -> String {
        let kind = match self.scope {
            Scope::Everything => 'e',
            Scope::Subject(_) => 's',
            Scope::Quiz(_) => 'q',
        };
        let mut bytes = self.scope.key().as_bytes().to_vec();
        bytes.push(kind as u8);
        bytes.extend(self.window.key().bytes());
        id::encode(Self::PREFIX, &bytes)
    }

    /// Reads an id of the API.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = id::decode(Self::PREFIX, text)?;
        let (scope, rest) = bytes.split_at_checked(16)?;
        let scope = Uuid::from_slice(scope).ok()?;
        let (kind, key) = rest.split_first()?;
        let scope = match kind {
            b'e' if scope.is_nil() => Scope::Everything,
            b's' => Scope::Subject(SubjectId(scope)),
            b'q' => Scope::Quiz(QuizId(scope)),
            _ => return None,
        };
        let window = Window::of_key(std::str::from_utf8(key).ok()?)?;
        Some(Self { scope, window })
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn at(text: &str) -> Time {
        text.parse::<DateTime<Utc>>().expect("a time").into()
    }

    const KARACHI: Tz = chrono_tz::Asia::Karachi;

    #[test]
    fn windows_are_cut_in_the_sites_zone_and_weeks_begin_on_monday() {
        let keys = |text| Window::all_at(at(text), KARACHI).map(Window::key);
        // Karachi is five hours ahead: Sunday 23:59:59.999999 and Monday 00:00 there.
        assert_eq!(
            keys("2026-11-22T18:59:59.999999Z"),
            ["all", "2026-11", "2026-W47", "2026-11-22"]
        );
        assert_eq!(
            keys("2026-11-22T19:00:00Z"),
            ["all", "2026-11", "2026-W48", "2026-11-23"]
        );
        // The ISO year of a week differs from the calendar's around New Year.
        assert_eq!(
            keys("2027-01-01T12:00:00Z"),
            ["all", "2027-01", "2026-W53", "2027-01-01"]
        );
    }

    #[test]
    fn a_window_ends_where_the_next_begins() {
        for zone in [
            Tz::UTC,
            KARACHI,
            chrono_tz::America::Santiago,
            chrono_tz::Asia::Kathmandu,
        ] {
            for text in ["2026-02-28T23:30:00Z", "2026-09-06T03:59:00Z", "2026-12-31T23:59:59Z"] {
                for window in Window::all_at(at(text), zone).into_iter().skip(1) {
                    let (start, end) = (
                        window.starts_at(zone).expect("starts"),
                        window.ends_at(zone).expect("ends"),
                    );
                    assert!(start <= at(text) && at(text) < end, "{window:?} {zone}");
                    let next = Window::at(window.span(), end, zone);
                    assert_eq!(next.starts_at(zone), Some(end));
                    let before_end = end - std::time::Duration::from_micros(1);
                    assert_eq!(Window::at(window.span(), before_end, zone), window);
                }
            }
        }
    }

    #[test]
    fn a_boards_id_is_read_back_and_nonsense_is_not() {
        let quiz = Scope::Quiz(QuizId(Uuid::from_u128(9)));
        for window in Window::all_at(at("2026-11-23T10:00:00Z"), KARACHI) {
            let board = Board { scope: quiz, window };
            assert_eq!(Board::decode(&board.encode()), Some(board));
        }
        for key in [
            "",
            "2026",
            "2026-13",
            "2026-W54",
            "2026-02-30",
            "2026-1-001",
            "all ",
            "2026-W1é",
        ] {
            assert_eq!(Window::of_key(key), None, "{key}");
        }
    }
}
