//! What messages are to a user alone, on whichever device: with a star, or [hidden](super::hiding).

use std::collections::VecDeque;
use std::sync::Arc;

use async_stream::stream;
use backchannel_entities::MessageId;
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use crate::bus::UserNotice;
use crate::{Cx, Result, stars};

use super::hiding;

/// How many messages a stream remembers to have told of: a notice comes once by itself, and once more by
/// way of Redis.
const REMEMBERED: usize = 64;

/// What a message is to the actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageState {
    /// Which one.
    pub message_id: MessageId,
    /// Whether it has a star.
    pub is_starred: bool,
    /// Whether it is hidden.
    pub is_hidden: bool,
}

/// What the actor makes of messages from now on, each as it is when it is told. One may be lost with the
/// way between nodes: what counts is what is read.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn changes(cx: &Cx) -> Result<impl Stream<Item = Arc<MessageState>> + Send + use<>> {
    let actor = cx.signed_in()?.user.id;
    let mut following = cx.handles().bus.follow_user(actor).await;
    let cx = cx.clone();
    Ok(stream! {
        let mut told: VecDeque<MessageState> = VecDeque::new();
        loop {
            let id = match following.notices.recv().await {
                Ok(UserNotice::Message(id)) => id,
                Ok(
                    UserNotice::Memberships
                    | UserNotice::Presence(_)
                    | UserNotice::Settings
                    | UserNotice::Calls
                    | UserNotice::Requests
                    | UserNotice::States,
                )
                | Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let now = match read(&cx, id).await {
                Ok(now) => now,
                Err(error) => {
                    tracing::warn!(%error, user.id = %actor, "what a message is to a user is not told");
                    continue;
                }
            };
            if told.contains(&now) {
                continue;
            }
            told.retain(|before| before.message_id != id);
            told.truncate(REMEMBERED - 1);
            told.push_front(now);
            yield Arc::new(now);
        }
    })
}

async fn read(cx: &Cx, id: MessageId) -> Result<MessageState> {
    Ok(MessageState {
        message_id: id,
        is_starred: stars::of_actor(cx, &[id]).await?.contains(&id),
        is_hidden: hiding::of_actor(cx, &[id]).await?.contains(&id),
    })
}
