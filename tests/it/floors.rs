//! The floors of the house: imports run down, never up, and no two files import each other.
//!
//! A room is a file or a folder of `src/`. It may import the rooms of the lines below its own, and of its own line those
//! that stand to the right of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// From the top. docs/architecture.md says what each room is for.
const FLOORS: [&[&str]; 12] = [
    &["main"],
    &["serve"],
    &["http", "ops", "open"],
    &["demo", "background", "api"],
    &["app"],
    &["attempt"],
    &["export"],
    &["import", "dashboard", "leaderboard"],
    &["quiz", "account", "media"],
    &["change", "site", "config"],
    &[
        "jobs",
        "mail",
        "audit",
        "ranks",
        "operation",
        "entity",
        "limit",
        "auth",
        "outbox",
        "fleet",
        "db",
    ],
    &[
        "telemetry",
        "id",
        "page",
        "text",
        "calendar",
        "clock",
        "error",
        "setting",
        "secret",
        "sync",
    ],
];

/// Files that import each other, and why they may.
const LOOPS: [&[&str]; 2] = [
    // The graph itself: a user has attempts, an attempt has a student; a save offers its attempt, a question its chapter,
    // and who signs in is a user, who has sessions.
    &[
        "api/answer.rs",
        "api/attempt.rs",
        "api/board.rs",
        "api/chapter.rs",
        "api/draft.rs",
        "api/question.rs",
        "api/quiz.rs",
        "api/session.rs",
        "api/subject.rs",
        "api/user.rs",
    ],
    // A quiz has revisions, a revision is of a quiz.
    &["entity/quiz.rs", "entity/revision.rs"],
];

/// Rooms of rules, which know nothing of GraphQL.
const NO_GRAPHQL: [&str; 20] = [
    "account",
    "app",
    "attempt",
    "audit",
    "auth",
    "change",
    "dashboard",
    "db",
    "entity",
    "export",
    "import",
    "jobs",
    "leaderboard",
    "limit",
    "mail",
    "media",
    "outbox",
    "quiz",
    "ranks",
    "site",
];

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The files of `src/` as they import each other, by path.
fn arrows(src: &Path) -> Arrows {
    let mut files = Vec::new();
    collect(src, &mut files);
    let name = |file: &Path| {
        file.strip_prefix(src)
            .expect("in src")
            .to_string_lossy()
            .replace('\\', "/")
    };
    let names: BTreeSet<String> = files.iter().map(|file| name(file)).collect();
    let of = |file: &PathBuf| {
        let (text, own) = (fs::read_to_string(file).expect("a file"), name(file));
        let module: Vec<&str> = own
            .trim_end_matches(".rs")
            .trim_end_matches("/mod")
            .split('/')
            .collect();
        let mut imported: BTreeSet<String> = paths(&text, &module)
            .iter()
            .filter_map(|path| file_of(path, &names))
            .collect();
        imported.remove(&own);
        (own, imported)
    };
    files.iter().map(of).collect()
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|kind| kind == "rs")
            && !path.ends_with("tests.rs")
            && !path.ends_with("contract.rs")
        {
            files.push(path);
        }
    }
}

/// The paths that a file names from `crate`, `super` or `self`, without its tests, comments and declarations of modules.
fn paths(text: &str, module: &[&str]) -> Vec<String> {
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let code: String = text
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n");
    let mut found = Vec::new();
    for (start, base) in [
        ("crate::", &module[..0]),
        ("super::", &module[..module.len().saturating_sub(1)]),
        ("self::", module),
    ] {
        for (at, _) in code.match_indices(start) {
            let before = code[..at].chars().next_back();
            if !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                expand(&base.join("::"), &code[at + start.len()..], &mut found);
            }
        }
    }
    found
}

