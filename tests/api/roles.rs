//! Roles: who gives them, and that there is always one owner.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::bots::makes_bot;
use crate::harness::people::{REMOVE, SEND, SET_ROLE};
use crate::harness::{Person, Room, on_both};

const ROLES: [&str; 3] = ["OWNER", "ADMIN", "MEMBER"];

impl Person {
    /// Everybody's role.
    async fn sees_roles(&self, room: &Room) -> Vec<(String, String)> {
        let query = "query($id: ID!) { conversation(id: $id) { members { nodes { role user { displayName } } } } }";
        let found = self.asks(query, json!({ "id": room.id })).await;
        let nodes = found["conversation"]["members"]["nodes"].as_array();
        let role = |node: &Value| {
            let name = node["user"]["displayName"].as_str().expect("a name");
            let role = node["role"].as_str().expect("a role");
            (name.to_owned(), role.to_owned())
        };
        let mut roles: Vec<_> = nodes.expect("a list").iter().map(role).collect();
        roles.sort();
        roles
    }
}

fn roles(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    let pair = |(name, role): &(&str, &str)| ((*name).to_owned(), (*role).to_owned());
    expected.iter().map(pair).collect()
}

fn set(room: &Room, whom: &Person, role: &str) -> Value {
    json!({ "input": { "conversationId": room.id, "userId": whom.id, "role": role } })
}

on_both! {
    async fn the_owner_makes_admins_and_hands_the_conversation_over(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let channel = ann.makes(json!({ "kind": "CHANNEL", "title": "News", "memberIds": [bob.id, cleo.id] })).await;
        let mut stream = cleo.follows(&channel, Some(0)).await;
        let send = json!({ "input": { "conversationId": channel.id, "text": "hi" } });
        assert_eq!(bob.is_refused(SEND, send.clone()).await, "FORBIDDEN");
        ann.sets_role(&channel, &bob, "ADMIN").await;
        // What there is already is no event.
        ann.sets_role(&channel, &bob, "ADMIN").await;
        ann.sets_role(&channel, &ann, "OWNER").await;
        bob.sends(&channel, "an admin writes").await;
        ann.sets_role(&channel, &bob, "OWNER").await;
        ann.sets_role(&channel, &ann, "MEMBER").await;
        assert_eq!(ann.is_refused(SEND, send).await, "FORBIDDEN");

        let events = stream.take(5).await;
        let told: Vec<_> = events.iter().map(|event| {
            let member = &event["member"];
            (event["__typename"].clone(), event["actor"]["id"].clone(), member["user"]["id"].clone())
        }).collect();
        let changed = |by: &Person, whom: &Person| (json!("MemberRoleChanged"), json!(by.id), json!(whom.id));
        assert_eq!(told, [
            changed(&ann, &bob),
            (json!("MessageSent"), json!(bob.id), Value::Null),
            changed(&ann, &bob),
            changed(&ann, &ann),
            changed(&ann, &ann),
        ]);
        assert_eq!(cleo.sees_roles(&channel).await, roles(&[("Ann", "MEMBER"), ("Bob", "OWNER"), ("Cleo", "MEMBER")]));
        // He inherits nothing: it is his.
        bob.removes(&channel, &ann).await;
        assert_eq!(ann.is_refused(SET_ROLE, set(&channel, &cleo, "ADMIN")).await, "NOT_FOUND");
        assert_eq!(bob.is_refused(SET_ROLE, set(&channel, &ann, "ADMIN")).await, "NOT_FOUND", "one who left");
    }

    async fn all_else_is_forbidden(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Room", &[&bob, &cleo]).await;
        ann.sets_role(&room, &bob, "ADMIN").await;
        let before = ann.last_seq(&room).await;
        for role in ROLES {
            for (actor, whom) in [(&bob, &ann), (&bob, &cleo), (&cleo, &ann), (&cleo, &bob)] {
                assert_eq!(actor.is_refused(SET_ROLE, set(&room, whom, role)).await, "FORBIDDEN", "{role}");
            }
        }
        for (actor, role) in [(&ann, "ADMIN"), (&ann, "MEMBER"), (&bob, "OWNER"), (&cleo, "OWNER"), (&cleo, "ADMIN")] {
            assert_eq!(actor.is_refused(SET_ROLE, set(&room, actor, role)).await, "FORBIDDEN", "{role}");
        }
        assert_eq!(ann.last_seq(&room).await, before, "a refusal takes no position");
        let direct = ann.makes_direct(&bob).await;
        for (actor, whom) in [(&ann, &bob), (&ann, &ann)] {
            assert_eq!(actor.is_refused(SET_ROLE, set(&direct, whom, "ADMIN")).await, "FORBIDDEN");
        }
        // An admin steps down, and is none then.
        bob.sets_role(&room, &bob, "MEMBER").await;
        let remove = json!({ "input": { "conversationId": room.id, "userId": cleo.id } });
        assert_eq!(bob.is_refused(REMOVE, remove).await, "FORBIDDEN");
    }

    async fn there_is_one_owner_whatever_happens_at_once(app) {
        let names = ["Ann", "Bob", "Cleo", "Dan"];
        let people: [Person; 4] = app.people(names).await;
        let [ann, bob, cleo, dan] = &people;
        let room = ann.makes_group("Room", &[bob, cleo, dan]).await;
        let mut stream = dan.follows(&room, Some(0)).await;
        for _ in 0..5 {
            // Everybody hands it to everybody; the owner leaves at the same time and comes back.
            let tries = people.iter().flat_map(|actor| {
                let room = &room;
                [bob, cleo].map(|whom| async move { actor.request(SET_ROLE, set(room, whom, "OWNER")).await; })
            });
            let leave = json!({ "input": { "conversationId": room.id, "userId": ann.id } });
            let leaves = async { ann.request(REMOVE, leave).await; };
            tokio::join!(join_all(tries), leaves);
            let owners = dan.sees_roles(&room).await;
            let owners: Vec<_> = owners.iter().filter(|(_, role)| role == "OWNER").collect();
            assert_eq!(owners.len(), 1, "{owners:?}");
            dan.adds(&room, &[ann]).await;
        }
        let last = dan.last_seq(&room).await;
        let seqs: Vec<_> = stream.take(usize::try_from(last).expect("it fits")).await.iter().map(|event| event["seq"].as_i64()).collect();
        assert_eq!(seqs, (1..=last).map(Some).collect::<Vec<_>>());
    }

    async fn a_bot_inherits_from_nobody_while_there_are_people(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let (bot, _) = makes_bot(&ann, "Helper", &["CONVERSATIONS"]).await;
        let room = ann.makes_group("Room", &[&bot, &bob]).await;
        ann.sets_role(&room, &bot, "ADMIN").await;
        let mut live = bob.follows(&room, Some(1)).await;
        ann.removes(&room, &ann).await;
        let member = live.take(2).await[1]["member"].clone();
        assert_eq!((&member["user"]["id"], &member["role"]), (&json!(bob.id), &json!("OWNER")));
        let mut live = bot.follows(&room, Some(3)).await;
        bob.removes(&room, &bob).await;
        assert_eq!(live.take(2).await[1]["member"]["user"]["id"], bot.id);
    }
}
