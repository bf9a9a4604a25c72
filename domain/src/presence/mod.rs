//! Who is there: online, away, busy or offline.
//!
//! 1. A device, which is a session, is there while it has a lease: a row that says which node
//!    keeps it. An open socket or stream holds one ([`hold`]); [`set`] without either gets one
//!    for a while. [`devices`] collects what opens and closes; [`leases`] writes it, many at
//!    once.
//! 2. A lease goes with its node: nodes beat, and one that stops is declared dead by the
//!    others ([`nodes`]), who then end its leases.
//! 3. Whatever changes leases, or what a device says of itself, makes out the users' presence
//!    anew in the same transaction, under the lock of their rows ([`outcome`]).
//! 4. A change is told under the user's topic. The bus keeps the newest value of each user who
//!    is watched on a node, and its sweep finds what nobody was told. [`watch`] streams them.

mod devices;
mod leases;
mod nodes;
mod outcome;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::session::DeviceState;
use backchannel_entities::{SessionId, UserId, presence};
use futures_util::Stream;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter};
use tokio::time::Instant;

use crate::cx::Tx;
use crate::db::in_list;
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, limits, users};

pub(crate) use self::devices::{Devices, keep_leases};
pub(crate) use self::nodes::keep_beating;

pub use self::devices::DeviceLease;
pub use backchannel_entities::presence::{Model as Presence, State};

/// A watcher is woken at most this often; what changes meanwhile comes as its latest value.
const TICK: Duration = Duration::from_millis(100);
/// Most changes given to a watcher at each waking; the rest wait, as their latest values.
const BUDGET: usize = 50;

/// Whether a person said it, or their client noticed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Said: it stays until something else is said.
    Chosen,
    /// Noticed: that the person has gone from the device, or is back. Overrides nothing said.
    Automatic,
}

/// What a device says of itself, checked.
pub struct NewPresence {
    state: State,
    origin: Origin,
    /// The user's new text, if it changes; none within takes it away.
    text: Option<Option<String>>,
}

impl NewPresence {
    /// Checks it. No text leaves the present one; a blank one takes it away.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a text that is too long, and for what cannot be noticed.
    pub fn parse(state: State, origin: Origin, text: Option<&str>) -> Result<Self> {
        let noticeable = matches!(state, State::Online | State::Away);
        if origin == Origin::Automatic && !noticeable {
            let message = "goes with ONLINE and AWAY only";
            return Err(Error::bad_input("automatic", message));
        }
        let text = text.map(|text| limits::presence_text("text", text));
        Ok(Self {
            state,
            origin,
            text: text.transpose()?,
        })
    }

    /// What a device that was in `before` is in afterwards.
    fn applied_to(&self, before: DeviceState) -> DeviceState {
        match (self.origin, self.state, before) {
            (Origin::Automatic, State::Away, DeviceState::Online) => DeviceState::Idle,
            (Origin::Automatic, State::Online, DeviceState::Idle) => DeviceState::Online,
            (Origin::Automatic, _, before) => before,
            (Origin::Chosen, State::Online, _) => DeviceState::Online,
            (Origin::Chosen, State::Away, _) => DeviceState::Away,
            (Origin::Chosen, State::Busy, _) => DeviceState::Busy,
            (Origin::Chosen, State::Offline, _) => DeviceState::Offline,
        }
    }
}

/// Says that the actor's device is there, until the lease is dropped. None for nobody.
#[must_use]
pub fn hold(cx: &Cx) -> Option<DeviceLease> {
    let signed_in = cx.signed_in().ok()?;
    let devices = &cx.handles().devices;
    Some(devices.hold(signed_in.session_id, signed_in.user.id))
}

/// Sets what the actor's device says of itself, and the actor's text. A device without an
/// open socket counts as there for a while from now.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in; [`Error::RateLimited`] when the device has said
/// too much.
pub async fn set(cx: &Cx, new: NewPresence) -> Result<Presence> {
    let signed_in = Arc::clone(cx.signed_in()?);
    rates::count(cx, Action::Signal)?;
    let new = Arc::new(new);
    loop {
        let node_id = nodes::own(cx).await?;
        let (new, signed_in) = (Arc::clone(&new), Arc::clone(&signed_in));
        let devices = Arc::clone(&cx.handles().devices);
        let written = cx.write(move |tx| {
            Box::pin(
                async move { leases::write_own(tx, &devices, node_id, &signed_in, &new).await },
            )
        });
        match written.await? {
            Some(presence) => return Ok(presence),
            // The node was declared dead meanwhile; it comes back as another.
            None => nodes::lose(cx, node_id).await,
        }
    }
}

/// Ends all leases of a user's sessions that are being ended.
pub(crate) async fn end_devices(tx: &mut Tx, user_id: UserId, ids: &[SessionId]) -> Result<()> {
    leases::end_everywhere(tx, user_id, ids).await
}

/// Presence by user; for whoever never was there, that.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[UserId]) -> Result<HashMap<UserId, Presence>> {
    cx.signed_in()?;
    let mut found = read_many(cx.read(), ids).await?;
    for id in ids {
        found.entry(*id).or_insert_with(|| never_there(*id));
    }
    Ok(found)
}

/// Presence by user, of those who ever were there.
pub(crate) async fn read_many(
    db: &impl ConnectionTrait,
    ids: &[UserId],
) -> Result<HashMap<UserId, Presence>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = presence::Entity::find()
        .filter(presence::Column::UserId.is_in(in_list(ids)))
        .all(db)
        .await?;
    Ok(found
        .into_iter()
        .map(|presence| (presence.user_id, presence))
        .collect())
}

/// The presence of a user who never was there.
pub(crate) fn never_there(id: UserId) -> Presence {
    Presence {
        user_id: id,
        state: State::Offline,
        text: None,
        last_seen_at: None,
        changes: 0,
        stamp: 0,
    }
}

/// The present presence of each user, in the order of `ids`, then each change: the latest
/// value of whoever changed, never the same twice in a row.
///
/// # Errors
/// [`Error::BadInput`] for too many ids; [`Error::NotFound`] when one of them is nobody's.
pub async fn watch(
    cx: &Cx,
    ids: Vec<UserId>,
) -> Result<impl Stream<Item = Arc<Presence>> + Send + use<>> {
    cx.signed_in()?;
    let ids = limits::ids("userIds", ids)?;
    if users::read_many(cx.read(), ids.clone()).await?.len() < ids.len() {
        return Err(Error::NotFound("user"));
    }
    let mut watch = cx.handles().bus.watch(ids).await?;
    Ok(stream! {
        for presence in watch.all() {
            yield presence;
        }
        let mut next = Instant::now();
        loop {
            watch.changed().await;
            tokio::time::sleep_until(next).await;
            for presence in watch.changes(BUDGET) {
                yield presence;
            }
            next = Instant::now() + TICK;
        }
    })
}
