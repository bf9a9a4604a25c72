//! A socket that is read only when something may have come.
//!
//! To look is no call of the kernel, but leads through half a dozen layers, whose memory has left
//! the caches since this socket was last looked at. A thousand sockets are looked at for each event
//! that they all get, and that was a good part of what it cost.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt as _;
use futures_util::task::AtomicWaker;

/// A WebSocket, and whether it is worth looking at.
pub(super) struct Socket<'a> {
    pub(super) inner: &'a mut WebSocket,
    news: Arc<News>,
    waker: Waker,
}

/// Set by whatever wakes those who read.
struct News {
    may_have_come: AtomicBool,
    reader: AtomicWaker,
}

impl Wake for News {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.may_have_come.store(true, Ordering::Release);
        self.reader.wake();
    }
}

impl<'a> Socket<'a> {
    pub(super) fn new(inner: &'a mut WebSocket) -> Self {
        let news = Arc::new(News {
            may_have_come: AtomicBool::new(true),
            reader: AtomicWaker::new(),
        });
        Self {
            inner,
            waker: Waker::from(Arc::clone(&news)),
            news,
        }
    }

    /// Completes when something may have come.
    pub(super) async fn may_have_come(&mut self) {
        poll_fn(|context| {
            self.news.reader.register(context.waker());
            if self.news.may_have_come.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// The next frame.
    pub(super) async fn recv(&mut self) -> Option<Result<Message, axum::Error>> {
        poll_fn(|context| {
            self.news.reader.register(context.waker());
            if !self.news.may_have_come.swap(false, Ordering::AcqRel) {
                return Poll::Pending;
            }
            let polled = self
                .inner
                .poll_next_unpin(&mut Context::from_waker(&self.waker));
            if polled.is_ready() {
                // Perhaps it was not all.
                self.news.may_have_come.store(true, Ordering::Release);
            }
            polled
        })
        .await
    }
}
