//! What the devices of users come to. Two transactions may change the devices of one user at
//! once, on two nodes: each makes the outcome out under the lock of the user's row, so the
//! later one sees what both have done.

use std::collections::HashMap;

use backchannel_entities::session::DeviceState;
use backchannel_entities::{SessionId, UserId, lease, presence, session};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait, EntityTrait, IntoActiveModel, JoinType, QueryFilter, QueryOrder, QuerySelect,
    RelationTrait,
};

use crate::Result;
use crate::bus::UserNotice;
use crate::cx::Tx;
use crate::db::in_list;

use super::{Presence, State, never_there};

/// Users whose rows are locked until the end of the transaction. Locks are taken in this
/// order by all: users, then a node, then sessions.
pub(super) struct Locked(Vec<Presence>);

/// What became of them.
pub(super) struct Outcome {
    /// The users' devices that are there.
    pub(super) devices: Vec<SessionId>,
    pub(super) presences: Vec<Presence>,
}

/// Locks users. To be called before their devices are touched.
pub(super) async fn lock(tx: &Tx, mut ids: Vec<UserId>) -> Result<Locked> {
    ids.sort_unstable();
    ids.dedup();
    let select = presence::Entity::find()
        .filter(presence::Column::UserId.is_in(in_list(&ids)))
        .order_by_asc(presence::Column::UserId)
        .lock_exclusive();
    let rows = select.clone().all(&tx.db).await?;
    if rows.len() == ids.len() {
        return Ok(Locked(rows));
    }
    // Those who are there for the first time, again in order.
    let missing: Vec<UserId> = ids
        .into_iter()
        .filter(|id| !rows.iter().any(|row| row.user_id == *id))
        .collect();
    let missing = in_list(&missing).into_iter();
    presence::Entity::insert_many(missing.map(|id| never_there(id).into_active_model()))
        .on_conflict_do_nothing_on([presence::Column::UserId])
        .exec_without_returning(&tx.db)
        .await?;
    Ok(Locked(select.all(&tx.db).await?))
}

impl Locked {
    /// Makes out what the users are in now, writes what has changed and tells it after the
    /// commit. `text` replaces that of each.
    pub(super) async fn settle(
        mut self,
        tx: &mut Tx,
        text: Option<Option<String>>,
    ) -> Result<Outcome> {
        let ids: Vec<UserId> = self.0.iter().map(|row| row.user_id).collect();
        let devices = devices_of(tx, &ids).await?;
        let mut states: HashMap<UserId, State> = HashMap::new();
        for (user_id, _, said) in &devices {
            let state = states.entry(*user_id).or_insert(State::Offline);
            *state = stronger(*state, counts_as(*said));
        }
        // Most often everybody changes to the same: one statement for each way to change.
        let mut alike: HashMap<(State, bool), Vec<&mut Presence>> = HashMap::new();
        for row in &mut self.0 {
            let state = states.remove(&row.user_id).unwrap_or(State::Offline);
            if state != row.state || text.as_ref().is_some_and(|text| *text != row.text) {
                let seen = state != State::Offline || row.state != State::Offline;
                alike.entry((state, seen)).or_default().push(row);
            }
        }
        for ((state, seen), rows) in alike {
            write(tx, state, seen, text.as_ref(), rows).await?;
        }
        Ok(Outcome {
            devices: devices.into_iter().map(|(_, id, _)| id).collect(),
            presences: self.0,
        })
    }
}

async fn devices_of(tx: &Tx, ids: &[UserId]) -> Result<Vec<(UserId, SessionId, DeviceState)>> {
    Ok(lease::Entity::find()
        .select_only()
        .column(lease::Column::UserId)
        .column(lease::Column::SessionId)
        .column(session::Column::DeviceState)
        .join(JoinType::InnerJoin, lease::Relation::Session.def())
        .filter(lease::Column::UserId.is_in(in_list(ids)))
        .filter(session::Column::RevokedAt.is_null())
        .into_tuple()
        .all(&tx.db)
        .await?)
}

async fn write(
    tx: &mut Tx,
    state: State,
    seen: bool,
    text: Option<&Option<String>>,
    rows: Vec<&mut Presence>,
) -> Result<()> {
    use presence::Column;
    let (stamp, now) = (tx.stamp().await?, tx.now());
    let ids: Vec<UserId> = rows.iter().map(|row| row.user_id).collect();
    let mut update = presence::Entity::update_many()
        .col_expr(Column::State, Expr::value(state))
        .col_expr(Column::Stamp, Expr::value(stamp))
        .col_expr(Column::Changes, Expr::col(Column::Changes).add(1))
        .filter(Column::UserId.is_in(in_list(&ids)));
    if seen {
        update = update.col_expr(Column::LastSeenAt, Expr::value(now));
    }
    if let Some(text) = text {
        update = update.col_expr(Column::Text, Expr::value(text.clone()));
    }
    update.exec(&tx.db).await?;
    for row in rows {
        row.state = state;
        row.stamp = stamp;
        row.changes += 1;
        if seen {
            row.last_seen_at = Some(now);
        }
        if let Some(text) = text {
            row.text.clone_from(text);
        }
        tx.tell(row.user_id, UserNotice::Presence(row.clone()));
    }
    Ok(())
}

/// What a device makes of its user, as far as it goes.
fn counts_as(said: DeviceState) -> State {
    match said {
        DeviceState::Online => State::Online,
        DeviceState::Idle | DeviceState::Away => State::Away,
        DeviceState::Busy => State::Busy,
        DeviceState::Offline => State::Offline,
    }
}

fn stronger(a: State, b: State) -> State {
    let strength = |state| match state {
        State::Offline => 0,
        State::Away => 1,
        State::Online => 2,
        State::Busy => 3,
    };
    if strength(a) < strength(b) { b } else { a }
}
