//! Time, ids and randomness: the only place that asks the machine for them.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use backchannel_entities::Timestamp;
use uuid::Uuid;

/// The wall clock, which tests may move forward.
#[derive(Clone, Debug, Default)]
pub struct Clock {
    ahead_ms: Arc<AtomicI64>,
}

impl Clock {
    /// The present instant.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock"
    )]
    pub fn now(&self) -> Timestamp {
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        Timestamp(chrono::Utc::now().timestamp_millis() + ahead)
    }

    /// Time since some moment of this process: what is to happen after a while is measured by
    /// it, because the wall clock may be set.
    #[must_use]
    pub(crate) fn uptime(&self) -> Duration {
        static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
        let ahead = self.ahead_ms.load(Ordering::Relaxed);
        BEGINNING.elapsed() + Duration::from_millis(u64::try_from(ahead).unwrap_or(0))
    }

    /// Moves this clock, and every clone of it, into the future. For tests: expiry is
    /// reached without waiting for it.
    pub fn advance(&self, by: Duration) {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        self.ahead_ms.fetch_add(ms, Ordering::Relaxed);
    }
}

/// A new key: UUIDv7 (RFC 9562).
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub(crate) fn new_id() -> Uuid {
    Uuid::now_v7()
}

/// A part of `whole`, each as likely as any other: many who act on one signal spread over it.
#[must_use]
pub fn random_part(whole: Duration) -> Duration {
    let random = u32::from_le_bytes(random_bytes());
    whole.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

/// `N` bytes from the operating system's secure source.
///
/// # Panics
/// When the operating system has no randomness to give: nothing secure could follow.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}
