//! How each relation is fetched.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use backchannel_domain::bans::{self, Ban, BanPosition};
use backchannel_domain::calls::{self, Call};
use backchannel_domain::conversations::states::{self, State};
use backchannel_domain::conversations::{self, Conversation, tags};
use backchannel_domain::invitations::{self, Invitation, InvitationPosition};
use backchannel_domain::join_requests::{self, JoinAskPosition, JoinRequest};
use backchannel_domain::members::{self, JoinPosition, Member};
use backchannel_domain::messages::threads::{self, ReaderPosition, ThreadRead, ThreadStanding};
use backchannel_domain::messages::{
    self, Message, MessageDetail, MessageEdit, MessagePage, MessagesRequest, details,
};
use backchannel_domain::page::{Page, PageRequest};
use backchannel_domain::presence::{self, Seen};
use backchannel_domain::receipts;
use backchannel_domain::requests::{self, ChatRequest};
use backchannel_domain::sessions::{self, Session};
use backchannel_domain::templates::{self, Template};
use backchannel_domain::ties::{self, Tie};
use backchannel_domain::users::{self, User};
use backchannel_domain::{
    CallId, ChatRequestId, ConversationId, Cx, MessageId, Result, SessionId, TemplateId, UserId,
};

use super::gathering::Source;

pub(super) struct Users;

impl Source for Users {
    type Key = UserId;
    type Value = Arc<User>;

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, Arc<User>>> {
        users::find_many(cx, keys.to_vec()).await
    }
}

pub(super) struct Ties;

impl Source for Ties {
    type Key = UserId;
    type Value = Tie;

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, Tie>> {
        ties::of_actor(cx, keys).await
    }
}

pub(super) struct Presences;

impl Source for Presences {
    type Key = UserId;
    type Value = Seen;

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, Seen>> {
        presence::find_many(cx, keys).await
    }
}

pub(super) struct Conversations;

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

pub(super) struct UnreadCounts;

impl Source for UnreadCounts {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        conversations::unread_counts(cx, keys).await
    }
}

pub(super) struct DeliveredHere;

impl Source for DeliveredHere {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        receipts::delivered_here(cx, keys).await
    }
}

pub(super) struct ShownReads;

impl Source for ShownReads {
    type Key = UserId;
    type Value = ();

    async fn fetch(cx: &Cx, keys: &[UserId]) -> Result<HashMap<UserId, ()>> {
        let shown = receipts::who_show_reads(cx, keys).await?;
        Ok(shown.into_iter().map(|id| (id, ())).collect())
    }
}

pub(super) struct SeenByPages;

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

pub(super) struct SeenByCounts;

impl Source for SeenByCounts {
    type Key = MessageId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, i64>> {
        receipts::seen_by_counts(cx, keys).await
    }
}

pub(super) struct Members;

impl Source for Members {
    type Key = (ConversationId, UserId);
    type Value = Arc<Member>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Arc<Member>>> {
        members::find_many(cx, keys).await
    }
}

pub(super) struct MemberCounts;

impl Source for MemberCounts {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        members::counts(cx, keys).await
    }
}

pub(super) struct MemberPages;

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

pub(super) struct Messages;

impl Source for Messages {
    type Key = MessageId;
    type Value = Arc<Message>;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, Arc<Message>>> {
        messages::find_many(cx, keys).await
    }
}

pub(super) struct ThreadPages;

