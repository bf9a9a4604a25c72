//! What ends a stream or socket from our side.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use backchannel_domain::bus::SessionWatch;
use backchannel_domain::{Cx, Timestamp};
use tokio_util::sync::CancellationToken;

use crate::shutdown;
use crate::state::State;

/// Everything that can end it.
pub(super) struct Ending {
    state: State,
    session: Option<SessionWatch>,
    /// When the access token expires, in milliseconds; a renewal moves it while somebody
    /// waits for the end.
    expires_at: AtomicI64,
    draining: CancellationToken,
}

/// What did end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// The session was ended, here or on another node.
    SessionEnded,
    /// The access token expired.
    TokenExpired,
    /// The node is about to stop.
    Draining,
}

impl Reason {
    /// What the client is told, if it must do something about it.
    pub(super) fn told(self) -> Option<&'static str> {
        match self {
            Self::SessionEnded => Some("the session has ended"),
            Self::TokenExpired => Some("the access token has expired"),
            Self::Draining => None,
        }
    }
}

impl Ending {
    pub(super) fn of(state: &State, cx: &Cx, session: Option<SessionWatch>) -> Self {
        Self {
            state: state.clone(),
            session,
            expires_at: AtomicI64::new(expiry(cx)),
            draining: state.draining(),
        }
    }

    /// Lets it live as long as the token that `cx` came with, or longer: an older token
    /// takes nothing away.
    pub(super) fn renew(&self, cx: &Cx) {
        self.expires_at.fetch_max(expiry(cx), Ordering::Relaxed);
    }

    /// When the token expires.
    pub(super) fn expires_at(&self) -> Timestamp {
        Timestamp(self.expires_at.load(Ordering::Relaxed))
    }

    /// Completes when it has come.
    pub(super) async fn ended(&self) -> Reason {
        let session = async {
            match &self.session {
                Some(session) => session.ended().await,
                None => std::future::pending().await,
            }
        };
        let drained = async {
            self.draining.cancelled().await;
            let farewell = shutdown::farewell(self.state.streams().len());
            // Boxed, because it is needed once in a node's life.
            Box::pin(tokio::time::sleep(farewell)).await;
        };
        tokio::select! {
            biased;
            () = session => Reason::SessionEnded,
            () = self.expired() => Reason::TokenExpired,
            () = drained => Reason::Draining,
        }
    }

    /// Sleeps until the expiry, and on if that has been moved meanwhile.
    async fn expired(&self) {
        loop {
            let now = self.state.domain().clock().now();
            let left = self.expires_at().0 - now.0;
            match u64::try_from(left) {
                Ok(left) if left > 0 => tokio::time::sleep(Duration::from_millis(left)).await,
                Ok(_) | Err(_) => return,
            }
        }
    }
}

/// When the actor's token expires; never, where nobody is signed in.
fn expiry(cx: &Cx) -> i64 {
    let signed_in = cx.signed_in();
    signed_in.map_or(i64::MAX, |signed_in| signed_in.expires_at.0)
}
