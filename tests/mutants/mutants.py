#!/usr/bin/env python3
"""Takes each guard and each scope away, one at a time, and sees the tests notice.

    tests/mutants/mutants.py [--list] [--only WORD] [--skip N] [--release] [--target DIR] [--folder DIR] [--report FILE]

A copy of the sources is rewritten so that every guard and scope has a switch, and the copy is built once. Each test runs
once by itself and says which switches it comes by. Then, for each switch, the tests that come by it run on SQLite until
one notices: first those that come by the fewest others, then the matrix (`ownership`), then the rest. What nobody notices
is a defect of the tests, and the script fails. The places are found by patterns, so a guard that is written tomorrow is
taken away, too; a place that looks like a guard but can't be rewritten is an error.

--list    only tell what would be taken away
--only    only places whose description contains WORD; may be given more than once
--skip    leave out the first N, to go on where a run was ended
--release builds optimised: the build takes minutes longer, and each run of the tests a fraction
--target  build folder, kept between runs (default: a folder beside the copy)
--folder  keeps the copy and what each test comes by, so that a run that was ended goes on there; remove it when the sources
          change (default: a temporary folder)
--report  where the table goes, beside standard output
"""
import argparse, concurrent.futures, contextlib, json, os, pathlib, re, shutil, subprocess, sys, tempfile, time

ROOT = pathlib.Path(__file__).resolve().parents[2]
# What an operator runs by hand, in whose way no guard stands.
BY_HAND = ("src/demo", "src/import/bank", "src/import/sheet", "src/import/mod.rs", "src/ops/copy.rs", "src/ops/verify.rs", "src/main.rs", "src/mutants.rs")
# Reasons why a place is no guard: (file, words of its line).
NO_GUARD = {
    ("src/api/guard.rs", "is_staff"): "the arm as a whole is a mutant",
    ("src/auth/mod.rs", "is_staff"): "each call of is_owner_or_staff is a mutant",
}

SWITCHES = '''//! The switches of tests/mutants: `MUTANT` names what is taken away.
#![allow(dead_code, reason = "which of them are used depends on what was found")]
use std::{cell::Cell, collections::BTreeMap, sync::{LazyLock, Mutex}};

static MUTANT: LazyLock<usize> = LazyLock::new(|| std::env::var("MUTANT").ok().and_then(|n| n.parse().ok()).unwrap_or(0));
thread_local!(static UNSCOPED: Cell<bool> = const { Cell::new(false) });

pub fn gone(n: usize) -> bool {
    pass(n);
    *MUTANT == n
}

/// Where those go that a test came by, each once.
static PASSED: LazyLock<Option<Mutex<(std::fs::File, std::collections::BTreeSet<usize>)>>> = LazyLock::new(|| {
    let file = std::fs::OpenOptions::new().append(true).create(true).open(std::env::var_os("MUTANTS_PASSED")?);
    Some(Mutex::new((file.expect("a file"), std::collections::BTreeSet::new())))
});
fn pass(n: usize) {
    if let Some(passed) = &*PASSED {
        let (file, seen) = &mut *passed.lock().unwrap();
        if seen.insert(n) {
            std::io::Write::write_all(file, format!("{n}\n").as_bytes()).expect("written");
        }
    }
}
pub fn yes(n: usize, answer: bool) -> bool { gone(n) || answer }
pub fn no(n: usize, answer: bool) -> bool { !gone(n) && answer }
pub fn allowed(n: usize, answer: Option<bool>) -> Option<bool> { if gone(n) { Some(true) } else { answer } }

pub struct Guarded<G>(pub usize, pub G);
impl<G: async_graphql::Guard + Send + Sync> async_graphql::Guard for Guarded<G> {
    async fn check(&self, ctx: &async_graphql::Context<'_>) -> async_graphql::Result<()> {
        if gone(self.0) { Ok(()) } else { self.1.check(ctx).await }
    }
}

/// What was a constant.
pub struct Text(pub LazyLock<&'static str>);
impl std::ops::Deref for Text {
    type Target = &'static str;
    fn deref(&self) -> &&'static str { &self.0 }
}
impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str(&self.0) }
}

/// The fields that are guarded, by their guards. Behind a guard stands a rule that can't be called without a viewer; so
/// whoever takes the guard away gives the rule a viewer, too: whoever was let in last.
const GUARDED: &[(usize, &str)] = &[/*guarded*/];
/// By application: the tests of a run have one each.
static LATEST: Mutex<BTreeMap<usize, &'static crate::auth::Viewer>> = Mutex::new(BTreeMap::new());
fn place(site: &crate::site::Site) -> usize { std::ptr::from_ref(site) as usize }
pub fn let_in(site: &crate::site::Site, viewer: crate::auth::Viewer) -> crate::auth::Viewer {
    if GUARDED.iter().any(|(n, _)| *n == *MUTANT) {
        LATEST.lock().unwrap().insert(place(site), Box::leak(Box::new(viewer.clone())));
    }
    viewer
}
pub fn latest(ctx: &async_graphql::Context<'_>) -> Option<&'static crate::auth::Viewer> {
    let (_, field) = GUARDED.iter().find(|(n, _)| *n == *MUTANT)?;
    let mut at = ctx.path_node.as_ref();
    let mut below = ctx.item.node.name.node == *field;
    while let Some(node) = at {
        below |= matches!(node.segment, async_graphql::QueryPathSegment::Name(name) if name == *field);
        at = node.parent;
    }
    below.then(|| LATEST.lock().unwrap().get(&place(ctx.data_unchecked::<crate::app::App>())).copied()).flatten()
}

pub fn filter(n: usize, filter: impl sea_orm::sea_query::IntoCondition) -> sea_orm::Condition {
    if gone(n) || UNSCOPED.get() { sea_orm::Condition::all() } else { filter.into_condition() }
}
/// While it lives, finders leave nothing out. A block and no closure, as what is called in it may return early.
pub struct Unscoped;
impl Unscoped {
    pub fn begin(n: usize) -> Self { UNSCOPED.set(gone(n)); Self }
}
impl Drop for Unscoped {
    fn drop(&mut self) { UNSCOPED.set(false) }
}
pub fn either<T>(whole: T, without: impl IntoIterator<Item = (usize, T)>) -> T {
    without.into_iter().find(|(n, _)| gone(*n)).map_or(whole, |(_, without)| without)
}
'''


