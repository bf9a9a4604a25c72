//! The cluster, and what happens to it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::RngExt as _;
use tokio::time::{Instant, sleep};

use crate::harness::process::Process;
use crate::harness::servers::{Postgres, Redis};

use super::{Dice, Plan, dice, say};

const NODES: usize = 3;

/// Nodes as processes of their own, on one database and one Redis.
pub(super) struct Cluster {
    nodes: Vec<Process>,
    redis: Redis,
}

/// When something was killed.
#[derive(Clone, Copy)]
pub(super) struct Kill {
    pub(super) at: Instant,
    /// None for Redis.
    pub(super) node: Option<usize>,
}

/// What happened, and when.
pub(super) enum Log {
    Kills(Vec<Kill>),
    /// Beginning and end of the time before, of the outage, and of the time after.
    Outage([Instant; 4]),
}

impl Cluster {
    pub(super) async fn up(postgres: &Postgres) -> Self {
        let database = postgres.fresh_database().await;
        let redis = Redis::own().await;
        let url = redis.url();
        let mut nodes = Vec::new();
        for _ in 0..NODES {
            let mut node = Process::new(&[("DATABASE_URL", &database), ("REDIS_URL", &url)]);
            node.start().await;
            nodes.push(node);
        }
        Self { nodes, redis }
    }

    pub(super) fn endpoints(&self) -> Arc<[String]> {
        self.nodes.iter().map(|node| node.url("/graphql")).collect()
    }

    /// Lets the plan happen.
    pub(super) async fn suffer(&mut self, plan: Plan, seed: u64) -> Log {
        match plan {
            Plan::Kills { nodes, redis, over } => {
                let log = Mutex::default();
                tokio::join!(
                    kill_nodes(&mut self.nodes, pace(over, nodes), dice(seed, 1), &log),
                    kill_redis(&self.redis, pace(over, redis), dice(seed, 2), &log),
                );
                let mut kills: Vec<Kill> = log.into_inner().expect("no holder panics");
                kills.sort_by_key(|kill| kill.at);
                Log::Kills(kills)
            }
            Plan::Outage(outage, phase) => {
                let before = Instant::now();
                sleep(phase).await;
                say(&format!("Redis {outage:?} for {phase:?}"));
                let during = Instant::now();
                outage.begin(&self.redis);
                sleep(phase).await;
                let after = Instant::now();
                outage.end(&self.redis).await;
                say("Redis is back");
                sleep(phase).await;
                Log::Outage([before, during, after, Instant::now()])
            }
        }
    }
}

/// How often to kill, and how long from one kill to the next on average.
fn pace(over: Duration, times: usize) -> (usize, Duration) {
    (times, over / u32::try_from(times).expect("a small number"))
}

async fn kill_nodes(
    nodes: &mut [Process],
    (times, pace): (usize, Duration),
    mut dice: Dice,
    log: &Mutex<Vec<Kill>>,
) {
    for time in 1..=times {
        let (peace, dead) = pauses(&mut dice, pace);
        sleep(peace).await;
        let node = dice.random_range(0..nodes.len());
        note(log, Some(node));
        nodes[node].kill();
        sleep(dead).await;
        nodes[node].start().await;
        if time % 10 == 0 {
            say(&format!("{time} of {times} nodes killed"));
        }
    }
}

async fn kill_redis(
    redis: &Redis,
    (times, pace): (usize, Duration),
    mut dice: Dice,
    log: &Mutex<Vec<Kill>>,
) {
    for time in 1..=times {
        let (peace, dead) = pauses(&mut dice, pace);
        sleep(peace).await;
        note(log, None);
        redis.kill();
        sleep(dead).await;
        redis.start().await;
        if time % 10 == 0 {
            say(&format!("Redis killed {time} of {times} times"));
        }
    }
}

/// How long what is to be killed lives yet, and how long it is dead then: a third of the pace at
/// most, and all together the pace on average.
fn pauses(dice: &mut Dice, pace: Duration) -> (Duration, Duration) {
    let dead = dice.random_range(Duration::ZERO..pace / 3);
    (dice.random_range(pace / 3..pace * 4 / 3), dead)
}

fn note(log: &Mutex<Vec<Kill>>, node: Option<usize>) {
    let at = Instant::now();
    log.lock()
        .expect("no holder panics")
        .push(Kill { at, node });
}
