//! What of all a viewer's events has been delivered.

use std::collections::BTreeMap;

use backchannel_entities::ConversationId;
use uuid::Uuid;

use crate::event::Event;

/// Layout of the encoded form.
const VERSION: u8 = 1;
/// Most conversations named one by one in a cursor that is accepted.
const SEQS: usize = 10_000;

/// What of all a viewer's events has been delivered: not how far, for commits have no order
/// that streams could follow, but which.
///
/// Of a conversation in `seqs`, everything up to that seq. Of any other, everything below a
/// stamp that was settled: `base`, or, of those that a catching up under way has done with,
/// `until`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub(super) base: i64,
    pub(super) catching_up: Option<CatchingUp>,
    pub(super) seqs: BTreeMap<ConversationId, i64>,
}

/// A catching up under way. It takes conversations in the order of their ids, a few at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CatchingUp {
    /// Up to which stamp.
    pub(super) until: i64,
    /// The last conversation that is done.
    pub(super) done: ConversationId,
}

impl Cursor {
    pub(super) fn new(base: i64) -> Self {
        Self {
            base,
            catching_up: None,
            seqs: BTreeMap::new(),
        }
    }

    /// The stamp below which everything of a conversation has been delivered, if it is not in
    /// `seqs`.
    pub(super) fn base_of(&self, id: ConversationId) -> i64 {
        match self.catching_up {
            Some(CatchingUp { until, done }) if id <= done => until,
            Some(_) | None => self.base,
        }
    }

    /// Whether the event has been delivered.
    pub(super) fn has(&self, event: &Event) -> bool {
        match self.seqs.get(&event.conversation_id) {
            Some(seq) => event.seq <= *seq,
            None => event.stamp < self.base_of(event.conversation_id),
        }
    }

    /// Whether the event is not the next of its conversation.
    pub(super) fn misses_one_before(&self, event: &Event) -> bool {
        // One not in `seqs` has nothing between its base and this event.
        let seq = self.seqs.get(&event.conversation_id);
        seq.is_some_and(|seq| *seq + 1 != event.seq)
    }

    pub(super) fn add(&mut self, event: &Event) {
        self.seqs.insert(event.conversation_id, event.seq);
    }

    /// The cursor as bytes: a version, numbers in LEB128, ids whole.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        put(&mut bytes, self.base);
        // How far `until` is past `base`, one more; 0 for none.
        match self.catching_up {
            None => put(&mut bytes, 0),
            Some(CatchingUp { until, done }) => {
                put(&mut bytes, until - self.base + 1);
                bytes.extend(done.0.as_bytes());
            }
        }
        for (id, seq) in &self.seqs {
            bytes.extend(id.0.as_bytes());
            put(&mut bytes, *seq);
        }
        bytes
    }

    /// Reads what [`Cursor::encode`] made.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes.strip_prefix(&[VERSION])?;
        let mut cursor = Self::new(take(&mut rest)?);
        let ahead = take(&mut rest)?;
        if ahead > 0 {
            cursor.catching_up = Some(CatchingUp {
                until: cursor.base.checked_add(ahead - 1)?,
                done: take_id(&mut rest)?,
            });
        }
        while !rest.is_empty() {
            let id = take_id(&mut rest)?;
            cursor.seqs.insert(id, take(&mut rest)?);
            if cursor.seqs.len() > SEQS {
                return None;
            }
        }
        Some(cursor)
    }
}

fn put(bytes: &mut Vec<u8>, number: i64) {
    // Stamps and seqs are never negative.
    let mut number = number.unsigned_abs();
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0_u64;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return i64::try_from(number).ok();
        }
    }
    None
}

fn take_id(bytes: &mut &[u8]) -> Option<ConversationId> {
    let (id, rest) = bytes.split_at_checked(16)?;
    *bytes = rest;
    Some(ConversationId(Uuid::from_slice(id).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> ConversationId {
        ConversationId(Uuid::from_u128(n))
    }

    #[test]
    fn a_cursor_survives_being_encoded() {
        let plain = Cursor::new(0);
        let mut full = Cursor::new(i64::MAX - 300);
        full.catching_up = Some(CatchingUp {
            until: i64::MAX - 1,
            done: id(7),
        });
        full.seqs = [(id(1), 127), (id(2), 128), (id(u128::MAX), i64::MAX)].into();
        for cursor in [plain, full] {
            assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }
    }

    #[test]
    fn bytes_that_are_no_cursor_are_refused() {
        let mut cursor = Cursor::new(300);
        cursor.seqs.insert(id(1), 5);
        let bytes = cursor.encode();
        for end in [0, 1, 2, 5, bytes.len() - 1] {
            assert_eq!(Cursor::decode(&bytes[..end]), None, "{end}");
        }
        assert_eq!(Cursor::decode(&[2, 0, 0]), None, "another version");
        assert_eq!(
            Cursor::decode(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]),
            None
        );
    }
}
