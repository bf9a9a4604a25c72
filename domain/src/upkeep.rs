//! What a node does by itself, some at a time, while it lives: it clears away what is over, and makes
//! up for what was not there before.

use std::time::Duration;

use backchannel_entities::Timestamp;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ColumnTrait as _, EntityTrait, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use uuid::Uuid;

use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::{Cx, Domain, Result};

/// How often a node looks for something to do.
const EVERY: Duration = Duration::from_secs(60);
/// How often it looks whether it is time to; tests move the clock.
const WAKE: Duration = Duration::from_millis(250);
/// Pause between two transactions, in which others get theirs.
const BREATH: Duration = Duration::from_millis(50);

/// Whether there is perhaps more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As much as one transaction takes.
    Enough,
    /// Less.
    TheLast,
}

impl Found {
    /// What it means that `count` were found where `most` were looked for.
    pub(crate) fn of(count: usize, most: u64) -> Self {
        if (count as u64) < most {
            Self::TheLast
        } else {
            Self::Enough
        }
    }
}

/// Does some of it.
type DoSome = for<'c> fn(&'c Cx) -> BoxFuture<'c, Result<Found>>;

/// Does `what` until the node stops.
pub(crate) async fn keep_doing(domain: Domain, what: &'static str, do_some: DoSome) {
    // Nobody acts: the node itself does.
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let handles = cx.handles();
    let mut due = Duration::ZERO;
    let mut pause = WAKE;
    loop {
        tokio::select! {
            () = handles.bus.stopping().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = WAKE;
        let now = handles.clock.uptime();
        if now < due {
            continue;
        }
        match do_some(&cx).await {
            Ok(Found::Enough) => pause = BREATH,
            Ok(Found::TheLast) => due = now + EVERY,
            Err(error) => {
                due = now + EVERY;
                tracing::warn!(%error, what, "upkeep failed; trying again");
            }
        }
    }
}

/// Most rows cleared away by one transaction.
const CLEARED: u64 = 512;

/// Clears away some of the rows whose instant `at` was before another. What another node is clearing
/// at the same time is left to it.
pub(crate) async fn clear_before<E>(
    cx: &Cx,
    key: E::Column,
    at: E::Column,
    before: Timestamp,
) -> Result<Found>
where
    E: EntityTrait<Model: Send + Sync>,
{
    // Most often there is nothing, and nobody must be kept from writing for that.
    let any = E::find().filter(at.lt(before)).limit(1).one(cx.read());
    if any.await?.is_none() {
        return Ok(Found::TheLast);
    }
    cx.write(move |tx| {
        Box::pin(async move {
            let keys: Vec<Uuid> = E::find()
                .select_only()
                .column(key)
                .filter(at.lt(before))
                .order_by_asc(at)
                .limit(CLEARED)
                .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                .into_tuple()
                .all(&tx.db)
                .await?;
            if !keys.is_empty() {
                E::delete_many()
                    .filter(key.is_in(in_list(&keys)))
                    .exec(&tx.db)
                    .await?;
            }
            Ok(Found::of(keys.len(), CLEARED))
        })
    })
    .await
}
