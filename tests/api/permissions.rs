//! Who may do what: each act, attempted by everybody in a conversation of each kind, through the door.
//! What the system answers is the table in `docs/permissions.md`.
//!
//! `WRITE_PERMISSIONS=1` writes the table there instead of comparing it.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::{Value, json};

use crate::bans::{BAN, BANS, UNBAN};
use crate::calls::START;
use crate::harness::people::{ADD, DELETE, EDIT, JOIN_ROOM, REMOVE, SEND, SET_ROLE, Sent, UPDATE};
use crate::harness::{App, Person, Room, on_both};
use crate::invitations::{ACCEPT, INVITATIONS, INVITE, REVOKE};
use crate::join_requests::{APPROVE, REQUEST, WAITING};
use crate::marked;
use crate::polls;
use crate::reactions;
use crate::settings::{ARCHIVE, DELETE_CONVERSATION, RESTORE};

const BEGIN: &str = "<!-- permissions: begin -->";
const END: &str = "<!-- permissions: end -->";
const KINDS: [&str; 4] = ["DIRECT", "GROUP", "CHANNEL", "ROOM"];
const READ: &str = "query($id: ID!) { conversation(id: $id) { messages { nodes { text } } } }";

/// Who attempts something.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    Owner,
    Admin,
    Member,
    Nobody,
    Banned,
}

const EVERYBODY: [(Who, &str); 5] = [
    (Who::Owner, "OWNER"),
    (Who::Admin, "ADMIN"),
    (Who::Member, "MEMBER"),
    (Who::Nobody, "no member"),
    (Who::Banned, "banned"),
];

/// What is attempted.
#[derive(Clone, Copy)]
enum Act {
    Read,
    Send,
    EditOwn,
    EditOfOthers,
    DeleteOwn,
    DeleteOfOthers,
    React,
    Pin,
    AskPoll,
    Call,
    Rename,
    Settings,
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
    RevokeOfOthers,
    Accept,
    Join,
    AskToJoin,
    SeeRequests,
    Approve,
    Archive,
    Restore,
    Delete,
    SendArchived,
    AddArchived,
    LeaveArchived,
    SendWhereAdminsDo,
    EditWhereAdminsSend,
    AddWhereAdminsDo,
    InviteWhereAdminsDo,
}

const ACTS: [(Act, &str); 44] = [
    (Act::Read, "read"),
    (Act::Send, "send a message"),
    (Act::EditOwn, "edit one's own message"),
    (Act::EditOfOthers, "edit a message of another"),
    (Act::DeleteOwn, "delete one's own message"),
    (Act::DeleteOfOthers, "delete a message of another"),
    (Act::React, "react to a message"),
    (Act::Pin, "pin a message"),
    (Act::AskPoll, "ask in a poll"),
    (Act::Call, "start a call"),
    (Act::Rename, "change title, description, picture"),
    (Act::Settings, "change settings"),
    (Act::AddMember, "add a member"),
    (Act::RemoveMember, "remove a MEMBER"),
    (Act::RemoveAdmin, "remove an ADMIN"),
    (Act::RemoveOwner, "remove the OWNER"),
    (Act::Leave, "leave"),
    (Act::MakeAdmin, "make a MEMBER an ADMIN"),
    (Act::StepDown, "become a MEMBER"),
    (Act::HandOver, "hand the conversation over"),
    (Act::BanMember, "ban a MEMBER"),
    (Act::BanAdmin, "ban an ADMIN"),
    (Act::BanStranger, "ban one who is no member"),
    (Act::Unban, "lift a ban"),
    (Act::SeeBans, "see who is banned"),
    (Act::Invite, "make an invitation"),
    (Act::InviteAdmin, "make an invitation for an ADMIN"),
    (Act::SeeInvitations, "see the invitations"),
    (Act::RevokeOfOthers, "revoke an invitation of another"),
    (Act::Accept, "come in by an invitation"),
    (Act::Join, "come in by the slug"),
    (Act::AskToJoin, "ask to join where that is so"),
    (Act::SeeRequests, "see who asks to join"),
    (Act::Approve, "approve who asks to join"),
    (Act::Archive, "archive"),
    (Act::Restore, "restore what is archived"),
    (Act::Delete, "delete the conversation"),
    (Act::SendArchived, "send a message, archived"),
    (Act::AddArchived, "add a member, archived"),
    (Act::LeaveArchived, "leave, archived"),
    (Act::SendWhereAdminsDo, "send a message, `onlyAdminsSend`"),
    (
        Act::EditWhereAdminsSend,
        "edit one's own message, `onlyAdminsSend`",
    ),
    (Act::AddWhereAdminsDo, "add a member, `onlyAdminsAdd`"),
    (
        Act::InviteWhereAdminsDo,
        "make an invitation, `onlyAdminsAdd`",
    ),
];

/// Those who are in every conversation, and some who are not.
struct Cast {
    owner: Person,
    admin: Person,
    member: Person,
    other: Person,
    other_admin: Person,
    nobody: Person,
    stranger: Person,
    asker: Person,
    banned: Person,
}

