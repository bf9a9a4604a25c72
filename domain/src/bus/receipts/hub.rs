//! One [`ReceiptHub`] for each conversation whose receipts somebody here streams.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use backchannel_entities::{ConversationId, Timestamp, UserId};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{OnceCell, broadcast};

use crate::bus::Ends;
use crate::bus::hub::Following;
use crate::{Error, Result};

use super::again::read_marks;
use super::{Advance, KEPT};

/// How long news is collected before it goes out together.
const TICK: Duration = Duration::from_millis(250);
/// Batches a stream may be behind before it is told what it missed at once.
const LIVE: usize = 8;

/// Passes news of a conversation's receipts on to their streams.
pub(in crate::bus) struct ReceiptHub {
    live: broadcast::Sender<Arc<Batch>>,
    opened: OnceCell<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last event that the conversation's hub has passed on.
    head: i64,
    /// The number of the last batch.
    batch: u64,
    /// What has been passed on, or was so before anybody listened.
    passed: HashMap<UserId, Moved>,
    /// What is to be passed on.
    waiting: HashMap<UserId, Advance>,
    /// Whether a task waits for the next tick.
    ticking: bool,
}

/// What went out together.
struct Batch {
    number: u64,
    moved: Vec<Moved>,
}

/// How far a member has come, and with which batch either mark was passed on.
#[derive(Clone, Copy)]
pub(crate) struct Moved {
    pub(crate) advance: Advance,
    delivered_in: u64,
    read_in: u64,
}

impl ReceiptHub {
    pub(in crate::bus) fn new(head: i64) -> Self {
        Self {
            live: broadcast::channel(LIVE).0,
            opened: OnceCell::new(),
            state: Mutex::new(State {
                head,
                ..State::default()
            }),
        }
    }

    /// Takes what marks have moved.
    pub(in crate::bus) fn take(self: &Arc<Self>, advances: &[Advance]) {
        let mut state = self.state();
        for advance in advances {
            state.take(advance);
        }
        self.pass_on(&mut state);
    }

    /// Takes the news that events up to `head` have been passed on.
    pub(in crate::bus) fn follow_to(self: &Arc<Self>, head: i64) {
        let mut state = self.state();
        state.head = head;
        self.pass_on(&mut state);
    }

    /// Takes the news that somebody has joined, which is no news of receipts: nothing from
    /// before counts as unread.
    pub(in crate::bus) fn joined(&self, user_id: UserId, seq: i64) {
        self.state().know(Advance {
            user_id,
            delivered_seq: seq,
            read_seq: seq,
            at: Timestamp(0),
            shows_reads: true,
            last_seq: seq,
        });
    }

    /// Takes the news that somebody has left, of whom there is nothing more to tell.
    pub(in crate::bus) fn left(&self, user_id: UserId) {
        self.state().waiting.remove(&user_id);
    }

