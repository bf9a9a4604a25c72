//! How many clients that come back are served at once.
//!
//! After a restart thousands of them come within seconds, and each asks the database who it
//! is and where its streams begin. Without a bound, everybody else's statements would queue
//! behind theirs.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::{Error, Result};

/// The longest a client waits for its turn. At a thousand turns a second that is a queue
/// beyond what a node holds connections for; more means that the database does not keep up.
const WAIT: Duration = Duration::from_secs(30);
/// What those are told who waited in vain.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The way in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Admission(Arc<Semaphore>);

impl Admission {
    /// A way in for `width` clients at once.
    #[must_use]
    pub fn new(width: usize) -> Self {
        Self(Arc::new(Semaphore::new(width)))
    }

    /// Does `work` when its turn has come: first come, first served.
    ///
    /// # Errors
    /// [`Error::RateLimited`] when the turn does not come in time; or what `work` says.
    pub async fn in_turn<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let turn = timeout(WAIT, self.0.acquire()).await;
        let retry_after = RETRY_AFTER;
        let _turn = turn.map_err(|_| Error::RateLimited { retry_after })?;
        work.await
    }
}
