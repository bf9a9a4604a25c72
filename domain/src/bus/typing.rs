//! Who is typing in a conversation, while somebody here wants to know.
//!
//! 1. A node tells the others when a member starts or stops, and about every two seconds that
//!    they go on ([`Pace`]).
//! 2. The conversation's [`Typists`] keep who is typing now: until told otherwise, until a
//!    message of theirs or their leaving passes, or until nothing is heard of them for a while.
//! 3. Streams watch that and tell the difference, so one that is slow misses only what is over.
//!
//! Nothing is stored, and nothing heals: what is lost is wrong for a few seconds.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use backchannel_entities::{ConversationId, Timestamp, UserId};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

use crate::Result;
use crate::clock::Clock;
use crate::typing::{Change, Typing};

use super::Ends;
use super::hub::Following;

/// How long somebody is held to be typing who is not heard of.
const LEASE: Duration = Duration::from_millis(5_500);
/// How often it is looked whether somebody's time is over.
const LOOK: Duration = Duration::from_millis(250);
/// How soon others are told again that somebody goes on typing.
const GOES_ON: Duration = Duration::from_secs(2);
/// How soon others are told anything of somebody who has just stopped.
const AGAIN: Duration = Duration::from_millis(500);
/// Members of one conversation who are seen typing at a time; more would help nobody.
const TYPISTS: usize = 50;
/// Members whose pace is kept; beyond, the pace of all begins anew.
const PACED: usize = 10_000;

/// What a member does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TypingNotice {
    pub(crate) user_id: UserId,
    pub(crate) typing: bool,
    /// The conversation's last seq when the member was found to be one.
    pub(crate) last_seq: i64,
}

/// Somebody who types, and what streams are told of it: all the same, so that it is executed once.
pub(crate) struct Typist {
    pub(crate) starts: Arc<Change>,
    pub(crate) stops: Arc<Change>,
}

impl Typist {
    fn new(conversation_id: ConversationId, user_id: UserId) -> Self {
        let change = |state| {
            Arc::new(Change {
                conversation_id,
                user_id,
                state,
            })
        };
        Self {
            starts: change(Typing::Active),
            stops: change(Typing::Ended),
        }
    }

    fn user_id(&self) -> UserId {
        self.starts.user_id
    }

    pub(crate) fn is_among(&self, others: &[Arc<Self>]) -> bool {
        others.iter().any(|other| other.user_id() == self.user_id())
    }
}

/// What this node has told lately of who types.
#[derive(Default)]
pub(super) struct Pace(Mutex<BTreeMap<(ConversationId, UserId), Told>>);

#[derive(Clone, Copy)]
struct Told {
    notice: TypingNotice,
    at: Timestamp,
}

impl Pace {
    /// Whether it is time to tell this. To stop always is, whoever told of the start.
    pub(super) fn allows(&self, id: ConversationId, notice: TypingNotice, now: Timestamp) -> bool {
        let mut told = self.told();
        let key = (id, notice.user_id);
        if let Some(before) = told.get(&key) {
            let pause = match (before.notice.typing, notice.typing) {
                (true, true) => GOES_ON,
                (true, false) => Duration::ZERO,
                (false, true | false) => AGAIN,
            };
            if now < before.at.plus(pause) {
                return false;
            }
        }
        if told.len() >= PACED {
            told.retain(|_, told| now < told.at.plus(GOES_ON));
        }
        if told.len() >= PACED {
            told.clear();
        }
        told.insert(key, Told { notice, at: now });
        true
    }

    /// Takes the news of a message, with which its sender's typing ends.
    pub(super) fn sent(&self, id: ConversationId, sender: UserId) {
        if let Some(told) = self.told().get_mut(&(id, sender)) {
            told.notice.typing = false;
        }
    }

    /// Those whom this node has told of, and who still type.
    fn now_typing(&self, id: ConversationId, now: Timestamp) -> Vec<TypingNotice> {
        let everyone = (id, UserId(Uuid::nil()))..=(id, UserId(Uuid::max()));
        let told = self.told();
        let of_conversation = told.range(everyone).map(|(_, told)| told);
        of_conversation
            .filter(|told| told.notice.typing && now < told.at.plus(LEASE))
            .map(|told| told.notice)
            .collect()
    }

    fn told(&self) -> MutexGuard<'_, BTreeMap<(ConversationId, UserId), Told>> {
        self.0.lock().expect("no holder panics")
    }
}