/// A conversation, made for one attempt.
struct Scene<'c> {
    cast: &'c Cast,
    kind: &'static str,
    room: Room,
    slug: Option<String>,
}

impl Cast {
    async fn of(app: &App) -> Self {
        let names = [
            "Olga", "Adam", "Mia", "Otto", "Ada", "Nils", "Sue", "Ask", "Ben",
        ];
        let [
            owner,
            admin,
            member,
            other,
            other_admin,
            nobody,
            stranger,
            asker,
            banned,
        ] = app.people(names).await;
        Self {
            owner,
            admin,
            member,
            other,
            other_admin,
            nobody,
            stranger,
            asker,
            banned,
        }
    }

    fn who(&self, who: Who, kind: &str) -> Option<&Person> {
        match who {
            // In a direct conversation both are plain members.
            Who::Owner | Who::Admin | Who::Banned if kind == "DIRECT" => None,
            Who::Owner => Some(&self.owner),
            Who::Admin => Some(&self.admin),
            Who::Member => Some(&self.member),
            Who::Nobody => Some(&self.nobody),
            Who::Banned => Some(&self.banned),
        }
    }

    async fn set(&self, kind: &'static str, n: usize) -> Scene<'_> {
        if kind == "DIRECT" {
            let room = self.member.makes_direct(&self.other).await;
            return Scene {
                cast: self,
                kind,
                room,
                slug: None,
            };
        }
        let slug = (kind == "ROOM").then(|| format!("room-{n}"));
        let members = [&self.admin, &self.member, &self.other, &self.other_admin];
        let ids: Vec<_> = members.iter().map(|person| &person.id).collect();
        let input = json!({ "kind": kind, "memberIds": ids, "slug": slug });
        let room = self.owner.makes(input).await;
        for admin in [&self.admin, &self.other_admin] {
            self.owner.sets_role(&room, admin, "ADMIN").await;
        }
        self.owner.bans(&room, &self.banned).await;
        Scene {
            cast: self,
            kind,
            room,
            slug,
        }
    }
}

impl Scene<'_> {
    /// What is needed for the attempt, and what is asked then; none where there is no such thing.
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
        let input = |input: Value| json!({ "input": input });
        let here = || input(json!({ "conversationId": id }));
        let whom = |person: &Person| input(json!({ "conversationId": id, "userId": person.id }));
        let role = |person: &Person, role: &str| {
            input(json!({ "conversationId": id, "userId": person.id, "role": role }))
        };
        let send = || input(json!({ "conversationId": id, "text": "hi" }));
        let add = || input(json!({ "conversationId": id, "userIds": [stranger.id] }));
        let chosen = match act {
            Act::Read => (READ, json!({ "id": id })),
            Act::Send => (SEND, send()),
            Act::EditOwn => (
                EDIT,
                input(json!({ "messageId": self.own(actor).await?, "text": "new" })),
            ),
            Act::EditOfOthers => (
                EDIT,
                input(json!({ "messageId": self.of_another(actor).await, "text": "new" })),
            ),
            Act::DeleteOwn => (
                DELETE,
                input(json!({ "messageId": self.own(actor).await? })),
            ),
            Act::DeleteOfOthers => (
                DELETE,
                input(json!({ "messageId": self.of_another(actor).await })),
            ),
            Act::React => (
                reactions::ADD,
                input(json!({ "messageId": self.of_another(actor).await, "emoji": "👍" })),
            ),
            Act::Pin => (
                marked::PIN,
                input(json!({ "messageId": self.of_another(actor).await })),
            ),
            Act::AskPoll => (
                polls::ASK,
                input(json!({ "conversationId": id, "question": "?", "options": ["a", "b"] })),
            ),
            Act::Call => (
                START,
                input(json!({ "conversationId": id, "kind": "AUDIO" })),
            ),
            Act::Rename => (
                UPDATE,
                input(json!({ "conversationId": id, "title": "New" })),
            ),
            Act::Settings => (
                UPDATE,
                input(json!({ "conversationId": id, "settings": { "showsEdits": false } })),
            ),
            Act::AddMember => (ADD, add()),
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
            Act::Invite => (INVITE, here()),
            Act::InviteAdmin => (
                INVITE,
                input(json!({ "conversationId": id, "role": "ADMIN" })),
            ),
            Act::SeeInvitations => (INVITATIONS, json!({ "id": id })),
            Act::RevokeOfOthers => {
                let made = self
                    .unless_direct(owner)?
                    .invites(&self.room, json!({}))
                    .await;
                (REVOKE, input(json!({ "invitationId": made.id })))
            }
            Act::Accept => {
                let made = self
                    .unless_direct(owner)?
                    .invites(&self.room, json!({}))
                    .await;
                (ACCEPT, input(json!({ "code": made.code })))
            }
            Act::Join => (JOIN_ROOM, input(json!({ "slug": self.slug.as_ref()? }))),
            Act::AskToJoin => {
                let slug = self.slug.as_ref()?;
                self.is_set(json!({ "joinsByRequest": true })).await;
                (REQUEST, input(json!({ "slug": slug })))
            }
            Act::SeeRequests => (WAITING, json!({ "id": id })),
            Act::Approve => {
                let made = self
                    .unless_direct(owner)?
                    .invites(&self.room, json!({ "asksFirst": true }))
                    .await;
                let asked = asker.accepts(&made.code).await["joinRequest"]["id"].clone();
                (APPROVE, input(json!({ "joinRequestId": asked })))
            }
            Act::Archive => (ARCHIVE, here()),
            Act::Restore => {
                self.is_archived().await?;
                (RESTORE, here())
            }
            Act::Delete => (DELETE_CONVERSATION, here()),
            Act::SendArchived => {
                self.is_archived().await?;
                (SEND, send())
            }
            Act::AddArchived => {
                self.is_archived().await?;
                (ADD, add())
            }
            Act::LeaveArchived => {
                self.is_archived().await?;
                (REMOVE, whom(actor))
            }
            Act::SendWhereAdminsDo => {
                self.unless_direct(owner)?;
                self.is_set(json!({ "onlyAdminsSend": true })).await;
                (SEND, send())
            }
            Act::EditWhereAdminsSend => {
                let own = self.own(self.unless_direct(actor)?).await?;
                self.is_set(json!({ "onlyAdminsSend": true })).await;
                (EDIT, input(json!({ "messageId": own, "text": "new" })))
            }
            Act::AddWhereAdminsDo => {
                self.unless_direct(owner)?;
                self.is_set(json!({ "onlyAdminsAdd": true })).await;
                (ADD, add())
            }
            Act::InviteWhereAdminsDo => {
                self.unless_direct(owner)?;
                self.is_set(json!({ "onlyAdminsAdd": true })).await;
                (INVITE, here())
            }
        };
        Some(chosen)
    }

    fn unless_direct<'p>(&self, person: &'p Person) -> Option<&'p Person> {
        (self.kind != "DIRECT").then_some(person)
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
        let Cast {
            owner,
            other,
            other_admin,
            ..
        } = self.cast;
        let another = match self.kind {
            "DIRECT" => other,
            _ if actor.id == owner.id => other_admin,
            _ => owner,
        };
        another.sends(&self.room, "theirs").await.id
    }

    async fn is_set(&self, settings: Value) {
        let settings = json!({ "settings": settings });
        self.cast.owner.updates(&self.room, settings).await;
    }

    async fn is_archived(&self) -> Option<()> {
        let here = json!({ "input": { "conversationId": self.room.id } });
        self.unless_direct(&self.cast.owner)?
            .asks(ARCHIVE, here)
            .await;
        Some(())
    }
}

