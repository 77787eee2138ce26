//! Cost limits of an operation, checked before it runs and as far as possible before it is parsed.
//!
//! The library's parser recurses at each bracket; its validators walk a fragment each time it is spread. [`scan`] and
//! [`measure`] refuse documents that would overload either.

use std::{collections::HashMap, convert::Infallible};

use async_graphql::{
    Name, Pos, Positioned, ServerError, Value, Variables,
    parser::types::{ExecutableDocument, Field, OperationDefinition, Selection, SelectionSet},
};
use confique::Config;

use crate::{error::Error, setting, text::REPLACEMENT};

/// Bounds of one operation. Exceeding one is refused with `QUERY_TOO_COMPLEX`. Each default is several times the need
/// of a screen; GraphiQL's introspection is 13 deep.
#[derive(Clone, Copy, Debug, Config)]
pub struct Bounds {
    /// Names, numbers, strings and punctuators of one document.
    #[config(env = "MARMALADE_MAX_TOKENS", default = 10_000)]
    pub tokens: usize,
    /// Fields below each other in one operation.
    #[config(env = "MARMALADE_MAX_DEPTH", default = 16)]
    pub depth: usize,
    /// Fields that one operation may return; see docs/errors.md for how they are counted.
    #[config(env = "MARMALADE_MAX_COMPLEXITY", default = 20_000)]
    pub complexity: usize,
    /// Aliases of one operation.
    #[config(env = "MARMALADE_MAX_ALIASES", default = 100)]
    pub aliases: usize,
    /// Root fields of one operation.
    #[config(env = "MARMALADE_MAX_ROOT_FIELDS", default = 50)]
    pub root_fields: usize,
    /// Directives of one operation.
    #[config(env = "MARMALADE_MAX_DIRECTIVES", default = 50)]
    pub directives: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        setting::defaults()
    }
}

impl Bounds {
    #[cfg(test)]
    pub(crate) fn unlimited() -> Self {
        Self {
            tokens: usize::MAX,
            depth: 100,
            complexity: usize::MAX,
            aliases: usize::MAX,
            root_fields: usize::MAX,
            directives: usize::MAX,
        }
    }

    /// Selections inside of each other, fragments included; also what the library allows.
    pub fn nesting(&self) -> usize {
        self.depth.saturating_mul(2)
    }

    /// Brackets inside of each other: selections, arguments, lists and objects.
    fn brackets(&self) -> usize {
        self.nesting().saturating_add(16).min(64)
    }
}

fn too_complex(what: &str, requested: u64, allowed: usize) -> Error {
    Error::TooComplex(format!(
        "The operation has {requested} {what}; at most {allowed} are allowed. Request less at once."
    ))
}

/// Scans the text of a document without parsing it: in one pass, without recursion.
pub(crate) fn scan(document: &str, bounds: &Bounds) -> Result<(), Error> {
    let bytes = document.as_bytes();
    let (mut at, mut tokens, mut open) = (0, 0_usize, 0_usize);
    while let Some(&byte) = bytes.get(at) {
        let rest = &bytes[at..];
        let length = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += rest.iter().take_while(|byte| !matches!(byte, b'\r' | b'\n')).count();
                continue;
            }
            b'{' | b'[' | b'(' => {
                open += 1;
                if open > bounds.brackets() {
                    let allowed = bounds.brackets();
                    return Err(Error::TooComplex(format!(
                        "At most {allowed} brackets may be open at once."
                    )));
                }
                1
            }
            b'}' | b']' | b')' => {
                open = open.saturating_sub(1);
                1
            }
            b'"' if rest.starts_with(b"\"\"\"") => block_string(rest)?,
            b'"' => string(rest),
            b'-' | b'_' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => {
                let rest = rest[1..].iter();
                1 + rest
                    .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'+' | b'-'))
                    .count()
            }
            b'.' if rest.starts_with(b"...") => 3,
            _ => 1,
        };
        at += length;
        tokens += 1;
        if tokens > bounds.tokens {
            let allowed = bounds.tokens;
            return Err(Error::TooComplex(format!(
                "The document has more than {allowed} words and signs. Send a shorter one; pass lists as variables."
            )));
        }
    }
    Ok(())
}

