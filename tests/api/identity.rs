//! Accounts and sessions: registering, signing in, staying in, signing out; and what a token
//! that is not good can and cannot do.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures_util::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde_json::{Value, json};

use crate::harness::clients::{Ended, Socket};
use crate::harness::people::{EVENTS, PASSWORD, text};
use crate::harness::{App, on_both, until};

const REGISTER: &str = "mutation($input: RegisterInput!) {
    register(input: $input) { accessToken refreshToken expiresAt viewer { user { id displayName } } }
}";
const SIGN_IN: &str = "mutation($input: SignInInput!) {
    signIn(input: $input) { accessToken refreshToken expiresAt viewer { user { id displayName } } }
}";
const REFRESH: &str = "mutation($input: RefreshSessionInput!) {
    refreshSession(input: $input) { accessToken refreshToken viewer { user { id } } }
}";
const SIGN_OUT: &str = "mutation { signOut { ok } }";
const VIEWER: &str = "{ viewer { user { id } } }";

/// The one error of an answer that must have nothing but an error.
fn error(answer: &Value) -> &Value {
    let errors = answer["errors"].as_array();
    let errors = errors.unwrap_or_else(|| panic!("refused: {answer}"));
    assert_eq!(errors.len(), 1, "{answer}");
    assert_eq!(answer["data"], Value::Null, "{answer}");
    &errors[0]
}

#[track_caller]
fn assert_refused(answer: &Value, code: &str) {
    assert_eq!(error(answer)["extensions"]["code"], code, "{answer}");
}

#[track_caller]
fn assert_bad_input(answer: &Value, field: &str) {
    assert_refused(answer, "BAD_USER_INPUT");
    assert_eq!(error(answer)["extensions"]["field"], field, "{answer}");
}

async fn register(app: &App, input: Value) -> Value {
    app.anonymous(REGISTER, json!({ "input": input })).await
}

async fn sign_in(app: &App, input: Value) -> Value {
    app.anonymous(SIGN_IN, json!({ "input": input })).await
}

async fn refresh(app: &App, token: &str) -> Value {
    let input = json!({ "refreshToken": token });
    app.anonymous(REFRESH, json!({ "input": input })).await
}

/// What somebody gets who sends this access token.
async fn with_token(app: &App, token: &str, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    let url = app.url("/graphql");
    app.http().post(&url, Some(token), &body).await.json()
}

/// The viewer's id, if the access token is good.
async fn viewer(app: &App, token: &str) -> Result<String, Value> {
    let answer = with_token(app, token, VIEWER, Value::Null).await;
    match answer["data"]["viewer"]["user"]["id"].as_str() {
        Some(id) => Ok(id.to_owned()),
        None => Err(error(&answer)["extensions"]["code"].clone()),
    }
}

fn account(email: &str) -> Value {
    json!({ "email": email, "password": PASSWORD, "displayName": "Somebody" })
}

