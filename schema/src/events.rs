//! Durable events and their streams. Payloads do not depend on the viewer, except where a
//! field says so.

use std::sync::Arc;

use async_graphql::{Context, ID, Interface, Object, SimpleObject, Subscription};
use backchannel_domain::admission::Admission;
use backchannel_domain::conversations::Conversation as ConversationRow;
use backchannel_domain::event::{Event, EventKind};
use backchannel_domain::messages::Message as MessageRow;
use backchannel_domain::{CallId, ConversationId, UserId, feed};
use futures_util::{Stream, StreamExt as _};

use crate::answer::placeholder;
use crate::calls::Call;
use crate::connection::{parse_stream_cursor, stream_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::members::Member;
use crate::messages::Message;
use crate::scalars::{Cursor, DateTime, int};
use crate::scope::Scope;
use crate::settings::ConversationSettings;
use crate::streaming;
use crate::users::User;

/// Something durable that happened in a conversation, at a position of its own.
#[derive(Interface)]
#[graphql(
    field(name = "conversation_id", ty = "ID", desc = "Where it happened."),
    field(
        name = "seq",
        ty = "i32",
        desc = "Position in the conversation: dense, each event once."
    ),
    field(name = "at", ty = "DateTime", desc = "When it happened."),
    field(
        name = "actor",
        ty = "Option<User>",
        desc = "Who did it; null for the system, for several at once, and for votes in an anonymous poll."
    )
)]
enum ConversationEvent {
    MessageSent(MessageSent),
    MessageEdited(MessageEdited),
    MessageDeleted(MessageDeleted),
    MemberJoined(MemberJoined),
    MemberLeft(MemberLeft),
    MemberRoleChanged(MemberRoleChanged),
    CallEnded(CallEnded),
    ConversationUpdated(ConversationUpdated),
    ConversationDeleted(ConversationDeleted),
    MessageReactionsChanged(MessageReactionsChanged),
    MessagePinned(MessagePinned),
    MessageUnpinned(MessageUnpinned),
    PollChanged(PollChanged),
}

impl ConversationEvent {
    async fn of(scope: Scope, event: Arc<Event>) -> Self {
        scope.loaders().prime_users(&event.users).await;
        Self::new(scope, event)
    }

    fn new(scope: Scope, event: Arc<Event>) -> Self {
        let about = event.kind.clone();
        let base = Base { scope, event };
        match about {
            EventKind::MessageSent(about) => Self::MessageSent(MessageSent { base, about }),
            EventKind::MessageEdited(about) => Self::MessageEdited(MessageEdited { base, about }),
            EventKind::MessageDeleted(about) => {
                Self::MessageDeleted(MessageDeleted { base, about })
            }
            EventKind::MemberJoined(about) => Self::MemberJoined(MemberJoined { base, about }),
            EventKind::MemberLeft(about) => Self::MemberLeft(MemberLeft { base, about }),
            EventKind::MemberRoleChanged(about) => {
                Self::MemberRoleChanged(MemberRoleChanged { base, about })
            }
            EventKind::CallEnded(about) => Self::CallEnded(CallEnded { base, about }),
            EventKind::ConversationUpdated(about) => {
                Self::ConversationUpdated(ConversationUpdated { base, about })
            }
            EventKind::ConversationDeleted => {
                Self::ConversationDeleted(ConversationDeleted { base, about: () })
            }
            EventKind::MessageReactionsChanged(about) => {
                Self::MessageReactionsChanged(MessageReactionsChanged { base, about })
            }
            EventKind::MessagePinned(about) => Self::MessagePinned(MessagePinned { base, about }),
            EventKind::MessageUnpinned(about) => {
                Self::MessageUnpinned(MessageUnpinned { base, about })
            }
            EventKind::PollChanged(about) => Self::PollChanged(PollChanged { base, about }),
        }
    }
}

/// What all events have.
struct Base {
    scope: Scope,
    event: Arc<Event>,
}

impl Base {
    async fn actor(&self) -> Result<Option<User>> {
        match self.event.actor_id {
            Some(id) => {
                let row = self.scope.loaders().user(id).await?;
                Ok(Some(User::new(&self.scope, row)))
            }
            None => Ok(None),
        }
    }
}

