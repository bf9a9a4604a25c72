//! The log of what a call's devices are told, and the streams that read it.
//!
//! 1. Positions are given out under the call's lock, so they are read in order.
//! 2. What the caller sends before the answer has no addressee; the answer gives it one, and
//!    positions behind its own.
//! 3. A stream follows the user first, then reads what its device needs, then, whenever something
//!    happened, what is new. A notice that is lost is made up for by the sweep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{CallId, call, call_signal};
use futures_util::Stream;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait as _, QueryFilter, QueryOrder, QuerySelect,
    Set,
};
use tokio::sync::broadcast::error::RecvError;

use crate::bus::UserNotice;
use crate::cx::Tx;
use crate::db::in_list;
use crate::limits::SIGNALS_KEPT;
use crate::{Cx, Error, Result, UserId};

use super::machine::{Address, Device, KEEP, Told};
use super::{Acting, Call, CallState, Party, Row, SignalKind, store};

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);
/// Signals read at once.
const BATCH: u64 = 32;
/// The newest calls of a user that a stream looks at.
const CALLS: u64 = 32;
/// How long a sender who sent too much is asked to wait.
const WAIT: Duration = Duration::from_secs(30);
/// What devices say to each other.
const MEDIA: [SignalKind; 3] = [SignalKind::Offer, SignalKind::Answer, SignalKind::Candidate];

/// A signal as a device is told it.
#[derive(Clone, Debug)]
pub struct Signal {
    /// The call, as it is now.
    pub call: Arc<Call>,
    /// Position in the call's log: rising, with holes.
    pub n: i64,
    /// What is told.
    pub kind: SignalKind,
    /// Who caused it; none for the clock.
    pub from: Option<UserId>,
    /// What the sender gave.
    pub payload: Option<String>,
}

/// Appends to the log, from position `first` on, and tells the streams.
pub(super) async fn write(tx: &mut Tx, call: &Row, first: i64, told: Vec<Told>) -> Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let at = tx.now();
    let mut rows = Vec::with_capacity(told.len());
    let mut users: Vec<UserId> = Vec::new();
    for (n, told) in (first..).zip(told) {
        let (to_user, to_session, except_session) = match told.to {
            Address::Device(device) => (Some(device.user_id), Some(device.session_id), None),
            Address::AllOf(user_id) => (Some(user_id), None, None),
            Address::AllBut(device) => (Some(device.user_id), None, Some(device.session_id)),
            Address::WhoeverAnswers => (None, None, None),
        };
        users.extend(to_user);
        rows.push(call_signal::ActiveModel {
            call_id: Set(call.id),
            n: Set(n),
            kind: Set(told.kind),
            at: Set(at),
            from_user: Set(told.from),
            to_user: Set(to_user),
            to_session: Set(to_session),
            except_session: Set(except_session),
            payload: Set(told.payload),
        });
    }
    call_signal::Entity::insert_many(rows)
        .exec_without_returning(&tx.db)
        .await?;
    users.sort_unstable();
    users.dedup();
    for user_id in users {
        tx.tell(user_id, UserNotice::Calls);
    }
    Ok(())
}

/// Hands what has waited for an answer over to the device that gave it, behind all else.
/// Answers the last position then.
pub(super) async fn hand_over(tx: &Tx, call: &Row, answerer: &Party) -> Result<i64> {
    use call_signal::Column::{CallId, N, ToSession, ToUser};
    let last = call.last_signal;
    let handed = call_signal::Entity::update_many()
        .col_expr(N, Expr::col(N).add(last))
        .col_expr(ToUser, Expr::value(answerer.user_id))
        .col_expr(ToSession, Expr::value(answerer.session_id))
        .filter(CallId.eq(call.id))
        .filter(ToUser.is_null())
        .exec(&tx.db)
        .await?;
    Ok(if handed.rows_affected > 0 {
        2 * last
    } else {
        last
    })
}

/// Makes room for one more signal of a user, by forgetting old ones.
pub(super) async fn make_room(tx: &Tx, call: &Row, sender: UserId) -> Result<()> {
    use call_signal::Column::{At, CallId, FromUser, Kind, ToUser};
    let sent = Condition::all()
        .add(CallId.eq(call.id))
        .add(FromUser.eq(sender))
        .add(Kind.is_in(MEDIA));
    let kept = || {
        call_signal::Entity::find()
            .filter(sent.clone())
            .count(&tx.db)
    };
    if kept().await? < SIGNALS_KEPT {
        return Ok(());
    }
    call_signal::Entity::delete_many()
        .filter(sent.clone())
        .filter(ToUser.is_not_null())
        .filter(At.lt(tx.now().minus(KEEP)))
        .exec(&tx.db)
        .await?;
    if kept().await? < SIGNALS_KEPT {
        return Ok(());
    }
    Err(Error::RateLimited { retry_after: WAIT })
}

