//! What was measured, for people to read.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::arguments::{Arguments, Database};
use crate::processes::{Usage, Used};

/// How long things took, in microseconds.
pub(crate) struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let longest = Duration::from_mins(2).as_micros() as u64;
        Self(Histogram::new_with_bounds(1, longest, 3).expect("the bounds make sense"))
    }
}

impl Latencies {
    pub(crate) fn record(&mut self, microseconds: u64) {
        self.0.saturating_record(microseconds);
    }

    pub(crate) fn count(&self) -> u64 {
        self.0.len()
    }

    fn milliseconds(&self, quantile: f64) -> Option<f64> {
        (!self.0.is_empty()).then(|| self.0.value_at_quantile(quantile) as f64 / 1_000.0)
    }
}

/// What one run of a workload came to.
#[derive(Clone)]
pub(crate) struct Outcome {
    what: &'static str,
    unit: &'static str,
    /// Units a second; p50 and p99 in ms; µs a unit of server, Postgres, Redis and generator.
    figures: [Option<f64>; FIGURES.len()],
    facts: Vec<(&'static str, f64)>,
}

/// The columns: a heading, and how wide it is.
const FIGURES: [(&str, usize); 7] = [
    ("a second", 10),
    ("p50 ms", 9),
    ("p99 ms", 9),
    ("server", 9),
    ("postgres", 9),
    ("redis", 9),
    ("generator", 10),
];

impl Outcome {
    pub(crate) fn of(what: &'static str, unit: &'static str) -> Self {
        Self {
            what,
            unit,
            figures: [None; FIGURES.len()],
            facts: Vec::new(),
        }
    }

    /// How many units there were in a time.
    pub(crate) fn rate(mut self, units: u64, used: Used) -> Self {
        self.figures[0] = Some(units as f64 / used.took.as_secs_f64());
        self
    }

    pub(crate) fn latencies(mut self, latencies: &Latencies) -> Self {
        self.figures[1] = latencies.milliseconds(0.5);
        self.figures[2] = latencies.milliseconds(0.99);
        self
    }

    /// The processor time of so many units.
    pub(crate) fn usage(mut self, units: u64, used: Used) -> Self {
        let each = |seconds: f64| Some(seconds * 1_000_000.0 / units as f64);
        if let Some(Usage {
            server,
            postgres,
            redis,
            generator,
        }) = used.usage
        {
            for (n, seconds) in [server, postgres, redis, generator].into_iter().enumerate() {
                self.figures[3 + n] = each(seconds);
            }
        }
        self
    }

    /// The same where Postgres and Redis had no part in it.
    pub(crate) fn without_servers(mut self) -> Self {
        self.figures[4..6].fill(None);
        self
    }

    /// Something else; where it cannot be known, nothing.
    pub(crate) fn fact(mut self, what: &'static str, figure: Option<f64>) -> Self {
        self.facts.extend(figure.map(|figure| (what, figure)));
        self
    }

    fn facts(&self) -> String {
        let facts = self.facts.iter();
        facts
            .map(|(what, figure)| format!("; {what} {}", short(*figure)))
            .collect()
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.what)?;
        for ((heading, _), figure) in FIGURES.iter().zip(self.figures) {
            if let Some(figure) = figure {
                write!(f, " {heading} {},", short(figure))?;
            }
        }
        write!(f, " µs for each {}{}", self.unit, self.facts())
    }
}

/// The medians of all runs.
pub(crate) struct Table {
    runs: usize,
    window: Duration,
    rows: Vec<Row>,
}

struct Row {
    on: Database,
    outcomes: Vec<Outcome>,
}

impl Table {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        Self {
            runs: arguments.runs,
            window: arguments.window,
            rows: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(crate) fn add(&mut self, on: Database, outcome: Outcome) {
        let mut rows = self.rows.iter_mut();
        match rows.find(|row| row.on == on && row.outcomes[0].what == outcome.what) {
            Some(row) => row.outcomes.push(outcome),
            None => {
                // The databases stand below each other.
                let is_same = |row: &Row| row.outcomes[0].what == outcome.what;
                let last = self.rows.iter().rposition(is_same);
                let place = last.map_or(self.rows.len(), |last| last + 1);
                let outcomes = vec![outcome];
                self.rows.insert(place, Row { on, outcomes });
            }
        }
    }
}

impl Row {
    fn median(&self) -> Outcome {
        let mut median = self.outcomes[0].clone();
        for (n, figure) in median.figures.iter_mut().enumerate() {
            *figure = middle(
                self.outcomes
                    .iter()
                    .filter_map(|outcome| outcome.figures[n]),
            );
        }
        for (what, figure) in &mut median.facts {
            let facts = self.outcomes.iter().flat_map(|outcome| &outcome.facts);
            let same = facts.filter(|fact| fact.0 == *what);
            *figure = middle(same.map(|fact| fact.1)).unwrap_or(*figure);
        }
        median
    }
}

impl Display for Table {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        writeln!(
            f,
            "\nbackchannel {} on {cores} cores; medians over runs: {}; measured for {:?} each.\n\
             Server, postgres, redis and generator: µs of processor time for each unit, the last column.\n",
            env!("CARGO_PKG_VERSION"),
            self.runs,
            self.window
        )?;
        write!(f, "{:<36}{:<9}", "workload", "database")?;
        for (heading, width) in FIGURES {
            write!(f, "{heading:>width$}")?;
        }
        writeln!(f, "  unit")?;
        for row in &self.rows {
            let (on, outcome) = (row.on.to_string(), row.median());
            write!(f, "{:<36}{on:<9}", outcome.what)?;
            for ((_, width), figure) in FIGURES.iter().zip(outcome.figures) {
                let figure = figure.map_or_else(|| "-".to_owned(), short);
                write!(f, "{figure:>width$}")?;
            }
            writeln!(f, "  {}{}", outcome.unit, outcome.facts())?;
        }
        if cfg!(not(target_os = "linux")) {
            writeln!(
                f,
                "\nProcessor time and memory are read from Linux' /proc alone."
            )?;
        }
        Ok(())
    }
}

fn middle(figures: impl Iterator<Item = f64>) -> Option<f64> {
    let mut figures: Vec<_> = figures.collect();
    figures.sort_by(f64::total_cmp);
    let half = figures.len() / 2;
    match figures.len() {
        0 => None,
        count if count % 2 == 1 => Some(figures[half]),
        _ => Some((figures[half - 1] + figures[half]) / 2.0),
    }
}

/// A figure with as many digits as mean anything.
fn short(figure: f64) -> String {
    match figure {
        0.0..1.0 => format!("{figure:.2}"),
        1.0..100.0 => format!("{figure:.1}"),
        _ => in_thousands(&format!("{figure:.0}")),
    }
}

/// Digits with a comma before each three.
fn in_thousands(digits: &str) -> String {
    let groups = digits.as_bytes().rchunks(3).rev();
    let groups: Vec<_> = groups.map(String::from_utf8_lossy).collect();
    groups.join(",")
}
