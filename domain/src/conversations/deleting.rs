//! Deleting a conversation: from that moment on there is none for anybody. What was in it is
//! [erased](super::erasing) afterwards.

use std::sync::Arc;

use backchannel_entities::{
    ConversationId, ban, conversation, erasure, invitation, join_request, member,
};
use sea_orm::sea_query::Expr;
use sea_orm::{ActiveModelTrait as _, ColumnTrait as _, EntityTrait, QueryFilter as _, Set};

use crate::access::Membership;
use crate::bots::Scope;
use crate::cx::Tx;
use crate::event::{Event, EventKind};
use crate::messages::pace;
use crate::rates::{self, Action};
use crate::{Cx, Result, retention};

use super::{Conversation, tags, terms};

/// Deletes a conversation, by an event that is the last of it: to everybody who was a member it is the
/// end of their streams, and nobody is one any more. Its slug is free again.
///
/// # Errors
/// [`crate::Error::NotFound`] when the conversation does not exist for the actor;
/// [`crate::Error::Forbidden`] to anybody but the owner; [`crate::Error::RateLimited`] when the actor
/// has changed too much.
pub async fn delete(cx: &Cx, id: ConversationId) -> Result<()> {
    let actor = Arc::clone(&cx.signed_in()?.user);
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor.id, id).await?;
            membership.may_delete_conversation()?;
            let conversation = tx.allocate(id, 1).await?;
            end_memberships(tx, &conversation).await?;
            close(tx, &conversation).await?;
            let event = Event {
                conversation_id: id,
                seq: conversation.last_seq,
                at: conversation.last_active_at,
                actor_id: Some(actor.id),
                stamp: tx.stamp().await?,
                kind: EventKind::ConversationDeleted,
                users: [actor].into(),
            };
            tx.record(vec![event]).await
        })
    })
    .await
}

/// All leave at the event, in one statement however many they are.
async fn end_memberships(tx: &Tx, conversation: &Conversation) -> Result<()> {
    let left_at = Some(conversation.last_active_at);
    member::Entity::update_many()
        .col_expr(member::Column::LeftAt, Expr::value(left_at))
        .col_expr(
            member::Column::LeftSeq,
            Expr::value(Some(conversation.last_seq)),
        )
        .col_expr(member::Column::Stamp, Expr::value(tx.stamp().await?))
        .filter(member::Column::ConversationId.eq(conversation.id))
        .filter(member::Column::LeftAt.is_null())
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// What it was called is gone at once, and so are the ways in.
async fn close(tx: &Tx, conversation: &Conversation) -> Result<()> {
    let id = conversation.id;
    let row = conversation::ActiveModel {
        id: Set(id),
        title: Set(None),
        description: Set(None),
        avatar_url: Set(None),
        slug: Set(None),
        deleted_at: Set(Some(conversation.last_active_at)),
        is_guarded: Set(true),
        ..Default::default()
    };
    row.update(&tx.db).await?;
    terms::forget(tx, id).await?;
    tags::set(tx, conversation, Vec::new()).await?;
    invitation::Entity::delete_many()
        .filter(invitation::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    join_request::Entity::delete_many()
        .filter(join_request::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    ban::Entity::delete_many()
        .filter(ban::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    pace::forget(tx, id).await?;
    retention::forget(tx, id).await?;
    let row = erasure::ActiveModel {
        conversation_id: Set(id),
        erased_seq: Set(0),
    };
    erasure::Entity::insert(row)
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}
