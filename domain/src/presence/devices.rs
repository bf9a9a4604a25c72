//! The devices that this node keeps leases for: collected here as sockets open and close,
//! and written by one task, many in a transaction.
//!
//! A device whose last socket closes keeps its lease for a short grace: most come back. When
//! the node drains nothing is written any more; its leases end when others find it gone, by
//! when its clients are back elsewhere.

use std::collections::HashSet;
use std::collections::hash_map::{Entry, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::{NodeId, SessionId, UserId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::error::Unauthenticated;
use crate::{Cx, Domain, Result};

use super::{leases, nodes};

/// How long a device stays there after its last socket has closed.
const GRACE: Duration = Duration::from_secs(3);
/// How long a device without a socket stays there after it said something of itself.
const LENT: Duration = Duration::from_secs(45);
/// How often it is looked whose time is over.
const WAKE: Duration = Duration::from_millis(250);
/// What opens and closes within this time is one transaction; the first goes at once.
const TOGETHER: Duration = Duration::from_millis(100);
/// Most devices in one transaction.
pub(super) const AT_ONCE: usize = 512;
/// Pause after the database failed.
const RETRY: Duration = Duration::from_millis(500);

/// The devices of this node, and the id under which it keeps them.
pub(crate) struct Devices {
    clock: Clock,
    state: Mutex<State>,
    /// There is something to write.
    changed: Notify,
    node_id: tokio::sync::Mutex<Option<NodeId>>,
    stopping: CancellationToken,
}

#[derive(Default)]
struct State {
    devices: HashMap<SessionId, Device>,
    /// Those whose lease is to be written.
    new: HashSet<SessionId>,
    /// Those without a socket.
    closing: HashSet<SessionId>,
}

struct Device {
    user_id: UserId,
    /// Its open sockets and streams.
    held: usize,
    /// When it is gone, by the time of [`Clock::uptime`]; as long as it has no socket.
    ends: Duration,
    /// Whether its lease has been written.
    leased: bool,
}

/// What one transaction writes.
#[derive(Clone, Default)]
pub(super) struct Batch {
    pub(super) begun: Vec<(SessionId, UserId)>,
    pub(super) ended: Vec<(SessionId, UserId)>,
}

/// An open socket's or stream's hold on its device.
pub struct DeviceLease {
    session_id: SessionId,
    devices: Arc<Devices>,
}

impl Drop for DeviceLease {
    fn drop(&mut self) {
        self.devices.release(self.session_id);
    }
}

impl Devices {
    pub(crate) fn new(clock: Clock) -> Arc<Self> {
        Arc::new(Self {
            clock,
            state: Mutex::default(),
            changed: Notify::new(),
            node_id: tokio::sync::Mutex::default(),
            stopping: CancellationToken::new(),
        })
    }

    /// Leaves all leases as they are from here on.
    pub(crate) fn stop(&self) {
        self.stopping.cancel();
    }

    /// The id under which this node keeps leases, once it does.
    pub(super) async fn node_id(&self) -> tokio::sync::MutexGuard<'_, Option<NodeId>> {
        self.node_id.lock().await
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().devices.is_empty()
    }

    pub(super) fn hold(self: &Arc<Self>, session_id: SessionId, user_id: UserId) -> DeviceLease {
        let mut state = self.state();
        state.device(session_id, user_id).held += 1;
        state.closing.remove(&session_id);
        drop(state);
        self.changed.notify_one();
        DeviceLease {
            session_id,
            devices: Arc::clone(self),
        }
    }

    fn release(&self, session_id: SessionId) {
        let mut state = self.state();
        let Some(device) = state.devices.get_mut(&session_id) else {
            return;
        };
        device.held -= 1;
        if device.held == 0 {
            device.ends = self.clock.uptime() + GRACE;
            state.closing.insert(session_id);
        }
    }

    /// Keeps a device without a socket for a while.
    pub(super) fn lend(&self, session_id: SessionId, user_id: UserId) {
        let ends = self.clock.uptime() + LENT;
        let mut state = self.state();
        let device = state.device(session_id, user_id);
        if device.held == 0 {
            device.ends = ends;
            state.closing.insert(session_id);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// All leases are to be written once more, under another id of the node.
    pub(super) fn take_all_anew(&self) {
        let mut state = self.state();
        for device in state.devices.values_mut() {
            device.leased = false;
        }
        state.new = state.devices.keys().copied().collect();
        drop(state);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder panics")
    }
}

impl State {
    /// The device; its lease is to be written if it has none.
    fn device(&mut self, session_id: SessionId, user_id: UserId) -> &mut Device {
        let device = self.devices.entry(session_id).or_insert(Device {
            user_id,
            held: 0,
            ends: Duration::ZERO,
            leased: false,
        });
        if !device.leased {
            self.new.insert(session_id);
        }
        device
    }

    /// What there is to write.
    fn take(&mut self, now: Duration) -> Batch {
        let mut batch = Batch::default();
        let is_over = |id: &SessionId| self.devices.get(id).is_none_or(|device| device.ends <= now);
        let over: Vec<SessionId> = self
            .closing
            .iter()
            .copied()
            .filter(is_over)
            .take(AT_ONCE)
            .collect();
        for id in over {
            self.closing.remove(&id);
            self.new.remove(&id);
            if let Some(device) = self.devices.remove(&id).filter(|device| device.leased) {
                batch.ended.push((id, device.user_id));
            }
        }
        let new: Vec<SessionId> = self.new.iter().copied().take(AT_ONCE).collect();
        for id in new {
            self.new.remove(&id);
            if let Some(device) = self.devices.get_mut(&id) {
                device.leased = true;
                batch.begun.push((id, device.user_id));
            }
        }
        batch
    }

    /// Takes back what could not be written.
    fn put_back(&mut self, batch: Batch) {
        for (id, _) in batch.begun {
            if let Some(device) = self.devices.get_mut(&id) {
                device.leased = false;
                self.new.insert(id);
            }
        }
        for (id, user_id) in batch.ended {
            // One that has come back meanwhile is to be written as new, to no effect.
            if let Entry::Vacant(gone) = self.devices.entry(id) {
                gone.insert(Device {
                    user_id,
                    held: 0,
                    ends: Duration::ZERO,
                    leased: true,
                });
                self.closing.insert(id);
            }
        }
    }
}

/// Waits for `time`; answers whether the node goes on.
pub(super) async fn wait(cx: &Cx, time: Duration) -> bool {
    tokio::select! {
        () = cx.handles().devices.stopping.cancelled() => false,
        () = tokio::time::sleep(time) => true,
    }
}

/// Writes what opens and closes until the node stops.
pub(crate) async fn keep_leases(domain: Domain) {
    // Nobody acts: the node itself does.
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let devices = &domain.0.devices;
    loop {
        tokio::select! {
            () = devices.stopping.cancelled() => return,
            () = devices.changed.notified() => {}
            () = tokio::time::sleep(WAKE) => {}
        }
        let batch = devices.state().take(devices.clock.uptime());
        if batch.begun.is_empty() && batch.ended.is_empty() {
            continue;
        }
        let full = batch.begun.len() == AT_ONCE || batch.ended.len() == AT_ONCE;
        let pause = match write(&cx, &batch).await {
            Ok(()) => TOGETHER,
            Err(error) => {
                tracing::warn!(%error, "writing who is there failed; trying again");
                devices.state().put_back(batch);
                RETRY
            }
        };
        if full || pause == RETRY {
            devices.changed.notify_one();
        }
        if !wait(&cx, pause).await {
            return;
        }
    }
}

async fn write(cx: &Cx, batch: &Batch) -> Result<()> {
    let node_id = nodes::own(cx).await?;
    let batch = batch.clone();
    let written =
        cx.write(move |tx| Box::pin(async move { leases::write(tx, node_id, &batch).await }));
    if !written.await? {
        nodes::lose(cx, node_id).await;
    }
    Ok(())
}
