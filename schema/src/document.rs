//! What is checked of a request before any of it is executed: its size first, then its
//! shape. A request that is refused has cost little.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Request, Response, ServerError, Value, Variables};

use crate::Introspection;
use crate::canonical::{Audience, Canonical};
use crate::completion::{Shape, Types};
use crate::error::{code, finish, refusal};
use crate::plain::Lists;
use crate::validity::Validity;

/// Longest document, in bytes.
const DOCUMENT_BYTES: usize = 32 * 1_024;
/// Most lexical tokens of a document.
const TOKENS: usize = 4_000;
/// Deepest nesting of braces, brackets and parentheses: more than any real document has,
/// and little enough for a parser that calls itself.
const NESTING: usize = 64;
/// Deepest nesting of selections, fragments expanded: what follows the parser calls itself
/// too, and a chain of fragments nests no braces.
const SELECTIONS: usize = 32;
/// Deepest selection.
const DEPTH: usize = 12;
/// Deepest selection below `__schema` and `__type`: what tools send to learn the schema.
const INTROSPECTION_DEPTH: usize = 20;
/// Most aliases.
const ALIASES: usize = 50;
/// Most fields selected at the root of an operation, fragments expanded.
const ROOT_FIELDS: usize = 20;
/// Most directives.
const DIRECTIVES: usize = 50;
/// Most fields selected in all operations together, fragments expanded: validation looks at
/// every operation, whichever is to run.
const FIELDS: usize = 2_000;

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperationKind {
    /// Reads.
    Query,
    /// Changes.
    Mutation,
    /// Streams.
    Subscription,
}

/// A request that may be executed.
pub struct Operation {
    /// What it does.
    pub kind: OperationKind,
    pub(crate) document: Arc<Document>,
    pub(crate) variables: Variables,
}

/// What a request asks for, but for the values of its variables: one operation of a text.
pub(crate) struct Document {
    parsed: Arc<ExecutableDocument>,
    name: Option<String>,
    pub(crate) kind: OperationKind,
    pub(crate) shape: Shape,
    /// Values of the variables that have one without being given any.
    defaults: Vec<(Name, Value)>,
    pub(crate) validity: Validity,
    /// Of a subscription that asks for nothing that depends on the viewer.
    canonical: Option<Canonical>,
    lists: Lists,
}

impl Document {
    /// What is given, and the default values of the rest. async-graphql puts these in too, but not
    /// for `@skip` and `@include`.
    pub(crate) fn variables(&self, given: Variables) -> Variables {
        let mut variables = given;
        for (name, default) in &self.defaults {
            let values: &mut BTreeMap<Name, Value> = &mut variables;
            values
                .entry(name.clone())
                .or_insert_with(|| default.clone());
        }
        variables
    }

    /// Who asks the same of an event; none where it depends on the viewer.
    pub(crate) fn audience(&self, variables: &Variables) -> Option<Audience> {
        let canonical = self.canonical.as_ref()?;
        Some(canonical.audience(variables))
    }

    /// A request for it.
    pub(crate) fn request(&self, variables: Variables) -> Request {
        let mut request = Request::new(String::new()).variables(variables);
        request.operation_name.clone_from(&self.name);
        request.set_parsed_query(ExecutableDocument::clone(&self.parsed));
        request.data(self.lists)
    }
}

/// A text that was parsed and is not too large.
pub(crate) struct Parsed {
    document: ExecutableDocument,
    introspects: bool,
}

impl Parsed {
    /// Checks and parses a text.
    pub(crate) fn of(text: &str) -> Result<Self, Box<Response>> {
        check_size(text)?;
        let document = parse_query(text).map_err(|error| Box::new(finish(from_parser(&error))))?;
        let introspects = check_shape(&document)?;
        Ok(Self {
            document,
            introspects,
        })
    }
}

/// The operations of a text.
pub(crate) struct Operations(Box<[Arc<Document>]>);

impl Operations {
    pub(crate) fn of(
        types: &Types,
        introspection: Introspection,
        parsed: Parsed,
    ) -> Result<Self, Box<Response>> {
        // async-graphql would answer null, where the type allows none.
        if introspection == Introspection::Refused && parsed.introspects {
            return Err(bad("this server does not tell its schema"));
        }
        let parsed = Arc::new(parsed.document);
        let operations = parsed.operations.iter().map(|(name, operation)| {
            let shape = Shape::of(types, &parsed, &operation.node);
            let kind = kind(operation);
            let canonical = match kind {
                OperationKind::Query | OperationKind::Mutation => None,
                OperationKind::Subscription => Canonical::of(types, &parsed, &operation.node),
            };
            Arc::new(Document {
                parsed: Arc::clone(&parsed),
                name: name.map(ToString::to_string),
                kind,
                lists: Lists::of(&shape),
                shape,
                defaults: defaults(operation),
                validity: Validity::new(types, &parsed, &operation.node),
                canonical,
            })
        });
        Ok(Self(operations.collect()))
    }

