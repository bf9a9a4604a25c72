//! Requests larger than any client needs: refused before they are executed, in few words, at
//! next to no cost.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::clients::Answer;
use crate::harness::{App, PATIENCE};

use super::{ask, code, post, request};

/// The most that refusing may take: of this unoptimised build, on a machine with other work.
const QUICK: Duration = Duration::from_millis(100);
const TRIALS: usize = 5;

/// Asks five times, checks that it is refused with `code` and little else, and prints what it
/// took at best: the rest is other work.
#[expect(
    clippy::print_stdout,
    reason = "a measurement, for whoever asks with --nocapture"
)]
async fn is_refused_quickly(app: &App, what: &str, body: String, expected: &str) {
    let mut times = Vec::with_capacity(TRIALS);
    for _ in 0..TRIALS {
        let began = Instant::now();
        let answer = post(app, body.clone()).await;
        times.push(began.elapsed());
        check(what, &answer, expected);
    }
    times.sort_unstable();
    let best = times[0];
    println!("{what}: {best:.1?} for {} bytes", body.len());
    assert!(best < QUICK, "{what} took {times:?}");
}

fn check(what: &str, answer: &Answer, expected: &str) {
    let size = answer.body.len();
    assert!(size < 2_048, "{what}: an answer of {size} bytes");
    assert_eq!(code(&answer.json()), expected, "{what}: {}", answer.json());
    assert!(answer.status.is_client_error(), "{what}: {}", answer.status);
}

fn body(query: &str) -> String {
    json!({ "query": query }).to_string()
}

/// The beginning of a query that goes ever deeper.
fn nested(levels: usize) -> String {
    let mut query = String::from("{ node(id: \"x\") { ... on Message { ");
    for _ in 1..levels - 1 {
        query.push_str("conversation { messages { nodes { ");
    }
    query
}

/// Exactly so many levels of selected fields.
fn levels(depth: usize) -> String {
    // Query.node, then conversation, messages, nodes, conversation, …, and a leaf.
    let below = ["conversation", "messages(first: 1)", "nodes"];
    let mut query = String::from("{ node(id: \"x\") { ... on Message { ");
    for level in 0..depth - 2 {
        let _ = write!(query, "{} {{ ", below[level % 3]);
    }
    let leaf = ["id", "id", "__typename"][(depth - 2) % 3];
    query.push_str(leaf);
    query.push_str(&" }".repeat(depth + 1));
    query
}

/// Fragments of which each spreads the next.
fn chain(count: usize) -> String {
    let mut query = String::from("{ ...F1 }");
    for n in 1..count {
        let _ = write!(query, " fragment F{n} on Query {{ ...F{} }}", n + 1);
    }
    query + &format!(" fragment F{count} on Query {{ __typename }}")
}

