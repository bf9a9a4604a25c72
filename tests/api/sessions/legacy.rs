//! Access tokens of the servers that came before: whose they are, that each is a session, and
//! what does not pass for one.

use jsonwebtoken::{Algorithm, EncodingKey, Header};

use crate::harness::Room;
use crate::harness::clients::Socket;
use crate::harness::servers::{Postgres, Redis};

use super::*;

/// What the old servers signed access tokens with.
const OLD: &str = "what the old servers signed with";
/// What EchoRoom signed refresh tokens with.
const OLD_REFRESH: &str = "what EchoRoom signed refresh tokens with";
const OURS: &str = "a secret of the test's own, long enough for anyone";
const SETTINGS: [(&str, &str); 2] = [("LEGACY_JWT_SECRET", OLD), ("JWT_SECRET", OURS)];
const OLD_ID: &str = "64f0c0ffee0ddba11ca7f00d";
const SIGN_OUT: &str = "mutation { signOut { ok } }";
const WEEK: i64 = 7 * 24 * 3_600;

fn signed(algorithm: Algorithm, claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).expect("a token")
}

/// A token as the old servers made them, good for a week.
fn old_token(app: &App, mut claims: Value) -> String {
    claims["iat"] = json!(now(app));
    claims["exp"] = json!(now(app) + WEEK);
    signed(Algorithm::HS256, &claims, OLD)
}

fn now(app: &App) -> i64 {
    app.clock.now().0 / 1_000
}

/// Says who had an old id, as docs/operators.md does.
async fn came_from(app: &App, old_id: &str, person: &Person) {
    let email = &person.email;
    app.runs_sql(&format!(
        "INSERT INTO legacy_users (legacy_id, user_id) \
         SELECT '{old_id}', id FROM users WHERE email = '{email}'"
    ))
    .await;
}

/// The person by an old token.
fn by(token: &str, person: &Person) -> Person {
    let mut person = person.clone();
    person.token = token.to_owned();
    person
}

async fn whose(person: &Person) -> Value {
    person.asks(VIEWER, json!({})).await["viewer"]["user"]["id"].clone()
}