class Unreadable(Exception):
    pass


def balanced(text, at):
    """The index after the bracket that closes the one at `at`; strings are skipped."""
    pairs, depth, i = {"(": ")", "[": "]", "{": "}"}, [], at
    while i < len(text):
        c = text[i]
        if c == '"':
            i = string_end(text, i)
            continue
        if c in pairs:
            depth.append(pairs[c])
        elif depth and c == depth[-1]:
            depth.pop()
            if not depth:
                return i + 1
        i += 1
    raise Unreadable("unbalanced")


def string_end(text, at):
    return re.compile(r'"(?:[^"\\]|\\.)*"', re.S).match(text, at).end()


class File:
    def __init__(self, path, text):
        self.path, self.text = path, text
        tests = re.search(r"^#\[cfg\(test\)\]", text, re.M)
        self.end = tests.start() if tests else len(text)
        self.edits = []  # (start, end, before, after): wraps what is there

    def matches(self, pattern):
        for match in re.finditer(pattern, self.text[: self.end], re.S | re.M):
            line = self.line(match.start())
            if not line.lstrip().startswith("//"):
                yield match

    def line(self, at):
        start = self.text.rfind("\n", 0, at) + 1
        return self.text[start : self.text.find("\n", at)].strip()

    def place(self, at):
        functions = list(re.finditer(r"\bfn (\w+)", self.text[:at]))
        after = re.compile(r"\bfn (\w+)").search(self.text, at)
        is_attribute = self.line(at).startswith("#[")
        name = after if is_attribute and after else (functions[-1] if functions else None)
        return f"{self.path}:{self.text.count(chr(10), 0, at) + 1} {name.group(1) if name else ''}".strip()

    def wrap(self, start, end, before, after):
        self.edits.append((start, end, before, after))

    def rewritten(self):
        # An edit is two insertions; where they meet, the inner one closes first and opens last.
        points = []
        for start, end, before, after in self.edits:
            points += [(start, 1, -(end - start), before), (end, 0, end - start, after)]
        text = self.text
        for at, *_, words in sorted(points, key=lambda p: p[:3], reverse=True):
            text = text[:at] + words + text[at:]
        return text


