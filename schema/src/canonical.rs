//! What a subscription asks of an event, in one form whatever its text looks like.

use std::fmt::Write as _;

use async_graphql::parser::types::{
    Directive, ExecutableDocument, OperationDefinition, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned, Variables};
use async_graphql_value::Value as Literal;
use sha2::{Digest as _, Sha256};

use crate::completion::{Types, named};

/// All who ask the same of an event: the first half of the SHA-256 of what they ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Audience([u8; 16]);

impl Audience {
    #[cfg(test)]
    pub(crate) const fn numbered(number: u8) -> Self {
        Self([number; 16])
    }
}

/// What a subscription asks of an event, but for the values of its variables.
pub(crate) struct Canonical {
    text: String,
    /// Variables that the text names by number. Those that only the root field is given are not
    /// among them: they choose the events.
    variables: Vec<Name>,
}

impl Canonical {
    /// None where any of it depends on the viewer.
    pub(crate) fn of(
        types: &Types,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Option<Self> {
        let mut writer = Writer {
            types,
            document,
            canonical: Self {
                text: String::new(),
                variables: Vec::new(),
            },
        };
        let root = Name::new("Subscription");
        writer.selections(&root, &operation.selection_set.node, Level::Root)?;
        Some(writer.canonical)
    }

    /// Who asks the same, with these values.
    pub(crate) fn audience(&self, given: &Variables) -> Audience {
        let mut digest = Sha256::new();
        digest.update(self.text.as_bytes());
        for name in &self.variables {
            // What is left out is not the same as null.
            let value = given.get(name);
            let value = value.map_or_else(|| "-".to_owned(), ToString::to_string);
            // No value has a line break outside of its strings, and there it is escaped.
            digest.update(b"\n");
            digest.update(value.as_bytes());
        }
        let digest: [u8; 32] = digest.finalize().into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Audience(half)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Root,
    Below,
}

struct Writer<'a> {
    types: &'a Types,
    document: &'a ExecutableDocument,
    canonical: Canonical,
}

impl Writer<'_> {
    /// None where something depends on the viewer.
    fn selections(&mut self, parent: &Name, set: &SelectionSet, level: Level) -> Option<()> {
        self.text("{");
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => {
                    let field = &field.node;
                    let name = &field.name.node;
                    if self.types.depends_on_viewer(parent, name) {
                        return None;
                    }
                    self.text(&field.response_key().node);
                    self.text(":");
                    self.text(name);
                    if level == Level::Below {
                        self.arguments(&field.arguments);
                    }
                    self.directives(&field.directives);
                    if let Some(ty) = self.types.field(parent, name)
                        && !field.selection_set.node.items.is_empty()
                    {
                        let below = named(ty).clone();
                        self.selections(&below, &field.selection_set.node, Level::Below)?;
                    }
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment.node.type_condition.as_ref();
                    let on = on.map_or(parent, |on| &on.node.on.node);
                    self.fragment(on, &fragment.node.directives);
                    self.selections(on, &fragment.node.selection_set.node, level)?;
                }
                Selection::FragmentSpread(spread) => {
                    // One that is not there is refused before anything is executed.
                    let document = self.document;
                    let fragment = document.fragments.get(&spread.node.fragment_name.node)?;
                    let on = &fragment.node.type_condition.node.on.node;
                    self.fragment(on, &spread.node.directives);
                    self.selections(on, &fragment.node.selection_set.node, level)?;
                }
            }
            self.text(" ");
        }
        self.text("}");
        Some(())
    }

    fn fragment(&mut self, on: &Name, directives: &[Positioned<Directive>]) {
        self.text("...");
        self.text(on);
        self.directives(directives);
    }

    fn directives(&mut self, directives: &[Positioned<Directive>]) {
        for directive in directives {
            self.text("@");
            self.text(&directive.node.name.node);
            self.arguments(&directive.node.arguments);
        }
    }

    fn arguments(&mut self, arguments: &[(Positioned<Name>, Positioned<Literal>)]) {
        let mut arguments: Vec<_> = arguments.iter().collect();
        arguments.sort_by(|(a, _), (b, _)| a.node.cmp(&b.node));
        for (name, value) in arguments {
            self.text("(");
            self.text(&name.node);
            self.text("=");
            self.value(&value.node);
            self.text(")");
        }
    }

    fn value(&mut self, value: &Literal) {
        match value {
            Literal::Variable(name) => self.variable(name),
            Literal::List(items) => {
                self.text("[");
                for item in items {
                    self.value(item);
                    self.text(",");
                }
                self.text("]");
            }
            Literal::Object(fields) => {
                self.text("<");
                for (name, value) in fields {
                    self.text(name);
                    self.text("=");
                    self.value(value);
                    self.text(",");
                }
                self.text(">");
            }
            Literal::Null
            | Literal::Number(_)
            | Literal::String(_)
            | Literal::Boolean(_)
            | Literal::Binary(_)
            | Literal::Enum(_) => {
                write!(self.canonical.text, "{value}").expect("a string takes any text");
            }
        }
    }

    fn variable(&mut self, name: &Name) {
        let variables = &mut self.canonical.variables;
        let known = variables.iter().position(|known| known == name);
        let number = known.unwrap_or_else(|| {
            variables.push(name.clone());
            variables.len() - 1
        });
        write!(self.canonical.text, "${number}").expect("a string takes any text");
    }

    fn text(&mut self, text: &str) {
        self.canonical.text.push_str(text);
    }
}
