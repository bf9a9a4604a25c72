//! Within a node: one [`Hub`] for each conversation that somebody follows here.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::time::Duration;

use backchannel_entities::{ConversationId, conversation};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio::sync::{OnceCell, broadcast, watch};

use crate::clock::Clock;
use crate::db::in_list;
use crate::event::{Event, EventKind};
use crate::feed::Range;
use crate::{Error, Result};

use super::Ends;
use super::receipts::{Advance, ReceiptHub};
use super::topic::Topic;
use super::typing::{TypingNotice, Typists};
use super::viewer::Viewer;

/// Events a stream may be behind before it reads the database instead.
const LIVE: usize = 64;
/// Events kept that came before those in front of them; beyond, the database is read.
const EARLY: usize = 256;
/// How long an event may be overtaken by the next one before the database is read.
const OVERTAKEN: Duration = Duration::from_millis(10);
/// Pauses between attempts to read the database, doubling from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Passes a conversation's events on to its streams: each once, in order, none left out.
pub(crate) struct Hub {
    id: ConversationId,
    ends: Weak<Ends>,
    /// To the conversation's own streams; made for the first.
    live: OnceLock<broadcast::Sender<Arc<Event>>>,
    /// To the streams of requests to join; made for the first.
    asked: OnceLock<watch::Sender<()>>,
    opened: OnceCell<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last seq passed on; none until the hub is open.
    head: Option<i64>,
    /// The highest seq heard of.
    known: i64,
    /// Events that came before those in front of them.
    early: BTreeMap<i64, Arc<Event>>,
    /// Whether a task is reading the database.
    repairing: bool,
    /// Members whose streams of everything are open here.
    viewers: Vec<Weak<Viewer>>,
    /// Made for the first stream of the conversation's receipts, and gone with the last.
    receipts: Weak<ReceiptHub>,
    /// The same for typing.
    typists: Weak<Typists>,
}

/// A hold on a hub: it is there as long as somebody has one.
pub(super) struct Hold {
    hub: Arc<Hub>,
    ends: Arc<Ends>,
}

impl Drop for Hold {
    fn drop(&mut self) {
        let id = self.hub.id;
        if self.ends.local.hubs.forget_if_last(&id, &self.hub) {
            self.ends.interest_changed(Topic::Conversation(id));
        }
    }
}

impl Hold {
    pub(super) fn id(&self) -> ConversationId {
        self.hub.id
    }

    /// Passes every event from here on to `viewer` too.
    pub(super) fn attach(&self, viewer: &Arc<Viewer>) {
        let mut state = self.hub.state();
        state.viewers.push(Arc::downgrade(viewer));
        // Under the lock no event can pass before the viewer knows of the conversation.
        viewer.joined();
    }

    /// Does so no longer.
    pub(super) fn detach(&self, viewer: &Arc<Viewer>) {
        let mut state = self.hub.state();
        state
            .viewers
            .retain(|attached| !std::ptr::eq(attached.as_ptr(), Arc::as_ptr(viewer)));
    }
}

/// A stream's hold on a hub.
pub(crate) struct Following {
    hold: Hold,
    /// Every event after `head`, unless it lags.
    pub(crate) live: broadcast::Receiver<Arc<Event>>,
    /// The last event that `live` will not bring.
    pub(crate) head: i64,
}

impl Following {
    /// The last event passed on by now.
    pub(crate) fn current_head(&self) -> i64 {
        self.hold.hub.state().head.unwrap_or_default()
    }

    /// Changes when something becomes of requests to join.
    pub(crate) fn asked_to_join(&self) -> watch::Receiver<()> {
        let asked = &self.hold.hub.asked;
        asked.get_or_init(|| watch::channel(()).0).subscribe()
    }

    /// What passes on the conversation's receipts.
    pub(super) fn receipts(&self) -> Arc<ReceiptHub> {
        let mut state = self.hold.hub.state();
        let head = state.head.unwrap_or_default();
        let make = || Arc::new(ReceiptHub::new(head));
        get_or_make(&mut state.receipts, make)
    }

    /// What keeps who is typing.
    pub(super) fn typists(&self, clock: &Clock) -> Arc<Typists> {
        let mut state = self.hold.hub.state();
        let head = state.head.unwrap_or_default();
        let make = || Arc::new(Typists::new(self.hold.hub.id, head, clock.clone()));
        get_or_make(&mut state.typists, make)
    }
}

fn get_or_make<T>(held: &mut Weak<T>, make: impl FnOnce() -> Arc<T>) -> Arc<T> {
    held.upgrade().unwrap_or_else(|| {
        let made = make();
        *held = Arc::downgrade(&made);
        made
    })
}

