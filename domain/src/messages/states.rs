//! What messages become to a user alone, on whichever device: with a star, or [hidden](super::hiding).

use std::sync::Arc;

use async_stream::stream;
use backchannel_entities::MessageId;
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use crate::bus::{MessageNotice, UserNotice};
use crate::{Cx, Result};

/// What the actor has made of a message.
#[derive(Clone, Copy, Debug)]
pub struct StateChange {
    /// Of which.
    pub message_id: MessageId,
    /// Whether it has a star now; none where it was hidden.
    pub is_starred: Option<bool>,
    /// Whether it was hidden.
    pub is_hidden: bool,
}

impl StateChange {
    fn of(message_id: MessageId, notice: MessageNotice) -> Self {
        let (is_starred, is_hidden) = match notice {
            MessageNotice::Starred => (Some(true), false),
            MessageNotice::Unstarred => (Some(false), false),
            MessageNotice::Hidden => (None, true),
        };
        Self {
            message_id,
            is_starred,
            is_hidden,
        }
    }
}

/// What the actor makes of messages from now on. One change may be lost with the way between nodes: what
/// counts is what is read.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn changes(cx: &Cx) -> Result<impl Stream<Item = Arc<StateChange>> + Send + use<>> {
    let actor = cx.signed_in()?.user.id;
    let mut following = cx.handles().bus.follow_user(actor).await;
    Ok(stream! {
        loop {
            match following.notices.recv().await {
                Ok(UserNotice::Message(message_id, notice)) => {
                    yield Arc::new(StateChange::of(message_id, notice));
                }
                Ok(
                    UserNotice::Memberships
                    | UserNotice::Presence(_)
                    | UserNotice::Settings
                    | UserNotice::Calls
                    | UserNotice::Requests
                    | UserNotice::States,
                )
                | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    })
}
