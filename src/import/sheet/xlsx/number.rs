//! Numbers as a spreadsheet shows them, by their format
//! ([ECMA-376, part 1, section 18.8.31](https://ecma-international.org/publications-and-standards/standards/ecma-376/)).

/// The longest format of a spreadsheet program.
const MAX_FORMAT: usize = 255;

/// A number as the spreadsheet shows it, or nothing if its format asks for more than is known here.
pub(super) fn shown(number: f64, format: &str) -> Option<String> {
    if format.is_empty() || format.eq_ignore_ascii_case("general") || format == "@" {
        return Some(general(number));
    }
    if format.len() > MAX_FORMAT {
        return None;
    }
    let sections = sections(format)?;
    let (section, number) = match (sections.as_slice(), number) {
        ([_, negative, ..], number) if number < 0.0 => (negative, -number),
        ([_, _, zero, ..], 0.0) => (zero, number),
        ([first, ..], number) => (first, number),
        ([], _) => return None,
    };
    section.shown(number)
}

/// One of the up to three parts of a format: for positive numbers, negative ones, and zero.
#[derive(Debug, Default)]
struct Section {
    before: String,
    after: String,
    digits: Digits,
    percent: bool,
}

#[derive(Debug, Default)]
enum Digits {
    /// No digit: only what stands around it is shown.
    #[default]
    None,
    General,
    Fixed {
        /// Zeros in front are shown up to here.
        whole: usize,
        grouped: bool,
        point: bool,
        /// Decimals that are always shown, and those that are shown if they are not zero.
        decimals: usize,
        optional: usize,
        exponent: Option<Exponent>,
    },
    /// A whole number and a fraction with a denominator of at most so many digits.
    Fraction {
        digits: usize,
    },
}

#[derive(Clone, Copy, Debug)]
struct Exponent {
    digits: usize,
    plus: bool,
}

/// Parts a format at its semicolons. A fourth part, for text, says nothing of numbers.
fn sections(format: &str) -> Option<Vec<Section>> {
    let mut parts = vec![Vec::new()];
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        let part = parts.last_mut()?;
        match c {
            ';' => parts.push(Vec::new()),
            '"' => part.extend(chars.by_ref().take_while(|c| *c != '"').map(Token::Text)),
            '\\' => part.push(Token::Text(chars.next()?)),
            // As wide as that character.
            '_' => {
                chars.next()?;
                part.push(Token::Text(' '));
            }
            // Repeated to fill the cell.
            '*' => drop(chars.next()?),
            '[' => {
                let inside: String = chars.by_ref().take_while(|c| *c != ']').collect();
                part.extend(bracket(&inside)?.map(Token::Text));
            }
            c => part.push(Token::Mark(c)),
        }
    }
    parts.into_iter().take(3).map(|part| Section::of(&part)).collect()
}

/// What a part in brackets shows: the sign of a currency, nothing for a colour. Conditions are not known.
fn bracket(inside: &str) -> Option<impl Iterator<Item = char> + '_> {
    const COLOURS: [&str; 8] = ["black", "blue", "cyan", "green", "magenta", "red", "white", "yellow"];
    let lower = inside.to_ascii_lowercase();
    if let Some(currency) = inside.strip_prefix('$') {
        return Some(currency.split('-').next().unwrap_or_default().chars());
    }
    (COLOURS.contains(&lower.as_str()) || lower.starts_with("color")).then(|| "".chars())
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    Text(char),
    Mark(char),
}

impl Token {
    fn character(self) -> char {
        match self {
            Token::Text(c) | Token::Mark(c) => c,
        }
    }
}

