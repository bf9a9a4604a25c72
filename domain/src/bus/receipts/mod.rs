//! How far the members of a conversation have come, while somebody here streams it.
//!
//! 1. What a mark moved ([`Advance`]) reaches the conversation's [`ReceiptHub`]: from this node
//!    at once, from others in bundles ([`outbox`]), and where Redis failed, by reading
//!    [`again`].
//! 2. The hub keeps what each member's marks were last, so that what comes late or twice is no
//!    news, and never takes anything back.
//! 3. It passes news on in batches: the first at once, the rest at each tick; and none before
//!    the events that were there when the mark was made. So whoever was removed before it has
//!    been told so first.

mod again;
mod hub;
mod outbox;

use backchannel_entities::{Timestamp, UserId};
use serde::{Deserialize, Serialize};

pub(super) use self::again::{Missed, read_again_until_stopped};
pub(super) use self::hub::ReceiptHub;
pub(super) use self::outbox::Outbox;

pub(crate) use self::hub::{FollowingReceipts, Moved};

/// Members whose marks are kept or carried at most, of one conversation or on their way. For
/// those beyond, the database is read.
const KEPT: usize = 10_000;

/// How far a member has come by a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Advance {
    pub(crate) user_id: UserId,
    pub(crate) delivered_seq: i64,
    pub(crate) read_seq: i64,
    pub(crate) at: Timestamp,
    /// Whether others may see `read_seq`.
    pub(crate) shows_reads: bool,
    /// The conversation's last seq when the member was found to be one.
    pub(crate) last_seq: i64,
}

impl Advance {
    /// Whether it goes beyond `known` in anything.
    fn is_beyond(&self, known: &Self) -> bool {
        self.delivered_seq > known.delivered_seq || self.read_seq > known.read_seq
    }

    /// The same member after both: marks only rise, a switch stands as it was left.
    fn united(self, other: &Self) -> Self {
        let latest = if self.at < other.at { other } else { &self };
        Self {
            user_id: self.user_id,
            delivered_seq: self.delivered_seq.max(other.delivered_seq),
            read_seq: self.read_seq.max(other.read_seq),
            at: latest.at,
            shows_reads: latest.shows_reads,
            last_seq: self.last_seq.max(other.last_seq),
        }
    }
}
