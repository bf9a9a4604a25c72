//! A real server process, or the Postgres under it, is killed hard again and again while people
//! go on writing and reading. Afterwards every acknowledged message is there once, at the position
//! that was acknowledged, and every stream is what the database says.
//!
//! 1. A [`Process`] is started, waited for, killed with `SIGKILL`.
//! 2. A [`Writer`] repeats each send until it is acknowledged, as clients do, but for some that
//!    it gives up when their answer is lost; it edits and deletes what it has sent.
//! 3. A [`Reader`] follows a conversation and comes back with `after` whenever it is cut off.
//! 4. [`survives_kills`] kills, lets all catch up, and has an [`Audit`] compare.

mod audit;
mod reader;
mod writer;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::harness::caller::{Caller, World};
use crate::harness::process::Process;
use crate::harness::servers::{Postgres, Redis};
use crate::harness::until;

use self::audit::Audit;
use self::reader::Reader;
use self::writer::Writer;

const KILLS: usize = 50;
const POSTGRES_KILLS: usize = 5;
const ROOMS: usize = 3;
const WRITERS: usize = 6;
/// Readers by WebSocket, and by server-sent events.
const READERS: (usize, usize) = (8, 2);

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_over_fifty_kills_on_sqlite() {
    survives_kills("sqlite", &[], &Victim::Node).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_over_fifty_kills_on_postgres() {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    let settings = [("DATABASE_URL", database.as_str()), ("REDIS_URL", &redis)];
    survives_kills("postgres and redis", &settings, &Victim::Node).await;
}

/// The node lives on meanwhile: what it answers is that something went wrong, or nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_repeated_when_postgres_itself_is_killed() {
    let postgres = Postgres::durable().await;
    let database = postgres.fresh_database().await;
    let settings = [("DATABASE_URL", database.as_str())];
    survives_kills("postgres as victim", &settings, &Victim::Postgres(postgres)).await;
}

/// What is killed.
enum Victim {
    Node,
    Postgres(Postgres),
}

impl Victim {
    fn kills(&self) -> usize {
        match self {
            Self::Node => KILLS,
            Self::Postgres(_) => POSTGRES_KILLS,
        }
    }

    async fn dies_and_comes_back(&self, node: &mut Process) {
        match self {
            Self::Node => {
                node.kill();
                node.start().await;
            }
            Self::Postgres(postgres) => {
                postgres.kill();
                postgres.start().await;
            }
        }
    }
}

/// A first start is killed a little later each time, until one gets through.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_while_it_makes_its_tables_starts_again_on_sqlite() {
    first_starts_survive_kills(|| async { None }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_killed_while_it_makes_its_tables_starts_again_on_postgres() {
    first_starts_survive_kills(|| async { Some(Postgres::shared().await.fresh_database().await) })
        .await;
}

#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn first_starts_survive_kills<F: Future<Output = Option<String>>>(database: impl Fn() -> F) {
    let mut killed = 0;
    for delay in (0..).step_by(3).map(Duration::from_millis) {
        let database = database().await;
        let settings: Vec<_> = database
            .iter()
            .map(|url| ("DATABASE_URL", url.as_str()))
            .collect();
        let mut node = Process::new(&settings);
        node.spawn();
        sleep(delay).await;
        let started = node.answers().await;
        node.kill();
        node.start().await;
        if started {
            break;
        }
        killed += 1;
    }
    println!("{killed} first starts killed before they served");
    assert!(killed > 2, "only {killed} were killed before they served");
}

/// People over a node's lives.
struct Crowd {
    writers: Vec<Writer>,
    readers: Vec<Reader>,
    /// A further member, who checks.
    auditor: Caller,
}