class Mutants:
    def __init__(self, root):
        paths = sorted(p for p in (root / "src").rglob("*.rs"))
        names = [str(p.relative_to(root)) for p in paths]
        self.files = [File(n, p.read_text()) for n, p in zip(names, paths) if not n.startswith(BY_HAND)]
        self.found, self.trouble, self.guarded = [], [], []
        self.finders = self.scoped_finders()
        for file in self.files:
            for find in (self.guards, self.needs, self.checks, self.refusals, self.roles, self.origins, self.scopes,
                         self.statements):
                try:
                    find(file)
                except Unreadable as error:
                    self.trouble.append(f"{file.path}: {error}")

    def add(self, file, at, what):
        self.found.append((file.place(at), what))
        return len(self.found)

    def excused(self, file, at):
        return any(file.path == path and words in file.line(at) for path, words in NO_GUARD)

    def guards(self, file):
        """`guard = "…"` of a field or an object."""
        if file.path == "src/api/guard.rs":
            return
        for match in file.matches(r"\bguard\b\s*(?:=|\()"):
            whole = re.compile(r'guard = "([^"]+)"').match(file.text, match.start())
            if not whole:
                raise Unreadable(f"a guard of another form: {file.line(match.start())}")
            n = self.add(file, match.start(), f"guard {whole.group(1)}")
            field = re.compile(r"\s*(?:#\[[^\n]*\]\s*)*(?:pub )?async fn (\w+)").match(file.text, file.text.index("]\n", match.start()) + 1)
            if field:
                self.guarded.append((n, re.sub(r"_(\w)", lambda m: m.group(1).upper(), field.group(1))))
            file.wrap(*whole.span(1), f"crate::mutants::Guarded({n}, ", ")")

    def needs(self, file):
        """What the guards ask for."""
        if file.path != "src/api/guard.rs":
            return
        arms = list(file.matches(r"Self::(\w+)(?:\([^)]*\))? => ([^,\n]+),"))
        if not arms:
            raise Unreadable("no arms found")
        for match in arms:
            if match.group(2) != "true":
                n = self.add(file, match.start(), f"Needs::{match.group(1)}")
                file.wrap(*match.span(2), f"crate::mutants::yes({n}, ", ")")

    def checks(self, file):
        """Calls that do nothing but refuse."""
        for match in file.matches(r"^\s*((?:ctx\.viewer\(\)|self\.must_be_readable\(ctx\))\?;)"):
            n = self.add(file, match.start(1), match.group(1))
            file.wrap(*match.span(1), f"if !crate::mutants::gone({n}) {{ ", " }")

    def refusals(self, file):
        """`if … { return Err(Error::Forbidden)`, and the like over HTTP."""
        refused = (r"\bif ((?:';'|(?!\bif |;).)*?) (?:=> )?\{\s*(?://[^\n]*\s*)?return (?:Err\()?(?:Error::(?:Forbidden|NotFound|Unauthenticated|CsrfRefused)"
                   r"|\(?StatusCode::(?:FORBIDDEN|UNAUTHORIZED)|respond\(\s*media_type,\s*StatusCode::FORBIDDEN"
                   r"|plain\(\s*StatusCode::UNSUPPORTED_MEDIA_TYPE)")
        for match in file.matches(refused):
            if match.group(1).startswith("let "):
                raise Unreadable(f"a refusal of another form: {file.line(match.start())}")
            n = self.add(file, match.start(), "refusal if " + " ".join(match.group(1).split())[:60])
            file.wrap(*match.span(1), f"crate::mutants::no({n}, ", ")")
        for match in file.matches(r"\bif (changes && method == Method::GET) \{"):
            n = self.add(file, match.start(), "refusal of mutations by GET")
            file.wrap(*match.span(1), f"crate::mutants::no({n}, ", ")")

    def roles(self, file):
        """Questions about who somebody is."""
        for match in file.matches(r"(?:\w+(?:\(\))?\??\.)+(?:is_staff|is_admin|is_owner_or_staff|allows)\("):
            if self.excused(file, match.start()):
                continue
            n = self.add(file, match.start(), match.group().strip() + "…)")
            file.wrap(match.start(), balanced(file.text, match.end() - 1), f"crate::mutants::yes({n}, ", ")")

    def origins(self, file):
        """Where a request came from."""
        for match in file.matches(r"(?<!fn )\borigin_is_allowed(\()"):
            n = self.add(file, match.start(), "the origin is allowed")
            file.wrap(match.start(), balanced(file.text, match.start(1)), f"crate::mutants::allowed({n}, ", ")")

    def scoped_finders(self):
        """The finders of src/entity that leave rows out."""
        finders = set()
        for file in (f for f in self.files if f.path.startswith("src/entity/")):
            table = pathlib.Path(file.path).stem
            bodies = {}
            for match in file.matches(r"fn (\w+)\([^{]*-> (?:Select|SelectTwo)<[^{]*\{"):
                bodies[match.group(1)] = file.text[match.end() : balanced(file.text, match.end() - 1)]
            scoped = {name for name, body in bodies.items() if ".filter(" in body}
            while True:
                more = {n for n, b in bodies.items() if n not in scoped and re.search(rf"Self::({'|'.join(scoped)})\(", b)} if scoped else set()
                if not more:
                    break
                scoped |= more
            finders |= {(table, name) for name in scoped}
        return finders

    def scopes(self, file):
        """Filters of finders, and each use of a finder."""
        if file.path.startswith("src/entity/"):
            for match in file.matches(r"\.filter(\()"):
                end = balanced(file.text, match.start(1))
                what = " ".join(file.text[match.end() : end - 1].split())
                n = self.add(file, match.start(), f"scope {what[:60]}")
                file.wrap(match.end(), end - 1, f"crate::mutants::filter({n}, ", ")")
            return
        for match in file.matches(r"\b(?:\w+::)*?(\w+)::Entity::(\w+)\b(\()?"):
            if (match.group(1), match.group(2)) not in self.finders:
                continue
            if not match.group(3):
                raise Unreadable(f"a finder that is not called: {file.line(match.start())}")
            n = self.add(file, match.start(), f"scope {match.group(1)}::{match.group(2)}")
            file.wrap(match.start(), balanced(file.text, match.start(3)), f"{{ let _unscoped = crate::mutants::Unscoped::begin({n}); ", " }")

    def statements(self, file):
        """Conditions of statements about whose a row is and whether it is there."""
        fragment = re.compile(r"(?:\b\w+\.)?\b(?:(?:deleted_at|suspended_at|revoked_at|erased_at) IS NULL|(?:student_id|user_id) = \$\d+)")
        # `const X: [&str; N] = […];` becomes a static beside it.
        lists = []
        for match in file.matches(r"^const (\w+): (\[&str; \d+\]) = (\[)"):
            end = balanced(file.text, match.start(3))
            if not fragment.search(file.text[match.start(3) : end]):
                continue
            lists.append((match.start(), end))
            name, kind, elements = match.group(1), match.group(2), []
            for literal in re.finditer(r'"(?:[^"\\]|\\.)*"', file.text[match.start(3) : end]):
                text = literal.group()
                without = [(self.add(file, match.start(3) + literal.start(), f"condition {part.group()}"),
                            f"{text[: part.start()]}({part.group()} OR 1 = 1){text[part.end() :]}") for part in fragment.finditer(text)]
                values = ", ".join(f"({n}, {changed})" for n, changed in without)
                elements.append(f"crate::mutants::either({text}, [{values}])" if without else text)
            file.wrap(match.start(), match.start(), f"static {name}: std::sync::LazyLock<{kind}> = std::sync::LazyLock::new(|| [{', '.join(elements)}]);\n#[allow(unused)]\n", "")
            file.wrap(match.start(1), match.start(1), "UNUSED_", "")
            for use in re.finditer(rf"\b{name}\b", file.text[: file.end]):
                if not match.start() <= use.start() < end:
                    file.wrap(use.start(), use.end(), "*", "")
        for match in file.matches(r'"(?:[^"\\]|\\.)*"'):
            literal = match.group()
            if any(start <= match.start() < end for start, end in lists):
                continue
            fragments = list(fragment.finditer(literal))
            if not fragments or not re.search(r"\b(WHERE|JOIN)\b", literal):
                continue
            start, end = match.span()
            before = file.text[:start].rstrip()
            shared = re.search(r"(?:const|static) (\w+): &str =$", before)
            in_format = before.endswith("format!(")
            if shared:  # `const X: &str = "…";` becomes a function's static by another name
                name = shared.group(1)
            without = []
            for part in fragments:
                n = self.add(file, start, f"condition {part.group()}")
                changed = literal[: part.start()] + f"({part.group()} OR 1 = 1)" + literal[part.end() :]
                without.append((n, changed))
            if shared:
                file.wrap(start, end, "", "")
                line = file.text.rfind("\n", 0, start) + 1
                values = ", ".join(f"({n}, {text})" for n, text in without)
                semicolon = file.text.index(";", end)
                head = file.text[line:start]
                file.wrap(line, line, head.replace("const ", "const ALL_OF_", 1) + literal + ";\n"
                          f"static {name}: crate::mutants::Text = crate::mutants::Text(std::sync::LazyLock::new(|| crate::mutants::either(ALL_OF_{name}, [{values}])));\n#[allow(unused)]\n"
                          + "", "")
                file.wrap(line + head.index(name), line + head.index(name), "UNUSED_", "")
                for use in re.finditer(rf"\b{name}\b", file.text[: file.end]):
                    if not line <= use.start() < semicolon and file.text[use.start() - 1] != "{":
                        file.wrap(use.start(), use.end(), "*", "")
            elif in_format:
                opening = file.text.rindex("format!(", 0, start)
                closing = balanced(file.text, opening + len("format!"))
                rest = file.text[end:closing]
                values = ", ".join(f"({n}, format!({text}{rest})" for n, text in without)
                file.wrap(opening, closing, "crate::mutants::either(", f", [{values}])")
            else:
                values = ", ".join(f"({n}, {text})" for n, text in without)
                file.wrap(start, end, "crate::mutants::either(", f", [{values}])")


