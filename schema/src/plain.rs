//! Lists whose fields are all at hand, written in one go.
//!
//! async-graphql resolves each field of each item as a task of its own, and collects the values
//! in maps. For a page of 50 messages that is most of what the page costs, and needless where no
//! field has anything to wait for. So such a list looks at what is selected of its items first
//! ([`Plan`]). If all of that is plain, it is written straight into JSON; else, and wherever
//! something is unusual, the list is resolved like any other.

use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{ContextSelectionSet, Name, Positioned};

use crate::completion::Shape;
use crate::json::{write_between, write_plain};

/// In a request's data: how its lists may be answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lists {
    /// Written, where that can be.
    Written,
    /// As values: what was selected of one list in several places is united, and what is written
    /// cannot be.
    Values,
}

impl Lists {
    /// What an operation of this shape allows.
    pub(crate) fn of(shape: &Shape) -> Self {
        if shape.unites() {
            Self::Values
        } else {
            Self::Written
        }
    }
}

/// What is selected of the items of the list that is being resolved; none if it cannot be
/// written.
pub(crate) fn plan<F: Plain>(ctx: &ContextSelectionSet<'_>) -> Option<Plan<F>> {
    let lists = ctx.data_opt::<Lists>()?;
    (*lists == Lists::Written).then(|| Plan::of(ctx, &ctx.item.node))?
}

/// The fields selected of an object, in order: each by its key, which is written already.
pub(crate) struct Plan<F>(Vec<(Vec<u8>, F)>);

/// What is plain of a type.
pub(crate) trait Plain: Sized {
    /// Name of the type.
    const TYPE: &'static str;

    /// The field that is asked for, unless it has something to wait for.
    fn of(ctx: &ContextSelectionSet<'_>, field: &Field) -> Option<Self>;
}

impl<F: Plain> Plan<F> {
    /// What is selected in `set` of an object; none if not all of it is plain.
    pub(crate) fn of(ctx: &ContextSelectionSet<'_>, set: &SelectionSet) -> Option<Self> {
        let mut plan = Self(Vec::new());
        plan.add(ctx, set)?;
        Some(plan)
    }

    fn add(&mut self, ctx: &ContextSelectionSet<'_>, set: &SelectionSet) -> Option<()> {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => self.add_field(ctx, &field.node)?,
                Selection::InlineFragment(fragment) if fragment.node.directives.is_empty() => {
                    let on = fragment.node.type_condition.as_ref();
                    Self::check_type(on.map(|on| &on.node.on))?;
                    self.add(ctx, &fragment.node.selection_set.node)?;
                }
                Selection::FragmentSpread(spread) if spread.node.directives.is_empty() => {
                    let name = &spread.node.fragment_name.node;
                    let fragment = &ctx.query_env.fragments.get(name)?.node;
                    Self::check_type(Some(&fragment.type_condition.node.on))?;
                    self.add(ctx, &fragment.selection_set.node)?;
                }
                Selection::InlineFragment(_) | Selection::FragmentSpread(_) => return None,
            }
        }
        Some(())
    }

    fn add_field(&mut self, ctx: &ContextSelectionSet<'_>, field: &Field) -> Option<()> {
        let mut key = Vec::new();
        write_plain(&mut key, field.response_key().node.as_str());
        key.push(b':');
        // Selected twice, what is selected below would have to be united.
        let is_new = self.0.iter().all(|(other, _)| *other != key);
        if !is_new || !field.directives.is_empty() || !field.arguments.is_empty() {
            return None;
        }
        self.0.push((key, F::of(ctx, field)?));
        Some(())
    }

    fn check_type(on: Option<&Positioned<Name>>) -> Option<()> {
        on.is_none_or(|on| on.node == F::TYPE).then_some(())
    }

    /// The fields.
    pub(crate) fn fields(&self) -> impl Iterator<Item = &F> {
        self.0.iter().map(|(_, field)| field)
    }

    /// Writes an object, each field by `value`.
    pub(crate) fn write(&self, out: &mut Vec<u8>, mut value: impl FnMut(&mut Vec<u8>, &F)) {
        write_between(out, b'{', b'}', &self.0, |out, (key, field)| {
            out.extend_from_slice(key);
            value(out, field);
        });
    }
}
