//! The table of permissions: what each role may do in each kind of conversation, as it is set.
//! `docs/permissions.md` is what it comes to.

use std::time::Duration;

use sea_orm::Iterable as _;

use super::Membership;
use crate::conversations::{Conversation, ConversationKind, Settings};
use crate::members::{Member, Role};
use crate::{Error, Result, Timestamp, UserId};

impl Membership {
    /// Whether the actor may add members.
    pub(crate) fn may_add_members(&self) -> Result<()> {
        takes_members(&self.conversation)?;
        let settings = &self.conversation.settings;
        let only_admins = self.conversation.kind == ConversationKind::Channel
            || settings.only_admins_add
            || settings.joins_by_request;
        if only_admins && self.member.role == Role::Member {
            return Err(Error::Forbidden("only owners and admins add members here"));
        }
        Ok(())
    }

    /// Whether the actor may invite others, who come in with `role`.
    pub(crate) fn may_invite(&self, role: Role) -> Result<()> {
        takes_members(&self.conversation)?;
        may_invite(&self.conversation, self.member.role, role)
    }

    /// Whether the actor may see the invitations that go on.
    pub(crate) fn may_see_invitations(&self) -> Result<()> {
        may_invite(&self.conversation, self.member.role, Role::Member)
    }

    /// Whether the actor may take back what `inviter` has made.
    pub(crate) fn may_revoke(&self, inviter: UserId) -> Result<()> {
        if inviter == self.member.user_id {
            return Ok(());
        }
        self.moderates("only owners and admins take back the invitations of others")
    }

    /// Whether the actor may see and answer requests to join.
    pub(crate) fn may_answer_requests(&self) -> Result<()> {
        self.moderates("only owners and admins see who asks to join")
    }

    /// Whether the actor may see who is banned.
    pub(crate) fn may_see_bans(&self) -> Result<()> {
        self.moderates("only owners and admins see who is banned")
    }

    /// Whether the actor may lift bans.
    pub(crate) fn may_unban(&self) -> Result<()> {
        self.moderates("only owners and admins lift bans")
    }

    /// Whether the actor may ban a user, who is this member if they are one.
    pub(crate) fn may_ban(&self, target: Option<&Member>) -> Result<()> {
        match target {
            Some(target) => self.may_remove(target),
            None => self.moderates("only owners and admins ban others"),
        }
    }

    /// Whether the actor may change how the conversation is set.
    pub(crate) fn may_change_settings(&self) -> Result<()> {
        self.moderates("only owners and admins change settings")?;
        is_open(&self.conversation)
    }

    /// Whether the actor may say how long messages are kept: in a direct conversation, both may.
    pub(crate) fn may_set_retention(&self) -> Result<()> {
        match self.conversation.kind {
            ConversationKind::Direct => is_open(&self.conversation),
            ConversationKind::Group | ConversationKind::Channel | ConversationKind::Room => {
                self.may_change_settings()
            }
        }
    }

    /// Whether the actor may archive the conversation, and restore it.
    pub(crate) fn may_archive(&self) -> Result<()> {
        self.moderates("only owners and admins archive and restore a conversation")
    }

    /// Whether the actor may delete the conversation.
    pub(crate) fn may_delete_conversation(&self) -> Result<()> {
        match (self.conversation.kind, self.member.role) {
            (ConversationKind::Direct, _) => Err(Error::Forbidden(
                "a direct conversation belongs to both of its members",
            )),
            (_, Role::Owner) => Ok(()),
            (_, Role::Admin | Role::Member) => {
                Err(Error::Forbidden("only the owner deletes a conversation"))
            }
        }
    }

    /// Whether the actor is above others; `otherwise` says who would be.
    fn moderates(&self, otherwise: &'static str) -> Result<()> {
        if self.conversation.kind == ConversationKind::Direct {
            return Err(Error::Forbidden(
                "in a direct conversation neither is above the other",
            ));
        }
        match self.member.role {
            Role::Owner | Role::Admin => Ok(()),
            Role::Member => Err(Error::Forbidden(otherwise)),
        }
    }

    /// Whether the actor may remove `target`. Everyone may leave, except from a direct
    /// conversation.
    pub(crate) fn may_remove(&self, target: &Member) -> Result<()> {
        if self.conversation.kind == ConversationKind::Direct {
            return Err(Error::Forbidden(
                "a direct conversation has exactly its two members",
            ));
        }
        let allowed = target.user_id == self.member.user_id
            || match self.member.role {
                Role::Owner => true,
                Role::Admin => target.role == Role::Member,
                Role::Member => false,
            };
        if allowed {
            Ok(())
        } else {
            Err(Error::Forbidden(
                "only an owner, or an admin for plain members, may remove others",
            ))
        }
    }

