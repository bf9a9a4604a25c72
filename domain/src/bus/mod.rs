//! How news travels after a commit: within the node at once, between nodes as a hint.
//!
//! 1. [`Bus::publish`] hands what was committed to what is open on this node ([`local`]): each
//!    conversation's [`hub`] passes its events on to the conversation's own streams, and to the
//!    [`viewer`]s whose streams bring everything.
//! 2. With [`redis`] it also tells the other nodes, under the [`topic`] concerned: of events
//!    only that there are some, up to which seq.
//! 3. A hub that learns of a seq it has not seen reads the database up to it. So what nodes
//!    tell each other may be lost, late, doubled or out of order.
//! 4. What members do that is no event, [`receipts`] and [`typing`], travels with its values.
//! 5. A sweep asks the database twice a second what has been committed since it last did:
//!    what was never told is made up for.

mod hub;
mod local;
mod receipts;
mod redis;
mod registry;
mod topic;
mod typing;
mod user;
mod viewer;
mod watched;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{
    ConversationId, SessionId, Timestamp, UserId, call, call_party, chat_request,
    conversation_event, conversation_state, join_request, member, message, presence, session,
    user as users,
};
use sea_orm::sea_query::{Expr, Func, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QuerySelect};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::clock::Clock;
use crate::conversations::Conversation;
use crate::db::{Db, as_upkeep};
use crate::event::Event;
use crate::feed::Reader;
use crate::proofs::Claim;
use crate::recent::Recent;
use crate::sessions::Known;
use crate::stamps::Snapshot;

use self::local::Local;
use self::receipts::{Outbox, read_again_until_stopped};
use self::redis::Redis;
use self::topic::{ConversationNotice, Topic};

pub(crate) use self::hub::Following;
pub(crate) use self::receipts::{Advance, FollowingReceipts, Moved};
pub(crate) use self::topic::UserNotice;
pub(crate) use self::typing::{FollowingTyping, TypingNotice, Typist};
pub(crate) use self::user::FollowingUser;
pub(crate) use self::viewer::{FollowingViewer, ViewerNews};
pub(crate) use self::watched::{Change, Watch};

/// How often the database is asked what is new. A removal or an ended session must be felt
/// within a second although nobody told, which a node learns late or never: Redis froze, or
/// the other node died.
const SWEEP: Duration = Duration::from_millis(500);
/// How much further back than the last look ended sessions are looked for: clocks of nodes
/// may differ by this much.
const SKEW: Duration = Duration::from_secs(60);

/// A node's end of the bus. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Bus(Arc<Ends>);

struct Ends {
    db: Db,
    clock: Clock,
    reader: Reader,
    local: Arc<Local>,
    redis: Option<Redis>,
    /// Asks for a sweep now.
    sweep: Arc<Notify>,
    stopping: CancellationToken,
    outbox: Arc<Outbox>,
    /// Each open stream of signals has one.
    signal_streams: Arc<()>,
}

/// What a transaction has to tell once it is committed.
#[derive(Default)]
pub(crate) struct News {
    pub(crate) events: Vec<Arc<Event>>,
    pub(crate) notices: Vec<(UserId, UserNotice)>,
    pub(crate) advances: Vec<(ConversationId, Advance)>,
    pub(crate) ended: Vec<SessionId>,
    /// Conversations that somebody asks to join, or does no longer.
    pub(crate) asked: Vec<ConversationId>,
}

impl News {
    fn changed_memberships(&self) -> Vec<Claim> {
        let claims = self.events.iter().filter_map(|event| {
            let user_id = event.changed_member()?;
            Some((event.conversation_id, user_id))
        });
        claims.collect()
    }
}

impl Ends {
    async fn subscribe(&self, topics: Vec<Topic>) {
        if let Some(redis) = &self.redis {
            redis.subscribe(topics).await;
        }
    }

    /// Says that a topic is perhaps not needed any more.
    fn interest_changed(&self, topic: Topic) {
        if let Some(redis) = &self.redis {
            redis.interest_changed(topic);
        }
    }
}

