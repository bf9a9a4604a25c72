//! What a node does by itself, some at a time, while it lives: it clears away what is over, and makes
//! up for what was not there before.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::error::Unauthenticated;
use crate::{Cx, Domain, Result};

/// How often a node looks for something to do.
const EVERY: Duration = Duration::from_secs(60);
/// How often it looks whether it is time to; tests move the clock.
const WAKE: Duration = Duration::from_millis(250);
/// Pause between two transactions, in which others get theirs.
const BREATH: Duration = Duration::from_millis(50);

/// Whether there is perhaps more to do.
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

/// Does some of it.
type DoSome = for<'c> fn(&'c Cx) -> BoxFuture<'c, Result<Found>>;

/// Does `what` until the node stops.
pub(crate) async fn keep_doing(domain: Domain, what: &'static str, do_some: DoSome) {
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
        match do_some(&cx).await {
            Ok(Found::Enough) => pause = BREATH,
            Ok(Found::TheLast) => due = now + EVERY,
            Err(error) => {
                due = now + EVERY;
                tracing::warn!(%error, what, "upkeep failed; trying again");
            }
        }
    }
}
