//! Many subscribers of one conversation: at a steady pace, and as fast as all of them can have it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::closed_loop::{Load, Window};
use crate::marker::{Marker, now};
use crate::node::Node;
use crate::seed::World;
use crate::sends::Sender;
use crate::socket::{Complaints, Listener, Subscription};
use crate::table::Outcome;
use crate::{PATIENCE, Result};

const SUBSCRIBERS: usize = 1_000;
/// Between two messages at a steady pace, of 20 a second.
const GAP: Duration = Duration::from_millis(50);
/// How many messages are on their way at once, otherwise.
const ON_THEIR_WAY: usize = 16;
/// How many sockets are opened at a time.
pub(crate) const OPENING: usize = 32;
/// How long a node tries to write to one who does not read, and some more.
const GIVING_UP: Duration = Duration::from_secs(12);
/// How long everything is left alone after they have opened.
const REST: Duration = Duration::from_secs(1);

/// Whether all subscribers read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readers {
    All,
    AllButOne,
}

impl Readers {
    /// What the rows of the table are called.
    fn rows(self) -> [&'static str; 2] {
        match self {
            Self::All => [
                "fan-out to 1,000, 20 a second",
                "fan-out to 1,000, saturated",
            ],
            Self::AllButOne => [
                "  one never reads, 20 a second",
                "  one never reads, saturated",
            ],
        }
    }
}

/// Both measurements, one after the other.
pub(crate) async fn measure(
    node: &Node,
    world: &World,
    length: Duration,
    readers: Readers,
) -> Result<Vec<Outcome>> {
    let mut crowd = Crowd::gather(node, world, readers).await?;
    let both = async {
        let paced = crowd.at_a_pace(node, length).await?;
        Result::Ok([paced, crowd.saturated(node, length).await?])
    };
    let both = both.await;
    // Where something did not arrive, this says why.
    crowd.complaints.check()?;
    let both = both?;
    crowd.check_slow().await?;
    let rows = both.iter().zip(readers.rows());
    Ok(rows
        .map(|(load, what)| load.outcome(what, "delivery"))
        .collect())
}

struct Crowd {
    deliveries: Rc<Deliveries>,
    complaints: Rc<Complaints>,
    senders: Vec<Sender>,
    everybody: String,
    readers: Vec<Listener>,
    slow: Option<Subscription>,
}

/// Who has had what.
#[derive(Default)]
struct Deliveries {
    readers: Cell<usize>,
    /// The number of the next message.
    next: Cell<u64>,
    /// Of each message that not all have had: how many have not, and who waits for that.
    awaited: RefCell<HashMap<u64, (usize, oneshot::Sender<()>)>>,
    window: RefCell<Rc<Window>>,
}

impl Deliveries {
    /// Sends a message that was due at a time, and waits until all have it.
    async fn send(&self, sender: &mut Sender, conversation: &str, due: u64) -> Result<()> {
        let number = self.next.replace(self.next.get() + 1);
        let (all, have_it) = oneshot::channel();
        let awaited = (self.readers.get(), all);
        self.awaited.borrow_mut().insert(number, awaited);
        sender
            .send(conversation, Marker { number, at: due })
            .await?;
        let in_time = timeout(PATIENCE, have_it).await;
        in_time.map_err(|_| "a message did not reach everybody")??;
        Ok(())
    }

    /// Somebody has one.
    fn note(&self, marker: Marker) {
        let mut awaited = self.awaited.borrow_mut();
        if let Some((missing, _)) = awaited.get_mut(&marker.number) {
            *missing -= 1;
            if *missing == 0 {
                let all = awaited.remove(&marker.number).map(|(_, all)| all);
                // Whoever waited may have given up.
                all.and_then(|all| all.send(()).ok());
            }
        }
        self.window.borrow().record(now() - marker.at);
    }

    /// What is measured from now on.
    fn open_window(&self) -> Rc<Window> {
        let window = Rc::<Window>::default();
        self.window.replace(Rc::clone(&window));
        window
    }
}

impl Crowd {
    async fn gather(node: &Node, world: &World, readers: Readers) -> Result<Self> {
        let (deliveries, complaints) = (Rc::<Deliveries>::default(), Rc::<Complaints>::default());
        let reading = match readers {
            Readers::All => SUBSCRIBERS,
            Readers::AllButOne => SUBSCRIBERS - 1,
        };
        let (reading, slow) = world.people.split_at(reading);
        let (address, everybody) = (node.address, &world.everybody);
        let listening = stream::iter(reading).map(async |person| {
            let subscription = Subscription::open(address, &person.token, everybody, None).await?;
            let deliveries = Rc::clone(&deliveries);
            let hears = move |marker| deliveries.note(marker);
            Result::Ok(subscription.listen(&complaints, hears))
        });
        let listening: Vec<_> = listening.buffered(OPENING).try_collect().await?;
        deliveries.readers.set(listening.len());
        let slow = match slow.first() {
            Some(slow) => Some(Subscription::open_narrow(address, &slow.token, everybody).await?),
            None => None,
        };
        let senders = world.people[..ON_THEIR_WAY].iter();
        let senders = senders.map(|person| Sender::connect(address, &person.token));
        let crowd = Self {
            deliveries,
            complaints,
            senders: try_join_all(senders).await?,
            everybody: everybody.clone(),
            readers: listening,
            slow,
        };
        sleep(REST).await;
        Ok(crowd)
    }

    /// Messages at their times, from each of which it is measured to its receipts.
    async fn at_a_pace(&mut self, node: &Node, length: Duration) -> Result<Load> {
        let window = self.deliveries.open_window();
        let (began, since) = (Instant::now(), now());
        let sending = self
            .senders
            .iter_mut()
            .enumerate()
            .map(async |(k, sender)| {
                for n in (k as u32..).step_by(ON_THEIR_WAY) {
                    sleep_until(began + GAP * n).await;
                    if window.is_over() {
                        break;
                    }
                    let due = since + u64::from(n) * GAP.as_micros() as u64;
                    self.deliveries.send(sender, &self.everybody, due).await?;
                }
                Ok(())
            });
        let (load, _) = try_join(window.pass(node, length), try_join_all(sending)).await?;
        Ok(load)
    }

    /// Each sends its next one when all have its last.
    async fn saturated(&mut self, node: &Node, length: Duration) -> Result<Load> {
        let window = self.deliveries.open_window();
        let sending = self.senders.iter_mut().map(async |sender| {
            while !window.is_over() {
                self.deliveries.send(sender, &self.everybody, now()).await?;
            }
            Ok(())
        });
        let (load, _) = try_join(window.pass(node, length), try_join_all(sending)).await?;
        Ok(load)
    }

    /// Makes sure that the one who never read was one that could not be written to.
    async fn check_slow(&mut self) -> Result<()> {
        let Some(slow) = self.slow.take() else {
            return Ok(());
        };
        let last = self.readers.iter().filter_map(Listener::last).max();
        sleep(GIVING_UP).await;
        slow.was_given_up(last.ok_or("nobody heard anything")?)
            .await
    }
}
