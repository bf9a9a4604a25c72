//! What happens to members, told twice: as events, and as messages of the system for those who read
//! the conversation.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::message_detail::Reactions;
use backchannel_entities::{MessageId, UserId, message, message_detail};
use sea_orm::{EntityTrait as _, Set};

use crate::clock::new_id;
use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::event::{Event, EventKind};
use crate::messages::{Content, MessageKind, SystemAction, SystemContent};
use crate::users::User;
use crate::{Error, Result};

/// Whom notes name.
pub(super) fn named(notes: &[SystemContent]) -> Vec<UserId> {
    let both = notes.iter().flat_map(|note| [note.actor_id, note.user_id]);
    both.collect()
}

/// Records what has happened to members, at the last positions of their conversation: each as an
/// event, and as a message that stands at the event's seq. `users` are those whom the notes name.
pub(super) async fn record(
    tx: &mut Tx,
    conversation: &Conversation,
    notes: Vec<SystemContent>,
    users: &HashMap<UserId, Arc<User>>,
) -> Result<()> {
    let count = i64::try_from(notes.len()).map_err(Error::internal)?;
    let stamp = tx.stamp().await?;
    let first = conversation.last_seq - count + 1;
    let events = notes.iter().zip(first..).map(|(note, seq)| Event {
        conversation_id: conversation.id,
        seq,
        at: conversation.last_active_at,
        actor_id: Some(note.actor_id),
        stamp,
        kind: kind(note),
        users: users_of(note, users),
    });
    let events = events.collect();
    write(tx, conversation, notes, stamp).await?;
    tx.record(events).await
}

fn kind(note: &SystemContent) -> EventKind {
    match note.action {
        SystemAction::Joined => EventKind::MemberJoined(note.user_id),
        SystemAction::Left | SystemAction::Removed | SystemAction::Banned => {
            EventKind::MemberLeft(note.user_id)
        }
        SystemAction::RoleChanged | SystemAction::OwnerChanged => {
            EventKind::MemberRoleChanged(note.user_id)
        }
    }
}

fn users_of(note: &SystemContent, users: &HashMap<UserId, Arc<User>>) -> Arc<[Arc<User>]> {
    let other = (note.user_id != note.actor_id).then_some(note.user_id);
    let ids = std::iter::once(note.actor_id).chain(other);
    ids.filter_map(|id| users.get(&id).map(Arc::clone))
        .collect()
}

async fn write(
    tx: &Tx,
    conversation: &Conversation,
    notes: Vec<SystemContent>,
    stamp: i64,
) -> Result<()> {
    let count = i64::try_from(notes.len()).map_err(Error::internal)?;
    let first = conversation.last_seq - count + 1;
    let (messages, details): (Vec<_>, Vec<_>) = notes
        .into_iter()
        .zip(first..)
        .map(|(note, seq)| row(conversation, note, seq, stamp))
        .unzip();
    message::Entity::insert_many(messages)
        .exec_without_returning(&tx.db)
        .await?;
    message_detail::Entity::insert_many(details)
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}

fn row(
    conversation: &Conversation,
    note: SystemContent,
    seq: i64,
    stamp: i64,
) -> (message::ActiveModel, message_detail::ActiveModel) {
    let id = MessageId(new_id());
    let message = message::ActiveModel {
        id: Set(id),
        conversation_id: Set(conversation.id),
        seq: Set(seq),
        sender_id: Set(None),
        client_message_id: Set(None),
        digest: Set(None),
        text: Set(None),
        created_at: Set(conversation.last_active_at),
        edited_at: Set(None),
        deleted_at: Set(None),
        stamp: Set(stamp),
        kind: Set(MessageKind::System),
        has_details: Set(true),
    };
    let content = Content {
        system: Some(note),
        ..Content::default()
    };
    let details = message_detail::ActiveModel {
        message_id: Set(id),
        conversation_id: Set(conversation.id),
        seq: Set(seq),
        reply_to_id: Set(None),
        root_id: Set(None),
        content: Set(content),
        reply_count: Set(0),
        last_reply_id: Set(None),
        last_reply_at: Set(None),
        reactions: Set(Reactions::default()),
        pinned_at: Set(None),
        pinned_by: Set(None),
    };
    (message, details)
}
