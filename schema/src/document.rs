//! What is checked of a request before any of it is executed: its size first, then its
//! shape. A request that is refused has cost little.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, Weak};

use async_graphql::parser::parse_query;
use async_graphql::parser::types::{
    Directive, ExecutableDocument, OperationDefinition, OperationType, Selection, SelectionSet,
};
use async_graphql::{Name, Pos, Positioned, Request, Response, ServerError, Value, Variables};
use serde::Deserialize;

use crate::Introspection;
use crate::canonical::{Audience, Canonical};
use crate::completion::{Shape, Types};
use crate::error::{code, finish, refusal};

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

/// A request as clients send it, its variables and extensions already known to be objects.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GraphQlRequest {
    /// The document.
    pub query: String,
    /// Which of its operations to run.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Values of its variables.
    #[serde(default)]
    pub variables: Option<serde_json::Map<String, serde_json::Value>>,
    /// Beyond the specification; nothing here is acted upon.
    #[serde(default)]
    pub extensions: Option<serde_json::Map<String, serde_json::Value>>,
}

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

/// What a request asks for, but for the values of its variables.
pub(crate) struct Document {
    parsed: ExecutableDocument,
    name: Option<String>,
    pub(crate) shape: Shape,
    /// Values of the variables that have one without being given any.
    defaults: Vec<(Name, Value)>,
    /// Of a subscription that asks for nothing that depends on the viewer.
    canonical: Option<Canonical>,
}

impl Document {
    /// What is given, and the default values of the rest. async-graphql puts these in too, but not
    /// for `@skip` and `@include`.
    fn variables(&self, given: Variables) -> Variables {
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
        request.set_parsed_query(self.parsed.clone());
        request
    }
}

/// The documents that are held by subscriptions: all that ask the same hold one.
#[derive(Default)]
pub(crate) struct Documents(Mutex<HashMap<Text, Weak<Document>>>);

/// Text and name of the operation.
type Text = (String, Option<String>);

impl Documents {
    /// The document of this text that is held already, else this one.
    fn share(&self, text: Text, document: Document) -> Arc<Document> {
        let mut held = self.0.lock().expect("no holder panics");
        if let Some(same) = held.get(&text).and_then(Weak::upgrade) {
            return same;
        }
        if held.len() == held.capacity() {
            held.retain(|_, document| document.strong_count() > 0);
        }
        let document = Arc::new(document);
        held.insert(text, Arc::downgrade(&document));
        document
    }
}

impl Operation {
    pub(crate) fn parse(
        types: &Types,
        introspection: Introspection,
        documents: &Documents,
        request: GraphQlRequest,
    ) -> Result<Self, Box<Response>> {
        let GraphQlRequest {
            query,
            operation_name,
            variables,
            extensions: _,
        } = request;
        check_size(&query)?;
        let document =
            parse_query(&query).map_err(|error| Box::new(finish(from_parser(&error))))?;
        let operation = select(&document, operation_name.as_deref())?;
        let kind = kind(operation);
        check_shape(&document, introspection)?;
        let shape = Shape::of(types, &document, &operation.node);
        let canonical = match kind {
            OperationKind::Query | OperationKind::Mutation => None,
            OperationKind::Subscription => Canonical::of(types, &document, &operation.node),
        };
        let defaults = operation
            .node
            .variable_definitions
            .iter()
            .filter_map(|defined| {
                let default = defined.node.default_value.as_ref()?;
                Some((defined.node.name.node.clone(), default.node.clone()))
            });
        let defaults = defaults.collect();
        let variables = serde_json::Value::Object(variables.unwrap_or_default());
        let parsed = Document {
            parsed: document,
            name: operation_name,
            shape,
            defaults,
            canonical,
        };
        let document = match kind {
            OperationKind::Query | OperationKind::Mutation => Arc::new(parsed),
            OperationKind::Subscription => documents.share((query, parsed.name.clone()), parsed),
        };
        Ok(Self {
            kind,
            variables: document.variables(Variables::from_json(variables)),
            document,
        })
    }
}

fn from_parser(error: &async_graphql::parser::Error) -> Response {
    let error: ServerError = error.clone().into();
    Response::from_errors(vec![error])
}

/// The operation that will run.
fn select<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Result<&'a Positioned<OperationDefinition>, Box<Response>> {
    let mut operations = document.operations.iter();
    let named = |wanted| operations.clone().find(|(name, _)| *name == Some(wanted));
    let found = match name {
        Some(name) => named(&Name::new(name)).map(|(_, operation)| operation),
        None => operations
            .next()
            .map(|(_, first)| first)
            .filter(|_| operations.next().is_none()),
    };
    found.ok_or_else(|| match name {
        Some(_) => bad("no operation of the document has the name given as `operationName`"),
        None => bad("the document has several operations: `operationName` must name one"),
    })
}

fn kind(operation: &Positioned<OperationDefinition>) -> OperationKind {
    match operation.node.ty {
        OperationType::Query => OperationKind::Query,
        OperationType::Mutation => OperationKind::Mutation,
        OperationType::Subscription => OperationKind::Subscription,
    }
}

fn bad(message: &str) -> Box<Response> {
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
fn check_shape(
    document: &ExecutableDocument,
    introspection: Introspection,
) -> Result<(), Box<Response>> {
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
    let mut fields = 0;
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
        // async-graphql would answer null, where the type allows none.
        if introspection == Introspection::Refused && extent.introspection_depth > 0 {
            return Err(bad("this server does not tell its schema"));
        }
    }
    Ok(())
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
