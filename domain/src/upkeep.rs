//! What a node clears away by itself, some at a time, while it lives.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::Unauthenticated;
use crate::{Cx, Domain, Result};

/// How often a node looks for what is over.
const EVERY: Duration = Duration::from_secs(60);
/// How often it looks whether it is time to; tests move the clock.
const WAKE: Duration = Duration::from_millis(250);
/// Pause between two transactions, in which others get theirs.
const BREATH: Duration = Duration::from_millis(50);

/// Whether there is perhaps more to clear away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// As much as one transaction takes.
    Enough,
    /// Less.
    TheLast,
}

impl Found {
    /// What it means that `count` were found where `most` were looked for.
    pub(crate) fn of(count: usize, most: u64) -> Self {
        if (count as u64) < most {
            Self::TheLast
        } else {
            Self::Enough
        }
    }
}

/// Clears away some of what is over.
type ClearSome = for<'c> fn(&'c Cx) -> BoxFuture<'c, Result<Found>>;

/// Clears `what` away until the node stops.
pub(crate) async fn keep_clearing(domain: Domain, what: &'static str, clear_some: ClearSome) {
    // Nobody acts: the node itself does.
    let cx = domain.anonymous(Unauthenticated::NoToken);
    let handles = cx.handles();
    let mut due = Duration::ZERO;
    let mut pause = WAKE;
    loop {
        tokio::select! {
            () = handles.bus.stopping().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = WAKE;
        let now = handles.clock.uptime();
        if now < due {
            continue;
        }
        match clear_some(&cx).await {
            Ok(Found::Enough) => pause = BREATH,
            Ok(Found::TheLast) => due = now + EVERY,
            Err(error) => {
                due = now + EVERY;
                tracing::warn!(%error, what, "clearing away failed; trying again");
            }
        }
    }
}
