//! Bots and API keys: what a key may do, what it may not, and that it can be taken back.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::clients::Ended;
use crate::harness::people::{ADD, MARK_READ, SEND, SET_TYPING, text};
use crate::harness::{App, Person, Room, on_both};

pub(crate) const CREATE_BOT: &str = "mutation($input: CreateBotInput!) { createBot(input: $input) { bot { id displayName username isBot } } }";
pub(crate) const CREATE_KEY: &str =
    "mutation($input: CreateApiKeyInput!) { createApiKey(input: $input) {
    secret apiKey { id name scopes expiresAt address bot { id } }
} }";
pub(crate) const REVOKE_KEY: &str =
    "mutation($input: RevokeApiKeyInput!) { revokeApiKey(input: $input) { ok } }";
pub(crate) const KEYS: &str =
    "query($bot: ID!) { viewer { apiKeys(botId: $bot) { id name scopes expiresAt address } } }";

/// A bot of somebody's, and a key for it with these scopes.
pub(crate) async fn makes_bot(owner: &Person, name: &str, scopes: &[&str]) -> (Person, String) {
    let made = owner
        .asks(CREATE_BOT, json!({ "input": { "displayName": name } }))
        .await;
    let bot = &made["createBot"]["bot"];
    assert_eq!(bot["isBot"], true);
    let (key, secret) = makes_key(owner, &text(&bot["id"]), scopes).await;
    let mut acting = owner.by(&secret);
    acting.id = text(&bot["id"]);
    name.clone_into(&mut acting.name);
    (acting, key)
}

async fn makes_key(owner: &Person, bot: &str, scopes: &[&str]) -> (String, Value) {
    let input = json!({ "botId": bot, "name": "deploys", "scopes": scopes });
    let made = owner.asks(CREATE_KEY, json!({ "input": input })).await["createApiKey"].clone();
    (text(&made["apiKey"]["id"]), made["secret"].clone())
}

fn send(room: &Room) -> Value {
    json!({ "input": { "conversationId": room.id, "text": "deployed" } })
}

