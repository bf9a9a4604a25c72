//! Keys of senders, by which a retry is told from another message.

use std::sync::Arc;

use backchannel_entities::{UserId, member, message, message_detail};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query};
use sea_orm::{ColumnTrait as _, ConnectionTrait, EntityTrait as _, QueryFilter as _};
use sha2::{Digest as _, Sha256};

use crate::{Cx, Error, Result};

use super::{Message, NewMessage};

/// What those are told who use a key for a second message.
pub(crate) const KEY_TAKEN: Error = Error::Conflict {
    field: Some("clientMessageId"),
    message: "this clientMessageId was used for another message",
};

impl NewMessage {
    /// Tells a retry from another message under the same key; none without a key. Salted with that, so
    /// that equal texts do not show as equal rows.
    pub(crate) fn digest(&self) -> Option<Vec<u8>> {
        let key = self.client_message_id.as_ref()?;
        let mut digest = Sha256::new();
        digest.update(self.conversation_id.0.as_bytes());
        // Lengths keep the fields apart.
        digest.update(u64::try_from(key.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(key.as_bytes());
        match &self.more {
            None => digest.update(self.text.as_bytes()),
            Some(more) => {
                let identity = more.identity();
                let length = u64::try_from(identity.len()).unwrap_or(u64::MAX);
                digest.update(length.to_be_bytes());
                digest.update(identity);
                if more.source_id.is_none() {
                    digest.update(self.text.as_bytes());
                }
            }
        }
        Some(digest.finalize().to_vec())
    }
}

/// What a sender has sent under a key.
pub(crate) async fn find_by_key(
    db: &impl ConnectionTrait,
    sender_id: UserId,
    key: &str,
) -> Result<Option<Message>> {
    let found = message::Entity::find()
        .filter(message::Column::SenderId.eq(sender_id))
        .filter(message::Column::ClientMessageId.eq(key));
    Ok(found.one(db).await?)
}

/// The message of which `new` is a retry: the actor has sent it, and is still a member where it is.
pub(super) async fn find_sent(cx: &Cx, new: &NewMessage) -> Result<Option<Arc<Message>>> {
    let (actor, digest) = (cx.signed_in()?.user.id, new.digest());
    let Some(key) = &new.client_message_id else {
        return Ok(None);
    };
    let is_member = Query::select()
        .expr(Expr::value(1))
        .from(member::Entity)
        .and_where(
            Expr::col((member::Entity, member::Column::ConversationId))
                .equals((message::Entity, message::Column::ConversationId)),
        )
        .and_where(member::Column::UserId.eq(actor))
        .and_where(member::Column::LeftAt.is_null())
        .take();
    let found = message::Entity::find()
        .filter(message::Column::SenderId.eq(actor))
        .filter(message::Column::ClientMessageId.eq(key))
        .filter(Expr::exists(is_member))
        .one(cx.read())
        .await?;
    Ok(found.filter(|first| first.digest == digest).map(Arc::new))
}

/// The same for one that refers to messages which the actor does not see any more, after leaving and
/// coming back for instance: what it was sent with says what they were.
pub(super) async fn find_sent_with(cx: &Cx, new: &mut NewMessage) -> Result<Option<Arc<Message>>> {
    let actor = cx.signed_in()?.user.id;
    let (Some(key), Some(more)) = (&new.client_message_id, new.more.as_deref_mut()) else {
        return Ok(None);
    };
    let Some(first) = find_by_key(cx.read(), actor, key).await? else {
        return Ok(None);
    };
    if more.root_id.is_some() {
        let known = message_detail::Entity::find_by_id(first.id);
        more.root_id = known.one(cx.read()).await?.and_then(|known| known.root_id);
    }
    find_sent(cx, new).await
}