/// Forgets what was told about a call.
pub(super) async fn forget(tx: &Tx, call: &Row) -> Result<()> {
    call_signal::Entity::delete_many()
        .filter(call_signal::Column::CallId.eq(call.id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// What the actor's device is told of calls: first what it needs of those there are, then what
/// happens. Of a call that rings, or that the device takes part in, that is everything so far;
/// of others that went on lately, the last thing: it may have been missed.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in; or when the database fails at first.
pub async fn signals(cx: &Cx) -> Result<impl Stream<Item = Signal> + Send + use<>> {
    let device = Acting::of(cx)?.device;
    let mut following = cx.handles().bus.follow_user(device.user_id).await;
    let mut reading = Reading {
        cx: cx.clone(),
        device,
        seen: None,
    };
    let mut signals = reading.try_read().await?;
    Ok(stream! {
        loop {
            while !signals.is_empty() {
                for signal in std::mem::take(&mut signals) {
                    yield signal;
                }
                // Boxed, as all that is rare: an idle stream is then a few words.
                signals = Box::pin(reading.read()).await;
            }
            loop {
                match following.notices.recv().await {
                    Ok(UserNotice::Calls) | Err(RecvError::Lagged(_)) => break,
                    Ok(
                        UserNotice::Memberships
                        | UserNotice::Presence(_)
                        | UserNotice::Settings
                        | UserNotice::Requests
                        | UserNotice::States
                        | UserNotice::Message(_),
                    ) => {}
                    Err(RecvError::Closed) => return,
                }
            }
            signals = Box::pin(reading.read()).await;
        }
    })
}

/// A stream's state.
struct Reading {
    cx: Cx,
    device: Device,
    /// The last position read of each call; none before the first reading.
    seen: Option<BTreeMap<CallId, i64>>,
}

impl Reading {
    /// The next signals; none when there are no more for now. Waits for the database while it
    /// fails.
    async fn read(&mut self) -> Vec<Signal> {
        loop {
            match self.try_read().await {
                Ok(signals) => return signals,
                Err(error) => {
                    tracing::warn!(%error, user.id = %self.device.user_id, "reading signals failed; trying again");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_read(&mut self) -> Result<Vec<Signal>> {
        let heads = self.heads().await?;
        let seen = match self.seen.take() {
            Some(seen) => seen,
            None => self.begin(&heads).await?,
        };
        // Only of calls that there are: those that have been forgotten are forgotten here.
        let mut now: BTreeMap<CallId, i64> = heads
            .iter()
            .map(|(id, _)| (*id, seen.get(id).copied().unwrap_or_default()))
            .collect();
        self.seen = Some(now.clone());
        let mut newest_last = heads.iter().rev();
        let Some((id, _)) = newest_last.find(|(id, head)| now[id] < *head) else {
            return Ok(Vec::new());
        };
        let signals = self.signals_after(*id, now[id]).await?;
        if let Some(last) = signals.last() {
            now.insert(*id, last.n);
        }
        self.seen = Some(now);
        Ok(signals)
    }

    /// Where the device begins to read. It has seen nothing yet.
    async fn begin(&self, heads: &[(CallId, i64)]) -> Result<BTreeMap<CallId, i64>> {
        let mut seen = BTreeMap::new();
        let ids: Vec<CallId> = heads.iter().map(|(id, _)| *id).collect();
        let calls = find_calls(&self.cx, &ids).await?;
        for (id, head) in heads {
            let needs_all = calls.get(id).is_some_and(|call| match call.row.state {
                CallState::Ringing => true,
                CallState::Answered => call.joined().any(|device| device == self.device),
                CallState::Ended => false,
            });
            seen.insert(*id, if needs_all { 0 } else { head - 1 });
        }
        Ok(seen)
    }

    /// The newest calls of which the device is told something, and the last position of each,
    /// newest first.
    async fn heads(&self) -> Result<Vec<(CallId, i64)>> {
        Ok(call_signal::Entity::find()
            .select_only()
            .column(call_signal::Column::CallId)
            .column_as(call_signal::Column::N.max(), "head")
            .filter(self.is_told())
            .group_by(call_signal::Column::CallId)
            .order_by_desc(call_signal::Column::CallId)
            .limit(CALLS)
            .into_tuple()
            .all(self.cx.read())
            .await?)
    }

    async fn signals_after(&self, id: CallId, after: i64) -> Result<Vec<Signal>> {
        let rows = call_signal::Entity::find()
            .filter(self.is_told())
            .filter(call_signal::Column::CallId.eq(id))
            .filter(call_signal::Column::N.gt(after))
            .order_by_asc(call_signal::Column::N)
            .limit(BATCH)
            .all(self.cx.read())
            .await?;
        // Read after its signals, so that it is not older than they are.
        let Some(call) = find_calls(&self.cx, &[id]).await?.remove(&id) else {
            return Ok(Vec::new());
        };
        let signal = |row: call_signal::Model| Signal {
            call: Arc::clone(&call),
            n: row.n,
            kind: row.kind,
            from: row.from_user,
            payload: row.payload,
        };
        Ok(rows.into_iter().map(signal).collect())
    }

    fn is_told(&self) -> Condition {
        use call_signal::Column::{ExceptSession, ToSession, ToUser};
        let session_id = self.device.session_id;
        let not_excepted = Condition::any()
            .add(ExceptSession.is_null())
            .add(ExceptSession.ne(session_id));
        let all = Condition::all().add(ToSession.is_null()).add(not_excepted);
        let any = Condition::any().add(ToSession.eq(session_id)).add(all);
        Condition::all()
            .add(ToUser.eq(self.device.user_id))
            .add(any)
    }
}

async fn find_calls(cx: &Cx, ids: &[CallId]) -> Result<BTreeMap<CallId, Arc<Call>>> {
    if ids.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = call::Entity::find()
        .filter(call::Column::Id.is_in(in_list(ids)))
        .all(cx.read())
        .await?;
    let calls = store::with_parties(cx.read(), rows).await?;
    Ok(calls
        .into_iter()
        .map(|call| (call.row.id, Arc::new(call)))
        .collect())
}
