//! What this node's marks have moved, on its way to other nodes: in bundles.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backchannel_entities::{ConversationId, UserId};

use crate::bus::redis::Redis;
use crate::bus::topic::{ConversationNotice, Topic};

use super::{Advance, KEPT};

/// How long marks are collected that come right after others.
const PAUSE: Duration = Duration::from_millis(75);
/// Members in one notice.
const BUNDLE: usize = 200;

/// Collects marks: many of one conversation become one notice.
#[derive(Default)]
pub(in crate::bus) struct Outbox {
    waiting: Mutex<Waiting>,
    /// Whether anything could not be told since it was last asked.
    dropped: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    advances: HashMap<(ConversationId, UserId), Advance>,
    /// Whether a task sends them.
    sending: bool,
}

impl Outbox {
    /// Takes what a mark has moved, and tells it: at once, unless others went just before.
    pub(in crate::bus) fn put(
        self: &Arc<Self>,
        redis: &Redis,
        advances: Vec<(ConversationId, Advance)>,
    ) {
        if advances.is_empty() {
            return;
        }
        let mut waiting = self.waiting.lock().expect("no holder panics");
        for (id, advance) in advances {
            if waiting.advances.len() >= KEPT {
                self.dropped.store(true, Ordering::Relaxed);
                break;
            }
            let known = waiting
                .advances
                .entry((id, advance.user_id))
                .or_insert(advance);
            *known = known.united(&advance);
        }
        if !waiting.sending {
            waiting.sending = true;
            tokio::spawn(Arc::clone(self).send(redis.clone()));
        }
    }

    /// Whether anything could not be told since this was last asked.
    pub(in crate::bus) fn has_dropped(&self) -> bool {
        self.dropped.swap(false, Ordering::Relaxed)
    }

    async fn send(self: Arc<Self>, redis: Redis) {
        while let Some(advances) = self.take_all() {
            for (id, advances) in advances {
                for bundle in advances.chunks(BUNDLE) {
                    let notice = ConversationNotice::Receipts(bundle.to_vec());
                    if !redis.tell(Topic::Conversation(id), &notice) {
                        self.dropped.store(true, Ordering::Relaxed);
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn take_all(&self) -> Option<HashMap<ConversationId, Vec<Advance>>> {
        let mut waiting = self.waiting.lock().expect("no holder panics");
        if waiting.advances.is_empty() {
            waiting.sending = false;
            return None;
        }
        let mut by_conversation: HashMap<_, Vec<_>> = HashMap::new();
        for ((id, _), advance) in waiting.advances.drain() {
            by_conversation.entry(id).or_default().push(advance);
        }
        Some(by_conversation)
    }
}
