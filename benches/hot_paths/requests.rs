//! What comes before anything is executed.

use std::sync::Arc;

use backchannel_schema::{Api, Asked, GraphQlRequest, Operation};
use divan::Bencher;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::node::{Node, api, request};

/// What an app asks for when a conversation is opened.
const DOCUMENT: &str = "query Open($id: ID!, $before: String) {
    conversation(id: $id) {
        id kind title lastSeq unreadCount
        messages(last: 50, before: $before) {
            nodes { ...Entry }
            pageInfo { hasPreviousPage startCursor }
        }
    }
}
fragment Entry on Message {
    id seq text createdAt editedAt deletedAt
    sender { id displayName avatarUrl }
}";
const ID: &str = "cnv_AZqwSc6Ae_2rN6V4ZkqV8w";

fn opening(document: impl Into<String>) -> GraphQlRequest {
    request(document, json!({ "id": ID }))
}

fn prepare(api: &Api, request: GraphQlRequest) -> Operation {
    api.prepare(request).expect("the document is good")
}

/// A request out of its bytes.
#[divan::bench]
fn read_from_json(bencher: Bencher) {
    let body = json!({ "query": DOCUMENT, "variables": { "id": ID } }).to_string();
    bencher.bench_local(|| {
        let request: GraphQlRequest = serde_json::from_str(&body).expect("a request");
        request
    });
}

#[divan::bench]
fn document_seen_before(bencher: Bencher) {
    let api = api();
    prepare(&api, opening(DOCUMENT));
    bencher
        .with_inputs(|| opening(DOCUMENT))
        .bench_local_values(|request| prepare(&api, request));
}

/// Each makes another one go, as soon as as many are kept as may be.
#[divan::bench]
fn document_never_seen_before(bencher: Bencher) {
    let (api, mut count) = (api(), 0);
    let mut another = || {
        count += 1;
        opening(format!("{DOCUMENT} # {count}"))
    };
    for _ in 0..1_000 {
        prepare(&api, another());
    }
    bencher
        .with_inputs(another)
        .bench_local_values(|request| prepare(&api, request));
}

#[divan::bench]
fn document_by_its_hash(bencher: Bencher) {
    let api = api();
    prepare(&api, opening(DOCUMENT));
    let digest = Sha256::digest(DOCUMENT.as_bytes());
    let hash: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let by_hash = || GraphQlRequest {
        document: Asked::Id(hash.clone()),
        ..opening("")
    };
    bencher
        .with_inputs(by_hash)
        .bench_local_values(|request| prepare(&api, request));
}

/// Once a second its session is read again: the slowest sample.
#[divan::bench]
fn token_seen_before(bencher: Bencher) {
    let node = Node::new();
    let ann = node.person("Ann");
    bencher.bench_local(|| {
        let cx = node.run(node.domain.authenticate(Some(&ann.token), Arc::default()));
        let cx = cx.expect("the database answers");
        assert!(cx.signed_in().is_ok(), "the token is good");
        cx
    });
}

/// What the loop of the one above takes of it.
#[divan::bench]
fn nothing(bencher: Bencher) {
    let node = Node::new();
    bencher.bench_local(|| node.run(std::future::ready(())));
}
