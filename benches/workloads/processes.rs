//! What processes take of the machine, as Linux tells it; elsewhere nothing is known.

use std::fs;
use std::time::{Duration, Instant};

use crate::node::Node;

/// Linux counts processor time for programs in hundredths of a second, on every machine.
const TICKS: f64 = 100.0;

/// Seconds of processor time.
#[derive(Clone, Copy)]
pub(crate) struct Usage {
    pub(crate) server: f64,
    pub(crate) postgres: f64,
    pub(crate) redis: f64,
    pub(crate) generator: f64,
}

/// A line of `/proc`.
struct Process {
    id: u32,
    parent: u32,
    name: String,
    /// Its own.
    ticks: u64,
    /// Of its children that are gone.
    ticks_of_gone: u64,
}

impl Process {
    fn read(id: u32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        let (head, fields) = stat.rsplit_once(") ")?;
        let (_, name) = head.split_once('(')?;
        let fields: Vec<_> = fields.split(' ').collect();
        let field = |n: usize| fields.get(n)?.parse::<u64>().ok();
        Some(Self {
            id,
            parent: u32::try_from(field(1)?).ok()?,
            name: name.to_owned(),
            ticks: field(11)? + field(12)?,
            ticks_of_gone: field(13)? + field(14)?,
        })
    }

    fn all_ticks(&self) -> u64 {
        self.ticks + self.ticks_of_gone
    }
}

impl Usage {
    /// All of it since the processes began.
    fn now(node: u32) -> Option<Self> {
        let ids = fs::read_dir("/proc").ok()?.flatten();
        let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        let processes: Vec<_> = ids.filter_map(Process::read).collect();
        let find = |id| processes.iter().find(|process| process.id == id);
        let this = find(std::process::id())?;
        // Of the same name, others may run on the machine.
        let is_ours = |process: &Process| {
            let mut ancestor = process;
            while ancestor.id != this.id {
                let Some(parent) = find(ancestor.parent) else {
                    return false;
                };
                ancestor = parent;
            }
            true
        };
        let named = |name| {
            let ours = processes
                .iter()
                .filter(|one| one.name == name && is_ours(one));
            ours.map(Process::all_ticks).sum()
        };
        let seconds = |ticks: u64| ticks as f64 / TICKS;
        Some(Self {
            server: seconds(find(node)?.all_ticks()),
            postgres: seconds(named("postgres")),
            redis: seconds(named("redis-server")),
            generator: seconds(this.ticks),
        })
    }
}

/// What is used from now on.
pub(crate) struct Meter {
    node: u32,
    before: Option<Usage>,
    began: Instant,
}

/// What was used.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) took: Duration,
    /// None where it cannot be known.
    pub(crate) usage: Option<Usage>,
}

impl Meter {
    pub(crate) fn start(node: &Node) -> Self {
        Self {
            node: node.id(),
            before: Usage::now(node.id()),
            began: Instant::now(),
        }
    }

    pub(crate) fn stop(self) -> Used {
        let took = self.began.elapsed();
        let usage = self.before.zip(Usage::now(self.node));
        let usage = usage.map(|(before, after)| Usage {
            server: after.server - before.server,
            postgres: after.postgres - before.postgres,
            redis: after.redis - before.redis,
            generator: after.generator - before.generator,
        });
        Used { took, usage }
    }
}

/// Memory resident just now, in bytes.
pub(crate) fn resident(id: u32) -> Option<f64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kilobytes * 1_024.0)
}

/// How many files this process, and what it starts, may have open.
pub(crate) fn open_files() -> Option<usize> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits
        .lines()
        .find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}
