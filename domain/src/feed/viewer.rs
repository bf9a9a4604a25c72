//! The stream of everything durable for a viewer, over all conversations.
//!
//! 1. Follow all conversations, before anything is read: what commits from here on comes live.
//! 2. Catch up ([`catch_up`]): find in one statement the conversations with anything that the
//!    cursor does not have, and read that, a few conversations at a time.
//! 3. Go live. An event the cursor has already is skipped; where one is missing, where the
//!    stream fell behind or the viewer joined something, go back to 2.
//! 4. So also when the cursor has come to name many conversations one by one: catching up finds
//!    nothing then, but a newer base for all of them.

mod catch_up;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use async_stream::stream;
use backchannel_entities::{ConversationId, UserId};
use futures_util::Stream;
use tokio::sync::broadcast::error::RecvError;

use crate::bus::ViewerNews;
use crate::event::{Event, EventKind};
use crate::{Cx, Error, Result};

use super::cursor::Cursor;

use self::catch_up::CatchUp;

/// Pause before the database is asked again after it failed.
const RETRY: Duration = Duration::from_millis(500);
/// Conversations that a cursor may name one by one before a newer base is looked for.
const NAMED: usize = 16;

/// An event, and what has been delivered with it.
#[derive(Clone, Debug)]
pub struct ViewerEvent {
    /// What happened.
    pub event: Arc<Event>,
    /// Everything up to and including it.
    pub cursor: Cursor,
}

/// The cursor that has everything there is, and nothing to come.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn cursor_now(cx: &Cx) -> Result<Cursor> {
    catch_up::now(cx, cx.signed_in()?.user.id).await
}

/// Every durable event of all conversations the viewer is in, or comes to be in, for as long
/// as the viewer is: those that `after` does not have, then those to come; without `after`,
/// only those to come. Those of one conversation come in order.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in; [`Error::BadInput`] for a cursor from
/// the future.
pub async fn viewer_events(
    cx: &Cx,
    after: Option<Cursor>,
) -> Result<impl Stream<Item = ViewerEvent> + Send + use<>> {
    let viewer = cx.signed_in()?.user.id;
    let mut following = cx.handles().bus.follow_viewer(viewer).await?;
    let now = catch_up::now(cx, viewer).await?;
    let cursor = match after {
        None => now,
        Some(after) if after.base <= now.base => after,
        Some(_) => return Err(Error::bad_input("after", "is not a cursor of this server")),
    };
    let mut view = View {
        cx: cx.clone(),
        viewer,
        cursor,
        absent: HashSet::new(),
        is_new: true,
        named: NAMED,
    };
    Ok(stream! {
        loop {
            // Boxed, as all that is rare: an idle stream is then a few words.
            let mut catch_up = Box::pin(view.catch_up()).await;
            while let Some(events) = Box::pin(catch_up.next(&mut view)).await {
                for event in events {
                    yield view.deliver(event);
                }
            }
            if catch_up.was_resumed() {
                continue;
            }
            drop(catch_up);
            while view.cursor.seqs.len() <= view.named {
                match following.news.recv().await {
                    Ok(ViewerNews::Event(event)) if view.cursor.has(&event) => {}
                    Ok(ViewerNews::Event(event)) if view.cursor.misses_one_before(&event) => break,
                    Ok(ViewerNews::Event(event)) if view.passes_over(&event) => {}
                    Ok(ViewerNews::Event(event)) => yield view.deliver(event),
                    Ok(ViewerNews::Joined | ViewerNews::Left) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    })
}

/// A stream's state.
struct View {
    cx: Cx,
    viewer: UserId,
    cursor: Cursor,
    /// Conversations that the viewer has left since, whose events may still come live.
    absent: HashSet<ConversationId>,
    /// Whether nothing has been read yet.
    is_new: bool,
    /// Conversations that the cursor may name before it is worth looking for a newer base.
    named: usize,
}

impl View {
    /// Reads what there is to catch up with; waits for the database while it fails.
    async fn catch_up(&self) -> CatchUp {
        loop {
            match CatchUp::read(&self.cx, self.viewer, &self.cursor).await {
                Ok(catch_up) => return catch_up,
                Err(error) => {
                    tracing::warn!(%error, user.id = %self.viewer, "catching up failed; trying again");
                }
            }
            tokio::time::sleep(RETRY).await;
        }
    }

    fn deliver(&mut self, event: Arc<Event>) -> ViewerEvent {
        self.note_membership(&event);
        self.cursor.add(&event);
        ViewerEvent {
            event,
            cursor: self.cursor.clone(),
        }
    }

    fn note_membership(&mut self, event: &Event) {
        let id = event.conversation_id;
        match event.kind {
            EventKind::MemberJoined(user_id) if user_id == self.viewer => {
                self.absent.remove(&id);
            }
            EventKind::MemberLeft(user_id) if user_id == self.viewer => {
                self.absent.insert(id);
            }
            EventKind::ConversationDeleted => {
                self.absent.insert(id);
            }
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
            | EventKind::PollChanged(_) => {}
        }
    }

    /// Whether a live event happened while the viewer was no member; it is passed over.
    fn passes_over(&mut self, event: &Event) -> bool {
        let returns = matches!(event.kind, EventKind::MemberJoined(id) if id == self.viewer);
        let absent = !returns && self.absent.contains(&event.conversation_id);
        if absent {
            self.cursor.add(event);
        }
        absent
    }
}
