//! Calls: ringing, answering, passing WebRTC's signals on, hanging up.
//!
//! 1. A call is rows: the call itself, its parties, and the log of what its devices are told.
//!    Whatever happens to it is decided by [`machine`], which knows no database, and written by
//!    [`store`] in one transaction.
//! 2. Locks are taken in one order: the conversation's, under which membership is proved, then
//!    the call's.
//! 3. What devices are told is written in the transaction that gives rise to it, in order, and
//!    read by their streams ([`log`]). So it survives the node, and arrives without Redis.
//! 4. What happens by itself is due at an instant that stands in the call's row; [`timers`] of
//!    all nodes look for it, and one does it.
//! 5. A call that is over leaves one event in its conversation, and stays as a record. Its log
//!    is forgotten.

mod history;
mod ice;
mod log;
mod machine;
mod store;
mod timers;

use std::sync::Arc;

use backchannel_entities::{CallId, ConversationId, UserId, call, call_party, member};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};

use crate::access::Membership;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::db::in_list;
use crate::limits::SIGNAL_BYTES;
use crate::rates::{self, Action};
use crate::users::User;
use crate::{Cx, Error, Result};

pub use backchannel_entities::call::{Kind as CallKind, Model as Row, Outcome, State as CallState};
pub use backchannel_entities::call_party::{Model as Party, State as PartyState};
pub use backchannel_entities::call_signal::Kind as SignalKind;

pub use self::history::{StartPosition, find_many, list};
pub use self::ice::{IceServer, Turn, ice_servers};
pub use self::log::{Signal, signals};

use self::machine::{Device, NewCall};

pub(crate) use self::timers::{devices_back, devices_gone, run};

/// A call and its parties.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The call itself.
    pub row: Row,
    /// Who takes part, or was to: the caller first.
    pub parties: Vec<Party>,
}

impl Call {
    /// How long people talked, in whole seconds; none unless it was answered and is over.
    #[must_use]
    pub fn duration_seconds(&self) -> Option<i64> {
        Some((self.row.ended_at?.0 - self.row.answered_at?.0) / 1_000)
    }
}

/// What a device has to say to the device on the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaKind {
    /// A WebRTC offer.
    Offer,
    /// The answer to one.
    Answer,
    /// An ICE candidate.
    Candidate,
}

/// A signal to pass on, checked.
pub struct NewSignal {
    call_id: CallId,
    kind: MediaKind,
    payload: String,
}

impl NewSignal {
    /// Checks a signal. The payload is opaque.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a payload that is empty, too long, or cannot be stored.
    pub fn parse(call_id: CallId, kind: MediaKind, payload: String) -> Result<Self> {
        if payload.is_empty() || payload.len() > SIGNAL_BYTES {
            let message = format!("must have 1 to {SIGNAL_BYTES} bytes");
            return Err(Error::bad_input("payload", message));
        }
        if payload.contains('\0') {
            return Err(Error::bad_input("payload", "must not contain NUL"));
        }
        Ok(Self {
            call_id,
            kind,
            payload,
        })
    }
}

/// Who acts, and with which device.
#[derive(Clone)]
pub(crate) struct Acting {
    pub(crate) user: Arc<User>,
    device: Device,
}

impl Acting {
    pub(crate) fn of(cx: &Cx) -> Result<Self> {
        let signed_in = cx.signed_in()?;
        Ok(Self {
            user: Arc::clone(&signed_in.user),
            device: Device {
                user_id: signed_in.user.id,
                session_id: signed_in.session_id,
            },
        })
    }
}

/// How often starting a call is tried while others start calls with the same people.
const ATTEMPTS: usize = 5;

/// Rings the others of a conversation. Where they are ringing the actor, that is answered
/// instead: of two who call each other at once, both are in one call. Where somebody is in
/// another call, the call is over at once, as busy. Starting it again with the same device
/// while it goes on is no change.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor;
/// [`Error::Forbidden`] unless it is direct and open.
pub async fn start(cx: &Cx, id: ConversationId, kind: CallKind) -> Result<Arc<Call>> {
    let acting = Acting::of(cx)?;
    let mut attempt = 1;
    loop {
        let acting = acting.clone();
        let started = cx.write(move |tx| Box::pin(async move { ring(tx, acting, id, kind).await }));
        match started.await {
            // Somebody got into another call just now: who is busy must be looked at again.
            Err(Error::Conflict { .. }) if attempt < ATTEMPTS => attempt += 1,
            started => return started,
        }
    }
}

async fn ring(
    tx: &mut Tx,
    acting: Acting,
    id: ConversationId,
    kind: CallKind,
) -> Result<Arc<Call>> {
    let Acting { user, device } = acting;
    let membership = Membership::lock(tx, user.id, id).await?;
    membership.may_call()?;
    let others = other_members(tx, id, user.id).await?;
    let live = live_parties(tx, user.id, &others).await?;
    let own = live.iter().find(|(party, _)| party.user_id == user.id);
    if let Some((party, conversation_id)) = own
        && *conversation_id == id
    {
        let before = store::lock(tx, party.call_id).await?;
        if party.state == PartyState::Ringing {
            let mut call = before.clone();
            let told = call.answer(device, tx.now())?;
            return store::change(tx, &before, call, told, Some(user)).await;
        }
        if party.session_id == Some(device.session_id) {
            return Ok(Arc::new(before));
        }
    }
    let new = NewCall {
        id: CallId(new_id()),
        conversation_id: id,
        kind,
        caller: device,
    };
    if live.is_empty() {
        let (call, told) = Call::ringing(new, &others, tx.now());
        return store::make(tx, call, told, user).await;
    }
    let busy: Vec<UserId> = live.iter().map(|(party, _)| party.user_id).collect();
    let call = Call::busy(new, &others, &busy, tx.now());
    store::make(tx, call, Vec::new(), user).await
}

