//! Requests that nothing came of are cleared away.

use backchannel_entities::{ChatRequestId, chat_request};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::{LockBehavior, LockType};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::db::in_list;
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Result};

/// Most requests cleared away by one transaction.
const CLEARED: u64 = 256;

/// Clears away what nothing came of, until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing chat requests away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    async {
        let now = cx.handles().clock.now();
        let over = || chat_request::Entity::find().filter(chat_request::Column::ExpiresAt.lt(now));
        // Most often there is nothing, and nobody must be kept from writing for that.
        if over().limit(1).one(cx.read()).await?.is_none() {
            return Ok(Found::TheLast);
        }
        cx.write(move |tx| {
            Box::pin(async move {
                let ids: Vec<ChatRequestId> = chat_request::Entity::find()
                    .select_only()
                    .column(chat_request::Column::Id)
                    .filter(chat_request::Column::ExpiresAt.lt(now))
                    .order_by_asc(chat_request::Column::ExpiresAt)
                    .limit(CLEARED)
                    .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
                    .into_tuple()
                    .all(&tx.db)
                    .await?;
                if !ids.is_empty() {
                    chat_request::Entity::delete_many()
                        .filter(chat_request::Column::Id.is_in(in_list(&ids)))
                        .exec(&tx.db)
                        .await?;
                }
                Ok(Found::of(ids.len(), CLEARED))
            })
        })
        .await
    }
    .boxed()
}
