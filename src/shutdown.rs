//! When to stop, and how long that may take.

use std::time::Duration;

use backchannel_domain::clock::random_part;

/// The longest a draining node waits for requests and sockets to finish.
pub const DRAIN: Duration = Duration::from_secs(10);
/// Over how long a draining node lets its streams go, at most, and how much of that each open
/// one asks for. Clients come back at once when they are let go, to nodes that are busy.
const SPREAD: Duration = Duration::from_secs(4);
const SPREAD_EACH: Duration = Duration::from_millis(1);

/// How long one of `open` streams goes on when the node drains: few hardly at all.
pub(crate) fn farewell(open: usize) -> Duration {
    let open = u32::try_from(open).unwrap_or(u32::MAX);
    random_part(SPREAD.min(SPREAD_EACH.saturating_mul(open)))
}

/// Completes on SIGTERM or SIGINT.
///
/// # Panics
/// When the process cannot listen for signals, right at its start.
pub async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("signals can be listened for");
    let mut interrupt = signal(SignalKind::interrupt()).expect("signals can be listened for");
    tokio::select! {
        _ = terminate.recv() => tracing::info!("SIGTERM; draining"),
        _ = interrupt.recv() => tracing::info!("SIGINT; draining"),
    }
}