/// The length of a string. The parser sees to escapes.
fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    loop {
        match rest.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            // The parser will say so; what follows is counted all the same.
            Some(b'\r' | b'\n') | None => return at.min(rest.len()),
            Some(_) => at += 1,
        }
    }
}

/// The length of a block string. To the parser one that does not end is an empty string and another begun.
fn block_string(rest: &[u8]) -> Result<usize, Error> {
    let mut at = 3;
    while at < rest.len() {
        if rest[at..].starts_with(b"\\\"\"\"") {
            at += 4;
        } else if rest[at..].starts_with(b"\"\"\"") {
            return Ok(at + 3);
        } else {
            at += 1;
        }
    }
    Err(Error::BadInput("A block string of the document does not end.".into()))
}

/// The size of a selection after all fragments are spread.
#[derive(Clone, Copy, Debug, Default)]
struct Size {
    selections: u64,
    aliases: u64,
    directives: u64,
    /// Fields at its top.
    fields: u64,
    /// Fields below each other.
    depth: usize,
    /// Selections inside of each other.
    nesting: usize,
    introspects: bool,
}

impl Size {
    fn add(&mut self, other: Self) {
        self.selections = self.selections.saturating_add(other.selections);
        self.aliases = self.aliases.saturating_add(other.aliases);
        self.directives = self.directives.saturating_add(other.directives);
        self.fields = self.fields.saturating_add(other.fields);
        self.depth = self.depth.max(other.depth);
        self.nesting = self.nesting.max(other.nesting);
        self.introspects |= other.introspects;
    }
}

/// Properties of a document, besides its data.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Requested {
    /// Whether it selects the schema as a whole.
    pub introspection: bool,
}

/// Measures a parsed document; each fragment is walked once, however often it is spread.
pub(crate) fn measure(document: &ExecutableDocument, bounds: &Bounds) -> Result<Requested, ServerError> {
    let mut walk = Walk {
        document,
        bounds,
        fragments: HashMap::new(),
    };
    let mut total = Size::default();
    for (_, operation) in document.operations.iter() {
        total.add(walk.operation(&operation.node)?);
    }
    for (what, requested, allowed) in [
        ("selections", total.selections, bounds.complexity),
        ("aliases", total.aliases, bounds.aliases),
        ("fields at its root", total.fields, bounds.root_fields),
        ("directives", total.directives, bounds.directives),
        (
            "levels of fields",
            u64::try_from(total.depth).unwrap_or(u64::MAX),
            bounds.depth,
        ),
    ] {
        if requested > u64::try_from(allowed).unwrap_or(u64::MAX) {
            return Err(crate::operation::error::of_request(too_complex(
                what, requested, allowed,
            )));
        }
    }
    Ok(Requested {
        introspection: total.introspects,
    })
}

struct Walk<'d> {
    document: &'d ExecutableDocument,
    bounds: &'d Bounds,
    /// `None` while a fragment is being walked.
    fragments: HashMap<&'d Name, Option<Size>>,
}

impl<'d> Walk<'d> {
    fn operation(&mut self, operation: &'d OperationDefinition) -> Result<Size, ServerError> {
        let mut size = self.selections(&operation.selection_set, 0)?;
        for variable in &operation.variable_definitions {
            let (name, default) = (&variable.node.name, &variable.node.default_value);
            if let Some(refused) = default.as_ref().and_then(|default| refused_character(&default.node)) {
                return Err(refused_text("variable", &name.node, refused, name.pos));
            }
        }
        let of_variables: usize = operation
            .variable_definitions
            .iter()
            .map(|v| v.node.directives.len())
            .sum();
        size.directives = size
            .directives
            .saturating_add(count(operation.directives.len() + of_variables));
        Ok(size)
    }

