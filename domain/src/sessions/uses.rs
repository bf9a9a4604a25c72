//! When sessions were last used, and from where: noted while they are looked up anyway, and
//! written by one task, many in a transaction.
//!
//! Nothing is written of a session that was used less than a minute before, and nobody waits
//! for it. What does not fit, or is lost with the node, comes with the next use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::{SessionId, Timestamp, session};
use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::client::Client;
use crate::cx::Tx;
use crate::db::in_list;
use crate::error::Unauthenticated;
use crate::{Cx, Domain, Result};

use super::Session;

/// How exactly the last use is known.
const EXACTNESS: Duration = Duration::from_secs(60);
/// How often a session is noted by which something is open: that is use too.
const OPEN: Duration = Duration::from_secs(5 * 60);
/// How long a use waits for others to be written with it.
const TOGETHER: Duration = Duration::from_secs(5);
/// How often a node looks whether it is time to; tests move the clock.
const WAKE: Duration = Duration::from_millis(250);
/// Most sessions in one transaction.
const AT_ONCE: usize = 512;
/// Most uses that wait.
const WAITING: usize = 8_192;

/// Uses of sessions: each with the program, where that has changed.
type Batch = HashMap<SessionId, Option<Arc<Client>>>;

/// Uses that wait to be written.
#[derive(Default)]
pub(crate) struct Uses(Mutex<Batch>);

impl Uses {
    /// Notes that a session is being used, if that is news.
    pub(super) fn note(&self, session: &Session, client: &Arc<Client>, now: Timestamp) {
        if session.last_used_at > now.minus(EXACTNESS) {
            return;
        }
        let same = session.address == address(client) && session.user_agent == client.user_agent;
        let program = (!same).then(|| Arc::clone(client));
        let mut waiting = self.waiting();
        if waiting.len() < WAITING || waiting.contains_key(&session.id) {
            waiting.insert(session.id, program);
        }
    }

    fn take(&self) -> Batch {
        let mut waiting = self.waiting();
        let ids: Vec<SessionId> = waiting.keys().copied().take(AT_ONCE).collect();
        ids.into_iter()
            .filter_map(|id| waiting.remove_entry(&id))
            .collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Batch> {
        self.0.lock().expect("no holder panics")
    }
}

/// An address as it is kept.
pub(super) fn address(client: &Client) -> Option<String> {
    client.address.map(|address| address.to_string())
}

/// Writes uses until the node stops.
pub(crate) async fn keep_uses(domain: Domain) {
    // Nobody acts: the node itself does.
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let handles = cx.handles();
    let (mut due, mut open_due) = (Duration::ZERO, handles.clock.uptime() + OPEN);
    loop {
        tokio::select! {
            () = handles.bus.stopping().cancelled() => return,
            () = tokio::time::sleep(WAKE) => {}
        }
        let now = handles.clock.uptime();
        if now < due {
            continue;
        }
        due = now + TOGETHER;
        let mut open = Vec::new();
        if now >= open_due {
            open_due = now + OPEN;
            open = handles.bus.watched_sessions();
        }
        if let Err(error) = write_all(&cx, &open).await {
            tracing::warn!(%error, "writing which sessions were used failed; left for their next use");
        }
    }
}

/// Writes the uses that wait, and that these sessions are open.
async fn write_all(cx: &Cx, open: &[SessionId]) -> Result<()> {
    let waiting =
        std::iter::from_fn(|| Some(cx.handles().uses.take()).filter(|uses| !uses.is_empty()));
    let open = open
        .chunks(AT_ONCE)
        .map(|ids| ids.iter().map(|id| (*id, None)).collect());
    for uses in waiting.chain(open) {
        cx.write(move |tx| Box::pin(async move { write(tx, uses).await }))
            .await?;
    }
    Ok(())
}

/// Passes over sessions that somebody is changing just now, so that it waits for nobody and no
/// two can wait for each other.
async fn write(tx: &mut Tx, mut uses: Batch) -> Result<()> {
    use session::Column;
    let now = tx.now();
    let noted: Vec<SessionId> = uses.keys().copied().collect();
    let ids: Vec<SessionId> = session::Entity::find()
        .select_only()
        .column(Column::Id)
        .filter(Column::Id.is_in(in_list(&noted)))
        .filter(Column::LastUsedAt.lte(now.minus(EXACTNESS)))
        .order_by_asc(Column::Id)
        .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
        .into_tuple()
        .all(&tx.db)
        .await?;
    if ids.is_empty() {
        return Ok(());
    }
    session::Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now))
        .filter(Column::Id.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    for id in ids {
        if let Some(client) = uses.remove(&id).flatten() {
            session::Entity::update_many()
                .col_expr(Column::Address, Expr::value(address(&client)))
                .col_expr(Column::UserAgent, Expr::value(client.user_agent.clone()))
                .filter(Column::Id.eq(id))
                .exec(&tx.db)
                .await?;
        }
    }
    Ok(())
}
