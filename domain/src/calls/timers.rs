//! What happens to calls by itself: nobody answers, a device stays away, a log grows old.
//!
//! When something is due stands in the call's row. All nodes look for what is due, by one
//! statement a second, and whichever comes first does it: so it is done though the node that
//! began the call has died, and once.

use std::time::Duration;

use backchannel_entities::{
    CallId, ConversationId, SessionId, Timestamp, call, call_party, conversation,
};
use sea_orm::sea_query::{Expr, LockBehavior, LockType};
use sea_orm::{ActiveModelTrait, ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::cx::Tx;
use crate::db::in_list;
use crate::{Cx, Result};

use super::{CallState, log, store};

/// How often a node looks for what is due.
const TICK: Duration = Duration::from_secs(1);
/// Most calls looked after in one go.
const BATCH: u64 = 256;

/// Looks after what is due until the node stops.
pub(crate) async fn run(cx: Cx) {
    let stopping = cx.handles().bus.stopping().clone();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(TICK) => {}
        }
        if let Err(error) = do_all_due(&cx).await {
            tracing::warn!(%error, "looking after calls failed; trying again");
        }
    }
}

async fn do_all_due(cx: &Cx) -> Result<()> {
    let now = cx.handles().clock.now();
    let due: Vec<(CallId, ConversationId)> = call::Entity::find()
        .select_only()
        .columns([call::Column::Id, call::Column::ConversationId])
        .filter(call::Column::DueAt.lte(now))
        .order_by_asc(call::Column::DueAt)
        .limit(BATCH)
        .into_tuple()
        .all(cx.read())
        .await?;
    for (id, conversation_id) in due {
        cx.write(move |tx| Box::pin(async move { do_due(tx, id, conversation_id).await }))
            .await?;
    }
    Ok(())
}

/// Does what is due of a call, unless somebody is at it: if anything is left to do then, it is
/// found again.
async fn do_due(tx: &mut Tx, id: CallId, conversation_id: ConversationId) -> Result<()> {
    let locked = conversation::Entity::find_by_id(conversation_id)
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .one(&tx.db)
        .await?;
    if locked.is_none() {
        return Ok(());
    }
    let before = store::lock(tx, id).await?;
    if before.row.due_at.is_none_or(|due_at| due_at > tx.now()) {
        return Ok(());
    }
    if before.row.state == CallState::Ended {
        log::forget(tx, &before.row).await?;
        return set_due(tx, id, None).await;
    }
    let mut call = before.clone();
    let told = call.tick(tx.now());
    store::change(tx, &before, call, told, None).await?;
    Ok(())
}

async fn set_due(tx: &Tx, id: CallId, due_at: Option<Timestamp>) -> Result<()> {
    call::Entity::update_many()
        .col_expr(call::Column::DueAt, Expr::value(due_at))
        .filter(call::Column::Id.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Says that devices are out of reach: for each, the grace begins after which it leaves its
/// call.
pub(crate) async fn devices_gone(tx: &Tx, ids: &[SessionId]) -> Result<()> {
    note_absence(tx, ids, Some(tx.now())).await
}

/// Says that devices are within reach again.
pub(crate) async fn devices_back(tx: &Tx, ids: &[SessionId]) -> Result<()> {
    note_absence(tx, ids, None).await
}

async fn note_absence(tx: &Tx, ids: &[SessionId], since: Option<Timestamp>) -> Result<()> {
    if ids.is_empty() {
        return Ok(());
    }
    let parties = call_party::Entity::find()
        .filter(call_party::Column::SessionId.is_in(in_list(ids)))
        .filter(Expr::col((call_party::Entity, call_party::Column::Live)))
        // Locks are taken in this order.
        .order_by_asc(call_party::Column::CallId)
        .all(&tx.db)
        .await?;
    for found in parties {
        let mut call = store::lock(tx, found.call_id).await?;
        for id in ids {
            if !call.note_absence(*id, since) {
                continue;
            }
            set_due(tx, call.row.id, call.row.due_at).await?;
            let noted = call.parties.iter().find(|p| p.session_id == Some(*id));
            if let Some(party) = noted {
                let row = call_party::ActiveModel::from(party.clone()).reset_all();
                row.update(&tx.db).await?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::calls::{self, Call, CallKind, Outcome};
    use crate::clock::Clock;
    use crate::conversations::{self, ConversationKind, NewConversation};
    use crate::error::Unauthenticated;
    use crate::users::{self, NewUser};
    use crate::{Domain, Settings};

    async fn person(domain: &Domain, name: &str) -> Cx {
        let email = format!("{name}@example.com");
        let password = "nine lives left".to_owned();
        let new = NewUser::parse(domain, Some(&email), None, password, name);
        let nobody = domain.anonymous(Unauthenticated::NoToken);
        let session = users::register(&nobody, new.expect("a user")).await;
        session.expect("a session").cx
    }

    async fn say(cx: &Cx, gone: bool) {
        let id = cx.signed_in().expect("a person").session_id;
        let said = cx.write(move |tx| {
            Box::pin(async move {
                if gone {
                    devices_gone(tx, &[id]).await
                } else {
                    devices_back(tx, &[id]).await
                }
            })
        });
        said.await.expect("it is noted");
    }

    async fn found(cx: &Cx, call: &Call) -> Arc<Call> {
        do_all_due(cx).await.expect("what is due is done");
        calls::get(cx, call.row.id).await.expect("the call")
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_device_that_comes_back_in_time_stays_in_its_call() {
        let files = tempfile::tempdir().expect("a directory");
        let settings = Settings::alone_on(files.path().join("calls.db"));
        let clock = Clock::default();
        let domain = Domain::start(settings, clock.clone()).await;
        let domain = domain.expect("a node");
        let (ann, bob) = (person(&domain, "ann").await, person(&domain, "bob").await);
        let bobs_id = bob.signed_in().expect("a person").user.id;
        let new = NewConversation::parse(ConversationKind::Direct, vec![bobs_id], None, None);
        let direct = conversations::create(&ann, new.expect("a pair")).await;
        let direct = direct.expect("a conversation").id;

        let call = calls::start(&ann, direct, CallKind::Audio).await;
        let call = call.expect("a call");
        // The caller while it rings, then the one who answered: away for most of the grace.
        say(&ann, true).await;
        clock.advance(Duration::from_secs(8));
        say(&ann, false).await;
        clock.advance(Duration::from_secs(8));
        assert_eq!(found(&ann, &call).await.row.ended_at, None);
        calls::answer(&bob, call.row.id).await.expect("an answer");
        say(&bob, true).await;
        // Said again, it is no news.
        clock.advance(Duration::from_secs(8));
        say(&bob, true).await;
        say(&bob, false).await;
        clock.advance(Duration::from_secs(60));
        assert_eq!(found(&ann, &call).await.row.ended_at, None);
        say(&bob, true).await;
        clock.advance(Duration::from_secs(8));
        say(&bob, true).await;
        clock.advance(Duration::from_secs(3));
        let over = found(&ann, &call).await;
        assert_eq!(over.row.outcome, Some(Outcome::Completed));
        domain.stop().await;
    }
}