on_both! {
    async fn an_email_address_is_one_account_however_it_is_written(app) {
        let made = register(app, account("Ann@Example.com")).await;
        let id = &made["data"]["register"]["viewer"]["user"]["id"];
        assert!(id.is_string(), "{made}");

        for email in ["ANN@example.COM", "ann@example.com", "Ann@Example.com", " ann@example.com "] {
            let answer = sign_in(app, json!({ "email": email, "password": PASSWORD })).await;
            assert_eq!(&answer["data"]["signIn"]["viewer"]["user"]["id"], id, "{email}: {answer}");
            assert_refused(&register(app, account(email)).await, "CONFLICT");
        }
    }

    async fn a_phone_number_is_one_account_however_it_is_separated(app) {
        let input = json!({ "phone": "+49 (30) 1234-5678", "password": PASSWORD, "displayName": "Phil" });
        let made = register(app, input.clone()).await;
        let id = &made["data"]["register"]["viewer"]["user"]["id"];
        assert!(id.is_string(), "{made}");

        for phone in ["+493012345678", "+49 30 12345678", "+49-30-1234.5678", " +49/30/12345678 "] {
            let answer = sign_in(app, json!({ "phone": phone, "password": PASSWORD })).await;
            assert_eq!(&answer["data"]["signIn"]["viewer"]["user"]["id"], id, "{phone}: {answer}");
            let mut again = input.clone();
            again["phone"] = json!(phone);
            assert_refused(&register(app, again).await, "CONFLICT");
        }
        for phone in ["493012345678", "030 12345678", "+49", "+4930123456789012", "+49 30 x1234567", "", "+"] {
            assert_bad_input(&sign_in(app, json!({ "phone": phone, "password": PASSWORD })).await, "phone");
            let mut bad = input.clone();
            bad["phone"] = json!(phone);
            assert_bad_input(&register(app, bad).await, "phone");
        }
    }

    async fn either_of_an_email_address_and_a_phone_number_signs_in(app) {
        let both = json!({
            "email": "both@example.com", "phone": "+4930555666777", "password": PASSWORD, "displayName": "Both",
        });
        let made = register(app, both).await;
        let id = &made["data"]["register"]["viewer"]["user"]["id"];
        for name in [json!({ "email": "both@example.com" }), json!({ "phone": "+4930555666777" })] {
            let mut input = name.clone();
            input["password"] = json!(PASSWORD);
            let answer = sign_in(app, input).await;
            assert_eq!(&answer["data"]["signIn"]["viewer"]["user"]["id"], id, "{answer}");
            // Each of the two is taken, whatever the other one is.
            let mut other = json!({ "email": "new@example.com", "phone": "+4930000000001" });
            other.as_object_mut().expect("an object").extend(name.as_object().expect("an object").clone());
            other["password"] = json!(PASSWORD);
            other["displayName"] = json!("Other");
            assert_refused(&register(app, other).await, "CONFLICT");
        }
        let two = json!({ "email": "both@example.com", "phone": "+4930555666777", "password": PASSWORD });
        assert_bad_input(&sign_in(app, two).await, "email");
        assert_bad_input(&sign_in(app, json!({ "password": PASSWORD })).await, "email");
        let nameless = json!({ "password": PASSWORD, "displayName": "Nobody" });
        assert_bad_input(&register(app, nameless).await, "email");
    }

    async fn of_many_registrations_at_once_one_makes_the_account(app) {
        let spellings = ["race@example.com", "RACE@example.com", "Race@Example.Com"];
        let racing = (0..12).map(|n| register(app, account(spellings[n % 3])));
        let answers = join_all(racing).await;
        let (made, refused): (Vec<_>, Vec<_>) =
            answers.iter().partition(|answer| answer["errors"].is_null());
        assert_eq!(made.len(), 1, "{answers:?}");
        for answer in refused {
            assert_refused(answer, "CONFLICT");
        }
    }

    async fn a_refresh_token_is_spent_and_still_good_for_a_while(app) {
        let ann = app.person("Ann").await;
        let first = refresh(app, &ann.refresh_token).await;
        let second_token = text(&first["data"]["refreshSession"]["refreshToken"]);
        assert_ne!(second_token, ann.refresh_token);
        assert_eq!(first["data"]["refreshSession"]["viewer"]["user"]["id"], ann.id);

        // The answer was lost on the way, again and again, and by twenty tabs at once.
        for _ in 0..3 {
            assert!(refresh(app, &ann.refresh_token).await["errors"].is_null());
        }
        let answers = join_all((0..20).map(|_| refresh(app, &ann.refresh_token))).await;
        let mut tokens = std::collections::HashSet::new();
        for answer in &answers {
            let session = &answer["data"]["refreshSession"];
            assert_eq!(session["viewer"]["user"]["id"], ann.id, "{answer}");
            assert_eq!(viewer(app, &text(&session["accessToken"])).await, Ok(ann.id.clone()));
            assert!(tokens.insert(text(&session["refreshToken"])), "a refresh token was given out twice");
        }
        for answer in join_all(tokens.iter().map(|token| refresh(app, token))).await {
            assert_eq!(answer["data"]["refreshSession"]["viewer"]["user"]["id"], ann.id, "{answer}");
        }
        // The ones of before are good too.
        assert_eq!(viewer(app, &ann.token).await, Ok(ann.id.clone()));
        assert!(refresh(app, &second_token).await["errors"].is_null());
    }

    async fn twenty_first_uses_at_once_all_succeed(app) {
        let ann = app.person("Ann").await;
        let answers = join_all((0..20).map(|_| refresh(app, &ann.refresh_token))).await;
        for answer in &answers {
            let session = &answer["data"]["refreshSession"];
            assert_eq!(session["viewer"]["user"]["id"], ann.id, "{answer}");
            assert_eq!(viewer(app, &text(&session["accessToken"])).await, Ok(ann.id.clone()));
            assert!(refresh(app, &text(&session["refreshToken"])).await["errors"].is_null());
        }
    }

    async fn a_token_that_comes_back_after_its_grace_ends_the_whole_family(app) {
        let ann = app.person("Ann").await;
        let elsewhere = ann.signs_in_again().await;
        let room = ann.makes_group("Stolen", &[]).await;
        let renewed = refresh(app, &ann.refresh_token).await["data"]["refreshSession"].clone();
        let mut thief = ann.clone();
        thief.token = text(&renewed["accessToken"]);
        let socket = thief.follows(&room, None).await;
        until("the stream is up", || async { app.domain.open_feeds() == 1 }).await;

        app.advance(Duration::from_secs(31));
        assert_refused(&refresh(app, &ann.refresh_token).await, "UNAUTHENTICATED");

        // At once: the newest access token, every refresh token, and the open socket.
        assert_eq!(viewer(app, &thief.token).await, Err(json!("UNAUTHENTICATED")));
        assert_eq!(viewer(app, &ann.token).await, Err(json!("UNAUTHENTICATED")));
        assert_refused(&refresh(app, &text(&renewed["refreshToken"])).await, "UNAUTHENTICATED");
        let ended = tokio::time::timeout(Duration::from_secs(1), socket.ends()).await;
        assert_eq!(ended.expect("the socket closes within a second"), Ended::Closed(4403));
        // The other login is another family.
        assert_eq!(viewer(app, &elsewhere.token).await, Ok(ann.id.clone()));
        assert!(refresh(app, &elsewhere.refresh_token).await["errors"].is_null());
    }

    async fn a_refresh_token_that_nobody_gave_out_or_that_is_over_is_refused_alike(app) {
        let ann = app.person("Ann").await;
        let long = "x".repeat(1_000_000);
        let changed = format!("{}x", ann.refresh_token);
        let unknown = refresh(app, "nosuchtoken").await;
        assert_refused(&unknown, "UNAUTHENTICATED");
        for token in ["", "\0", long.as_str(), changed.as_str(), ann.token.as_str(), "é"] {
            assert_eq!(refresh(app, token).await, unknown);
        }
        app.advance(Duration::from_hours(8 * 24));
        assert_eq!(refresh(app, &ann.refresh_token).await, unknown, "expired");
        // Signing in again is what is left, and works.
        assert_eq!(viewer(app, &ann.signs_in_again().await.token).await, Ok(ann.id.clone()));
    }

    async fn a_session_lives_on_as_long_as_it_is_renewed(app) {
        let ann = app.person("Ann").await;
        let mut token = ann.refresh_token.clone();
        for _ in 0..4 {
            app.advance(Duration::from_hours(6 * 24));
            let answer = refresh(app, &token).await;
            let session = &answer["data"]["refreshSession"];
            assert_eq!(viewer(app, &text(&session["accessToken"])).await, Ok(ann.id.clone()), "{answer}");
            token = text(&session["refreshToken"]);
        }
    }

    async fn signing_out_ends_one_session_and_its_streams_at_once(app) {
        let ann = app.person("Ann").await;
        let phone = ann.signs_in_again().await;
        let room = ann.makes_group("Both devices", &[]).await;
        let mut laptops = ann.follows(&room, Some(0)).await;
        let phones = phone.follows(&room, Some(0)).await;
        let body = json!({ "query": EVENTS, "variables": { "id": room.id, "after": 0 } });
        let mut events = app.http().events(&app.url("/graphql"), Some(&phone.token), &body).await;
        until("the streams are up", || async { app.domain.open_feeds() >= 1 }).await;
        ann.sends(&room, "before").await;
        assert_eq!(laptops.next().await["seq"], 1);
        assert_eq!(events.next().await.expect("the stream is up").0, "next");

        assert_eq!(phone.asks(SIGN_OUT, Value::Null).await["signOut"]["ok"], true);

        assert_eq!(viewer(app, &phone.token).await, Err(json!("UNAUTHENTICATED")));
        assert_refused(&refresh(app, &phone.refresh_token).await, "UNAUTHENTICATED");
        let second = Duration::from_secs(1);
        let closed = tokio::time::timeout(second, phones.ends()).await;
        assert_eq!(closed.expect("the socket closes within a second"), Ended::Closed(4403));
        let ended = tokio::time::timeout(second, async {
            let told = events.next().await.expect("why it ends");
            assert_eq!(told.1["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{told:?}");
            assert_eq!(events.next().await.expect("an end").0, "complete");
            assert!(events.next().await.is_none());
        });
        ended.await.expect("the stream ends within a second");
        // Twice is once too often, and the token opens no socket either.
        assert_refused(&with_token(app, &phone.token, SIGN_OUT, Value::Null).await, "UNAUTHENTICATED");
        let mut late = Socket::connect(&app.url("/graphql")).await;
        late.greet(Some(&phone.token)).await;
        assert_eq!(late.ended().await, Ended::Closed(4403));

        ann.sends(&room, "after").await;
        assert_eq!(laptops.next().await["seq"], 2, "the other session lives on");
    }

    async fn a_wrong_password_and_an_unknown_account_are_answered_alike(app) {
        app.person("Ann").await;
        let wrong = sign_in(app, json!({ "email": "ann@example.com", "password": "wrong password" })).await;
        assert_refused(&wrong, "UNAUTHENTICATED");
        let long = "x".repeat(500_000);
        for (email, password) in [
            ("nobody@example.com", "wrong password"),
            ("nobody@example.com", PASSWORD),
            ("ann@example.com", ""),
            ("ann@example.com", "short"),
            ("ann@example.com", long.as_str()),
            ("nobody@example.com", long.as_str()),
            ("ann@example.com", "correct horse battery 9\0"),
            ("ann@example.com", "Correct horse battery 9"),
            ("ann@example.com", " correct horse battery 9"),
        ] {
            let answer = sign_in(app, json!({ "email": email, "password": password })).await;
            assert_eq!(answer, wrong, "{email}");
        }
        let phone = sign_in(app, json!({ "phone": "+493012345678", "password": PASSWORD })).await;
        assert_eq!(phone, wrong);
    }

    async fn a_bad_access_token_does_not_stand_in_the_way_of_a_new_one(app) {
        let ann = app.person("Ann").await;
        app.advance(Duration::from_mins(16));
        for token in [ann.token.as_str(), "garbage", ""] {
            assert_eq!(viewer(app, token).await, Err(json!("UNAUTHENTICATED")));
            let input = json!({ "email": ann.email, "password": PASSWORD });
            let answer = with_token(app, token, SIGN_IN, json!({ "input": input })).await;
            assert_eq!(answer["data"]["signIn"]["viewer"]["user"]["id"], ann.id, "{answer}");
            let input = json!({ "refreshToken": ann.refresh_token });
            let answer = with_token(app, token, REFRESH, json!({ "input": input })).await;
            assert_eq!(answer["data"]["refreshSession"]["viewer"]["user"]["id"], ann.id, "{answer}");
        }
        let input = account("late@example.com");
        let answer = with_token(app, &ann.token, REGISTER, json!({ "input": input })).await;
        assert_eq!(answer["errors"], Value::Null);
    }
}

#[tokio::test]
async fn passwords_have_8_to_1024_bytes_and_are_not_the_first_to_be_guessed() {
    let app = App::sqlite().await;
    let of = |password: String| {
        let email = format!("p{}@example.com", password.len());
        json!({ "email": email, "password": password, "displayName": "Pat" })
    };
    for bytes in [0, 1, 7, 1_025, 100_000] {
        assert_bad_input(&register(&app, of("x".repeat(bytes))).await, "password");
    }
    // Bytes, not characters: three of two bytes are too few, four of two are enough.
    assert_bad_input(&register(&app, of("äöü".to_owned())).await, "password");
    for password in [
        "x".repeat(8),
        "y".repeat(1_024),
        "äöüß".to_owned(),
        " ".repeat(12),
    ] {
        let mut input = of(password.clone());
        input["email"] = json!(format!(
            "q{}{}@example.com",
            password.len(),
            password.starts_with('x')
        ));
        if password.starts_with('ä') {
            input["email"] = json!("umlaut@example.com");
        }
        let answer = register(&app, input.clone()).await;
        assert_eq!(answer["errors"], Value::Null, "{} bytes", password.len());
        let again = json!({ "email": input["email"], "password": password });
        assert_eq!(
            sign_in(&app, again).await["errors"],
            Value::Null,
            "{} bytes",
            password.len()
        );
    }
    for known in [
        "password",
        "PASSWORD",
        "Password123",
        "12345678",
        "qwertyuiop",
        "letmein1",
    ] {
        assert_bad_input(&register(&app, of(known.to_owned())).await, "password");
    }
    let own =
        json!({ "email": "own@example.com", "password": "Own@Example.com", "displayName": "Own" });
    assert_bad_input(&register(&app, own).await, "password");
    app.finish().await;
}

#[tokio::test]
async fn a_display_name_is_one_line_of_1_to_100_characters() {
    let app = App::sqlite().await;
    let long = "ü".repeat(101);
    for name in [
        "",
        "   ",
        "\t\n",
        "a\nb",
        "a\0b",
        "\u{7f}",
        "a\u{9b}b",
        "\u{3000}",
        long.as_str(),
    ] {
        let mut input = account("name@example.com");
        input["displayName"] = json!(name);
        assert_bad_input(&register(&app, input).await, "displayName");
    }
    for (n, name) in ["ü".repeat(100), "  Ann  ".to_owned(), "林".to_owned()]
        .iter()
        .enumerate()
    {
        let mut input = account(&format!("name{n}@example.com"));
        input["displayName"] = json!(name);
        let answer = register(&app, input).await;
        assert_eq!(
            answer["data"]["register"]["viewer"]["user"]["displayName"],
            name.trim(),
            "{answer}"
        );
    }
    app.finish().await;
}

#[tokio::test]
async fn what_is_no_email_address_is_refused_by_name() {
    let app = App::sqlite().await;
    let long = format!("{}@example.com", "x".repeat(243));
    for email in [
        "",
        "ann",
        "@",
        "ann@",
        "@example.com",
        "a@b@c",
        "a b@example.com",
        "a\0@example.com",
        long.as_str(),
    ] {
        assert_bad_input(&register(&app, account(email)).await, "email");
        assert_bad_input(
            &sign_in(&app, json!({ "email": email, "password": PASSWORD })).await,
            "email",
        );
    }
    let longest = format!("{}@example.com", "x".repeat(242));
    assert_eq!(
        register(&app, account(&longest)).await["errors"],
        Value::Null
    );
    app.finish().await;
}

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
