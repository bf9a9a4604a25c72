//! A user's sessions: listed with what is known of each device, named, ended one by one or all
//! but one, so many at once; and cleared away when their time is over.

mod clearing;
mod legacy;
mod uses;

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, USER_AGENT};
use serde_json::{Value, json};

use crate::harness::clients::{Answer, Ended};
use crate::harness::people::{PASSWORD, text};
use crate::harness::{App, Person, on_both, until};

pub(crate) const LIST: &str =
    "query($first: Int, $after: String, $last: Int, $before: String) { viewer {
        sessions(first: $first, after: $after, last: $last, before: $before) {
            edges { cursor }
            nodes { id deviceName client address createdAt lastUsedAt expiresAt isCurrent }
            pageInfo { hasNextPage hasPreviousPage endCursor }
        }
    } }";
pub(crate) const RENAME: &str = "mutation($input: RenameSessionInput!) {
    renameSession(input: $input) { session { id deviceName isCurrent } }
}";
pub(crate) const REVOKE: &str =
    "mutation($input: RevokeSessionInput!) { revokeSession(input: $input) { ok } }";
const REVOKE_OTHERS: &str = "mutation { revokeOtherSessions { sessionCount } }";
const NODE: &str =
    "query($id: ID!) { node(id: $id) { __typename id ... on Session { deviceName isCurrent } } }";
const VIEWER: &str = "{ viewer { user { id } } }";
const REFRESH: &str =
    "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { refreshToken } }";
/// How soon the end of a session must be felt.
const AT_ONCE: Duration = Duration::from_secs(1);

/// A person's sessions, as they see them.
pub(crate) async fn sessions(person: &Person) -> Vec<Value> {
    let found = person.asks(LIST, json!({})).await;
    let nodes = &found["viewer"]["sessions"]["nodes"];
    nodes.as_array().expect("a list").clone()
}

/// The ids of a person's sessions, their present one first.
pub(crate) async fn session_ids(person: &Person) -> Vec<String> {
    let mut sessions = sessions(person).await;
    sessions.sort_by_key(|session| session["isCurrent"] == false);
    sessions
        .iter()
        .map(|session| text(&session["id"]))
        .collect()
}

/// The id of the session by which a person acts.
async fn own_id(person: &Person) -> String {
    session_ids(person).await.swap_remove(0)
}

/// Waits until no device counts as being there any more.
pub(crate) async fn has_no_leases(app: &App) {
    app.advance(Duration::from_secs(60));
    until("all leases have ended", || async {
        app.runs_sql("SELECT count(*) FROM leases").await == "0"
    })
    .await;
}

async fn revoke(person: &Person, id: &str) {
    let revoked = person.asks(REVOKE, json!({ "input": { "sessionId": id } }));
    assert_eq!(revoked.await["revokeSession"]["ok"], true);
}

async fn revoke_others(person: &Person) -> Value {
    person.asks(REVOKE_OTHERS, json!({})).await["revokeOtherSessions"]["sessionCount"].clone()
}

/// What the server says to a request of a program that introduces itself.
async fn asks_by(app: &App, headers: &[(&str, &[u8])], query: &str, input: Value) -> Value {
    let body = json!({ "query": query, "variables": { "input": input } });
    let mut request = Request::post(app.url("/graphql")).header(CONTENT_TYPE, "application/json");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::from(body.to_string()));
    app.http().request(request.expect("a request")).await.json()
}

async fn is_refused_everywhere(app: &App, person: &Person) {
    let refused = person.is_refused(VIEWER, json!({})).await;
    assert_eq!(refused, "UNAUTHENTICATED");
    let token = json!({ "input": { "refreshToken": person.refresh_token } });
    let refused = app.anonymous(REFRESH, token).await;
    assert_eq!(
        refused["errors"][0]["extensions"]["code"],
        "UNAUTHENTICATED"
    );
}

