//! The stream of a user's requests.
//!
//! It follows the user first, then reads what is pending, then, whenever something happened, what
//! was committed since it last read. A notice that is lost is made up for by the sweep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ChatRequestId, UserId, chat_request};
use futures_util::Stream;
use sea_orm::sea_query::ExprTrait as _;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use tokio::sync::broadcast::error::RecvError;

use crate::bus::UserNotice;
use crate::limits::PAGE_SIZE;
use crate::stamps::Snapshot;
use crate::{Cx, Result};

use super::list::is_seen_by;
use super::{ChatRequest, ChatRequestState};

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);
/// Requests read at once.
const BATCH: u64 = PAGE_SIZE as u64;

/// The actor's pending requests, both ways, the latest 200 of them; then each that changes, as it is
/// then.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in; or when the database fails at first.
pub async fn changes(cx: &Cx) -> Result<impl Stream<Item = Arc<ChatRequest>> + Send + use<>> {
    let user_id = cx.signed_in()?.user.id;
    let mut following = cx.handles().bus.follow_user(user_id).await;
    let mut reading = Reading {
        cx: cx.clone(),
        user_id,
        seen: snapshot(cx).await?,
        told: HashMap::new(),
    };
    let mut news = reading.pending().await?;
    Ok(stream! {
        loop {
            for request in std::mem::take(&mut news) {
                yield request;
            }
            loop {
                match following.notices.recv().await {
                    Ok(UserNotice::Requests) | Err(RecvError::Lagged(_)) => break,
                    Ok(
                        UserNotice::Memberships
                        | UserNotice::Presence(_)
                        | UserNotice::Settings
                        | UserNotice::Calls
                        | UserNotice::States
                        | UserNotice::Message(_),
                    ) => {}
                    Err(RecvError::Closed) => return,
                }
            }
            news = Box::pin(reading.read()).await;
        }
    })
}

async fn snapshot(cx: &Cx) -> Result<Snapshot> {
    let db = &cx.handles().db;
    db.stamps.snapshot(&db.reader).await
}

/// A stream's state.
struct Reading {
    cx: Cx,
    user_id: UserId,
    /// Older than what was read last, so that nothing falls between two readings.
    seen: Snapshot,
    /// What was read last, which may be found once more.
    told: HashMap<ChatRequestId, i64>,
}

impl Reading {
    async fn pending(&mut self) -> Result<Vec<Arc<ChatRequest>>> {
        let mut rows = chat_request::Entity::find()
            .filter(is_seen_by(self.user_id))
            .filter(chat_request::Column::State.eq(ChatRequestState::Pending))
            .order_by_desc(chat_request::Column::AskedAt)
            .limit(BATCH)
            .all(self.cx.read())
            .await?;
        rows.reverse();
        Ok(self.note(rows))
    }

    /// What has changed. Waits for the database while it fails.
    async fn read(&mut self) -> Vec<Arc<ChatRequest>> {
        loop {
            match self.try_read().await {
                Ok(news) => return news,
                Err(error) => {
                    tracing::warn!(%error, user.id = %self.user_id, "reading chat requests failed; trying again");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_read(&mut self) -> Result<Vec<Arc<ChatRequest>>> {
        use chat_request::Column::{Id, Stamp};
        let snapshot = snapshot(&self.cx).await?;
        let mut rows: Vec<ChatRequest> = Vec::new();
        loop {
            let mut select = chat_request::Entity::find()
                .filter(is_seen_by(self.user_id))
                .filter(self.seen.is_later(Stamp));
            if let Some(last) = rows.last() {
                let tie = Stamp.eq(last.stamp).and(Id.gt(last.id));
                select = select.filter(Stamp.gt(last.stamp).or(tie));
            }
            let more = select
                .order_by_asc(Stamp)
                .order_by_asc(Id)
                .limit(BATCH)
                .all(self.cx.read())
                .await?;
            let is_all = (more.len() as u64) < BATCH;
            rows.extend(more);
            if is_all {
                break;
            }
        }
        self.seen = snapshot;
        Ok(self.note(rows))
    }

    /// Those that were not told already.
    fn note(&mut self, rows: Vec<ChatRequest>) -> Vec<Arc<ChatRequest>> {
        let read = rows.iter().map(|row| (row.id, row.stamp)).collect();
        let before = std::mem::replace(&mut self.told, read);
        let rows = rows.into_iter();
        rows.filter(|row| before.get(&row.id) != Some(&row.stamp))
            .map(Arc::new)
            .collect()
    }
}
