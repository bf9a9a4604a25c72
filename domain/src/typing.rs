//! Who is typing. A signal: never stored, and what is lost of it is wrong for a few seconds.

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ConversationId, UserId};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::{FollowingTyping, TypingNotice, Typist, UserNotice};
use crate::feed::Viewpoint;
use crate::rates::{self, Action};
use crate::{Cx, Result, blocks};

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);

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

/// Who types in a conversation, then who starts and who stops; in a blocked one, nobody. Ends when
/// the viewer is removed.
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
    let mut settings = bus.follow_user(viewer).await;
    // Once more now that nothing can be missed: no removal falls between the two.
    let membership = Membership::prove(cx, id).await?;
    let mut is_blocked = membership.conversation.is_blocked;
    let view = Viewpoint {
        cx: cx.clone(),
        viewer,
        id,
        hidden_upto: membership.member.visible_after,
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
                    // Whatever comes next of the events is taken before who types is looked at.
                    continue;
                }
                notice = settings.notices.recv() => match notice {
                    Ok(UserNotice::Settings) | Err(RecvError::Lagged(_)) => {
                        is_blocked = Box::pin(is_blocked_now(&view)).await;
                        typing.mark_changed();
                        continue;
                    }
                    Ok(
                        UserNotice::Memberships
                        | UserNotice::Presence(_)
                        | UserNotice::Calls
                        | UserNotice::Requests
                        | UserNotice::States
                        | UserNotice::Message(_),
                    ) => continue,
                    Err(RecvError::Closed) => return,
                },
                changed = typing.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            let mut now = typing.borrow_and_update().clone();
            if is_blocked {
                now.clear();
            }
            for typist in told.iter().filter(|typist| !typist.is_among(&now)) {
                yield Arc::clone(&typist.stops);
            }
            for typist in now.iter().filter(|typist| !typist.is_among(&told)) {
                yield Arc::clone(&typist.starts);
            }
            told = now;
        }
    })
}

/// Waits for the database while it fails.
async fn is_blocked_now(view: &Viewpoint) -> bool {
    loop {
        match blocks::closes(&view.cx, view.id).await {
            Ok(is_blocked) => return is_blocked,
            Err(error) => tracing::warn!(%error, "reading a conversation failed; trying again"),
        }
        tokio::time::sleep(RETRY).await;
    }
}
