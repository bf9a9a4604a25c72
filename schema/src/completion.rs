//! Results as the specification has them.
//!
//! async-graphql leaves a field that failed out of its object, and keeps the order in which
//! fields were done. The specification (October 2021) wants null there, or in the nearest
//! nullable place above it (section 6.4.4), and the order of the request (section 7.2.2).
//! A [`Shape`] is what the request asked for; [`Shape::complete`] makes a result fit it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use async_graphql::indexmap::IndexMap;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, ExecutableDocument, InputValueDefinition, OperationDefinition, OperationType,
    Selection, SelectionSet, Type, TypeKind, TypeSystemDefinition,
};
use async_graphql::{Name, PathSegment, Positioned, Response, Value};

/// The directive of fields that depend on the viewer.
const PER_VIEWER: &str = "perViewer";

/// What the schema says of every field, by the names of type and field.
pub(crate) struct Types {
    fields: HashMap<Name, HashMap<Name, Arc<Type>>>,
    /// Of input objects.
    input_fields: HashMap<Name, Vec<Positioned<InputValueDefinition>>>,
    /// Fields that are marked with [`PER_VIEWER`].
    per_viewer: HashSet<(Name, Name)>,
    /// Of `__typename`, which every type has and none declares.
    typename: Arc<Type>,
}

impl Types {
    /// Reads them from the schema's own definition.
    ///
    /// # Panics
    /// When async-graphql cannot read what it has written.
    pub(crate) fn of_sdl(sdl: &str) -> Self {
        let document = parse_schema(sdl).expect("the schema's own definition is well-formed");
        let (mut per_viewer, mut interfaces) = (HashSet::new(), Vec::new());
        let mut input_fields = HashMap::new();
        let types = document.definitions.into_iter().filter_map(|definition| {
            let TypeSystemDefinition::Type(definition) = definition else {
                return None;
            };
            let fields = match definition.node.kind {
                TypeKind::Object(object) => object.fields,
                TypeKind::Interface(interface) => {
                    interfaces.push(definition.node.name.node.clone());
                    interface.fields
                }
                TypeKind::InputObject(input) => {
                    input_fields.insert(definition.node.name.node, input.fields);
                    return None;
                }
                TypeKind::Scalar | TypeKind::Union(_) | TypeKind::Enum(_) => return None,
            };
            let parent = definition.node.name.node;
            for field in &fields {
                let mut directives = field.node.directives.iter();
                if directives.any(|directive| directive.node.name.node == PER_VIEWER) {
                    per_viewer.insert((parent.clone(), field.node.name.node.clone()));
                }
            }
            let fields = fields
                .into_iter()
                .map(|field| (field.node.name.node, Arc::new(field.node.ty.node)));
            Some((parent, fields.collect()))
        });
        let mut fields: HashMap<Name, HashMap<Name, Arc<Type>>> = types.collect();
        // Behind an interface may be any type that has the field.
        let marked: HashSet<Name> = per_viewer.iter().map(|(_, name)| name.clone()).collect();
        for interface in interfaces {
            let names = fields.get(&interface).into_iter().flat_map(HashMap::keys);
            let marked = names.filter(|name| marked.contains(*name)).cloned();
            per_viewer.extend(marked.map(|name| (interface.clone(), name)));
        }
        let of = |ty| Arc::new(Type::new(ty).expect("a well-formed type"));
        // Introspection has its place in the request too; of what is below it, nothing is known.
        let query = fields.entry(Name::new("Query")).or_default();
        query.insert(Name::new("__schema"), of("__Schema!"));
        query.insert(Name::new("__type"), of("__Type"));
        Self {
            fields,
            input_fields,
            per_viewer,
            typename: of("String!"),
        }
    }

    /// Whether what a field says depends on the viewer.
    pub(crate) fn depends_on_viewer(&self, parent: &Name, name: &Name) -> bool {
        self.per_viewer.contains(&(parent.clone(), name.clone()))
    }

    /// The fields of an input object.
    pub(crate) fn input_fields(&self, name: &Name) -> Option<&[Positioned<InputValueDefinition>]> {
        self.input_fields.get(name).map(Vec::as_slice)
    }

    pub(crate) fn field(&self, parent: &Name, name: &Name) -> Option<&Arc<Type>> {
        if name == "__typename" {
            return Some(&self.typename);
        }
        self.fields.get(parent)?.get(name)
    }
}

/// What an operation asks for: its fields in order, fragments expanded.
#[derive(Default)]
pub(crate) struct Shape(Vec<Field>);

struct Field {
    /// The alias, else the name.
    key: Name,
    ty: Arc<Type>,
    below: Shape,
    /// In how many places something is selected of it.
    places: usize,
}

impl Shape {
    /// The shape of an operation. What does not exist in the schema is left out: validation
    /// will refuse it.
    pub(crate) fn of(
        types: &Types,
        document: &ExecutableDocument,
        operation: &OperationDefinition,
    ) -> Self {
        let root = match operation.ty {
            OperationType::Query => "Query",
            OperationType::Mutation => "Mutation",
            OperationType::Subscription => "Subscription",
        };
        let mut shape = Self::default();
        shape.add(types, document, &Name::new(root), &operation.selection_set);
        shape.shrink();
        shape
    }

    /// Whether something is selected of the same field in several places, and must be united.
    pub(crate) fn unites(&self) -> bool {
        let mut fields = self.0.iter();
        fields.any(|field| field.places > 1 || field.below.unites())
    }

