//! What was read a moment ago, so that not every request reads it again: sessions with their
//! users, and who is a member where.
//!
//! Nothing is believed for longer than a second after the read of it began. So what has ended is
//! over within a second even where nobody tells of it: where somebody does, on the node that ended
//! it before that answers, it is over from then on.

use std::hash::Hash;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hashlink::LruCache;

/// How long what was read is believed.
const BELIEVED: Duration = Duration::from_secs(1);

/// Values read lately, on this node.
pub(crate) struct Recent<K, V>(Mutex<Contents<K, V>>);

struct Contents<K, V> {
    /// With when the read of each began.
    values: LruCache<K, (V, Duration)>,
    /// How often something was forgotten.
    forgotten: u64,
}

/// A read that has begun. What it finds may be old by the time it is there.
pub(crate) struct Reading {
    began: Duration,
    forgotten: u64,
}

impl<K: Eq + Hash, V: Clone> Recent<K, V> {
    /// Room for so many; the least recently used goes first.
    pub(crate) fn new(room: usize) -> Self {
        Self(Mutex::new(Contents {
            values: LruCache::new(room),
            forgotten: 0,
        }))
    }

    /// What was read less than a second before `now`, the node's uptime.
    pub(crate) fn find(&self, key: &K, now: Duration) -> Option<V> {
        let mut contents = self.contents();
        let (value, read) = contents.values.get(key)?;
        (now.saturating_sub(*read) < BELIEVED).then(|| value.clone())
    }

    /// To be called before something is read that is then to be kept.
    pub(crate) fn reading(&self, now: Duration) -> Reading {
        Reading {
            began: now,
            forgotten: self.contents().forgotten,
        }
    }

    /// Keeps what was read, unless something was to be forgotten meanwhile: that may have been
    /// this very value, which has ended since it was read.
    pub(crate) fn keep(&self, reading: &Reading, key: K, value: V) {
        let mut contents = self.contents();
        if contents.forgotten == reading.forgotten {
            contents.values.insert(key, (value, reading.began));
        }
    }

    /// Forgets what has ended or changed.
    pub(crate) fn forget(&self, key: &K) {
        let mut contents = self.contents();
        contents.forgotten += 1;
        contents.values.remove(key);
    }

    /// Forgets all that has ended or changed.
    pub(crate) fn forget_where(&self, has_changed: impl Fn(&V) -> bool) {
        let mut contents = self.contents();
        contents.forgotten += 1;
        contents.values.retain(|_, (value, _)| !has_changed(value));
    }

    fn contents(&self) -> MutexGuard<'_, Contents<K, V>> {
        self.0.lock().expect("no holder panics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "key";
    const SOON: Duration = Duration::from_millis(999);

    fn recent() -> Recent<&'static str, u8> {
        Recent::new(2)
    }

    #[test]
    fn what_was_read_is_believed_for_a_second_from_the_beginning_of_the_read() {
        let recent = recent();
        let reading = recent.reading(Duration::ZERO);
        assert_eq!(recent.find(&KEY, Duration::ZERO), None);
        recent.keep(&reading, KEY, 1);
        assert_eq!(recent.find(&KEY, SOON), Some(1));
        assert_eq!(recent.find(&KEY, BELIEVED), None);
    }

    #[test]
    fn what_ends_while_it_is_read_is_not_kept() {
        let recent = recent();
        let reading = recent.reading(Duration::ZERO);
        recent.forget(&KEY);
        recent.keep(&reading, KEY, 1);
        assert_eq!(recent.find(&KEY, SOON), None);
        recent.keep(&recent.reading(SOON), KEY, 2);
        assert_eq!(recent.find(&KEY, SOON), Some(2));
        recent.forget(&KEY);
        assert_eq!(recent.find(&KEY, SOON), None);
    }

    #[test]
    fn what_has_changed_is_read_anew() {
        let recent = recent();
        recent.keep(&recent.reading(Duration::ZERO), KEY, 1);
        recent.forget_where(|value| *value == 2);
        assert_eq!(recent.find(&KEY, SOON), Some(1));
        recent.forget_where(|value| *value == 1);
        assert_eq!(recent.find(&KEY, SOON), None);
    }

    #[test]
    fn no_more_are_kept_than_there_is_room_for() {
        let recent = recent();
        for key in ["first", "second", "third"] {
            recent.keep(&recent.reading(Duration::ZERO), key, 1);
        }
        assert_eq!(recent.find(&"first", SOON), None);
        assert_eq!(recent.find(&"third", SOON), Some(1));
    }
}