/// Takes the tree of a `use` apart: `a::{b, c::D}` names `a::b` and `a::c::D`. Returns what follows it.
fn expand<'t>(base: &str, text: &'t str, found: &mut Vec<String>) -> &'t str {
    let mut rest = text.trim_start();
    let end = rest
        .find(|c: char| !c.is_alphanumeric() && c != '_' && c != ':')
        .unwrap_or(rest.len());
    let path = format!("{base}::{}", rest[..end].trim_end_matches(':'));
    rest = &rest[end..];
    let Some(inside) = rest.strip_prefix('{') else {
        // A list may end in a comma.
        found.extend((end > 0).then_some(path));
        return rest;
    };
    rest = inside;
    loop {
        rest = expand(&path, rest, found).trim_start();
        rest = rest
            .split_once(['}', ','])
            .map_or("", |(named, _)| &rest[named.len()..]);
        match rest.chars().next() {
            Some(',') => rest = &rest[1..],
            Some(_) => return &rest[1..],
            None => return rest,
        }
    }
}

/// The file that a path leads to: the innermost module of it that has one.
fn file_of(path: &str, names: &BTreeSet<String>) -> Option<String> {
    let segments: Vec<&str> = path.split("::").filter(|segment| !segment.is_empty()).collect();
    (1..=segments.len()).rev().find_map(|n| {
        let module = segments[..n].join("/");
        [format!("{module}.rs"), format!("{module}/mod.rs")]
            .into_iter()
            .find(|file| names.contains(file))
    })
}

fn room(file: &str) -> &str {
    file.split('/').next().unwrap_or(file).trim_end_matches(".rs")
}

/// Where a room stands: the floor from the top, then the place on it.
fn stands(room: &str) -> Option<(usize, usize)> {
    FLOORS
        .iter()
        .enumerate()
        .find_map(|(floor, rooms)| Some((floor, rooms.iter().position(|known| *known == room)?)))
}

/// Sets of files that import each other, directly or not.
fn loops(arrows: &Arrows) -> BTreeSet<BTreeSet<&str>> {
    let reach = |from: &str| {
        let (mut met, mut next) = (BTreeSet::new(), vec![from.to_owned()]);
        while let Some(file) = next.pop() {
            next.extend(
                arrows
                    .get(&file)
                    .into_iter()
                    .flatten()
                    .filter(|file| met.insert((*file).clone()))
                    .cloned(),
            );
        }
        met
    };
    let reached: BTreeMap<&str, BTreeSet<String>> = arrows.keys().map(|file| (file.as_str(), reach(file))).collect();
    let loop_of = |file: &str| {
        reached
            .keys()
            .copied()
            .filter(|other| reached[file].contains(*other) && reached[other].contains(file))
            .collect()
    };
    reached
        .keys()
        .filter(|file| reached[*file].contains(**file))
        .map(|file| loop_of(file))
        .collect()
}

#[test]
fn imports_run_down() {
    let arrows = arrows(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    let mut up = Vec::new();
    for (from, imported) in arrows.iter().filter(|(from, _)| *from != "lib.rs") {
        let upper = stands(room(from)).unwrap_or_else(|| panic!("{from} is in a room without a floor"));
        for to in imported.iter().filter(|to| room(to) != room(from) && *to != "lib.rs") {
            let lower = stands(room(to)).unwrap_or_else(|| panic!("{to} is in a room without a floor"));
            if lower <= upper {
                up.push(format!("src/{from} imports src/{to}"));
            }
        }
    }
    let loops = loops(&arrows);
    println!(
        "{} files, {} arrows, {} of them up, {} loops",
        arrows.len(),
        arrows.values().map(BTreeSet::len).sum::<usize>(),
        up.len(),
        loops.len()
    );
    assert!(up.is_empty(), "these imports run up:\n{}", up.join("\n"));
    let unknown: Vec<_> = loops
        .iter()
        .filter(|files| !LOOPS.iter().any(|known| files.iter().all(|file| known.contains(file))))
        .collect();
    assert!(unknown.is_empty(), "these files import each other: {unknown:#?}");
}

#[test]
fn rules_know_no_graphql() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&src, &mut files);
    for file in files {
        let name = file.strip_prefix(&src).expect("in src").to_string_lossy().into_owned();
        let text = fs::read_to_string(&file).expect("a file");
        assert!(
            !NO_GRAPHQL.contains(&room(&name)) || !text.contains("async_graphql"),
            "{name} imports async_graphql"
        );
    }
}
