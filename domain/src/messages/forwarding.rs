//! Saying elsewhere what was said before.

use std::sync::Arc;

use backchannel_entities::{ConversationId, MessageId};

use crate::bots::Scope;
use crate::limits;
use crate::rates::{self, Action};
use crate::{Cx, Error, Result};

use super::batch::Outgoing;
use super::content::{EntityKind, Forwarded};
use super::keys::find_sent;
use super::queue::SendQueue;
use super::{Content, Message, NewMessage, details, find_many};

/// Sends a message made of one that the actor sees, which says who sent that and when. Whom it
/// mentioned, it only names; what it answered stays behind. The same key of the same sender again
/// answers the first message, whatever became of the other meanwhile.
///
/// # Errors
/// [`Error::NotFound`] when the message or the conversation does not exist for the actor;
/// [`Error::Forbidden`] to one who may not send there, and for what is not forwarded: notes of calls,
/// polls, and messages of the system; [`Error::Conflict`] for a deleted message, and for a key that
/// was used for another; [`Error::RateLimited`] as for sending.
pub async fn forward(
    cx: &Cx,
    id: MessageId,
    conversation_id: ConversationId,
    client_message_id: Option<String>,
) -> Result<Arc<Message>> {
    let sender = Arc::clone(&cx.signed_in()?.user);
    cx.may(Scope::Messages)?;
    rates::count(cx, Action::Send)?;
    let client_message_id = client_message_id
        .map(|id| limits::client_message_id("clientMessageId", id))
        .transpose()?;
    let new = NewMessage::forwarding(conversation_id, id, client_message_id);
    // Before the source, which may have been deleted since, or be out of sight.
    if let Some(first) = find_sent(cx, &new).await? {
        return Ok(first);
    }
    let found = find_many(cx, &[id]).await?;
    let source = found.get(&id).ok_or(Error::NotFound("message"))?;
    if source.deleted_at.is_some() {
        return Err(Error::Conflict {
            field: None,
            message: "a deleted message cannot be forwarded",
        });
    }
    let mut content = Content::default();
    if source.has_details {
        let known = details::find_many(cx, &[id]).await?;
        content = known
            .get(&id)
            .map(|known| known.content.clone())
            .unwrap_or_default();
    }
    content.entities.retain(|entity| {
        !matches!(
            entity.kind,
            EntityKind::Mention | EntityKind::MentionEveryone
        )
    });
    content.forwarded = Some(match content.forwarded {
        Some(before) => Forwarded {
            hops: before.hops.saturating_add(1),
            ..before
        },
        None => Forwarded {
            sender_id: source.sender_id,
            sent_at: source.created_at,
            hops: 1,
        },
    });
    let new = new.made_of(source, content)?;
    SendQueue::send(cx.domain(), Outgoing::new(sender, new)).await
}