async fn rows(app: &App) -> String {
    app.runs_sql("SELECT count(*) FROM sessions").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_token_is_a_session_of_whoever_had_its_id() {
    for app in App::both_with(&SETTINGS).await {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        came_from(&app, OLD_ID, &ann).await;
        came_from(&app, "bob_0-1", &bob).await;
        let desktop = json!({
            "id": OLD_ID, "uid": OLD_ID, "userId": OLD_ID, "_id": OLD_ID,
            "sessionId": "9", "device": "Desktop", "ip": "192.0.2.1",
        });
        let tokens = [
            old_token(&app, json!({ "uid": OLD_ID })),
            old_token(&app, desktop),
            old_token(
                &app,
                json!({ "userId": OLD_ID, "email": "ann@example.com" }),
            ),
            old_token(&app, json!({ "_id": OLD_ID })),
            // The first of them counts.
            old_token(
                &app,
                json!({ "uid": OLD_ID, "id": "bob_0-1", "userId": "bob_0-1" }),
            ),
            old_token(&app, json!({ "uid": null, "id": OLD_ID, "_id": "bob_0-1" })),
        ];
        for token in &tokens {
            let person = by(token, &ann);
            assert_eq!(whose(&person).await, ann.id);
            assert_eq!(whose(&person).await, ann.id, "again");
        }
        assert_eq!(
            whose(&by(&old_token(&app, json!({ "uid": "bob_0-1" })), &bob)).await,
            bob.id
        );
        let listed = sessions(&by(&tokens[0], &ann)).await;
        assert_eq!(
            listed.len(),
            1 + tokens.len(),
            "each is one session, beside that of registering"
        );
        let current: Vec<_> = listed
            .iter()
            .filter(|session| session["isCurrent"] == true)
            .collect();
        assert_eq!(current.len(), 1);
        assert_eq!(current[0]["address"], "127.0.0.1");

        // As the desktop app sends it, by many requests at once.
        let token = old_token(&app, json!({ "uid": OLD_ID, "sessionId": "10" }));
        let bearer = format!("Bearer {token}");
        let headers: [(&str, &[u8]); 2] = [
            ("authorization", bearer.as_bytes()),
            ("x-device-name", b"Old desktop"),
        ];
        let asking = || asks_by(&app, &headers, VIEWER, Value::Null);
        for answer in join_all((0..20).map(|_| asking())).await {
            assert_eq!(answer["data"]["viewer"]["user"]["id"], ann.id, "{answer}");
        }
        let listed = sessions(&ann).await;
        let desktops = listed
            .iter()
            .filter(|session| session["deviceName"] == "Old desktop");
        assert_eq!(desktops.count(), 1);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_token_can_be_revoked_and_stays_so() {
    for app in App::both_with(&SETTINGS).await {
        let ann = app.person("Ann").await;
        came_from(&app, OLD_ID, &ann).await;
        let room = ann.makes_group("Migrated", &[]).await;
        let old = by(&old_token(&app, json!({ "uid": OLD_ID })), &ann);
        is_revoked(&app, &ann, &old, &room).await;

        // However its signature is written.
        let (signed, signature) = old.token.rsplit_once('.').expect("a signature");
        let ends = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars();
        let other = ends.map(|end| format!("{signed}.{}{end}", &signature[..42]));
        let padded = ["=", "==", "A"].map(|end| format!("{}{end}", old.token));
        for token in other.chain(padded) {
            let refused = by(&token, &ann).is_refused(VIEWER, json!({})).await;
            assert_eq!(refused, "UNAUTHENTICATED", "{token}");
        }
        assert_eq!(rows(&app).await, "2");

        let other = by(&old_token(&app, json!({ "id": OLD_ID })), &ann);
        other.asks(SIGN_OUT, json!({})).await;
        assert_eq!(other.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");

        // As long as they would be good, and after that. What was open is first seen to be gone:
        // no session is cleared away before.
        has_no_leases(&app).await;
        for days in [6, 2] {
            app.advance(Duration::from_hours(days * 24));
            for person in [&old, &other] {
                assert_eq!(
                    person.is_refused(VIEWER, json!({})).await,
                    "UNAUTHENTICATED"
                );
            }
        }
        until("their rows are gone", || async { rows(&app).await == "0" }).await;
        for person in [&old, &other] {
            assert_eq!(
                person.is_refused(VIEWER, json!({})).await,
                "UNAUTHENTICATED"
            );
        }
        assert_eq!(rows(&app).await, "0");
        app.finish().await;
    }
}

async fn is_revoked(app: &App, ann: &Person, old: &Person, room: &Room) {
    let mut stream = old.follows(room, Some(0)).await;
    old.sends(room, "by the old token").await;
    assert_eq!(stream.next().await["actor"]["id"], ann.id);
    let id = own_id(old).await;
    let listed = sessions(ann).await;
    assert!(
        listed.iter().any(|session| session["id"] == *id),
        "{listed:?}"
    );

    revoke(ann, &id).await;
    let ended = tokio::time::timeout(AT_ONCE, stream.ends()).await;
    assert_eq!(ended.expect("within a second"), Ended::Closed(4403));
    assert_eq!(old.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");
    let mut socket = Socket::connect(&app.url("/graphql")).await;
    socket.greet(Some(&old.token)).await;
    assert_eq!(socket.ended().await, Ended::Closed(4403));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_token_is_one_session_on_all_nodes_and_revoked_on_all_within_a_second() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    let places = [("DATABASE_URL", database.as_str()), ("REDIS_URL", &redis)];
    let settings = [&SETTINGS[..], &places].concat();
    let (a, b) = (App::with(&settings).await, App::with(&settings).await);
    let ann = a.person("Ann").await;
    came_from(&a, OLD_ID, &ann).await;
    let room = ann.makes_group("Migrated", &[]).await;
    for n in 0..5 {
        let claims = json!({ "uid": OLD_ID, "sessionId": n.to_string() });
        let old = by(&old_token(&a, claims), &ann);
        let sights = [&a, &b].into_iter().cycle().take(8);
        for whose in join_all(sights.map(async |node| whose(&old.on(node)).await)).await {
            assert_eq!(whose, ann.id);
        }
        assert_eq!(session_ids(&ann).await.len(), 2);
        let stream = old.on(&b).follows(&room, None).await;
        until("the stream is open", || async {
            b.domain.open_feeds() == 1
        })
        .await;

        revoke(&ann, &own_id(&old.on(&b)).await).await;
        let ended = tokio::time::timeout(AT_ONCE, stream.ends()).await;
        assert_eq!(ended.expect("within a second"), Ended::Closed(4403));
        for node in [&a, &b] {
            let refused = old.on(node).is_refused(VIEWER, json!({})).await;
            assert_eq!(refused, "UNAUTHENTICATED");
        }
        until("the stream is gone", || async {
            b.domain.open_feeds() == 0
        })
        .await;
    }
    tokio::join!(a.finish(), b.finish());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_tokens_count_among_the_sessions_of_a_user() {
    let settings = [&SETTINGS[..], &[("MAX_SESSIONS_PER_USER", "2")]].concat();
    for app in App::both_with(&settings).await {
        let ann = app.person("Ann").await;
        came_from(&app, OLD_ID, &ann).await;
        let mut old = Vec::new();
        for n in 0..3 {
            app.advance(Duration::from_secs(1));
            let claims = json!({ "uid": OLD_ID, "sessionId": n.to_string() });
            old.push(by(&old_token(&app, claims), &ann));
            assert_eq!(whose(&old[n]).await, ann.id);
        }
        assert_eq!(ann.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");
        assert_eq!(
            old[0].is_refused(VIEWER, json!({})).await,
            "UNAUTHENTICATED"
        );
        assert_eq!(session_ids(&old[1]).await.len(), 2);
        assert_eq!(whose(&old[2]).await, ann.id);
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_quite_an_old_token_is_nobodys() {
    for app in App::both_with(&SETTINGS).await {
        let ann = app.person("Ann").await;
        came_from(&app, OLD_ID, &ann).await;
        let (exp, hs256) = (now(&app) + WEEK, Algorithm::HS256);
        let claims = json!({ "uid": OLD_ID, "exp": exp });
        let with = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            signed(hs256, &claims, OLD)
        };
        // What is done here makes good tokens, so the bad ones are bad for their own reason.
        assert_eq!(
            whose(&by(&with("iat", json!(now(&app))), &ann)).await,
            ann.id
        );
        let good = signed(hs256, &claims, OLD);
        let parts: Vec<&str> = good.split('.').collect();
        let [header, payload, signature] = parts[..] else {
            panic!("three parts")
        };
        let own = ann.token.split('.').nth(1).expect("its claims");
        // {"alg":"none","typ":"JWT"}, {"alg":"RS256","typ":"JWT"}
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let rs256 = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9";
        let echo_room = json!({ "userId": OLD_ID, "email": "ann@example.com", "exp": exp });
        let ours = json!({
            "aud": "backchannel:access", "sub": ann.id, "sid": ann.id, "uid": OLD_ID, "exp": exp,
        });
        let bad = [
            ("alg none", format!("{none}.{payload}.")),
            (
                "alg none with a signature",
                format!("{none}.{payload}.{signature}"),
            ),
            ("alg RS256", format!("{rs256}.{payload}.{signature}")),
            ("HS384", signed(Algorithm::HS384, &claims, OLD)),
            ("HS512", signed(Algorithm::HS512, &claims, OLD)),
            ("no signature", format!("{header}.{payload}.")),
            (
                "the claims of our own token",
                format!("{header}.{own}.{signature}"),
            ),
            (
                "EchoRoom's refresh token",
                signed(hs256, &echo_room, OLD_REFRESH),
            ),
            ("signed with our secret", signed(hs256, &claims, OURS)),
            ("made for an audience", signed(hs256, &ours, OLD)),
            ("no expiry", signed(hs256, &json!({ "uid": OLD_ID }), OLD)),
            (
                "an expiry that is text",
                with("exp", json!(exp.to_string())),
            ),
            ("an expiry of null", with("exp", Value::Null)),
            ("expired", with("exp", json!(now(&app) - 1))),
            (
                "an expiry before the beginning",
                with("exp", json!(i64::MIN)),
            ),
            (
                "an id of nobody",
                with("uid", json!("64f0c0ffee0ddba11ca7f00e")),
            ),
            ("an empty id", with("uid", json!(""))),
            ("an id with a NUL", with("uid", json!("64f0\0"))),
            ("an id that is a number", with("uid", json!(64))),
            (
                "an id that is an object",
                with("uid", json!({ "$ne": null })),
            ),
            ("a long id", with("uid", json!("6".repeat(65)))),
            ("our own id", with("uid", json!(ann.id))),
            (
                "no id",
                signed(hs256, &json!({ "sub": OLD_ID, "exp": exp }), OLD),
            ),
            ("a long token", with("device", json!("x".repeat(4_000)))),
        ];
        let before = rows(&app).await;
        for (what, bad) in &bad {
            let person = by(bad, &ann);
            for query in [VIEWER, SIGN_OUT] {
                let refused = person.is_refused(query, json!({})).await;
                assert_eq!(refused, "UNAUTHENTICATED", "{what}");
            }
            let mut socket = Socket::connect(&app.url("/graphql")).await;
            socket.greet(Some(bad)).await;
            assert_eq!(socket.ended().await, Ended::Closed(4403), "{what}");
        }
        assert_eq!(rows(&app).await, before, "no session was opened");
        app.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_old_secret_old_tokens_are_nobodys() {
    for app in App::both_with(&[]).await {
        let ann = app.person("Ann").await;
        came_from(&app, OLD_ID, &ann).await;
        let old = by(&old_token(&app, json!({ "uid": OLD_ID })), &ann);
        assert_eq!(old.is_refused(VIEWER, json!({})).await, "UNAUTHENTICATED");
        assert_eq!(rows(&app).await, "1");
        app.finish().await;
    }
}
