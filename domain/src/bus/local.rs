//! Within a node: one [`Hub`] for each conversation that somebody follows here.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::{ConversationId, conversation};
use sea_orm::{EntityTrait, QuerySelect};
use tokio::sync::{OnceCell, broadcast};

use crate::db::Db;
use crate::event::Event;
use crate::feed::replay;
use crate::{Error, Result};

use super::redis::Redis;
use super::registry::Registry;

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
    db: Db,
    registry: Arc<Registry<ConversationId, Hub>>,
    redis: Option<Redis>,
    live: broadcast::Sender<Arc<Event>>,
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
}

/// A stream's hold on a hub.
pub(crate) struct Following {
    hub: Arc<Hub>,
    /// Every event after `head`, unless it lags.
    pub(crate) live: broadcast::Receiver<Arc<Event>>,
    /// The last event that `live` will not bring.
    pub(crate) head: i64,
}

impl Following {
    /// The last event passed on by now.
    pub(crate) fn current_head(&self) -> i64 {
        self.hub.state().head.unwrap_or_default()
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        if self.hub.registry.forget_if_last(&self.hub.id, &self.hub)
            && let Some(redis) = &self.hub.redis
        {
            redis.interest_changed(self.hub.id);
        }
    }
}

impl Hub {
    pub(super) fn new(
        id: ConversationId,
        db: Db,
        registry: Arc<Registry<ConversationId, Self>>,
        redis: Option<Redis>,
    ) -> Self {
        let (live, _) = broadcast::channel(LIVE);
        let (opened, state) = (OnceCell::new(), Mutex::default());
        Self {
            id,
            db,
            registry,
            redis,
            live,
            opened,
            state,
        }
    }

    /// Starts to follow. The first one opens the hub: other nodes' hints are subscribed to
    /// before the head is read, so that nothing falls between the two.
    pub(super) async fn follow(self: Arc<Self>) -> Result<Following> {
        // Made first: if opening fails, dropping it gives the hub back.
        let mut following = Following {
            live: self.live.subscribe(),
            head: 0,
            hub: Arc::clone(&self),
        };
        self.opened.get_or_try_init(|| self.open()).await?;
        let state = self.state();
        // Under the lock no event can pass between these two lines.
        following.live = self.live.subscribe();
        following.head = state.head.unwrap_or_default();
        drop(state);
        Ok(following)
    }

    async fn open(self: &Arc<Self>) -> Result<()> {
        if let Some(redis) = &self.redis {
            redis.subscribe(self.id).await;
        }
        let head: i64 = conversation::Entity::find_by_id(self.id)
            .select_only()
            .column(conversation::Column::LastSeq)
            .into_tuple()
            .one(&self.db.reader)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        let mut state = self.state();
        state.head = Some(head);
        self.pass_on(&mut state);
        // What was hinted at meanwhile may be newer than the head that was read.
        self.repair_if_behind(&mut state, Duration::ZERO);
        Ok(())
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
                // An error means that nobody listens just now.
                let _ = self.live.send(event);
            }
        }
        state.head = Some(head);
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
            let Some((head, known)) = self.behind_or_done() else {
                return;
            };
            match replay::read(&self.db.reader, self.id, head).await {
                Ok(events) => {
                    let mut state = self.state();
                    for event in events {
                        state.early.insert(event.seq, Arc::new(event));
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
        if state.is_behind() && self.live.receiver_count() > 0 {
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
}