async fn other_members(tx: &Tx, id: ConversationId, actor: UserId) -> Result<Vec<UserId>> {
    Ok(member::Entity::find()
        .select_only()
        .column(member::Column::UserId)
        .filter(member::Column::ConversationId.eq(id))
        .filter(member::Column::LeftAt.is_null())
        .filter(member::Column::UserId.ne(actor))
        .into_tuple()
        .all(&tx.db)
        .await?)
}

/// The live calls these users are in, and in which conversation each is.
async fn live_parties(
    tx: &Tx,
    actor: UserId,
    others: &[UserId],
) -> Result<Vec<(Party, ConversationId)>> {
    let users: Vec<UserId> = others.iter().copied().chain([actor]).collect();
    let found = call_party::Entity::find()
        .find_also_related(call::Entity)
        .filter(call_party::Column::UserId.is_in(in_list(&users)))
        .filter(Expr::col((call_party::Entity, call_party::Column::Live)))
        .all(&tx.db)
        .await?;
    Ok(found
        .into_iter()
        .filter_map(|(party, call)| Some((party, call?.conversation_id)))
        .collect())
}

/// Answers a call with the actor's device. Of several devices, the first wins; the one that has
/// won may answer again.
///
/// # Errors
/// [`Error::NotFound`] when the call does not exist for the actor; [`Error::Forbidden`] to the
/// caller; [`Error::Conflict`] when it has ended or another device was first.
pub async fn answer(cx: &Cx, id: CallId) -> Result<Arc<Call>> {
    act(cx, id, |call, tx, by| call.answer(by, tx.now())).await
}

/// Turns a call down, for all devices of the actor. Once it has ended, that is no change.
///
/// # Errors
/// [`Error::NotFound`] when the call does not exist for the actor; [`Error::Forbidden`] to the
/// caller; [`Error::Conflict`] when the actor has answered it.
pub async fn decline(cx: &Cx, id: CallId) -> Result<Arc<Call>> {
    act(cx, id, |call, tx, by| call.decline(by, tx.now())).await
}

/// Leaves a call, by any of the actor's devices: a lost phone must not keep its owner in a
/// call. One who is rung declines it thereby. Once it has ended, that is no change.
///
/// # Errors
/// [`Error::NotFound`] when the call does not exist for the actor.
pub async fn hang_up(cx: &Cx, id: CallId) -> Result<Arc<Call>> {
    act(cx, id, |call, tx, by| call.hang_up(by, tx.now())).await
}

/// Passes a payload on from the actor's device to the device on the other side; what the caller
/// sends before there is one waits for it.
///
/// # Errors
/// [`Error::NotFound`] when the call does not exist for the actor; [`Error::Forbidden`] unless
/// the device takes part; [`Error::Conflict`] when the call has ended; [`Error::RateLimited`]
/// when too much has been sent lately.
pub async fn send_signal(cx: &Cx, new: NewSignal) -> Result<()> {
    let acting = Acting::of(cx)?;
    rates::count(cx, Action::Signal)?;
    let kind = match new.kind {
        MediaKind::Offer => SignalKind::Offer,
        MediaKind::Answer => SignalKind::Answer,
        MediaKind::Candidate => SignalKind::Candidate,
    };
    cx.write(move |tx| {
        Box::pin(async move {
            let call = store::open(tx, acting.user.id, new.call_id).await?;
            let told = call.relay(acting.device, kind, &new.payload)?;
            log::make_room(tx, &call.row, acting.user.id).await?;
            store::change(tx, &call, call.clone(), told, Some(acting.user)).await?;
            Ok(())
        })
    })
    .await
}

/// Lets `what` happen to a call.
async fn act(
    cx: &Cx,
    id: CallId,
    what: fn(&mut Call, &Tx, Device) -> Result<Vec<machine::Told>>,
) -> Result<Arc<Call>> {
    let Acting { user, device } = Acting::of(cx)?;
    cx.write(move |tx| {
        Box::pin(async move {
            let mut call = store::open(tx, user.id, id).await?;
            let before = call.clone();
            let told = what(&mut call, tx, device)?;
            if call == before {
                return Ok(Arc::new(call));
            }
            store::change(tx, &before, call, told, Some(user)).await
        })
    })
    .await
}

/// Ends the actor's call in a conversation that is locked, if there is one, as if they hung up.
pub(crate) async fn end_in(tx: &mut Tx, acting: Acting, id: ConversationId) -> Result<()> {
    let live = live_parties(tx, acting.user.id, &[]).await?;
    let Some((party, _)) = live.into_iter().find(|(_, there)| *there == id) else {
        return Ok(());
    };
    let before = store::lock(tx, party.call_id).await?;
    let mut call = before.clone();
    let told = call.hang_up(acting.device, tx.now())?;
    store::change(tx, &before, call, told, Some(acting.user)).await?;
    Ok(())
}

/// A call of a conversation the actor is in.
///
/// # Errors
/// [`Error::NotFound`] for any other.
pub async fn get(cx: &Cx, id: CallId) -> Result<Arc<Call>> {
    let found = find_many(cx, &[id]).await?.remove(&id);
    found.ok_or(Error::NotFound("call"))
}