def copy(mutants, to):
    listed = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (to / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, to / name)
    for file in mutants.files:
        if file.edits:
            (to / file.path).write_text(file.rewritten())
    lib = to / "src/lib.rs"
    lib.write_text(lib.read_text() + "\n#[doc(hidden)]\npub mod mutants;\n")
    guarded = ", ".join(f'({n}, "{field}")' for n, field in mutants.guarded)
    (to / "src/mutants.rs").write_text(SWITCHES.replace("/*guarded*/", guarded))
    replace(to / "src/api/context.rs", "self.data_opt().ok_or(Error::Unauthenticated)",
            "self.data_opt().or_else(|| crate::mutants::latest(self)).ok_or(Error::Unauthenticated)")
    # The tests of the program start it without their environment.
    replace(to / "tests/it/support/site.rs", ".env_clear()",
            '.env_clear().envs(std::env::vars().filter(|(name, _)| name.starts_with("MUTANT")))')
    replace(to / "src/account/session.rs", "allowed.then_some(viewer)", "allowed.then_some(viewer).map(|viewer| crate::mutants::let_in(site, viewer))")


def replace(path, old, new):
    text = path.read_text()
    if text.count(old) != 1:
        sys.exit(f"{path.name}: expected once: {old}")
    path.write_text(text.replace(old, new))


