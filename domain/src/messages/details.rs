//! What messages are besides their text. Few have any of it: a plain message is its row alone.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::message_detail::{Content, Reactions};
use backchannel_entities::{MessageId, member, message, message_detail};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, EntityTrait, JoinType, QueryFilter, QuerySelect, Set,
};

use crate::cx::Tx;
use crate::db::in_list;
use crate::{Cx, Result};

use super::{Message, MessageDetail};

/// The details of messages in conversations the actor is in, by the messages' ids; others, and those
/// that have none, are left out.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(
    cx: &Cx,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Arc<MessageDetail>>> {
    let actor = cx.signed_in()?.user.id;
    let membership = message_detail::Entity::belongs_to(member::Entity)
        .from(message_detail::Column::ConversationId)
        .to(member::Column::ConversationId)
        .into();
    let found = message_detail::Entity::find()
        .filter(message_detail::Column::MessageId.is_in(in_list(ids)))
        .join(JoinType::InnerJoin, membership)
        .filter(member::Column::UserId.eq(actor))
        .all(cx.read())
        .await?;
    let by_id = found
        .into_iter()
        .map(|found| (found.message_id, Arc::new(found)));
    Ok(by_id.collect())
}

/// The details of a message, to be changed under its conversation's lock; made where there are none.
pub(crate) async fn of(tx: &Tx, message: &Message) -> Result<MessageDetail> {
    let found = message_detail::Entity::find_by_id(message.id);
    if let Some(found) = found.one(&tx.db).await? {
        return Ok(found);
    }
    let made = message_detail::ActiveModel {
        message_id: Set(message.id),
        conversation_id: Set(message.conversation_id),
        seq: Set(message.seq),
        reply_to_id: Set(None),
        root_id: Set(None),
        content: Set(Content::default()),
        reply_count: Set(0),
        last_reply_id: Set(None),
        last_reply_at: Set(None),
        reactions: Set(Reactions::default()),
        pinned_at: Set(None),
        pinned_by: Set(None),
    };
    let made = made.insert(&tx.db).await?;
    message::Entity::update_many()
        .col_expr(message::Column::HasDetails, Expr::value(true))
        .filter(message::Column::Id.eq(message.id))
        .exec(&tx.db)
        .await?;
    Ok(made)
}