on_both! {
    async fn a_bot_takes_part_by_its_key(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (bot, _) = makes_bot(&ann, "Deploys", &["MESSAGES"]).await;
        let room = ann.makes_group("Ops", &[&bob, &bot]).await;
        let mut bobs = bob.follows(&room, Some(0)).await;
        let mut bots = bot.follows(&room, Some(0)).await;
        let sent = bot.sends(&room, "deployed").await;
        for stream in [&mut bobs, &mut bots] {
            let event = stream.next().await;
            assert_eq!((&event["message"]["text"], &event["actor"]["id"]), (&json!("deployed"), &json!(bot.id)));
        }
        bot.edits(&sent, "deployed 1.4").await;
        bot.reads(&room, sent.seq).await;
        bot.types(&room, true).await;
        bot.deletes(&sent).await;
        for kind in ["MessageEdited", "MessageDeleted"] {
            assert_eq!(bobs.next().await["__typename"], kind);
        }
        let (admin, _) = makes_bot(&ann, "Greeter", &["CONVERSATIONS"]).await;
        let own = admin.makes_group("Welcome", &[&bob]).await;
        admin.adds(&own, &[&ann]).await;
        assert_eq!(ann.last_seq(&own).await, 1);
    }

    async fn a_key_may_do_no_more_than_its_scopes_say(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (reader, _) = makes_bot(&ann, "Reader", &[]).await;
        let (writer, _) = makes_bot(&ann, "Writer", &["MESSAGES"]).await;
        let (admin, _) = makes_bot(&ann, "Admin", &["CONVERSATIONS"]).await;
        let room = ann.makes_group("Ops", &[&bob, &reader, &writer, &admin]).await;
        let sent = ann.sends(&room, "hi").await;
        let group = json!({ "input": { "kind": "GROUP", "memberIds": [bob.id], "title": "Mine" } });
        let create = "mutation($input: CreateConversationInput!) { createConversation(input: $input) { conversation { id } } }";
        let mark = json!({ "input": { "conversationId": room.id, "seq": sent.seq } });
        let typing = json!({ "input": { "conversationId": room.id, "typing": true } });
        let add = json!({ "input": { "conversationId": room.id, "userIds": [bob.id] } });
        let messages = [(SEND, send(&room)), (MARK_READ, mark), (SET_TYPING, typing)];
        let conversations = [(create, group), (ADD, add)];
        for (bot, may_send, may_make) in [(&reader, false, false), (&writer, true, false), (&admin, false, true)] {
            let all = messages.iter().map(|one| (one, may_send)).chain(conversations.iter().map(|one| (one, may_make)));
            for ((query, variables), may) in all {
                if may {
                    bot.asks(query, variables.clone()).await;
                } else {
                    assert_eq!(bot.is_refused(query, variables.clone()).await, "FORBIDDEN", "{query}");
                }
            }
            // All of them read.
            assert!(bot.last_seq(&room).await > 0);
            // What is about accounts, none does.
            for (query, input) in [
                ("mutation($input: UpdateProfileInput!) { updateProfile(input: $input) { viewer { user { id } } } }", json!({ "displayName": "Ann" })),
                ("mutation($input: ChangePasswordInput!) { changePassword(input: $input) { endedSessionCount } }", json!({ "newPassword": "another good one" })),
                ("mutation($input: SetPreferencesInput!) { setPreferences(input: $input) { viewer { user { id } } } }", json!({ "client": "x", "value": {} })),
                ("mutation($input: RequestCodeInput!) { requestCode(input: $input) { token } }", json!({ "email": "bot@example.com", "purpose": "ATTACH" })),
                (CREATE_BOT, json!({ "displayName": "Another" })),
                (CREATE_KEY, json!({ "botId": bot.id, "name": "more", "scopes": ["MESSAGES"] })),
            ] {
                let refused = bot.is_refused(query, json!({ "input": input })).await;
                let is_refused = ["FORBIDDEN", "NOT_FOUND"].contains(&refused.as_str());
                assert!(is_refused, "{query}: {refused}");
            }
            assert_eq!(bot.is_refused("mutation { revokeOtherSessions { sessionCount } }", json!({})).await, "FORBIDDEN");
        }
    }

    async fn a_key_is_shown_once_listed_and_ends_at_once(app) {
        let [ann, eve] = app.people(["Ann", "Eve"]).await;
        let (bot, id) = makes_bot(&ann, "Deploys", &["CONVERSATIONS", "MESSAGES"]).await;
        let room = ann.makes_group("Ops", &[&bot]).await;
        assert!(bot.token.starts_with("bck_") && bot.token.len() == 68, "{}", bot.token);
        bot.sends(&room, "hello").await;
        let list = async || ann.asks(KEYS, json!({ "bot": bot.id })).await["viewer"]["apiKeys"].clone();
        let keys = list().await;
        assert_eq!((&keys[0]["id"], &keys[0]["name"]), (&json!(id), &json!("deploys")));
        assert_eq!((&keys[0]["scopes"], &keys[0]["expiresAt"]), (&json!(["MESSAGES", "CONVERSATIONS"]), &Value::Null));
        assert!(!keys.to_string().contains(&bot.token));
        // Nobody else sees or ends it.
        assert_eq!(eve.is_refused(KEYS, json!({ "bot": bot.id })).await, "NOT_FOUND");
        let revoke = json!({ "input": { "apiKeyId": id } });
        assert_eq!(eve.is_refused(REVOKE_KEY, revoke.clone()).await, "NOT_FOUND");
        let more = json!({ "input": { "botId": bot.id, "name": "mine", "scopes": [] } });
        assert_eq!(eve.is_refused(CREATE_KEY, more).await, "NOT_FOUND");

        let stream = bot.follows(&room, None).await;
        let (other, secret) = makes_key(&ann, &bot.id, &[]).await;
        ann.asks(REVOKE_KEY, revoke.clone()).await;
        assert_eq!(stream.ends().await, Ended::Closed(4403));
        assert_eq!(bot.is_refused(SEND, send(&room)).await, "UNAUTHENTICATED");
        assert_eq!(ann.is_refused(REVOKE_KEY, revoke).await, "NOT_FOUND");
        assert_eq!(list().await[0]["id"], json!(other), "the other goes on");
        bot.by(&secret).last_seq(&room).await;
    }

    async fn a_key_ends_when_it_is_to(app) {
        let ann = app.person("Ann").await;
        let (bot, _) = makes_bot(&ann, "Deploys", &[]).await;
        let make = |at: &str| json!({ "input": { "botId": bot.id, "name": "x", "scopes": [], "expiresAt": at } });
        assert_eq!(ann.is_refused(CREATE_KEY, make("2020-01-01T00:00:00.000Z")).await, "BAD_USER_INPUT");
        let soon = in_future(app, Duration::from_secs(3_600));
        let made = ann.asks(CREATE_KEY, make(&soon)).await["createApiKey"].clone();
        assert_eq!(made["apiKey"]["expiresAt"], soon);
        let bot = bot.by(&made["secret"]);
        bot.asks("{ viewer { user { isBot } } }", json!({})).await;
        app.advance(Duration::from_secs(3_601));
        assert_eq!(bot.is_refused("{ viewer { user { isBot } } }", json!({})).await, "UNAUTHENTICATED");
    }

    async fn what_is_no_key_is_refused(app) {
        let ann = app.person("Ann").await;
        let (bot, _) = makes_bot(&ann, "Deploys", &[]).await;
        let (other, _) = makes_bot(&ann, "Other", &[]).await;
        let key = &bot.token;
        // The id of one with the secret of another; a letter changed; cut; and none at all.
        let crossed = format!("{}{}", &key[..26], &other.token[26..]);
        let flipped = key.replace(&key[40..41], if &key[40..41] == "A" { "B" } else { "A" });
        for bad in [&crossed, &flipped, &key[..67], &format!("{key}A"), "bck_", "bck_é"] {
            let refused = bot.by(&json!(bad)).is_refused("{ viewer { user { id } } }", json!({})).await;
            assert_eq!(refused, "UNAUTHENTICATED", "{bad}");
        }
        bot.asks("{ viewer { user { id } } }", json!({})).await;
        assert_eq!(app.runs_sql("SELECT count(*) FROM sessions WHERE key_hash IS NOT NULL").await, "2");
    }

    async fn bots_and_keys_are_as_many_as_there_may_be(app) {
        let ann = app.person("Ann").await;
        let create = |name: String| json!({ "input": { "displayName": name } });
        for n in 0..20 {
            ann.asks(CREATE_BOT, create(format!("Bot {n}"))).await;
        }
        assert_eq!(ann.is_refused(CREATE_BOT, create("One more".to_owned())).await, "CONFLICT");
        let bots = ann.asks("{ viewer { bots { id displayName } } }", json!({})).await;
        let bots = bots["viewer"]["bots"].as_array().expect("a list").clone();
        assert_eq!((bots.len(), &bots[0]["displayName"]), (20, &json!("Bot 0")));
        let bot = text(&bots[0]["id"]);
        for _ in 0..20 {
            makes_key(&ann, &bot, &[]).await;
        }
        let one_more = json!({ "input": { "botId": bot, "name": "x", "scopes": [] } });
        assert_eq!(ann.is_refused(CREATE_KEY, one_more).await, "CONFLICT");
        let taken = json!({ "input": { "displayName": "Bot", "username": "me" } });
        assert_eq!(app.person("Bob").await.is_refused(CREATE_BOT, taken).await, "BAD_USER_INPUT");
    }
}

/// An instant as GraphQL has it.
fn in_future(app: &App, from_now: Duration) -> String {
    backchannel_schema::rfc3339(app.clock.now().plus(from_now))
}
