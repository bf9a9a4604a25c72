//! One-time codes: what they prove, and that nothing else does.

mod guessing;
mod mail;
mod pages;
mod secrecy;

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::clients::Ended;
use crate::harness::people::{PASSWORD, text};
use crate::harness::{App, Person, on_both, until};

pub(crate) const REQUEST: &str =
    "mutation($input: RequestCodeInput!) { requestCode(input: $input) { token expiresAt } }";
pub(crate) const REGISTER: &str = "mutation($input: RegisterWithCodeInput!) {
    registerWithCode(input: $input) { accessToken refreshToken viewer {
        user { id displayName } email phone emailVerifiedAt phoneVerifiedAt hasPassword
    } }
}";
pub(crate) const SIGN_IN: &str = "mutation($input: SignInWithCodeInput!) {
    signInWithCode(input: $input) { accessToken refreshToken viewer {
        user { id displayName } email phone emailVerifiedAt phoneVerifiedAt hasPassword
    } }
}";
pub(crate) const ATTACH: &str = "mutation($input: AttachIdentifierInput!) {
    attachIdentifier(input: $input) { viewer { email phone emailVerifiedAt phoneVerifiedAt } }
}";
pub(crate) const RESET: &str =
    "mutation($input: ResetPasswordInput!) { resetPassword(input: $input) { ok } }";
pub(crate) const CHANGE: &str = "mutation($input: ChangePasswordInput!) {
    changePassword(input: $input) { endedSessionCount }
}";
const BY_PASSWORD: &str =
    "mutation($input: SignInInput!) { signIn(input: $input) { accessToken } }";

/// In which a code is over.
const TEN_MINUTES: Duration = Duration::from_secs(600);

/// A code that was asked for, as it arrived.
pub(crate) struct Code {
    pub(crate) token: String,
    pub(crate) code: String,
}

impl Code {
    /// Something else of six digits.
    pub(crate) fn wrong(&self) -> String {
        let right: u32 = self.code.parse().expect("digits");
        format!("{:06}", (right + 1) % 1_000_000)
    }

    /// The input of whatever takes it, with `more`.
    pub(crate) fn input(&self, more: Value) -> Value {
        let mut input = json!({ "token": self.token, "code": self.code });
        let members = more.as_object().expect("an object").clone();
        input.as_object_mut().expect("an object").extend(members);
        json!({ "input": input })
    }
}

/// An e-mail address or a phone number, as an input has it.
fn recipient(to: &str) -> Value {
    if to.contains('@') {
        json!({ "email": to })
    } else {
        json!({ "phone": to })
    }
}

fn request(to: &str, purpose: &str) -> Value {
    let mut input = recipient(to);
    input["purpose"] = purpose.into();
    json!({ "input": input })
}

/// Asks for a code as a stranger, and waits for it.
pub(crate) async fn asks_for_code(app: &App, to: &str, purpose: &str) -> Code {
    let kept = to.trim().to_lowercase();
    let before = app.mailbox.count(&kept);
    let answer = app.anonymous(REQUEST, request(to, purpose)).await;
    arrived(app, &kept, before, &answer["data"]["requestCode"]).await
}

/// Asks for a code to attach what it is sent to.
pub(crate) async fn asks_to_attach(app: &App, person: &Person, to: &str) -> Code {
    let before = app.mailbox.count(to);
    let answer = person.asks(REQUEST, request(to, "ATTACH")).await;
    arrived(app, to, before, &answer["requestCode"]).await
}

async fn arrived(app: &App, to: &str, before: usize, answer: &Value) -> Code {
    Code {
        token: text(&answer["token"]),
        code: text(&app.mailbox.letter(to, before).await["code"]),
    }
}

fn error(answer: &Value) -> (&str, Option<&str>) {
    let extensions = &answer["errors"][0]["extensions"];
    let code = extensions["code"].as_str();
    (
        code.unwrap_or_else(|| panic!("refused: {answer}")),
        extensions["field"].as_str(),
    )
}

const WRONG: (&str, Option<&str>) = ("BAD_USER_INPUT", Some("code"));
const OVER: (&str, Option<&str>) = ("CONFLICT", Some("code"));

