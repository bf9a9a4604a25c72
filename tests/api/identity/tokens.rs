//! Access tokens that are not good, and secrets at rest.

use std::os::unix::fs::PermissionsExt as _;

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};

use super::*;

const SECRET: &str = "a secret of the test's own, long enough for anyone";

/// A token made by hand.
fn token(header: &Header, claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(header, claims, &key).expect("a token")
}

#[tokio::test]
async fn a_token_that_is_not_quite_ours_is_nobodys() {
    let app = App::with(&[("JWT_SECRET", SECRET)]).await;
    let [ann, bob] = app.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Closed", &[&bob]).await;
    let said = ann.sends(&room, "kept").await;
    let mut validation = Validation::new(Algorithm::HS256);
    validation.validate_aud = false;
    let key = DecodingKey::from_secret(SECRET.as_bytes());
    let claims = jsonwebtoken::decode::<Value>(&ann.token, &key, &validation)
        .expect("our token")
        .claims;
    let ours = Header::new(Algorithm::HS256);
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        token(&ours, &claims, SECRET)
    };
    let without = |name: &str| {
        let mut claims = claims.clone();
        claims.as_object_mut().unwrap().remove(name);
        token(&ours, &claims, SECRET)
    };
    // What is done here makes good tokens, so the bad ones are bad for their own reason.
    let copy = token(&ours, &claims, SECRET);
    assert_eq!(viewer(&app, &copy).await, Ok(ann.id.clone()));

    let parts: Vec<&str> = ann.token.split('.').collect();
    let [header, payload, signature] = parts[..] else {
        panic!("three parts")
    };
    // {"alg":"none","typ":"JWT"}, {"alg":"None","typ":"JWT"}
    let [none, mixed] = [
        "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0",
        "eyJhbGciOiJOb25lIiwidHlwIjoiSldUIn0",
    ];
    let bobs = jsonwebtoken::decode::<Value>(&bob.token, &key, &validation)
        .unwrap()
        .claims;
    let now = claims["iat"].as_i64().expect("seconds");
    let bad = [
        ("alg none", format!("{none}.{payload}.")),
        ("alg none, no last dot", format!("{none}.{payload}")),
        ("alg None", format!("{mixed}.{payload}.")),
        (
            "alg none with the old signature",
            format!("{none}.{payload}.{signature}"),
        ),
        ("no signature", format!("{header}.{payload}.")),
        (
            "another signature",
            format!(
                "{header}.{payload}.{}",
                bob.token.rsplit('.').next().unwrap()
            ),
        ),
        (
            "another payload",
            format!(
                "{header}.{}.{signature}",
                bob.token.split('.').nth(1).unwrap()
            ),
        ),
        (
            "the wrong secret",
            token(
                &ours,
                &claims,
                "another secret, and a long one as well, of course",
            ),
        ),
        ("an empty secret", token(&ours, &claims, "")),
        (
            "HS384",
            token(&Header::new(Algorithm::HS384), &claims, SECRET),
        ),
        (
            "HS512",
            token(&Header::new(Algorithm::HS512), &claims, SECRET),
        ),
        ("no expiry", without("exp")),
        ("an expiry that is text", with("exp", json!("9999999999"))),
        ("an expiry of null", with("exp", Value::Null)),
        (
            "an expiry before the beginning",
            with("exp", json!(i64::MIN)),
        ),
        ("expired", with("exp", json!(now - 1))),
        ("no audience", without("aud")),
        ("another audience", with("aud", json!("backchannel:call"))),
        ("no subject", without("sub")),
        ("a subject that is no id", with("sub", json!("ann"))),
        ("somebody else's session", with("sid", bobs["sid"].clone())),
        ("somebody else as subject", with("sub", bobs["sub"].clone())),
        ("no session", without("sid")),
        (
            "a session that never was",
            with("sid", claims["sub"].clone()),
        ),
        ("garbage", "garbage".to_owned()),
        ("dots", "...".to_owned()),
        ("a long one", "x".repeat(5_000)),
        (
            "a good one, longer",
            format!("{}{}", ann.token, "A".repeat(5_000)),
        ),
        ("a refresh token", ann.refresh_token.clone()),
    ];
    for (what, bad) in &bad {
        assert_eq!(
            viewer(&app, bad).await,
            Err(json!("UNAUTHENTICATED")),
            "{what}"
        );
        let input = json!({ "conversationId": room.id, "text": what });
        let send = crate::harness::people::SEND;
        assert_refused(
            &with_token(&app, bad, send, json!({ "input": input })).await,
            "UNAUTHENTICATED",
        );
        assert_refused(
            &with_token(&app, bad, SIGN_OUT, Value::Null).await,
            "UNAUTHENTICATED",
        );
        let mut socket = Socket::connect(&app.url("/graphql")).await;
        socket.greet(Some(bad)).await;
        assert_eq!(socket.ended().await, Ended::Closed(4403), "{what}");
    }
    assert_eq!(ann.last_seq(&room).await, said.seq, "nothing was sent");
    assert_eq!(
        viewer(&app, &bob.token).await,
        Ok(bob.id.clone()),
        "nobody was signed out"
    );
    app.finish().await;
}

