//! One loader for each relation: what the fields of one answer ask for at the same time is
//! fetched in one statement.
//!
//! Loaders live as long as their scope, so nothing is cached beyond one answer. They are
//! made when first used: an idle stream keeps none.

use std::collections::HashMap;
use std::future::Future;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use backchannel_domain::calls::{self, Call};
use backchannel_domain::conversations::{self, Conversation};
use backchannel_domain::members::{self, JoinPosition, Member};
use backchannel_domain::messages::{self, Message, MessagePage};
use backchannel_domain::page::{Page, PageRequest};
use backchannel_domain::presence::{self, Presence};
use backchannel_domain::receipts;
use backchannel_domain::users::{self, User};
use backchannel_domain::{CallId, ConversationId, Cx, Error, MessageId, Result, UserId};
use dataloader::BatchFn;
use dataloader::cached::Loader;

/// Most keys fetched in one statement.
const BATCH: usize = 200;

/// Rounds of the scheduler in which others may add their keys before a batch is fetched. In each
/// the whole request is polled. With fewer, fields that come to the same loader by different ways
/// miss each other now and then.
const ROUNDS: usize = 4;

/// How one relation is fetched. Keys without a value are left out of the answer.
trait Source: 'static {
    type Key: Clone + std::fmt::Debug + Eq + Hash + Send + Sync;
    type Value: Clone + Send + Sync;

    fn fetch(
        cx: &Cx,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>>> + Send;
}

struct Batch<S> {
    cx: Cx,
    source: PhantomData<fn() -> S>,
}

impl<S: Source> BatchFn<S::Key, Result<Option<S::Value>>> for Batch<S> {
    #[expect(
        clippy::manual_async_fn,
        reason = "the trait does not promise Send; this does"
    )]
    fn load(
        &mut self,
        keys: &[S::Key],
    ) -> impl Future<Output = HashMap<S::Key, Result<Option<S::Value>>>> {
        async move {
            // Every key gets an answer: the crate panics, or loses the cause, without one.
            match S::fetch(&self.cx, keys).await {
                Ok(mut found) => keys
                    .iter()
                    .map(|key| (key.clone(), Ok(found.remove(key))))
                    .collect(),
                Err(error) => keys
                    .iter()
                    .map(|key| (key.clone(), Err(error.clone())))
                    .collect(),
            }
        }
    }
}

type LoaderOf<S> = Loader<<S as Source>::Key, Result<Option<<S as Source>::Value>>, Batch<S>>;

/// A loader that is made when first used.
struct Lazy<S: Source>(OnceLock<LoaderOf<S>>);

impl<S: Source> Lazy<S> {
    fn loader(&self, cx: &Cx) -> &LoaderOf<S> {
        self.0.get_or_init(|| {
            Loader::new(Batch {
                cx: cx.clone(),
                source: PhantomData,
            })
            .with_max_batch_size(BATCH)
            .with_yield_count(ROUNDS)
        })
    }

    async fn load(&self, cx: &Cx, key: S::Key) -> Result<Option<S::Value>> {
        self.loader(cx)
            .try_load(key)
            .await
            .map_err(Error::internal)?
    }
}

/// The loaders of a scope.
pub(crate) struct Loaders {
    cx: Cx,
    users: Lazy<Users>,
    presences: Lazy<Presences>,
    conversations: Lazy<Conversations>,
    unread_counts: Lazy<UnreadCounts>,
    delivered_here: Lazy<DeliveredHere>,
    shown_reads: Lazy<ShownReads>,
    seen_by_pages: Lazy<SeenByPages>,
    seen_by_counts: Lazy<SeenByCounts>,
    members: Lazy<Members>,
    member_pages: Lazy<MemberPages>,
    member_counts: Lazy<MemberCounts>,
    messages: Lazy<Messages>,
    message_pages: Lazy<MessagePages>,
    calls: Lazy<Calls>,
}

impl Loaders {
    pub(crate) fn new(cx: Cx) -> Self {
        Self {
            cx,
            users: Lazy(OnceLock::new()),
            presences: Lazy(OnceLock::new()),
            conversations: Lazy(OnceLock::new()),
            unread_counts: Lazy(OnceLock::new()),
            delivered_here: Lazy(OnceLock::new()),
            shown_reads: Lazy(OnceLock::new()),
            seen_by_pages: Lazy(OnceLock::new()),
            seen_by_counts: Lazy(OnceLock::new()),
            members: Lazy(OnceLock::new()),
            member_pages: Lazy(OnceLock::new()),
            member_counts: Lazy(OnceLock::new()),
            messages: Lazy(OnceLock::new()),
            message_pages: Lazy(OnceLock::new()),
            calls: Lazy(OnceLock::new()),
        }
    }

    /// Gives users that are at hand already.
    pub(crate) async fn prime_users(&self, users: &[Arc<User>]) {
        let users = users
            .iter()
            .map(|user| (user.id, Ok(Some(Arc::clone(user)))));
        self.users.loader(&self.cx).prime_many(users).await;
    }