async fn by_password(app: &App, identifier: &str, password: &str) -> Value {
    let mut input = recipient(identifier);
    input["password"] = password.into();
    app.anonymous(BY_PASSWORD, json!({ "input": input })).await
}

on_both! {
    async fn a_code_makes_an_account_and_is_spent(app) {
        const PHONE: &str = "+493012345678";
        let code = asks_for_code(app, PHONE, "REGISTER").await;
        let letter = app.mailbox.letter(PHONE, 0).await;
        assert_eq!(letter, json!({ "channel": "sms", "to": PHONE, "code": code.code, "purpose": "register" }));
        let input = code.input(json!({ "displayName": "Ann", "password": PASSWORD }));
        let made = app.anonymous(REGISTER, input.clone()).await;
        let viewer = &made["data"]["registerWithCode"]["viewer"];
        assert_eq!((&viewer["phone"], &viewer["email"]), (&json!(PHONE), &Value::Null), "{made}");
        assert!(viewer["phoneVerifiedAt"].is_string() && viewer["emailVerifiedAt"].is_null());
        assert_eq!(error(&app.anonymous(REGISTER, input).await), OVER);
        assert_eq!(by_password(app, "+49 30 1234-5678", PASSWORD).await["errors"], Value::Null);

        // That there is an account is told to those alone who can read what is sent there.
        let again = asks_for_code(app, PHONE, "REGISTER").await;
        let wrong = json!({ "input": { "token": again.token, "code": again.wrong(), "displayName": "Eve" } });
        assert_eq!(error(&app.anonymous(REGISTER, wrong).await), WRONG);
        let taken = app.anonymous(REGISTER, again.input(json!({ "displayName": "Eve" }))).await;
        assert_eq!(error(&taken), ("CONFLICT", None));
    }

    async fn a_code_signs_in_and_makes_an_account_only_under_a_name(app) {
        let to = "new@example.com";
        let code = asks_for_code(app, " New@Example.com", "SIGN_IN").await;
        let nameless = app.anonymous(SIGN_IN, code.input(json!({}))).await;
        assert_eq!(error(&nameless).0, "UNAUTHENTICATED");
        // Nothing was spent by that.
        let made = app.anonymous(SIGN_IN, code.input(json!({ "displayName": "New" }))).await;
        let viewer = made["data"]["signInWithCode"]["viewer"].clone();
        assert_eq!(viewer["email"], to, "{made}");
        assert_eq!(viewer["hasPassword"], false);
        assert_eq!(error(&by_password(app, to, PASSWORD).await).0, "UNAUTHENTICATED");

        let code = asks_for_code(app, to, "SIGN_IN").await;
        let same = app.anonymous(SIGN_IN, code.input(json!({ "displayName": "Other" }))).await;
        assert_eq!(same["data"]["signInWithCode"]["viewer"]["user"], viewer["user"]);
    }

    async fn of_two_requests_either_goes_with_either_code(app) {
        let to = "ann@example.com";
        let first = asks_for_code(app, to, "SIGN_IN").await;
        let second = asks_for_code(app, to, "SIGN_IN").await;
        let crossed = Code { token: first.token.clone(), code: second.code.clone() };
        let named = json!({ "displayName": "Ann" });
        let signed_in = app.anonymous(SIGN_IN, crossed.input(named.clone())).await;
        assert_eq!(signed_in["errors"], Value::Null, "{signed_in}");
        for code in [first, second, crossed] {
            assert_eq!(error(&app.anonymous(SIGN_IN, code.input(named.clone())).await), OVER, "one spends all");
        }
    }

    async fn a_code_is_good_for_one_purpose_and_ten_minutes(app) {
        let to = "ann@example.com";
        let code = asks_for_code(app, to, "SIGN_IN").await;
        let named = json!({ "displayName": "Ann" });
        assert_eq!(error(&app.anonymous(REGISTER, code.input(named.clone())).await).0, "NOT_FOUND");
        let reset = code.input(json!({ "newPassword": "another good one" }));
        assert_eq!(error(&app.anonymous(RESET, reset).await).0, "NOT_FOUND");
        app.advance(TEN_MINUTES);
        assert_eq!(error(&app.anonymous(SIGN_IN, code.input(named.clone())).await), OVER);
        for (token, code) in [("", "123456"), ("cod_AAAAAAAAAAAAAAAAAAAAAA", "123456"), (&*code.token, "12345"), (&*code.token, "12345x")] {
            let input = json!({ "input": { "token": token, "code": code, "displayName": "Ann" } });
            let refused = app.anonymous(SIGN_IN, input).await;
            assert!(["NOT_FOUND", "BAD_USER_INPUT"].contains(&error(&refused).0), "{token} {code}: {refused}");
        }
        // An hour after that nothing is kept of them.
        app.advance(Duration::from_secs(3_601));
        until("codes are cleared away", || async { app.runs_sql("SELECT count(*) FROM codes").await == "0" }).await;
    }

    async fn a_letter_that_fails_is_sent_again(app) {
        app.mailbox.fails(1);
        let code = asks_for_code(app, "+12025550173", "SIGN_IN").await;
        let signed_in = app.anonymous(SIGN_IN, code.input(json!({ "displayName": "Ann" }))).await;
        assert_eq!(signed_in["errors"], Value::Null, "{signed_in}");
    }

    async fn an_identifier_is_attached_by_its_owner_alone(app) {
        const PHONE: &str = "+12025550173";
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let refused = app.anonymous(REQUEST, request(PHONE, "ATTACH")).await;
        assert_eq!(error(&refused).0, "UNAUTHENTICATED");
        let code = asks_to_attach(app, &ann, PHONE).await;
        // Bob, though he knows both.
        assert_eq!(bob.is_refused(ATTACH, code.input(json!({}))).await, "NOT_FOUND");
        let attached = ann.asks(ATTACH, code.input(json!({}))).await;
        let viewer = &attached["attachIdentifier"]["viewer"];
        assert_eq!((&viewer["phone"], &viewer["email"]), (&json!(PHONE), &json!(ann.email)));
        assert!(viewer["phoneVerifiedAt"].is_string() && viewer["emailVerifiedAt"].is_null(), "{viewer}");
        assert_eq!(by_password(app, PHONE, PASSWORD).await["errors"], Value::Null);

        let hers = asks_to_attach(app, &bob, PHONE).await;
        assert_eq!(bob.is_refused(ATTACH, hers.input(json!({}))).await, "CONFLICT");
        // One's own is verified thereby; another takes its place.
        for to in [&*bob.email, "bob@example.org"] {
            let code = asks_to_attach(app, &bob, to).await;
            let attached = bob.asks(ATTACH, code.input(json!({}))).await;
            assert_eq!(attached["attachIdentifier"]["viewer"]["email"], to);
            assert!(attached["attachIdentifier"]["viewer"]["emailVerifiedAt"].is_string());
        }
        assert_eq!(error(&by_password(app, &bob.email, PASSWORD).await).0, "UNAUTHENTICATED");
        assert_eq!(by_password(app, "bob@example.org", PASSWORD).await["errors"], Value::Null);
    }

    async fn who_proves_an_address_first_takes_the_account_over(app) {
        // Somebody registers with an address that is not theirs, and waits.
        let eve = app.person("Ann").await;
        let socket = eve.opens_socket().await;
        let code = asks_for_code(app, &eve.email, "SIGN_IN").await;
        let ann = app.anonymous(SIGN_IN, code.input(json!({}))).await;
        assert_eq!(ann["data"]["signInWithCode"]["viewer"]["user"]["id"], eve.id, "{ann}");
        assert_eq!(ann["data"]["signInWithCode"]["viewer"]["hasPassword"], false);
        assert_eq!(closed(socket).await, Ended::Closed(4403));
        assert_eq!(eve.is_refused("{ viewer { email } }", json!({})).await, "UNAUTHENTICATED");
        assert_eq!(error(&by_password(app, &eve.email, PASSWORD).await).0, "UNAUTHENTICATED");
        // From then on nothing is ended by signing in.
        let ann = eve.by(&ann["data"]["signInWithCode"]["accessToken"]);
        let code = asks_for_code(app, &ann.email, "SIGN_IN").await;
        app.anonymous(SIGN_IN, code.input(json!({}))).await;
        ann.asks("{ viewer { email } }", json!({})).await;
    }

    async fn a_forgotten_password_is_set_anew_and_all_sessions_end(app) {
        const NEW: &str = "another good one";
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Room", &[&bob]).await;
        let stream = ann.follows(&room, None).await;
        let code = asks_for_code(app, &ann.email, "RESET_PASSWORD").await;
        let weak = code.input(json!({ "newPassword": "password1" }));
        assert_eq!(error(&app.anonymous(RESET, weak).await), ("BAD_USER_INPUT", Some("newPassword")));
        let reset = app.anonymous(RESET, code.input(json!({ "newPassword": NEW }))).await;
        assert_eq!(reset["data"]["resetPassword"]["ok"], true, "{reset}");
        assert_eq!(stream.ends().await, Ended::Closed(4403));
        assert_eq!(ann.is_refused("{ viewer { email } }", json!({})).await, "UNAUTHENTICATED");
        assert_eq!(error(&by_password(app, &ann.email, PASSWORD).await).0, "UNAUTHENTICATED");
        assert_eq!(by_password(app, &ann.email, NEW).await["errors"], Value::Null);
        bob.asks("{ viewer { email } }", json!({})).await;

        for input in [json!({}), json!({ "token": code.token }), json!({ "code": code.code, "link": "x" })] {
            let mut input = input;
            input["newPassword"] = NEW.into();
            let refused = app.anonymous(RESET, json!({ "input": input })).await;
            assert_eq!(error(&refused), ("BAD_USER_INPUT", Some("token")));
        }
    }

    async fn changing_the_password_ends_the_other_sessions(app) {
        const NEW: &str = "another good one";
        let ann = app.person("Ann").await;
        let other = ann.signs_in_again().await;
        let socket = other.opens_socket().await;
        let own = ann.opens_socket().await;
        let change = |current: &str, new: &str| json!({ "input": { "currentPassword": current, "newPassword": new } });
        for (input, field) in [(change("not it at all", NEW), "currentPassword"), (change(PASSWORD, "short"), "newPassword")] {
            let refused = ann.is_refused_with(CHANGE, input).await;
            assert_eq!((&refused["code"], &refused["field"]), (&json!("BAD_USER_INPUT"), &json!(field)));
        }
        let changed = ann.asks(CHANGE, change(PASSWORD, NEW)).await;
        assert_eq!(changed["changePassword"]["endedSessionCount"], 1);
        assert_eq!(closed(socket).await, Ended::Closed(4403));
        assert_eq!(other.is_refused("{ viewer { email } }", json!({})).await, "UNAUTHENTICATED");
        ann.asks("{ viewer { email } }", json!({})).await;
        own.close().await;
        assert_eq!(error(&by_password(app, &ann.email, PASSWORD).await).0, "UNAUTHENTICATED");
        assert_eq!(by_password(app, &ann.email, NEW).await["errors"], Value::Null);
    }

    async fn who_has_no_password_sets_a_first_one(app) {
        let code = asks_for_code(app, "ann@example.com", "SIGN_IN").await;
        let made = app.anonymous(SIGN_IN, code.input(json!({ "displayName": "Ann" }))).await;
        let token = text(&made["data"]["signInWithCode"]["accessToken"]);
        let body = json!({ "query": CHANGE, "variables": { "input": { "newPassword": PASSWORD } } });
        let set = app.http().post(&app.url("/graphql"), Some(&token), &body).await.json();
        assert_eq!(set["errors"], Value::Null, "{set}");
        assert_eq!(by_password(app, "ann@example.com", PASSWORD).await["errors"], Value::Null);
    }
}

/// How a socket ends, whatever comes before.
async fn closed(mut socket: crate::harness::clients::Socket) -> Ended {
    socket.ended().await
}