#[tokio::test]
async fn an_access_token_is_refused_from_its_expiry_on() {
    let app = App::sqlite().await;
    let made = register(&app, account("soon@example.com")).await;
    let session = &made["data"]["register"];
    let token = text(&session["accessToken"]);
    let before = Duration::from_mins(15) - Duration::from_secs(30);
    app.advance(before);
    assert!(viewer(&app, &token).await.is_ok());
    app.advance(Duration::from_secs(31));
    let answer = with_token(&app, &token, VIEWER, Value::Null).await;
    assert_refused(&answer, "UNAUTHENTICATED");
    app.finish().await;
}

#[tokio::test]
async fn the_expiry_of_the_token_closes_an_open_socket_and_stream() {
    let app = App::with(&[("JWT_ACCESS_EXPIRES_IN", "2s")]).await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Short", &[]).await;
    let socket = ann.follows(&room, None).await;
    let body = json!({ "query": EVENTS, "variables": { "id": room.id, "after": null } });
    let mut events = app
        .http()
        .events(&app.url("/graphql"), Some(&ann.token), &body)
        .await;
    let limit = Duration::from_secs(4);
    let ended = tokio::time::timeout(limit, socket.ends()).await;
    assert_eq!(
        ended.expect("the socket is closed in time"),
        Ended::Closed(4403)
    );
    let told = tokio::time::timeout(limit, events.next())
        .await
        .expect("in time")
        .expect("why it ends");
    assert_eq!(
        told.1["errors"][0]["extensions"]["code"], "UNAUTHENTICATED",
        "{told:?}"
    );
    assert_eq!(events.next().await.expect("an end").0, "complete");
    assert_eq!(
        viewer(&app, &ann.token).await,
        Err(json!("UNAUTHENTICATED"))
    );
    app.finish().await;
}

#[tokio::test]
async fn no_secret_lies_in_the_data_directory_but_the_one_that_is_locked() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let again = ann.signs_in_again().await;
    let renewed = refresh(&app, &ann.refresh_token).await["data"]["refreshSession"].clone();
    let mut bytes = Vec::new();
    for file in std::fs::read_dir(app.files()).expect("the data directory") {
        let file = file.expect("an entry");
        let name = file.file_name().into_string().expect("text");
        if name == "jwt_secret" {
            let mode = file.metadata().expect("its metadata").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        } else {
            assert!(name.starts_with("backchannel.db"), "what is {name}?");
            bytes.extend(std::fs::read(file.path()).expect("readable"));
        }
    }
    let holds = |text: &str| {
        bytes
            .windows(text.len())
            .any(|window| window == text.as_bytes())
    };
    assert!(holds("ann@example.com"), "the search finds what is there");
    assert!(
        holds("$argon2id$v=19$m=19456,t=2,p=1$"),
        "passwords are hashed as the design says"
    );
    let secrets = [
        PASSWORD,
        &ann.token,
        &ann.refresh_token,
        &again.token,
        &again.refresh_token,
        &text(&renewed["accessToken"]),
        &text(&renewed["refreshToken"]),
    ];
    for secret in secrets {
        assert!(!holds(secret), "a secret lies in the database: {secret}");
    }
    app.finish().await;
}
