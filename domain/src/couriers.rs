//! Those who take codes to people. A way to do so is a [`Courier`]; this crate knows none.
//!
//! Letters are delivered behind the back of whoever asked for them: how long it takes, and whether
//! there is anybody to write to, shows in no answer. They wait in memory, because a code is
//! nowhere kept as it is; one that is lost with its node is asked for again.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{sleep, timeout};

use crate::{Error, Result};

pub use backchannel_entities::code::Purpose;

/// Letters that may wait, and that may be on their way.
const WAITING: usize = 1_024;
const UNDER_WAY: usize = 32;
/// How long one try may take, and the pauses between tries.
const TRY: Duration = Duration::from_secs(10);
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// When those may ask again for whose letters there is no room.
const CROWDED: Duration = Duration::from_secs(5);

/// How somebody is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// By their phone.
    Sms,
    /// By their mailbox.
    Email,
}

/// A code on its way.
#[derive(Clone)]
pub struct Letter {
    /// How it goes.
    pub channel: Channel,
    /// E-mail address, or phone number in E.164.
    pub to: String,
    /// Six digits.
    pub code: String,
    /// What it is for.
    pub purpose: Purpose,
    /// How long the code is good.
    pub good_for: Duration,
    /// The secret of a link that does as well as the code, where it is for something that can be
    /// done by a link.
    pub link: Option<String>,
}

/// Says nothing of what must not be in logs.
impl Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            channel, purpose, ..
        } = self;
        write!(f, "a letter by {channel:?} for {purpose:?}")
    }
}

/// Why a letter was not delivered, in words that name nobody.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Undelivered(pub String);

/// A way to reach people.
pub trait Courier: Debug + Send + Sync {
    /// Whether letters by this channel are for it.
    fn serves(&self, channel: Channel) -> bool;

    /// Delivers a letter. It is given up after ten seconds, and tried three times in all.
    fn deliver<'l>(&'l self, letter: &'l Letter) -> BoxFuture<'l, Result<(), Undelivered>>;
}

/// The couriers of a node, the one to be preferred first.
pub(crate) struct Couriers {
    all: Vec<Arc<dyn Courier>>,
    letters: mpsc::Sender<(Arc<dyn Courier>, Letter)>,
}

/// A courier who is ready to take a letter.
pub(crate) struct Ready {
    courier: Arc<dyn Courier>,
    place: mpsc::OwnedPermit<(Arc<dyn Courier>, Letter)>,
}

impl Couriers {
    /// Lets them begin. They stop when this is dropped.
    pub(crate) fn start(all: Vec<Arc<dyn Courier>>) -> Self {
        let (letters, waiting) = mpsc::channel(WAITING);
        tokio::spawn(deliver_all(waiting));
        Self { all, letters }
    }

    /// Finds one for a channel, and a place for a letter.
    ///
    /// # Errors
    /// [`Error::Forbidden`] where nobody serves the channel; [`Error::RateLimited`] when too many
    /// letters wait.
    pub(crate) fn get_ready(&self, channel: Channel) -> Result<Ready> {
        let mut all = self.all.iter();
        let courier = all.find(|courier| courier.serves(channel));
        let courier = courier.ok_or(Error::Forbidden(match channel {
            Channel::Sms => "this server sends no codes to phones",
            Channel::Email => "this server sends no codes by e-mail",
        }))?;
        let place = self.letters.clone().try_reserve_owned();
        Ok(Ready {
            courier: Arc::clone(courier),
            place: place.map_err(|_| Error::RateLimited {
                retry_after: CROWDED,
            })?,
        })
    }
}

impl Ready {
    /// Gives the letter away.
    pub(crate) fn take(self, letter: Letter) {
        self.place.send((self.courier, letter));
    }
}

async fn deliver_all(mut waiting: mpsc::Receiver<(Arc<dyn Courier>, Letter)>) {
    let places = Arc::new(Semaphore::new(UNDER_WAY));
    while let Some((courier, letter)) = waiting.recv().await {
        let place = Arc::clone(&places).acquire_owned().await;
        tokio::spawn(async move {
            deliver(&*courier, &letter).await;
            drop(place);
        });
    }
}

async fn deliver(courier: &dyn Courier, letter: &Letter) {
    let mut pauses = PAUSES.iter();
    loop {
        let because = match timeout(TRY, courier.deliver(letter)).await {
            Ok(Ok(())) => return,
            Ok(Err(Undelivered(because))) => because,
            Err(_) => "no answer in time".to_owned(),
        };
        let channel = letter.channel;
        let Some(pause) = pauses.next() else {
            tracing::error!(?channel, %because, "a code could not be delivered");
            return;
        };
        tracing::warn!(?channel, %because, "a code was not delivered; trying again");
        sleep(*pause).await;
    }
}