impl Crowd {
    async fn gather(node: &Process, victim: &Victim) -> Self {
        let stranger = Caller::new([node.url("/graphql")].into());
        let mut callers = Vec::new();
        let mut ids = Vec::new();
        for n in 0..=WRITERS {
            let mut caller = stranger.clone();
            ids.push(caller.register(&format!("w{n}")).await);
            callers.push(caller);
        }
        let mut world = World {
            may_fail: matches!(victim, Victim::Postgres(_)),
            ..World::default()
        };
        for _ in 0..ROOMS {
            world.rooms.push(callers[0].make_room(&ids[1..]).await);
        }
        let world = Arc::new(world);
        for caller in &mut callers {
            caller.world = Arc::clone(&world);
        }
        let auditor = callers.pop().expect("one more than writers");
        let readers = (0..READERS.0 + READERS.1)
            .map(|n| Reader::new(n % ROOMS, callers[n % WRITERS].clone()))
            .collect();
        let writers = callers
            .into_iter()
            .enumerate()
            .map(|(n, caller)| Writer::new(format!("w{n}"), caller))
            .collect();
        Self {
            writers,
            readers,
            auditor,
        }
    }
}

async fn survives_kills(what: &str, settings: &[(&str, &str)], victim: &Victim) {
    let mut node = Process::new(settings);
    node.start().await;
    let Crowd {
        writers,
        readers,
        auditor,
    } = Crowd::gather(&node, victim).await;
    let world = Arc::clone(&auditor.world);
    let (stop, stopped) = watch::channel(false);
    let (tell_end, end) = watch::channel(None);
    let writing: Vec<_> = writers
        .into_iter()
        .map(|writer| tokio::spawn(writer.write(stopped.clone())))
        .collect();
    let reading: Vec<_> = readers
        .into_iter()
        .enumerate()
        .map(|(n, reader)| tokio::spawn(reader.read(n < READERS.0, end.clone())))
        .collect();

    for life in 0..victim.kills() {
        // Each life ends elsewhere in the work: 10 to 59 sends and at least as many events later.
        let work = 10 + life * 37 % 50;
        let (acks, events) = (progress(&world.acks), progress(&world.events));
        until("the node works", || async {
            progress(&world.acks) >= acks + work && progress(&world.events) >= events + work
        })
        .await;
        victim.dies_and_comes_back(&mut node).await;
    }
    stop.send(true).expect("writers listen");
    let writers: Vec<Writer> = join_all(writing)
        .await
        .into_iter()
        .map(|writer| writer.expect("no writer panics"))
        .collect();
    let last_seqs = join_all(world.rooms.iter().map(|room| auditor.last_seq(room))).await;
    tell_end
        .send(Some(last_seqs.clone()))
        .expect("readers listen");
    let readers: Vec<Reader> = join_all(reading)
        .await
        .into_iter()
        .map(|reader| reader.expect("no reader panics"))
        .collect();
    let audit = Audit::of(&auditor, last_seqs, end).await;
    audit.compare(&writers, &readers).await;
    summarise(what, victim, &node, &writers, &world);
    let faults = world.faults.lock().expect("no holder panics");
    assert!(faults.is_empty(), "{} faults: {faults:#?}", faults.len());
}

fn progress(counter: &AtomicUsize) -> usize {
    counter.load(Ordering::Relaxed)
}

#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
fn summarise(what: &str, victim: &Victim, node: &Process, writers: &[Writer], world: &World) {
    let sum = |of: fn(&Writer) -> usize| writers.iter().map(of).sum::<usize>();
    let (median, max) = node.start_times();
    println!(
        "{what}: {} kills; {} sends acknowledged, {} repeated until then, {} given up; {} answers \
         that something went wrong; {} events read over {} connections; {} lost, repeated or out \
         of order; start {median:.0?} at the median, {max:.0?} at most",
        victim.kills(),
        sum(|writer| writer.acked.len()),
        sum(|writer| writer.repeats),
        sum(|writer| writer.given_up.len()),
        progress(&world.failures),
        progress(&world.events),
        progress(&world.connections),
        world.faults.lock().expect("no holder panics").len(),
    );
}
