//! Who is typing. A signal: never stored, and what is lost of it is wrong for a few seconds.

use std::sync::Arc;

use async_stream::stream;
use backchannel_entities::{ConversationId, UserId};
use futures_util::Stream;

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::{FollowingTyping, TypingNotice, Typist};
use crate::feed::Viewpoint;
use crate::rates::{self, Action};
use crate::{Cx, Result};

/// Whether a member is typing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Typing {
    /// Is, and will say so again every few seconds.
    Active,
    /// Is no longer.
    Ended,
}

/// Somebody starts or stops.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// Where.
    pub conversation_id: ConversationId,
    /// Who.
    pub user_id: UserId,
    /// Which of the two.
    pub state: Typing,
}

/// Says whether the actor is typing. Others are told at once, and not again too often.
///
/// # Errors
/// [`crate::Error::NotFound`] when the conversation does not exist for the actor;
/// [`crate::Error::Forbidden`] to one who may not send there; [`crate::Error::RateLimited`] when the
/// device has said too much.
pub async fn set(cx: &Cx, id: ConversationId, typing: Typing) -> Result<()> {
    cx.may(Scope::Messages)?;
    rates::count(cx, Action::Signal)?;
    let membership = Membership::prove(cx, id).await?;
    membership.may_send()?;
    let notice = TypingNotice {
        user_id: membership.member.user_id,
        typing: typing == Typing::Active,
        last_seq: membership.conversation.last_seq,
    };
    cx.handles().bus.tell_typing(id, notice);
    Ok(())
}

/// Who types in a conversation, then who starts and who stops. Ends when the viewer is
/// removed.
///
/// # Errors
/// [`crate::Error::NotFound`] to anyone but members.
pub async fn changes(
    cx: &Cx,
    id: ConversationId,
) -> Result<impl Stream<Item = Arc<Change>> + Send + use<>> {
    let viewer = cx.signed_in()?.user.id;
    Membership::prove(cx, id).await?;
    let bus = &cx.handles().bus;
    let mut following = bus.follow_typing(id).await?;
    // Once more now that nothing can be missed: no removal falls between the two.
    Membership::prove(cx, id).await?;
    let view = Viewpoint {
        cx: cx.clone(),
        viewer,
        id,
    };
    let mut told: Vec<Arc<Typist>> = Vec::new();
    let open = bus.signal_stream();
    Ok(stream! {
        let _open = open;
        // Of the whole: what is not named here is held as well.
        let FollowingTyping { now: typing, events, .. } = &mut following;
        loop {
            tokio::select! {
                biased;
                next = events.live.recv() => {
                    if view.is_over_after(next).await {
                        return;
                    }
                }
                changed = typing.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    let now = typing.borrow_and_update().clone();
                    for typist in told.iter().filter(|typist| !typist.is_among(&now)) {
                        yield Arc::clone(&typist.stops);
                    }
                    for typist in now.iter().filter(|typist| !typist.is_among(&told)) {
                        yield Arc::clone(&typist.starts);
                    }
                    told = now;
                }
            }
        }
    })
}
