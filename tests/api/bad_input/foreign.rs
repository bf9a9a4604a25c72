//! To a stranger, what exists is like what does not: for every place where an id goes in.

use std::collections::BTreeSet;
use std::time::Duration;

use backchannel_domain::clock::Clock;

use crate::audit::LOG as AUDIT;
use crate::bans::{BAN, UNBAN};
use crate::bots::{CREATE_KEY, KEYS, REVOKE_KEY, makes_bot};
use crate::contacts;
use crate::invitations::{INVITE, REVOKE as REVOKE_INVITATION};
use crate::join_requests::{APPROVE, DECLINE as DECLINE_JOIN, RECEIVED, WITHDRAW};
use crate::marked;
use crate::polls;
use crate::presence::WATCH;
use crate::profiles;
use crate::reactions;
use crate::reports::REPORT;
use crate::requests::{self, ACCEPT, CANCEL, REQUEST};
use crate::scheduled::{self, SCHEDULE};
use crate::sessions::{RENAME, REVOKE, session_ids};
use crate::settings::{ARCHIVE, DELETE_CONVERSATION, RESTORE};
use crate::states::making;
use crate::templates;
use crate::writing::forwarding::FORWARD;
use crate::writing::threads;

use super::*;
use crate::blocks::{BLOCK, UNBLOCK};
use crate::calls::{ANSWER, CALL, DECLINE, HANG_UP, HISTORY, ICE, SAY, START, on_call, said};

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
            let looks = [CONVERSATION, NODE, NODES, FORWARD].contains(&query);
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

/// A place of the API where an id goes in.
struct Probe {
    /// Where, as `Type.field` or `Root.field.argument`.
    of: &'static str,
    /// The prefix of the ids that go there.
    kind: &'static str,
    query: &'static str,
    /// The variables, with "$" where the id goes.
    variables: Value,
}

fn probe(of: &'static str, kind: &'static str, query: &'static str, variables: Value) -> Probe {
    Probe {
        of,
        kind,
        query,
        variables,
    }
}

fn input(input: Value) -> Value {
    json!({ "input": input })
}

