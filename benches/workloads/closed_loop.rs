//! Clients that ask again as soon as they have their answer.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use tokio::time::sleep;

use crate::Result;
use crate::marker::now;
use crate::node::Node;
use crate::processes::{Meter, Used};
use crate::table::{Latencies, Outcome};

/// How long everything runs before it is measured.
const WARM_UP: Duration = Duration::from_secs(2);

/// What is measured, and until when clients go on.
#[derive(Default)]
pub(crate) struct Window {
    is_measured: Cell<bool>,
    is_over: Cell<bool>,
    latencies: RefCell<Latencies>,
}

impl Window {
    /// Opens after the warm-up, and is over after `length`.
    pub(crate) async fn pass(&self, node: &Node, length: Duration) -> Result<Load> {
        sleep(WARM_UP).await;
        let meter = Meter::start(node);
        self.is_measured.set(true);
        sleep(length).await;
        self.is_measured.set(false);
        let used = meter.stop();
        self.is_over.set(true);
        Ok(Load {
            latencies: self.latencies.take(),
            used,
        })
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_over.get()
    }

    /// Notes how long something took, if that is measured just now.
    pub(crate) fn record(&self, microseconds: u64) {
        if self.is_measured.get() {
            self.latencies.borrow_mut().record(microseconds);
        }
    }
}

/// What came of it.
pub(crate) struct Load {
    latencies: Latencies,
    used: Used,
}

impl Load {
    /// What the table says of it, where each that was measured is one of `unit`.
    pub(crate) fn outcome(&self, what: &'static str, unit: &'static str) -> Outcome {
        Outcome::of(what, unit)
            .rate(self.latencies.count(), self.used)
            .latencies(&self.latencies)
            .usage(self.latencies.count(), self.used)
    }
}

/// Has each client make step after step, until the end of the window.
pub(crate) async fn run<C>(node: &Node, clients: Vec<C>, length: Duration) -> Result<Load>
where
    C: AsyncFnMut() -> Result<()>,
{
    let window = Window::default();
    let running = clients.into_iter().map(async |mut client| {
        while !window.is_over() {
            let began = now();
            client().await?;
            window.record(now() - began);
        }
        Ok(())
    });
    let (load, _) = try_join(window.pass(node, length), try_join_all(running)).await?;
    Ok(load)
}