/// Keeps who is typing in a conversation.
pub(super) struct Typists {
    id: ConversationId,
    clock: Clock,
    now: watch::Sender<Vec<Arc<Typist>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last event that the conversation's hub has passed on.
    head: i64,
    /// Until when each is held to be typing, those who began first in front.
    typing: Vec<(Arc<Typist>, Timestamp)>,
    /// What was told before the events that it followed have been passed on: the latest of each
    /// member.
    waiting: Vec<TypingNotice>,
    /// The seq of the last message of some who were typing when they sent it.
    sent: HashMap<UserId, i64>,
    /// Whether a task looks whose time is over.
    looking: bool,
}

impl Typists {
    pub(super) fn new(id: ConversationId, head: i64, clock: Clock) -> Self {
        Self {
            id,
            clock,
            now: watch::Sender::default(),
            state: Mutex::new(State {
                head,
                ..State::default()
            }),
        }
    }

    /// Takes what a member does.
    pub(super) fn take(self: &Arc<Self>, notice: TypingNotice) {
        let mut state = self.state();
        state.waiting.retain(|w| w.user_id != notice.user_id);
        if state.waiting.len() < TYPISTS {
            state.waiting.push(notice);
        }
        self.pass_on(&mut state);
    }

    /// Takes the news that events up to `head` have been passed on.
    pub(super) fn follow_to(self: &Arc<Self>, head: i64) {
        let mut state = self.state();
        state.head = head;
        self.pass_on(&mut state);
    }

    /// Takes the news of a message or a leaving, with which a member's typing ends; what was
    /// told of it before and comes later is old.
    pub(super) fn ended(&self, user_id: UserId, seq: i64) {
        let mut state = self.state();
        if state.sent.len() >= TYPISTS {
            state.sent.clear();
        }
        state.sent.insert(user_id, seq);
        state
            .typing
            .retain(|(typist, _)| typist.user_id() != user_id);
        self.show(&state);
    }

    fn pass_on(self: &Arc<Self>, state: &mut State) {
        let head = state.head;
        let ready: Vec<TypingNotice> = state
            .waiting
            .extract_if(.., |notice| notice.last_seq <= head)
            .collect();
        for notice in ready {
            state.take(self.id, notice, self.clock.now().plus(LEASE));
        }
        self.show(state);
        if !state.looking && !state.typing.is_empty() {
            state.looking = true;
            tokio::spawn(look(Arc::downgrade(self)));
        }
    }

    fn show(&self, state: &State) {
        let typing = || state.typing.iter().map(|(typist, _)| typist);
        self.now.send_if_modified(|shown| {
            let same = shown.iter().map(|typist| typist.user_id());
            let changed = !same.eq(typing().map(|typist| typist.user_id()));
            if changed {
                *shown = typing().cloned().collect();
            }
            changed
        });
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    fn take(&mut self, id: ConversationId, notice: TypingNotice, until: Timestamp) {
        let user_id = notice.user_id;
        let is_old = self
            .sent
            .get(&user_id)
            .is_some_and(|seq| notice.last_seq < *seq);
        let known = self
            .typing
            .iter()
            .position(|(typist, _)| typist.user_id() == user_id);
        match (known, notice.typing && !is_old) {
            (Some(index), true) => self.typing[index].1 = until,
            (Some(index), false) => drop(self.typing.remove(index)),
            (None, true) if self.typing.len() < TYPISTS => {
                let typist = Arc::new(Typist::new(id, user_id));
                self.typing.push((typist, until));
            }
            (None, true | false) => {}
        }
    }
}

/// Ends the typing of those who are not heard of, until nobody types.
async fn look(typists: Weak<Typists>) {
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(typists) = typists.upgrade() else {
            return;
        };
        let now = typists.clock.now();
        let mut state = typists.state();
        state.typing.retain(|(_, until)| now < *until);
        typists.show(&state);
        if state.typing.is_empty() {
            state.looking = false;
            return;
        }
    }
}

/// A stream's hold on who is typing.
pub(crate) struct FollowingTyping {
    _typists: Arc<Typists>,
    /// Who is typing now; the first look counts as a change.
    pub(crate) now: watch::Receiver<Vec<Arc<Typist>>>,
    /// The conversation's events. To be taken first: whoever was removed is told so before
    /// what happened after.
    pub(crate) events: Following,
}

impl Ends {
    /// Follows who is typing.
    pub(super) async fn follow_typing(
        self: &Arc<Self>,
        id: ConversationId,
    ) -> Result<FollowingTyping> {
        let events = self.follow(id).await?;
        let typists = events.typists(&self.clock);
        // Told before anybody here wanted to know.
        for notice in self.local.pace.now_typing(id, self.clock.now()) {
            typists.take(notice);
        }
        let mut now = typists.now.subscribe();
        now.mark_changed();
        Ok(FollowingTyping {
            _typists: typists,
            now,
            events,
        })
    }
}