    pub(crate) async fn user(&self, id: UserId) -> Result<Arc<User>> {
        self.users
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("user"))
    }

    pub(crate) async fn presence(&self, id: UserId) -> Result<Presence> {
        self.presences
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("user"))
    }

    /// A conversation the actor is in.
    pub(crate) async fn conversation(&self, id: ConversationId) -> Result<Arc<Conversation>> {
        self.conversations
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("conversation"))
    }

    pub(crate) async fn unread_count(&self, id: ConversationId) -> Result<i64> {
        Ok(self.unread_counts.load(&self.cx, id).await?.unwrap_or(0))
    }

    pub(crate) async fn delivered_here(&self, id: ConversationId) -> Result<i64> {
        Ok(self.delivered_here.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// Whether the actor may see how far a user has read.
    pub(crate) async fn shows_reads(&self, id: UserId) -> Result<bool> {
        Ok(self.shown_reads.load(&self.cx, id).await?.is_some())
    }

    pub(crate) async fn seen_by_page(
        &self,
        id: MessageId,
        request: PageRequest<JoinPosition>,
    ) -> Result<Arc<Page<Member>>> {
        Ok(self
            .seen_by_pages
            .load(&self.cx, (request, id))
            .await?
            .unwrap_or_default())
    }

    pub(crate) async fn seen_by_count(&self, id: MessageId) -> Result<i64> {
        Ok(self.seen_by_counts.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// A member, present or past.
    pub(crate) async fn member(&self, id: ConversationId, user_id: UserId) -> Result<Arc<Member>> {
        self.members
            .load(&self.cx, (id, user_id))
            .await?
            .ok_or(Error::NotFound("member"))
    }

    pub(crate) async fn member_page(
        &self,
        id: ConversationId,
        request: PageRequest<JoinPosition>,
    ) -> Result<Arc<Page<Member>>> {
        Ok(self
            .member_pages
            .load(&self.cx, (request, id))
            .await?
            .unwrap_or_default())
    }

    pub(crate) async fn member_count(&self, id: ConversationId) -> Result<i64> {
        Ok(self.member_counts.load(&self.cx, id).await?.unwrap_or(0))
    }

    /// A message in a conversation the actor is in.
    pub(crate) async fn message(&self, id: MessageId) -> Result<Arc<Message>> {
        self.messages
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("message"))
    }

    pub(crate) async fn message_page(
        &self,
        id: ConversationId,
        request: PageRequest<i64>,
    ) -> Result<Arc<MessagePage>> {
        Ok(self
            .message_pages
            .load(&self.cx, (request, id))
            .await?
            .unwrap_or_default())
    }

    /// A call of a conversation the actor is in.
    pub(crate) async fn call(&self, id: CallId) -> Result<Arc<Call>> {
        self.calls
            .load(&self.cx, id)
            .await?
            .ok_or(Error::NotFound("call"))
    }
}

struct Users;

impl Source for Users {
    type Key = UserId;
    type Value = Arc<User>;

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, Arc<User>>> {
        users::find_many(cx, keys.to_vec()).await
    }
}

struct Presences;

impl Source for Presences {
    type Key = UserId;
    type Value = Presence;

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, Presence>> {
        presence::find_many(cx, keys).await
    }
}

struct Conversations;

impl Source for Conversations {
    type Key = ConversationId;
    type Value = Arc<Conversation>;

    async fn fetch(
        cx: &Cx,
        keys: &[ConversationId],
    ) -> Result<HashMap<ConversationId, Arc<Conversation>>> {
        conversations::find_many(cx, keys).await
    }
}

struct UnreadCounts;

impl Source for UnreadCounts {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        conversations::unread_counts(cx, keys).await
    }
}

struct DeliveredHere;

impl Source for DeliveredHere {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        receipts::delivered_here(cx, keys).await
    }
}

struct ShownReads;

impl Source for ShownReads {
    type Key = UserId;
    type Value = ();

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, ()>> {
        let shown = receipts::who_show_reads(cx, keys).await?;
        Ok(shown.into_iter().map(|id| (id, ())).collect())
    }
}

struct SeenByPages;

impl Source for SeenByPages {
    type Key = (PageRequest<JoinPosition>, MessageId);
    type Value = Arc<Page<Member>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in receipts::seen_by_pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

struct SeenByCounts;

impl Source for SeenByCounts {
    type Key = MessageId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, i64>> {
        receipts::seen_by_counts(cx, keys).await
    }
}

struct Members;

impl Source for Members {
    type Key = (ConversationId, UserId);
    type Value = Arc<Member>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Arc<Member>>> {
        members::find_many(cx, keys).await
    }
}

struct MemberCounts;

impl Source for MemberCounts {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        members::counts(cx, keys).await
    }
}

struct MemberPages;

impl Source for MemberPages {
    type Key = (PageRequest<JoinPosition>, ConversationId);
    type Value = Arc<Page<Member>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in members::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

struct Messages;

impl Source for Messages {
    type Key = MessageId;
    type Value = Arc<Message>;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, Arc<Message>>> {
        messages::find_many(cx, keys).await
    }
}

struct MessagePages;

impl Source for MessagePages {
    type Key = (PageRequest<i64>, ConversationId);
    type Value = Arc<MessagePage>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in messages::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

struct Calls;

impl Source for Calls {
    type Key = CallId;
    type Value = Arc<Call>;

    async fn fetch(cx: &Cx, keys: &[CallId]) -> Result<HashMap<CallId, Arc<Call>>> {
        calls::find_many(cx, keys).await
    }
}

/// What each page is of: one field of the document is one request.
fn by_request<C: Eq + Hash, K: Copy>(
    keys: &[(PageRequest<C>, K)],
) -> HashMap<&PageRequest<C>, Vec<K>> {
    let mut ids: HashMap<_, Vec<_>> = HashMap::new();
    for (request, id) in keys {
        ids.entry(request).or_default().push(*id);
    }
    ids
}
