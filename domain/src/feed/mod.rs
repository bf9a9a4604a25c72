//! The ordered streams of what is durable: replay, then live, each event once, none left out.
//! Here, that of one conversation; in [`viewer`], that of all a user's.
//!
//! 1. Prove membership; refuse a position that does not exist.
//! 2. Follow the hub, before anything is read: what commits from here on comes live.
//! 3. Replay from the database up to where the hub was.
//! 4. Go live. What was replayed already is skipped; where one is missing, or the stream
//!    fell behind, go back to 3.
//! 5. End after the viewer's own removal.

mod cursor;
mod reader;
mod viewer;

use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ConversationId, UserId};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use crate::access::Membership;
use crate::admission::Admission;
use crate::bus::Following;
use crate::event::{Event, EventKind};
use crate::{Cx, Error, Result};

pub(crate) use self::reader::{Range, Reader};

pub use self::cursor::Cursor;
pub use self::viewer::{ViewerEvent, cursor_now, viewer_events};

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);

/// Every durable event of a conversation with a seq greater than `after`, in order, then
/// those to come; without `after`, only those to come. Ends when the viewer is removed.
/// What is not open on this node yet is opened in a turn of `admission`.
///
/// # Errors
/// [`Error::NotFound`] to anyone but members; [`Error::BadInput`] for a position that is
/// negative or not reached yet.
pub async fn conversation_events(
    cx: &Cx,
    id: ConversationId,
    after: Option<i64>,
    admission: &Admission,
) -> Result<impl Stream<Item = Arc<Event>> + Send + use<>> {
    let viewer = cx.signed_in()?.user.id;
    let bus = &cx.handles().bus;
    let following = if bus.is_followed(id) {
        bus.follow(id).await?
    } else {
        // Nothing is opened for a stranger.
        Membership::prove_with_others(cx, id).await?;
        admission.in_turn(bus.follow(id)).await?
    };
    // Now that nothing can be missed: a removal before this would otherwise lie in front of
    // what is streamed, and end nothing.
    let membership = Membership::prove_with_others(cx, id).await?;
    let last_seq = membership.conversation.last_seq;
    let after = match after {
        None => last_seq,
        Some(after) if (0..=last_seq).contains(&after) => after,
        Some(_) => {
            let message = format!("must be 0 to {last_seq}, the conversation's `lastSeq`");
            return Err(Error::bad_input("after", message));
        }
    };
    // For whoever sees nothing of what was before them, that is where the beginning is.
    let hidden_upto = membership.member.visible_after;
    let after = after.max(hidden_upto);
    Ok(follow(
        Viewpoint {
            cx: cx.clone(),
            viewer,
            id,
            hidden_upto,
        },
        following,
        after,
    ))
}

/// Somebody who follows a conversation while a member of it.
pub(crate) struct Viewpoint {
    pub(crate) cx: Cx,
    pub(crate) viewer: UserId,
    pub(crate) id: ConversationId,
    /// Everything up to this seq is hidden from the viewer.
    pub(crate) hidden_upto: i64,
}

fn follow(
    view: Viewpoint,
    mut following: Following,
    mut seen: i64,
) -> impl Stream<Item = Arc<Event>> + Send {
    stream! {
        let mut head = following.head;
        if seen < head {
            // Boxed, as all that is rare below: an idle stream is then a few words.
            Box::pin(view.cx.handles().bus.reader().round()).await;
        }
        loop {
            while seen < head {
                for event in Box::pin(view.read_after(seen)).await {
                    if event.seq != seen + 1 {
                        tracing::error!(conversation.id = %view.id, seq = seen + 1, "an event is missing from the database");
                    }
                    seen = event.seq;
                    let last = view.ends_with(&event).await;
                    yield event.seen_behind(view.hidden_upto);
                    if last {
                        return;
                    }
                }
            }
            match following.live.recv().await {
                Ok(event) if event.seq <= seen => {}
                Ok(event) if event.seq == seen + 1 => {
                    seen = event.seq;
                    let last = view.ends_with(&event).await;
                    yield event.seen_behind(view.hidden_upto);
                    if last {
                        return;
                    }
                }
                // A hole: the database has what lies between, and this one too.
                Ok(event) => head = event.seq,
                Err(RecvError::Lagged(_)) => head = following.current_head(),
                Err(RecvError::Closed) => return,
            }
        }
    }
}

impl Viewpoint {
    /// The next events of the database; waits for it while it fails.
    async fn read_after(&self, seen: i64) -> Vec<Arc<Event>> {
        loop {
            match self
                .cx
                .handles()
                .bus
                .reader()
                .read(Range::after(self.id, seen))
                .await
            {
                Ok(events) if !events.is_empty() => return events,
                Ok(_) => {
                    tracing::error!(conversation.id = %self.id, seq = seen, "an announced event cannot be read")
                }
                Err(error) => {
                    tracing::warn!(%error, conversation.id = %self.id, "replay failed; trying again")
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Whether the viewer is no member any more, after what came next of the conversation's
    /// live events. For streams of other things, which end with the membership all the same.
    pub(crate) async fn is_over_after(&self, next: Result<Arc<Event>, RecvError>) -> bool {
        match next {
            Ok(event) => self.ends_with(&event).await,
            Err(RecvError::Lagged(_)) => Box::pin(self.has_left_since(0)).await,
            Err(RecvError::Closed) => true,
        }
    }

    /// Whether `event` ends the viewer's membership.
    async fn ends_with(&self, event: &Event) -> bool {
        match event.kind {
            EventKind::MemberLeft(user_id) if user_id == self.viewer => {
                Box::pin(self.has_left_since(event.seq)).await
            }
            EventKind::ConversationDeleted => true,
            EventKind::MemberLeft(_)
            | EventKind::MemberJoined(_)
            | EventKind::MemberRoleChanged(_)
            | EventKind::MessageSent(_)
            | EventKind::MessageEdited(_)
            | EventKind::MessageDeleted(_)
            | EventKind::CallEnded(_)
            | EventKind::ConversationUpdated(_)
            | EventKind::MessageReactionsChanged(_)
            | EventKind::MessagePinned(_)
            | EventKind::MessageUnpinned(_)
            | EventKind::PollChanged(_) => false,
        }
    }

    /// Whether the viewer left at `seq` and has not come back: one who has reads on past the
    /// old removal, unless what was between is hidden from them.
    async fn has_left_since(&self, seq: i64) -> bool {
        loop {
            match Membership::prove(&self.cx, self.id).await {
                Ok(Membership { member, .. }) => {
                    return member.joined_seq < seq || member.visible_after > self.hidden_upto;
                }
                Err(Error::NotFound(_)) => return true,
                Err(error) => tracing::warn!(%error, "checking a membership failed; trying again"),
            }
            tokio::time::sleep(RETRY).await;
        }
    }
}
