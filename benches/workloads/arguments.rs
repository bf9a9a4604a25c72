//! What to run, out of the command line.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
cargo bench --bench workloads -- [WORKLOAD…] [--on sqlite|postgres] [--runs N] [--seconds N]

Without names all workloads are run, each on both databases:
  send     64 senders, each sending again when the last one is acknowledged
  alone    one sender
  fan-out  1,000 subscribers of one conversation: 20 messages a second, then as many as it takes
  slow     the same where one of them never reads (runs fan-out too, to compare with)
  idle     5,000 subscribed sockets, or what the limit of open files lets
  page     16 clients read the newest 50 messages of a conversation, with senders
  list     16 clients read 50 conversations with last message, sender and unread count
  storm    1,000 clients come back at once, 20 messages behind, while more are sent
  start    from the start of the process to the first acknowledged message

  --on       one of the databases; sqlite is the embedded default, postgres is with Redis
  --runs     how often each is measured, 3 by default; the table has the medians
  --seconds  how long each is measured, 5 by default, after 2 to warm up

All of it takes a quarter of an hour. Databases are in TMPDIR, whose disk is part of what is measured.";

/// What the command line asks for.
pub(crate) enum Asked {
    Run(Arguments),
    Help,
    Nothing,
}

/// What to run.
pub(crate) struct Arguments {
    pub(crate) workloads: Vec<Workload>,
    pub(crate) databases: Vec<Database>,
    pub(crate) runs: usize,
    /// How long is measured where that can be chosen.
    pub(crate) window: Duration,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Workload {
    Send,
    Alone,
    FanOut,
    Slow,
    Idle,
    Page,
    List,
    Storm,
    Start,
}

impl Workload {
    const ALL: [Self; 9] = [
        Self::Send,
        Self::Alone,
        Self::FanOut,
        Self::Slow,
        Self::Idle,
        Self::Page,
        Self::List,
        Self::Storm,
        Self::Start,
    ];

    /// Whether many sockets are open at once.
    pub(crate) fn is_crowded(self) -> bool {
        match self {
            Self::FanOut | Self::Slow | Self::Idle | Self::Storm => true,
            Self::Send | Self::Alone | Self::Page | Self::List | Self::Start => false,
        }
    }
}

impl Display for Workload {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Send => "send",
            Self::Alone => "alone",
            Self::FanOut => "fan-out",
            Self::Slow => "slow",
            Self::Idle => "idle",
            Self::Page => "page",
            Self::List => "list",
            Self::Storm => "storm",
            Self::Start => "start",
        })
    }
}

/// What a node is on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Database {
    /// The embedded default.
    Sqlite,
    /// With Redis.
    Postgres,
}

impl Database {
    const ALL: [Self; 2] = [Self::Sqlite, Self::Postgres];
}

impl Display for Database {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqlite => "sqlite",
            Self::Postgres => "postgres",
        })
    }
}

/// Reads a command line, of which cargo adds `--bench` where this is run as a bench.
pub(crate) fn parse(mut line: impl Iterator<Item = String>) -> Result<Asked, String> {
    let (mut workloads, mut databases) = (Vec::new(), Vec::new());
    let (mut runs, mut seconds, mut is_bench) = (3, 5, false);
    while let Some(word) = line.next() {
        match word.as_str() {
            "--bench" => is_bench = true,
            "--help" => return Ok(Asked::Help),
            "--on" => databases.push(one_of(&Database::ALL, &value(&word, &mut line)?)?),
            "--runs" => runs = count(&word, &mut line)?,
            "--seconds" => seconds = count(&word, &mut line)?,
            name => workloads.push(one_of(&Workload::ALL, name)?),
        }
    }
    if !is_bench {
        return Ok(Asked::Nothing);
    }
    Ok(Asked::Run(Arguments {
        workloads: chosen(&Workload::ALL, |workload| {
            let compares = *workload == Workload::FanOut && workloads.contains(&Workload::Slow);
            workloads.is_empty() || workloads.contains(workload) || compares
        }),
        databases: chosen(&Database::ALL, |database| {
            databases.is_empty() || databases.contains(database)
        }),
        runs,
        window: Duration::from_secs(seconds as u64),
    }))
}

/// Each of `all` that is wanted, once and in their order.
fn chosen<T: Copy>(all: &[T], is_wanted: impl Fn(&T) -> bool) -> Vec<T> {
    all.iter().copied().filter(is_wanted).collect()
}

fn one_of<T: Copy + Display>(all: &[T], name: &str) -> Result<T, String> {
    let found = all.iter().find(|one| one.to_string() == name);
    found.copied().ok_or_else(|| {
        let names: Vec<_> = all.iter().map(T::to_string).collect();
        format!("{name} is none of {}; try --help", names.join(", "))
    })
}

fn value(option: &str, line: &mut impl Iterator<Item = String>) -> Result<String, String> {
    line.next().ok_or_else(|| format!("{option} needs a value"))
}

fn count(option: &str, line: &mut impl Iterator<Item = String>) -> Result<usize, String> {
    let value = value(option, line)?;
    let count = value
        .parse()
        .ok()
        .filter(|count| (1..=1_000).contains(count));
    count.ok_or_else(|| format!("{option} takes a number from 1 to 1000, not {value}"))
}