    /// Whether the actor may give `target` a role: the owner any to others, an admin less to
    /// themselves. The owner hands the conversation over before stepping down.
    pub(crate) fn may_set_role(&self, target: &Member, role: Role) -> Result<()> {
        if self.conversation.kind == ConversationKind::Direct {
            return Err(Error::Forbidden(
                "in a direct conversation neither is above the other",
            ));
        }
        let is_own = target.user_id == self.member.user_id;
        match (self.member.role, is_own) {
            (Role::Owner, false) => Ok(()),
            (Role::Owner, true) if role == Role::Owner => Ok(()),
            (Role::Owner, true) => Err(Error::Forbidden(
                "a conversation has an owner: make somebody else the owner first",
            )),
            (Role::Admin | Role::Member, true) if role == self.member.role => Ok(()),
            (Role::Admin, true) if role == Role::Member => Ok(()),
            (Role::Admin | Role::Member, _) => Err(Error::Forbidden(
                "only the owner gives members another role",
            )),
        }
    }

    /// Whether the actor may change what the conversation is called and looks like.
    pub(crate) fn may_update(&self) -> Result<()> {
        match (self.conversation.kind, self.member.role) {
            (ConversationKind::Direct, _) => Err(Error::Forbidden(
                "a direct conversation is called by its members",
            )),
            (ConversationKind::Channel | ConversationKind::Room, Role::Member) => Err(
                Error::Forbidden("only owners and admins change a channel or room"),
            ),
            (ConversationKind::Group, _)
            | (ConversationKind::Channel | ConversationKind::Room, Role::Owner | Role::Admin) => {
                is_open(&self.conversation)
            }
        }
    }

    /// Whether the actor may send messages.
    pub(crate) fn may_send(&self) -> Result<()> {
        may_send_to(&self.conversation, self.member.role)
    }

    /// Whether the actor may mention everyone.
    pub(crate) fn may_mention_everyone(&self) -> Result<()> {
        may_mention_everyone(self.conversation.kind, self.member.role)
    }

    /// Whether the actor may react to messages: whoever reads them may, unless nobody is to. To take a
    /// reaction back needs no leave.
    pub(crate) fn may_react(&self) -> Result<()> {
        is_open(&self.conversation)?;
        if !self.conversation.settings.allows_reactions {
            return Err(Error::Forbidden("reactions are switched off here"));
        }
        Ok(())
    }

    /// Whether the actor may pin messages.
    pub(crate) fn may_pin(&self) -> Result<()> {
        is_open(&self.conversation)?;
        self.may_unpin()
    }

    /// Whether the actor may unpin messages.
    pub(crate) fn may_unpin(&self) -> Result<()> {
        match (self.conversation.kind, self.member.role) {
            (ConversationKind::Channel | ConversationKind::Room, Role::Member) => Err(
                Error::Forbidden("only owners and admins pin messages in a channel or room"),
            ),
            (ConversationKind::Direct | ConversationKind::Group, _)
            | (ConversationKind::Channel | ConversationKind::Room, Role::Owner | Role::Admin) => {
                Ok(())
            }
        }
    }

    /// Whether the actor may vote in polls: whoever reads them may. To take a vote back needs no leave.
    pub(crate) fn may_vote(&self) -> Result<()> {
        is_open(&self.conversation)
    }

    /// Whether the actor may close a poll of `sender`.
    pub(crate) fn may_close_poll(&self, sender: Option<UserId>) -> Result<()> {
        is_open(&self.conversation)?;
        if self.is_above_others() || sender == Some(self.member.user_id) {
            Ok(())
        } else {
            Err(Error::Forbidden(
                "only the sender, an admin or an owner may close a poll",
            ))
        }
    }

    /// Whether the actor is above others here.
    fn is_above_others(&self) -> bool {
        self.conversation.kind != ConversationKind::Direct && self.member.role != Role::Member
    }

    /// Whether the actor may start a call.
    pub(crate) fn may_call(&self) -> Result<()> {
        is_open(&self.conversation)?;
        match self.conversation.kind {
            ConversationKind::Direct => Ok(()),
            ConversationKind::Group | ConversationKind::Channel | ConversationKind::Room => Err(
                Error::Forbidden("so far there are calls in direct conversations only"),
            ),
        }
    }

    /// Whether the actor sees what others' messages were before they were edited.
    pub(crate) fn sees_edits(&self) -> bool {
        self.conversation.settings.shows_edits || self.member.role != Role::Member
    }

    /// Whether the actor may edit what `sender` sent.
    pub(crate) fn may_edit(&self, sender: Option<UserId>, times: Times) -> Result<()> {
        is_open(&self.conversation)?;
        if sender != Some(self.member.user_id) {
            return Err(Error::Forbidden("only the sender may edit a message"));
        }
        if !times.are_within(self.conversation.settings.edit_window_seconds) {
            return Err(Error::Forbidden(
                "the time in which the message could be edited is over",
            ));
        }
        // Whoever may not say it now does not say it by another's leave of before.
        may_send(self.conversation.kind, self.member.role)?;
        may_speak(&self.conversation, self.member.role)
    }