impl Source for ThreadPages {
    type Key = (PageRequest<i64>, MessageId);
    type Value = Arc<Page<Arc<Message>>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in threads::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct ThreadStandings;

impl Source for ThreadStandings {
    type Key = MessageId;
    type Value = ThreadStanding;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, ThreadStanding>> {
        threads::standings(cx, keys).await
    }
}

pub(super) struct ThreadReaderPages;

impl Source for ThreadReaderPages {
    type Key = (PageRequest<ReaderPosition>, MessageId);
    type Value = Arc<Page<ThreadRead>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in threads::reader_pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct EditPages;

impl Source for EditPages {
    type Key = (
        PageRequest<i64>,
        (MessageId, Option<UserId>, ConversationId),
    );
    type Value = Arc<Page<MessageEdit>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, messages) in by_request(keys) {
            let mut pages = messages::pages_of_edits(cx, &messages, request).await?;
            for message in messages {
                let page = pages.remove(&message.0).unwrap_or_default();
                found.insert((request.clone(), message), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct Details;

impl Source for Details {
    type Key = MessageId;
    type Value = Arc<MessageDetail>;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, Arc<MessageDetail>>> {
        details::find_many(cx, keys).await
    }
}

pub(super) struct MessagePages;

impl Source for MessagePages {
    type Key = (MessagesRequest, ConversationId);
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

pub(super) struct Calls;

impl Source for Calls {
    type Key = CallId;
    type Value = Arc<Call>;

    async fn fetch(cx: &Cx, keys: &[CallId]) -> Result<HashMap<CallId, Arc<Call>>> {
        calls::find_many(cx, keys).await
    }
}

/// What each page is of: one field of the document is one request.
pub(super) fn by_request<R: Eq + Hash, K: Copy>(keys: &[(R, K)]) -> HashMap<&R, Vec<K>> {
    let mut ids: HashMap<_, Vec<_>> = HashMap::new();
    for (request, id) in keys {
        ids.entry(request).or_default().push(*id);
    }
    ids
}

/// Conversations as those see them who are not in them.
pub(super) struct Previews;

impl Source for Previews {
    type Key = ConversationId;
    type Value = Arc<Conversation>;

    async fn fetch(
        cx: &Cx,
        keys: &[ConversationId],
    ) -> Result<HashMap<ConversationId, Arc<Conversation>>> {
        conversations::previews(cx, keys).await
    }
}

pub(super) struct BanPages;

impl Source for BanPages {
    type Key = (PageRequest<BanPosition>, ConversationId);
    type Value = Arc<Page<Ban>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in bans::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct InvitationPages;

impl Source for InvitationPages {
    type Key = (PageRequest<InvitationPosition>, ConversationId);
    type Value = Arc<Page<Invitation>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in invitations::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct JoinRequestPages;

impl Source for JoinRequestPages {
    type Key = (PageRequest<JoinAskPosition>, ConversationId);
    type Value = Arc<Page<JoinRequest>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in join_requests::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct Sessions;

impl Source for Sessions {
    type Key = SessionId;
    type Value = Arc<Session>;

    async fn fetch(cx: &Cx, keys: &[SessionId]) -> Result<HashMap<SessionId, Arc<Session>>> {
        sessions::find_many(cx, keys).await
    }
}

pub(super) struct ChatRequests;

impl Source for ChatRequests {
    type Key = ChatRequestId;
    type Value = Arc<ChatRequest>;

    async fn fetch(
        cx: &Cx,
        keys: &[ChatRequestId],
    ) -> Result<HashMap<ChatRequestId, Arc<ChatRequest>>> {
        requests::find_many(cx, keys).await
    }
}

pub(super) struct States;

impl Source for States {
    type Key = ConversationId;
    type Value = State;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, State>> {
        states::find_many(cx, keys).await
    }
}

pub(super) struct Tags;

impl Source for Tags {
    type Key = ConversationId;
    type Value = Vec<String>;

    async fn fetch(
        cx: &Cx,
        keys: &[ConversationId],
    ) -> Result<HashMap<ConversationId, Vec<String>>> {
        tags::find_many(cx, keys).await
    }
}

pub(super) struct LastMessages;

impl Source for LastMessages {
    type Key = ConversationId;
    type Value = Arc<Message>;

    async fn fetch(
        cx: &Cx,
        keys: &[ConversationId],
    ) -> Result<HashMap<ConversationId, Arc<Message>>> {
        conversations::last_messages(cx, keys).await
    }
}

pub(super) struct MentionCounts;

impl Source for MentionCounts {
    type Key = ConversationId;
    type Value = i64;

    async fn fetch(cx: &Cx, keys: &[ConversationId]) -> Result<HashMap<ConversationId, i64>> {
        conversations::unread_mention_counts(cx, keys).await
    }
}

pub(super) struct Templates;

impl Source for Templates {
    type Key = TemplateId;
    type Value = Arc<Template>;

    async fn fetch(cx: &Cx, keys: &[TemplateId]) -> Result<HashMap<TemplateId, Arc<Template>>> {
        templates::find_many(cx, keys).await
    }
}
