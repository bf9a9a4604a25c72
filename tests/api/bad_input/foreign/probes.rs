//! Every place where an id goes in.

use serde_json::{Value, json};

use std::time::Duration;

use backchannel_domain::clock::Clock;

use crate::audit::LOG as AUDIT;
use crate::bans::{BAN, UNBAN};
use crate::bots::{CREATE_KEY, KEYS, REVOKE_KEY};
use crate::contacts;
use crate::invitations::{INVITE, REVOKE as REVOKE_INVITATION};
use crate::join_requests::{
    APPROVE, DECLINE as DECLINE_JOIN, RECEIVED, REQUEST as ASK_TO_JOIN, WITHDRAW,
};
use crate::marked;
use crate::polls;
use crate::presence::WATCH;
use crate::profiles;
use crate::reactions;
use crate::reports::REPORT;
use crate::requests::{self, ACCEPT, CANCEL, REQUEST};
use crate::scheduled::{self, SCHEDULE};
use crate::sessions::{RENAME, REVOKE};
use crate::settings::{ARCHIVE, DELETE_CONVERSATION, RESTORE};
use crate::states::making;
use crate::templates;
use crate::writing::forwarding::FORWARD;
use crate::writing::threads;

use super::super::*;
use crate::blocks::{BLOCK, UNBLOCK};
use crate::calls::{ANSWER, CALL, DECLINE, HANG_UP, HISTORY, ICE, SAY, START, on_call, said};
use crate::harness::people::JOIN_ROOM;

/// A place of the API where an id goes in.
pub(super) struct Probe {
    /// Where, as `Type.field` or `Root.field.argument`.
    pub(super) of: &'static str,
    /// The prefix of the ids that go there.
    pub(super) kind: &'static str,
    pub(super) query: &'static str,
    /// The variables, with "$" where the id goes.
    pub(super) variables: Value,
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
pub(super) fn probes(scene: &Scene, own: &Room, first: &Sent) -> Vec<Probe> {
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
    for (of, query) in [
        ("JoinRoomInput.conversationId", JOIN_ROOM),
        ("RequestToJoinInput.conversationId", ASK_TO_JOIN),
    ] {
        probes.push(probe(
            of,
            "cnv_",
            query,
            input(json!({ "conversationId": "$" })),
        ));
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
