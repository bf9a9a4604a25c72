//! Within a node: one [`Viewer`] for each user who streams everything here. It holds the hubs
//! of all the user's conversations, and comes to hold those the user joins.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use backchannel_entities::{ConversationId, UserId, member};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio::sync::{OnceCell, broadcast};

use crate::Result;
use crate::db::as_upkeep;
use crate::event::{Event, EventKind};

use super::Ends;
use super::hub::Hold;
use super::topic::Topic;

/// Events a stream may be behind before it reads the database instead.
const LIVE: usize = 32;
/// Pauses between attempts to read the database, doubling from the first to the last.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// Passes the events of all a user's conversations on to the user's streams: those of each
/// conversation once, in order, none left out.
pub(super) struct Viewer {
    id: UserId,
    ends: Weak<Ends>,
    news: broadcast::Sender<ViewerNews>,
    opened: OnceCell<()>,
    /// Of conversations that the user does not see the beginning of, up to which seq.
    hidden: Mutex<HashMap<ConversationId, i64>>,
    following: Mutex<HashMap<ConversationId, Hold>>,
    /// Held while memberships are read and acted on.
    refreshing: tokio::sync::Mutex<()>,
}

/// What a viewer's stream is told.
#[derive(Clone)]
pub(crate) enum ViewerNews {
    /// An event of a conversation that the viewer is, or was until now, in.
    Event(Arc<Event>),
    /// There is another conversation, whose events come from here on; those from before are
    /// in the database.
    Joined,
    /// There is one less. Its last events, the end of it among them, are perhaps in the database alone:
    /// where nobody told of them, this was found out first.
    Left,
}

/// A stream's hold on a viewer.
pub(crate) struct FollowingViewer {
    viewer: Arc<Viewer>,
    ends: Arc<Ends>,
    /// What happens from now on, unless it lags.
    pub(crate) news: broadcast::Receiver<ViewerNews>,
}

impl Drop for FollowingViewer {
    fn drop(&mut self) {
        let id = self.viewer.id;
        if self.ends.local.viewers.forget_if_last(&id, &self.viewer) {
            self.ends.interest_changed(Topic::User(id));
        }
    }
}

impl Ends {
    /// Follows all conversations of a user, present and future.
    pub(super) async fn follow_viewer(self: &Arc<Self>, id: UserId) -> Result<FollowingViewer> {
        let make = || Viewer::new(id, Arc::downgrade(self));
        let viewer = self.local.viewers.get_or_insert_with(id, make);
        // Made first: if opening fails, dropping it gives the viewer back.
        let mut following = FollowingViewer {
            news: viewer.news.subscribe(),
            ends: Arc::clone(self),
            viewer: Arc::clone(&viewer),
        };
        let open = async {
            // Before memberships are read, so that none falls between the two.
            self.subscribe(vec![Topic::User(id)]).await;
            viewer.read_memberships(self).await
        };
        viewer.opened.get_or_try_init(|| open).await?;
        // A stream catches up first, and so with all that opening told of.
        following.news = following.news.resubscribe();
        Ok(following)
    }
}

impl Viewer {
    fn new(id: UserId, ends: Weak<Ends>) -> Self {
        let (news, _) = broadcast::channel(LIVE);
        Self {
            id,
            ends,
            news,
            opened: OnceCell::new(),
            hidden: Mutex::default(),
            following: Mutex::default(),
            refreshing: tokio::sync::Mutex::default(),
        }
    }

    /// Takes the next event of a conversation.
    pub(super) fn offer(self: &Arc<Self>, event: &Arc<Event>) {
        let mut event = Arc::clone(event);
        let mut hidden = self.hidden();
        if matches!(event.kind, EventKind::MemberJoined(id) if id == self.id) {
            // What they are to see from now on is still to be read.
            hidden.insert(event.conversation_id, event.seq);
            self.refresh();
        }
        if let Some(upto) = hidden.get(&event.conversation_id) {
            event = event.seen_behind(*upto);
        }
        drop(hidden);
        // An error means that nobody listens just now.
        let _ = self.news.send(ViewerNews::Event(event));
    }

    pub(super) fn joined(&self) {
        let _ = self.news.send(ViewerNews::Joined);
    }

    /// Takes the news that the user's memberships have changed.
    pub(super) fn refresh(self: &Arc<Self>) {
        let viewer = Arc::clone(self);
        tokio::spawn(as_upkeep(async move {
            let mut pause = RETRY.0;
            while let Some(ends) = viewer.ends.upgrade() {
                match viewer.read_memberships(&ends).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(%error, user.id = %viewer.id, "reading memberships failed; trying again");
                    }
                }
                drop(ends);
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(RETRY.1);
            }
        }));
    }

    /// Follows what the user is in, and nothing else.
    async fn read_memberships(self: &Arc<Self>, ends: &Arc<Ends>) -> Result<()> {
        let _turn = self.refreshing.lock().await;
        let memberships: Vec<(ConversationId, i64)> = member::Entity::find()
            .select_only()
            .column(member::Column::ConversationId)
            .column(member::Column::VisibleAfter)
            .filter(member::Column::UserId.eq(self.id))
            .filter(member::Column::LeftAt.is_null())
            .into_tuple()
            .all(&ends.db.reader)
            .await?;
        let ids: Vec<ConversationId> = memberships.iter().map(|(id, _)| *id).collect();
        let hidden = memberships.into_iter().filter(|(_, upto)| *upto > 0);
        *self.hidden() = hidden.collect();
        let unknown: Vec<ConversationId> = {
            let following = self.following();
            let is_unknown = |id: &ConversationId| !following.contains_key(id);
            ids.iter().copied().filter(is_unknown).collect()
        };
        for hold in ends.hold_all(&unknown).await? {
            hold.attach(self);
            self.following().insert(hold.id(), hold);
        }
        let ids: std::collections::HashSet<ConversationId> = ids.into_iter().collect();
        let left: Vec<(ConversationId, Hold)> = self
            .following()
            .extract_if(|id, _| !ids.contains(id))
            .collect();
        for (_, hold) in left {
            hold.detach(self);
            let _ = self.news.send(ViewerNews::Left);
        }
        Ok(())
    }

    fn hidden(&self) -> MutexGuard<'_, HashMap<ConversationId, i64>> {
        self.hidden.lock().expect("no holder panics")
    }

    fn following(&self) -> MutexGuard<'_, HashMap<ConversationId, Hold>> {
        self.following.lock().expect("no holder panics")
    }
}