def build(at, target, release):
    env = dict(os.environ, CARGO_TARGET_DIR=str(target))
    command = ["cargo", "test", *(["--release"] if release else []), "--no-run", "--test", "it", "--message-format=short"]
    done = subprocess.run(command, cwd=at, env=env, stderr=subprocess.PIPE, text=True)
    binary = re.search(r"\(([^)]*/deps/it-\w+)\)", done.stderr)
    if done.returncode or not binary:
        sys.exit(f"the copy does not build:\n{done.stderr[-6000:]}")
    return pathlib.Path(at, binary.group(1))


def run(binary, at, mutant, arguments, **more):
    """The tests that fail, or none; a run that does not end is a failure as well."""
    env = {k: v for k, v in os.environ.items() if k not in ("TEST_DATABASE_URL", "TEST_REDIS_URL")}
    env.update(MUTANT=str(mutant), **more)
    try:
        done = subprocess.run([binary, *arguments], cwd=at, env=env, capture_output=True, text=True, timeout=1500)
    except subprocess.TimeoutExpired:
        return ["(did not end)"]
    failed = sorted(set(re.findall(r"^test (\S+) \.\.\. FAILED", done.stdout, re.M)))
    return failed or (["(crashed)"] if done.returncode else [])


def noticed(binary, at, mutant, names):
    """Those of the tests that fail without this guard, and not only because the machine is busy."""
    failed = run(binary, at, mutant, ["--exact", *names])
    return [name for name in failed if name not in names or run(binary, at, mutant, ["--exact", name])]


