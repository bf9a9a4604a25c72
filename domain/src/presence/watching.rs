//! What a watcher is told: the presence of each user as far as it is shown to them, which changes
//! with what the user does, with their settings, and with what they are to each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::UserId;
use futures_util::Stream;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bus::Change;
use crate::ties::{self, Tie};
use crate::users::{self, Audience};
use crate::{Cx, Error, Result, limits};

use super::Presence;

/// A watcher is woken at most this often; what changes meanwhile comes as its latest value.
const TICK: Duration = Duration::from_millis(100);
/// Most changes given to a watcher at each waking; the rest wait, as their latest values.
const BUDGET: usize = 50;
/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);

/// The present presence of each user, in the order of `ids`, then each change: the latest
/// value of whoever changed, never the same twice in a row.
///
/// # Errors
/// [`Error::BadInput`] for too many ids; [`Error::NotFound`] when one of them is nobody's.
pub async fn watch(
    cx: &Cx,
    ids: Vec<UserId>,
) -> Result<impl Stream<Item = Arc<Presence>> + Send + use<>> {
    cx.signed_in()?;
    let ids = limits::ids("userIds", ids)?;
    let mut watch = cx.handles().bus.watch(ids.clone()).await?;
    // Taken before it is read to whom they are open, so that no change of that falls between.
    let present = watch.all();
    let mut view = View::new(cx.clone());
    if view.look(ids.clone()).await? < ids.len() {
        return Err(Error::NotFound("user"));
    }
    Ok(stream! {
        for change in present {
            if let Some(presence) = view.news(&change) {
                yield presence;
            }
        }
        let mut next = Instant::now();
        loop {
            watch.changed().await;
            sleep_until(next).await;
            let changes = watch.changes(BUDGET);
            view.look_again(&changes).await;
            for change in changes {
                if let Some(presence) = view.news(&change) {
                    yield presence;
                }
            }
            next = Instant::now() + TICK;
        }
    })
}

/// What a watcher sees.
struct View {
    cx: Cx,
    /// Of those who do not show the same to all: to whom they show when they were last there, and
    /// what they are to the watcher.
    selective: HashMap<UserId, (Audience, Tie)>,
    /// What the watcher was last told of each.
    told: HashMap<UserId, Arc<Presence>>,
}

impl View {
    fn new(cx: Cx) -> Self {
        Self {
            cx,
            selective: HashMap::new(),
            told: HashMap::new(),
        }
    }

    /// Reads to whom these users are open. Answers how many of them there are.
    async fn look(&mut self, ids: Vec<UserId>) -> Result<usize> {
        let users = users::read_many(self.cx.read(), ids.clone()).await?;
        let selective = users.values().filter(|user| user.is_selective);
        let selective: Vec<UserId> = selective.map(|user| user.id).collect();
        let ties = ties::of_actor(&self.cx, &selective).await?;
        for id in ids {
            self.selective.remove(&id);
        }
        for id in selective {
            let tie = ties.get(&id).copied().unwrap_or_default();
            let shows_last_seen = users[&id].shows_last_seen;
            self.selective.insert(id, (shows_last_seen, tie));
        }
        Ok(users.len())
    }

    /// The same for those whose settings have changed. Waits for the database while it fails.
    async fn look_again(&mut self, changes: &[Change]) {
        let changed = changes.iter().filter(|change| change.is_of_settings);
        let ids: Vec<UserId> = changed.map(|change| change.presence.user_id).collect();
        while let Err(error) = self.look(ids.clone()).await {
            tracing::warn!(%error, "reading who shows what failed; trying again");
            sleep(RETRY).await;
        }
    }

    /// What the watcher is to be told, if they see any of it. Who sees it as it is shares the value
    /// with all others who do.
    fn news(&mut self, change: &Change) -> Option<Arc<Presence>> {
        let id = change.presence.user_id;
        let seen = match self.selective.get(&id) {
            None => Arc::clone(&change.presence),
            Some((shows_last_seen, tie)) => {
                let presence = Presence::clone(&change.presence);
                Arc::new(tie.presence(presence, *shows_last_seen))
            }
        };
        let told = self.told.insert(id, Arc::clone(&seen));
        let is_news = told.is_none_or(|told| !shows_the_same(&told, &seen));
        is_news.then_some(seen)
    }
}

/// Whether a reader sees no difference.
fn shows_the_same(a: &Presence, b: &Presence) -> bool {
    (a.state, &a.text, a.last_seen_at) == (b.state, &b.text, b.last_seen_at)
}