impl Bus {
    /// Joins the bus; Redis may be away and come later.
    pub(crate) async fn start(db: Db, clock: Clock, redis_url: Option<&str>) -> Result<Self> {
        // Before anything can be open: the first sweep looks for what came since.
        let seen = db.stamps.snapshot(&db.reader).await?;
        let local = Arc::new(Local::default());
        let sweep = Arc::new(Notify::new());
        let stopping = CancellationToken::new();
        let redis = redis_url
            .map(|url| {
                let (local, sweep) = (Arc::clone(&local), Arc::clone(&sweep));
                Redis::start(url, local, sweep, stopping.clone())
            })
            .transpose()?;
        let bus = Self(Arc::new(Ends {
            reader: Reader::start(db.reader.clone()),
            db,
            clock,
            local,
            redis,
            sweep,
            stopping,
            outbox: Arc::default(),
            signal_streams: Arc::default(),
        }));
        if let Some(redis) = bus.0.redis.clone() {
            tokio::spawn(read_again_until_stopped(Arc::clone(&bus.0), redis));
        }
        tokio::spawn(as_upkeep(bus.clone().sweep_until_stopped(seen)));
        Ok(bus)
    }

    /// Tells everyone what has been committed. Never waits and never fails: whoever is not
    /// reached reads the database.
    pub(crate) fn publish(&self, news: News) {
        if let Some(redis) = &self.0.redis {
            // One notice a conversation: the highest seq stands for those before it.
            let seqs = news.events.iter().map(|e| (e.conversation_id, e.seq));
            for (id, seq) in seqs.collect::<HashMap<_, _>>() {
                redis.tell(Topic::Conversation(id), &ConversationNotice::Seq(seq));
            }
            self.0.outbox.put(redis, news.advances.clone());
            for (user_id, notice) in &news.notices {
                redis.tell(Topic::User(*user_id), notice);
            }
            for id in &news.asked {
                redis.tell(Topic::Conversation(*id), &ConversationNotice::JoinRequests);
            }
            for id in &news.ended {
                redis.tell_session_ended(*id);
            }
            redis.tell_memberships_changed(&news.changed_memberships());
        }
        self.0.local.publish(news);
    }

    /// Reads the log for streams; what many ask for at once is read once.
    pub(crate) fn reader(&self) -> &Reader {
        &self.0.reader
    }

    /// Whether somebody follows a conversation here, so that to follow it costs nothing more.
    pub(crate) fn is_followed(&self, id: ConversationId) -> bool {
        let hub = self.0.local.hubs.get(&id);
        hub.is_some_and(|hub| hub.is_open())
    }

    /// Follows a conversation's events from now on.
    pub(crate) async fn follow(&self, id: ConversationId) -> Result<Following> {
        self.0.follow(id).await
    }

    /// Follows the events of all conversations of a user from now on.
    pub(crate) async fn follow_viewer(&self, id: UserId) -> Result<FollowingViewer> {
        self.0.follow_viewer(id).await
    }

    /// Watches the presence of users from now on.
    pub(crate) async fn watch(&self, ids: Vec<UserId>) -> Result<Watch> {
        self.0.watch(ids).await
    }

    /// Follows what is told about a user from now on.
    pub(crate) async fn follow_user(&self, id: UserId) -> FollowingUser {
        let following = self.0.listen(id);
        self.0.subscribe(vec![Topic::User(id)]).await;
        following
    }

    /// Follows what is told about each of these users from now on.
    pub(crate) async fn follow_users(&self, ids: &[UserId]) -> Vec<FollowingUser> {
        let following = ids.iter().map(|id| self.0.listen(*id)).collect();
        let topics = ids.iter().map(|id| Topic::User(*id));
        self.0.subscribe(topics.collect()).await;
        following
    }

    /// Follows a conversation's receipts from now on.
    pub(crate) async fn follow_receipts(&self, id: ConversationId) -> Result<FollowingReceipts> {
        self.0.follow_receipts(id).await
    }

    /// Follows who is typing in a conversation.
    pub(crate) async fn follow_typing(&self, id: ConversationId) -> Result<FollowingTyping> {
        self.0.follow_typing(id).await
    }

