//! Marks of direction that Word puts around text in Urdu or Arabic.

/// The text without embeddings and isolates that are closed again: who pastes from Word never sees them. Whatever is left of
/// such marks turns text that follows, and so do overrides.
pub(super) fn unpaired(text: &str) -> String {
    let mut open: Vec<(usize, char)> = Vec::new();
    let mut paired: Vec<usize> = Vec::new();
    for (at, c) in text.char_indices() {
        let opened_by = |open: char| match c {
            '\u{202C}' => matches!(open, '\u{202A}' | '\u{202B}' | '\u{202D}' | '\u{202E}'),
            '\u{2069}' => matches!(open, '\u{2066}'..='\u{2068}'),
            _ => false,
        };
        match c {
            '\u{202A}'..='\u{202B}' | '\u{202D}'..='\u{202E}' | '\u{2066}'..='\u{2068}' => open.push((at, c)),
            '\u{202C}' | '\u{2069}' => {
                if let Some((start, mark)) = open.pop_if(|(_, mark)| opened_by(*mark))
                    && !matches!(mark, '\u{202D}' | '\u{202E}')
                {
                    paired.extend([start, at]);
                }
            }
            _ => {}
        }
    }
    paired.sort_unstable();
    let kept = text.char_indices().filter(|(at, _)| paired.binary_search(at).is_err());
    let text: String = kept.map(|(_, c)| c).collect();
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_go_and_the_rest_stays() {
        for (typed, expected) in [
            ("\u{202B}خلیہ\u{202C}", "خلیہ"),
            ("a \u{2067}خلیہ\u{2069} b", "a خلیہ b"),
            ("\u{202B}a \u{202A}b\u{202C} c\u{202C}", "a b c"),
            ("\u{202B}open", "\u{202B}open"),
            ("closed\u{202C}", "closed\u{202C}"),
            ("\u{202E}turned\u{202C}", "\u{202E}turned\u{202C}"),
            ("\u{202B}crossed\u{2069}", "\u{202B}crossed\u{2069}"),
        ] {
            assert_eq!(unpaired(typed), expected);
        }
    }
}