def passed(binary, at, folder):
    """By test: the mutants that it comes by. Fails if a test fails before anything is taken away."""
    listed = subprocess.run([binary, "--list", "--format=terse"], cwd=at, capture_output=True, text=True, check=True)
    names = re.findall(r"^(\S+): test$", listed.stdout, re.M)
    # The examples are programs of their own, and the floors are those of the sources, which have no switches.
    names = [n for n in names if not n.startswith(("examples::", "floors::"))]
    kept = pathlib.Path(folder, "tests.json")
    done = json.loads(kept.read_text()) if kept.exists() else {}

    def alone(name):
        file = pathlib.Path(folder, name.replace(":", "_"))
        once = lambda: run(binary, at, 0, ["--exact", name], MUTANTS_PASSED=str(file))
        failing = once() and once()
        return name, failing, {int(n) for n in file.read_text().split()} if file.exists() else set()

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        failed = []
        for name, failing, mutants in pool.map(alone, [name for name in names if name not in done]):
            if failing:
                failed.append(name)
            else:
                done[name] = sorted(mutants)
                kept.write_text(json.dumps(done))
    if failed:
        sys.exit(f"the tests fail before anything is taken away: {failed}")
    return {name: set(done[name]) for name in names}


def in_turn(tests, mutant):
    """The tests that come by the mutant, in the order in which they are likely to notice it soon."""
    by = sorted((name for name, mutants in tests.items() if mutant in mutants), key=lambda name: len(tests[name]))
    matrix = [name for name in by if name.startswith("ownership")]
    others = [name for name in by if name not in matrix]
    # These run a whole corpus of operations each.
    others.sort(key=lambda name: name.startswith("execution"))
    yield from filter(None, [others[:4], others[4:12], matrix, *(others[at : at + 24] for at in range(12, len(others), 24))])


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--list", action="store_true")
    options.add_argument("--only", action="append", default=[])
    options.add_argument("--skip", type=int, default=0)
    options.add_argument("--release", action="store_true")
    options.add_argument("--target")
    options.add_argument("--folder")
    options.add_argument("--report")
    given = options.parse_args()
    mutants = Mutants(ROOT)
    if mutants.trouble:
        sys.exit("these can't be read:\n" + "\n".join(mutants.trouble))
    chosen = [(n, *found) for n, found in enumerate(mutants.found, 1) if n > given.skip and (not given.only or any(word in " ".join(found) for word in given.only))]
    if given.list:
        for n, place, what in chosen:
            print(f"{n:4} {what:62} {place}")
        return
    out = open(given.report, "w") if given.report else None

    def tell(line):
        print(line, flush=True)
        if out:
            print(line, file=out, flush=True)

    with contextlib.ExitStack() as stack:
        folder = given.folder or stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-"))
        at = pathlib.Path(folder, "copy")
        if not at.exists():
            at.mkdir(parents=True)
            copy(mutants, at)
        binary = build(at, pathlib.Path(given.target or f"{folder}/target").resolve(), given.release)
        tests, survivors = passed(binary, at, folder), 0

        def judge(mutant):
            began = time.monotonic()
            for names in in_turn(tests, mutant[0]):
                if failed := noticed(binary, at, mutant[0], names):
                    return *mutant, failed, time.monotonic() - began
            return *mutant, [], time.monotonic() - began

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            for n, place, what, failed, seconds in pool.map(judge, chosen):
                survivors += not failed
                by = ", ".join(name.removesuffix("::sqlite") for name in failed[:3]) or "NOBODY"
                tell(f"{n:4} {what:62} {place:60} {by} ({seconds:.0f} s)")
        tell(f"{len(chosen)} guards and scopes were taken away; {survivors} were not missed")
        sys.exit(1 if survivors else 0)


if __name__ == "__main__":
    main()
