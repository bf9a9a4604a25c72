//! Three nodes over one Postgres and one Redis, a crowd of clients that write and read at a
//! steady pace, and what they run on dies, or freezes. `scripts/faults` makes the runs in full
//! and prints what was promised and what was measured; a small one is among the tests.
//!
//! 1. A [`Cluster`] is started, and a [`Crowd`] registered on it.
//! 2. [`Sender`]s send at the times they are due and repeat a send, on the next node, until it is
//!    acknowledged. [`Reader`]s subscribe, and resume on the next node when they are cut off.
//! 3. Meanwhile things are [killed](Plan::Kills), or [out of order](Plan::Outage) for a while.
//! 4. A [`Verdict`] compares what was acknowledged, what is stored and what was seen.
//!
//! [`Sender`]: sender::Sender
//! [`Reader`]: reader::Reader
mod chaos;
mod crowd;
mod reader;
mod sender;
mod table;
mod verdict;

use std::fmt::Display;
use std::time::Duration;

use futures_util::future::join_all;
use proptest::test_runner::{RngAlgorithm, TestRng as Dice};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::footprint;
use crate::front_door::storm::storm;
use crate::harness::App;
use crate::harness::servers::{Outage, Postgres, Redis};
use crate::receipts::stream::burst;

use self::chaos::Cluster;
use self::crowd::{Crowd, Load};
use self::table::Table;
use self::verdict::Verdict;

/// The crowd of the issue: 300 clients, 200 messages a second.
const CROWD: Load = Load {
    readers: 250,
    senders: 50,
    rooms: 40,
    rate: 200,
};
/// Longest that a run may take beyond what it is planned to.
const SLACK: Duration = Duration::from_mins(3);
/// How long the crowd is left in peace at both ends of a run.
const PEACE: Duration = Duration::from_secs(2);

/// What happens to the cluster.
#[derive(Clone, Copy)]
enum Plan {
    /// So many kills of nodes, and of Redis, over a time.
    Kills {
        nodes: usize,
        redis: usize,
        over: Duration,
    },
    /// Redis is out of order for the second third of three times so long.
    Outage(Outage, Duration),
}

impl Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Kills { over, .. } => write!(f, "Nodes and Redis killed, for {over:?}"),
            Self::Outage(Outage::Frozen, phase) => write!(f, "Redis frozen for {phase:?}"),
            Self::Outage(Outage::Killed, phase) => write!(f, "Redis dead for {phase:?}"),
        }
    }
}

