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

use backchannel_entities::session::DeviceState;
use backchannel_entities::{NodeId, SessionId, UserId, lease, session};
use sea_orm::sea_query::{Expr, Query};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, ExprTrait as _, IntoActiveModel, PaginatorTrait,
    QueryFilter,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::Clock;
use crate::cx::Tx;
use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::sessions::SignedIn;
use crate::{Cx, Domain, Error, Result, calls};

use super::{NewPresence, Presence, nodes, outcome};

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
struct Batch {
    begun: Vec<(SessionId, UserId)>,
    ended: Vec<(SessionId, UserId)>,
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
    fn lend(&self, session_id: SessionId, user_id: UserId) {
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
        cx.write(move |tx| Box::pin(async move { write_batch(tx, node_id, &batch).await }));
    if !written.await? {
        nodes::lose(cx, node_id).await;
    }
    Ok(())
}

/// Writes what has begun and ended. Answers whether the node may keep leases; if not, what
/// has begun is not written.
async fn write_batch(tx: &mut Tx, node_id: NodeId, batch: &Batch) -> Result<bool> {
    let all = batch.begun.iter().chain(&batch.ended);
    let users = outcome::lock(tx, all.map(|(_, user_id)| *user_id).collect()).await?;
    delete(tx, node_id, &batch.ended).await?;
    let lives = nodes::lives(tx, node_id).await?;
    if lives {
        insert(tx, node_id, &batch.begun).await?;
    }
    let outcome = users.settle(tx, None).await?;
    tell_gone(tx, &batch.ended, &outcome.devices).await?;
    if lives {
        tell_back(tx, &batch.begun).await?;
    }
    Ok(lives)
}

/// Ends leases of another node.
pub(super) async fn end_all(
    tx: &mut Tx,
    node_id: NodeId,
    ended: &[(SessionId, UserId)],
) -> Result<()> {
    let users = outcome::lock(tx, ended.iter().map(|(_, user_id)| *user_id).collect()).await?;
    delete(tx, node_id, ended).await?;
    let outcome = users.settle(tx, None).await?;
    tell_gone(tx, ended, &outcome.devices).await
}

/// Ends the leases of a session on every node.
pub(super) async fn end_everywhere(tx: &mut Tx, user_id: UserId, id: SessionId) -> Result<()> {
    let users = outcome::lock(tx, vec![user_id]).await?;
    lease::Entity::delete_many()
        .filter(lease::Column::UserId.eq(user_id))
        .filter(lease::Column::SessionId.eq(id))
        .exec(&tx.db)
        .await?;
    let outcome = users.settle(tx, None).await?;
    tell_gone(tx, &[(id, user_id)], &outcome.devices).await
}

/// Writes what a device says of itself, and a lease for one without. None when the node may
/// not keep leases any more.
pub(super) async fn write_own(
    tx: &mut Tx,
    devices: &Devices,
    node_id: NodeId,
    signed_in: &SignedIn,
    new: &NewPresence,
) -> Result<Option<Presence>> {
    let own = (signed_in.session_id, signed_in.user.id);
    let users = outcome::lock(tx, vec![own.1]).await?;
    let elsewhere = lease::Entity::find()
        .filter(lease::Column::UserId.eq(own.1))
        .filter(lease::Column::SessionId.eq(own.0))
        .filter(lease::Column::NodeId.ne(node_id))
        .count(&tx.db)
        .await?;
    if elsewhere == 0 {
        if !nodes::lives(tx, node_id).await? {
            return Ok(None);
        }
        insert(tx, node_id, &[own]).await?;
        // Whatever becomes of the transaction: the device was here just now.
        devices.lend(own.0, own.1);
        tell_back(tx, &[own]).await?;
    }
    say(tx, own.0, new).await?;
    let outcome = users.settle(tx, new.text.clone()).await?;
    Ok(outcome.presences.into_iter().next())
}

/// Writes what a device says of itself.
async fn say(tx: &Tx, id: SessionId, new: &NewPresence) -> Result<()> {
    let session = session::Entity::find_by_id(id)
        .filter(session::Column::RevokedAt.is_null())
        .one(&tx.db)
        .await?
        .ok_or(Error::Unauthenticated(Unauthenticated::EndedSession))?;
    session::Entity::update_many()
        .col_expr(
            session::Column::DeviceState,
            Expr::value(new.applied_to(session.device_state)),
        )
        .filter(session::Column::Id.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn insert(tx: &Tx, node_id: NodeId, begun: &[(SessionId, UserId)]) -> Result<()> {
    if begun.is_empty() {
        return Ok(());
    }
    wake_idle(tx, begun).await?;
    let row = |(session_id, user_id)| {
        lease::Model {
            node_id,
            session_id,
            user_id,
        }
        .into_active_model()
    };
    lease::Entity::insert_many(in_list(begun).into_iter().map(row))
        .on_conflict_do_nothing_on([lease::Column::NodeId, lease::Column::SessionId])
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}

/// A device that was idle when it went is in use when it comes back.
async fn wake_idle(tx: &Tx, begun: &[(SessionId, UserId)]) -> Result<()> {
    use lease::Column;
    let ids: Vec<SessionId> = begun.iter().map(|(id, _)| *id).collect();
    let own = Condition::all()
        .add(
            Expr::col((lease::Entity, Column::UserId))
                .equals((session::Entity, session::Column::UserId)),
        )
        .add(
            Expr::col((lease::Entity, Column::SessionId))
                .equals((session::Entity, session::Column::Id)),
        );
    let leases = Query::select()
        .expr(Expr::value(1))
        .from(lease::Entity)
        .cond_where(own)
        .take();
    session::Entity::update_many()
        .col_expr(
            session::Column::DeviceState,
            Expr::value(DeviceState::Online),
        )
        .filter(session::Column::Id.is_in(in_list(&ids)))
        .filter(session::Column::DeviceState.eq(DeviceState::Idle))
        .filter(Expr::exists(leases).not())
        .exec(&tx.db)
        .await?;
    Ok(())
}

async fn delete(tx: &Tx, node_id: NodeId, ended: &[(SessionId, UserId)]) -> Result<()> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<SessionId> = ended.iter().map(|(id, _)| *id).collect();
    lease::Entity::delete_many()
        .filter(lease::Column::NodeId.eq(node_id))
        .filter(lease::Column::SessionId.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Says, in the same transaction, which devices are there on no node any more: those of
/// `ended` that are not among the `present` ones.
async fn tell_gone(tx: &Tx, ended: &[(SessionId, UserId)], present: &[SessionId]) -> Result<()> {
    let present: HashSet<&SessionId> = present.iter().collect();
    let ended = ended.iter().map(|(id, _)| *id);
    let gone: Vec<SessionId> = ended.filter(|id| !present.contains(id)).collect();
    calls::devices_gone(tx, &gone).await
}

/// Says, in the same transaction, which devices are there, perhaps again.
async fn tell_back(tx: &Tx, begun: &[(SessionId, UserId)]) -> Result<()> {
    let back: Vec<SessionId> = begun.iter().map(|(id, _)| *id).collect();
    calls::devices_back(tx, &back).await
}
