//! What tests stand on: private servers, nodes in this process, and people.

pub(crate) mod address;
pub(crate) mod app;
pub(crate) mod caller;
pub(crate) mod clients;
pub(crate) mod connection;
pub(crate) mod mailbox;
pub(crate) mod people;
pub(crate) mod process;
pub(crate) mod servers;

pub(crate) use app::{App, on_both};
pub(crate) use people::{Person, Room};

/// The longest a test waits for anything that must happen.
pub(crate) const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

/// Waits until `condition` holds, looking again and again; fails with `what` when it does
/// not come true in time.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut condition: impl FnMut() -> F) {
    let looking = async {
        while !condition().await {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    assert!(
        tokio::time::timeout(PATIENCE, looking).await.is_ok(),
        "never came true: {what}"
    );
}