impl Ends {
    /// Follows a conversation's events from now on.
    pub(super) async fn follow(self: &Arc<Self>, id: ConversationId) -> Result<Following> {
        let hold = self.hold(id);
        hold.hub
            .opened
            .get_or_try_init(|| async { self.open(&[&hold]).await })
            .await?;
        let live = hold.hub.live();
        let state = hold.hub.state();
        // Under the lock no event can pass between these two lines.
        let (live, head) = (live.subscribe(), state.head.unwrap_or_default());
        drop(state);
        Ok(Following { hold, live, head })
    }

    /// Opens many conversations at the cost of one; the answer is in the order of `ids`.
    pub(super) async fn hold_all(self: &Arc<Self>, ids: &[ConversationId]) -> Result<Vec<Hold>> {
        let holds: Vec<Hold> = ids.iter().map(|id| self.hold(*id)).collect();
        let closed = holds.iter().filter(|hold| !hold.hub.opened.initialized());
        match closed.collect::<Vec<_>>().as_slice() {
            [] => {}
            [one] => {
                one.hub
                    .opened
                    .get_or_try_init(|| async { self.open(&[one]).await })
                    .await?;
            }
            many => {
                self.open(many).await?;
                for hold in many {
                    // An error means that somebody else is opening it, to no other effect.
                    let _ = hold.hub.opened.set(());
                }
            }
        }
        Ok(holds)
    }

    fn hold(self: &Arc<Self>, id: ConversationId) -> Hold {
        let make = || Hub::new(id, Arc::downgrade(self));
        Hold {
            hub: self.local.hubs.get_or_insert_with(id, make),
            ends: Arc::clone(self),
        }
    }

    /// Other nodes' notices are subscribed to before heads are read, so that nothing falls
    /// between the two.
    async fn open(&self, holds: &[&Hold]) -> Result<()> {
        let ids: Vec<ConversationId> = holds.iter().map(|hold| hold.hub.id).collect();
        let topics = ids.iter().copied().map(Topic::Conversation);
        self.subscribe(topics.collect()).await;
        let heads = conversation::Entity::find()
            .select_only()
            .columns([conversation::Column::Id, conversation::Column::LastSeq])
            .filter(conversation::Column::Id.is_in(in_list(&ids)))
            .into_tuple()
            .all(&self.db.reader)
            .await?;
        let heads: HashMap<ConversationId, i64> = heads.into_iter().collect();
        for hold in holds {
            let head = heads.get(&hold.hub.id);
            hold.hub
                .open_at(*head.ok_or(Error::NotFound("conversation"))?);
        }
        Ok(())
    }
}

