//! Text that was typed as text, not as Markdown: written so that every reader shows what was typed.
//!
//! Whatever Markdown would read as a mark gets a backslash, and a line that ends gets two blanks, which keep it ended. So
//! little is written that a program that shows the text as it is shows nearly the same. Formulas (`$…$`, `$$…$$`,
//! `\(…\)`, `\[…\]`) stay as they are; a dollar sign or backslash that belongs to none is text.

use super::{Markdown, place::Formulas};

impl Markdown {
    /// Markdown that shows this text as it was typed, formulas aside.
    pub fn plain(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let text = lines.join("\n");
        // A formula ends with its paragraph.
        let paragraphs = text.trim_matches('\n').split("\n\n");
        let escaped: Vec<String> = paragraphs.map(escaped).collect();
        Self::of(&escaped.join("\n\n"))
    }

    /// The text that was typed, if this is how it was written: [`Self::plain`] of it is this again.
    pub(crate) fn as_plain(&self) -> Option<String> {
        let typed = |keeps: &str| {
            let mut typed = String::with_capacity(self.0.len());
            let mut chars = self.0.chars().peekable();
            while let Some(c) = chars.next() {
                let is_escape = |next: &char| next.is_ascii_punctuation() && !keeps.contains(*next);
                match (c, chars.peek()) {
                    ('\\', Some(next)) if is_escape(next) => typed.extend(chars.next()),
                    (c, _) => typed.push(c),
                }
            }
            typed.replace("  \n", "\n").replace("&lt;", "<")
        };
        // Brackets after a backslash may be a formula's.
        ["()[]", "()[", ""]
            .iter()
            .map(|keeps| typed(keeps))
            .chain([self.0.replace("  \n", "\n")])
            .find(|typed| Self::plain(typed) == *self)
    }
}

/// A paragraph with what Markdown would read as a mark escaped.
fn escaped(text: &str) -> String {
    let mut formulas = Formulas::default();
    let mut escaped = String::with_capacity(text.len() + text.len() / 8);
    let mut next = 0;
    for (at, c) in text.char_indices() {
        if at < next {
            continue;
        }
        let (before, rest) = text.split_at(at);
        if matches!(c, '$' | '\\')
            && let Some(end) = formulas.opened_at(text, at)
        {
            escaped.push_str(&text[at..end]);
            next = end;
            continue;
        }
        if before.is_empty() || before.ends_with('\n') {
            let length = label_of_list(rest);
            if length > 0 {
                escaped.push_str(&rest[..length]);
                escaped.push('\\');
                escaped.push_str(&rest[length..=length]);
                next = at + length + 1;
                continue;
            }
            if begins_a_block(rest) {
                escaped.push('\\');
                escaped.push(c);
                continue;
            }
        }
        match c {
            '\n' => {
                let is_broken = !before.is_empty();
                escaped.push_str(if is_broken { "  \n" } else { "\n" });
            }
            '<' if begins_markup(&rest[1..]) => escaped.push_str("&lt;"),
            '_' => {
                let after = rest.trim_start_matches('_');
                let run = &rest[..rest.len() - after.len()];
                let mark = if is_emphasis(before, after) { "\\_" } else { "_" };
                escaped.push_str(&mark.repeat(run.len()));
                next = at + run.len();
            }
            c => {
                if is_mark(c, &rest[c.len_utf8()..]) {
                    escaped.push('\\');
                }
                escaped.push(c);
            }
        }
    }
    escaped
}

/// Whether a character would be read as a mark where it stands, wherever that is on its line.
fn is_mark(c: char, rest: &str) -> bool {
    match c {
        '*' | '`' | '~' | '|' | '$' => true,
        // Before any other character it is text.
        '\\' => rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_punctuation() || c == '\n'),
        ']' => rest.starts_with(['(', ':', '[']),
        '&' => is_entity(rest),
        _ => false,
    }
}

/// Whether underscores between these can be read as a mark: not within a word, nor as the gap of a sentence.
fn is_emphasis(before: &str, after: &str) -> bool {
    let of_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    let of_gap = |c: Option<char>| c.is_some_and(|c| c == ' ' || c == '\t');
    let (left, right) = (before.chars().next_back(), after.chars().next());
    !(of_word(left) && of_word(right) || of_gap(left) && of_gap(right))
}

