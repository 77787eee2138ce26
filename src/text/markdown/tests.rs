use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag};

use super::{place::LOOKED, *};

fn safe(text: &str) -> String {
    Markdown::of(text).into_string()
}

fn html(text: &str) -> String {
    let mut html = String::new();
    pulldown_cmark::html::push_html(&mut html, Parser::new(text));
    html
}

/// What a reader with all extensions makes of it that could run or leads to no page.
fn dangers(text: &str) -> Vec<String> {
    Parser::new_ext(text, Options::all())
        .filter_map(|event| match event {
            Event::Html(html) | Event::InlineHtml(html) => Some(html.into_string()),
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let plain: String = dest_url.chars().filter(|c| !c.is_control()).collect();
                let plain = plain.trim().to_lowercase();
                let end = plain.find(|c: char| !(c.is_ascii_alphanumeric() || "+-.".contains(c)));
                let scheme = end
                    .filter(|end| plain[*end..].starts_with(':'))
                    .map(|end| &plain[..end]);
                let leads = matches!(scheme, None | Some("" | "https" | "http" | "mailto"));
                (!leads).then(|| dest_url.into_string())
            }
            _ => None,
        })
        .collect()
}

#[test]
fn what_runs_nothing_stays_as_it_was_written() {
    for text in [
        "",
        "If 2 < x and x > 0, is *x*² larger than **4**? If x<5, x<-1, x<=3 or x <π?",
        "Code: `<b>`, and `a[i](b)` or `` `<i>` ``.",
        "A program:\n\n```c\n#include <stdio.h>\nint main() { printf(\"%d\\n\", a[0](1)); }\n```\n\nprints `1 <b`.",
        "See [the table](https://exam.example/table?x=1#y), [mail](mailto:a@b.example), [above](#one), [here](/a/b)",
        "![a cell](images/cell.png) <https://exam.example> [a]: https://exam.example \n[b]: ../c.png",
        "[Cu(NH3)4](NO3)2 and f[i](x), in [1, 2]: which is it?[^1]\n\n[^1]: a note",
        "$a < b$, $$x_{1} <= \\frac{1}{2}$$, \\(a < b\\), \\[ c < d \\]",
        "| a | b |\n|---|---|\n| 1 < 2 | ~~no~~ |\n\n- [x] done\n\n> \"AT&T\" &amp; www.exam.example ada@exam.example",
        "کون سا عضو خون صاف کرتا ہے؟ <ہے",
    ] {
        assert_eq!(safe(text), text);
    }
}

#[test]
fn what_could_run_shows_as_it_was_typed() {
    for (text, shown) in [
        (
            "<script>alert(1)</script>",
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;</p>\n",
        ),
        ("H<sub>2</sub>O", "<p>H&lt;sub&gt;2&lt;/sub&gt;O</p>\n"),
        (
            "a \\<b \\\\<img src=x onerror=alert(1)> b",
            "<p>a &lt;b \\&lt;img src=x onerror=alert(1)&gt; b</p>\n",
        ),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("[x](JaVa&#10;script:alert(1))", "<p>[x](JaVa\nscript:alert(1))</p>\n"),
        ("![x](data:text/html,x)", "<p>![x](data:text/html,x)</p>\n"),
        ("[x](//exam.example)", "<p>[x](//exam.example)</p>\n"),
        ("<javascript:alert(1)>", "<p>&lt;javascript:alert(1)&gt;</p>\n"),
        ("[x]\n\n[x]: vbscript:x", "<p>[x]</p>\n<p>[x]: vbscript:x</p>\n"),
        (
            "> [x]:\n> vbscript:x",
            "<blockquote>\n<p>[x]:\nvbscript:x</p>\n</blockquote>\n",
        ),
        (
            "[[javascript:x]] [[1, 2], [3, 4]]",
            "<p>[[javascript:x]] [[1, 2], [3, 4]]</p>\n",
        ),
        ("ftp://exam.example", "<p>ftp://exam.example</p>\n"),
        (
            "[![x](https://x.example/a.png)](javascript:x)",
            "<p>[<img src=\"https://x.example/a.png\" alt=\"x\" />](javascript:x)</p>\n",
        ),
        ("a\0<\u{202e}b\u{7}", "<p>a&lt;b</p>\n"),
    ] {
        assert_eq!(html(&safe(text)), shown, "{text}");
    }
}

#[test]
fn in_formulas_and_code_a_space_keeps_it_readable() {
    for (text, expected) in [
        ("$a<b$ costs $5 <b", "$a< b$ costs $5 &lt;b"),
        ("$$\na<b\n$$", "$$\na< b\n$$"),
        ("\\(a<b\\) and \\[f[0](x:y)\\]", "\\(a< b\\) and \\[f[0] (x:y)\\]"),
        ("| `a|<b>` |", "| `a|< b>` |"),
        ("```html\n<p>\n```", "```html\n< p>\n```"),
        ("- one\n\n      <b>two</b>\n", "- one\n\n      < b>two< /b>\n"),
        ("[x](y`z) <script> `a` b`", "[x](y`z) < script> `a` b`"),
        ("`x[a](b:c)` $y$", "`x[a] (b:c)` $y$"),
    ] {
        assert_eq!(safe(text), expected);
    }
}

#[test]
fn the_work_is_linear_in_the_length_of_the_text() {
    let pieces = [
        "[",
        "[[",
        "[[a",
        "](",
        "](a",
        "]:",
        "]: \n",
        "]:\n> ",
        "`",
        "``a`",
        "$",
        "$$",
        "\\(",
        "\\[",
        "\\",
        "<",
        "<https://",
        "<a ",
        "://",
        "a",
        "\n",
        "\n\n",
        "```\n",
        "~~~\n",
        "- ",
        "> ",
        "    x\n",
        "|",
        "[^",
        "![",
        "&",
        " ",
    ];
    let check = |text: &str| {
        LOOKED.set(0);
        let safe = safe(text);
        assert!(
            LOOKED.get() <= 4 * text.len(),
            "{} bytes looked at for {:?}…",
            LOOKED.get(),
            &text[..8]
        );
        assert!(
            safe.len() <= 4 * text.len(),
            "{} bytes for {:?}…",
            safe.len(),
            &text[..8]
        );
    };
    for one in pieces {
        check(&one.repeat(5_000));
        for other in pieces {
            check(&format!("{one}{other}").repeat(1_000));
            check(&(one.repeat(1_000) + &other.repeat(1_000)));
        }
    }
    check(&("[".repeat(1330) + "x" + &"](a:)".repeat(1330)).repeat(10));
    // Runs of backticks of all lengths, none with a partner.
    check(&(1..500).map(|length| "`".repeat(length) + " ").collect::<String>());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    #[test]
    fn whatever_is_written_nothing_unsafe_is_left_and_once_is_enough(
        text in r"([a-z<>/\[\]()!`\\:#$|~ \n-]|javascript:|<b>|<script>|<!--|&#9;|\]\(|\]: |data:|    |```\n|\n\n|\[\^1\]|www\.x\.y/|> |- |\$\$|\[x\]|\[\[|\]\]|https://x.y|word |<x@y.z>){0,24}"
    ) {
        let once = safe(&text);
        prop_assert_eq!(dangers(&once), Vec::<String>::new(), "{:?}", &once);
        prop_assert_eq!(safe(&once), once);
    }
}
