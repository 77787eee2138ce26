//! The text of simple HTML, as editors of other systems write it. What would be lost is refused.

use super::xlsx::script::Script;

/// The text: paragraphs and breaks are lines, super- and subscripts are characters.
pub(super) fn text(html: &str) -> Result<String, String> {
    let (mut shown, mut script) = (String::new(), Script::Line);
    let mut rest = html;
    while let Some(at) = rest.find(['<', '&']) {
        push(&mut shown, &rest[..at], script)?;
        rest = &rest[at..];
        if rest.starts_with('&') {
            let (c, after) = entity(rest)?;
            push(&mut shown, c.encode_utf8(&mut [0; 4]), script)?;
            rest = after;
            continue;
        }
        let end = rest.find('>').ok_or("A tag of the text is not closed; close it.")?;
        let tag = &rest[1..end];
        rest = &rest[end + 1..];
        let is_end = tag.starts_with('/');
        let name: String = tag
            .trim_start_matches('/')
            .chars()
            .take_while(char::is_ascii_alphanumeric)
            .collect();
        let name = name.to_ascii_lowercase();
        match name.as_str() {
            "p" | "div" | "br" | "li" | "ul" | "ol" => {
                if !shown.is_empty() && !shown.ends_with('\n') {
                    shown.push('\n');
                }
            }
            "b" | "strong" | "i" | "em" | "u" | "span" | "font" => {}
            "sup" => script = if is_end { Script::Line } else { Script::Super },
            "sub" => script = if is_end { Script::Line } else { Script::Sub },
            _ => {
                let name: String = name.chars().take(20).collect();
                return Err(format!(
                    "The text has a part that can\u{2019}t be kept (<{name}>); write it as plain text or Markdown."
                ));
            }
        }
    }
    push(&mut shown, rest, script)?;
    let lines: Vec<String> = shown.lines().map(|line| line.trim().to_owned()).collect();
    Ok(lines.join("\n").trim().to_owned())
}

/// Adds text, in which a break of the source is a blank.
fn push(shown: &mut String, text: &str, script: Script) -> Result<(), String> {
    let written = script.written(text).ok_or_else(|| {
        "A super- or subscript of the text has no character of its own; write a formula, $x^{n+1}$.".to_owned()
    })?;
    for c in written.chars() {
        match c {
            '\n' | '\t' | ' ' if shown.is_empty() || shown.ends_with([' ', '\n']) => {}
            '\n' | '\t' => shown.push(' '),
            c => shown.push(c),
        }
    }
    Ok(())
}

/// The character of an entity, and what follows it; an ampersand that begins none is itself.
fn entity(text: &str) -> Result<(char, &str), String> {
    let Some((name, after)) = text[1..].split_once(';').filter(|(name, _)| {
        name.len() <= 8 && !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '#')
    }) else {
        return Ok(('&', &text[1..]));
    };
    let number = name
        .strip_prefix('#')
        .and_then(|number| match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
            None => number.parse().ok(),
        });
    let known = match name {
        "amp" => Some('&'),
        "lt" => Some('<'),
        "gt" => Some('>'),
        "quot" => Some('"'),
        "apos" => Some('\''),
        "nbsp" => Some('\u{A0}'),
        "deg" => Some('\u{B0}'),
        "times" => Some('\u{D7}'),
        "divide" => Some('\u{F7}'),
        "plusmn" => Some('\u{B1}'),
        "minus" => Some('\u{2212}'),
        "ndash" => Some('\u{2013}'),
        "mdash" => Some('\u{2014}'),
        "micro" => Some('\u{B5}'),
        "lsquo" => Some('\u{2018}'),
        "rsquo" => Some('\u{2019}'),
        "ldquo" => Some('\u{201C}'),
        "rdquo" => Some('\u{201D}'),
        "hellip" => Some('\u{2026}'),
        _ => number.and_then(char::from_u32),
    };
    let unknown = || format!("The text has an entity that is not known (&{name};); type the character itself.");
    known.map(|c| (c, after)).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_html_is_text_and_what_would_be_lost_is_refused() {
        for (html, shown) in [
            ("<p>What is <b>ATP</b>?</p>", "What is ATP?"),
            ("<p>One</p>\n<p>Two</p>", "One\nTwo"),
            ("a<br />b", "a\nb"),
            ("10<sup>23</sup> SO<sub>4</sub>", "10\u{B2}\u{B3} SO\u{2084}"),
            ("1 &lt; 2 &amp;&amp; 5&nbsp;m &#37; AT&T", "1 < 2 && 5\u{A0}m % AT&T"),
        ] {
            assert_eq!(text(html).as_deref(), Ok(shown), "{html}");
        }
        for html in [
            "<img src=x onerror=alert(1)>",
            "<script>alert(1)</script>",
            "<table><tr>",
            "x<sup>π</sup>",
            "&foo;",
            "a <b",
        ] {
            assert!(text(html).is_err(), "{html}");
        }
    }
}