/// What the system answers, as the documentation has it.
async fn table(app: &App) -> String {
    let cast = Cast::of(app).await;
    let mut table = String::new();
    let mut scenes = 0;
    for kind in KINDS {
        let columns: Vec<_> = EVERYBODY
            .iter()
            .filter_map(|(who, name)| Some((cast.who(*who, kind)?, *name)))
            .collect();
        let names = columns
            .iter()
            .map(|(_, name)| *name)
            .collect::<Vec<_>>()
            .join(" | ");
        let line = " --- |".repeat(columns.len());
        write!(table, "\n### {kind}\n\n| | {names} |\n| --- |{line}\n").expect("a string");
        for (act, name) in ACTS {
            let mut cells = Vec::new();
            for (actor, _) in &columns {
                scenes += 1;
                let scene = cast.set(kind, scenes).await;
                let Some((query, variables)) = scene.attempt(act, actor).await else {
                    cells.push("–".to_owned());
                    continue;
                };
                let answer = actor.request(query, variables).await.json();
                let code = &answer["errors"][0]["extensions"]["code"];
                cells.push(code.as_str().unwrap_or("yes").to_owned());
                if kind == "DIRECT" {
                    let leave =
                        json!({ "input": { "callId": answer["data"]["startCall"]["call"]["id"] } });
                    actor.request(crate::calls::HANG_UP, leave).await;
                }
            }
            writeln!(table, "| {name} | {} |", cells.join(" | ")).expect("a string");
        }
    }
    table
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever changes a rule asks for it"
)]
fn is_to_be_written() -> bool {
    std::env::var_os("WRITE_PERMISSIONS").is_some()
}

on_both! {
    async fn each_act_is_allowed_and_refused_as_the_documentation_says(app) {
        let table = table(app).await;
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/permissions.md");
        let docs = std::fs::read_to_string(&path).expect("the documentation");
        let (head, rest) = docs.split_once(BEGIN).expect("the beginning of the table");
        let (written, tail) = rest.split_once(END).expect("the end of the table");
        if is_to_be_written() {
            let docs = format!("{head}{BEGIN}\n{}\n\n{END}{tail}", table.trim_end());
            std::fs::write(&path, docs).expect("it is written");
        } else {
            assert_eq!(written.trim(), table.trim(), "write it by WRITE_PERMISSIONS=1");
        }
    }
}