    /// The one that is to run.
    pub(crate) fn select(&self, name: Option<&str>) -> Result<Arc<Document>, Box<Response>> {
        let found = match (name, &*self.0) {
            (None, [only]) => Some(only),
            (None, _) => None,
            (Some(_), all) => all.iter().find(|one| one.name.as_deref() == name),
        };
        found.cloned().ok_or_else(|| match name {
            Some(_) => bad("no operation of the document has the name given as `operationName`"),
            None => bad("the document has several operations: `operationName` must name one"),
        })
    }
}

fn from_parser(error: &async_graphql::parser::Error) -> Response {
    let error: ServerError = error.clone().into();
    Response::from_errors(vec![error])
}

fn defaults(operation: &Positioned<OperationDefinition>) -> Vec<(Name, Value)> {
    let variables = operation.node.variable_definitions.iter();
    let defaults = variables.filter_map(|defined| {
        let default = defined.node.default_value.as_ref()?;
        Some((defined.node.name.node.clone(), default.node.clone()))
    });
    defaults.collect()
}

fn kind(operation: &Positioned<OperationDefinition>) -> OperationKind {
    match operation.node.ty {
        OperationType::Query => OperationKind::Query,
        OperationType::Mutation => OperationKind::Mutation,
        OperationType::Subscription => OperationKind::Subscription,
    }
}

pub(crate) fn bad(message: &str) -> Box<Response> {
    Box::new(refusal(code::BAD_USER_INPUT, message, None))
}

fn too_complex(what: &str, most: usize, at: Option<Pos>) -> Box<Response> {
    let message = format!("the document has more than {most} {what}");
    Box::new(refusal(code::TOO_COMPLEX, message, at))
}

