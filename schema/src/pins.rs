//! Pinned messages.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::Message as Row;
use backchannel_domain::messages::pins::{self, Pin, PinPosition};
use backchannel_domain::page::{End, Page};
use backchannel_domain::{ConversationId, MessageId};
use futures_util::future::try_join_all;

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::messages::Message;
use crate::scope::Scope;

/// A page of the messages that are pinned in a conversation.
pub(crate) async fn page(
    scope: &Scope,
    id: ConversationId,
    args: RawPageArgs,
) -> Result<Connection<Message>> {
    let args = args.decode(|cursor| {
        let (at, id) = parse_time_cursor(List::Pins, cursor)?;
        let id = MessageId(id);
        Some(PinPosition { at, id })
    })?;
    let request = args.check(End::Start)?;
    let page = scope.loaders().pin_page(id, request).await?;
    let messages = page.items.iter().map(|pin| async {
        let message = scope.loaders().message(pin.message_id).await?;
        Result::Ok((*pin, message))
    });
    let page = Page {
        items: try_join_all(messages).await?,
        has_next: page.has_next,
        has_previous: page.has_previous,
    };
    let cursor =
        |(pin, _): &(Pin, Arc<Row>)| time_cursor(List::Pins, pin.pinned_at, pin.message_id.0);
    let node = |(_, row): &(Pin, Arc<Row>)| Message::new(scope, Arc::clone(row));
    Ok(Connection::of(&page, cursor, node))
}

/// Which message to pin.
#[derive(InputObject)]
struct PinMessageInput {
    /// A message.
    message_id: ID,
}

/// The answer to `pinMessage`.
#[derive(SimpleObject)]
struct PinMessagePayload {
    /// The message.
    message: Message,
}

/// Which message to unpin.
#[derive(InputObject)]
struct UnpinMessageInput {
    /// A message.
    message_id: ID,
}

/// The answer to `unpinMessage`.
#[derive(SimpleObject)]
struct UnpinMessagePayload {
    /// The message.
    message: Message,
}

#[derive(Default)]
pub(crate) struct PinsMutation;

#[Object]
impl PinsMutation {
    /// Pins a message for everybody, by a MessagePinned event: any member of a DIRECT conversation or
    /// GROUP may; in a CHANNEL or ROOM, owners and admins. One that is pinned already is no change.
    /// CONFLICT for the 51st of a conversation. A message that is deleted is not pinned any more.
    async fn pin_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: PinMessageInput,
    ) -> Result<PinMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = pins::pin(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(PinMessagePayload {
            message: Message::new(scope, row),
        })
    }

    /// Unpins a message, by a MessageUnpinned event; whoever may pin it may, also while the
    /// conversation is archived. One that is not pinned is no change.
    async fn unpin_message(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which message.")] input: UnpinMessageInput,
    ) -> Result<UnpinMessagePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = pins::unpin(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(UnpinMessagePayload {
            message: Message::new(scope, row),
        })
    }
}
