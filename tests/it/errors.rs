//! docs/errors.md tells each kind of client what to do on each code that there is.

use std::{collections::BTreeSet, time::Duration};

use async_graphql::parser::{
    parse_schema,
    types::{TypeKind, TypeSystemDefinition},
};
use marmalade::error::{Error, UserErrorCode};

const PAGE: &str = include_str!("../../docs/errors.md");

/// One of each.
fn failures() -> Vec<Error> {
    let all = vec![
        Error::refused(UserErrorCode::Conflict, "taken"),
        Error::Users(Vec::new()),
        Error::NotFound,
        Error::Unauthenticated,
        Error::Forbidden,
        Error::BadInput("bad".into()),
        Error::TooComplex("long".into()),
        Error::NotPersisted,
        Error::RateLimited(Duration::from_secs(1)),
        Error::CsrfRefused,
        Error::internal("broken"),
    ];
    // A new kind does not compile before it is above.
    for error in &all {
        match error {
            Error::User(_)
            | Error::Users(_)
            | Error::NotFound
            | Error::Unauthenticated
            | Error::Forbidden
            | Error::BadInput(_)
            | Error::TooComplex(_)
            | Error::NotPersisted
            | Error::RateLimited(_)
            | Error::CsrfRefused
            | Error::Internal(_) => {}
        }
    }
    all
}

/// The code of an error as clients get it.
fn code(error: Error) -> String {
    let extensions = async_graphql::Error::from(error).extensions.expect("extensions");
    let code = extensions.get("code").expect("a code").clone().into_json();
    code.expect("JSON").as_str().expect("a text").to_owned()
}

/// The part of the page under a heading.
fn section(heading: &str) -> &'static str {
    let heading = format!("\n## {heading}\n");
    let (_, rest) = PAGE.split_once(&heading).unwrap_or_else(|| panic!("{heading}"));
    rest.split("\n## ").next().unwrap_or(rest)
}

/// The rows of a section's tables by their first cell: their other cells.
fn rows(section: &str) -> Vec<(BTreeSet<String>, Vec<&str>)> {
    let cells = section.lines().filter(|line| line.starts_with("| "));
    let cells = cells.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>());
    let names = |cell: &str| cell.split(", ").map(|name| name.trim_matches('`').to_owned()).collect();
    cells.map(|cells| (names(cells[0]), cells[1..].to_vec())).collect()
}

fn says_something(cells: &[&str]) -> bool {
    cells.iter().all(|cell| cell.len() > 10)
}

#[test]
fn each_failure_has_a_meaning_and_what_each_kind_of_client_does() {
    let rows = rows(section("Failures"));
    let codes: BTreeSet<String> = failures().into_iter().map(code).collect();
    assert_eq!(codes.len(), 9, "{codes:?}");
    for code in &codes {
        let of_code: Vec<_> = rows.iter().filter(|(names, _)| names.contains(code)).collect();
        let lengths: Vec<_> = of_code.iter().map(|(_, cells)| cells.len()).collect();
        assert_eq!(
            lengths,
            [1, 3],
            "{code}: its meaning, then a browser, a native app, and staff"
        );
        assert!(of_code.iter().all(|(_, cells)| says_something(cells)), "{code}");
    }
    let headings = ["code"].map(String::from);
    let named = rows.iter().flat_map(|(names, _)| names);
    let others: Vec<_> = named
        .filter(|name| !codes.contains(*name) && !headings.contains(name))
        .collect();
    assert!(others.is_empty(), "no code of the program: {others:?}");
    let saves = rows
        .iter()
        .find(|(names, cells)| names.contains("RATE_LIMITED") && cells.len() == 3);
    assert!(saves.is_some_and(|(_, cells)| cells[..2].iter().all(|cell| cell.contains("`saveAnswers`"))));
}

#[test]
fn each_outcome_has_what_a_client_does() {
    let document = parse_schema(marmalade::api::schema::sdl()).expect("the schema parses");
    let mut codes = Vec::new();
    for definition in document.definitions {
        if let TypeSystemDefinition::Type(ty) = definition
            && ty.node.name.node == "UserErrorCode"
            && let TypeKind::Enum(of) = ty.node.kind
        {
            codes.extend(of.values.into_iter().map(|value| value.node.value.node.to_string()));
        }
    }
    assert!(codes.len() >= 7, "{codes:?}");
    let rows = rows(section("Outcomes"));
    for code in codes {
        let row = rows.iter().find(|(names, _)| names.contains(&code));
        assert!(
            row.is_some_and(|(_, cells)| cells.len() == 2 && says_something(cells)),
            "{code}"
        );
    }
}

#[test]
fn each_close_code_has_what_a_client_does() {
    let source = include_str!("../../src/http/ws/close.rs");
    let codes = source
        .match_indices(|c: char| c.is_ascii_digit())
        .filter_map(|(at, _)| {
            let (before, rest) = source.split_at(at);
            let code = rest
                .get(..4)
                .filter(|code| code.bytes().all(|byte| byte.is_ascii_digit()))?;
            (before.ends_with("Self::new(") || before.ends_with("Self(")).then(|| code.to_owned())
        });
    let codes: BTreeSet<String> = codes.collect();
    assert!(codes.len() >= 10, "{codes:?}");
    let rows = rows(section("Sockets"));
    for code in codes {
        let row = rows.iter().find(|(names, _)| names.contains(&code));
        assert!(
            row.is_some_and(|(_, cells)| cells.len() == 2 && says_something(cells)),
            "{code}"
        );
    }
}