impl Section {
    fn of(tokens: &[Token]) -> Option<Self> {
        let mut section = Section::default();
        let is_digit = |token: &Token| matches!(token, Token::Mark('0' | '#' | '?'));
        let is_text = |token: &Token| match token {
            Token::Text(_) => true,
            Token::Mark(c) => " -+()/:$€£¥'^{}<>=!&~%,".contains(*c) || !c.is_ascii(),
        };
        let general: String = tokens
            .iter()
            .map(|token| token.character().to_ascii_lowercase())
            .collect();
        if let Some(at) = general.find("general") {
            let at = general[..at].chars().count();
            section.around(&tokens[..at], &tokens[at + 7..])?;
            section.digits = Digits::General;
            return Some(section);
        }
        let Some(first) = tokens
            .iter()
            .position(|token| is_digit(token) || *token == Token::Mark('.'))
        else {
            section.around(tokens, &[])?;
            return tokens.iter().all(is_text).then_some(section);
        };
        let last = tokens.iter().rposition(is_digit)?;
        let (before, after) = (&tokens[..first], &tokens[last + 1..]);
        if !before
            .iter()
            .chain(after)
            .all(|token| is_text(token) || *token == Token::Mark('.'))
        {
            return None;
        }
        let body: String = tokens[first..=last]
            .iter()
            .map(|token| match token {
                Token::Mark(c) => *c,
                Token::Text(_) => '\0',
            })
            .collect();
        // A comma after the digits divides by a thousand; that is for accounts.
        if after.first() == Some(&Token::Mark(',')) {
            return None;
        }
        let (after, point) = match after.split_first() {
            Some((Token::Mark('.'), rest)) => (rest, true),
            _ => (after, false),
        };
        section.around(before, after)?;
        section.digits = digits(&body, point)?;
        Some(section)
    }

    fn around(&mut self, before: &[Token], after: &[Token]) -> Option<()> {
        self.percent = before
            .iter()
            .chain(after)
            .filter(|token| **token == Token::Mark('%'))
            .count()
            == 1;
        let text = |tokens: &[Token]| tokens.iter().map(|token| token.character()).collect::<String>();
        (self.before, self.after) = (text(before), text(after));
        (self.before.matches('%').count() + self.after.matches('%').count() <= 1).then_some(())
    }

    fn shown(&self, number: f64) -> Option<String> {
        let number = if self.percent { number * 100.0 } else { number };
        let (sign, size) = if number < 0.0 { ("-", -number) } else { ("", number) };
        let digits = match &self.digits {
            Digits::None => String::new(),
            Digits::General => general(size),
            Digits::Fraction { digits } => fraction(size, *digits)?,
            Digits::Fixed {
                whole,
                grouped,
                point,
                decimals,
                optional,
                exponent,
            } => {
                let (size, power) = match exponent {
                    Some(exponent) => scientific(size, decimals + optional, *exponent)?,
                    None => (size, String::new()),
                };
                let fixed = fixed(size, decimals + optional)?;
                let (digits, fraction) = fixed.split_once('.').unwrap_or((&fixed, ""));
                let kept = fraction.len() - fraction.chars().rev().take(*optional).take_while(|c| *c == '0').count();
                let fraction = &fraction[..kept];
                let digits = match digits.trim_start_matches('0') {
                    digits if digits.len() < *whole => format!("{digits:0>whole$}"),
                    digits => digits.to_owned(),
                };
                let digits = if *grouped { by_thousands(&digits) } else { digits };
                let point = if *point || !fraction.is_empty() { "." } else { "" };
                format!("{digits}{point}{fraction}{power}")
            }
        };
        let is_zero = !digits.chars().any(|c| matches!(c, '1'..='9'));
        let sign = if is_zero { "" } else { sign };
        Some(format!("{sign}{}{digits}{}", self.before, self.after).trim().to_owned())
    }
}