impl Plan {
    fn takes(self) -> Duration {
        match self {
            Self::Kills { over, .. } => over,
            Self::Outage(_, phase) => 3 * phase,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn nothing_is_lost_while_nodes_and_redis_are_killed() {
    let load = Load {
        readers: 48,
        senders: 12,
        rooms: 6,
        rate: 40,
    };
    let postgres = Postgres::shared().await;
    let seed = seed();
    say(&format!("seed {seed}"));
    let mut table = Table::default();
    let kills = Plan::Kills {
        nodes: 4,
        redis: 2,
        over: Duration::from_secs(12),
    };
    run(postgres, load, kills, seed, &mut table).await;
    let outage = Plan::Outage(Outage::Frozen, Duration::from_secs(4));
    run(postgres, load, outage, seed, &mut table).await;
    println!("{table}");
    // Times are for a machine that does nothing else.
    assert!(table.all_delivered(), "a promise was broken");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a quarter of an hour and a release build: scripts/faults"]
async fn every_promise_is_kept_in_full() {
    const KILLS: Plan = Plan::Kills {
        nodes: 50,
        redis: 20,
        over: Duration::from_mins(4),
    };
    const PHASE: Duration = Duration::from_secs(30);
    let seed = seed();
    say(&format!("seed {seed}"));
    let (mut table, mut kept) = (Table::default(), true);
    let only = setting("FAULTS_ONLY").unwrap_or_default();
    let only: Vec<_> = only.split_whitespace().collect();
    let known = ["kills", "frozen", "dead", "sockets", "storm", "readers"];
    assert!(
        only.iter().all(|name| known.contains(name)),
        "there are only {known:?}"
    );
    let wanted = |name| only.is_empty() || only.contains(&name);
    for (name, plan) in [
        ("kills", KILLS),
        ("frozen", Plan::Outage(Outage::Frozen, PHASE)),
        ("dead", Plan::Outage(Outage::Killed, PHASE)),
    ] {
        if wanted(name) {
            let postgres = Postgres::durable().await;
            run(&postgres, CROWD, plan, seed, &mut table).await;
            kept &= table.tell();
        }
    }
    if wanted("sockets") {
        for rooms in [1_000, 1] {
            let weight = footprint::weigh(10_000, rooms).await;
            table.sockets(&weight);
            kept &= table.tell();
        }
    }
    if wanted("storm") {
        let postgres = Postgres::durable().await;
        let database = postgres.fresh_database().await;
        let redis = Redis::shared().await.url();
        let settings = [("DATABASE_URL", database.as_str()), ("REDIS_URL", &redis)];
        table.storm(storm(&settings, 5_000).await);
        kept &= table.tell();
    }
    if wanted("readers") {
        let app = App::postgres().await;
        table.burst(&burst(&app, 1_000).await);
        app.finish().await;
        kept &= table.tell();
    }
    assert!(kept, "a promise was broken");
}

/// What the crowd meets with; added to the table.
async fn run(postgres: &Postgres, load: Load, plan: Plan, seed: u64, table: &mut Table) {
    let bounded = async {
        let mut cluster = Cluster::up(postgres).await;
        let crowd = Crowd::gather(&cluster, load, seed).await;
        let auditor = crowd.auditor.clone();
        let (stop, stopped) = watch::channel(false);
        let (tell_end, end) = watch::channel(None);
        let reading: Vec<_> = crowd
            .readers
            .into_iter()
            .map(|reader| tokio::spawn(reader.read(end.clone())))
            .collect();
        let began = Instant::now();
        let sending: Vec<_> = crowd
            .senders
            .into_iter()
            .map(|sender| tokio::spawn(sender.send(began, load, stopped.clone())))
            .collect();

        sleep(PEACE).await;
        let log = cluster.suffer(plan, seed).await;
        sleep(PEACE).await;
        stop.send(true).expect("senders listen");
        let senders = join_all(sending).await.into_iter();
        let senders = senders.map(|sender| sender.expect("no sender panics"));
        let senders: Vec<_> = senders.collect();
        let took = began.elapsed();
        let rooms = &auditor.world.rooms;
        let last_seqs = join_all(rooms.iter().map(|room| auditor.last_seq(room))).await;
        tell_end
            .send(Some(last_seqs.clone()))
            .expect("readers listen");
        let readers = join_all(reading).await.into_iter();
        let readers = readers.map(|reader| reader.expect("no reader panics"));
        let verdict = Verdict {
            plan,
            rate: load.rate,
            took,
            log,
            senders,
            readers: readers.collect(),
            last_seqs,
            stored: join_all(rooms.iter().map(|room| auditor.messages(room))).await,
            world: auditor.world,
        };
        verdict.tell(table);
    };
    timeout(plan.takes() + SLACK, bounded)
        .await
        .expect("the run ends in time");
}

/// Random choices that a seed repeats, for each of many to choose by.
fn dice(seed: u64, chooser: usize) -> Dice {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&chooser.to_le_bytes());
    Dice::from_seed(RngAlgorithm::ChaCha, &bytes)
}

/// The seed that is asked for, else a new one.
fn seed() -> u64 {
    let asked = setting("FAULTS_SEED").map(|seed| seed.parse().expect("a seed is a number"));
    asked.unwrap_or_else(|| u64::from(getrandom::u32().expect("the system has randomness")))
}

#[expect(
    clippy::disallowed_methods,
    reason = "how `scripts/faults` passes its arguments on"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Tells whoever waits for a long run how far it is.
#[expect(clippy::print_stderr, reason = "long work shows progress")]
fn say(progress: &str) {
    eprintln!("{progress}");
}
