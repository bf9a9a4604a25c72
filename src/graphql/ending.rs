//! What ends a stream or socket from our side.

use std::time::Duration;

use backchannel_domain::Cx;
use backchannel_domain::bus::SessionWatch;
use tokio_util::sync::CancellationToken;

use crate::shutdown;
use crate::state::State;

/// Everything that can end it.
pub(super) struct Ending {
    state: State,
    session: Option<SessionWatch>,
    time_left: Option<Duration>,
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
            time_left: cx.time_left(),
            draining: state.draining(),
        }
    }

    /// Completes when it has come. To be called once, at the beginning: the token's time
    /// runs from then.
    pub(super) async fn ended(&self) -> Reason {
        let session = async {
            match &self.session {
                Some(session) => session.ended().await,
                None => std::future::pending().await,
            }
        };
        let expiry = async {
            match self.time_left {
                Some(left) => tokio::time::sleep(left).await,
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
            () = expiry => Reason::TokenExpired,
            () = drained => Reason::Draining,
        }
    }
}
