//! Characters that no text of a person needs.

/// Control characters, and marks that change the reading direction of the following text, except the plain direction
/// marks that Urdu and Arabic need.
pub(crate) fn is_unsafe(c: char) -> bool {
    let allowed_control = matches!(c, '\n' | '\t');
    (c.is_control() && !allowed_control) || matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Characters that take no space: two texts that differ in them look the same.
pub(crate) fn is_invisible(c: char) -> bool {
    matches!(
        c,
        '\u{AD}' | '\u{34F}' | '\u{180B}'..='\u{180F}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{E0000}'..='\u{E0FFF}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_that_turn_text_are_unsafe_and_scripts_are_not() {
        for c in ['\0', '\u{1B}', '\u{85}', '\u{7F}', '\u{202E}', '\u{2066}', '\u{2069}'] {
            assert!(is_unsafe(c), "{c:?}");
        }
        for c in [
            '\n',
            '\t',
            ' ',
            '\u{200F}',
            '\u{200D}',
            '\u{642}',
            '\u{1F438}',
            '\u{221A}',
        ] {
            assert!(!is_unsafe(c), "{c:?}");
        }
    }
}
