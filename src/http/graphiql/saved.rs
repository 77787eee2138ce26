//! The saved operations of GraphiQL, read from `operations/staff` (its README has the format).

use std::sync::LazyLock;

use rust_embed::RustEmbed;
use serde::Serialize;

#[derive(RustEmbed)]
#[folder = "operations/staff"]
struct Files;

/// Operations that serve one purpose.
#[derive(Debug, Serialize)]
pub struct Task {
    pub task: String,
    pub operations: Vec<Operation>,
}

/// An operation as a tab of GraphiQL shows it.
#[derive(Debug, Serialize)]
pub struct Operation {
    /// Its name in the document.
    pub title: String,
    pub description: String,
    pub query: String,
    /// JSON, indented; empty if it takes none.
    pub variables: String,
}

/// All tasks as JSON.
pub(super) static JSON: LazyLock<String> = LazyLock::new(|| serde_json::to_string(&tasks()).unwrap_or_default());

/// The tasks in the order of their files.
pub fn tasks() -> Vec<Task> {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let files = names.iter().filter_map(|name| Files::get(name));
    files.map(|file| task(&String::from_utf8_lossy(&file.data))).collect()
}

fn task(text: &str) -> Task {
    let mut lines = text.lines();
    let title = lines.next().unwrap_or_default().trim_start_matches('#').trim();
    let (mut operations, mut block) = (Vec::new(), Vec::new());
    for line in lines.skip_while(|line| line.is_empty()) {
        if line.is_empty() && block.is_empty() {
            continue;
        }
        block.push(line);
        if line == "}" {
            operations.push(operation(&std::mem::take(&mut block)));
        }
    }
    Task {
        task: title.to_owned(),
        operations,
    }
}

fn operation(block: &[&str]) -> Operation {
    let (comments, document): (Vec<_>, Vec<_>) = block.iter().copied().partition(|line| line.starts_with('#'));
    let comments = comments.into_iter().map(|line| line.trim_start_matches('#').trim());
    let (variables, description): (Vec<_>, Vec<_>) = comments.partition(|line| line.starts_with("variables:"));
    let variables = variables
        .first()
        .map(|line| line.trim_start_matches("variables:").trim());
    let indented = |json: &str| {
        let value: serde_json::Value = serde_json::from_str(json).ok()?;
        serde_json::to_string_pretty(&value).ok()
    };
    let title = document.first().and_then(|line| line.split([' ', '(', '{']).nth(1));
    let description = description.join(" ");
    Operation {
        title: title.unwrap_or_default().to_owned(),
        query: format!("# {description}\n{}\n", document.join("\n")),
        description,
        variables: variables.map_or_else(String::new, |json| indented(json).unwrap_or_else(|| json.to_owned())),
    }
}
