//! The stream of what a user makes of conversations.
//!
//! It follows the user first; then, whenever something happened, reads what was committed since it
//! last read. A notice that is lost is made up for by the sweep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ConversationId, UserId, conversation_state, member};
use futures_util::Stream;
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _};
use tokio::sync::broadcast::error::RecvError;

use crate::bus::UserNotice;
use crate::limits::PAGE_SIZE;
use crate::stamps::Snapshot;
use crate::{Cx, Result};

use super::states::{self, State};

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);

/// What the actor makes of conversations from now on, on any device: each that changes, as it is
/// then. Of what changes at once, the 200 latest.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in; or when the database fails at first.
pub async fn changes(cx: &Cx) -> Result<impl Stream<Item = Arc<State>> + Send + use<>> {
    let user_id = cx.signed_in()?.user.id;
    let mut following = cx.handles().bus.follow_user(user_id).await;
    let mut reading = Reading {
        cx: cx.clone(),
        user_id,
        seen: snapshot(cx).await?,
        told: HashMap::new(),
    };
    let open = cx.handles().bus.signal_stream();
    Ok(stream! {
        let _open = open;
        loop {
            match following.notices.recv().await {
                Ok(UserNotice::States) | Err(RecvError::Lagged(_)) => {
                    for state in Box::pin(reading.read()).await {
                        yield state;
                    }
                }
                Ok(
                    UserNotice::Memberships
                    | UserNotice::Presence(_)
                    | UserNotice::Settings
                    | UserNotice::Calls
                    | UserNotice::Requests
                    | UserNotice::Message(_),
                ) => {}
                Err(RecvError::Closed) => return,
            }
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
    told: HashMap<ConversationId, i64>,
}

impl Reading {
    /// What has changed. Waits for the database while it fails.
    async fn read(&mut self) -> Vec<Arc<State>> {
        loop {
            match self.try_read().await {
                Ok(news) => return news,
                Err(error) => {
                    tracing::warn!(%error, user.id = %self.user_id, "reading states failed; trying again");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    async fn try_read(&mut self) -> Result<Vec<Arc<State>>> {
        use conversation_state::Column::{ConversationId, Stamp};
        let snapshot = snapshot(&self.cx).await?;
        // Of a conversation that the user has left nothing is told.
        let is_member = Query::select()
            .expr(Expr::value(1))
            .from(member::Entity)
            .and_where(
                Expr::col((member::Entity, member::Column::ConversationId))
                    .equals((conversation_state::Entity, ConversationId)),
            )
            .and_where(member::Column::UserId.eq(self.user_id))
            .and_where(member::Column::LeftAt.is_null())
            .take();
        let mut states: Vec<State> = states::of_user(self.user_id)
            .filter(self.seen.is_later(Stamp))
            .filter(Expr::exists(is_member))
            .order_by_desc(Stamp)
            .limit(u64::from(PAGE_SIZE))
            .into_model()
            .all(self.cx.read())
            .await?;
        states.reverse();
        self.seen = snapshot;
        let read = states
            .iter()
            .map(|state| (state.row.conversation_id, state.row.stamp));
        let before = std::mem::replace(&mut self.told, read.collect());
        let states = states.into_iter();
        Ok(states
            .filter(|state| before.get(&state.row.conversation_id) != Some(&state.row.stamp))
            .map(Arc::new)
            .collect())
    }
}
