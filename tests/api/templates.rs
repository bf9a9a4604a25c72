//! Conversations that are saved, to make others like them.

use serde_json::json;

use crate::harness::people::text;
use crate::harness::{Person, Room, on_both};

pub(crate) const SAVE: &str = "mutation($input: SaveTemplateInput!) { saveTemplate(input: $input) {
    template { id name kind title description avatarUrl tags memberCount }
} }";
pub(crate) const DELETE: &str =
    "mutation($input: DeleteTemplateInput!) { deleteTemplate(input: $input) { ok } }";
pub(crate) const LIST: &str =
    "query($first: Int, $after: String, $last: Int, $before: String) { viewer {
    templates(first: $first, after: $after, last: $last, before: $before) {
        nodes { id name } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
} }";
const CREATE: &str =
    "mutation($input: CreateConversationInput!) { createConversation(input: $input) {
    conversation { id kind title description avatarUrl tags memberCount }
} }";

impl Person {
    /// Saves a conversation; answers the template's id.
    pub(crate) async fn saves(&self, room: &Room, name: &str) -> String {
        let input = json!({ "name": name, "conversationId": room.id });
        let saved = self.asks(SAVE, json!({ "input": input })).await;
        text(&saved["saveTemplate"]["template"]["id"])
    }

    async fn has_templates(&self) -> Vec<String> {
        let found = self.asks(LIST, json!({})).await;
        let nodes = found["viewer"]["templates"]["nodes"].as_array();
        let nodes = nodes.expect("a list").iter();
        nodes.map(|node| text(&node["name"])).collect()
    }
}

on_both! {
    async fn a_conversation_is_made_like_one_that_was_saved(app) {
        let [ann, bob, cleo, eve] = app.people(["Ann", "Bob", "Cleo", "Eve"]).await;
        let room = ann.makes_group("Retro", &[&bob]).await;
        let more = json!({
            "description": "What went well", "avatarUrl": "https://example.com/r.png", "tags": ["team"],
            "settings": { "onlyAdminsSend": true, "retentionSeconds": 86_400 },
        });
        ann.updates(&room, more).await;
        let input = json!({ "name": "Ours", "conversationId": room.id, "withMembers": true });
        let saved = ann.asks(SAVE, json!({ "input": input })).await["saveTemplate"]["template"].clone();
        let id = saved["id"].clone();
        assert_eq!(saved, json!({
            "id": id, "name": "Ours", "kind": "GROUP", "title": "Retro", "description": "What went well",
            "avatarUrl": "https://example.com/r.png", "tags": ["team"], "memberCount": 1,
        }));
        // What becomes of the conversation does not matter.
        ann.updates(&room, json!({ "title": "Other", "tags": [] })).await;
        let like = json!({ "kind": "GROUP", "memberIds": [cleo.id, bob.id], "templateId": id });
        let mut cursor = bob.event_cursor().await;
        let made = ann.asks(CREATE, json!({ "input": like })).await["createConversation"]["conversation"].clone();
        assert_eq!(made, json!({
            "id": made["id"], "kind": "GROUP", "title": "Retro", "description": "What went well",
            "avatarUrl": "https://example.com/r.png", "tags": ["team"], "memberCount": 3,
        }));
        let new = Room { id: text(&made["id"]) };
        ann.sends(&new, "hi").await;
        let send = json!({ "input": { "conversationId": new.id, "text": "me too" } });
        assert_eq!(bob.is_refused(crate::harness::people::SEND, send).await, "FORBIDDEN", "it is set alike");
        let query = "query($id: ID!) { conversation(id: $id) { settings { onlyAdminsSend retentionSeconds } } }";
        let set = ann.asks(query, json!({ "id": new.id })).await["conversation"]["settings"].clone();
        assert_eq!(set, json!({ "onlyAdminsSend": true, "retentionSeconds": 86_400 }));
        assert_eq!(app.runs_sql("SELECT count(*) FROM retentions").await, "2");
        let mut live = bob.follows_all(Some(&cursor)).await;
        (_, cursor) = live.next().await;
        assert!(!cursor.is_empty());
        // What is given goes before what was saved.
        let other = json!({ "kind": "GROUP", "memberIds": [], "title": "Mine", "tags": [], "templateId": id });
        let made = ann.asks(CREATE, json!({ "input": other })).await["createConversation"]["conversation"].clone();
        assert_eq!((&made["title"], &made["tags"]), (&json!("Mine"), &json!([])));
        let wrong = json!({ "kind": "ROOM", "memberIds": [], "templateId": id });
        assert_eq!(ann.is_refused_with(CREATE, json!({ "input": wrong })).await, json!({ "code": "BAD_USER_INPUT", "field": "kind" }));
        let foreign = json!({ "kind": "GROUP", "memberIds": [], "templateId": id });
        assert_eq!(eve.is_refused(CREATE, json!({ "input": foreign })).await, "NOT_FOUND");
        let direct = ann.makes_direct(&bob).await;
        let input = json!({ "name": "Two", "conversationId": direct.id });
        assert_eq!(ann.is_refused(SAVE, json!({ "input": input })).await, "BAD_USER_INPUT");
    }

    async fn templates_are_listed_the_newest_first_and_fifty_at_most(app) {
        let ann = app.person("Ann").await;
        let room = ann.makes_group("Room", &[]).await;
        let mut ids = Vec::new();
        for n in 0..50 {
            ids.push(ann.saves(&room, &format!("{n}")).await);
        }
        let input = json!({ "name": "one more", "conversationId": room.id });
        assert_eq!(ann.is_refused(SAVE, json!({ "input": input.clone() })).await, "CONFLICT");
        let delete = json!({ "input": { "templateId": ids[10] } });
        ann.asks(DELETE, delete.clone()).await;
        assert_eq!(ann.is_refused(DELETE, delete).await, "NOT_FOUND");
        ann.asks(SAVE, json!({ "input": input })).await;
        let all = ann.has_templates().await;
        assert_eq!((all.len(), all[0].as_str(), all[1].as_str(), all[49].as_str()), (50, "one more", "49", "0"));
        let page = ann.asks(LIST, json!({ "first": 2 })).await["viewer"]["templates"].clone();
        assert_eq!(page["pageInfo"]["hasNextPage"], true);
        let next = json!({ "first": 2, "after": page["pageInfo"]["endCursor"] });
        let page = ann.asks(LIST, next).await["viewer"]["templates"].clone();
        assert_eq!(page["nodes"][0]["name"], "48");
        let before = json!({ "last": 1, "before": page["pageInfo"]["startCursor"] });
        let page = ann.asks(LIST, before).await["viewer"]["templates"].clone();
        assert_eq!(page["nodes"][0]["name"], "49");
        let node = "query($id: ID!) { node(id: $id) { id ... on Template { name } } }";
        assert_eq!(ann.asks(node, json!({ "id": ids[0] })).await["node"]["name"], "0");
    }
}
