//! Where sends wait for each other, on one node.
//!
//! 1. A send goes into the lane of its conversation. If a commit may begin, it goes straight
//!    through; else it waits for one of those under way.
//! 2. The next commit takes what waits by then, of each lane in turn its share, so that a busy
//!    conversation makes others wait for one commit and not for all that it has.
//! 3. A conversation is in one commit at a time. So commits of a node do not wait for each
//!    other's locks, and what is sent to one conversation while it commits goes with the next.
//! 4. One that another node holds is passed over; passed over too often, it is committed by
//!    itself, which waits for it.
//! 5. A commit that takes long, which may be for such a lock, makes room for another one.

use std::collections::{HashMap, HashSet, VecDeque};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::ConversationId;
use futures_util::FutureExt as _;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

use crate::stamps::Stamps;
use crate::{Domain, Error, Result};

use super::Message;
use super::batch::{Outcome, Outgoing, settle};
use super::statements::Texts;

/// Sends of a node that may wait, and of one conversation.
const WAITING: usize = 8_192;
const WAITING_IN_LANE: usize = 2_048;
/// How long a send may wait to be taken.
const WAIT: Duration = Duration::from_secs(10);
/// What those are told for whom that is too few or too short.
const TOO_MANY: Error = Error::RateLimited {
    retry_after: Duration::from_secs(1),
};
/// Most sends in one commit, and of one conversation: its streams get them all at once, and
/// should not fall behind by that.
const BATCH: usize = 256;
const SHARE: usize = 32;
/// Commits under way at a time; slow ones come on top. While one waits for the disk the next one
/// gathers: with two, each is half as large, and a message costs the database a fifth more.
const AT_ONCE: usize = 1;
/// How often a conversation is passed over before it gets a commit of its own.
const PASSED_OVER: u32 = 2;
/// A commit that takes longer makes room for another.
const SLOW: Duration = Duration::from_millis(50);
/// No commit takes longer than this: the database does not answer.
const GIVE_UP: Duration = Duration::from_secs(30);

/// The sends of a node.
pub(crate) struct SendQueue {
    state: Mutex<State>,
    pub(super) texts: Option<Texts>,
    /// Slow commits for which others make room.
    most_slow: usize,
}

#[derive(Default)]
struct State {
    lanes: HashMap<ConversationId, Lane>,
    /// Whose turn it is: conversations that have sends waiting, and none under way.
    turns: VecDeque<ConversationId>,
    waiting: usize,
    under_way: usize,
    slow: usize,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<Waiting>,
    is_under_way: bool,
    passed_over: u32,
}

struct Waiting {
    send: Outgoing,
    since: Instant,
    answer: oneshot::Sender<Result<Arc<Message>>>,
}

impl Waiting {
    fn conversation_id(&self) -> ConversationId {
        self.send.new.conversation_id
    }
}

impl SendQueue {
    /// A queue for so many Postgres connections.
    pub(crate) fn new(stamps: Stamps, pool: u32) -> Self {
        let texts = Texts::new(stamps);
        let most_slow = if texts.is_some() {
            // However many are stuck, others find a connection.
            usize::try_from(pool / 2).map_or(0, |half| half.saturating_sub(AT_ONCE))
        } else {
            // There is one writer; a second commit would but wait for it.
            0
        };
        Self {
            state: Mutex::default(),
            texts,
            most_slow,
        }
    }