    /// Whether the actor may delete what `sender` sent, for everyone. Who is above others may at any
    /// time.
    pub(crate) fn may_delete(&self, sender: Option<UserId>, times: Times) -> Result<()> {
        if sender.is_none() {
            return Err(Error::Forbidden("what the system tells stays"));
        }
        if self.is_above_others() {
            return Ok(());
        }
        if sender != Some(self.member.user_id) {
            return Err(Error::Forbidden(
                "only the sender, an admin or an owner may delete a message",
            ));
        }
        if !times.are_within(self.conversation.settings.delete_window_seconds) {
            return Err(Error::Forbidden(
                "the time in which the message could be deleted is over",
            ));
        }
        Ok(())
    }
}

/// When a message was sent, and when something is to be done to it.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    pub(crate) sent_at: Timestamp,
    pub(crate) now: Timestamp,
}

impl Times {
    /// Whether no more than so many seconds lie between the two; none is any time.
    fn are_within(self, window: Option<u32>) -> bool {
        window.is_none_or(|seconds| self.now.0 - self.sent_at.0 <= i64::from(seconds) * 1_000)
    }
}

/// The conversation is blocked by one of the two. The same words for both, and for whoever is
/// closed: nobody is to learn of a block.
pub(crate) const CLOSED: Error = Error::Forbidden("nothing can be sent to this user now");

/// Whether nobody has closed it, and it is not archived: then nothing is added or changed. To leave, to
/// take away and to read goes on.
fn is_open(conversation: &Conversation) -> Result<()> {
    if conversation.is_blocked {
        return Err(CLOSED);
    }
    if conversation.archived_at.is_some() {
        return Err(Error::Forbidden("the conversation is archived"));
    }
    Ok(())
}

/// Whether anybody can come into it.
pub(crate) fn takes_members(conversation: &Conversation) -> Result<()> {
    if conversation.kind == ConversationKind::Direct {
        return Err(Error::Forbidden(
            "a direct conversation has exactly its two members",
        ));
    }
    is_open(conversation)
}

/// Whether members of one role may invite others to come in with another, while it is open.
pub(crate) fn may_invite(conversation: &Conversation, by: Role, role: Role) -> Result<()> {
    let only_admins =
        conversation.kind != ConversationKind::Group || conversation.settings.only_admins_add;
    match (by, role) {
        (_, Role::Owner) => Err(Error::Forbidden("nobody comes in as the owner")),
        (Role::Admin | Role::Member, Role::Admin) => {
            Err(Error::Forbidden("only the owner invites admins"))
        }
        (Role::Member, Role::Member) if only_admins => Err(Error::Forbidden(
            "only owners and admins invite others here",
        )),
        (Role::Owner, Role::Admin) | (_, Role::Member) => Ok(()),
    }
}

/// Whether more decides about a send than the conversation's kind and the sender's role.
pub(crate) fn is_guarded(conversation: &Conversation) -> bool {
    guards(&conversation.settings)
        || conversation.archived_at.is_some()
        || conversation.deleted_at.is_some()
}

/// Whether settings do by themselves.
pub(crate) fn guards(settings: &Settings) -> bool {
    settings.only_admins_send || settings.slow_mode_seconds > 0
}

/// Whether members of this role may send messages to this conversation, all but its pace considered.
pub(crate) fn may_send_to(conversation: &Conversation, role: Role) -> Result<()> {
    is_open(conversation)?;
    may_send(conversation.kind, role)?;
    may_speak(conversation, role)
}

fn may_speak(conversation: &Conversation, role: Role) -> Result<()> {
    if conversation.settings.only_admins_send && role == Role::Member {
        return Err(Error::Forbidden("only owners and admins send here now"));
    }
    Ok(())
}

/// How long members of this role wait between two messages.
pub(crate) fn pace(conversation: &Conversation, role: Role) -> Duration {
    match role {
        Role::Owner | Role::Admin => Duration::ZERO,
        Role::Member => Duration::from_secs(conversation.settings.slow_mode_seconds.into()),
    }
}

/// Whether members of this role may send messages to a conversation of this kind. It is decided
/// by nothing else unless the conversation [`is_guarded`] or closed, so that a statement can decide it
/// too; see [`senders`].
pub(crate) fn may_send(kind: ConversationKind, role: Role) -> Result<()> {
    if kind == ConversationKind::Channel && role == Role::Member {
        return Err(Error::Forbidden("only owners and admins send to a channel"));
    }
    Ok(())
}

/// Whether members of this role may mention everyone: where there are many, few may.
pub(crate) fn may_mention_everyone(kind: ConversationKind, role: Role) -> Result<()> {
    match (kind, role) {
        (ConversationKind::Direct | ConversationKind::Group, _)
        | (ConversationKind::Channel | ConversationKind::Room, Role::Owner | Role::Admin) => Ok(()),
        (ConversationKind::Channel | ConversationKind::Room, Role::Member) => Err(
            Error::Forbidden("only owners and admins mention everyone in a channel or room"),
        ),
    }
}

/// Every kind of conversation with every role that may send to it.
pub(crate) fn senders() -> impl Iterator<Item = (ConversationKind, Role)> {
    ConversationKind::iter()
        .flat_map(|kind| Role::iter().map(move |role| (kind, role)))
        .filter(|(kind, role)| may_send(*kind, *role).is_ok())
}
