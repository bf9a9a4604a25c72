//! Accounts and sessions: registering, signing in, staying in, signing out; and what a token
//! that is not good can and cannot do.

mod rules;
mod tokens;

use std::time::Duration;

use futures_util::future::join_all;
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

    async fn a_session_is_read_once_a_second_however_often_it_asks(app) {
        let ann = app.person("Ann").await;
        let query = "{ viewer { user { displayName } } }";
        let statements = || app.domain.statements().count();
        let (mut first, mut second) = (u64::MAX, u64::MAX);
        // The least of several, for the node looks at the database by itself now and then.
        for _ in 0..10 {
            app.advance(Duration::from_secs(1));
            let before = statements();
            ann.asks(query, json!({})).await;
            let between = statements();
            ann.asks(query, json!({})).await;
            first = first.min(between - before);
            second = second.min(statements() - between);
        }
        assert_eq!((first, second), (1, 0));
        ann.asks("mutation { signOut { ok } }", json!({})).await;
        assert_eq!(ann.is_refused(query, json!({})).await, "UNAUTHENTICATED");
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
