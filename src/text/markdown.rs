//! Markdown that is safe to show in every reader.
//!
//! A text is read by programs that we do not know: each has a grammar of its own (tables, automatic links, formulas,
//! raw HTML), so what one takes for code is a paragraph to another. Therefore nothing here depends on a parse. In one
//! pass, [`Markdown::of`] rewrites whatever *could* begin HTML or lead elsewhere, wherever it stands, and writes what is
//! inert in every context:
//!
//! - **`<`** stays if no program takes it for a tag: before blanks, digits, operators and letters beyond ASCII, and as
//!   `<https://…>` without what an attribute needs. Any other becomes `&lt;`, which is text to every parser of HTML, so
//!   that it does not matter what a reader makes of the Markdown.
//! - **`](` and `]:`**, without which there is no link, picture or definition, stay if the destination begins as one to a
//!   page: `https://`, `http://`, `mailto:`, or a path of this site that can't be read as a scheme in any spelling, as
//!   it holds no `:`, entity, escape or break before its first `/`, `?` or `#`. Any other becomes `\](` and `\]:`, and
//!   `[[` likewise `[\[`. Only the beginning matters: where a destination ends is a question of grammar, its scheme is
//!   not.
//! - **`ftp://`** and its like, of which some readers make links by themselves, become `ftp:\//`.
//!
//! In a formula or in code an escape would show. There a space does the same: `< b`, `] (`, `: //`. Which of the two is
//! written depends on a guess ([`place`]), and may: both are inert everywhere. The one exception is code that every reader
//! must take for code (see [`place`]), which stays as it was typed.
//!
//! What is written shows as it was typed, but for those spaces. Nothing is read twice: each look ahead ends at the next
//! character that could begin another, so the work is linear in the length of the text, and the result is at most four
//! times as long.
//!
//! Texts are made safe when they are read from a file or sent, before any transaction, and once more when they are loaded
//! for showing: what older releases stored stays as it is in the tables, and what is shown of it is safe.
//!
//! This covers what Markdown is. Extensions that run what they read (attributes in braces, MDX, formulas that may link:
//! `trust` of KaTeX, MathJax without `safe`) are the reader's to leave off; the scalar's description says so.

mod place;
mod plain;

use self::place::{Place, Places, look};
use super::{character::is_unsafe, form::composed};

/// Markdown that has been made safe: nothing else can make one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markdown(String);