/// Fragments of which each spreads the next twice.
fn bomb(count: usize, last: &str) -> String {
    let mut query = String::from("{ ...F0 }");
    for n in 0..count {
        let _ = write!(
            query,
            " fragment F{n} on Query {{ ...F{0} ...F{0} }}",
            n + 1
        );
    }
    query + last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_large_is_refused_quickly_and_briefly() {
    let app = App::sqlite().await;
    let aliases =
        |count: usize| -> String { (0..count).map(|n| format!("a{n}:__typename ")).collect() };
    let fill = |bytes: usize| format!("{{ __typename }}{}", " ".repeat(bytes - 14));
    let object = |depth: usize| {
        format!(
            "{{ node(id: {}1{}) {{ id }} }}",
            "{a:".repeat(depth),
            "}".repeat(depth)
        )
    };
    let list = |depth: usize| {
        format!(
            "{{ node(id: {}1{}) {{ id }} }}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let inline = |depth: usize| {
        format!(
            "{{ {} __typename {} }}",
            "... on Query {".repeat(depth),
            "}".repeat(depth)
        )
    };
    let anonymous = |depth: usize| {
        format!(
            "{{ {} __typename {} }}",
            "...{".repeat(depth),
            "}".repeat(depth)
        )
    };
    let variable = |depth: usize| {
        format!(
            "query($a: {}Int{}) {{ __typename }}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    let roots = |count: usize| -> String { (0..count).map(|n| format!("...F{n} ")).collect() };
    let root_fragments: String = (0..21)
        .map(|n| format!("fragment F{n} on Query {{ node(id: {n}) {{ id }} }} "))
        .collect();
    let unclosed = |open: &str| format!("{{ node(id: {}", open.repeat(10_000));
    let leaf = " fragment F30 on Query { __typename }";

    let too_complex: Vec<(&str, String)> = vec![
        ("10,000 aliases", format!("{{ {} }}", aliases(2_000))),
        ("51 aliases", format!("{{ {} }}", aliases(51))),
        ("51 aliases in fragments", format!("{{ ...A ...B }} fragment A on Query {{ {} }} fragment B on Query {{ b: __typename }}", aliases(50))),
        ("13 levels", levels(13)),
        ("1,000 levels", nested(400)),
        ("1,000 levels of objects", object(1_000)),
        ("1,000 levels of lists", list(1_000)),
        ("10,000 unclosed lists", unclosed("[")),
        ("10,000 unclosed objects", unclosed("{a:")),
        ("1,000 inline fragments in each other", inline(1_000)),
        ("1,000 nameless inline fragments in each other", anonymous(1_000)),
        ("33 selections within each other", inline(32)),
        ("33 selections through fragments", chain(32)),
        ("a chain of 395 fragments", chain(395)),
        ("1,000 levels of types", variable(1_000)),
        ("33 kB", fill(33 * 1_024)),
        ("32 kB and a byte", fill(32 * 1_024 + 1)),
        ("32 kB of fields", format!("{{ {} }}", "a ".repeat(16_000))),
        ("32 kB of punctuation", "!".repeat(32_000)),
        ("32 kB of braces", "{".repeat(32_000)),
        ("a bomb of 30 fragments", bomb(30, leaf)),
        ("21 fields at the root", format!("{{ {} }}", "__typename ".repeat(21))),
        ("21 fields at the root, through fragments", format!("{{ {} }} {root_fragments}", roots(21))),
        ("51 directives", format!("{{ __typename {} }}", "@skip(if: false) ".repeat(51))),
        ("51 directives on many", format!("{{ {} }}", "... @skip(if: false) { __typename @skip(if: false) } ".repeat(26))),
        ("pages of 200 in pages of 200", "{ viewer { conversations(first: 200) { nodes { messages(last: 200) { nodes { id } } } } } }".to_owned()),
        ("pages in nodes", format!("{{ nodes(ids: {:?}) {{ ... on Conversation {{ messages(first: 200) {{ nodes {{ id text }} }} }} }} }}", vec!["x"; 100])),
        ("2,001 fields", format!("{{ viewer {{ user {{ {} }} }} }}", "id ".repeat(2_001))),
    ];
    for (what, query) in too_complex {
        is_refused_quickly(&app, what, body(&query), "TOO_COMPLEX").await;
    }
    // More aliases than fit into a document, and a body that is mostly text.
    is_refused_quickly(
        &app,
        "10,000 aliases, in full",
        body(&format!("{{ {} }}", aliases(10_000))),
        "TOO_COMPLEX",
    )
    .await;
    is_refused_quickly(
        &app,
        "a document of 1,000,000 bytes",
        body(&fill(1_000_000)),
        "TOO_COMPLEX",
    )
    .await;

    let bad: Vec<(&str, String)> = vec![
        ("a cycle of one fragment", "{ ...A } fragment A on Query { ...A }".to_owned()),
        ("a cycle of three fragments", "{ ...A } fragment A on Query { ...B } fragment B on Query { ...C } fragment C on Query { __typename ...A }".to_owned()),
        ("a cycle that nothing spreads", "{ __typename } fragment A on Query { ...A }".to_owned()),
        ("a bomb whose last fragment is missing", bomb(30, "")),
        ("a bomb that nothing sets off", format!("{} {}", bomb(30, ""), "fragment Last on Query { ...F0 }")),
        ("64 unclosed lists", format!("{{ node(id: {}", "[".repeat(60))),
        ("a string that does not end", format!("{{ node(id: \"{}", "x".repeat(30_000))),
        ("a block string that does not end", format!("{{ node(id: \"\"\"{}", "\\\"\"\"".repeat(7_000))),
        // Two strings to a hasty reader, the second followed by what the first one hides.
        ("30,000 lists behind a block string that does not end", format!("{{ node(id: [\"\"\"\", {}", "[".repeat(30_000))),
        ("a comment and nothing else", format!("#{}", "{".repeat(30_000))),
        ("unknown letters", format!("{{ {} }}", "é".repeat(1_500))),
        ("many definitions of one fragment", format!("{{ ...A }} {}", "fragment A on Query { __typename } ".repeat(400))),
        ("many nameless operations", "{ __typename } ".repeat(900)),
    ];
    for (what, query) in bad {
        is_refused_quickly(&app, what, body(&query), "BAD_USER_INPUT").await;
    }

    let deep = format!(
        "{{\"query\":\"{{a}}\",\"variables\":{{\"a\":{}",
        "[".repeat(400_000)
    );
    is_refused_quickly(&app, "variables 400,000 deep", deep, "BAD_USER_INPUT").await;
    is_refused_quickly(
        &app,
        "a batch of 1,000",
        json!(vec![json!({ "query": "{ __typename }" }); 1_000]).to_string(),
        "BAD_USER_INPUT",
    )
    .await;
    is_refused_quickly(
        &app,
        "a body of 5 MB",
        body(&" ".repeat(5 * 1_024 * 1_024)),
        "TOO_COMPLEX",
    )
    .await;
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_just_small_enough_is_answered() {
    let app = App::sqlite().await;
    let aliases: String = (0..20).map(|n| format!("a{n}:__typename ")).collect();
    let fifty: String = (0..50).map(|n| format!("a{n}: id ")).collect();
    let padding = 32 * 1_024 - 14;
    for query in [
        format!("{{ {aliases} }}"),
        format!("{{ __typename }}{}", " ".repeat(padding)),
        format!("{{ __typename {} }}", "@skip(if: false) ".repeat(50)),
        format!(
            "{{ {} __typename {} }}",
            "... on Query {".repeat(31),
            "}".repeat(31)
        ),
        chain(31),
    ] {
        let answer = ask(&app, &query).await;
        assert_eq!(answer["errors"], Value::Null, "{query:.200}");
    }
    for query in [levels(12), format!("{{ viewer {{ user {{ {fifty} }} }} }}")] {
        let answer = ask(&app, &query).await;
        let code = &answer["errors"][0]["extensions"]["code"];
        assert_eq!(
            code, "UNAUTHENTICATED",
            "executed, for nobody: {query:.200} {answer}"
        );
    }
    app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_by_get_and_over_sockets_too() {
    let app = App::sqlite().await;
    let aliases: String = (0..51).map(|n| format!("a{n}:__typename ")).collect();
    let query = format!("{{ {aliases} }}");
    let path = format!(
        "/graphql?query={}",
        query
            .bytes()
            .map(|b| format!("%{b:02x}"))
            .collect::<String>()
    );
    let answer = request(
        &app,
        Method::GET,
        &path,
        &[("accept", "application/graphql-response+json")],
        "",
    )
    .await;
    check("by GET", &answer, "TOO_COMPLEX");
    // A head longer than any is cut off before it is read whole.
    let mut stream = TcpStream::connect(app.address).await.expect("connected");
    let head = format!(
        "GET /graphql?query={} HTTP/1.1\r\nhost: x\r\n\r\n",
        "%20".repeat(100_000)
    );
    // The other end may hang up in the middle of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer))
        .await
        .expect("in time");
    let answer = String::from_utf8_lossy(&answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 4"),
        "{answer}"
    );

    let mut socket = crate::harness::clients::Socket::open(&app.url("/graphql"), None).await;
    for (id, query) in [
        ("aliases", query),
        ("bomb", bomb(30, " fragment F30 on Query { __typename }")),
        ("missing", bomb(30, "")),
    ] {
        socket.subscribe(id, &query, &Value::Null).await;
        let message = socket.next().await.expect("the socket stays open");
        assert_eq!(
            (&message["type"], &message["id"]),
            (&json!("error"), &json!(id)),
            "{message}"
        );
        let code = &message["payload"][0]["extensions"]["code"];
        assert_eq!(
            code,
            if id == "missing" {
                "BAD_USER_INPUT"
            } else {
                "TOO_COMPLEX"
            },
            "{message}"
        );
    }
    socket
        .subscribe("fine", "{ __typename }", &Value::Null)
        .await;
    assert_eq!(
        socket.next().await.expect("a result")["payload"]["data"]["__typename"],
        "Query"
    );
    app.finish().await;
}