    fn pass_on(self: &Arc<Self>, state: &mut State) {
        if !state.ticking
            && let Some(batch) = state.next_batch()
        {
            state.ticking = true;
            // An error means that nobody listens just now.
            let _ = self.live.send(batch);
            tokio::spawn(tick(Arc::downgrade(self)));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

/// Passes on what has been collected, tick by tick, until there is nothing.
async fn tick(hub: Weak<ReceiptHub>) {
    loop {
        tokio::time::sleep(TICK).await;
        let Some(hub) = hub.upgrade() else { return };
        let mut state = hub.state();
        let Some(batch) = state.next_batch() else {
            state.ticking = false;
            return;
        };
        let _ = hub.live.send(batch);
    }
}

impl State {
    /// Takes how far a member had come before anybody listened.
    fn know(&mut self, advance: Advance) {
        let known = self.passed.entry(advance.user_id).or_insert(Moved {
            advance,
            delivered_in: 0,
            read_in: 0,
        });
        known.advance = known.advance.united(&advance);
    }

    fn take(&mut self, advance: &Advance) {
        let known = self.waiting.get(&advance.user_id);
        let known = known.or_else(|| self.passed.get(&advance.user_id).map(|m| &m.advance));
        let advance = match known {
            Some(known) if !advance.is_beyond(known) => return,
            Some(known) => advance.united(known),
            None => *advance,
        };
        if self.waiting.len() < KEPT {
            self.waiting.insert(advance.user_id, advance);
        }
    }

    /// Everything that may be passed on now, the latest last.
    fn next_batch(&mut self) -> Option<Arc<Batch>> {
        let (head, number) = (self.head, self.batch + 1);
        let ready = self.waiting.extract_if(|_, next| next.last_seq <= head);
        let mut moved: Vec<Moved> = ready
            .map(|(user_id, advance)| {
                let before = self.passed.get(&user_id);
                Moved::in_batch(number, advance, before)
            })
            .collect();
        if moved.is_empty() {
            return None;
        }
        self.batch = number;
        for moved in &moved {
            self.passed.insert(moved.advance.user_id, *moved);
        }
        self.forget_oldest();
        moved.sort_unstable_by_key(|moved| moved.advance.at);
        Some(Arc::new(Batch { number, moved }))
    }

    /// The batches from now on, and the number of the last one before them.
    fn subscribe(
        &self,
        live: &broadcast::Sender<Arc<Batch>>,
    ) -> (broadcast::Receiver<Arc<Batch>>, u64) {
        (live.subscribe(), self.batch)
    }

    fn passed_since(&self, batch: u64) -> Vec<Moved> {
        let mut moved: Vec<Moved> = self.passed.values().copied().collect();
        moved.retain(|moved| moved.last_in() > batch);
        moved.sort_unstable_by_key(|moved| moved.advance.at);
        moved
    }

    fn forget_oldest(&mut self) {
        if self.passed.len() <= KEPT {
            return;
        }
        let mut batches: Vec<u64> = self.passed.values().map(Moved::last_in).collect();
        let (_, median, _) = batches.select_nth_unstable(KEPT / 2);
        let median = *median;
        self.passed.retain(|_, moved| moved.last_in() > median);
    }
}

impl Moved {
    fn in_batch(number: u64, advance: Advance, before: Option<&Self>) -> Self {
        let number_of = |moved: bool, before: Option<u64>| match before {
            Some(before) if !moved => before,
            Some(_) | None => number,
        };
        Self {
            delivered_in: number_of(
                before.is_none_or(|b| advance.delivered_seq > b.advance.delivered_seq),
                before.map(|b| b.delivered_in),
            ),
            read_in: number_of(
                before.is_none_or(|b| advance.read_seq > b.advance.read_seq),
                before.map(|b| b.read_in),
            ),
            advance,
        }
    }

    fn last_in(&self) -> u64 {
        self.delivered_in.max(self.read_in)
    }
}

/// A stream's hold on a conversation's receipts.
pub(crate) struct FollowingReceipts {
    pub(crate) news: ReceiptNews,
    /// The events among which they stand. To be taken first: whoever was removed is told so
    /// before what happened after.
    pub(crate) events: Following,
}

/// What moves from now on.
pub(crate) struct ReceiptNews {
    hub: Arc<ReceiptHub>,
    live: broadcast::Receiver<Arc<Batch>>,
    /// The last batch taken.
    seen: u64,
}

impl Ends {
    /// Follows a conversation's receipts from now on.
    pub(in crate::bus) async fn follow_receipts(
        self: &Arc<Self>,
        id: ConversationId,
    ) -> Result<FollowingReceipts> {
        let events = self.follow(id).await?;
        let hub = events.receipts();
        let read = async {
            let known = read_marks(&self.db, &[id], Timestamp(0)).await?;
            let mut state = hub.state();
            known.into_iter().for_each(|(_, known)| state.know(known));
            Ok::<_, Error>(())
        };
        hub.opened.get_or_try_init(|| read).await?;
        let (live, seen) = hub.state().subscribe(&hub.live);
        let news = ReceiptNews { hub, live, seen };
        Ok(FollowingReceipts { news, events })
    }
}

impl ReceiptNews {
    /// What is passed on next, and the number of the batch before: of what a stream was too
    /// slow for, all that is still so. None when there will be no more. May be dropped while
    /// it waits.
    pub(crate) async fn next(&mut self) -> Option<(u64, Vec<Moved>)> {
        let before = self.seen;
        match self.live.recv().await {
            Ok(batch) => {
                self.seen = batch.number;
                Some((before, batch.moved.clone()))
            }
            Err(RecvError::Lagged(_)) => {
                let state = self.hub.state();
                (self.live, self.seen) = state.subscribe(&self.hub.live);
                Some((before, state.passed_since(before)))
            }
            Err(RecvError::Closed) => None,
        }
    }
}

impl Moved {
    /// Whether it was delivered after that batch.
    pub(crate) fn is_delivered_since(&self, batch: u64) -> bool {
        self.delivered_in > batch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advance(user: u128, delivered_seq: i64, read_seq: i64, last_seq: i64) -> Advance {
        Advance {
            user_id: UserId(uuid::Uuid::from_u128(user)),
            delivered_seq,
            read_seq,
            at: Timestamp(delivered_seq + read_seq),
            shows_reads: true,
            last_seq,
        }
    }

    /// Passes on what is ready, as a tick does.
    fn pass(hub: &ReceiptHub) -> Option<Arc<Batch>> {
        let batch = hub.state().next_batch()?;
        let _ = hub.live.send(Arc::clone(&batch));
        Some(batch)
    }

    #[test]
    fn what_comes_late_or_twice_is_no_news() {
        let hub = ReceiptHub::new(9);
        hub.state().take(&advance(1, 5, 4, 9));
        assert_eq!(pass(&hub).expect("a batch").moved.len(), 1);
        for old in [
            advance(1, 5, 4, 9),
            advance(1, 4, 4, 9),
            advance(1, 5, 0, 9),
        ] {
            hub.state().take(&old);
        }
        assert!(pass(&hub).is_none());
        hub.state().take(&advance(1, 3, 6, 9));
        let batch = pass(&hub).expect("a batch");
        let [moved] = batch.moved.as_slice() else {
            panic!("one member");
        };
        assert_eq!(
            (moved.advance.delivered_seq, moved.advance.read_seq),
            (5, 6)
        );
        assert!(!moved.is_delivered_since(1), "a mere read");
    }

    #[test]
    fn nothing_is_passed_on_before_the_events_it_followed() {
        let hub = ReceiptHub::new(5);
        hub.state().take(&advance(1, 5, 5, 7));
        hub.state().take(&advance(2, 5, 5, 5));
        assert_eq!(pass(&hub).expect("a batch").moved.len(), 1);
        hub.state().head = 6;
        assert!(pass(&hub).is_none());
        hub.state().head = 7;
        assert_eq!(pass(&hub).expect("a batch").moved.len(), 1);
    }

    /// Follows a hub that nothing else holds open; what it holds of the conversation is not
    /// needed here.
    fn follow(hub: &Arc<ReceiptHub>) -> ReceiptNews {
        let (live, seen) = hub.state().subscribe(&hub.live);
        let hub = Arc::clone(hub);
        ReceiptNews { hub, live, seen }
    }

    #[tokio::test]
    async fn a_stream_that_was_too_slow_gets_the_latest_of_each() {
        let hub = Arc::new(ReceiptHub::new(99));
        let mut news = follow(&hub);
        for seq in 1..=40 {
            for user in 1..=3 {
                hub.state().take(&advance(user, 40, seq, 99));
            }
            pass(&hub);
        }
        let (before, moved) = news.next().await.expect("the stream goes on");
        assert_eq!((before, moved.len()), (0, 3));
        assert!(
            moved
                .iter()
                .all(|m| m.advance.read_seq == 40 && m.is_delivered_since(before))
        );
        hub.state().take(&advance(2, 40, 41, 99));
        pass(&hub);
        let (before, moved) = news.next().await.expect("the stream goes on");
        assert_eq!((before, moved.len()), (40, 1), "and nothing twice");
        assert!(!moved[0].is_delivered_since(before));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let hub = ReceiptHub::new(1);
        for user in 0..=KEPT as u128 {
            hub.state().take(&advance(user, 1, 1, 1));
            hub.state().next_batch();
        }
        let state = hub.state();
        assert!((KEPT / 4..=KEPT).contains(&state.passed.len()));
        assert!(
            state
                .passed
                .contains_key(&UserId(uuid::Uuid::from_u128(KEPT as u128)))
        );
    }
}
