//! What is open on this node, by key, for as long as somebody holds it.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard};

/// Shared values by key. An entry goes with its last holder, who calls
/// [`Registry::forget_if_last`] when dropped.
pub(super) struct Registry<K, V>(Mutex<HashMap<K, Arc<V>>>);

impl<K, V> Default for Registry<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Copy + Eq + Hash, V> Registry<K, V> {
    pub(super) fn get(&self, key: &K) -> Option<Arc<V>> {
        self.entries().get(key).cloned()
    }

    pub(super) fn get_or_insert_with(&self, key: K, make: impl FnOnce() -> V) -> Arc<V> {
        Arc::clone(
            self.entries()
                .entry(key)
                .or_insert_with(|| Arc::new(make())),
        )
    }

    pub(super) fn keys(&self) -> Vec<K> {
        self.entries().keys().copied().collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries().is_empty()
    }

    /// Removes the entry if `held` is the only holder beside the registry itself. Answers
    /// whether it did.
    pub(super) fn forget_if_last(&self, key: &K, held: &Arc<V>) -> bool {
        let mut entries = self.entries();
        // Counted under the lock, through which every further holder would have to come.
        let last = Arc::strong_count(held) <= 2;
        last && entries.remove(key).is_some()
    }

    /// Removes what nobody holds: an entry whose last holder went while somebody was only
    /// passing by. Answers the keys.
    pub(super) fn forget_unheld(&self) -> Vec<K> {
        let mut entries = self.entries();
        let unheld: Vec<K> = entries
            .iter()
            .filter(|(_, v)| Arc::strong_count(v) == 1)
            .map(|(k, _)| *k)
            .collect();
        for key in &unheld {
            entries.remove(key);
        }
        unheld
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<K, Arc<V>>> {
        self.0.lock().expect("no holder panics")
    }
}
