//! To a stranger, what exists is like what does not: for every place where an id goes in.

mod probes;

use std::collections::BTreeSet;

use crate::audit::LOG as AUDIT;
use crate::bots::makes_bot;
use crate::join_requests::REQUEST as ASK_TO_JOIN;
use crate::reports::REPORT;
use crate::sessions::session_ids;
use crate::writing::forwarding::FORWARD;

use self::probes::{Probe, probes};
use super::*;
use crate::calls::HANG_UP;
use crate::harness::people::JOIN_ROOM;

on_both! {
    async fn to_a_stranger_what_exists_is_like_what_does_not(app) {
        let scene = Scene::set(app).await;
        let Scene { ann, bob, stranger, room, said, .. } = &scene;
        let own = stranger.makes_group("Own", &[]).await;
        let first = stranger.sends_with_key(&own, "hi", "key").await;
        let public = ann.makes(json!({ "kind": "ROOM", "memberIds": [], "slug": "public" })).await;
        let direct = ann.makes(json!({ "kind": "DIRECT", "memberIds": [bob.id] })).await;
        let over = text(&ann.calls(&direct).await["id"]);
        ann.does(HANG_UP, &over).await;
        let rings = text(&ann.calls(&direct).await["id"]);
        let gone = ann.sends(&public, "gone").await;
        ann.deletes(&gone).await;
        // One that the stranger was in, and what was said in it then.
        let past = ann.makes_group("Past", &[stranger]).await;
        let then = stranger.sends(&past, "then").await;
        ann.removes(&past, stranger).await;

        let conversations = [&room.id, &public.id, &direct.id, &past.id];
        let messages = [&said.id, &gone.id, &then.id];
        // A room is no secret, nor what is in it; taking part is for members.
        let secrets = [&room.id, &direct.id, &past.id, &said.id, &then.id];
        let calls = [&over, &rings];
        // Of others, and one of the stranger's own that has ended.
        let ended = stranger.signs_in_again().await;
        let mut sessions = session_ids(ann).await;
        sessions.extend(session_ids(bob).await);
        sessions.extend(session_ids(&ended).await.into_iter().take(1));
        ended.asks("mutation { signOut { ok } }", json!({})).await;
        let (bot, key) = makes_bot(ann, "Bot", &["MESSAGES"]).await;
        // A chat request that waits, and one that was accepted.
        let cleo = app.person("Cleo").await;
        let mut requests = Vec::new();
        for to in [&cleo, bob] {
            let request = ann.asks_for_chat(json!({ "userId": to.id })).await;
            requests.push(text(&request["id"]));
        }
        let template = ann.saves(room, "Mine").await;
        // An invitation, and a request to join by it.
        let invited = ann.invites(&public, json!({ "asksFirst": true })).await;
        let joins = text(&cleo.accepts(&invited.code).await["joinRequest"]["id"]);
        let mut probed = BTreeSet::new();
        for Probe { of, kind, query, variables } in probes(&scene, &own, &first) {
            probed.insert(of);
            let foreign = match kind {
                "cnv_" => conversations.to_vec(),
                "msg_" => messages.to_vec(),
                "cll_" => calls.to_vec(),
                "ses_" => sessions.iter().collect(),
                "key_" => vec![&key],
                "req_" => requests.iter().collect(),
                "tpl_" => vec![&template],
                "inv_" => vec![&invited.id],
                "jrq_" => vec![&joins],
                // People are no secret; that they are not in the stranger's room is.
                _ => vec![&ann.id, &bob.id, &bot.id],
            };
            let of_people = [
                "AddContactInput.userId",
                "CreateConversationInput.memberIds",
                "AddMembersInput.userIds",
                "Subscription.presenceChanged.userIds",
                "Subscription.profileChanged.userIds",
                "RequestChatInput.userId",
                "BlockUserInput.userId",
                "UnblockUserInput.userId",
                "ReportInput.userId",
                "TextEntityInput.userId",
                "BanMemberInput.userId",
                "UnbanMemberInput.userId",
            ];
            if of_people.contains(&of) {
                continue;
            }
            let nobodys = nothing(kind, 3);
            let expected = answer_to(stranger, query, &variables, &nobodys).await;
            // What is for operators alone does not even look at the id.
            let refused = if query == AUDIT { "FORBIDDEN" } else { "NOT_FOUND" };
            assert!(expected.contains(refused) || query == NODES, "{query}: {expected}");
            let looks = [CONVERSATION, NODE, NODES, FORWARD, REPORT, JOIN_ROOM, ASK_TO_JOIN].contains(&query);
            for id in foreign.into_iter().filter(|id| !looks || ["cnv_", "msg_"].iter().all(|kind| !id.starts_with(kind)) || secrets.contains(id)) {
                assert_eq!(answer_to(stranger, query, &variables, id).await, expected, "{query} {variables}");
            }
        }
        assert_eq!(probed, arguments_that_take_an_id(), "every argument that takes an id is probed");

        assert_eq!(stranger.last_seq(&own).await, first.seq, "nothing came of it");
        for room in [public, direct, past] {
            ann.removes_if_group(&room).await;
        }
        scene.finds_nothing_moved_but_lists().await;
    }
}

/// The whole answer, as text, with `id` in its place.
async fn answer_to(person: &Person, query: &str, variables: &Value, id: &str) -> String {
    let variables: Value =
        serde_json::from_str(&variables.to_string().replace('$', id)).expect("JSON");
    if query.starts_with("subscription") {
        return person
            .subscribes_in_vain(query, &variables)
            .await
            .to_string();
    }
    let answer = person.request(query, variables).await;
    format!("{} {:?}", answer.status, answer.body)
}

/// What the schema's definition says: arguments of fields and fields of inputs that are ids, or lists of them.
fn arguments_that_take_an_id() -> BTreeSet<&'static str> {
    // Leaked once a process, for names that can be compared with the probes'.
    let sdl: &'static str = Api::sdl().leak();
    let mut found = BTreeSet::new();
    let (mut block, mut field) = (("", ""), "");
    for line in sdl.lines() {
        let depth = line.bytes().take_while(|byte| *byte == b'\t').count();
        let line = line.trim();
        let words: Vec<&str> = line.split([' ', '(', ':']).collect();
        match (depth, block.0) {
            (0, _) if matches!(words[0], "type" | "input" | "interface") => {
                block = (words[0], words[1])
            }
            (0, _) => {}
            (1, "input") if line.contains(": ID") || line.contains(": [ID") => {
                found.insert(&*format!("{}.{}", block.1, words[0]).leak());
            }
            (1, _) => field = words[0],
            (2, "type") if line.contains(": ID") || line.contains(": [ID") => {
                found.insert(&*format!("{}.{field}.{}", block.1, words[0]).leak());
            }
            _ => {}
        }
    }
    found
}
