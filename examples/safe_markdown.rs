//! Makes texts safe to show, as the server does: reads a JSON array of texts and writes one. The check with real readers
//! of Markdown (tests/markdown) runs it.
//!
//! ```sh
//! echo '["H<sub>2</sub>O"]' | cargo run --example safe_markdown
//! ```

use std::io::{stdin, stdout};

use marmalade::text::Markdown;

fn main() -> Result<(), serde_json::Error> {
    let texts: Vec<String> = serde_json::from_reader(stdin())?;
    let safe: Vec<_> = texts.iter().map(|text| Markdown::of(text).into_string()).collect();
    serde_json::to_writer(stdout(), &safe)
}
