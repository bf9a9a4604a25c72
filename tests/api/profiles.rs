//! What users say about themselves, who hears of it, and what their clients keep.

use serde_json::{Value, json};

use crate::harness::clients::Socket;
use crate::harness::people::text;
use crate::harness::{App, Person, on_both};

pub(crate) const UPDATE: &str = "mutation($input: UpdateProfileInput!) {
    updateProfile(input: $input) { viewer { ...Profile } }
}
fragment Profile on Viewer {
    user { id displayName username avatarUrl bio }
    email phone locale dateOfBirth hasCompletedOnboarding
}";
const PROFILE: &str = "{ viewer {
    user { id displayName username avatarUrl bio }
    email phone locale dateOfBirth hasCompletedOnboarding
} }";
pub(crate) const WATCH: &str = "subscription($ids: [ID!]!) {
    profileChanged(userIds: $ids) { id displayName username avatarUrl bio }
}";
const SET: &str = "mutation($input: SetPreferencesInput!) {
    setPreferences(input: $input) { viewer { preferences(client: \"web\") } }
}";
const PREFERENCES: &str = "query($client: String!) { viewer { preferences(client: $client) } }";

impl Person {
    pub(crate) async fn updates_profile(&self, input: Value) -> Value {
        let data = self.asks(UPDATE, json!({ "input": input })).await;
        data["updateProfile"]["viewer"].clone()
    }

    async fn profile(&self) -> Value {
        self.asks(PROFILE, json!({})).await["viewer"].clone()
    }

    /// The input that is not acceptable in a change of the profile.
    async fn may_not_set(&self, input: Value) -> String {
        let refused = self
            .is_refused_with(UPDATE, json!({ "input": input }))
            .await;
        assert_eq!(refused["code"], "BAD_USER_INPUT", "{input}");
        text(&refused["field"])
    }

    pub(crate) async fn watches_profiles(&self, others: &[&Self]) -> Profiles {
        let ids: Vec<_> = others.iter().map(|other| &other.id).collect();
        let mut socket = self.opens_socket().await;
        socket.subscribe("1", WATCH, &json!({ "ids": ids })).await;
        Profiles { socket }
    }

    async fn keeps(&self, client: &str, value: Value) -> Value {
        let input = json!({ "client": client, "value": value });
        self.asks(SET, json!({ "input": input })).await
    }

    async fn kept(&self, client: &str) -> Value {
        let data = self.asks(PREFERENCES, json!({ "client": client })).await;
        data["viewer"]["preferences"].clone()
    }
}

/// A stream of profiles.
pub(crate) struct Profiles {
    socket: Socket,
}

impl Profiles {
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.socket.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        message["payload"]["data"]["profileChanged"].clone()
    }
}

on_both! {
    async fn a_profile_changes_field_by_field_and_watchers_see_it(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut seen = bob.watches_profiles(&[&ann, &bob]).await;
        let blank = json!({ "id": ann.id, "displayName": "Ann", "username": null, "avatarUrl": null, "bio": null });
        assert_eq!(seen.next().await, blank, "first as they are");
        assert_eq!(seen.next().await["id"], bob.id);

        let all = json!({
            "displayName": " Ann Ito ", "username": "Ann.Ito_1", "avatarUrl": "https://example.com/ann.png?v=2",
            "bio": "Lakes,\ntents and trains", "locale": "pt-BR", "dateOfBirth": "1998-02-28",
            "hasCompletedOnboarding": true,
        });
        let shown = json!({
            "id": ann.id, "displayName": "Ann Ito", "username": "ann.ito_1",
            "avatarUrl": "https://example.com/ann.png?v=2", "bio": "Lakes,\ntents and trains",
        });
        let whole = json!({
            "user": shown, "email": "ann@example.com", "phone": null, "locale": "pt-BR",
            "dateOfBirth": "1998-02-28", "hasCompletedOnboarding": true,
        });
        assert_eq!(ann.updates_profile(all).await, whole);
        assert_eq!(ann.profile().await, whole);
        assert_eq!(seen.next().await, shown);

        // What is only the viewer's is told to nobody, and an empty change changes nothing.
        ann.updates_profile(json!({ "locale": "de", "dateOfBirth": null })).await;
        ann.updates_profile(json!({})).await;
        let gone = ann.updates_profile(json!({ "bio": null, "avatarUrl": null, "username": null })).await;
        assert_eq!(gone["locale"], "de");
        assert_eq!(gone["dateOfBirth"], Value::Null);
        assert_eq!(gone["user"]["displayName"], "Ann Ito");
        let mut bare = blank.clone();
        bare["displayName"] = json!("Ann Ito");
        assert_eq!(seen.next().await, bare, "that and nothing else");
    }

    async fn who_stays_connected_acts_under_the_new_name(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Names", &[&bob]).await;
        let mut socket = ann.opens_socket().await;
        let mut stream = bob.follows(&room, Some(0)).await;
        for name in ["Anna", "Annabel"] {
            ann.updates_profile(json!({ "displayName": name })).await;
            let send = "mutation($input: SendMessageInput!) { sendMessage(input: $input) {
                message { sender { displayName } }
            } }";
            let input = json!({ "conversationId": room.id, "text": "hi" });
            socket.subscribe(name, send, &json!({ "input": input })).await;
            let answer = socket.next().await.expect("an answer");
            let sender = &answer["payload"]["data"]["sendMessage"]["message"]["sender"];
            assert_eq!(sender["displayName"], name, "{answer}");
            let complete = socket.next().await.expect("an end");
            assert_eq!(complete["type"], "complete");
            assert_eq!(stream.next().await["actor"]["displayName"], name);
        }
    }

    async fn a_username_is_one_persons(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        ann.updates_profile(json!({ "username": "Lake" })).await;
        let refused = bob.is_refused_with(UPDATE, json!({ "input": { "username": "lAKE", "bio": "me too" } })).await;
        assert_eq!((&refused["code"], &refused["field"]), (&json!("CONFLICT"), &json!("username")));
        assert_eq!(bob.profile().await["user"]["bio"], Value::Null, "nothing of it was done");
        ann.updates_profile(json!({ "username": "lake" })).await;
        ann.updates_profile(json!({ "username": "tent" })).await;
        assert_eq!(bob.updates_profile(json!({ "username": "lake" })).await["user"]["username"], "lake");
    }

    async fn of_many_who_want_a_username_one_gets_it(app) {
        let names = (0..8).map(|n| format!("Person {n}"));
        let people = futures_util::future::join_all(names.map(|name| async move { app.person(&name).await })).await;
        let wishes = people.iter().map(|person| person.request(UPDATE, json!({ "input": { "username": "lake" } })));
        let answers = futures_util::future::join_all(wishes).await;
        let errors: Vec<_> = answers.into_iter().map(|answer| answer.json()["errors"][0]["extensions"]["code"].clone()).collect();
        assert_eq!(errors.iter().filter(|code| **code == Value::Null).count(), 1, "{errors:?}");
        assert_eq!(errors.iter().filter(|code| **code == "CONFLICT").count(), 7, "{errors:?}");
    }

    async fn what_a_client_keeps_follows_the_viewer(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        assert_eq!(ann.kept("web").await, Value::Null);
        let value = json!({ "theme": "dark", "pinned": [1, 2.5, null], "nested": { "ä": "ö" } });
        let answer = ann.keeps("web", value.clone()).await;
        assert_eq!(answer["setPreferences"]["viewer"]["preferences"], value);
        ann.keeps("ios", json!("small")).await;
        assert_eq!(ann.signs_in_again().await.kept("web").await, value);
        assert_eq!(bob.kept("web").await, Value::Null, "nobody else's");
        ann.keeps("web", json!([])).await;
        assert_eq!(ann.kept("web").await, json!([]));
        ann.keeps("web", Value::Null).await;
        assert_eq!(ann.kept("web").await, Value::Null);
        assert_eq!(ann.kept("ios").await, "small");
    }

    async fn no_more_is_kept_than_there_is_room_for(app) {
        let ann = app.person("Ann").await;
        let fits = "x".repeat(16_382);
        ann.keeps("client-0", json!(fits)).await;
        let refused = ann.is_refused_with(SET, json!({ "input": { "client": "web", "value": format!("{fits}x") } })).await;
        assert_eq!((&refused["code"], &refused["field"]), (&json!("BAD_USER_INPUT"), &json!("value")));
        for n in 1..16 {
            ann.keeps(&format!("client-{n}"), json!(n)).await;
        }
        assert_eq!(ann.is_refused(SET, json!({ "input": { "client": "web", "value": 1 } })).await, "CONFLICT");
        ann.keeps("client-3", json!("again")).await;
        ann.keeps("client-4", Value::Null).await;
        ann.keeps("web", json!(1)).await;
        for client in ["", "a b", "ä", &"x".repeat(65)] {
            let variables = json!({ "client": client });
            assert_eq!(ann.is_refused(PREFERENCES, variables).await, "BAD_USER_INPUT", "{client}");
        }
    }
}