/// What `0.00`, `#,##0`, `0.0#E+00` or `# ?/?` say.
fn digits(body: &str, point: bool) -> Option<Digits> {
    if let Some((whole, below)) = body.split_once('/') {
        let above = whole.rsplit(' ').next().unwrap_or_default();
        let is_place = |part: &str| !part.is_empty() && part.chars().all(|c| "#?0".contains(c));
        let is_mixed = whole.contains(' ') && is_place(above) && is_place(below) && below.len() <= 3;
        return is_mixed.then_some(Digits::Fraction { digits: below.len() });
    }
    let (mantissa, exponent) = match body.split_once(['E', 'e']) {
        Some((mantissa, power)) => {
            let digits = power.strip_prefix(['+', '-'])?;
            let exponent = Exponent {
                digits: digits.chars().filter(|c| *c == '0').count(),
                plus: power.starts_with('+'),
            };
            (digits.chars().all(|c| "0#?".contains(c)) && !digits.is_empty()).then_some((mantissa, Some(exponent)))?
        }
        None => (body, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let grouped = whole.contains(',');
    let known = |part: &str, marks: &str| part.chars().all(|c| marks.contains(c));
    let optional = fraction.chars().rev().take_while(|c| matches!(c, '#' | '?')).count();
    let is_known = known(whole, "0#?,") && known(fraction, "0#?") && fraction.len() <= 15;
    // In scientific format more than one digit in front is for engineers.
    let is_plain = exponent.is_none() || whole.len() == 1;
    (is_known && is_plain).then(|| Digits::Fixed {
        whole: whole.chars().filter(|c| *c == '0').count(),
        grouped,
        point: point || mantissa.contains('.'),
        decimals: fraction.len() - optional,
        optional,
        exponent,
    })
}

/// A number of at most fifteen digits, as a spreadsheet keeps them.
fn exact(number: f64) -> f64 {
    format!("{number:.14e}").parse().unwrap_or(number)
}

/// A number with so many decimals; halves are rounded away from zero, as they read in decimal.
fn fixed(number: f64, decimals: usize) -> Option<String> {
    if number >= 1e15 {
        return None;
    }
    let decimal = exact(number).to_string();
    let (whole, fraction) = decimal.split_once('.').unwrap_or((&decimal, ""));
    let kept: String = fraction.chars().chain(std::iter::repeat('0')).take(decimals).collect();
    let rounds_up = fraction.as_bytes().get(decimals).is_some_and(|digit| *digit >= b'5');
    let scaled: u128 = format!("{whole}{kept}").parse().ok()?;
    let scaled = format!("{:0>width$}", scaled + u128::from(rounds_up), width = decimals + 1);
    let (whole, fraction) = scaled.split_at(scaled.len() - decimals);
    Some(if decimals == 0 {
        whole.to_owned()
    } else {
        format!("{whole}.{fraction}")
    })
}

/// The mantissa of a number and its power as text.
fn scientific(number: f64, decimals: usize, exponent: Exponent) -> Option<(f64, String)> {
    let digits = format!("{:.14e}", number);
    let (mantissa, power) = digits.split_once('e')?;
    let (mut mantissa, mut power): (f64, i32) = (mantissa.parse().ok()?, power.parse().ok()?);
    if fixed(mantissa, decimals)?.starts_with("10") {
        (mantissa, power) = (mantissa / 10.0, power + 1);
    }
    let sign = match (power < 0, exponent.plus) {
        (true, _) => "-",
        (false, true) => "+",
        (false, false) => "",
    };
    Some((
        mantissa,
        format!("E{sign}{:0>width$}", power.abs(), width = exponent.digits),
    ))
}

/// The nearest whole number and fraction.
fn fraction(number: f64, digits: usize) -> Option<String> {
    if number >= 1e9 {
        return None;
    }
    let (whole, rest) = (number.trunc(), number.fract());
    let most = 10_u32.pow(u32::try_from(digits).ok()?) - 1;
    let candidates = (1..=most).map(|below| (f64::from(below), (rest * f64::from(below)).round()));
    let error = |(below, above): &(f64, f64)| (rest - above / below).abs();
    let (below, above) = candidates.reduce(|best, next| {
        if error(&next) + 1e-12 < error(&best) {
            next
        } else {
            best
        }
    })?;
    let (whole, above) = if above >= below {
        (whole + 1.0, 0.0)
    } else {
        (whole, above)
    };
    Some(match (whole == 0.0, above == 0.0) {
        (_, true) => format!("{whole}"),
        (true, false) => format!("{above}/{below}"),
        (false, false) => format!("{whole} {above}/{below}"),
    })
}

fn by_thousands(digits: &str) -> String {
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// 3 and not 3.0, and 0.3 for 0.1 + 0.2: a spreadsheet shows fifteen digits at most.
pub(super) fn general(number: f64) -> String {
    let rounded = exact(number);
    if rounded == 0.0 {
        return "0".to_owned();
    }
    if (1e-9..1e21).contains(&rounded.abs()) {
        return rounded.to_string();
    }
    let scientific = format!("{rounded:E}");
    match scientific.split_once('E') {
        Some((digits, power)) if !power.starts_with('-') => format!("{digits}E+{power}"),
        _ => scientific,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_look_as_they_do_in_the_spreadsheet() {
        for (number, format, expected) in [
            (3.0, "", "3"),
            (-0.0, "", "0"),
            (0.5, "General", "0.5"),
            (0.1 + 0.2, "General", "0.3"),
            (-1_234_567.25, "General", "-1234567.25"),
            (6.02e23, "General", "6.02E+23"),
            (1.6e-19, "General", "1.6E-19"),
            (0.25, "0%", "25%"),
            (0.125, "0%", "13%"),
            (0.125, "0.0%", "12.5%"),
            (2.5, "0", "3"),
            (2.5, "0.00", "2.50"),
            (1.005, "0.00", "1.01"),
            (2.5, "0.00;[Red]-0.00", "2.50"),
            (-2.5, "0.00;[Red]-0.00", "-2.50"),
            (2.5, "#,##0.00", "2.50"),
            (1_234_567.0, "#,##0", "1,234,567"),
            (1000.0, "#,##0", "1,000"),
            (2.5, "0.", "3."),
            (7.0, "000", "007"),
            (-7.0, "000", "-007"),
            (10.0, "000", "010"),
            (5.0, "\"Rs \"0", "Rs 5"),
            (5.0, "[$Rs-420]\\ 0", "Rs 5"),
            (5.0, "0\" cm\"", "5 cm"),
            (5.678, "#.0", "5.7"),
            (0.5, "#.0", ".5"),
            (2.5, "0.0##", "2.5"),
            (-5.0, "0;(0)", "(5)"),
            (5.0, "0;(0)", "5"),
            (0.0, "0;-0;\"none\"", "none"),
            (-0.4, "0", "0"),
            (0.5, "# ?/?", "1/2"),
            (1.5, "# ?/?", "1 1/2"),
            (0.25, "# ?/?", "1/4"),
            (2.0, "# ?/?", "2"),
            (0.0, "# ?/?", "0"),
            (0.33, "# ??/??", "32/97"),
            (6.022e23, "0.00E+00", "6.02E+23"),
            (1.6e-19, "0.00E+00", "1.60E-19"),
            (300_000_000.0, "0.00E+00", "3.00E+08"),
            (9.999e5, "0.0E+0", "1.0E+6"),
            (12.0, "0 \"°C\"", "12 °C"),
            (12.0, "_(* #,##0.00_)", "12.00"),
            (3.0, "General\" m\"", "3 m"),
        ] {
            assert_eq!(shown(number, format).as_deref(), Some(expected), "{number} as {format}");
        }
    }

    #[test]
    fn formats_beyond_these_are_not_guessed() {
        for format in ["[>100]0;0.0", "0.0.0", "0,", "##0.0E+0", "# ?/8", "0%%", "0.00x", "0 0"] {
            assert_eq!(shown(2.5, format), None, "{format}");
        }
    }
}