impl Markdown {
    /// The text with whatever a reader could run or follow elsewhere written as text; without characters that no one
    /// types, in normalization form C. Made once more it stays the same, and so does text that holds nothing of the sort.
    pub fn of(text: &str) -> Self {
        let typed = |text: &str| {
            let lines = text.replace("\r\n", "\n").replace('\r', "\n");
            lines.chars().filter(|c| !is_unsafe(*c)).collect()
        };
        let text = match text.contains(is_unsafe) {
            true => typed(text),
            false => text.to_owned(),
        };
        // Before anything is looked at: `<` and a stroke over it are one character, and so no `<`.
        let text = composed(text);
        if text.contains('<')
            || text.contains("](")
            || text.contains("[[")
            || text.contains("]:")
            || text.contains("://")
        {
            Self(inert(&text))
        } else {
            Self(text)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<T: AsRef<str>> From<T> for Markdown {
    fn from(text: T) -> Self {
        Self::of(text.as_ref())
    }
}

fn inert(text: &str) -> String {
    let mut places = Places::of(text);
    let mut safe = String::with_capacity(text.len() + text.len() / 8);
    // Whether an odd number of backslashes stands before.
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        let (before, rest) = text.split_at(at);
        let begins_something = match c {
            '<' => begins_a_tag(&rest[1..]),
            '[' | ']' if escaped => false,
            '[' => rest.starts_with("[[") && !leads_to_a_page(&rest[2..], Destination::Wiki),
            ']' => match rest.as_bytes().get(1) {
                Some(b'(') => !leads_to_a_page(&rest[2..], Destination::Inline),
                Some(b':') => !leads_to_a_page(&rest[2..], Destination::Defined),
                _ => false,
            },
            ':' => rest.starts_with("://") && !is_of_the_web(before),
            _ => false,
        };
        match (begins_something, c) {
            (false, _) => safe.push(c),
            (true, _) => match (places.at(at), c) {
                (Place::SurelyCode, _) => safe.push(c),
                (Place::Code | Place::Formula, _) => safe.extend([c, ' ']),
                (Place::Text, '<') => {
                    // `\<` is as good as `<`, not every reader knows the escape.
                    if escaped {
                        safe.pop();
                    }
                    safe.push_str("&lt;");
                }
                (Place::Text, ']') => safe.push_str("\\]"),
                (Place::Text, _) => safe.extend([c, '\\']),
            },
        }
        escaped = c == '\\' && !escaped;
    }
    safe
}

/// Whether a `<` before `rest` can begin a tag, a comment or an automatic link to elsewhere in any reader.
fn begins_a_tag(rest: &str) -> bool {
    let Some(next) = rest.chars().next() else {
        return false;
    };
    let harmless = next.is_ascii_whitespace() || next.is_ascii_digit() || "=-+.,;:()&>\"%|".contains(next);
    if harmless || !next.is_ascii() {
        return false;
    }
    // `<https://…>`: without `=` and quotation marks it has no attributes for who takes it for a tag, either.
    let in_address = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#@!$&()*+,;%".contains(c);
    let end = rest.find(|c| !in_address(c)).unwrap_or(rest.len());
    look(end);
    let address = &rest[..end];
    let is_of_the_web = starts_with(address, "https://") || starts_with(address, "http://");
    !(is_of_the_web && address.matches("://").count() == 1 && rest[end..].starts_with('>'))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Destination {
    /// Of `](…)`.
    Inline,
    /// Of `]: …`.
    Defined,
    /// Of `[[…]]`, which some readers take for a link.
    Wiki,
}

/// Whether the destination at the start of `rest` is one of the web or of this site, in whatever spelling.
fn leads_to_a_page(rest: &str, kind: Destination) -> bool {
    // It may follow on the next line, after the marks of a quotation.
    let destination = rest.trim_start_matches([' ', '\t', '\n', '>']);
    look(rest.len() - destination.len());
    if ["https://", "http://", "mailto:"]
        .iter()
        .any(|scheme| starts_with(destination, scheme))
    {
        return true;
    }
    if let Some(path) = destination.strip_prefix('/') {
        // `//host` has the scheme of the page.
        return !path.starts_with(|c: char| c.is_control() || c.is_whitespace() && c != ' ' || "/\\&%<]".contains(c));
    }
    for c in destination.chars() {
        look(1);
        match c {
            '/' | '?' | '#' | ')' | ' ' => return true,
            '\n' | '\t' if kind == Destination::Defined => return true,
            ']' | '|' if kind == Destination::Wiki => return true,
            '^' if kind == Destination::Wiki => return false,
            '\\' if kind == Destination::Wiki => {}
            // The brackets end the look ahead: no part of a text is looked at twice.
            ':' | '&' | '%' | '\\' | '<' | '[' | ']' => return false,
            c if c.is_control() || c.is_whitespace() => return false,
            _ => {}
        }
    }
    true
}

/// Whether what stands before `://` is a scheme of the web.
fn is_of_the_web(before: &str) -> bool {
    let scheme = before
        .rsplit(|c: char| !(c.is_ascii_alphanumeric() || "+.-".contains(c)))
        .next()
        .unwrap_or_default();
    look(scheme.len());
    scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
}

/// Whether `text` starts with the ASCII of `start`, in any case.
fn starts_with(text: &str, start: &str) -> bool {
    text.as_bytes()
        .get(..start.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

#[cfg(test)]
mod tests;
