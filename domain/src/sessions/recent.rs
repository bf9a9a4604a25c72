//! Sessions that were read a moment ago, so that not every request reads its own.
//!
//! None is believed for longer than a second after the read of it began. So an ended session is
//! refused within a second of its end even where nobody tells of it: where somebody does, on the
//! node that ended it before that answers, it is refused from then on.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::{SessionId, Timestamp, UserId};
use hashlink::LruCache;

use crate::users::User;

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(1);
/// Most sessions kept; the least recently used goes first.
const SESSIONS: usize = 4_096;

/// A session that was not ended when it was read, and its user.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) user: Arc<User>,
    pub(crate) expires_at: Timestamp,
}

/// The sessions read lately, on this node.
pub(crate) struct Recent(Mutex<Contents>);

struct Contents {
    sessions: LruCache<SessionId, (Known, Duration)>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// A read that has begun. What it finds may be old by the time it is there.
pub(crate) struct Reading {
    began: Duration,
    forgotten: u64,
}

impl Default for Recent {
    fn default() -> Self {
        Self(Mutex::new(Contents {
            sessions: LruCache::new(SESSIONS),
            forgotten: 0,
        }))
    }
}

impl Recent {
    /// What was read of a session less than a second before `now`, the node's uptime.
    pub(crate) fn find(&self, id: SessionId, now: Duration) -> Option<Known> {
        let mut contents = self.contents();
        let (known, read) = contents.sessions.get(&id)?;
        (now.saturating_sub(*read) < BELIEVED).then(|| known.clone())
    }

    /// To be called before a session is read that is then to be kept.
    pub(crate) fn reading(&self, now: Duration) -> Reading {
        Reading {
            began: now,
            forgotten: self.contents().forgotten,
        }
    }

    /// Keeps what was read, unless something was to be forgotten meanwhile: that may have been
    /// this very session, ended after it was read.
    pub(crate) fn keep(&self, reading: &Reading, id: SessionId, known: Known) {
        let mut contents = self.contents();
        if contents.forgotten == reading.forgotten {
            contents.sessions.insert(id, (known, reading.began));
        }
    }

    /// Forgets a session that has ended.
    pub(crate) fn forget(&self, id: SessionId) {
        let mut contents = self.contents();
        contents.forgotten += 1;
        contents.sessions.remove(&id);
    }

    /// Forgets the sessions of a user who has changed.
    pub(crate) fn forget_user(&self, id: UserId) {
        let mut contents = self.contents();
        contents.forgotten += 1;
        contents
            .sessions
            .retain(|_, (known, _)| known.user.id != id);
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.0.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use backchannel_entities::user;
    use uuid::Uuid;

    use super::*;

    const ID: SessionId = SessionId(Uuid::from_u128(1));
    const SOON: Duration = Duration::from_millis(999);

    fn known() -> Known {
        let user = user::Model {
            id: UserId(Uuid::from_u128(2)),
            email: None,
            phone: None,
            password_hash: None,
            display_name: "Ann".to_owned(),
            avatar_url: None,
            created_at: Timestamp(0),
            read_receipts: true,
            stamp: 0,
        };
        Known {
            user: Arc::new(user),
            expires_at: Timestamp(i64::MAX),
        }
    }

    #[test]
    fn what_was_read_is_believed_for_a_second_from_the_beginning_of_the_read() {
        let recent = Recent::default();
        let reading = recent.reading(Duration::ZERO);
        assert!(recent.find(ID, Duration::ZERO).is_none());
        recent.keep(&reading, ID, known());
        assert!(recent.find(ID, SOON).is_some());
        assert!(recent.find(ID, BELIEVED).is_none());
    }

    #[test]
    fn a_session_that_ends_while_it_is_read_is_not_kept() {
        let recent = Recent::default();
        let reading = recent.reading(Duration::ZERO);
        recent.forget(ID);
        recent.keep(&reading, ID, known());
        assert!(recent.find(ID, SOON).is_none());
        recent.keep(&recent.reading(SOON), ID, known());
        assert!(recent.find(ID, SOON).is_some());
        recent.forget(ID);
        assert!(recent.find(ID, SOON).is_none());
    }

    #[test]
    fn who_changes_is_read_anew() {
        let (recent, known) = (Recent::default(), known());
        let user_id = known.user.id;
        recent.keep(&recent.reading(Duration::ZERO), ID, known);
        recent.forget_user(UserId(Uuid::from_u128(3)));
        assert!(recent.find(ID, SOON).is_some());
        recent.forget_user(user_id);
        assert!(recent.find(ID, SOON).is_none());
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let recent = Recent::default();
        for n in 0..=SESSIONS as u128 {
            let id = SessionId(Uuid::from_u128(n));
            recent.keep(&recent.reading(Duration::ZERO), id, known());
        }
        let first = SessionId(Uuid::from_u128(0));
        assert!(recent.find(first, SOON).is_none());
        assert!(recent.find(ID, SOON).is_some());
    }
}