#[tokio::test]
async fn what_is_no_profile_is_refused() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let before = ann.profile().await;
    let long = |chars: usize| "x".repeat(chars);
    for name in ["", "  ", "two\nlines", &long(101)] {
        assert_eq!(
            ann.may_not_set(json!({ "displayName": name })).await,
            "displayName"
        );
    }
    for name in [
        "",
        "ab",
        &long(33),
        "1st",
        "_ann",
        ".ann",
        "ann.",
        "a..b",
        "an n",
        "änn",
        "ann!",
        "all",
        "Everyone",
    ] {
        assert_eq!(
            ann.may_not_set(json!({ "username": name })).await,
            "username",
            "{name}"
        );
    }
    let endless = format!("https://example.com/{}", long(2_048));
    for url in [
        "",
        "ann.png",
        "/ann.png",
        "https://",
        "https:///x",
        "ftp://example.com/x",
        "javascript:alert(1)",
        "https://exa mple.com",
        "https://example.com/\nx",
        "data:image/png;base64,AA==",
        &endless,
    ] {
        assert_eq!(
            ann.may_not_set(json!({ "avatarUrl": url })).await,
            "avatarUrl",
            "{url}"
        );
    }
    for bio in ["", " \n ", "a\u{0}b", "a\tb", &long(501)] {
        assert_eq!(ann.may_not_set(json!({ "bio": bio })).await, "bio", "{bio}");
    }
    for tag in [
        "",
        "-",
        "de-",
        "1",
        "pt_BR",
        "a-toolongpart",
        &"aa-".repeat(20),
    ] {
        assert_eq!(
            ann.may_not_set(json!({ "locale": tag })).await,
            "locale",
            "{tag}"
        );
    }
    for date in ["1899-12-31", "2999-01-01"] {
        assert_eq!(
            ann.may_not_set(json!({ "dateOfBirth": date })).await,
            "dateOfBirth",
            "{date}"
        );
    }
    for date in [
        "1998-02-29",
        "1998-2-28",
        "28.02.1998",
        "1998-02-28T00:00:00Z",
        "01998-02-28",
        "",
    ] {
        let variables = json!({ "input": { "dateOfBirth": date } });
        assert_eq!(
            ann.is_refused(UPDATE, variables).await,
            "BAD_USER_INPUT",
            "{date}"
        );
    }
    assert_eq!(ann.profile().await, before);
    app.finish().await;
}

#[tokio::test]
async fn numbers_without_a_country_are_of_the_servers() {
    let app = App::with(&[("DEFAULT_REGION", "DE")]).await;
    let register = "mutation($input: RegisterInput!) {
        register(input: $input) { viewer { phone } }
    }";
    let input =
        json!({ "phone": "030 123 456 78", "password": "nine lives left", "displayName": "Phil" });
    let made = app.anonymous(register, json!({ "input": input })).await;
    assert_eq!(
        made["data"]["register"]["viewer"]["phone"], "+493012345678",
        "{made}"
    );
    let sign_in = "mutation($input: SignInInput!) { signIn(input: $input) { viewer { phone } } }";
    for phone in ["+49 30 12345678", "0049 (30) 123456-78", "030/12345678"] {
        let input = json!({ "phone": phone, "password": "nine lives left" });
        let answer = app.anonymous(sign_in, json!({ "input": input })).await;
        assert_eq!(
            answer["data"]["signIn"]["viewer"]["phone"], "+493012345678",
            "{phone}: {answer}"
        );
    }
    app.finish().await;
}
