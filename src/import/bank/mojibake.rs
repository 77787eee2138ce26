//! Letters in UTF-8 that a program has read as Windows-1252: `Ã©` for é, `â€™` for ’.

/// The most of a text that is shown.
const SHOWN: usize = 20;

/// What a text may have been before, if a part of it reads as letters that were misread. It is shortened for showing.
pub(super) fn looks_misread(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let is_ascii = |c: &char| c.is_ascii();
    let mut misread = false;
    let mut meant = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let end = rest
            .find(|c: char| c.is_ascii() != first.is_ascii())
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        let bytes: Option<Vec<u8>> = run.chars().map(windows_1252).collect();
        match bytes.map(String::from_utf8) {
            Some(Ok(read)) if !run.chars().all(|c| is_ascii(&c)) => {
                misread = true;
                meant.push_str(&read);
            }
            _ => meant.push_str(run),
        }
    }
    misread.then(|| meant.chars().filter(|c| !c.is_control()).take(SHOWN).collect())
}

/// The byte of a character in Windows-1252, as browsers decode it (<https://encoding.spec.whatwg.org/#windows-1252>).
fn windows_1252(c: char) -> Option<u8> {
    const FROM_80: [char; 32] = [
        '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8D}', 'Ž', '\u{8F}', '\u{90}', '‘',
        '’', '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9D}', 'ž', 'Ÿ',
    ];
    let listed = || FROM_80.iter().position(|known| *known == c);
    match u32::from(c) {
        code @ (0..=0x7F | 0xA0..=0xFF) => u8::try_from(code).ok(),
        _ => listed().and_then(|at| u8::try_from(0x80 + at).ok()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misread_letters_are_seen_and_honest_ones_are_not() {
        for (text, meant) in [
            ("CafÃ©", "Café"),
            ("Cushingâ€™s", "Cushing’s"),
            ("25 Â°C", "25 °C"),
            ("Î© and Âµ", "Ω and µ"),
            ("Ø®Ù„ÛŒÛ’", "خلیے"),
        ] {
            assert_eq!(looks_misread(text).as_deref(), Some(meant), "{text}");
        }
        for text in [
            "Café",
            "25 °C",
            "“quoted” – ‘text’…",
            "5 µm ± 2",
            "naïve Élan",
            "خلیہ",
            "É",
            "H₂O ⇌ H⁺",
            "plain",
        ] {
            assert_eq!(looks_misread(text), None, "{text}");
        }
    }
}