/// The length of the number of a list (`12`) that a line begins with, without its full stop or bracket.
fn label_of_list(line: &str) -> usize {
    let after = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let is_label = after.strip_prefix(['.', ')']).is_some_and(ends_or_parts);
    if is_label { line.len() - after.len() } else { 0 }
}

/// Whether a line begins with the mark of a heading, a quotation, a list, a rule or a row of a table.
fn begins_a_block(line: &str) -> bool {
    match line.chars().next() {
        Some('#' | '>') => true,
        Some('-' | '+') if ends_or_parts(&line[1..]) => true,
        Some('-' | '=' | ':') => {
            let line = line.lines().next().unwrap_or_default();
            line.chars().all(|c| "-=: ".contains(c))
        }
        _ => false,
    }
}

fn ends_or_parts(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with([' ', '\t', '\n'])
}

fn begins_markup(rest: &str) -> bool {
    rest.starts_with(|c: char| c.is_ascii_alphabetic() || matches!(c, '!' | '/' | '?'))
}

/// `lt;` and `#60;`, after their ampersand.
fn is_entity(rest: &str) -> bool {
    let name = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '#');
    name.len() < rest.len() && name.starts_with(';')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;

    fn plain(text: &str) -> String {
        Markdown::plain(text).into_string()
    }

    /// What a reader shows of it, or `None` if anything in it is more than lines of text.
    fn shown(markdown: &str) -> Option<String> {
        let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_FOOTNOTES;
        let mut shown = String::new();
        for event in Parser::new_ext(markdown, options | Options::ENABLE_TASKLISTS) {
            match event {
                Event::Text(text) => shown.push_str(&text),
                Event::HardBreak => shown.push('\n'),
                Event::Start(Tag::Paragraph) if !shown.is_empty() => shown.push_str("\n\n"),
                Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
                _ => return None,
            }
        }
        Some(shown)
    }

    #[test]
    fn what_looks_like_markdown_is_what_was_typed() {
        for text in [
            "7",
            "<7",
            ">7",
            "2*3*4",
            "- 5",
            "-5",
            "+ 5",
            "#",
            "# 1 on the list",
            "1. First",
            "12) twelfth",
            "1.5 m",
            "I. DNA has uracil.\nII. RNA has ribose.\nIII. ATP has ribose.",
            "one\n---",
            "one\n===",
            "| a | b |\n|---|---|\n| c | d |",
            "`code` and ~~struck~~ ~5 kg",
            "The ____ is a (____) of _it_ and x_1_2",
            "____",
            "* * *",
            "[OH-](aq) and [H+][A-]/[HA]",
            "[x]: /y",
            "![x](y.png)",
            "[ ] not done",
            "&lt; &#60; & R&D; AT&T",
            "<b>bold</b> <!-- no --> <https://example.org> a<b",
            "C:\\dir\\*.txt \\",
            "costs $5 or $6, US$7 *each*",
            "\\( and \\[ alone",
            "two\n\nparagraphs",
        ] {
            assert_eq!(shown(&plain(text)).as_deref(), Some(text), "{}", plain(text));
        }
    }

    #[test]
    fn formulas_stay_as_they_were_typed() {
        for text in [
            "What is $\\frac{1}{2}$ of $x_1 \\times y_1$?",
            "\\(x^2\\)",
            "$$a_i b_i$$",
            "\\[z\\]",
            "$5*3*2$",
            "$$\na*b\n$$",
        ] {
            assert_eq!(plain(text), text);
        }
        assert_eq!(plain("$a*b$ is a*b"), "$a*b$ is a\\*b");
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(plain("  I. a \n\tII. b\n\n III. c "), "I. a  \nII. b\n\nIII. c");
        assert_eq!(plain("    not code"), "not code");
    }

    proptest! {
        /// Without dollar signs and backslashes there is no formula.
        #[test]
        fn a_reader_shows_what_was_typed(text in "[-a1 *_`~#>+.)(\\[\\]|!<=:&;x\n]{1,24}") {
            let typed: Vec<&str> = text.lines().map(str::trim).collect();
            let typed = typed.join("\n");
            let typed = typed.trim_matches('\n');
            let folded = |text: &str| text.split('\n').filter(|l| !l.is_empty()).map(str::to_owned).collect::<Vec<_>>();
            let shown = shown(&plain(&text));
            prop_assert_eq!(shown.as_deref().map(folded), Some(folded(typed)), "{}", plain(&text));
        }
    }
}