const REGISTER: &str = "mutation($input: RegisterInput!) { register(input: $input) {
    accessToken
    viewer { sessions(first: 5) { nodes { deviceName client address isCurrent createdAt lastUsedAt } } }
} }";
const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) {
    viewer { sessions(first: 5) { nodes { deviceName client isCurrent } } }
} }";

on_both! {
    async fn a_session_tells_what_is_known_of_its_device(app) {
        let phone: [(&str, &[u8]); 2] = [("x-device-name", "Ann’s phone".as_bytes()), (USER_AGENT.as_str(), b"Messenger/2.1 (Android)")];
        let account = json!({ "email": "ann@example.com", "password": PASSWORD, "displayName": "Ann" });
        let made = asks_by(app, &phone, REGISTER, account).await;
        let sessions = &made["data"]["register"]["viewer"]["sessions"]["nodes"];
        let first = &sessions[0];
        assert_eq!(first["deviceName"], "Ann’s phone", "{made}");
        assert_eq!(first["client"], "Messenger/2.1 (Android)");
        assert_eq!(first["address"], "127.0.0.1");
        assert_eq!(first["isCurrent"], true);
        assert_eq!(first["createdAt"], first["lastUsedAt"]);

        // What the input says beats the header; what is too long is cut, and no reason to refuse.
        let long = "é".repeat(1_000);
        let desktop: [(&str, &[u8]); 2] = [("x-device-name", b"not this"), (USER_AGENT.as_str(), long.as_bytes())];
        let credentials = json!({ "email": "ann@example.com", "password": PASSWORD, "deviceName": " Work desktop " });
        let signed_in = asks_by(app, &desktop, SIGN_IN, credentials.clone()).await;
        let sessions = &signed_in["data"]["signIn"]["viewer"]["sessions"]["nodes"];
        assert_eq!(sessions[0]["deviceName"], "Work desktop", "newest first: {signed_in}");
        assert_eq!(sessions[0]["client"], "é".repeat(256));
        assert_eq!([&sessions[0]["isCurrent"], &sessions[1]["isCurrent"]], [true, false]);
        assert_eq!(sessions[1]["deviceName"], "Ann’s phone");

        let silent = json!({ "email": "ann@example.com", "password": PASSWORD });
        let signed_in = asks_by(app, &[("x-device-name", b" \t ")], SIGN_IN, silent).await;
        let session = &signed_in["data"]["signIn"]["viewer"]["sessions"]["nodes"][0];
        assert_eq!([&session["deviceName"], &session["client"]], [&Value::Null, &Value::Null]);

        for name in ["", " ", "a\nb", "\u{1b}", &"x".repeat(101)] {
            let mut bad = credentials.clone();
            bad["deviceName"] = json!(name);
            let refused = asks_by(app, &[], SIGN_IN, bad.clone()).await;
            let expected = json!({ "code": "BAD_USER_INPUT", "field": "deviceName" });
            assert_eq!(refused["errors"][0]["extensions"], expected, "{name:?}");
            bad["email"] = json!("new@example.com");
            bad["displayName"] = json!("New");
            let refused = asks_by(app, &[], REGISTER, bad).await;
            assert_eq!(refused["errors"][0]["extensions"], expected, "{name:?}");
        }
    }

    async fn the_list_has_pages_the_newest_use_first(app) {
        let ann = app.person("Ann").await;
        for _ in 0..4 {
            app.advance(Duration::from_secs(1));
            ann.signs_in_again().await;
        }
        let all = sessions(&ann).await;
        assert_eq!(all.len(), 5);
        let used: Vec<String> = all.iter().map(|session| text(&session["lastUsedAt"])).collect();
        assert!(used.is_sorted_by(|a, b| a > b), "{used:?}");
        let current: Vec<_> = all.iter().filter(|session| session["isCurrent"] == true).collect();
        assert_eq!(current, [&all[4]], "the oldest is the one that asks");

        let page = async |variables: Value| ann.asks(LIST, variables).await["viewer"]["sessions"].clone();
        let first = page(json!({ "first": 2 })).await;
        assert_eq!(first["nodes"].as_array().expect("a list"), &all[..2]);
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let next = page(json!({ "first": 50, "after": first["pageInfo"]["endCursor"] })).await;
        assert_eq!(next["nodes"].as_array().expect("a list"), &all[2..]);
        assert_eq!(next["pageInfo"]["hasNextPage"], false);
        let last = page(json!({ "last": 1, "before": next["edges"][1]["cursor"] })).await;
        assert_eq!(last["nodes"].as_array().expect("a list"), &all[2..3]);
        let conversations = "{ viewer { conversations { edges { cursor } } } }";
        ann.makes_group("Elsewhere", &[]).await;
        let cursor = ann.asks(conversations, json!({})).await["viewer"]["conversations"]["edges"][0]["cursor"].clone();
        let refused = ann.is_refused_with(LIST, json!({ "after": cursor })).await;
        assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "after" }));
    }

    async fn a_session_can_be_given_another_name(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let phone = ann.signs_in_again().await;
        let (id, own) = (own_id(&phone).await, own_id(&ann).await);
        let rename = |id: &str, name: &str| json!({ "input": { "sessionId": id, "deviceName": name } });
        let renamed = ann.asks(RENAME, rename(&id, " Old phone ")).await;
        let session = &renamed["renameSession"]["session"];
        assert_eq!(session, &json!({ "id": id, "deviceName": "Old phone", "isCurrent": false }));
        ann.asks(RENAME, rename(&own, "Laptop")).await;

        let seen = phone.asks(NODE, json!({ "id": id })).await;
        let expected = json!({ "__typename": "Session", "id": id, "deviceName": "Old phone", "isCurrent": true });
        assert_eq!(seen["node"], expected);
        for name in ["", "\t", "two\nlines", &"x".repeat(101)] {
            let refused = ann.is_refused_with(RENAME, rename(&id, name)).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "deviceName" }), "{name:?}");
        }
        for (query, variables) in [(RENAME, rename(&id, "Mine")), (NODE, json!({ "id": id }))] {
            assert_eq!(bob.is_refused(query, variables).await, "NOT_FOUND");
        }
        let names: Vec<_> = sessions(&ann).await.iter().map(|session| session["deviceName"].clone()).collect();
        assert_eq!(names.iter().filter(|name| **name == "Old phone").count(), 1, "{names:?}");
        assert_eq!(names.iter().filter(|name| **name == "Laptop").count(), 1, "{names:?}");
    }

    async fn a_revoked_session_is_over_and_its_sockets_are_closed(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = bob.makes_group("Lost phone", &[&ann]).await;
        let phone = ann.signs_in_again().await;
        let id = own_id(&phone).await;
        let (mut own, mut lost) = (ann.follows(&room, Some(0)).await, phone.follows(&room, Some(0)).await);
        bob.sends(&room, "before").await;
        own.next().await;
        lost.next().await;

        assert_eq!(bob.is_refused(REVOKE, json!({ "input": { "sessionId": id } })).await, "NOT_FOUND");
        revoke(&ann, &id).await;
        let ended = tokio::time::timeout(AT_ONCE, lost.ends()).await;
        assert_eq!(ended.expect("within a second"), Ended::Closed(4403));
        is_refused_everywhere(app, &phone).await;
        for (query, variables) in [
            (REVOKE, json!({ "input": { "sessionId": id } })),
            (RENAME, json!({ "input": { "sessionId": id, "deviceName": "gone" } })),
            (NODE, json!({ "id": id })),
        ] {
            assert_eq!(ann.is_refused(query, variables).await, "NOT_FOUND", "{query}");
        }
        assert_eq!(session_ids(&ann).await.len(), 1);
        bob.sends(&room, "after").await;
        assert_eq!(own.next().await["message"]["text"], "after");
    }

    async fn whoever_revokes_their_own_session_is_signed_out(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Own", &[]).await;
        let mut stream = ann.follows(&room, Some(0)).await;
        ann.sends(&room, "here").await;
        stream.next().await;
        revoke(&ann, &own_id(&ann).await).await;
        let ended = tokio::time::timeout(AT_ONCE, stream.ends()).await;
        assert_eq!(ended.expect("within a second"), Ended::Closed(4403));
        is_refused_everywhere(app, &ann).await;
        assert_eq!(session_ids(&ann.signs_in_again().await).await.len(), 1);
    }

    async fn all_sessions_but_one_are_ended_at_once(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = bob.makes_group("Stolen bag", &[&ann]).await;
        let [phone, tablet] = [ann.signs_in_again().await, ann.signs_in_again().await];
        let mut streams = Vec::new();
        for person in [&phone, &tablet, &ann, &bob] {
            streams.push(person.follows(&room, Some(0)).await);
        }
        bob.sends(&room, "before").await;
        for stream in &mut streams {
            stream.next().await;
        }

        assert_eq!(revoke_others(&ann).await, 2);
        let others = streams.split_off(2);
        let ended = join_all(streams.into_iter().map(|stream| stream.ends()));
        let ended = tokio::time::timeout(AT_ONCE, ended).await.expect("within a second");
        assert_eq!(ended, [Ended::Closed(4403), Ended::Closed(4403)]);
        for person in [&phone, &tablet] {
            is_refused_everywhere(app, person).await;
        }
        bob.sends(&room, "after").await;
        for mut stream in others {
            assert_eq!(stream.next().await["message"]["text"], "after");
        }
        assert_eq!(revoke_others(&ann).await, 0);
        assert_eq!(session_ids(&ann).await.len(), 1);
    }

    async fn nobody_has_no_sessions(app) {
        for query in [LIST, REVOKE_OTHERS] {
            let refused = app.anonymous(query, json!({})).await;
            assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{query}");
        }
        // Whatever the id: nobody learns from the answer which ids there are.
        for id in ["ses_AAAAAAAAAAAAAAAAAAAAAA", "nonsense"] {
            for (query, input) in [
                (RENAME, json!({ "sessionId": id, "deviceName": "" })),
                (REVOKE, json!({ "sessionId": id })),
            ] {
                let refused = app.anonymous(query, json!({ "input": input })).await;
                assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{query}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_session_too_many_ends_the_one_that_was_used_longest_ago() {
    for app in App::both_with(&[("MAX_SESSIONS_PER_USER", "3")]).await {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = bob.makes_group("Crowded", &[&ann]).await;
        app.advance(Duration::from_secs(1));
        let unused = ann.signs_in_again().await;
        let mut lost = unused.follows(&room, Some(0)).await;
        bob.sends(&room, "hello").await;
        lost.next().await;
        app.advance(Duration::from_secs(1));
        let phone = ann.signs_in_again().await;
        // The first one is the oldest, but in use.
        app.advance(Duration::from_secs(120));
        until("the use is written", || async {
            own_id(&ann).await == text(&sessions(&ann).await[0]["id"])
        })
        .await;

        app.advance(Duration::from_secs(1));
        let newest = ann.signs_in_again().await;
        let ended = tokio::time::timeout(AT_ONCE, lost.ends()).await;
        assert_eq!(ended.expect("within a second"), Ended::Closed(4403));
        is_refused_everywhere(&app, &unused).await;
        for person in [&ann, &phone, &newest] {
            assert_eq!(session_ids(person).await.len(), 3);
        }

        // However many come at once.
        let crowd = join_all((0..12).map(|_| ann.signs_in_again())).await;
        let answers = join_all(crowd.iter().map(|one| one.request(VIEWER, json!({})))).await;
        let good = |answer: &&Answer| answer.json()["errors"].is_null();
        assert_eq!(answers.iter().filter(good).count(), 3);
        assert_eq!(session_ids(&bob).await.len(), 1, "others have their own");
        app.finish().await;
    }
}