impl Hub {
    fn new(id: ConversationId, ends: Weak<Ends>) -> Self {
        Self {
            id,
            ends,
            live: OnceLock::new(),
            asked: OnceLock::new(),
            opened: OnceCell::new(),
            state: Mutex::default(),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.opened.initialized()
    }

    fn live(&self) -> &broadcast::Sender<Arc<Event>> {
        self.live.get_or_init(|| broadcast::channel(LIVE).0)
    }

    fn open_at(self: &Arc<Self>, head: i64) {
        let mut state = self.state();
        if state.head.is_none() {
            state.head = Some(head);
            self.pass_on(&mut state);
        }
        // What was heard of meanwhile may be newer than the head that was read.
        self.repair_if_behind(&mut state, Duration::ZERO);
    }

    /// Takes an event that this node has committed.
    pub(super) fn offer(self: &Arc<Self>, event: Arc<Event>) {
        let mut state = self.state();
        state.known = state.known.max(event.seq);
        if state.early.len() < EARLY {
            state.early.insert(event.seq, event);
        }
        self.pass_on(&mut state);
        self.repair_if_behind(&mut state, OVERTAKEN);
    }

    /// Takes the news that events up to `seq` exist.
    pub(super) fn hint(self: &Arc<Self>, seq: i64) {
        let mut state = self.state();
        state.known = state.known.max(seq);
        self.repair_if_behind(&mut state, Duration::ZERO);
    }

    /// Takes what marks have moved.
    pub(super) fn take_receipts(self: &Arc<Self>, advances: &[Advance]) {
        let mut state = self.state();
        let Some(receipts) = state.receipts.upgrade() else {
            return;
        };
        let last_seq = advances.iter().map(|advance| advance.last_seq).max();
        state.known = state.known.max(last_seq.unwrap_or_default());
        receipts.take(advances);
        self.repair_if_behind(&mut state, OVERTAKEN);
    }

    /// Takes what a member does.
    pub(super) fn take_typing(self: &Arc<Self>, notice: TypingNotice) {
        let mut state = self.state();
        let Some(typists) = state.typists.upgrade() else {
            return;
        };
        state.known = state.known.max(notice.last_seq);
        typists.take(notice);
        self.repair_if_behind(&mut state, OVERTAKEN);
    }

    /// Takes the news that something became of requests to join.
    pub(super) fn take_join_requests(&self) {
        self.asked.get().inspect(|asked| asked.send_replace(()));
    }

    /// Whether anybody here streams the conversation's receipts.
    pub(super) fn has_receipt_streams(&self) -> bool {
        self.state().receipts.strong_count() > 0
    }

    /// Passes on every event whose turn it is.
    fn pass_on(&self, state: &mut State) {
        let Some(mut head) = state.head else { return };
        while let Some((seq, event)) = state.early.pop_first() {
            if seq > head + 1 {
                state.early.insert(seq, event);
                break;
            }
            if seq == head + 1 {
                head = seq;
                if let Some(live) = self.live.get() {
                    // An error means that nobody listens just now.
                    let _ = live.send(Arc::clone(&event));
                }
                state.viewers.retain(|viewer| {
                    let viewer = viewer.upgrade();
                    viewer.inspect(|viewer| viewer.offer(&event)).is_some()
                });
                state.tell_signals(&event);
            }
        }
        state.head = Some(head);
        let receipts = state.receipts.upgrade();
        receipts.inspect(|receipts| receipts.follow_to(head));
        let typists = state.typists.upgrade();
        typists.inspect(|typists| typists.follow_to(head));
    }

    fn repair_if_behind(self: &Arc<Self>, state: &mut State, patience: Duration) {
        if state.is_behind() && !state.repairing {
            state.repairing = true;
            tokio::spawn(Arc::clone(self).repair(patience));
        }
    }

    /// Reads the database until nothing known is missing.
    async fn repair(self: Arc<Self>, patience: Duration) {
        let mut pause = patience;
        loop {
            tokio::time::sleep(pause).await;
            let (Some((head, known)), Some(ends)) = (self.behind_or_done(), self.ends.upgrade())
            else {
                return;
            };
            match ends.reader.read(Range::after(self.id, head)).await {
                Ok(events) => {
                    let mut state = self.state();
                    for event in events {
                        state.early.insert(event.seq, event);
                    }
                    self.pass_on(&mut state);
                    if state.head == Some(head) && state.known == known {
                        // Hinted at what does not exist: nothing to wait for.
                        state.known = head;
                    }
                    pause = Duration::ZERO;
                }
                Err(error) => {
                    tracing::warn!(%error, conversation.id = %self.id, "reading missed events failed; trying again");
                    pause = (pause * 2).clamp(RETRY.0, RETRY.1);
                }
            }
        }
    }

    /// Head and highest known seq, if there is something to repair and somebody to repair
    /// it for.
    fn behind_or_done(&self) -> Option<(i64, i64)> {
        let mut state = self.state();
        let listened_to = self
            .live
            .get()
            .is_some_and(|live| live.receiver_count() > 0)
            || !state.viewers.is_empty();
        if state.is_behind() && listened_to {
            return state.head.map(|head| (head, state.known));
        }
        state.repairing = false;
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    fn is_behind(&self) -> bool {
        self.head.is_some_and(|head| self.known > head)
    }

    /// Tells those who keep what is not durable of an event that bears on it.
    fn tell_signals(&self, event: &Event) {
        let (receipts, typists) = (self.receipts.upgrade(), self.typists.upgrade());
        match event.kind {
            EventKind::MessageSent(_) => {
                let sender = typists.zip(event.actor_id);
                sender.inspect(|(typists, sender)| typists.ended(*sender, event.seq));
            }
            EventKind::MemberLeft(user_id) => {
                receipts.inspect(|receipts| receipts.left(user_id));
                typists.inspect(|typists| typists.ended(user_id, event.seq));
            }
            EventKind::MemberJoined(user_id) => {
                receipts.inspect(|receipts| receipts.joined(user_id, event.seq));
            }
            EventKind::MessageEdited(_)
            | EventKind::MessageDeleted(_)
            | EventKind::MemberRoleChanged(_)
            | EventKind::CallEnded(_)
            | EventKind::ConversationDeleted
            | EventKind::ConversationUpdated(_)
            | EventKind::MessageReactionsChanged(_)
            | EventKind::MessagePinned(_)
            | EventKind::MessageUnpinned(_)
            | EventKind::PollChanged(_) => {}
        }
    }
}
