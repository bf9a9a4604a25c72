//! Messages that users have deleted for themselves. Nobody else sees a difference, and there is no way
//! back.

use std::collections::HashSet;
use std::sync::Arc;

use backchannel_entities::{MessageId, UserId, hidden_message};
use sea_orm::sea_query::{Expr, ExprTrait as _, Query, SimpleExpr};
use sea_orm::{ColumnTrait, EntityTrait, PaginatorTrait as _, QueryFilter, QuerySelect, Set};

use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::db::in_list;
use crate::rates::{self, Action};
use crate::{Cx, Error, Result};

use super::{Message, lock};

/// Most messages that a user hides in one conversation: each page there looks at all of them.
const MOST: u64 = 5_000;

/// Hides a message from the actor, for ever. One that is hidden is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Conflict`] when the actor
/// hides very many in this conversation already; [`Error::RateLimited`] when the actor has done too
/// much.
pub async fn hide(cx: &Cx, id: MessageId) -> Result<Arc<Message>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Messages, move |tx| {
        Box::pin(async move {
            let (_, message) = lock(tx, actor, id).await?;
            let known =
                hidden_message::Entity::find_by_id((actor, message.conversation_id, message.seq));
            if known.one(&tx.db).await?.is_some() {
                return Ok(Arc::new(message));
            }
            let there = hidden_message::Entity::find()
                .filter(hidden_message::Column::UserId.eq(actor))
                .filter(hidden_message::Column::ConversationId.eq(message.conversation_id));
            if there.count(&tx.db).await? >= MOST {
                return Err(Error::Conflict {
                    field: None,
                    message: "you hide as many messages of this conversation as there is room for",
                });
            }
            let row = hidden_message::ActiveModel {
                user_id: Set(actor),
                conversation_id: Set(message.conversation_id),
                seq: Set(message.seq),
                message_id: Set(message.id),
            };
            hidden_message::Entity::insert(row)
                .exec_without_returning(&tx.db)
                .await?;
            tx.tell(actor, UserNotice::Message(message.id));
            Ok(Arc::new(message))
        })
    })
    .await
}

/// Those of the messages that the actor hides.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn of_actor(cx: &Cx, ids: &[MessageId]) -> Result<HashSet<MessageId>> {
    let actor = cx.signed_in()?.user.id;
    let hidden: Vec<MessageId> = hidden_message::Entity::find()
        .select_only()
        .column(hidden_message::Column::MessageId)
        .filter(hidden_message::Column::MessageId.is_in(in_list(ids)))
        .filter(hidden_message::Column::UserId.eq(actor))
        .into_tuple()
        .all(cx.read())
        .await?;
    Ok(hidden.into_iter().collect())
}

/// Whether `user_id` does not hide the message of this id.
pub(crate) fn is_shown(user_id: UserId, message_id: SimpleExpr) -> SimpleExpr {
    use hidden_message::{Column, Entity};
    let hidden = Query::select()
        .expr(Expr::value(1))
        .from(Entity)
        .and_where(Expr::col((Entity, Column::MessageId)).eq(message_id))
        .and_where(Expr::col((Entity, Column::UserId)).eq(user_id))
        .take();
    Expr::exists(hidden).not()
}

/// The same in words, of a row of `messages` and a user that are expressions too. It is looked up by
/// itself, whatever it stands in: that is what OFFSET 0 says.
pub(crate) fn is_shown_sql(message: &str, user_id: &str) -> String {
    format!(
        r#"NOT EXISTS (SELECT 1 FROM "hidden_messages" h WHERE h."user_id" = {user_id}
  AND h."conversation_id" = {message}."conversation_id" AND h."seq" = {message}."seq" LIMIT 1 OFFSET 0)"#
    )
}
