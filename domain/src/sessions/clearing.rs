//! Sessions and refresh tokens whose time is over are cleared away, some at a time.
//!
//! A session stays until its own expiry, though it was ended before: the token of an old server
//! must find it, to be refused. A refresh token stays until its own, though it was spent: its
//! return within that time ends the session. After that the answer is the same without them.

use std::collections::HashMap;
use std::time::Duration;

use backchannel_entities::{ConversationId, SessionId, Timestamp, delivery, lease};
use backchannel_entities::{refresh_token, session};
use futures_util::FutureExt as _;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::cx::Tx;
use crate::db::in_list;
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Result};

/// How long everything stays after it is over: by far more than clocks of nodes differ, and than
/// what is open outlives a session.
const STAY: Duration = Duration::from_secs(3_600);
/// Most sessions, and rows that belong to sessions, in one transaction.
const SESSIONS: u64 = 64;
const ROWS: u64 = 512;

/// Clears away until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing sessions away", |cx| {
        clear_some(cx).boxed()
    })
    .await;
}

async fn clear_some(cx: &Cx) -> Result<Found> {
    let before = cx.handles().clock.now().minus(STAY);
    // Most often there is nothing, and nobody must be kept from writing for that.
    if !is_any_over(cx, before).await? {
        return Ok(Found::TheLast);
    }
    let tokens = cx.write(move |tx| Box::pin(async move { clear_tokens(tx, before).await }));
    let tokens = tokens.await?;
    let sessions = cx.write(move |tx| Box::pin(async move { clear_sessions(tx, before).await }));
    let sessions = sessions.await?;
    Ok(if tokens == Found::TheLast {
        sessions
    } else {
        tokens
    })
}

async fn is_any_over(cx: &Cx, before: Timestamp) -> Result<bool> {
    let token = refresh_token::Entity::find()
        .filter(refresh_token::Column::ExpiresAt.lt(before))
        .limit(1)
        .one(cx.read())
        .await?;
    let session = session::Entity::find()
        .filter(session::Column::ExpiresAt.lt(before))
        .limit(1)
        .one(cx.read())
        .await?;
    Ok(token.is_some() || session.is_some())
}

/// Clears refresh tokens. What another node is clearing at the same time is left to it.
async fn clear_tokens(tx: &Tx, before: Timestamp) -> Result<Found> {
    let rows = refresh_token::Entity::find()
        .filter(refresh_token::Column::ExpiresAt.lt(before))
        .order_by_asc(refresh_token::Column::ExpiresAt)
        .limit(ROWS)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .all(&tx.db)
        .await?;
    delete_tokens(tx, &rows).await?;
    Ok(Found::of(rows.len(), ROWS))
}

async fn delete_tokens(tx: &Tx, rows: &[refresh_token::Model]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let hashes: Vec<&[u8]> = rows.iter().map(|row| row.token_hash.as_slice()).collect();
    refresh_token::Entity::delete_many()
        .filter(refresh_token::Column::TokenHash.is_in(in_list(&hashes)))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Clears sessions, what belongs to them first; where that is too much for one transaction, the
/// sessions wait for the next. One that still has a lease waits until its node is found dead.
async fn clear_sessions(tx: &Tx, before: Timestamp) -> Result<Found> {
    let mut ids: Vec<SessionId> = session::Entity::find()
        .select_only()
        .column(session::Column::Id)
        .filter(session::Column::ExpiresAt.lt(before))
        .order_by_asc(session::Column::ExpiresAt)
        .limit(SESSIONS)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .into_tuple()
        .all(&tx.db)
        .await?;
    let found = Found::of(ids.len(), SESSIONS);
    let leased: Vec<SessionId> = lease::Entity::find()
        .select_only()
        .column(lease::Column::SessionId)
        .filter(lease::Column::SessionId.is_in(in_list(&ids)))
        .into_tuple()
        .all(&tx.db)
        .await?;
    ids.retain(|id| !leased.contains(id));
    if ids.is_empty() {
        return Ok(Found::TheLast);
    }
    let deliveries = clear_deliveries(tx, &ids).await?;
    let tokens = refresh_token::Entity::find()
        .filter(refresh_token::Column::SessionId.is_in(in_list(&ids)))
        .limit(ROWS)
        .all(&tx.db)
        .await?;
    delete_tokens(tx, &tokens).await?;
    if deliveries == Found::Enough || Found::of(tokens.len(), ROWS) == Found::Enough {
        return Ok(Found::Enough);
    }
    session::Entity::delete_many()
        .filter(session::Column::Id.is_in(in_list(&ids)))
        .exec(&tx.db)
        .await?;
    Ok(found)
}

/// Clears what the devices had; the sessions themselves would take all of it along at once.
async fn clear_deliveries(tx: &Tx, ids: &[SessionId]) -> Result<Found> {
    use delivery::Column;
    let rows: Vec<(SessionId, ConversationId)> = delivery::Entity::find()
        .select_only()
        .columns([Column::SessionId, Column::ConversationId])
        .filter(Column::SessionId.is_in(in_list(ids)))
        .limit(ROWS)
        .into_tuple()
        .all(&tx.db)
        .await?;
    let found = Found::of(rows.len(), ROWS);
    let mut of_each: HashMap<SessionId, Vec<ConversationId>> = HashMap::new();
    for (id, conversation_id) in rows {
        of_each.entry(id).or_default().push(conversation_id);
    }
    for (id, conversations) in of_each {
        delivery::Entity::delete_many()
            .filter(Column::SessionId.eq(id))
            .filter(Column::ConversationId.is_in(in_list(&conversations)))
            .exec(&tx.db)
            .await?;
    }
    Ok(found)
}
