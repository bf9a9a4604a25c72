//! What is attempted, and what it needs.

use serde_json::{Value, json};

use crate::bans::{BAN, BANS, UNBAN};
use crate::calls::START;
use crate::harness::Person;
use crate::harness::people::{
    ADD, DELETE, EDIT, JOIN_ROOM, REMOVE, SEND, SET_ROLE, Sent, UPDATE, text,
};
use crate::invitations::{ACCEPT, INVITATIONS, INVITE, REVOKE};
use crate::join_requests::{APPROVE, REQUEST, WAITING};
use crate::marked::{HIDE, PIN, STAR, UNPIN};
use crate::polls::{self, ASK, CLOSE, VOTE, poll};
use crate::reactions;
use crate::reports::REPORT;
use crate::scheduled::{SCHEDULE, in_seconds};
use crate::settings::{ARCHIVE, DELETE_CONVERSATION, RESTORE};
use crate::templates::SAVE;
use crate::writing::forwarding::FORWARD;
use crate::writing::threads::MARK;

use super::{Cast, Scene};

const READ: &str = "query($id: ID!) { conversation(id: $id) { messages { nodes { text } } } }";

#[derive(Clone, Copy)]
pub(super) enum Act {
    Read,
    Send,
    Reply,
    Forward,
    Schedule,
    MentionEveryone,
    EditOwn,
    EditOfOthers,
    DeleteOwn,
    DeleteOfOthers,
    ReadThread,
    React,
    TakeReactionBack,
    Pin,
    Unpin,
    AskPoll,
    Vote,
    TakeVoteBack,
    CloseOwnPoll,
    ClosePollOfOthers,
    Star,
    Hide,
    Report,
    Call,
    Rename,
    Settings,
    Retention,
    SaveTemplate,
    AddMember,
    RemoveMember,
    RemoveAdmin,
    RemoveOwner,
    Leave,
    MakeAdmin,
    StepDown,
    HandOver,
    BanMember,
    BanAdmin,
    BanStranger,
    Unban,
    SeeBans,
    Invite,
    InviteAdmin,
    SeeInvitations,
    RevokeOwn,
    RevokeOfOthers,
    Accept,
    Join,
    AskToJoin,
    SeeRequests,
    Approve,
    Archive,
    Restore,
    Delete,
}