/// Declares an event type: the fields of the interface, and one field that says what the
/// event is about.
macro_rules! event {
    ($(#[doc = $doc:literal])* $name:ident, $about:ty,
     $(#[doc = $field_doc:literal])* $field:ident: $ty:ty = $value:expr) => {
        struct $name {
            base: Base,
            about: $about,
        }

        $(#[doc = $doc])*
        #[Object]
        impl $name {
            /// Where it happened.
            async fn conversation_id(&self) -> ID {
                self.base.event.conversation_id.global()
            }

            /// Position in the conversation: dense, each event once.
            async fn seq(&self) -> i32 {
                int(self.base.event.seq)
            }

            /// When it happened.
            async fn at(&self) -> DateTime {
                self.base.event.at.into()
            }

            /// Who did it; null for the system, for several at once, and for votes in an anonymous poll.
            async fn actor(&self) -> Result<Option<User>> {
                self.base.actor().await
            }

            $(#[doc = $field_doc])*
            async fn $field(&self) -> Result<$ty> {
                $value(&self.base, &self.about).await
            }
        }
    };
}

event! {
    /// A message was sent. `seq` is the message's own.
    MessageSent, Arc<MessageRow>,
    /// The message, as it is now.
    message: Message = message
}
event! {
    /// A message got another text. `seq` is the position of the edit itself; `message.seq`
    /// that of the message.
    MessageEdited, Arc<MessageRow>,
    /// The message, as it is now.
    message: Message = message
}
event! {
    /// A message was deleted for everyone, or disappeared, in which case `actor` is null. `seq` is the
    /// position of the deletion itself; `message.seq` that of the message.
    MessageDeleted, Arc<MessageRow>,
    /// The tombstone.
    message: Message = message
}
event! {
    /// A user became a member.
    MemberJoined, UserId,
    /// The member, as they are now.
    member: Member = member
}
event! {
    /// A user left, or was removed.
    MemberLeft, UserId,
    /// The user who is no member any more.
    user: User = user
}
event! {
    /// A member has another role: by `setMemberRole`, or by inheriting the conversation.
    MemberRoleChanged, UserId,
    /// The member, as they are now.
    member: Member = member
}

event! {
    /// A call is over: the one event that each call leaves.
    CallEnded, CallId,
    /// The call.
    call: Call = call
}

event! {
    /// The conversation has another title, description or picture, or other tags, is set otherwise, was
    /// archived or restored.
    ConversationUpdated, Arc<ConversationRow>,
    /// What it is called and looks like, and how it is set, now.
    details: ConversationDetails = details
}

event! {
    /// The conversation was deleted, and nobody is a member any more: streams of it complete.
    ConversationDeleted, (),
    /// When it was deleted: the event's `at`.
    deleted_at: DateTime = deleted_at
}

event! {
    /// Somebody reacted to a message, or took a reaction back. What several do within a short
    /// while comes as one event, whose `actor` is null then.
    MessageReactionsChanged, Arc<MessageRow>,
    /// The message, as it is now.
    message: Message = message
}

event! {
    /// A message was pinned.
    MessagePinned, Arc<MessageRow>,
    /// The message, as it is now.
    message: Message = message
}

event! {
    /// A message was unpinned.
    MessageUnpinned, Arc<MessageRow>,
    /// The message, as it is now.
    message: Message = message
}

event! {
    /// A poll stands otherwise: by votes, or by `closePoll`. What several do within a short while comes
    /// as one event, whose `actor` is null then; of votes in an anonymous poll it always is.
    PollChanged, Arc<MessageRow>,
    /// The message that holds the poll, as it is now.
    message: Message = message
}

/// What a conversation is called and looks like, and how it is set.
#[derive(SimpleObject)]
struct ConversationDetails {
    /// Title, if it has one.
    title: Option<String>,
    /// What it is about, if anything is said.
    description: Option<String>,
    /// Absolute URL of its picture, if it has one.
    avatar_url: Option<String>,
    /// Its tags, in order.
    tags: Vec<String>,
    /// How it is set.
    settings: ConversationSettings,
    /// When it was archived, if it is.
    archived_at: Option<DateTime>,
}

async fn details(base: &Base, row: &Arc<ConversationRow>) -> Result<ConversationDetails> {
    Ok(ConversationDetails {
        tags: base.scope.loaders().tags(row.id).await?,
        title: row.title.clone(),
        description: row.description.clone(),
        avatar_url: row.avatar_url.clone(),
        settings: ConversationSettings::of(&row.settings),
        archived_at: row.archived_at.map(Into::into),
    })
}

async fn deleted_at(base: &Base, (): &()) -> Result<DateTime> {
    Ok(base.event.at.into())
}

async fn message(base: &Base, row: &Arc<MessageRow>) -> Result<Message> {
    Ok(Message::new(&base.scope, Arc::clone(row)))
}

async fn member(base: &Base, id: &UserId) -> Result<Member> {
    let row = base
        .scope
        .loaders()
        .member(base.event.conversation_id, *id)
        .await?;
    Ok(Member::new(&base.scope, row))
}

async fn call(base: &Base, id: &CallId) -> Result<Call> {
    Ok(Call::new(
        &base.scope,
        base.scope.loaders().call(*id).await?,
    ))
}

async fn user(base: &Base, id: &UserId) -> Result<User> {
    let row = base.scope.loaders().user(*id).await?;
    Ok(User::new(&base.scope, row))
}

/// An event, and where the viewer's stream stands with it.
#[derive(SimpleObject)]
struct ViewerEvent {
    /// Give it as `after` to go on behind this event: the viewer's own.
    cursor: Cursor,
    /// What happened.
    event: ConversationEvent,
}

#[derive(Default)]
pub(crate) struct EventsSubscription;

#[Subscription]
impl EventsSubscription {
    /// Every durable event of one conversation, in order, exactly once: first those with seq > after
    /// (none replayed when `after` is null), then live, with no gap and no repeat at the seam, whatever
    /// happens to Redis, to this node or to the connection meanwhile. The viewer's own MemberLeft, or
    /// ConversationDeleted, is the last event of a stream, which then completes.
    async fn conversation_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which conversation.")] conversation_id: ID,
        #[graphql(desc = "The last position seen; 0 for everything that the viewer may see.")]
        after: Option<i32>,
    ) -> Result<impl Stream<Item = ConversationEvent> + use<>> {
        let scope = Scope::of(ctx).clone();
        let cx = scope.cx();
        let admission = ctx.data_unchecked::<Admission>();
        let events = streaming::each(ctx, async {
            cx.signed_in()?;
            let id = ConversationId::parse(&conversation_id)?;
            let after = after.map(Into::into);
            Ok(feed::conversation_events(cx, id, after, admission).await?)
        });
        Ok(events
            .await?
            .then(move |event| ConversationEvent::of(scope.clone(), event)))
    }

    /// Everything durable for the viewer across all conversations, present and future ones: first what
    /// `after` does not have (nothing when it is null), then live. Each event carries a cursor;
    /// reconnecting with the last one seen misses and repeats nothing. Events of one conversation come
    /// in order, from the viewer's joining on, which is itself the first of them except for founding
    /// members; the viewer's own MemberLeft, or ConversationDeleted, is the last.
    async fn viewer_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The last cursor seen, or `Viewer.eventCursor`.")] after: Option<Cursor>,
    ) -> Result<impl Stream<Item = ViewerEvent> + use<>> {
        let scope = Scope::of(ctx).clone();
        let cx = scope.cx();
        let admission = ctx.data_unchecked::<Admission>();
        let events = streaming::each_with_own(ctx, async {
            cx.signed_in()?;
            let after = after.as_ref().map(parse_stream_cursor).transpose()?;
            let events = admission.in_turn(feed::viewer_events(cx, after)).await?;
            Ok(events.map(|news| (news.event, stream_cursor(&news.cursor).0.into())))
        });
        Ok(events.await?.then(move |event| {
            let event = ConversationEvent::of(scope.clone(), event);
            async {
                ViewerEvent {
                    cursor: Cursor(placeholder().to_owned()),
                    event: event.await,
                }
            }
        }))
    }
}
