//! Two forms of a text: the one in which it is stored, and the one in which it is looked for.

use std::collections::HashSet;

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class, is_nfc};

use super::character::is_invisible;
use crate::error::{Error, Result};

/// Stands for what a program could not read: text that holds it was damaged on its way.
pub(crate) const REPLACEMENT: char = char::REPLACEMENT_CHARACTER;

/// The form in which text is stored and compared, Unicode's normalization form C: an accented letter is one character,
/// however a keyboard or a file writes it (<https://www.unicode.org/reports/tr15/>).
pub(crate) fn composed(text: String) -> String {
    if is_nfc(&text) { text } else { text.nfc().collect() }
}

/// A text as it was typed, in the form in which it is stored.
pub(super) fn typed(argument: &str, text: &str) -> Result<String> {
    if text.contains(REPLACEMENT) {
        let message = "This holds U+FFFD (\u{FFFD}), which stands for letters that could not be read; type it again.";
        return Err(Error::input(argument, message));
    }
    Ok(composed(text.to_owned()))
}

/// The forms in which a password may have been hashed: as it is stored now first, then as it was typed and as others type
/// it, for older releases hashed what they got. One for a password in ASCII, two for most others.
pub(crate) fn forms_of_password(typed: String) -> Vec<String> {
    let mut forms = vec![typed.nfc().collect(), typed];
    let decomposed: String = forms[0].nfd().collect();
    forms.push(decomposed);
    let mut seen = HashSet::new();
    forms.retain(|form| seen.insert(form.clone()));
    forms
}

/// The form in which words are looked for: without accents and points, whatever the case, width or ligature; the same on
/// every database. Characters that take no space are left out. The compatibility caseless match of
/// [the Unicode Standard, section 3.13](https://www.unicode.org/versions/latest/core-spec/chapter-3/#G53253), less what
/// [`is_accent`] says.
pub(crate) fn folded(text: &str) -> String {
    let letters = text.nfkd().filter(|c| !is_accent(*c) && !is_invisible(*c));
    // Case folding: ẞ and ß are ss, ς is σ.
    let folded = letters.flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    folded.flat_map(char::to_lowercase).collect()
}

/// Marks that a reader leaves out who types in haste, by their
/// [canonical combining class](https://www.unicode.org/reports/tr44/#Canonical_Combining_Class_Values): the points of
/// Hebrew, Arabic and Syriac, and what stands attached to a letter, below it or above. Not the vowels and viramas of
/// Indic scripts, the voicing of kana, or the stroke of ≠: without them it is another word.
fn is_accent(c: char) -> bool {
    matches!(canonical_combining_class(c), 10..=36 | 200..)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_reads_the_same_is_found_the_same() {
        for (one, other) in [
            ("Élan", "e\u{301}lan"),
            ("ÉLAN", "Elan"),
            ("БИОЛОГИЯ", "биология"),
            ("Ёлка", "елка"),
            ("Straße", "STRASSE"),
            ("STRAẞE", "strasse"),
            ("ΟΔΟΣ", "οδός"),
            ("İstanbul", "ISTANBUL"),
            ("Kısa", "kisa"),
            ("ﬁnal", "Final"),
            ("Ｐｈｙｓｉｃｓ", "physics"),
            ("H₂O", "h2o"),
            ("كِتَاب", "كتاب"),
            ("آب", "اب"),
            ("שָׁלוֹם", "שלום"),
            ("soft\u{AD}ware", "software"),
            ("نِیم\u{200C}روز", "نیمروز"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(folded(one), folded(other), "{one} and {other}");
        }
        for (one, other) in [
            ("हिन्दी", "हन्द"),
            ("क्षमा", "कषमा"),
            ("か", "が"),
            ("a ≠ b", "a = b"),
            ("кит", "кот"),
        ] {
            assert_ne!(folded(one), folded(other), "{one} and {other}");
        }
    }

    #[test]
    fn a_password_has_the_forms_in_which_it_may_have_been_hashed() {
        assert_eq!(forms_of_password("correct horse".into()), ["correct horse"]);
        let (composed, decomposed) = ("caf\u{E9} cr\u{E8}me", "cafe\u{301} cre\u{300}me");
        for typed in [composed, decomposed] {
            assert_eq!(forms_of_password(typed.into()), [composed, decomposed]);
        }
        let mixed = "cafe\u{301} cr\u{E8}me";
        assert_eq!(forms_of_password(mixed.into()), [composed, mixed, decomposed]);
    }

    proptest! {
        #[test]
        fn once_is_enough_and_the_form_does_not_matter(text in "\\PC{0,12}") {
            let stored = composed(text.clone());
            prop_assert_eq!(&composed(stored.clone()), &stored);
            let words = folded(&text);
            prop_assert_eq!(&folded(&words), &words);
            prop_assert_eq!(&folded(&stored), &words);
            prop_assert_eq!(&folded(&text.nfd().collect::<String>()), &words);
            prop_assert_eq!(folded(&text.nfkc().collect::<String>()), words);
        }

        #[test]
        fn case_does_not_matter(text in "[a-zà-ɏα-ωа-я ]{0,12}") {
            prop_assert_eq!(folded(&text.to_uppercase()), folded(&text));
        }
    }
}
