//! How fast a socket is read.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// The time one message takes up: a hundred a second.
const EACH: Duration = Duration::from_millis(10);
/// How many may come at once: a client that comes back subscribes to all it had.
const BURST: u32 = 200;

/// A socket's pace (the generic cell rate algorithm: one instant is all it keeps). Who sends
/// faster is not cut off but read more slowly, and TCP makes the sender wait.
pub(super) struct Pace(Option<Instant>);

impl Pace {
    /// Without `limited` everything is read as it comes.
    pub(super) fn new(limited: bool) -> Self {
        Self(limited.then(Instant::now))
    }

    /// Counts a message that has been read.
    pub(super) fn count(&mut self) {
        if let Some(paid_until) = &mut self.0 {
            *paid_until = Instant::now().max(*paid_until) + EACH;
        }
    }

    /// When the next message may be read, if that is still to come.
    pub(super) fn resumes(&self) -> Option<Instant> {
        let now = Instant::now();
        let at = self.0?.checked_sub(EACH * BURST)?;
        (at > now).then_some(at)
    }

    /// Waits until the next message may be read.
    pub(super) async fn keep(&self) {
        if let Some(at) = self.resumes() {
            // Boxed, because most sockets never come to it.
            Box::pin(sleep_until(at)).await;
        }
    }
}
