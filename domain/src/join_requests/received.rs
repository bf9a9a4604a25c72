//! The stream of requests that wait for an answer.
//!
//! It follows the conversation first, then reads what is pending, and reads that again whenever
//! something became of a request. A notice that is lost is made up for by the sweep.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ConversationId, JoinRequestId, join_request};
use futures_util::Stream;
use sea_orm::{QueryOrder as _, QuerySelect as _};

use crate::access::Membership;
use crate::feed::Viewpoint;
use crate::limits::PAGE_SIZE;
use crate::{Cx, Error, Result};

use super::JoinRequest;
use super::list::pending;

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);
/// Requests read at once.
const LATEST: u64 = PAGE_SIZE as u64;

/// The pending requests to join a conversation, the latest 200 of them, then each that comes. Of more
/// than 200 at once, the latest. Ends when the viewer is no owner or admin any more.
///
/// # Errors
/// [`Error::NotFound`] to anyone but members, [`Error::Forbidden`] to plain ones.
pub async fn received(
    cx: &Cx,
    id: ConversationId,
) -> Result<impl Stream<Item = Arc<JoinRequest>> + Send + use<>> {
    let viewer = cx.signed_in()?.user.id;
    Membership::prove(cx, id).await?.may_answer_requests()?;
    let mut following = cx.handles().bus.follow(id).await?;
    let mut asked = following.asked_to_join();
    // Once more now that nothing can be missed: no removal falls between the two.
    let membership = Membership::prove(cx, id).await?;
    membership.may_answer_requests()?;
    let view = Viewpoint {
        cx: cx.clone(),
        viewer,
        id,
        hidden_upto: membership.member.visible_after,
    };
    let open = cx.handles().bus.signal_stream();
    Ok(stream! {
        let _open = open;
        // Of the whole: what is not named below is held as well.
        let following = &mut following;
        let mut told = HashMap::new();
        loop {
            let Some(now) = Box::pin(read(&view)).await else {
                return;
            };
            let before = std::mem::replace(&mut told, marks(&now));
            for request in now {
                if before.get(&request.id) != Some(&request.stamp) {
                    yield Arc::new(request);
                }
            }
            loop {
                tokio::select! {
                    biased;
                    next = following.live.recv() => {
                        let changed = next.as_ref().is_ok_and(|event| event.changed_member() == Some(viewer));
                        if view.is_over_after(next).await {
                            return;
                        }
                        if changed {
                            break;
                        }
                    }
                    changed = asked.changed() => {
                        if changed.is_err() {
                            return;
                        }
                        break;
                    }
                }
            }
        }
    })
}

/// What tells a request from others, and from what it was before.
fn marks(requests: &[JoinRequest]) -> HashMap<JoinRequestId, i64> {
    let marks = requests.iter().map(|request| (request.id, request.stamp));
    marks.collect()
}

/// What is pending, in the order of asking; none for one who may not see it any more. Waits for the
/// database while it fails.
async fn read(view: &Viewpoint) -> Option<Vec<JoinRequest>> {
    loop {
        match try_read(view).await {
            Ok(pending) => return Some(pending),
            Err(Error::NotFound(_) | Error::Forbidden(_)) => return None,
            Err(error) => {
                tracing::warn!(%error, conversation.id = %view.id, "reading requests to join failed; trying again");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

async fn try_read(view: &Viewpoint) -> Result<Vec<JoinRequest>> {
    Membership::prove(&view.cx, view.id)
        .await?
        .may_answer_requests()?;
    let mut latest = pending(view.id)
        .order_by_desc(join_request::Column::AskedAt)
        .order_by_desc(join_request::Column::Id)
        .limit(LATEST)
        .all(view.cx.read())
        .await?;
    latest.reverse();
    Ok(latest)
}