    fn selections(&mut self, set: &'d Positioned<SelectionSet>, level: usize) -> Result<Size, ServerError> {
        self.bear(level, set.pos)?;
        let mut size = Size::default();
        for selection in &set.node.items {
            let mut inner = match &selection.node {
                Selection::Field(field) => self.field(&field.node, level)?,
                Selection::InlineFragment(fragment) => self.selections(&fragment.node.selection_set, level + 1)?,
                Selection::FragmentSpread(spread) => self.fragment(&spread.node.fragment_name, level + 1)?,
            };
            inner.selections = inner.selections.saturating_add(1);
            inner.directives = inner
                .directives
                .saturating_add(count(selection.node.directives().len()));
            size.add(inner);
        }
        size.nesting += 1;
        Ok(size)
    }

    fn field(&mut self, field: &'d Field, level: usize) -> Result<Size, ServerError> {
        let of_directives = field.directives.iter().flat_map(|directive| &directive.node.arguments);
        for (name, value) in field.arguments.iter().chain(of_directives) {
            // Variables in it are looked at by themselves.
            let literal = value.node.clone().into_const_with(|_| Ok::<_, Infallible>(Value::Null));
            if let Some(refused) = literal.ok().as_ref().and_then(refused_character) {
                return Err(refused_text("argument", &name.node, refused, value.pos));
            }
        }
        let mut size = if field.selection_set.node.items.is_empty() {
            Size::default()
        } else {
            self.selections(&field.selection_set, level + 1)?
        };
        size.fields = 1;
        size.depth += 1;
        size.aliases = size.aliases.saturating_add(u64::from(field.alias.is_some()));
        size.introspects |= field.name.node == "__schema";
        Ok(size)
    }

    fn fragment(&mut self, name: &'d Positioned<Name>, level: usize) -> Result<Size, ServerError> {
        self.bear(level, name.pos)?;
        match self.fragments.get(&name.node) {
            Some(Some(size)) => {
                self.bear(level + size.nesting, name.pos)?;
                return Ok(*size);
            }
            Some(None) => {
                let message = format!("The fragment {} spreads itself.", name.node);
                return Err(ServerError::new(message, Some(name.pos)));
            }
            None => {}
        }
        // One that is not there is the validator's to name.
        let Some(fragment) = self.document.fragments.get(&name.node) else {
            return Ok(Size::default());
        };
        self.fragments.insert(&name.node, None);
        let mut size = self.selections(&fragment.node.selection_set, level)?;
        size.directives = size.directives.saturating_add(count(fragment.node.directives.len()));
        self.fragments.insert(&name.node, Some(size));
        Ok(size)
    }

    fn bear(&self, level: usize, at: Pos) -> Result<(), ServerError> {
        let allowed = self.bounds.nesting();
        if level <= allowed {
            return Ok(());
        }
        let message = format!("Selections are nested deeper than {allowed} levels. Request less at once.");
        let mut error = crate::operation::error::of_request(Error::TooComplex(message));
        error.locations.push(at);
        Err(error)
    }
}

fn count(of: usize) -> u64 {
    u64::try_from(of).unwrap_or(u64::MAX)
}

/// Refuses a value with a character that no text has: the same on both databases, for every string.
pub(crate) fn refuse_characters(variables: &Variables) -> Result<(), ServerError> {
    let refused = |(name, value)| Some((name, refused_character(value)?));
    match variables.iter().find_map(refused) {
        Some((name, refused)) => Err(refused_text("variable", name, refused, None)),
        None => Ok(()),
    }
}

fn refused_text(what: &str, name: &Name, refused: char, at: impl Into<Option<Pos>>) -> ServerError {
    let message = match refused {
        '\0' => format!("The {what} `{name}` holds the character NUL (U+0000). Send the text without it."),
        _ => format!(
            "The {what} `{name}` holds U+FFFD, which stands for what could not be read: the text was damaged before it \
             was sent. Send it as it was typed, in UTF-8."
        ),
    };
    let mut error = crate::operation::error::of_request(Error::BadInput(message));
    error.locations.extend(at.into());
    error
}