/// Every place, with everything else as right as a stranger can have it.
fn probes(scene: &Scene, own: &Room, first: &Sent) -> Vec<Probe> {
    let (ann, own) = (&scene.ann.id, &own.id);
    let stranger = &scene.stranger.id;
    let mut probes = vec![
        probe(
            "Query.conversation.id",
            "cnv_",
            CONVERSATION,
            json!({ "id": "$" }),
        ),
        probe(
            "Subscription.conversationEvents.conversationId",
            "cnv_",
            EVENTS,
            json!({ "id": "$" }),
        ),
        probe(
            "Subscription.conversationEvents.conversationId",
            "cnv_",
            EVENTS,
            json!({ "id": "$", "after": 0 }),
        ),
        probe(
            "Subscription.conversationEvents.conversationId",
            "cnv_",
            EVENTS,
            json!({ "id": "$", "after": 99 }),
        ),
        probe(
            "AddMembersInput.conversationId",
            "cnv_",
            ADD,
            input(json!({ "conversationId": "$", "userIds": [stranger] })),
        ),
        probe(
            "AddMembersInput.conversationId",
            "cnv_",
            ADD,
            input(json!({ "conversationId": "$", "userIds": [ann] })),
        ),
        probe(
            "AddMembersInput.conversationId",
            "cnv_",
            ADD,
            input(json!({ "conversationId": "$", "userIds": [] })),
        ),
        probe(
            "AddMembersInput.userIds",
            "usr_",
            ADD,
            input(json!({ "conversationId": own, "userIds": ["$"] })),
        ),
        probe(
            "CreateConversationInput.memberIds",
            "usr_",
            CREATE,
            input(json!({ "kind": "GROUP", "memberIds": ["$"] })),
        ),
        probe(
            "Subscription.presenceChanged.userIds",
            "usr_",
            WATCH,
            json!({ "ids": ["$"] }),
        ),
        probe(
            "Subscription.profileChanged.userIds",
            "usr_",
            profiles::WATCH,
            json!({ "ids": ["$"] }),
        ),
        probe(
            "RemoveMemberInput.conversationId",
            "cnv_",
            REMOVE,
            input(json!({ "conversationId": "$", "userId": ann })),
        ),
        probe(
            "RemoveMemberInput.conversationId",
            "cnv_",
            REMOVE,
            input(json!({ "conversationId": "$", "userId": stranger })),
        ),
        probe(
            "RemoveMemberInput.conversationId",
            "cnv_",
            REMOVE,
            input(json!({ "conversationId": "$", "userId": nothing("usr_", 5) })),
        ),
        probe(
            "RemoveMemberInput.userId",
            "usr_",
            REMOVE,
            input(json!({ "conversationId": own, "userId": "$" })),
        ),
        probe(
            "SendMessageInput.conversationId",
            "cnv_",
            SEND,
            input(json!({ "conversationId": "$", "text": "hi" })),
        ),
        probe(
            "SendMessageInput.conversationId",
            "cnv_",
            SEND,
            input(json!({ "conversationId": "$", "text": "hi", "clientMessageId": "new" })),
        ),
        // The stranger's own key, and one of Ann's.
        probe(
            "SendMessageInput.conversationId",
            "cnv_",
            SEND,
            input(json!({ "conversationId": "$", "text": "hi", "clientMessageId": "key" })),
        ),
        probe(
            "SendMessageInput.conversationId",
            "cnv_",
            SEND,
            input(json!({ "conversationId": "$", "text": "unmoved", "clientMessageId": "used" })),
        ),
        probe(
            "EditMessageInput.messageId",
            "msg_",
            EDIT,
            input(json!({ "messageId": "$", "text": "hi" })),
        ),
        probe(
            "EditMessageInput.messageId",
            "msg_",
            EDIT,
            input(json!({ "messageId": "$", "text": "unmoved" })),
        ),
        probe(
            "DeleteMessageInput.messageId",
            "msg_",
            DELETE,
            input(json!({ "messageId": "$" })),
        ),
    ];
    for (of, query) in [
        ("AddContactInput.userId", contacts::ADD),
        ("UpdateContactInput.userId", contacts::CHANGE),
        ("RemoveContactInput.userId", contacts::REMOVE),
    ] {
        probes.push(probe(of, "usr_", query, input(json!({ "userId": "$" }))));
    }
    for (of, query) in [
        ("AnswerCallInput.callId", ANSWER),
        ("DeclineCallInput.callId", DECLINE),
        ("HangUpInput.callId", HANG_UP),
    ] {
        probes.push(probe(of, "cll_", query, on_call("$")));
    }
    for (of, query) in [("Query.call.id", CALL), ("Query.iceServers.callId", ICE)] {
        probes.push(probe(of, "cll_", query, json!({ "id": "$" })));
    }
    let signal = said("$", "CANDIDATE", "x");
    probes.push(probe("SendCallSignalInput.callId", "cll_", SAY, signal));
    let start = input(json!({ "conversationId": "$", "kind": "AUDIO" }));
    probes.push(probe("StartCallInput.conversationId", "cnv_", START, start));
    let history = json!({ "conversation": "$" });
    let of = "Query.callHistory.conversationId";
    probes.push(probe(of, "cnv_", HISTORY, history));
    for (of, query) in [
        ("Subscription.receiptAdvanced.conversationId", RECEIPTS),
        ("Subscription.typingChanged.conversationId", TYPING),
    ] {
        probes.push(probe(of, "cnv_", query, json!({ "id": "$" })));
    }
    for typing in [true, false] {
        let variables = input(json!({ "conversationId": "$", "typing": typing }));
        let of = "SetTypingInput.conversationId";
        probes.push(probe(of, "cnv_", SET_TYPING, variables));
    }
    let rename = input(json!({ "sessionId": "$", "deviceName": "mine" }));
    probes.push(probe(
        "RenameSessionInput.sessionId",
        "ses_",
        RENAME,
        rename,
    ));
    let revoke = input(json!({ "sessionId": "$" }));
    probes.push(probe(
        "RevokeSessionInput.sessionId",
        "ses_",
        REVOKE,
        revoke,
    ));
    for (of, user) in [
        ("SetMemberRoleInput.conversationId", ann.as_str()),
        ("SetMemberRoleInput.conversationId", stranger),
    ] {
        let variables = json!({ "conversationId": "$", "userId": user, "role": "ADMIN" });
        probes.push(probe(of, "cnv_", SET_ROLE, input(variables)));
    }
    let role = json!({ "conversationId": own, "userId": "$", "role": "ADMIN" });
    let of = "SetMemberRoleInput.userId";
    probes.push(probe(of, "usr_", SET_ROLE, input(role)));
    for change in [json!({ "title": "hi" }), json!({})] {
        let mut variables = change;
        variables["conversationId"] = json!("$");
        let of = "UpdateConversationInput.conversationId";
        probes.push(probe(of, "cnv_", UPDATE, input(variables)));
    }
    let more = input(json!({ "botId": "$", "name": "mine", "scopes": [] }));
    probes.push(probe("CreateApiKeyInput.botId", "usr_", CREATE_KEY, more));
    let keys = json!({ "bot": "$" });
    probes.push(probe("Viewer.apiKeys.botId", "usr_", KEYS, keys));
    let revoke = input(json!({ "apiKeyId": "$" }));
    let of = "RevokeApiKeyInput.apiKeyId";
    probes.push(probe(of, "key_", REVOKE_KEY, revoke));
    for (of, variables) in [
        ("Query.auditLog.actorId", json!({ "actor": "$" })),
        ("Query.auditLog.subjectId", json!({ "subject": "$" })),
    ] {
        probes.push(probe(of, "usr_", AUDIT, variables));
    }
    for (of, query) in [
        ("AcceptChatRequestInput.requestId", ACCEPT),
        ("DeclineChatRequestInput.requestId", requests::DECLINE),
        ("CancelChatRequestInput.requestId", CANCEL),
    ] {
        let variables = input(json!({ "requestId": "$" }));
        probes.push(probe(of, "req_", query, variables));
    }
    for (of, query) in [
        ("RequestChatInput.userId", REQUEST),
        ("BlockUserInput.userId", BLOCK),
        ("UnblockUserInput.userId", UNBLOCK),
    ] {
        probes.push(probe(of, "usr_", query, input(json!({ "userId": "$" }))));
    }
    for (of, field, kind) in [
        ("ReportInput.userId", "userId", "usr_"),
        ("ReportInput.messageId", "messageId", "msg_"),
    ] {
        let variables = input(json!({ field: "$", "reason": "SPAM" }));
        probes.push(probe(of, kind, REPORT, variables));
    }
    probes.extend(of_writing(own, &first.id));
    for mutation in [
        "hideConversation",
        "showConversation",
        "muteConversation",
        "unmuteConversation",
        "pinConversation",
        "unpinConversation",
        "markUnread",
        "setDraft",
    ] {
        let more = match mutation {
            "muteConversation" => json!({ "until": "2099-01-01T00:00:00Z" }),
            "setDraft" => json!({ "text": "hi" }),
            _ => json!({}),
        };
        let of_nobody = Room { id: "$".to_owned() };
        let (query, variables) = making(&of_nobody, mutation, more);
        let name = format!("{}{}", mutation[..1].to_uppercase(), &mutation[1..]);
        // Leaked once a process, like the names that they are compared with.
        let of = format!("{name}Input.conversationId").leak();
        probes.push(probe(of, "cnv_", query.leak(), variables));
    }
    let save = input(json!({ "name": "mine", "conversationId": "$" }));
    let of = "SaveTemplateInput.conversationId";
    probes.push(probe(of, "cnv_", templates::SAVE, save));
    let delete = input(json!({ "templateId": "$" }));
    let of = "DeleteTemplateInput.templateId";
    probes.push(probe(of, "tpl_", templates::DELETE, delete));
    let like = input(json!({ "kind": "GROUP", "memberIds": [], "templateId": "$" }));
    let of = "CreateConversationInput.templateId";
    probes.push(probe(of, "tpl_", CREATE, like));
    for (of, query) in [
        ("PinMessageInput.messageId", marked::PIN),
        ("UnpinMessageInput.messageId", marked::UNPIN),
        ("StarMessageInput.messageId", marked::STAR),
        ("UnstarMessageInput.messageId", marked::UNSTAR),
        ("HideMessageInput.messageId", marked::HIDE),
        ("ClosePollInput.messageId", polls::CLOSE),
    ] {
        probes.push(probe(of, "msg_", query, input(json!({ "messageId": "$" }))));
    }
    for (of, query) in [
        ("AddReactionInput.messageId", reactions::ADD),
        ("RemoveReactionInput.messageId", reactions::REMOVE),
    ] {
        let variables = input(json!({ "messageId": "$", "emoji": "👍" }));
        probes.push(probe(of, "msg_", query, variables));
    }
    for options in [json!([]), json!([1]), json!([0])] {
        let variables = input(json!({ "messageId": "$", "options": options }));
        let of = "VotePollInput.messageId";
        probes.push(probe(of, "msg_", polls::VOTE, variables));
    }
    let asked = json!({ "conversationId": "$", "question": "hi", "options": ["a", "b"] });
    let of = "CreatePollInput.conversationId";
    probes.push(probe(of, "cnv_", polls::ASK, input(asked)));
    let of = "Viewer.starredMessages.conversationId";
    let starred = json!({ "conversation": "$" });
    probes.push(probe(of, "cnv_", marked::STARRED, starred));
    for (of, query) in [
        ("ArchiveConversationInput.conversationId", ARCHIVE),
        ("RestoreConversationInput.conversationId", RESTORE),
        (
            "DeleteConversationInput.conversationId",
            DELETE_CONVERSATION,
        ),
        ("CreateInvitationInput.conversationId", INVITE),
    ] {
        let variables = input(json!({ "conversationId": "$" }));
        probes.push(probe(of, "cnv_", query, variables));
    }
    for (of, whom, query) in [
        (
            "BanMemberInput.conversationId",
            "BanMemberInput.userId",
            BAN,
        ),
        (
            "UnbanMemberInput.conversationId",
            "UnbanMemberInput.userId",
            UNBAN,
        ),
    ] {
        for user in [ann.as_str(), stranger] {
            let variables = input(json!({ "conversationId": "$", "userId": user }));
            probes.push(probe(of, "cnv_", query, variables));
        }
        let variables = input(json!({ "conversationId": own, "userId": "$" }));
        probes.push(probe(whom, "usr_", query, variables));
    }
    let revoke = input(json!({ "invitationId": "$" }));
    let of = "RevokeInvitationInput.invitationId";
    probes.push(probe(of, "inv_", REVOKE_INVITATION, revoke));
    for (of, query) in [
        ("ApproveJoinRequestInput.joinRequestId", APPROVE),
        ("DeclineJoinRequestInput.joinRequestId", DECLINE_JOIN),
        ("WithdrawJoinRequestInput.joinRequestId", WITHDRAW),
    ] {
        let variables = input(json!({ "joinRequestId": "$" }));
        probes.push(probe(of, "jrq_", query, variables));
    }
    let of = "Subscription.joinRequestReceived.conversationId";
    probes.push(probe(of, "cnv_", RECEIVED, json!({ "id": "$" })));
    for kind in [
        "cnv_", "msg_", "cll_", "ses_", "key_", "req_", "inv_", "jrq_", "tpl_",
    ] {
        probes.push(probe("Query.node.id", kind, NODE, json!({ "id": "$" })));
        probes.push(probe(
            "Query.nodes.ids",
            kind,
            NODES,
            json!({ "ids": ["$", "$"] }),
        ));
    }
    for query in [MARK_READ, MARK_DELIVERED] {
        for seq in [0, 1, 99, -1] {
            let variables = input(json!({ "conversationId": "$", "seq": seq }));
            probes.push(probe("MarkInput.conversationId", "cnv_", query, variables));
        }
    }
    probes
}

