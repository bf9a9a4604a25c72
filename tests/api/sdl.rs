//! The committed schema is the schema, it keeps what is promised, and it explains itself.

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{FieldDefinition, TypeKind, TypeSystemDefinition};

fn committed() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/schema.graphql");
    std::fs::read_to_string(path).expect("schema/schema.graphql is committed")
}

#[test]
fn the_committed_schema_is_current() {
    assert!(
        committed() == backchannel::Api::sdl(),
        "schema/schema.graphql is old: cargo run -- schema > schema/schema.graphql"
    );
}

#[test]
fn everything_is_described() {
    let document = parse_schema(committed()).expect("the schema is well-formed");
    let mut bare = Vec::new();
    for definition in document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let name = definition.node.name.node;
        if definition.node.description.is_none() {
            bare.push(name.to_string());
        }
        let mut fields = |fields: Vec<async_graphql::Positioned<FieldDefinition>>| {
            for field in fields {
                let path = format!("{name}.{}", field.node.name.node);
                for argument in &field.node.arguments {
                    if argument.node.description.is_none() {
                        bare.push(format!("{path}({}:)", argument.node.name.node));
                    }
                }
                if field.node.description.is_none() {
                    bare.push(path);
                }
            }
        };
        match definition.node.kind {
            TypeKind::Object(object) => fields(object.fields),
            TypeKind::Interface(interface) => fields(interface.fields),
            TypeKind::Enum(values) => {
                let values = values.values.into_iter();
                let undescribed = values.filter(|value| value.node.description.is_none());
                bare.extend(undescribed.map(|value| format!("{name}.{}", value.node.value.node)));
            }
            TypeKind::InputObject(input) => {
                let fields = input.fields.into_iter();
                let undescribed = fields.filter(|field| field.node.description.is_none());
                bare.extend(undescribed.map(|field| format!("{name}.{}", field.node.name.node)));
            }
            TypeKind::Scalar | TypeKind::Union(_) => {}
        }
    }
    assert!(bare.is_empty(), "without a description: {bare:#?}");
}
