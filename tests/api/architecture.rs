//! The direction of dependencies: `src -> schema -> domain -> {entities, migration}`.
//!
//! `deny.toml` forbids what comes in from outside; this test reads the manifests, so that
//! `cargo test` says it too.

use std::collections::BTreeSet;
use std::path::Path;

/// The names in a table of a crate's manifest.
fn names(of: &str, table: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(of)
        .join("Cargo.toml");
    let manifest = std::fs::read_to_string(&path).expect("the crate has a manifest");
    let manifest: toml::Table = manifest.parse().expect("the manifest is TOML");
    let names = manifest[table].as_table().expect("a table");
    names.keys().cloned().collect()
}

#[track_caller]
fn lacks(of: &str, forbidden: &[&str]) {
    table_lacks(of, "dependencies", forbidden);
}

#[track_caller]
fn table_lacks(of: &str, table: &str, forbidden: &[&str]) {
    let found = names(of, table);
    for name in forbidden {
        assert!(
            !found.contains(*name),
            "{name} must not be among the {table} of {of}/Cargo.toml"
        );
    }
}

const DOORS: [&str; 5] = [
    "async-graphql-axum",
    "axum",
    "hyper",
    "socketioxide",
    "tower-http",
];
const STORAGE: [&str; 5] = [
    "backchannel-entities",
    "backchannel-migration",
    "redis",
    "sea-orm",
    "sea-orm-migration",
];

#[test]
fn the_server_reaches_no_storage() {
    lacks(".", &STORAGE);
}

#[test]
fn tests_and_benches_reach_no_storage() {
    table_lacks(".", "dev-dependencies", &STORAGE);
}

#[test]
fn the_schema_knows_neither_doors_nor_storage() {
    lacks("schema", &DOORS);
    lacks("schema", &STORAGE);
}

#[test]
fn the_domain_knows_no_transport() {
    lacks("domain", &DOORS);
    lacks(
        "domain",
        &[
            "async-graphql",
            "backchannel",
            "backchannel-schema",
            "dataloader",
        ],
    );
}

#[test]
fn rows_and_migrations_know_nothing_above_them_or_of_each_other() {
    for of in ["entities", "migration"] {
        lacks(of, &DOORS);
        lacks(
            of,
            &[
                "async-graphql",
                "backchannel",
                "backchannel-domain",
                "backchannel-schema",
                "redis",
            ],
        );
    }
    lacks("entities", &["backchannel-migration"]);
    lacks("migration", &["backchannel-entities"]);
}