    /// Tells what a member does, at a pace that others can bear.
    pub(crate) fn tell_typing(&self, id: ConversationId, notice: TypingNotice) {
        let Ends { local, redis, .. } = &*self.0;
        if local.pace.allows(id, notice, self.0.clock.now()) {
            if let Some(redis) = redis {
                redis.tell(Topic::Conversation(id), &ConversationNotice::Typing(notice));
            }
            local.take_typing(id, notice);
        }
    }

    /// Follows a session: the token is cancelled within a second of its end, on any node.
    pub(crate) fn watch_session(&self, id: SessionId) -> SessionWatch {
        let make = || SessionEnding(CancellationToken::new());
        SessionWatch {
            id,
            ending: self.0.local.sessions.get_or_insert_with(id, make),
            local: Arc::clone(&self.0.local),
        }
    }

    /// The sessions by which something is open here.
    pub(crate) fn watched_sessions(&self) -> Vec<SessionId> {
        self.0.local.sessions.keys()
    }

    /// The sessions read lately, which go when somebody tells of their end.
    pub(crate) fn recent_sessions(&self) -> &Recent<SessionId, Known> {
        &self.0.local.recent_sessions
    }

    /// The memberships read lately, which go when somebody tells of a change.
    pub(crate) fn recent_memberships(&self) -> &Recent<Claim, Arc<Conversation>> {
        &self.0.local.recent_memberships
    }

    pub(crate) fn redis_connected(&self) -> Option<bool> {
        self.0.redis.as_ref().map(Redis::connected)
    }

    pub(crate) fn open_feeds(&self) -> usize {
        self.0.local.topics().len()
    }

    /// Cancelled when the node stops.
    pub(crate) fn stopping(&self) -> &CancellationToken {
        &self.0.stopping
    }

    /// A stream of signals has this for as long as it is open.
    pub(crate) fn signal_stream(&self) -> Arc<()> {
        Arc::clone(&self.0.signal_streams)
    }

    pub(crate) fn open_signal_streams(&self) -> usize {
        Arc::strong_count(&self.0.signal_streams) - 1
    }

    pub(crate) fn stop(&self) {
        self.0.stopping.cancel();
    }

    async fn sweep_until_stopped(self, mut seen: Snapshot) {
        let mut sessions_seen = self.0.clock.now();
        loop {
            tokio::select! {
                () = self.0.stopping.cancelled() => return,
                () = self.0.sweep.notified() => {}
                () = tokio::time::sleep(SWEEP) => {}
            }
            for topic in self.0.local.forget_unheld() {
                self.0.interest_changed(topic);
            }
            let now = self.0.clock.now();
            match self.sweep_sessions(sessions_seen.minus(SKEW)).await {
                Ok(()) => sessions_seen = now,
                Err(error) => {
                    tracing::warn!(%error, "looking for ended sessions failed; trying again");
                }
            }
            match self.sweep_commits(&seen).await {
                Ok(snapshot) => seen = snapshot,
                Err(error) => {
                    tracing::warn!(%error, "looking for missed events failed; trying again");
                }
            }
        }
    }

