//! Choices that share one cell.

/// The choices of a cell: by their lines, by their labels (`A) … B) …`), by `|` or by `;`, in this order of preference. One or
/// none if they can't be told apart.
pub(super) fn parted(text: &str) -> Vec<String> {
    let lines: Vec<&str> = filled(text.lines());
    if lines.len() > 1 {
        return unlabelled(&lines);
    }
    if let Some(choices) = labelled(text) {
        return choices;
    }
    for mark in ['|', ';'] {
        let parts = filled(text.split(mark));
        if parts.len() > 1 {
            return unlabelled(&parts);
        }
    }
    lines.into_iter().map(str::to_owned).collect()
}

fn filled<'t>(parts: impl Iterator<Item = &'t str>) -> Vec<&'t str> {
    parts.map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The parts without their labels, if each has the one of its place.
fn unlabelled(parts: &[&str]) -> Vec<String> {
    let without: Option<Vec<&str>> = (0..parts.len()).map(|index| label(parts[index], index)).collect();
    let parts = without.unwrap_or_else(|| parts.to_vec());
    parts
        .into_iter()
        .map(|part| part.trim_end_matches([',', ';']).trim().to_owned())
        .collect()
}

/// The choices between labels that follow each other on one line.
fn labelled(text: &str) -> Option<Vec<String>> {
    let mut rest = label(text, 0)?;
    let mut choices = Vec::new();
    for index in 1.. {
        let starts = rest
            .char_indices()
            .filter(|(_, c)| c.is_whitespace())
            .map(|(at, c)| at + c.len_utf8());
        let found: Vec<(usize, &str)> = starts.filter_map(|at| Some((at, label(&rest[at..], index)?))).collect();
        let [(at, after)] = found[..] else {
            // Twice the same label is no list.
            if found.len() > 1 {
                return None;
            }
            break;
        };
        choices.push(rest[..at].trim().trim_end_matches([',', ';']).trim().to_owned());
        rest = after;
    }
    choices.push(rest.trim().to_owned());
    (choices.len() > 1 && choices.iter().all(|choice| !choice.is_empty())).then_some(choices)
}

/// What follows the label of a place: `A)`, `(a)`, `A.`, `1)`.
fn label(text: &str, index: usize) -> Option<&str> {
    let letter = char::from(b'a' + u8::try_from(index).ok().filter(|index| *index < 26)?);
    let number = (index + 1).to_string();
    let (inside, ends): (&str, &[char]) = match text.strip_prefix(['(', '[']) {
        Some(inside) => (inside, &[')', ']']),
        None => (text, &[')', '.', ':']),
    };
    let after = inside
        .strip_prefix([letter, letter.to_ascii_uppercase()])
        .or_else(|| inside.strip_prefix(number.as_str()))?;
    let after = after.strip_prefix(ends)?;
    // 1.5 is no label.
    (!after.starts_with(|c: char| c.is_ascii_digit())).then(|| after.trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn choices_in_one_cell_are_told_apart() {
        for (cell, expected) in [
            ("alpha\nbeta\n\ngamma", &["alpha", "beta", "gamma"][..]),
            ("A) alpha\nB) beta", &["alpha", "beta"]),
            ("A) alpha B) beta C) gamma", &["alpha", "beta", "gamma"]),
            ("(a) alpha, (b) beta", &["alpha", "beta"]),
            ("1. alpha 2. beta", &["alpha", "beta"]),
            ("alpha | beta | gamma", &["alpha", "beta", "gamma"]),
            ("alpha; beta", &["alpha", "beta"]),
            ("A. x, y; B. z", &["x, y", "z"]),
            ("1.5; 2.5", &["1.5", "2.5"]),
            ("alpha\nB) beta", &["alpha", "B) beta"]),
            ("alpha, beta", &["alpha, beta"]),
            ("A) x B) y B) z", &["A) x B) y B) z"]),
        ] {
            assert_eq!(parted(cell), expected, "{cell}");
        }
    }
}