/// NUL, the one character that PostgreSQL can't store, or U+FFFD, which nobody types.
fn refused_character(value: &Value) -> Option<char> {
    let of_text = |text: &str| text.chars().find(|c| matches!(*c, '\0' | REPLACEMENT));
    match value {
        Value::String(text) => of_text(text),
        Value::List(items) => items.iter().find_map(refused_character),
        Value::Object(fields) => fields
            .iter()
            .find_map(|(name, value)| of_text(name).or_else(|| refused_character(value))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use async_graphql::parser::parse_query;

    use super::*;

    fn judged(document: &str) -> Result<(), String> {
        let bounds = Bounds::default();
        scan(document, &bounds).map_err(|error| crate::operation::error::of_request(error).message)?;
        let document = parse_query(document).map_err(|error| error.to_string())?;
        measure(&document, &bounds).map(drop).map_err(|error| error.message)
    }

    #[test]
    fn what_kills_the_parser_does_not_reach_it() {
        let brackets = |open: &str| format!("{{ a(b: {}", open.repeat(100_000));
        for document in [
            "{a".repeat(100_000),
            brackets("["),
            brackets("{x:"),
            // To the parser an empty string, one more, and then the brackets.
            format!("{{ a(b: [\"\"\"x\" {}", "[".repeat(100_000)),
            "{ a(b: \"\\ud800\") }".into(),
            "{ a(b: \"\\u0000\") }".into(),
            "{ a(b: \"x\0\") }".into(),
            "{ a(b: [{c: \"\"\"x\0\"\"\"}]) }".into(),
            "{ a @b(c: \"\0\") }".into(),
            "query($a: String = \"\0\") { a(b: $a) }".into(),
            "{ a(b: 1e999) }".into(),
            "{ a(b: -9e99999999) }".into(),
        ] {
            assert!(judged(&document).is_err(), "{}", &document[..40.min(document.len())]);
        }
    }

    #[test]
    fn fragments_cost_what_they_come_to() {
        // Each of 20 fragments spreads the next one twice: a million fields in 1 KB.
        let laugh = |i| {
            format!(
                "fragment F{i} on Query {{ a{i}: __typename ...F{} ...F{} }}",
                i + 1,
                i + 1
            )
        };
        let mut document: Vec<_> = (0..20).map(laugh).collect();
        document.push("fragment F20 on Query { __typename } { ...F0 }".into());
        assert!(judged(&document.join(" ")).is_err_and(|error| error.contains("selections")));
        let circle = "{ ...A } fragment A on Query { ...B } fragment B on Query { ...A }";
        assert!(judged(circle).is_err_and(|error| error.contains("spreads itself")));
    }

    #[test]
    fn a_bound_is_kept_to_the_one() {
        let aliases = |n: usize| {
            format!(
                "{{ q {{ {} }} }}",
                (0..n).map(|i| format!("a{i}: b ")).collect::<String>()
            )
        };
        let roots = |n: usize| format!("{{ {} }}", "q ".repeat(n));
        let directives = |n: usize| format!("{{ q {} }}", "@x ".repeat(n));
        let deep = |n: usize| format!("{}{}", "{ q ".repeat(n), "}".repeat(n));
        let tokens = |n: usize| format!("{{ q(a: [{}]) }}", "1 ".repeat(n - 9));
        let bounds = Bounds::default();
        for (document, allowed) in [
            (&aliases as &dyn Fn(usize) -> String, bounds.aliases),
            (&roots, bounds.root_fields),
            (&directives, bounds.directives),
            (&deep, bounds.depth),
            (&tokens, bounds.tokens),
        ] {
            assert_eq!(judged(&document(allowed)), Ok(()));
            assert!(judged(&document(allowed + 1)).is_err());
        }
    }

    #[test]
    fn ordinary_text_is_read_as_it_is() {
        for document in [
            "query A($a: [Int!]! = [1, -2, 3.5e3]) { q(a: $a, s: \"\\\"\\u0627 {{{\") { ...F } } fragment F on Q { x }",
            "# a comment with { and \"\n{ q(s: \"\"\"a \\\"\"\" {{{ [[[\"\"\") }",
            "{ q(s: \"\") r(s: \"\"\"\"\"\") }",
        ] {
            assert_eq!(judged(document), Ok(()), "{document}");
        }
    }
}
