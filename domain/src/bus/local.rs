//! What is open on this node, and how news reaches it: whatever was committed here, and what
//! other nodes tell.

use std::sync::Arc;

use backchannel_entities::{ConversationId, SessionId, UserId};

use crate::conversations::Conversation;
use crate::event::EventKind;
use crate::proofs::Claim;
use crate::recent::Recent;
use crate::sessions::Known;

use super::hub::Hub;
use super::receipts::{Advance, Missed};
use super::registry::Registry;
use super::topic::{ConversationNotice, Told, Topic, UserNotice};
use super::typing::{Pace, TypingNotice};
use super::user::UserHub;
use super::viewer::Viewer;
use super::watched::Watched;
use super::{News, SessionEnding};

/// Most sessions and memberships kept, of those read lately.
const RECENT: usize = 4_096;

/// Everything open on this node, and what was read here lately.
pub(super) struct Local {
    pub(super) hubs: Registry<ConversationId, Hub>,
    pub(super) viewers: Registry<UserId, Viewer>,
    pub(super) users: Registry<UserId, UserHub>,
    pub(super) watched: Registry<UserId, Watched>,
    pub(super) sessions: Registry<SessionId, SessionEnding>,
    pub(super) recent_sessions: Recent<SessionId, Known>,
    pub(super) recent_memberships: Recent<Claim, Arc<Conversation>>,
    pub(super) missed: Missed,
    pub(super) pace: Pace,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            hubs: Registry::default(),
            viewers: Registry::default(),
            users: Registry::default(),
            watched: Registry::default(),
            sessions: Registry::default(),
            recent_sessions: Recent::new(RECENT),
            recent_memberships: Recent::new(RECENT),
            missed: Missed::default(),
            pace: Pace::default(),
        }
    }
}

impl Local {
    /// Takes what this node has committed.
    pub(super) fn publish(&self, news: News) {
        self.change_memberships(&news.changed_memberships());
        for id in news.asked {
            self.take_join_requests(id);
        }
        for event in news.events {
            if let EventKind::ConversationDeleted = event.kind {
                self.forget_memberships(event.conversation_id);
            }
            if let (EventKind::MessageSent(_), Some(sender)) = (&event.kind, event.actor_id) {
                self.pace.sent(event.conversation_id, sender);
            }
            if let Some(hub) = self.hubs.get(&event.conversation_id) {
                hub.offer(event);
            }
        }
        for (id, advance) in news.advances {
            self.take_receipts(id, &[advance]);
        }
        for (user_id, notice) in news.notices {
            self.tell_user(user_id, notice);
        }
        for id in news.ended {
            self.end_session(id);
        }
    }

    /// Takes what another node says.
    pub(super) fn take(&self, told: Told) {
        match told {
            Told::Conversation(id, ConversationNotice::Seq(seq)) => {
                self.hubs.get(&id).inspect(|hub| hub.hint(seq));
            }
            Told::Conversation(id, ConversationNotice::Receipts(advances)) => {
                self.take_receipts(id, &advances);
            }
            Told::Conversation(id, ConversationNotice::Typing(notice)) => {
                self.take_typing(id, notice);
            }
            Told::Conversation(id, ConversationNotice::JoinRequests) => {
                self.take_join_requests(id);
            }
            Told::Missed(since) => self.missed.ask(since),
            Told::User(id, notice) => self.tell_user(id, notice),
            Told::SessionEnded(id) => self.end_session(id),
            Told::MembershipsChanged(claims) => self.change_memberships(&claims),
        }
    }

    pub(super) fn take_receipts(&self, id: ConversationId, advances: &[Advance]) {
        let hub = self.hubs.get(&id);
        hub.inspect(|hub| hub.take_receipts(advances));
    }

    pub(super) fn take_typing(&self, id: ConversationId, notice: TypingNotice) {
        self.hubs.get(&id).inspect(|hub| hub.take_typing(notice));
    }

    pub(super) fn take_join_requests(&self, id: ConversationId) {
        self.hubs.get(&id).inspect(|hub| hub.take_join_requests());
    }

    /// The conversations whose receipts somebody here streams.
    pub(super) fn receipt_streams(&self) -> Vec<ConversationId> {
        let mut ids = self.hubs.keys();
        ids.retain(|id| {
            let hub = self.hubs.get(id);
            hub.is_some_and(|hub| hub.has_receipt_streams())
        });
        ids
    }

    pub(super) fn tell_user(&self, id: UserId, notice: UserNotice) {
        match notice {
            UserNotice::Memberships => {
                self.viewers.get(&id).inspect(Viewer::refresh);
            }
            UserNotice::Presence(presence) => {
                self.watched
                    .get(&id)
                    .inspect(|watched| watched.offer(presence));
            }
            UserNotice::Calls
            | UserNotice::Requests
            | UserNotice::States
            | UserNotice::Message(_) => {
                self.users.get(&id).inspect(|hub| hub.tell(notice));
            }
            UserNotice::Settings => {
                self.recent_sessions
                    .forget_where(|known| known.user.id == id);
                let watched = self.watched.get(&id);
                watched.inspect(|watched| watched.settings_changed());
                self.users.get(&id).inspect(|hub| hub.tell(notice));
            }
        }
    }

    fn change_memberships(&self, claims: &[Claim]) {
        for claim in claims {
            self.recent_memberships.forget(claim);
        }
    }

    fn forget_memberships(&self, id: ConversationId) {
        self.recent_memberships
            .forget_where(|conversation| conversation.id == id);
    }

    pub(super) fn end_session(&self, id: SessionId) {
        self.recent_sessions.forget(&id);
        self.sessions.get(&id).inspect(|ending| ending.0.cancel());
    }

    /// Whether anything here needs what is said under `topic`.
    pub(super) fn needs(&self, topic: Topic) -> bool {
        match topic {
            Topic::Conversation(id) => self.hubs.get(&id).is_some(),
            Topic::User(id) => {
                self.viewers.get(&id).is_some()
                    || self.users.get(&id).is_some()
                    || self.watched.get(&id).is_some()
            }
        }
    }

    /// All that is needed.
    pub(super) fn topics(&self) -> Vec<Topic> {
        let conversations = self.hubs.keys().into_iter().map(Topic::Conversation);
        let viewers = self.viewers.keys().into_iter().map(Topic::User);
        let users = self.users.keys().into_iter().map(Topic::User);
        let watched = self.watched.keys().into_iter().map(Topic::User);
        conversations
            .chain(viewers)
            .chain(users)
            .chain(watched)
            .collect()
    }

    /// Whether nothing is open that durable news could concern.
    pub(super) fn is_idle(&self) -> bool {
        self.hubs.is_empty()
            && self.viewers.is_empty()
            && self.users.is_empty()
            && self.watched.is_empty()
    }

    /// Drops what nobody holds. Answers what is perhaps not needed any more.
    pub(super) fn forget_unheld(&self) -> Vec<Topic> {
        self.sessions.forget_unheld();
        let viewers = self.viewers.forget_unheld().into_iter().map(Topic::User);
        let users = self.users.forget_unheld().into_iter().map(Topic::User);
        let watched = self.watched.forget_unheld().into_iter().map(Topic::User);
        let hubs = self.hubs.forget_unheld().into_iter();
        viewers
            .chain(users)
            .chain(watched)
            .chain(hubs.map(Topic::Conversation))
            .collect()
    }
}
