//! Who is there.

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::presence::{self, NewPresence, Origin, Presence as Row, State};
use futures_util::{Stream, StreamExt as _};

use crate::error::Result;
use crate::id::{Global as _, parse_all};
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::streaming;

/// Whether somebody is there.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "State")]
enum PresenceState {
    /// There.
    Online,
    /// There, but not at any device just now.
    Away,
    /// There, and not to be disturbed.
    Busy,
    /// Not there, or not wishing to seem so.
    Offline,
}

/// Whether a user is there. Of several devices the strongest state counts: BUSY before
/// ONLINE before AWAY. Between two of whom one blocks the other, both seem never to be there.
#[derive(SimpleObject)]
pub(crate) struct Presence {
    /// Whose presence it is.
    user_id: ID,
    /// Whether they are there.
    state: PresenceState,
    /// What they say to it; null where nothing.
    text: Option<String>,
    /// When the user last was not OFFLINE; for one who is not now, when the presence last
    /// changed. Null for whoever never was there, or does not show it to the viewer.
    last_seen_at: Option<DateTime>,
}

impl From<Row> for Presence {
    fn from(row: Row) -> Self {
        Self {
            user_id: row.user_id.global(),
            state: row.state.into(),
            text: row.text,
            last_seen_at: row.last_seen_at.map(Into::into),
        }
    }
}

/// What this device is to count as.
#[derive(InputObject)]
struct SetPresenceInput {
    /// The state of this device. OFFLINE: it does not count, although it is there.
    state: PresenceState,
    /// What the user says to it, on all devices, at most 140 characters. Null leaves it as it
    /// is, "" takes it away.
    text: Option<String>,
    /// True when the client noticed it and nobody chose it: AWAY when the person has left the
    /// device, ONLINE when back. It does not override a state that was chosen.
    #[graphql(default_with = "Some(false)")]
    automatic: Option<bool>,
}

/// The answer to `setPresence`.
#[derive(SimpleObject)]
struct SetPresencePayload {
    /// The viewer's presence, of all devices together.
    presence: Presence,
}

#[derive(Default)]
pub(crate) struct PresenceMutation;

#[Object]
impl PresenceMutation {
    /// Says what this device counts as. It stays so until it is said otherwise, also across
    /// reconnects. A device that has no socket and no stream open counts as there for 45
    /// seconds from its last call.
    async fn set_presence(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The state, and what to say to it.")] input: SetPresenceInput,
    ) -> Result<SetPresencePayload> {
        let cx = Scope::of(ctx).cx();
        cx.signed_in()?;
        let origin = if input.automatic == Some(true) {
            Origin::Automatic
        } else {
            Origin::Chosen
        };
        let new = NewPresence::parse(input.state.into(), origin, input.text.as_deref())?;
        let presence = presence::set(cx, new).await?.into();
        Ok(SetPresencePayload { presence })
    }
}

#[derive(Default)]
pub(crate) struct PresenceSubscription;

#[Subscription]
impl PresenceSubscription {
    /// Emits the present state of each user first, then each change. Whoever changes often is
    /// told about less often, with the latest state. NOT_FOUND if one of the users does not
    /// exist.
    async fn presence_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to watch; at most 200.")] user_ids: Vec<ID>,
    ) -> Result<impl Stream<Item = Presence> + use<>> {
        let cx = Scope::of(ctx).cx();
        let changes = streaming::each(ctx, async {
            cx.signed_in()?;
            Ok(presence::watch(cx, parse_all(&user_ids)?).await?)
        });
        Ok(changes
            .await?
            .map(|presence| Presence::from((*presence).clone())))
    }
}