    fn shrink(&mut self) {
        self.0.shrink_to_fit();
        self.0.iter_mut().for_each(|field| field.below.shrink());
    }

    fn add(
        &mut self,
        types: &Types,
        document: &ExecutableDocument,
        parent: &Name,
        set: &Positioned<SelectionSet>,
    ) {
        for selection in &set.node.items {
            match &selection.node {
                Selection::Field(field) => {
                    let Some(ty) = types.field(parent, &field.node.name.node) else {
                        continue;
                    };
                    let selected = &field.node.selection_set;
                    let field = self.at(field.node.response_key().node.clone(), ty);
                    field.places += usize::from(!selected.node.items.is_empty());
                    field.below.add(types, document, named(ty), selected);
                }
                Selection::InlineFragment(fragment) => {
                    let on = fragment
                        .node
                        .type_condition
                        .as_ref()
                        .map(|on| &on.node.on.node);
                    self.add(
                        types,
                        document,
                        on.unwrap_or(parent),
                        &fragment.node.selection_set,
                    );
                }
                Selection::FragmentSpread(spread) => {
                    if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node)
                    {
                        let on = &fragment.node.type_condition.node.on.node;
                        self.add(types, document, on, &fragment.node.selection_set);
                    }
                }
            }
        }
    }

    /// The field of `key`. Fields of the same key are one field: validation sees to it that
    /// they have the same type.
    fn at(&mut self, key: Name, ty: &Arc<Type>) -> &mut Field {
        let index = self
            .0
            .iter()
            .position(|field| field.key == key)
            .unwrap_or_else(|| {
                self.0.push(Field {
                    key,
                    ty: Arc::clone(ty),
                    below: Self::default(),
                    places: 0,
                });
                self.0.len() - 1
            });
        &mut self.0[index]
    }

    /// Makes the result fit: failed fields null, the rest in order.
    pub(crate) fn complete(&self, response: &mut Response) {
        let mut failed = Failed::default();
        for error in response
            .errors
            .iter()
            .filter(|error| !error.path.is_empty())
        {
            failed.note(&error.path);
        }
        let data = std::mem::take(&mut response.data);
        let fields = if let Value::Object(fields) = data {
            fields
        } else if failed.at.is_empty() {
            return;
        } else {
            // Every field failed, so nothing was kept.
            IndexMap::new()
        };
        response.data = self.object(fields, &mut failed).unwrap_or(Value::Null);
    }

    /// None where a field that must not be null failed.
    fn object(&self, mut found: IndexMap<Name, Value>, failed: &mut Failed) -> Option<Value> {
        let mut fields = IndexMap::with_capacity(found.len());
        for Field { key, ty, below, .. } in &self.0 {
            failed.enter(key);
            let value = match found.swap_remove(key) {
                Some(value) => below.value(ty, value, failed).map(Some),
                None if !failed.here() => Some(None),
                None if ty.nullable => Some(Some(Value::Null)),
                None => None,
            };
            failed.leave();
            if let Some(value) = value? {
                fields.insert(key.clone(), value);
            }
        }
        // What the schema's definition does not name: introspection.
        fields.extend(found);
        Some(Value::Object(fields))
    }

    fn value(&self, ty: &Type, value: Value, failed: &mut Failed) -> Option<Value> {
        if self.0.is_empty() && failed.at.is_empty() {
            return Some(value);
        }
        let completed = match (value, &ty.base) {
            (Value::List(items), BaseType::List(item)) => self.list(item, items, failed),
            (Value::Object(fields), _) => self.object(fields, failed),
            // Every field of it failed, so nothing of it was kept.
            (Value::Null, BaseType::Named(_)) if failed.below() => {
                self.object(IndexMap::new(), failed)
            }
            (Value::Null, _) => None,
            (other, _) => Some(other),
        };
        match completed {
            None if ty.nullable => Some(Value::Null),
            completed => completed,
        }
    }

    fn list(&self, item: &Type, items: Vec<Value>, failed: &mut Failed) -> Option<Value> {
        let completed = items.into_iter().enumerate().map(|(index, value)| {
            failed.enter(&index);
            let completed = self.value(item, value, failed);
            failed.leave();
            completed
        });
        completed.collect::<Option<Vec<_>>>().map(Value::List)
    }
}

/// The type's own name, lists taken off.
pub(crate) fn named(ty: &Type) -> &Name {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}

/// Where errors happened, and where we are.
#[derive(Default)]
struct Failed {
    at: HashSet<String>,
    above: HashSet<String>,
    path: Vec<String>,
}

impl Failed {
    fn note(&mut self, path: &[PathSegment]) {
        let mut joined = String::new();
        for segment in path {
            self.above.insert(joined.clone());
            joined.push('/');
            match segment {
                PathSegment::Field(name) => joined.push_str(name),
                PathSegment::Index(index) => joined.push_str(&index.to_string()),
            }
        }
        self.at.insert(joined);
    }

    // Nothing failed in nearly all results, and then nobody asks where we are.
    fn enter(&mut self, segment: &impl ToString) {
        if !self.at.is_empty() {
            let above = self.path.last().map_or("", String::as_str);
            self.path.push(format!("{above}/{}", segment.to_string()));
        }
    }

    fn leave(&mut self) {
        self.path.pop();
    }

    fn here(&self) -> bool {
        self.path.last().is_some_and(|path| self.at.contains(path))
    }

    fn below(&self) -> bool {
        self.path
            .last()
            .is_some_and(|path| self.above.contains(path))
    }
}
