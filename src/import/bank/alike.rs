//! Texts that a reader takes for the same.

use crate::text::{composed, is_invisible};

/// Text as questions are compared: every run of blanks and line breaks is one blank.
pub(super) fn folded(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Text as a reader sees it: without what takes no space, and with one letter for those that look the same. Case counts, for
/// CO is not Co; superscripts do, for 10² is not 102.
pub(super) fn as_seen(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !is_invisible(*c)).collect();
    let seen: String = composed(visible).chars().map(one_of_its_look).collect();
    folded(&seen)
}

/// A choice as an answer may write it: also without the full stop at its end, in any case.
pub(super) fn as_answered(text: &str) -> String {
    let seen = as_seen(text).to_lowercase();
    let trimmed = seen.trim_end_matches(['.', '\u{6D4}']).trim_end();
    if trimmed.is_empty() { seen } else { trimmed.to_owned() }
}

/// A name (of a chapter, a column) as it is compared: whatever its case, and its blanks.
pub(super) fn as_named(text: &str) -> String {
    let seen = as_seen(text).to_lowercase();
    seen.chars().filter(|c| !c.is_whitespace()).collect()
}

/// One character for all that look like it: signs that Unicode has twice, dashes of the length of a minus, quotation marks,
/// letters of Arabic keyboards for those of Urdu's.
fn one_of_its_look(c: char) -> char {
    match c {
        '\u{B5}' => '\u{3BC}',
        '\u{2010}'..='\u{2013}' | '\u{2212}' | '\u{FE63}' | '\u{FF0D}' => '-',
        '\u{2018}' | '\u{2019}' | '\u{201B}' | '\u{2032}' | '\u{2BC}' | '`' | '\u{B4}' => '\'',
        '\u{201C}'..='\u{201F}' | '\u{2033}' => '"',
        '\u{2044}' | '\u{2215}' => '/',
        '\u{22C5}' | '\u{2219}' => '\u{B7}',
        '\u{2206}' => '\u{394}',
        '\u{643}' => '\u{6A9}',
        '\u{64A}' | '\u{649}' => '\u{6CC}',
        '\u{647}' => '\u{6C1}',
        '\u{660}'..='\u{663}' | '\u{667}'..='\u{669}' => char::from_u32(u32::from(c) + 0x90).unwrap_or(c),
        c => c,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_cannot_tell_apart_is_one() {
        for (one, other) in [
            ("caf\u{E9}", "cafe\u{301}"),
            ("a\u{200B}b", "ab"),
            ("co\u{AD}op", "coop"),
            ("a\u{200D}b", "ab"),
            ("5 \u{B5}m", "5 \u{3BC}m"),
            ("5 \u{2126}", "5 \u{3A9}"),
            ("\u{2212}5", "-5"),
            ("\u{6A9}\u{6CC}\u{627}", "\u{643}\u{64A}\u{627}"),
            ("Cushing\u{2019}s", "Cushing's"),
            ("a \u{A0} b", "a b"),
        ] {
            assert_eq!(as_seen(one), as_seen(other));
        }
        for (one, other) in [("CO", "Co"), ("10\u{B2}", "102"), ("H\u{2082}O", "H2O"), ("a b", "ab")] {
            assert_ne!(as_seen(one), as_seen(other));
        }
    }

    #[test]
    fn an_answer_and_a_name_may_be_written_more_freely() {
        assert_eq!(as_answered("Alpha."), as_answered("alpha"));
        assert_eq!(as_answered("."), ".");
        assert_eq!(as_named("Ce  lls "), as_named("CELLS"));
        assert_ne!(as_named("Cells"), as_named("Cell"));
    }
}
