//! When to stop, and how long that may take.

use std::time::Duration;

/// The longest a draining node waits for requests and sockets to finish.
pub const DRAIN: Duration = Duration::from_secs(10);

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
