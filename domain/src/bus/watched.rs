//! Within a node: one [`Watched`] for each user whose presence somebody here watches. It
//! knows the latest value and who is to be woken by a newer one, or by a change of the user's
//! settings; there is no queue of values.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use backchannel_entities::UserId;
use tokio::sync::Notify;

use crate::Result;
use crate::presence::{self, Presence};

use super::Ends;
use super::topic::Topic;

/// A user's presence as far as this node knows, and those who watch it here.
#[derive(Default)]
pub(super) struct Watched(Mutex<Latest>);

#[derive(Default)]
struct Latest {
    presence: Option<Arc<Presence>>,
    /// How often the user's settings have changed.
    settings: u64,
    /// By the address of the watcher; with it, which of the watcher's users this is.
    watchers: HashMap<usize, (Weak<Watcher>, usize)>,
}

/// What a stream is woken by: which of its users have changed since it last looked.
struct Watcher {
    changed: Mutex<Changed>,
    wake: Notify,
}

struct Changed {
    /// Each user at most once.
    waiting: VecDeque<usize>,
    is_waiting: Vec<bool>,
}

/// A stream's hold on the users it watches.
pub(crate) struct Watch {
    ids: Vec<UserId>,
    watched: Vec<Arc<Watched>>,
    /// The settings of each, when it was last taken.
    settings: Vec<u64>,
    watcher: Arc<Watcher>,
    ends: Arc<Ends>,
}

/// The latest of one user.
pub(crate) struct Change {
    pub(crate) presence: Arc<Presence>,
    /// Whether who sees it may have changed too.
    pub(crate) is_of_settings: bool,
}

impl Ends {
    /// Watches users from now on; what is so already is read, after the watch is set.
    pub(super) async fn watch(self: &Arc<Self>, ids: Vec<UserId>) -> Result<Watch> {
        let watcher = Arc::new(Watcher {
            changed: Mutex::new(Changed {
                waiting: VecDeque::new(),
                is_waiting: vec![false; ids.len()],
            }),
            wake: Notify::new(),
        });
        let local = &self.local;
        let watched: Vec<Arc<Watched>> = ids
            .iter()
            .map(|id| local.watched.get_or_insert_with(*id, Watched::default))
            .collect();
        for (index, watched) in watched.iter().enumerate() {
            watched.attach(&watcher, index);
        }
        // Made first: if reading fails, dropping it gives all back.
        let watch = Watch {
            settings: vec![0; ids.len()],
            ids,
            watched,
            watcher,
            ends: Arc::clone(self),
        };
        let topics = watch.ids.iter().map(|id| Topic::User(*id)).collect();
        self.subscribe(topics).await;
        let mut found = presence::read_many(&self.db.reader, &watch.ids).await?;
        for (id, watched) in watch.ids.iter().zip(&watch.watched) {
            let found = found
                .remove(id)
                .unwrap_or_else(|| presence::never_there(*id));
            watched.offer(found);
        }
        Ok(watch)
    }
}

impl Watched {
    fn attach(&self, watcher: &Arc<Watcher>, index: usize) {
        let entry = (Arc::downgrade(watcher), index);
        self.latest().watchers.insert(address(watcher), entry);
    }

    fn detach(&self, watcher: &Arc<Watcher>) {
        self.latest().watchers.remove(&address(watcher));
    }

    /// Takes a value, which may be old or known.
    pub(super) fn offer(&self, presence: Presence) {
        let mut latest = self.latest();
        let known = latest.presence.as_ref().map(|known| known.changes);
        if known.is_some_and(|changes| presence.changes <= changes) {
            return;
        }
        latest.presence = Some(Arc::new(presence));
        latest.wake();
    }

    /// Says that the user's settings have changed.
    pub(super) fn settings_changed(&self) {
        let mut latest = self.latest();
        latest.settings += 1;
        latest.wake();
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.lock().expect("no holder panics")
    }
}

impl Latest {
    fn wake(&self) {
        for (watcher, index) in self.watchers.values() {
            watcher.upgrade().inspect(|watcher| watcher.note(*index));
        }
    }
}

impl Watcher {
    fn note(&self, index: usize) {
        let mut changed = self.changed();
        if !std::mem::replace(&mut changed.is_waiting[index], true) {
            changed.waiting.push_back(index);
        }
        drop(changed);
        self.wake.notify_one();
    }

    fn next(&self) -> Option<usize> {
        let mut changed = self.changed();
        let index = changed.waiting.pop_front()?;
        changed.is_waiting[index] = false;
        Some(index)
    }

    fn changed(&self) -> MutexGuard<'_, Changed> {
        self.changed.lock().expect("no holder panics")
    }
}

impl Watch {
    /// The present value of each, in the order they were asked for.
    pub(crate) fn all(&mut self) -> Vec<Change> {
        (0..self.ids.len())
            .filter_map(|index| self.take(index))
            .collect()
    }

    /// Completes when something may have changed.
    pub(crate) async fn changed(&self) {
        if self.watcher.changed().waiting.is_empty() {
            self.watcher.wake.notified().await;
        }
    }

    /// The latest values of at most `budget` of those that may have changed, those that wait
    /// longest first.
    pub(crate) fn changes(&mut self, budget: usize) -> Vec<Change> {
        let mut changes = Vec::new();
        while changes.len() < budget {
            let Some(index) = self.watcher.next() else {
                break;
            };
            changes.extend(self.take(index));
        }
        changes
    }

    /// The latest value of one.
    fn take(&mut self, index: usize) -> Option<Change> {
        let latest = self.watched[index].latest();
        let before = std::mem::replace(&mut self.settings[index], latest.settings);
        Some(Change {
            presence: latest.presence.clone()?,
            is_of_settings: before != latest.settings,
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        for (id, watched) in self.ids.iter().zip(self.watched.drain(..)) {
            watched.detach(&self.watcher);
            if self.ends.local.watched.forget_if_last(id, &watched) {
                self.ends.interest_changed(Topic::User(*id));
            }
        }
    }
}

fn address(watcher: &Arc<Watcher>) -> usize {
    Arc::as_ptr(watcher).addr()
}
