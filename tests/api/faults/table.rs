//! What was measured, beside what was promised.

use std::fmt::Display;
use std::time::Duration;

use crate::footprint::{KEPT, MEGABYTE, Weight};
use crate::front_door::storm::Storm;
use crate::receipts::stream::Burst;

/// What a node with all of its sockets may weigh, in MB.
const NODE: f64 = 250.0;

/// One row a figure.
#[derive(Default)]
pub(super) struct Table(Vec<Row>);

struct Row {
    what: String,
    measured: String,
    promise: Option<Promise>,
}

struct Promise {
    text: String,
    kept: bool,
    of: Of,
}

/// What a promise is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    /// What arrives: it holds on any machine, whatever else that does.
    Delivery,
    /// Time or space.
    Cost,
}

/// Durations, sorted.
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn of(times: impl Iterator<Item = Duration>) -> Self {
        let mut times: Vec<_> = times.collect();
        times.sort();
        Self(times)
    }

    fn quantile(&self, q: f64) -> Duration {
        let index = (self.0.len() as f64 * q) as usize;
        let index = index.min(self.0.len().saturating_sub(1));
        self.0.get(index).copied().unwrap_or_default()
    }
}

impl Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [p50, p99, max] = [0.5, 0.99, 1.0].map(|q| self.quantile(q).as_secs_f64() * 1_000.0);
        write!(f, "{p50:.0} / {p99:.0} / {max:.0} ms")
    }
}

impl Table {
    /// Whether every promise was kept.
    fn all_kept(&self) -> bool {
        self.promises().all(|promise| promise.kept)
    }

    /// Prints what there is by now and begins anew. Answers whether every promise was kept.
    #[expect(clippy::print_stdout, reason = "the table is what this is run for")]
    pub(super) fn tell(&mut self) -> bool {
        println!("{self}");
        std::mem::take(self).all_kept()
    }

    /// Whether nothing was lost, repeated or out of order.
    pub(super) fn all_delivered(&self) -> bool {
        let mut of_delivery = self.promises().filter(|promise| promise.of == Of::Delivery);
        of_delivery.all(|promise| promise.kept)
    }

    fn promises(&self) -> impl Iterator<Item = &Promise> {
        self.0.iter().filter_map(|row| row.promise.as_ref())
    }

    /// What the rows below are about.
    pub(super) fn head(&mut self, what: impl Into<String>) {
        self.row(what, "", None);
    }

    /// A figure of which nothing was promised.
    pub(super) fn fact(&mut self, what: &str, measured: impl Display) {
        self.row(what, measured, None);
    }

    /// Something that must not be.
    pub(super) fn none(&mut self, what: &str, count: usize) {
        let (text, kept, of) = ("0".into(), count == 0, Of::Delivery);
        self.row(what, count, Some(Promise { text, kept, of }));
    }

    /// A figure that must not be smaller.
    pub(super) fn least(&mut self, what: &str, figure: f64, least: f64) {
        let (text, kept, of) = (format!("at least {least:.0}"), figure >= least, Of::Cost);
        self.row(
            what,
            format!("{figure:.1}"),
            Some(Promise { text, kept, of }),
        );
    }

    /// A figure that must be smaller.
    fn most(&mut self, what: &str, figure: f64, bound: f64) {
        let (text, kept, of) = (format!("< {bound:.0}"), figure < bound, Of::Cost);
        self.row(
            what,
            format!("{figure:.1}"),
            Some(Promise { text, kept, of }),
        );
    }

    /// Times.
    pub(super) fn times(&mut self, what: &str, times: &Times) {
        self.row(format!("{what} (p50 / p99 / max)"), times, None);
    }

    /// Times of which one quantile is bounded.
    pub(super) fn bounded(&mut self, what: &str, times: &Times, (q, bound): (f64, Duration)) {
        let text = match q {
            1.0 => format!("max < {bound:?}"),
            q => format!("p{:.0} < {bound:?}", q * 100.0),
        };
        let (kept, of) = (!times.0.is_empty() && times.quantile(q) < bound, Of::Cost);
        let promise = Some(Promise { text, kept, of });
        self.row(format!("{what} (p50 / p99 / max)"), times, promise);
    }

    /// What idle sockets weigh.
    pub(super) fn sockets(&mut self, weight: &Weight) {
        let Weight { sockets, rooms, .. } = weight;
        self.head(format!(
            "{sockets} idle subscribed sockets; conversations: {rooms}"
        ));
        let megabytes = |bytes: u64| bytes as f64 / MEGABYTE as f64;
        let [idle, before, open, after] =
            [weight.idle, weight.before, weight.open, weight.after].map(megabytes);
        self.fact("node, just started (MB)", format!("{idle:.1}"));
        self.fact("before they open (MB)", format!("{before:.1}"));
        self.most("while they are open (MB)", open, NODE);
        let each = (weight.open - weight.before) as f64 / 1_024.0 / *sockets as f64;
        self.fact("each (kB)", format!("{each:.1}"));
        let kept = megabytes(weight.before + KEPT);
        self.most("after they closed (MB)", after, kept);
    }

    /// Clients that come back at once.
    pub(super) fn storm(&mut self, storm: Storm) {
        let Storm { clients, took, .. } = storm;
        self.head(format!(
            "{clients} clients come back at once, each has missed a few events"
        ));
        self.fact("all are back (s)", format!("{:.1}", took.as_secs_f64()));
        let times = |times: Vec<Duration>| Times::of(times.into_iter());
        self.times("each on its way", &times(storm.each));
        self.times("a bystander's send, before", &times(storm.calm));
        // Without turns it would wait for a third of the crowd or more.
        self.bounded(
            "a bystander's send, meanwhile",
            &times(storm.meanwhile),
            (0.99, took / 5),
        );
    }

    /// Readers of one message.
    pub(super) fn burst(&mut self, burst: &Burst) {
        let Burst {
            readers,
            took,
            events,
        } = burst;
        self.head(format!(
            "{readers} members read one message, in {:.1} s",
            took.as_secs_f64()
        ));
        self.most(
            "events that a member hears of it",
            *events as f64,
            burst.most() as f64 + 1.0,
        );
    }

    fn row(&mut self, what: impl Into<String>, measured: impl Display, promise: Option<Promise>) {
        let (what, measured) = (what.into(), measured.to_string());
        self.0.push(Row {
            what,
            measured,
            promise,
        });
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Row {
            what,
            measured,
            promise,
        } in &self.0
        {
            match promise {
                None if measured.is_empty() => writeln!(f, "\n{what}")?,
                None => writeln!(f, "  {what:<62}{measured:>24}")?,
                Some(Promise { text, kept, .. }) => {
                    let verdict = if *kept { "kept" } else { "BROKEN" };
                    writeln!(f, "  {what:<62}{measured:>24}  {text:<14}{verdict}")?;
                }
            }
        }
        Ok(())
    }
}