/// Bytes, tokens and nesting, in one pass over the text and before it is parsed.
fn check_size(query: &str) -> Result<(), Box<Response>> {
    if query.len() > DOCUMENT_BYTES {
        return Err(too_complex("bytes", DOCUMENT_BYTES, None));
    }
    let (mut tokens, mut nesting) = (0, 0_usize);
    let mut rest = query.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = match byte {
            b' ' | b'\t' | b'\r' | b'\n' | b',' => {
                rest = tail;
                continue;
            }
            b'#' => {
                rest = after_line(tail);
                continue;
            }
            b'"' => after_string(tail),
            b'{' | b'[' | b'(' => {
                nesting += 1;
                tail
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                tail
            }
            byte if is_word(byte) => after_word(tail),
            _ => tail,
        };
        tokens += 1;
        if tokens > TOKENS {
            return Err(too_complex("tokens", TOKENS, None));
        }
        if nesting > NESTING {
            return Err(too_complex("levels", NESTING, None));
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

fn after_word(text: &[u8]) -> &[u8] {
    &text[text
        .iter()
        .position(|byte| !is_word(*byte))
        .unwrap_or(text.len())..]
}

fn after_line(text: &[u8]) -> &[u8] {
    &text[text
        .iter()
        .position(|byte| matches!(byte, b'\n' | b'\r'))
        .unwrap_or(text.len())..]
}

/// Skips a string whose first quote has been taken. An unterminated one takes the rest; the
/// parser will say so.
fn after_string(text: &[u8]) -> &[u8] {
    let (block, mut rest) = match text {
        [b'"', b'"', tail @ ..] => (true, tail),
        [b'"', tail @ ..] => return tail,
        _ => (false, text),
    };
    loop {
        rest = match rest {
            [] => return rest,
            [b'\\', b'"', b'"', b'"', tail @ ..] if block => tail,
            [b'"', b'"', b'"', tail @ ..] if block => return tail,
            [b'\\', _, tail @ ..] if !block => tail,
            [b'"', tail @ ..] if !block => return tail,
            [_, tail @ ..] => tail,
        };
    }
}

/// Depth, aliases, directives and fields. Each fragment is measured once, however often it
/// is spread: fragments that spread others twice would otherwise double at every level.
/// Answers whether it asks for the schema.
fn check_shape(document: &ExecutableDocument) -> Result<bool, Box<Response>> {
    let mut measure = Measure {
        document,
        fragments: HashMap::new(),
        level: 0,
        aliases: 0,
        directives: 0,
    };
    for name in document.fragments.keys() {
        measure.fragment(name)?;
    }
    let (mut fields, mut introspects) = (0, false);
    for (_, operation) in document.operations.iter() {
        measure.count_directives(&operation.node.directives)?;
        let extent = measure.selection(&operation.node.selection_set)?;
        fields = extent.fields.saturating_add(fields);
        for (what, most, measured) in [
            ("levels of fields", DEPTH, extent.depth),
            (
                "levels of introspection",
                INTROSPECTION_DEPTH,
                extent.introspection_depth,
            ),
            ("fields at its root", ROOT_FIELDS, extent.roots),
            ("fields", FIELDS, fields),
        ] {
            if measured > most {
                return Err(too_complex(what, most, Some(operation.pos)));
            }
        }
        introspects |= extent.introspection_depth > 0;
    }
    Ok(introspects)
}

/// How far a selection reaches, fragments expanded.
#[derive(Clone, Copy, Default)]
struct Extent {
    nesting: usize,
    depth: usize,
    introspection_depth: usize,
    roots: usize,
    fields: usize,
}

impl Extent {
    /// Beside each other in one selection.
    fn beside(self, other: Self) -> Self {
        Self {
            nesting: self.nesting.max(other.nesting),
            depth: self.depth.max(other.depth),
            introspection_depth: self.introspection_depth.max(other.introspection_depth),
            roots: self.roots.saturating_add(other.roots),
            fields: self.fields.saturating_add(other.fields),
        }
    }

    /// Below a field.
    fn below(self, field: &str) -> Self {
        let (depth, introspection_depth) = if matches!(field, "__schema" | "__type") {
            (0, 1 + self.depth.max(self.introspection_depth))
        } else {
            (1 + self.depth, self.introspection_depth)
        };
        Self {
            nesting: self.nesting,
            depth,
            introspection_depth,
            roots: 1,
            fields: self.fields.saturating_add(1),
        }
    }
}

struct Measure<'a> {
    document: &'a ExecutableDocument,
    /// None while it is being measured: met again then, it is part of a cycle.
    fragments: HashMap<&'a Name, Option<Extent>>,
    /// How many selections are being measured within each other.
    level: usize,
    aliases: usize,
    directives: usize,
}

impl<'a> Measure<'a> {
    fn fragment(&mut self, name: &'a Name) -> Result<Extent, Box<Response>> {
        match self.fragments.get(name) {
            Some(Some(extent)) => return Ok(*extent),
            Some(None) => return Err(bad("a fragment spreads itself")),
            None => {}
        }
        let Some(fragment) = self.document.fragments.get(name) else {
            return Err(bad("a fragment is spread that is not defined"));
        };
        self.fragments.insert(name, None);
        self.count_directives(&fragment.node.directives)?;
        let extent = self.selection(&fragment.node.selection_set)?;
        self.fragments.insert(name, Some(extent));
        Ok(extent)
    }

    fn selection(&mut self, set: &'a Positioned<SelectionSet>) -> Result<Extent, Box<Response>> {
        let mut extent = Extent::default();
        if set.node.items.is_empty() {
            return Ok(extent);
        }
        let too_deep = || too_complex("selections within each other", SELECTIONS, Some(set.pos));
        self.level += 1;
        if self.level > SELECTIONS {
            return Err(too_deep());
        }
        for selection in &set.node.items {
            let part = match &selection.node {
                Selection::Field(field) => {
                    self.aliases += usize::from(field.node.alias.is_some());
                    if self.aliases > ALIASES {
                        return Err(too_complex("aliases", ALIASES, Some(field.pos)));
                    }
                    self.count_directives(&field.node.directives)?;
                    self.selection(&field.node.selection_set)?
                        .below(&field.node.name.node)
                }
                Selection::FragmentSpread(spread) => {
                    self.count_directives(&spread.node.directives)?;
                    self.fragment(&spread.node.fragment_name.node)?
                }
                Selection::InlineFragment(fragment) => {
                    self.count_directives(&fragment.node.directives)?;
                    self.selection(&fragment.node.selection_set)?
                }
            };
            extent = extent.beside(part);
        }
        self.level -= 1;
        extent.nesting += 1;
        if extent.nesting > SELECTIONS {
            return Err(too_deep());
        }
        Ok(extent)
    }

    fn count_directives(
        &mut self,
        directives: &[Positioned<Directive>],
    ) -> Result<(), Box<Response>> {
        self.directives += directives.len();
        if self.directives > DIRECTIVES {
            let at = directives.first().map(|directive| directive.pos);
            return Err(too_complex("directives", DIRECTIVES, at));
        }
        Ok(())
    }
}
