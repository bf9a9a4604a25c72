//! How news travels after a commit: within the node at once, between nodes as a hint.
//!
//! 1. [`Bus::publish`] hands committed events to this node's [`Hub`]s, which pass them on
//!    to every open stream of the conversation.
//! 2. With Redis it also sends the other nodes a hint: conversation and seq, no more.
//! 3. A hub that learns of a seq it has not seen reads the database up to it. So hints
//!    may be lost, late, doubled or out of order.
//! 4. A sweep compares the hubs with the database twice a second: hints that never came
//!    are made up for. It also looks for sessions that other nodes ended.

mod local;
mod redis;
mod registry;

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{ConversationId, SessionId, Timestamp, conversation, session};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::clock::Clock;
use crate::db::{Db, in_list};
use crate::event::Event;

use self::redis::Redis;
use self::registry::Registry;

pub(crate) use self::local::{Following, Hub};

/// How often the database is compared with what streams have seen, and looked at for ended
/// sessions. A removal or an ended session must be felt within a second although its hint
/// was lost, which a node learns late or never: Redis froze, or the other node died.
const SWEEP: Duration = Duration::from_millis(500);
/// How much further back than the last look ended sessions are looked for: clocks of nodes
/// may differ by this much.
const SKEW: Duration = Duration::from_secs(60);
/// Conversations compared in one statement.
const SWEEP_CHUNK: usize = 512;

/// A node's end of the bus. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bus(Arc<Ends>);

struct Ends {
    db: Db,
    clock: Clock,
    hubs: Arc<Registry<ConversationId, Hub>>,
    sessions: Arc<Registry<SessionId, SessionEnding>>,
    redis: Option<Redis>,
    /// Asks for a sweep now.
    sweep: Arc<Notify>,
    stopping: CancellationToken,
}

impl Bus {
    /// Joins the bus; Redis may be away and come later.
    pub(crate) fn start(db: Db, clock: Clock, redis_url: Option<&str>) -> Result<Self> {
        let hubs = Arc::new(Registry::default());
        let sessions = Arc::new(Registry::default());
        let sweep = Arc::new(Notify::new());
        let stopping = CancellationToken::new();
        let inbox = Inbox {
            hubs: Arc::clone(&hubs),
            sessions: Arc::clone(&sessions),
            reconnected: Arc::clone(&sweep),
        };
        let redis = redis_url
            .map(|url| Redis::start(url, inbox, stopping.clone()))
            .transpose()?;
        let bus = Self(Arc::new(Ends {
            db,
            clock,
            hubs,
            sessions,
            redis,
            sweep,
            stopping,
        }));
        tokio::spawn(bus.clone().sweep_until_stopped());
        Ok(bus)
    }

    /// Tells everyone what has been committed. Never waits and never fails: whoever is not
    /// reached reads the database.
    pub(crate) fn publish(&self, events: Vec<Arc<Event>>, ended: Vec<SessionId>) {
        if let Some(redis) = &self.0.redis {
            // One hint a conversation: the highest seq stands for those before it.
            for (index, event) in events.iter().enumerate() {
                let later = &events[index + 1..];
                if !later
                    .iter()
                    .any(|later| later.conversation_id == event.conversation_id)
                {
                    redis.hint_conversation(event.conversation_id, event.seq);
                }
            }
            ended.iter().for_each(|id| redis.hint_session_ended(*id));
        }
        for event in events {
            if let Some(hub) = self.0.hubs.get(&event.conversation_id) {
                hub.offer(event);
            }
        }
        for id in ended {
            self.0.sessions.get(&id).inspect(|ending| ending.0.cancel());
        }
    }

    /// Follows a conversation's events from now on.
    pub(crate) async fn follow(&self, id: ConversationId) -> Result<Following> {
        let hub = self.0.hubs.get_or_insert_with(id, || {
            let redis = self.0.redis.clone();
            Hub::new(id, self.0.db.clone(), Arc::clone(&self.0.hubs), redis)
        });
        hub.follow().await
    }

    /// Follows a session: the token is cancelled within a second of its end, on any node.
    pub(crate) fn watch_session(&self, id: SessionId) -> SessionWatch {
        let ending = self
            .0
            .sessions
            .get_or_insert_with(id, || SessionEnding(CancellationToken::new()));
        SessionWatch {
            id,
            ending,
            registry: Arc::clone(&self.0.sessions),
        }
    }

    pub(crate) fn redis_connected(&self) -> Option<bool> {
        self.0.redis.as_ref().map(Redis::connected)
    }

    pub(crate) fn open_feeds(&self) -> usize {
        self.0.hubs.keys().len()
    }

    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }

    async fn sweep_until_stopped(self) {
        let mut sessions_seen = self.0.clock.now();
        loop {
            tokio::select! {
                () = self.0.stopping.cancelled() => return,
                () = self.0.sweep.notified() => {}
                () = tokio::time::sleep(SWEEP) => {}
            }
            self.forget_unheld();
            let now = self.0.clock.now();
            match self.sweep_sessions(sessions_seen.minus(SKEW)).await {
                Ok(()) => sessions_seen = now,
                Err(error) => {
                    tracing::warn!(%error, "looking for ended sessions failed; trying again");
                }
            }
            if let Err(error) = self.sweep_conversations().await {
                tracing::warn!(%error, "looking for missed events failed; trying again");
            }
        }
    }

    fn forget_unheld(&self) {
        self.0.sessions.forget_unheld();
        for id in self.0.hubs.forget_unheld() {
            self.0
                .redis
                .as_ref()
                .inspect(|redis| redis.interest_changed(id));
        }
    }

    async fn sweep_conversations(&self) -> Result<()> {
        for ids in self.0.hubs.keys().chunks(SWEEP_CHUNK) {
            let heads: Vec<(ConversationId, i64)> = conversation::Entity::find()
                .select_only()
                .columns([conversation::Column::Id, conversation::Column::LastSeq])
                .filter(conversation::Column::Id.is_in(in_list(ids)))
                .into_tuple()
                .all(&self.0.db.reader)
                .await?;
            for (id, last_seq) in heads {
                self.0.hubs.get(&id).inspect(|hub| hub.hint(last_seq));
            }
        }
        Ok(())
    }

    async fn sweep_sessions(&self, since: Timestamp) -> Result<()> {
        if self.0.sessions.keys().is_empty() {
            return Ok(());
        }
        let ended: Vec<SessionId> = session::Entity::find()
            .select_only()
            .column(session::Column::Id)
            .filter(session::Column::RevokedAt.gt(since))
            .into_tuple()
            .all(&self.0.db.reader)
            .await?;
        for id in ended {
            self.0.sessions.get(&id).inspect(|ending| ending.0.cancel());
        }
        Ok(())
    }
}

/// Where hints of other nodes go.
struct Inbox {
    hubs: Arc<Registry<ConversationId, Hub>>,
    sessions: Arc<Registry<SessionId, SessionEnding>>,
    reconnected: Arc<Notify>,
}

/// Cancelled when its session ends.
struct SessionEnding(CancellationToken);

/// An open socket's eye on its session.
pub struct SessionWatch {
    id: SessionId,
    ending: Arc<SessionEnding>,
    registry: Arc<Registry<SessionId, SessionEnding>>,
}

impl SessionWatch {
    /// Completes when the session has been ended.
    pub async fn ended(&self) {
        self.ending.0.cancelled().await;
    }
}

impl Drop for SessionWatch {
    fn drop(&mut self) {
        self.registry.forget_if_last(&self.id, &self.ending);
    }
}
