//! Markdown that is safe to show: made so when it is written, so that no client has to be trusted with it.

use pulldown_cmark::{Event, Parser, Tag};

/// The same [CommonMark](https://spec.commonmark.org/0.31.2/) without raw HTML and without links to anywhere but pages
/// and mail addresses. Nothing is lost: what is not allowed is escaped, and shows as it was typed. Text that needs no
/// escape, code and formulas among it, stays as it is.
pub(crate) fn safe_markdown(text: &str) -> String {
    let mut text = text.to_owned();
    // An escape can bring to light what stood within what it has undone, so until there is nothing more.
    loop {
        let unsafe_at = marks(&text);
        if unsafe_at.is_empty() {
            return text;
        }
        for at in unsafe_at.into_iter().rev() {
            text.insert(at, '\\');
        }
    }
}

/// The positions to escape, in order: the starts of HTML and of links that are not allowed.
fn marks(text: &str) -> Vec<usize> {
    let mut marks = Vec::new();
    for (event, range) in Parser::new(text).into_offset_iter() {
        match event {
            Event::Html(_) | Event::InlineHtml(_) => {
                let tags = text[range.clone()].match_indices('<');
                marks.extend(tags.map(|(at, _)| range.start + at));
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) if !leads_to_a_page(&dest_url) => {
                // Of `[..](..)`, `![..](..)` and `<..>` the bracket.
                let bracket = text[range.clone()].find(['[', '<']);
                marks.extend(bracket.map(|at| range.start + at));
            }
            _ => {}
        }
    }
    marks.sort_unstable();
    marks.dedup();
    marks
}

/// Whether a link's address has a scheme that runs nothing, or none. Browsers pass over white space and control
/// characters in a scheme (<https://url.spec.whatwg.org/#url-parsing>), so they do not count here either.
fn leads_to_a_page(address: &str) -> bool {
    let address: String = address
        .chars()
        .filter(|c| !c.is_whitespace() && !c.is_control())
        .collect::<String>()
        .to_lowercase();
    match address.find([':', '/', '?', '#']) {
        Some(end) if address[end..].starts_with(':') => matches!(&address[..end], "https" | "http" | "mailto"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(text: &str) -> String {
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, Parser::new(text));
        html
    }

    #[test]
    fn what_runs_nothing_stays_as_it_was_written() {
        for text in [
            "",
            "If 2 < x and x > 0, is *x*² larger than **4**?",
            "H<sub>2</sub>O in code: `<b>` and\n\n    <script>also code</script>\n",
            "See [the table](https://exam.example/table?x=1#y), [mail](mailto:a@b.example), [above](#one), [near](a:b/c)",
            "![a cell](images/cell.png) <https://exam.example>",
        ] {
            let expected = text
                .replace("<sub>", "\\<sub>")
                .replace("</sub>", "\\</sub>")
                .replace("[near]", "\\[near]");
            assert_eq!(safe_markdown(text), expected);
        }
    }

    #[test]
    fn what_could_run_shows_as_it_was_typed() {
        for (text, shown) in [
            (
                "<script>alert(1)</script>",
                "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
            ),
            (
                "a <img src=x onerror=alert(1)> b",
                "<p>a &lt;img src=x onerror=alert(1)&gt; b</p>\n",
            ),
            ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
            ("[x](JaVa&#10;script:alert(1))", "<p>[x](JaVa\nscript:alert(1))</p>\n"),
            ("![x](data:text/html,x)", "<p>![x](data:text/html,x)</p>\n"),
            ("<javascript:alert(1)>", "<p>&lt;javascript:alert(1)&gt;</p>\n"),
            ("[x]\n\n[x]: vbscript:x", "<p>[x]</p>\n"),
            (
                "[![x](https://x.example/a.png)](javascript:x)",
                "<p>[<img src=\"https://x.example/a.png\" alt=\"x\" />](javascript:x)</p>\n",
            ),
        ] {
            assert_eq!(html(&safe_markdown(text)), shown, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_nothing_unsafe_is_left_and_once_is_enough(
            text in r"([a-z<>/\[\]()!`\\:# \n-]|javascript:|<b>|<!--|&#9;|\]\(|data:|    ){0,24}"
        ) {
            let safe = safe_markdown(&text);
            prop_assert!(marks(&safe).is_empty());
            prop_assert_eq!(safe_markdown(&safe), safe);
        }
    }
}
