//! Calls as rows: found and locked, made and changed.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{CallId, UserId, call, call_party};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use crate::access::Membership;
use crate::cx::Tx;
use crate::db::in_list;
use crate::error::is_unique_violation;
use crate::event::{Event, EventKind};
use crate::users::User;
use crate::{Error, Result};

use super::machine::Told;
use super::{Call, CallState, Party, PartyState, Row, log};

/// Finds a call, proves that the actor is a member of its conversation, and locks both. To one
/// who is not, the call does not exist.
pub(super) async fn open(tx: &Tx, user_id: UserId, id: CallId) -> Result<Call> {
    let unknown = Error::NotFound("call");
    let row = call::Entity::find_by_id(id).one(&tx.db).await?;
    let conversation_id = row.ok_or(unknown.clone())?.conversation_id;
    match Membership::lock(tx, user_id, conversation_id).await {
        Err(Error::NotFound(_)) => Err(unknown),
        membership => {
            membership?;
            lock(tx, id).await
        }
    }
}

/// Locks a call until the end of the transaction.
pub(super) async fn lock(tx: &Tx, id: CallId) -> Result<Call> {
    let row = call::Entity::find_by_id(id)
        .lock_exclusive()
        .one(&tx.db)
        .await?
        .ok_or(Error::NotFound("call"))?;
    let mut calls = with_parties(&tx.db, vec![row]).await?;
    calls.pop().ok_or(Error::NotFound("call"))
}

/// Adds their parties to calls, in one statement for all of them.
pub(super) async fn with_parties(db: &impl ConnectionTrait, rows: Vec<Row>) -> Result<Vec<Call>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<CallId> = rows.iter().map(|row| row.id).collect();
    let found = call_party::Entity::find()
        .filter(call_party::Column::CallId.is_in(in_list(&ids)))
        .order_by_asc(call_party::Column::UserId)
        .all(db)
        .await?;
    let mut parties: HashMap<CallId, Vec<Party>> = HashMap::new();
    for party in found {
        parties.entry(party.call_id).or_default().push(party);
    }
    let call = |row: Row| {
        let mut parties = parties.remove(&row.id).unwrap_or_default();
        parties.sort_by_key(|party| party.user_id != row.caller_id);
        Call { row, parties }
    };
    Ok(rows.into_iter().map(call).collect())
}

/// Writes a new call; [`Error::Conflict`] when one of its parties got into another one
/// meanwhile.
pub(super) async fn make(
    tx: &mut Tx,
    mut call: Call,
    told: Vec<Told>,
    caller: Arc<User>,
) -> Result<Arc<Call>> {
    call.row.stamp = tx.stamp().await?;
    let first = call.row.last_signal + 1;
    call.row.last_signal += i64::try_from(told.len()).map_err(Error::internal)?;
    call::Entity::insert(call::ActiveModel::from(call.row.clone()).reset_all())
        .exec_without_returning(&tx.db)
        .await?;
    // In the order of users: two that ring the same people must not wait for each other.
    let mut parties = call.parties.clone();
    parties.sort_by_key(|party| party.user_id);
    let rows = parties
        .into_iter()
        .map(|party| call_party::ActiveModel::from(party).reset_all());
    let inserted = call_party::Entity::insert_many(rows)
        .exec_without_returning(&tx.db)
        .await;
    inserted.map_err(|error| {
        if is_unique_violation(&error) {
            Error::Conflict {
                field: None,
                message: "somebody got into another call at this moment; try again",
            }
        } else {
            error.into()
        }
    })?;
    log::write(tx, &call.row, first, told).await?;
    if call.row.state == CallState::Ended {
        record_end(tx, &call.row, Some(caller)).await?;
    }
    Ok(Arc::new(call))
}

/// Writes what has become of a locked call, and tells whom it concerns.
pub(super) async fn change(
    tx: &mut Tx,
    before: &Call,
    mut call: Call,
    told: Vec<Told>,
    actor: Option<Arc<User>>,
) -> Result<Arc<Call>> {
    if call.row.state == CallState::Ended {
        record_end(tx, &call.row, actor).await?;
    }
    call.row.stamp = tx.stamp().await?;
    for (party, before) in call.parties.iter().zip(&before.parties) {
        if party != before {
            let row = call_party::ActiveModel::from(party.clone()).reset_all();
            row.update(&tx.db).await?;
        }
    }
    let first = call.row.last_signal + 1;
    call.row.last_signal += i64::try_from(told.len()).map_err(Error::internal)?;
    log::write(tx, &call.row, first, told).await?;
    let was_ringing = |party: &Party| {
        let mut before = before.parties.iter();
        before.any(|p| p.user_id == party.user_id && p.state == PartyState::Ringing)
    };
    let mut parties = call.parties.iter();
    let answerer = parties.find(|p| p.state == PartyState::Joined && was_ringing(p));
    if let Some(answerer) = answerer {
        call.row.last_signal = log::hand_over(tx, &call.row, answerer).await?;
    }
    let row = call::ActiveModel::from(call.row.clone()).reset_all();
    row.update(&tx.db).await?;
    Ok(Arc::new(call))
}

/// Gives the conversation its event of a call that has just ended. Nothing happens to a call
/// after that, so there is one event each.
async fn record_end(tx: &mut Tx, call: &Row, actor: Option<Arc<User>>) -> Result<()> {
    let conversation = tx.allocate(call.conversation_id, 1).await?;
    let event = Event {
        conversation_id: conversation.id,
        seq: conversation.last_seq,
        at: conversation.last_active_at,
        actor_id: actor.as_ref().map(|actor| actor.id),
        stamp: tx.stamp().await?,
        kind: EventKind::CallEnded(call.id),
        users: actor.into_iter().collect(),
    };
    tx.record(vec![event]).await
}