/// What messages refer to, and those that are sent later.
fn of_writing(own: &str, first: &str) -> Vec<Probe> {
    let tomorrow = Clock::default().now().plus(Duration::from_hours(24));
    let soon = scheduled::rfc3339(tomorrow.0);
    let here = |field: &str| json!({ "conversationId": own, "text": "hi", field: "$" });
    let later = |field: &str| {
        let mut message = here(field);
        message["sendAt"] = json!(soon);
        message
    };
    let there = json!({ "conversationId": "$", "text": "hi", "sendAt": soon });
    let mention = json!([{ "kind": "MENTION", "offset": 0, "length": 1, "userId": "$" }]);
    let mentions = json!({ "conversationId": own, "text": "hi", "entities": mention });
    vec![
        probe(
            "SendMessageInput.replyToId",
            "msg_",
            SEND,
            input(here("replyToId")),
        ),
        probe(
            "SendMessageInput.threadId",
            "msg_",
            SEND,
            input(here("threadId")),
        ),
        probe("TextEntityInput.userId", "usr_", SEND, input(mentions)),
        probe(
            "ForwardMessageInput.messageId",
            "msg_",
            FORWARD,
            input(json!({ "messageId": "$", "conversationId": own })),
        ),
        probe(
            "ForwardMessageInput.conversationId",
            "cnv_",
            FORWARD,
            input(json!({ "messageId": first, "conversationId": "$" })),
        ),
        probe(
            "MarkThreadReadInput.messageId",
            "msg_",
            threads::MARK,
            input(json!({ "messageId": "$", "seq": 1 })),
        ),
        probe(
            "ScheduleMessageInput.conversationId",
            "cnv_",
            SCHEDULE,
            input(there),
        ),
        probe(
            "ScheduleMessageInput.replyToId",
            "msg_",
            SCHEDULE,
            input(later("replyToId")),
        ),
        probe(
            "ScheduleMessageInput.threadId",
            "msg_",
            SCHEDULE,
            input(later("threadId")),
        ),
        probe(
            "EditScheduledMessageInput.scheduledMessageId",
            "msg_",
            scheduled::EDIT,
            input(json!({ "scheduledMessageId": "$", "text": "hi" })),
        ),
        probe(
            "CancelScheduledMessageInput.scheduledMessageId",
            "msg_",
            scheduled::CANCEL,
            input(json!({ "scheduledMessageId": "$" })),
        ),
        probe(
            "Viewer.scheduledMessages.conversationId",
            "cnv_",
            scheduled::LIST,
            json!({ "conversation": "$" }),
        ),
    ]
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
