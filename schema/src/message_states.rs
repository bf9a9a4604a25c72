//! What messages are to the viewer alone: with a star, or hidden.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::messages::{Message as Row, hiding, states};
use backchannel_domain::page::{End, Page};
use backchannel_domain::stars::{self, StarPosition};
use backchannel_domain::{ConversationId, MessageId};
use futures_util::future::try_join_all;
use futures_util::{Stream, StreamExt as _};

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::messages::Message;
use crate::scope::Scope;
use crate::streaming;

/// A page of the messages with a star of the viewer's.
pub(crate) async fn starred(
    scope: &Scope,
    of: Option<ID>,
    args: RawPageArgs,
) -> Result<Connection<Message>> {
    let of = of.as_ref().map(ConversationId::parse).transpose()?;
    let args = args.decode(|cursor| {
        let (at, id) = parse_time_cursor(List::Stars, cursor)?;
        let id = MessageId(id);
        Some(StarPosition { at, id })
    })?;
    let page = stars::list(scope.cx(), of, &args.check(End::Start)?).await?;
    let messages = page.items.iter().map(|star| async {
        let message = scope.loaders().message(star.message_id).await?;
        Result::Ok((StarPosition::of(star), message))
    });
    let page = Page {
        items: try_join_all(messages).await?,
        has_next: page.has_next,
        has_previous: page.has_previous,
    };
    let cursor = |(at, _): &(StarPosition, Arc<Row>)| time_cursor(List::Stars, at.at, at.id.0);
    let node = |(_, row): &(StarPosition, Arc<Row>)| Message::new(scope, Arc::clone(row));
    Ok(Connection::of(&page, cursor, node))
}

/// Which message to star.
#[derive(InputObject)]
struct StarMessageInput {
    /// A message.
    message_id: ID,
}

/// The answer to `starMessage`.
#[derive(SimpleObject)]
struct StarMessagePayload {
    /// The message.
    message: Message,
}

/// Which message to take the star from.
#[derive(InputObject)]
struct UnstarMessageInput {
    /// A message.
    message_id: ID,
}

/// The answer to `unstarMessage`.
#[derive(SimpleObject)]
struct UnstarMessagePayload {
    /// The message.
    message: Message,
}

/// Which message to hide.
#[derive(InputObject)]
struct HideMessageInput {
    /// A message.
    message_id: ID,
}

/// The answer to `hideMessage`.
#[derive(SimpleObject)]
struct HideMessagePayload {
    /// The message.
    message: Message,
}

#[derive(Default)]
pub(crate) struct MessageStatesMutation;

#[Object]
impl MessageStatesMutation {
    /// Gives a message a star that nobody else sees, to find it again in `starredMessages`. CONFLICT for
    /// a deleted message, and for the 10,001st.
    async fn star_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: StarMessageInput,
    ) -> Result<StarMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = stars::star(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(StarMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Takes the viewer's star from a message.
    async fn unstar_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: UnstarMessageInput,
    ) -> Result<UnstarMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = stars::unstar(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(UnstarMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Deletes a message for the viewer alone, on all devices, for ever: it is gone from `messages`,
    /// `lastMessage`, `pinnedMessages`, `starredMessages`, a thread's `replies`, and from unread
    /// counts. Others see no difference. Events and `replyTo` still name it, with `isHidden`, and a
    /// thread's `replyCount` and `lastReply` still have it. CONFLICT for the 5,001st of a conversation.
    async fn hide_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: HideMessageInput,
    ) -> Result<HideMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = hiding::hide(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(HideMessagePayload {
            message: Message::new(scope, row),
        })
    }
}

/// What a message is to the viewer alone.
#[derive(SimpleObject)]
struct MessageState {
    /// Which message.
    message_id: ID,
    /// Whether it has a star of the viewer's.
    is_starred: bool,
    /// Whether the viewer has hidden it.
    is_hidden: bool,
}

#[derive(Default)]
pub(crate) struct MessageStatesSubscription;

#[Subscription]
impl MessageStatesSubscription {
    /// Emits when the viewer gives a message a star, takes it back or hides a message, on whichever
    /// device. A signal: one may be lost; what counts is what is read.
    async fn message_state_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = MessageState> + use<>> {
        let cx = Scope::of(ctx).cx();
        let changes = streaming::each(ctx, async { Ok(states::changes(cx).await?) });
        Ok(changes.await?.map(|change| MessageState {
            message_id: change.message_id.global(),
            is_starred: change.is_starred,
            is_hidden: change.is_hidden,
        }))
    }
}