/// What comes between the preparation and the attempt.
#[derive(Clone, Copy)]
pub(super) enum How {
    Plainly,
    Archived,
    /// By one who was an admin until then.
    Demoted,
    Set(&'static str, bool),
}

impl How {
    pub(super) fn words(self) -> Option<String> {
        match self {
            Self::Plainly => None,
            Self::Archived => Some("archived".to_owned()),
            Self::Demoted => Some("once an ADMIN".to_owned()),
            Self::Set(setting, true) => Some(format!("`{setting}`")),
            Self::Set(setting, false) => Some(format!("not `{setting}`")),
        }
    }
}

const ONLY_ADMINS_SEND: How = How::Set("onlyAdminsSend", true);
const ONLY_ADMINS_ADD: How = How::Set("onlyAdminsAdd", true);
const BY_REQUEST: How = How::Set("joinsByRequest", true);
const NO_REACTIONS: How = How::Set("allowsReactions", false);

type Attempt = (Act, How, &'static str);

const fn plainly(act: Act, name: &'static str) -> Attempt {
    (act, How::Plainly, name)
}

pub(super) const ACTS: [Attempt; 107] = [
    plainly(Act::Read, "read"),
    plainly(Act::Send, "send a message"),
    plainly(Act::Reply, "reply in a thread"),
    plainly(Act::Forward, "forward a message to it"),
    plainly(Act::Schedule, "schedule a message"),
    plainly(Act::MentionEveryone, "mention everyone"),
    plainly(Act::EditOwn, "edit one's own message"),
    plainly(Act::EditOfOthers, "edit a message of another"),
    plainly(Act::DeleteOwn, "delete one's own message"),
    plainly(Act::DeleteOfOthers, "delete a message of another"),
    plainly(Act::ReadThread, "mark a thread as read"),
    plainly(Act::React, "react to a message"),
    plainly(Act::TakeReactionBack, "take a reaction back"),
    plainly(Act::Pin, "pin a message"),
    plainly(Act::Unpin, "unpin a message"),
    plainly(Act::AskPoll, "ask in a poll"),
    plainly(Act::Vote, "vote"),
    plainly(Act::TakeVoteBack, "take a vote back"),
    plainly(Act::CloseOwnPoll, "close one's own poll"),
    plainly(Act::ClosePollOfOthers, "close a poll of another"),
    plainly(Act::Star, "star a message"),
    plainly(Act::Hide, "hide a message for oneself"),
    plainly(Act::Report, "report a message"),
    plainly(Act::Call, "start a call"),
    plainly(Act::Rename, "change title, description, picture"),
    plainly(Act::Settings, "change settings"),
    plainly(Act::Retention, "set how long messages are kept"),
    plainly(Act::SaveTemplate, "save it as a template"),
    plainly(Act::AddMember, "add a member"),
    plainly(Act::RemoveMember, "remove a MEMBER"),
    plainly(Act::RemoveAdmin, "remove an ADMIN"),
    plainly(Act::RemoveOwner, "remove the OWNER"),
    plainly(Act::Leave, "leave"),
    plainly(Act::MakeAdmin, "make a MEMBER an ADMIN"),
    plainly(Act::StepDown, "become a MEMBER"),
    plainly(Act::HandOver, "hand the conversation over"),
    plainly(Act::BanMember, "ban a MEMBER"),
    plainly(Act::BanAdmin, "ban an ADMIN"),
    plainly(Act::BanStranger, "ban one who is no member"),
    plainly(Act::Unban, "lift a ban"),
    plainly(Act::SeeBans, "see who is banned"),
    plainly(Act::Invite, "make an invitation"),
    plainly(Act::InviteAdmin, "make an invitation for an ADMIN"),
    plainly(Act::SeeInvitations, "see the invitations"),
    plainly(Act::RevokeOwn, "revoke one's own invitation"),
    plainly(Act::RevokeOfOthers, "revoke an invitation of another"),
    plainly(Act::Accept, "come in by an invitation"),
    plainly(Act::Join, "come in by oneself"),
    plainly(Act::SeeRequests, "see who asks to join"),
    plainly(Act::Approve, "approve who asks to join"),
    plainly(Act::Archive, "archive"),
    plainly(Act::Delete, "delete the conversation"),
    (Act::Read, How::Archived, "read"),
    (Act::Send, How::Archived, "send a message"),
    (Act::Forward, How::Archived, "forward a message to it"),
    (Act::Schedule, How::Archived, "schedule a message"),
    (Act::EditOwn, How::Archived, "edit one's own message"),
    (Act::DeleteOwn, How::Archived, "delete one's own message"),
    (Act::React, How::Archived, "react to a message"),
    (Act::TakeReactionBack, How::Archived, "take a reaction back"),
    (Act::Pin, How::Archived, "pin a message"),
    (Act::Unpin, How::Archived, "unpin a message"),
    (Act::AskPoll, How::Archived, "ask in a poll"),
    (Act::Vote, How::Archived, "vote"),
    (Act::TakeVoteBack, How::Archived, "take a vote back"),
    (Act::CloseOwnPoll, How::Archived, "close one's own poll"),
    (Act::Star, How::Archived, "star a message"),
    (
        Act::Rename,
        How::Archived,
        "change title, description, picture",
    ),
    (Act::Settings, How::Archived, "change settings"),
    (Act::SaveTemplate, How::Archived, "save it as a template"),
    (Act::AddMember, How::Archived, "add a member"),
    (Act::RemoveMember, How::Archived, "remove a MEMBER"),
    (Act::Leave, How::Archived, "leave"),
    (Act::MakeAdmin, How::Archived, "make a MEMBER an ADMIN"),
    (Act::BanMember, How::Archived, "ban a MEMBER"),
    (Act::Unban, How::Archived, "lift a ban"),
    (Act::Invite, How::Archived, "make an invitation"),
    (Act::SeeInvitations, How::Archived, "see the invitations"),
    (Act::RevokeOwn, How::Archived, "revoke one's own invitation"),
    (Act::Accept, How::Archived, "come in by an invitation"),
    (Act::Join, How::Archived, "come in by oneself"),
    (Act::Approve, How::Archived, "approve who asks to join"),
    (Act::Restore, How::Archived, "restore"),
    (Act::Delete, How::Archived, "delete the conversation"),
    (Act::Send, ONLY_ADMINS_SEND, "send a message"),
    (Act::Reply, ONLY_ADMINS_SEND, "reply in a thread"),
    (Act::Forward, ONLY_ADMINS_SEND, "forward a message to it"),
    (Act::Schedule, ONLY_ADMINS_SEND, "schedule a message"),
    (Act::EditOwn, ONLY_ADMINS_SEND, "edit one's own message"),
    (Act::DeleteOwn, ONLY_ADMINS_SEND, "delete one's own message"),
    (Act::React, ONLY_ADMINS_SEND, "react to a message"),
    (Act::AskPoll, ONLY_ADMINS_SEND, "ask in a poll"),
    (Act::Vote, ONLY_ADMINS_SEND, "vote"),
    (Act::AddMember, ONLY_ADMINS_ADD, "add a member"),
    (Act::Invite, ONLY_ADMINS_ADD, "make an invitation"),
    (
        Act::RevokeOwn,
        ONLY_ADMINS_ADD,
        "revoke one's own invitation",
    ),
    (Act::AddMember, BY_REQUEST, "add a member"),
    (Act::Invite, BY_REQUEST, "make an invitation"),
    (Act::Join, BY_REQUEST, "come in by oneself"),
    (Act::AskToJoin, BY_REQUEST, "ask to join"),
    (Act::React, NO_REACTIONS, "react to a message"),
    (Act::TakeReactionBack, NO_REACTIONS, "take a reaction back"),
    (Act::EditOwn, How::Demoted, "edit one's own message"),
    (Act::DeleteOwn, How::Demoted, "delete one's own message"),
    (Act::CloseOwnPoll, How::Demoted, "close one's own poll"),
    (Act::RevokeOwn, How::Demoted, "revoke one's own invitation"),
    (Act::Pin, How::Demoted, "pin a message"),
];

impl Scene<'_> {
    /// Prepares the attempt, and answers what is asked then; none where there is no such thing.
    pub(super) async fn prepares(
        &self,
        act: Act,
        how: How,
        actor: &Person,
    ) -> Option<(&'static str, Value)> {
        let Cast { owner, member, .. } = self.cast;
        if let How::Demoted = how {
            let is_member = self.unless_direct(actor)?.id == member.id;
            is_member.then_some(())?;
            owner.sets_role(&self.room, actor, "ADMIN").await;
        }
        let attempt = self.attempt(act, actor).await?;
        match how {
            How::Plainly => {}
            How::Archived => self.is_archived().await?,
            How::Demoted => {
                owner.sets_role(&self.room, actor, "MEMBER").await;
            }
            How::Set(setting, value) => {
                self.unless_direct(owner)?;
                let settings = json!({ "settings": { setting: value } });
                owner.updates(&self.room, settings).await;
            }
        }
        Some(attempt)
    }
    async fn attempt(&self, act: Act, actor: &Person) -> Option<(&'static str, Value)> {
        let Cast {
            owner,
            other,
            other_admin,
            stranger,
            asker,
            banned,
            ..
        } = self.cast;
        let id = &self.room.id;
        let here = |input: Value| {
            let mut input = input;
            input["conversationId"] = json!(id);
            json!({ "input": input })
        };
        let message = |id: String| json!({ "input": { "messageId": id } });
        let whom = |person: &Person| here(json!({ "userId": person.id }));
        let role = |person: &Person, role: &str| here(json!({ "userId": person.id, "role": role }));
        let edit = |id: String| json!({ "input": { "messageId": id, "text": "new" } });
        let emoji = |id: String| json!({ "input": { "messageId": id, "emoji": "👍" } });
        Some(match act {
            Act::Read => (READ, json!({ "id": id })),
            Act::Send => (SEND, here(json!({ "text": "hi" }))),
            Act::Reply => {
                let root = self.of_another(actor).await;
                (SEND, here(json!({ "text": "hi", "threadId": root })))
            }
            Act::Forward => {
                let elsewhere = actor.makes_group("Elsewhere", &[]).await;
                let said = actor.sends(&elsewhere, "said elsewhere").await;
                (FORWARD, here(json!({ "messageId": said.id })))
            }
            Act::Schedule => {
                let at = in_seconds(self.app, 3_600).await;
                (SCHEDULE, here(json!({ "text": "later", "sendAt": at })))
            }
            Act::MentionEveryone => {
                let mention = json!({ "kind": "MENTION_EVERYONE", "offset": 0, "length": 4 });
                (SEND, here(json!({ "text": "@all", "entities": [mention] })))
            }
            Act::EditOwn => (EDIT, edit(self.own(actor).await?)),
            Act::EditOfOthers => (EDIT, edit(self.of_another(actor).await)),
            Act::DeleteOwn => (DELETE, message(self.own(actor).await?)),
            Act::DeleteOfOthers => (DELETE, message(self.of_another(actor).await)),
            Act::ReadThread => {
                let root = self.of_another(actor).await;
                let reply = json!({ "text": "a reply", "threadId": root });
                let seq = self.another(actor).writes(&self.room, reply).await.seq;
                (MARK, json!({ "input": { "messageId": root, "seq": seq } }))
            }
            Act::React => (reactions::ADD, emoji(self.of_another(actor).await)),
            Act::TakeReactionBack => {
                let given = emoji(self.of_another(actor).await);
                actor.request(reactions::ADD, given.clone()).await;
                (reactions::REMOVE, given)
            }
            Act::Pin => (PIN, message(self.of_another(actor).await)),
            Act::Unpin => {
                let pinned = message(self.of_another(actor).await);
                self.another(actor).asks(PIN, pinned.clone()).await;
                (UNPIN, pinned)
            }
            Act::AskPoll => (ASK, here(poll(&["a", "b"]))),
            Act::Vote => (VOTE, self.vote(actor, &[1]).await),
            Act::TakeVoteBack => {
                let vote = self.vote(actor, &[1]).await;
                actor.request(VOTE, vote.clone()).await;
                let id = text(&vote["input"]["messageId"]);
                (VOTE, json!({ "input": { "messageId": id, "options": [] } }))
            }
            Act::CloseOwnPoll => {
                let asked = actor.request(ASK, here(poll(&["a", "b"]))).await.json();
                let asked = &asked["data"]["createPoll"]["message"]["id"];
                (CLOSE, message(asked.as_str()?.to_owned()))
            }
            Act::ClosePollOfOthers => {
                let vote = self.vote(actor, &[]).await;
                (CLOSE, message(text(&vote["input"]["messageId"])))
            }
            Act::Star => (STAR, message(self.of_another(actor).await)),
            Act::Hide => (HIDE, message(self.of_another(actor).await)),
            Act::Report => {
                let said = self.of_another(actor).await;
                (
                    REPORT,
                    json!({ "input": { "messageId": said, "reason": "SPAM" } }),
                )
            }
            Act::Call => (START, here(json!({ "kind": "AUDIO" }))),
            Act::Rename => (UPDATE, here(json!({ "title": "New" }))),
            Act::Settings => (UPDATE, here(json!({ "settings": { "showsEdits": false } }))),
            Act::Retention => (
                UPDATE,
                here(json!({ "settings": { "retentionSeconds": 86_400 } })),
            ),
            Act::SaveTemplate => (SAVE, here(json!({ "name": "Saved" }))),
            Act::AddMember => (ADD, here(json!({ "userIds": [stranger.id] }))),
            Act::RemoveMember => (REMOVE, whom(other)),
            Act::RemoveAdmin => (REMOVE, whom(self.unless_direct(other_admin)?)),
            Act::RemoveOwner => {
                let owner = self.unless_direct(owner)?;
                (owner.id != actor.id).then_some((REMOVE, whom(owner)))?
            }
            Act::Leave => (REMOVE, whom(actor)),
            Act::MakeAdmin => (SET_ROLE, role(other, "ADMIN")),
            Act::StepDown => (SET_ROLE, role(actor, "MEMBER")),
            Act::HandOver => (SET_ROLE, role(other, "OWNER")),
            Act::BanMember => (BAN, whom(other)),
            Act::BanAdmin => (BAN, whom(self.unless_direct(other_admin)?)),
            Act::BanStranger => (BAN, whom(stranger)),
            Act::Unban => (UNBAN, whom(banned)),
            Act::SeeBans => (BANS, json!({ "id": id })),
            Act::Invite => (INVITE, here(json!({}))),
            Act::InviteAdmin => (INVITE, here(json!({ "role": "ADMIN" }))),
            Act::SeeInvitations => (INVITATIONS, json!({ "id": id })),
            Act::RevokeOwn => {
                let made = actor.request(INVITE, here(json!({}))).await.json();
                let made = &made["data"]["createInvitation"]["invitation"]["id"];
                let made = made.as_str()?;
                (REVOKE, json!({ "input": { "invitationId": made } }))
            }
            Act::RevokeOfOthers => {
                let owner = self.unless_direct(owner)?;
                let made = owner.invites(&self.room, json!({})).await;
                (REVOKE, json!({ "input": { "invitationId": made.id } }))
            }
            Act::Accept => {
                let owner = self.unless_direct(owner)?;
                let made = owner.invites(&self.room, json!({})).await;
                (ACCEPT, json!({ "input": { "code": made.code } }))
            }
            Act::Join => (JOIN_ROOM, here(json!({}))),
            Act::AskToJoin => (REQUEST, here(json!({}))),
            Act::SeeRequests => (WAITING, json!({ "id": id })),
            Act::Approve => {
                let owner = self.unless_direct(owner)?;
                let asks = json!({ "asksFirst": true });
                let made = owner.invites(&self.room, asks).await;
                let asked = asker.accepts(&made.code).await["joinRequest"]["id"].clone();
                (APPROVE, json!({ "input": { "joinRequestId": asked } }))
            }
            Act::Archive => (ARCHIVE, here(json!({}))),
            Act::Restore => (RESTORE, here(json!({}))),
            Act::Delete => (DELETE_CONVERSATION, here(json!({}))),
        })
    }

    fn unless_direct<'p>(&self, person: &'p Person) -> Option<&'p Person> {
        (self.kind != "DIRECT").then_some(person)
    }

    /// One who may send there, and is not the actor.
    fn another(&self, actor: &Person) -> &Person {
        let Cast {
            owner,
            other,
            other_admin,
            ..
        } = self.cast;
        match self.kind {
            "DIRECT" => other,
            _ if actor.id == owner.id => other_admin,
            _ => owner,
        }
    }

    /// A message of the actor's own, where there can be one.
    async fn own(&self, actor: &Person) -> Option<String> {
        let send = json!({ "input": { "conversationId": self.room.id, "text": "mine" } });
        let answer = actor.request(SEND, send).await.json();
        answer["errors"]
            .is_null()
            .then(|| Sent::of(&answer["data"]).id)
    }

    async fn of_another(&self, actor: &Person) -> String {
        self.another(actor).sends(&self.room, "theirs").await.id
    }

    /// A vote in a poll of another.
    async fn vote(&self, actor: &Person, options: &[i32]) -> Value {
        let asked = self
            .another(actor)
            .asks_poll(&self.room, poll(&["a", "b"]))
            .await;
        polls::vote(&asked, options)
    }

    async fn is_archived(&self) -> Option<()> {
        let here = json!({ "input": { "conversationId": self.room.id } });
        self.unless_direct(&self.cast.owner)?
            .asks(ARCHIVE, here)
            .await;
        Some(())
    }
}
