//! The stream of a conversation's receipts.

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ConversationId, Timestamp, UserId};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use crate::access::Membership;
use crate::bus::{FollowingReceipts, Moved, UserNotice};
use crate::feed::Viewpoint;
use crate::{Cx, Result, blocks};

use super::hiding::shows_reads;

/// Members who moved at the same time and are still told of one by one.
const ONE_BY_ONE: usize = 8;
/// Others told of in one receipt.
const OTHERS: usize = 200;
/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);

/// How far a member has come, as the viewer may know.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// Everything up to and including it has reached one of the member's devices.
    pub delivered_seq: i64,
    /// Everything up to and including it has been read; 0 where that is hidden.
    pub read_seq: i64,
    /// When either last moved.
    pub at: Timestamp,
    /// Others who moved at about the same time, if they are many.
    pub others: Arc<[Receipt]>,
}

/// How far members come from now on, the latest state of each: the first advance at once,
/// those that follow together. Ends when the viewer is removed.
///
/// # Errors
/// [`crate::Error::NotFound`] to anyone but members.
pub async fn advances(
    cx: &Cx,
    id: ConversationId,
) -> Result<impl Stream<Item = Receipt> + Send + use<>> {
    let viewer = cx.signed_in()?.user.id;
    Membership::prove(cx, id).await?;
    let bus = &cx.handles().bus;
    let mut following = bus.follow_receipts(id).await?;
    let mut settings = bus.follow_user(viewer).await;
    // Once more now that nothing can be missed: no removal falls between the two.
    let hidden_upto = Membership::prove(cx, id).await?.member.visible_after;
    let view = Viewpoint {
        cx: cx.clone(),
        viewer,
        id,
        hidden_upto,
    };
    let mut sight = sight_of(&view).await?;
    let open = bus.signal_stream();
    Ok(stream! {
        let _open = open;
        let FollowingReceipts { news, events } = &mut following;
        loop {
            tokio::select! {
                biased;
                next = events.live.recv() => {
                    if view.is_over_after(next).await {
                        return;
                    }
                }
                notice = settings.notices.recv() => match notice {
                    Ok(UserNotice::Settings) | Err(RecvError::Lagged(_)) => {
                        sight = Box::pin(sight_now(&view)).await;
                    }
                    Ok(
                        UserNotice::Memberships
                        | UserNotice::Presence(_)
                        | UserNotice::Calls
                        | UserNotice::Requests
                        | UserNotice::States
                        | UserNotice::Message(_),
                    ) => {}
                    Err(RecvError::Closed) => return,
                },
                next = news.next() => {
                    let Some((before, moved)) = next else { return };
                    let moved = moved.iter();
                    let visible = moved.filter_map(|m| receipt(&view, m, before, sight));
                    for receipt in bundled(visible.collect()) {
                        yield receipt;
                    }
                }
            }
        }
    })
}

/// How much the viewer may know of others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// Nothing: one of the two blocks the other.
    Nothing,
    /// What was delivered to them: the viewer does not show how far they have read.
    Delivered,
    /// All that they show.
    Reads,
}

async fn sight_of(view: &Viewpoint) -> Result<Sight> {
    if blocks::closes(&view.cx, view.id).await? {
        return Ok(Sight::Nothing);
    }
    let shows = shows_reads(&view.cx, view.viewer).await?;
    Ok(if shows {
        Sight::Reads
    } else {
        Sight::Delivered
    })
}

/// How much it is now; waits for the database while it fails.
async fn sight_now(view: &Viewpoint) -> Sight {
    loop {
        match sight_of(view).await {
            Ok(sight) => return sight,
            Err(error) => {
                tracing::warn!(%error, user.id = %view.viewer, "reading settings failed; trying again");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// What the viewer may know of it; none if that is nothing new since that batch.
fn receipt(view: &Viewpoint, moved: &Moved, since: u64, sight: Sight) -> Option<Receipt> {
    let advance = &moved.advance;
    let is_own = advance.user_id == view.viewer;
    if sight == Sight::Nothing && !is_own {
        return None;
    }
    let sees_read = is_own || (sight == Sight::Reads && advance.shows_reads);
    (sees_read || moved.is_delivered_since(since)).then(|| Receipt {
        conversation_id: view.id,
        user_id: advance.user_id,
        delivered_seq: advance.delivered_seq,
        read_seq: if sees_read { advance.read_seq } else { 0 },
        at: advance.at,
        others: [].into(),
    })
}

/// A few one by one; many as one, the latest, that carries the rest.
fn bundled(mut receipts: Vec<Receipt>) -> Vec<Receipt> {
    if receipts.len() <= ONE_BY_ONE {
        return receipts;
    }
    let mut bundles = Vec::with_capacity(receipts.len() / OTHERS + 1);
    while let Some(latest) = receipts.pop() {
        let others = receipts.split_off(receipts.len().saturating_sub(OTHERS));
        bundles.push(Receipt {
            others: others.into(),
            ..latest
        });
    }
    bundles.reverse();
    bundles
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_at_once_are_five_receipts_and_a_few_one_each() {
        let receipt = |n: u128| Receipt {
            conversation_id: ConversationId(uuid::Uuid::nil()),
            user_id: UserId(uuid::Uuid::from_u128(n)),
            delivered_seq: 1,
            read_seq: 1,
            at: Timestamp(i64::try_from(n).expect("small")),
            others: [].into(),
        };
        for (count, expected) in [
            (0, 0),
            (1, 1),
            (8, 8),
            (9, 1),
            (201, 1),
            (202, 2),
            (1_000, 5),
        ] {
            let bundles = bundled((0..count).map(receipt).collect());
            assert_eq!(bundles.len(), expected, "{count}");
            let mut at: Vec<i64> = Vec::new();
            for bundle in bundles {
                assert!(bundle.others.len() <= OTHERS);
                at.extend(bundle.others.iter().chain([&bundle]).map(|r| r.at.0));
            }
            let everyone: Vec<i64> = (0..).take(usize::try_from(count).expect("small")).collect();
            assert_eq!(at, everyone, "each once, in order");
        }
    }
}