    /// Sends a message; answers after the commit. Whoever does not wait for the answer does not
    /// stop it.
    pub(super) async fn send(domain: &Domain, send: Outgoing) -> Result<Arc<Message>> {
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            send,
            since: Instant::now(),
            answer,
        };
        domain.0.sends.state().add(waiting)?;
        begin(domain);
        let given_up = |_| {
            let message = "a commit was given up; whether it took effect is not known";
            Error::internal(std::io::Error::other(message))
        };
        answered.await.map_err(given_up)?
    }

    /// How many sends wait to be taken.
    pub(crate) fn waiting(&self) -> usize {
        self.state().waiting
    }

    /// What is to be committed next, if another commit may begin.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state();
        if state.under_way >= AT_ONCE + state.slow {
            return None;
        }
        let batch = state.take();
        state.under_way += usize::from(!batch.is_empty());
        Some(batch).filter(|batch| !batch.is_empty())
    }

    /// Makes room for another commit beside one that is slow. Answers whether there was room.
    fn make_room(&self) -> bool {
        let mut state = self.state();
        let makes_room = state.slow < self.most_slow;
        state.slow += usize::from(makes_room);
        makes_room
    }

    fn finish(&self, ids: HashSet<ConversationId>, passed_over: Vec<Waiting>, was_beside: bool) {
        let mut state = self.state();
        state.slow -= usize::from(was_beside);
        state.finish(ids, passed_over);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    fn add(&mut self, waiting: Waiting) -> Result<()> {
        let id = waiting.conversation_id();
        let in_lane = self.lanes.get(&id).map_or(0, |lane| lane.waiting.len());
        if self.waiting >= WAITING || in_lane >= WAITING_IN_LANE {
            return Err(TOO_MANY);
        }
        let lane = self.lanes.entry(id).or_default();
        if lane.waiting.is_empty() && !lane.is_under_way {
            self.turns.push_back(id);
        }
        lane.waiting.push_back(waiting);
        self.waiting += 1;
        Ok(())
    }

    fn take(&mut self) -> Vec<Waiting> {
        let mut batch = Vec::new();
        while batch.len() < BATCH
            && let Some(id) = self.turns.pop_front()
        {
            let lane = self.lanes.entry(id).or_default();
            let goes_alone = lane.passed_over >= PASSED_OVER;
            if goes_alone && !batch.is_empty() {
                self.turns.push_front(id);
                break;
            }
            let share = SHARE.min(BATCH - batch.len()).min(lane.waiting.len());
            batch.extend(lane.waiting.drain(..share));
            lane.is_under_way = true;
            if goes_alone {
                break;
            }
        }
        self.waiting -= batch.len();
        batch
    }

    /// Takes back those that were passed over, and lets the same conversations go on.
    fn finish(&mut self, ids: HashSet<ConversationId>, passed_over: Vec<Waiting>) {
        self.under_way -= 1;
        self.waiting += passed_over.len();
        let again: HashSet<_> = passed_over.iter().map(Waiting::conversation_id).collect();
        for waiting in passed_over.into_iter().rev() {
            let lane = self.lanes.entry(waiting.conversation_id()).or_default();
            lane.waiting.push_front(waiting);
        }
        for id in ids {
            let lane = self.lanes.entry(id).or_default();
            if lane.waiting.is_empty() {
                self.lanes.remove(&id);
                continue;
            }
            lane.is_under_way = false;
            lane.passed_over = if again.contains(&id) {
                lane.passed_over + 1
            } else {
                0
            };
            self.turns.push_back(id);
        }
    }
}

/// Begins as many commits as may be.
fn begin(domain: &Domain) {
    while let Some(batch) = domain.0.sends.take() {
        tokio::spawn(commit(domain.clone(), batch));
    }
}

async fn commit(domain: Domain, batch: Vec<Waiting>) {
    let queue = &domain.0.sends;
    let ids = batch.iter().map(Waiting::conversation_id).collect();
    let mut sends = Vec::with_capacity(batch.len());
    let mut others = Vec::with_capacity(batch.len());
    for Waiting {
        send,
        since,
        answer,
    } in batch
    {
        if since.elapsed() < WAIT {
            sends.push(send);
            others.push((since, answer));
        } else {
            // Whoever sent it may be gone.
            let _ = answer.send(Err(TOO_MANY));
        }
    }
    let (outcomes, is_beside) = settle_beside(&domain, &sends).await;
    let mut passed_over = Vec::new();
    let mut answers = Vec::with_capacity(sends.len());
    // Of what has no outcome the answer is dropped, which tells whoever waits for it.
    for ((send, (since, answer)), outcome) in sends.into_iter().zip(others).zip(outcomes) {
        match outcome {
            Outcome::Answer(told) => answers.push((answer, told)),
            Outcome::PassedOver => passed_over.push(Waiting {
                send,
                since,
                answer,
            }),
        }
    }
    queue.finish(ids, passed_over, is_beside);
    begin(&domain);
    for (answer, told) in answers {
        let _ = answer.send(told);
    }
}

/// The outcomes, as far as there are any, and whether room was made for another commit.
async fn settle_beside(domain: &Domain, sends: &[Outgoing]) -> (Vec<Outcome>, bool) {
    // A commit that panics must not leave its conversations waiting for ever.
    let settled = AssertUnwindSafe(settle(&domain.0, sends)).catch_unwind();
    let mut settled = pin!(timeout(GIVE_UP, settled));
    let mut is_beside = false;
    let outcomes = match timeout(SLOW, &mut settled).await {
        Ok(outcomes) => outcomes,
        Err(_) => {
            is_beside = domain.0.sends.make_room();
            begin(domain);
            settled.await
        }
    };
    match outcomes {
        Ok(Ok(outcomes)) => (outcomes, is_beside),
        Ok(Err(_)) | Err(_) => (Vec::new(), is_beside),
    }
}

#[cfg(test)]
mod tests;
