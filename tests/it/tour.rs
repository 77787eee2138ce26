//! The README's tour: copied as it stands, pasted into a shell, it works from the first to the last line.

use std::process::{Command, Stdio};

use serde_json::Value;

use crate::support::site::Site;

const README: &str = include_str!("../../README.md");

/// The blocks of commands under a heading, one after the other.
fn commands(heading: &str) -> String {
    let (_, section) = README.split_once(&format!("\n## {heading}\n")).expect("the section");
    let section = section.split("\n## ").next().unwrap_or(section);
    let mut commands = String::new();
    for block in section.split("```sh\n").skip(1) {
        let (block, _) = block.split_once("```").expect("its end");
        commands.push_str(block);
    }
    commands
}

/// The replies among what was printed: each a line of JSON, by itself or as an event.
fn replies(printed: &str) -> Vec<Value> {
    let reply = |line: &str| serde_json::from_str(line.strip_prefix("data:").unwrap_or(line).trim()).ok();
    printed.lines().filter_map(reply).filter(Value::is_object).collect()
}

/// What a reply says went wrong, at its top or in a payload.
fn errors(reply: &Value) -> Vec<Value> {
    let data = reply["data"].as_object().into_iter().flat_map(|data| data.values());
    let lists = data.map(|payload| &payload["errors"]).chain([&reply["errors"]]);
    lists.filter_map(Value::as_array).flatten().cloned().collect()
}

/// The first value of a field, wherever it is.
fn find<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    match value {
        Value::Object(fields) => {
            let own = fields.get(name).filter(|value| !value.is_null());
            own.or_else(|| fields.values().find_map(|value| find(value, name)))
        }
        Value::Array(items) => items.iter().find_map(|item| find(item, name)),
        _ => None,
    }
}

/// Pastes the tour into a shell.
fn pasted(shell: &str, script: &str) -> Vec<Value> {
    let output = Command::new(shell)
        .args(["-c", script])
        .stdin(Stdio::null())
        .output()
        .expect("a shell");
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && complaints.is_empty(),
        "{shell}: {complaints}\n{printed}"
    );
    replies(&printed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_readmes_tour_works_by_copy_and_paste() {
    // What `cargo run` starts: no configuration but where it listens and keeps its data.
    let site = Site::embedded().without("MARMALADE_MODE");
    let mut server = site.spawn("serve");
    let url = server.serves();
    let tour = commands("A tour of the API");
    let asked = tour.lines().filter(|line| line.starts_with("ask ")).count();
    assert!(asked >= 10, "{tour}");
    let here = "http://127.0.0.1:8080";
    assert_eq!(tour.matches(here).count(), 1, "the server is named once");
    let tour = tour.replace(here, &url);
    // Again as well: a reader may try twice. Not three times, by the limit of submits.
    for shell in ["bash", "sh"] {
        let replies = pasted(shell, &tour);
        assert!(replies.len() >= asked, "{} of {asked} replies", replies.len());
        for reply in &replies {
            assert_eq!(errors(reply), Vec::<Value>::new(), "{reply:#}");
        }
        let all = Value::Array(replies);
        for (field, expected) in [
            ("accessToken", None),
            ("questionCount", None),
            ("deadlineAt", None),
            ("outcome", Some("SAVED")),
            ("points", None),
            ("explanation", None),
            ("rank", None),
            ("winners", None),
            ("asOf", None),
            ("remaining", None),
            ("accuracy", None),
        ] {
            let value = find(&all, field).unwrap_or_else(|| panic!("{shell}: no {field} in {all:#}"));
            assert!(expected.is_none_or(|expected| value == expected), "{field}: {value}");
        }
    }
}

#[test]
fn the_tour_needs_what_a_fresh_machine_has() {
    let tour = commands("A tour of the API");
    let words: Vec<_> = tour.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    assert!(words.contains(&"curl") && words.contains(&"sed"));
    for tool in ["jq", "python", "python3", "node", "perl", "wget", "awk"] {
        assert!(!words.contains(&tool), "{tool}");
    }
}
