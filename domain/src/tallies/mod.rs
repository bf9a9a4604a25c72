//! What many do to one message at the same time: reacting, voting.
//!
//! 1. Whoever comes alone goes straight through.
//! 2. Who comes while that commits, or within a short [`WINDOW`] after, waits, and commits with all
//!    others who do: one transaction, one event. So a crowd makes a few events a second on each node,
//!    however large it is.
//! 3. Everybody is answered after the commit. What is asked for is how it shall be, so it may be asked
//!    again whatever became of the first time.

mod commit;

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::{MessageId, Timestamp, UserId};
use sea_orm::sea_query::{ExprTrait as _, Order};
use sea_orm::{
    ColumnTrait as _, Condition, EntityTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _,
    Select,
};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::access::Membership;
use crate::cx::Tx;
use crate::event::EventKind;
use crate::messages::Message;
use crate::page::{End, PageRequest};
use crate::users::User;
use crate::{Domain, Error, Result};

use self::commit::commit;

/// Those who may wait on a node, and for one message.
const WAITING: usize = 8_192;
const WAITING_IN_LANE: usize = 4_096;
/// How long one may wait to be taken.
const WAIT: Duration = Duration::from_secs(10);
/// What those are told for whom that is too few or too short.
const TOO_MANY: Error = Error::RateLimited {
    retry_after: Duration::from_secs(1),
};
/// Most in one commit.
const BATCH: usize = 512;
/// How long after a commit others gather for the next one.
const WINDOW: Duration = Duration::from_millis(250);

/// Something that many do to one message.
pub(crate) trait Tally: Clone + Send + Sync + 'static {
    /// Where it waits.
    fn queue(domain: &Domain) -> &TallyQueue<Self>;

    /// What is told of it.
    fn event(message: Arc<Message>) -> EventKind;

    /// Does all that is asked, in order, under the lock of the message's conversation; to a message
    /// that may have more details afterwards.
    fn apply(
        tx: &Tx,
        message: &mut Message,
        members: &HashMap<UserId, Membership>,
        asked: &[Asked<Self>],
    ) -> impl Future<Output = Result<Applied>> + Send;
}

/// Who asks for what.
#[derive(Clone)]
pub(crate) struct Asked<T> {
    pub(crate) user: Arc<User>,
    pub(crate) what: T,
}

/// What came of it.
pub(crate) struct Applied {
    /// Whether each was done; what was so already was.
    pub(crate) outcomes: Vec<Result<()>>,
    /// Those by whom something has changed.
    pub(crate) changed_by: Vec<Arc<User>>,
    /// Whether nobody is to learn who they are.
    pub(crate) is_anonymous: bool,
}

/// Where somebody stands in the list of those who did the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TallyPosition {
    /// Since when they have.
    pub at: Timestamp,
    /// Who.
    pub user_id: UserId,
}

/// A page of a list of those, in the order of two columns: since when, and who.
pub(crate) fn page_of<E: EntityTrait>(
    select: Select<E>,
    [at, user_id]: [E::Column; 2],
    request: &PageRequest<TallyPosition>,
) -> Select<E>
where
    E::Column: Copy,
{
    let mut select = select;
    if let Some(after) = request.after {
        let tie = at.eq(after.at).and(user_id.gt(after.user_id));
        select = select.filter(Condition::any().add(at.gt(after.at)).add(tie));
    }
    if let Some(before) = request.before {
        let tie = at.eq(before.at).and(user_id.lt(before.user_id));
        select = select.filter(Condition::any().add(at.lt(before.at)).add(tie));
    }
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    select
        .order_by(at, order.clone())
        .order_by(user_id, order)
        .limit(request.rows())
}

/// What waits on a node, by message: a lane is there while somebody sees to it.
pub(crate) struct TallyQueue<T>(Mutex<State<T>>);

struct State<T> {
    lanes: HashMap<MessageId, VecDeque<Waiting<T>>>,
    waiting: usize,
}

struct Waiting<T> {
    asked: Asked<T>,
    since: Instant,
    answer: oneshot::Sender<Result<Arc<Message>>>,
}

impl<T> Default for TallyQueue<T> {
    fn default() -> Self {
        Self(Mutex::new(State {
            lanes: HashMap::new(),
            waiting: 0,
        }))
    }
}

/// Does something to a message; answers with it after the commit. Whoever does not wait for the
/// answer does not stop it.
///
/// # Errors
/// [`Error::NotFound`] to one who is no member where it is; [`Error::RateLimited`] when too many wait
/// already, or this one has waited too long; whatever else [`Tally::apply`] refuses.
pub(crate) async fn tally<T: Tally>(
    domain: &Domain,
    id: MessageId,
    asked: Asked<T>,
) -> Result<Arc<Message>> {
    let (answer, answered) = oneshot::channel();
    let waiting = Waiting {
        asked,
        since: Instant::now(),
        answer,
    };
    if T::queue(domain).add(id, waiting)? {
        tokio::spawn(see_to::<T>(domain.clone(), id));
    }
    let given_up = |_| {
        let message = "a commit was given up; whether it took effect is not known";
        Error::internal(std::io::Error::other(message))
    };
    answered.await.map_err(given_up)?
}

/// Commits what waits in a lane, until nothing does.
async fn see_to<T: Tally>(domain: Domain, id: MessageId) {
    while let Some(batch) = T::queue(&domain).take(id) {
        commit(&domain, id, batch).await;
        sleep(WINDOW).await;
    }
}

impl<T> TallyQueue<T> {
    /// Answers whether the lane is new, and somebody is to see to it.
    fn add(&self, id: MessageId, waiting: Waiting<T>) -> Result<bool> {
        let mut state = self.state();
        let in_lane = state.lanes.get(&id).map_or(0, VecDeque::len);
        if state.waiting >= WAITING || in_lane >= WAITING_IN_LANE {
            return Err(TOO_MANY);
        }
        state.waiting += 1;
        let is_new = !state.lanes.contains_key(&id);
        state.lanes.entry(id).or_default().push_back(waiting);
        Ok(is_new)
    }

    /// The next to be committed; none when nothing waits, and then the lane is gone.
    fn take(&self, id: MessageId) -> Option<Vec<Waiting<T>>> {
        let mut state = self.state();
        let lane = state.lanes.get_mut(&id)?;
        let batch: Vec<_> = lane.drain(..lane.len().min(BATCH)).collect();
        if batch.is_empty() {
            state.lanes.remove(&id);
            return None;
        }
        state.waiting -= batch.len();
        Some(batch)
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.0.lock().expect("no holder panics")
    }
}
