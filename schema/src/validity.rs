//! Which requests need not be validated, because the same document was before.
//!
//! async-graphql validates a document with the values of its variables, and that takes longer than
//! all else about a small request. What depends on the values is whether each argument is of its
//! type. So a document that was found valid once is valid with other values too,
//! as long as each value fits the type that its variable is declared with. Where that is not plain
//! to see, validation decides, and words the error.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use async_graphql::parser::types::{
    BaseType, ExecutableDocument, OperationDefinition, Selection, SelectionSet, Type,
};
use async_graphql::{Name, Positioned, Value, Variables};
use async_graphql_value::Value as Literal;

use crate::completion::Types;

/// Input objects within each other that are looked into.
const DEPTH: usize = 4;

/// What is known of an operation's validity.
pub(crate) struct Validity {
    declared: Vec<Declared>,
    /// Whether a variable stands within a list or an object: without its value, validation does not
    /// look at the rest of that.
    within_literals: bool,
    was_valid: AtomicBool,
}

struct Declared {
    name: Name,
    fit: Fit,
    has_default: bool,
}

/// Which values fit a type.
enum Fit {
    Text,
    Flag,
    Int,
    List(Box<Fit>),
    /// Those of its fields, and whether each must be there.
    Object(BTreeMap<Name, (Fit, bool)>),
    OrNull(Box<Fit>),
    /// That is for validation to say.
    Unknown,
}

impl Validity {
    pub(crate) fn new(
        types: &Types,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Self {
        let declared = operation.variable_definitions.iter().map(|defined| {
            let defined = &defined.node;
            Declared {
                name: defined.name.node.clone(),
                fit: Fit::of(types, &defined.var_type.node, DEPTH),
                has_default: defined.default_value.is_some(),
            }
        });
        let mut sets = vec![&operation.selection_set];
        sets.extend(document.fragments.values().map(|f| &f.node.selection_set));
        Self {
            declared: declared.collect(),
            within_literals: sets.into_iter().any(has_variable_within_literal),
            was_valid: AtomicBool::new(false),
        }
    }

    /// Whether the operation is known to be valid with these values.
    pub(crate) fn is_known(&self, variables: &Variables) -> bool {
        self.was_valid.load(Ordering::Relaxed)
            && self.declared.iter().all(|declared| {
                match variables.get(&declared.name) {
                    // A null in the place of a default is not for us to judge.
                    Some(Value::Null) if declared.has_default => false,
                    Some(value) => declared.fit.takes(value),
                    None => matches!(declared.fit, Fit::OrNull(_)),
                }
            })
    }

    /// Whether it is known to be valid if validation finds it so with these values.
    pub(crate) fn is_told_by(&self, variables: &Variables) -> bool {
        let mut names = self.declared.iter().map(|declared| &declared.name);
        !self.within_literals || names.all(|name| variables.contains_key(name))
    }

    /// Takes the news that validation found it so.
    pub(crate) fn learn(&self) {
        self.was_valid.store(true, Ordering::Relaxed);
    }
}

impl Fit {
    fn of(types: &Types, ty: &Type, depth: usize) -> Self {
        let fit = match &ty.base {
            BaseType::List(item) => Self::List(Box::new(Self::of(types, item, depth))),
            BaseType::Named(name) => match name.as_str() {
                "ID" | "String" => Self::Text,
                "Boolean" => Self::Flag,
                "Int" => Self::Int,
                _ => Self::of_object(types, name, depth),
            },
        };
        if ty.nullable {
            Self::OrNull(Box::new(fit))
        } else {
            fit
        }
    }

    fn of_object(types: &Types, name: &Name, depth: usize) -> Self {
        let (Some(fields), true) = (types.input_fields(name), depth > 0) else {
            return Self::Unknown;
        };
        let fields = fields.iter().map(|field| {
            let field = &field.node;
            let ty = &field.ty.node;
            let fit = Self::of(types, ty, depth - 1);
            let is_required = !ty.nullable && field.default_value.is_none();
            (field.name.node.clone(), (fit, is_required))
        });
        Self::Object(fields.collect())
    }

    fn takes(&self, value: &Value) -> bool {
        match (self, value) {
            (Self::Text, Value::String(_))
            | (Self::Flag, Value::Boolean(_))
            | (Self::OrNull(_), Value::Null) => true,
            (Self::OrNull(fit), value) => fit.takes(value),
            (Self::Int, Value::Number(number)) => {
                number.as_i64().is_some_and(|n| i32::try_from(n).is_ok())
            }
            (Self::List(item), Value::List(values)) => values.iter().all(|value| item.takes(value)),
            (Self::Object(fields), Value::Object(values)) => {
                values.iter().all(|(name, value)| {
                    let field = fields.get(name);
                    field.is_some_and(|(fit, _)| fit.takes(value))
                }) && fields
                    .iter()
                    .all(|(name, (_, is_required))| !is_required || values.contains_key(name))
            }
            (
                Self::Text
                | Self::Flag
                | Self::Int
                | Self::List(_)
                | Self::Object(_)
                | Self::Unknown,
                _,
            ) => false,
        }
    }
}

fn has_variable_within_literal(set: &Positioned<SelectionSet>) -> bool {
    set.node.items.iter().any(|item| match &item.node {
        Selection::Field(field) => {
            let mut arguments = field.node.arguments.iter();
            arguments.any(|(_, value)| holds_variable(&value.node))
                || has_variable_within_literal(&field.node.selection_set)
        }
        Selection::InlineFragment(fragment) => {
            has_variable_within_literal(&fragment.node.selection_set)
        }
        Selection::FragmentSpread(_) => false,
    })
}

fn holds_variable(value: &Literal) -> bool {
    let is_or_holds =
        |value: &Literal| matches!(value, Literal::Variable(_)) || holds_variable(value);
    if let Literal::List(items) = value {
        items.iter().any(is_or_holds)
    } else if let Literal::Object(fields) = value {
        fields.values().any(is_or_holds)
    } else {
        false
    }
}