    /// Tells what is open here of all that was committed since `seen`. Answers the present
    /// snapshot: older than what is then read, so that nothing falls between two sweeps.
    async fn sweep_commits(&self, seen: &Snapshot) -> Result<Snapshot> {
        let Ends { db, local, .. } = &*self.0;
        let snapshot = db.stamps.snapshot(&db.reader).await?;
        if *seen == snapshot || local.is_idle() {
            return Ok(snapshot);
        }
        for (id, seq) in last_seqs_since(db, seen).await? {
            local.hubs.get(&id).inspect(|hub| hub.hint(seq));
        }
        let asked: Vec<ConversationId> = join_request::Entity::find()
            .select_only()
            .column(join_request::Column::ConversationId)
            .filter(seen.is_later(join_request::Column::Stamp))
            .into_tuple()
            .all(&db.reader)
            .await?;
        for id in asked.into_iter().collect::<HashSet<_>>() {
            local.take_join_requests(id);
        }
        let joined: Vec<UserId> = member::Entity::find()
            .select_only()
            .column(member::Column::UserId)
            .filter(seen.is_later(member::Column::Stamp))
            .into_tuple()
            .all(&db.reader)
            .await?;
        // Not DISTINCT, for which SQLite would walk the whole table.
        for id in joined.into_iter().collect::<HashSet<_>>() {
            local.tell_user(id, UserNotice::Memberships);
        }
        if !local.watched.is_empty() {
            let presences = presence::Entity::find()
                .filter(seen.is_later(presence::Column::Stamp))
                .all(&db.reader)
                .await?;
            for changed in presences {
                local.tell_user(changed.user_id, UserNotice::Presence(changed));
            }
        }
        if local.users.is_empty() && local.watched.is_empty() {
            return Ok(snapshot);
        }
        let changed: Vec<UserId> = users::Entity::find()
            .select_only()
            .column(users::Column::Id)
            .filter(seen.is_later(users::Column::Stamp))
            .into_tuple()
            .all(&db.reader)
            .await?;
        for id in changed {
            local.tell_user(id, UserNotice::Settings);
        }
        let in_calls: Vec<UserId> = call_party::Entity::find()
            .select_only()
            .column(call_party::Column::UserId)
            .inner_join(call::Entity)
            .filter(seen.is_later(call::Column::Stamp))
            .into_tuple()
            .all(&db.reader)
            .await?;
        // Not DISTINCT, for which SQLite would walk the whole table.
        for id in in_calls.into_iter().collect::<HashSet<_>>() {
            local.tell_user(id, UserNotice::Calls);
        }
        let requests: Vec<(UserId, UserId)> = chat_request::Entity::find()
            .select_only()
            .columns([chat_request::Column::FromId, chat_request::Column::ToId])
            .filter(seen.is_later(chat_request::Column::Stamp))
            .into_tuple()
            .all(&db.reader)
            .await?;
        for id in requests.into_iter().flat_map(<[UserId; 2]>::from) {
            local.tell_user(id, UserNotice::Requests);
        }
        let states: Vec<UserId> = conversation_state::Entity::find()
            .select_only()
            .column(conversation_state::Column::UserId)
            .filter(seen.is_later(conversation_state::Column::Stamp))
            .into_tuple()
            .all(&db.reader)
            .await?;
        for id in states {
            local.tell_user(id, UserNotice::States);
        }
        Ok(snapshot)
    }

    async fn sweep_sessions(&self, since: Timestamp) -> Result<()> {
        if self.0.local.sessions.is_empty() {
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
            self.0.local.end_session(id);
        }
        Ok(())
    }
}

/// How far each conversation came in which something was committed since `seen`.
async fn last_seqs_since(db: &Db, seen: &Snapshot) -> Result<Vec<(ConversationId, i64)>> {
    let messages = message::Entity::find()
        .select_only()
        .column_as(group(message::Column::ConversationId), "conversation_id")
        .column_as(message::Column::Seq.max(), "last_seq")
        .filter(seen.is_later(message::Column::Stamp))
        .group_by(group(message::Column::ConversationId));
    let events = conversation_event::Entity::find()
        .select_only()
        .column_as(
            group(conversation_event::Column::ConversationId),
            "conversation_id",
        )
        .column_as(conversation_event::Column::Seq.max(), "last_seq")
        .filter(seen.is_later(conversation_event::Column::Stamp))
        .group_by(group(conversation_event::Column::ConversationId));
    let mut seqs = messages.into_tuple().all(&db.reader).await?;
    seqs.extend(
        events
            .into_tuple::<(ConversationId, i64)>()
            .all(&db.reader)
            .await?,
    );
    Ok(seqs)
}

/// A column to group by, as an expression: to save itself the sorting, SQLite would otherwise
/// walk the whole table in the order of an index that begins with the column.
fn group(column: impl ColumnTrait) -> SimpleExpr {
    Func::coalesce([Expr::col(column), Expr::col(column)]).into()
}

/// Cancelled when its session ends.
struct SessionEnding(CancellationToken);

/// An open socket's eye on its session.
pub struct SessionWatch {
    id: SessionId,
    ending: Arc<SessionEnding>,
    local: Arc<Local>,
}

impl SessionWatch {
    /// Completes when the session has been ended.
    pub async fn ended(&self) {
        self.ending.0.cancelled().await;
    }
}

impl Drop for SessionWatch {
    fn drop(&mut self) {
        self.local.sessions.forget_if_last(&self.id, &self.ending);
    }
}
