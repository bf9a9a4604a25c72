//! Who is there: online, away, busy or offline.
//!
//! 1. A device, which is a session, is there while it has a lease: a row that says which node
//!    keeps it. An open socket or stream holds one ([`hold`]); [`set`] without either gets one
//!    for a while. [`devices`] collects what opens and closes; [`leases`] writes it, many at
//!    once.
//! 2. A lease goes with its node: nodes beat, and one that stops is declared dead by the
//!    others ([`nodes`]), who then end its leases.
//! 3. Whatever changes leases, or what a device says of itself, makes out the users' presence
//!    anew in the same transaction, under the lock of their rows ([`outcome`]).
//! 4. A change is told under the user's topic. The bus keeps the newest value of each user who
//!    is watched on a node, and its sweep finds what nobody was told. [`watch`] streams them
//!    ([`watching`]), each as far as the user shows it to whoever watches.

mod devices;
mod leases;
mod nodes;
mod outcome;
mod watching;

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::session::DeviceState;
use backchannel_entities::{SessionId, UserId, presence, user};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter,
    QueryResult, QuerySelect,
};

use crate::cx::Tx;
use crate::db::in_list;
use crate::rates::{self, Action};
use crate::users::Audience;
use crate::{Cx, Error, Result, limits, ties};

pub(crate) use self::devices::{Devices, keep_leases};
pub(crate) use self::nodes::keep_beating;

pub use self::devices::DeviceLease;
pub use self::watching::watch;
pub use backchannel_entities::presence::{Model as Presence, State};

/// Whether a person said it, or their client noticed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Said: it stays until something else is said.
    Chosen,
    /// Noticed: that the person has gone from the device, or is back. Overrides nothing said.
    Automatic,
}

/// What a device says of itself, checked.
pub struct NewPresence {
    state: State,
    origin: Origin,
    /// The user's new text, if it changes; none within takes it away.
    text: Option<Option<String>>,
}

impl NewPresence {
    /// Checks it. No text leaves the present one; a blank one takes it away.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a text that is too long, and for what cannot be noticed.
    pub fn parse(state: State, origin: Origin, text: Option<&str>) -> Result<Self> {
        let noticeable = matches!(state, State::Online | State::Away);
        if origin == Origin::Automatic && !noticeable {
            let message = "goes with ONLINE and AWAY only";
            return Err(Error::bad_input("automatic", message));
        }
        let text = text.map(|text| limits::presence_text("text", text));
        Ok(Self {
            state,
            origin,
            text: text.transpose()?,
        })
    }

    /// What a device that was in `before` is in afterwards.
    fn applied_to(&self, before: DeviceState) -> DeviceState {
        match (self.origin, self.state, before) {
            (Origin::Automatic, State::Away, DeviceState::Online) => DeviceState::Idle,
            (Origin::Automatic, State::Online, DeviceState::Idle) => DeviceState::Online,
            (Origin::Automatic, _, before) => before,
            (Origin::Chosen, State::Online, _) => DeviceState::Online,
            (Origin::Chosen, State::Away, _) => DeviceState::Away,
            (Origin::Chosen, State::Busy, _) => DeviceState::Busy,
            (Origin::Chosen, State::Offline, _) => DeviceState::Offline,
        }
    }
}

/// Says that the actor's device is there, until the lease is dropped. None for nobody.
#[must_use]
pub fn hold(cx: &Cx) -> Option<DeviceLease> {
    let signed_in = cx.signed_in().ok()?;
    let devices = &cx.handles().devices;
    Some(devices.hold(signed_in.session_id, signed_in.user.id))
}

/// Sets what the actor's device says of itself, and the actor's text. A device without an
/// open socket counts as there for a while from now.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in; [`Error::RateLimited`] when the device has said
/// too much.
pub async fn set(cx: &Cx, new: NewPresence) -> Result<Presence> {
    let signed_in = Arc::clone(cx.signed_in()?);
    rates::count(cx, Action::Signal)?;
    let new = Arc::new(new);
    loop {
        let node_id = nodes::own(cx).await?;
        let (new, signed_in) = (Arc::clone(&new), Arc::clone(&signed_in));
        let devices = Arc::clone(&cx.handles().devices);
        let written = cx.write(move |tx| {
            Box::pin(
                async move { leases::write_own(tx, &devices, node_id, &signed_in, &new).await },
            )
        });
        match written.await? {
            Some(presence) => return Ok(presence),
            // The node was declared dead meanwhile; it comes back as another.
            None => nodes::lose(cx, node_id).await,
        }
    }
}

/// Ends all leases of a user's sessions that are being ended.
pub(crate) async fn end_devices(tx: &mut Tx, user_id: UserId, ids: &[SessionId]) -> Result<()> {
    leases::end_everywhere(tx, user_id, ids).await
}

/// A presence as the actor sees it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// What is seen.
    pub presence: Presence,
    /// Whether others may see something else.
    pub is_selective: bool,
}

/// Of one who ever was there: the presence as it is, and to whom it is open.
struct Open {
    presence: Presence,
    is_selective: bool,
    shows_last_seen: Audience,
}

impl FromQueryResult for Open {
    fn from_query_result(row: &QueryResult, prefix: &str) -> Result<Self, DbErr> {
        Ok(Self {
            presence: Presence::from_query_result(row, prefix)?,
            is_selective: row.try_get(prefix, "is_selective")?,
            shows_last_seen: row.try_get(prefix, "shows_last_seen")?,
        })
    }
}

/// Presence by user, as far as each shows it to the actor; for whoever never was there, that.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[UserId]) -> Result<HashMap<UserId, Seen>> {
    cx.signed_in()?;
    let of_user = presence::Entity::belongs_to(user::Entity)
        .from(presence::Column::UserId)
        .to(user::Column::Id)
        .into();
    let open: Vec<Open> = presence::Entity::find()
        .join(JoinType::InnerJoin, of_user)
        .column(user::Column::IsSelective)
        .column(user::Column::ShowsLastSeen)
        .filter(presence::Column::UserId.is_in(in_list(ids)))
        .into_model()
        .all(cx.read())
        .await?;
    let selective = open.iter().filter(|open| open.is_selective);
    let selective: Vec<UserId> = selective.map(|open| open.presence.user_id).collect();
    let ties = ties::of_actor(cx, &selective).await?;
    let seen = open.into_iter().map(|open| {
        let Open {
            presence,
            is_selective,
            shows_last_seen,
        } = open;
        let id = presence.user_id;
        let tie = ties.get(&id).copied().unwrap_or_default();
        let seen = Seen {
            presence: tie.presence(presence, shows_last_seen),
            is_selective,
        };
        (id, seen)
    });
    let mut seen: HashMap<_, _> = seen.collect();
    for id in ids {
        seen.entry(*id).or_insert_with(|| Seen {
            presence: never_there(*id),
            is_selective: false,
        });
    }
    Ok(seen)
}

/// Presence by user, of those who ever were there.
pub(crate) async fn read_many(
    db: &impl ConnectionTrait,
    ids: &[UserId],
) -> Result<HashMap<UserId, Presence>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let found = presence::Entity::find()
        .filter(presence::Column::UserId.is_in(in_list(ids)))
        .all(db)
        .await?;
    Ok(found
        .into_iter()
        .map(|presence| (presence.user_id, presence))
        .collect())
}

/// The presence of a user who never was there.
pub(crate) fn never_there(id: UserId) -> Presence {
    Presence {
        user_id: id,
        state: State::Offline,
        text: None,
        last_seen_at: None,
        changes: 0,
        stamp: 0,
    }
}
