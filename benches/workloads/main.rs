//! What a whole node does under load, and what that costs: `cargo bench --bench workloads`, or
//! `scripts/bench`, which raises the limit of open files first. `-- --help` tells how to choose.
//!
//! 1. [`servers`] starts a private Postgres and Redis, and [`store`] a node on each database, in
//!    which [`seed`] has people register, found conversations and write, through the API.
//! 2. Each run of a workload gets a copy of that, and a fresh node on it ([`node`]): the real
//!    binary, as an operator runs it. A file each: [`sends`], [`fanout`], [`idle`], [`pages`],
//!    [`storm`] and [`start`]. The databases take turns.
//! 3. What clients do is in [`http`] and [`socket`]; all of them are in this process, on one thread.
//! 4. Every answer is looked at. One that is wrong, lost or repeated fails the run.
//! 5. [`processes`] reads what each process took of the processors, [`table`] prints the medians.
//!
//! Everything shares one machine. So the processor time of a unit says more than a rate does, and
//! figures are to be compared within one run of this on a machine that does nothing else. Databases
//! are in `TMPDIR`: the disk that is there is the one that is measured.

mod arguments;
mod closed_loop;
mod fanout;
mod http;
mod idle;
mod marker;
mod node;
mod pages;
mod processes;
mod seed;
mod sends;
mod servers;
mod socket;
mod start;
mod store;
mod storm;
mod table;

use std::process::ExitCode;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::task::LocalSet;

use self::arguments::{Arguments, Asked, Database, Workload};
use self::fanout::Readers;
use self::servers::Servers;
use self::store::Store;
use self::table::{Outcome, Table};

/// Why a run has no result.
type Failure = Box<dyn std::error::Error>;
type Result<T> = std::result::Result<T, Failure>;

/// How many files the largest crowd of sockets needs to be open, and everything else.
const CROWD_FILES: usize = 1_000;
const OTHER_FILES: usize = 200;

/// The longest a client waits for anything that must happen.
const PATIENCE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(Asked::Run(arguments)) => arguments,
        Ok(Asked::Help) => return tell(arguments::HELP),
        // By `cargo test`, say: this is no test.
        Ok(Asked::Nothing) => return ExitCode::SUCCESS,
        Err(mistake) => return complain(&mistake, 2),
    };
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let mut table = Table::new(&arguments);
    let done = LocalSet::new().block_on(&runtime, run(&arguments, &mut table));
    if !table.is_empty() {
        tell(&table.to_string());
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => complain(&failure.to_string(), 1),
    }
}

/// Runs everything that was asked for, the databases in turns.
async fn run(arguments: &Arguments, table: &mut Table) -> Result<()> {
    let needed = CROWD_FILES + OTHER_FILES;
    let is_crowded = arguments
        .workloads
        .iter()
        .any(|workload| workload.is_crowded());
    if is_crowded && processes::open_files().is_some_and(|files| files < needed) {
        let advice = "`ulimit -Sn` raises it, and so does scripts/bench";
        return Err(format!("needs {needed} open files, and the limit is lower: {advice}").into());
    }
    say("starting Postgres and Redis, and filling the databases: a minute");
    let servers = Servers::launch(&arguments.databases).await;
    let mut stores = Vec::new();
    for database in &arguments.databases {
        stores.push(Store::fill(*database, servers.as_ref()).await?);
    }
    for run in 1..=arguments.runs {
        for workload in &arguments.workloads {
            for store in &stores {
                let (workload, on) = (*workload, store.database);
                let what = format!("run {run} of {}: {workload} on {on}", arguments.runs);
                let outcomes = measure(workload, store, arguments.window).await;
                for outcome in outcomes.map_err(|failure| format!("{what}: {failure}"))? {
                    let outcome = match on {
                        Database::Sqlite => outcome.without_servers(),
                        Database::Postgres => outcome,
                    };
                    say(&format!("{what}: {outcome}"));
                    table.add(on, outcome);
                }
            }
        }
    }
    Ok(())
}

/// Runs one workload on a fresh node.
async fn measure(workload: Workload, store: &Store<'_>, length: Duration) -> Result<Vec<Outcome>> {
    let place = store.copy()?;
    let world = &store.world;
    if workload == Workload::Start {
        let outcome = start::measure(&place, world).await?;
        place.remove()?;
        return Ok(vec![outcome]);
    }
    let mut node = place.node();
    node.start().await?;
    let outcomes = match workload {
        Workload::Send => vec![sends::at_once(&node, world, length).await?],
        Workload::Alone => vec![sends::alone(&node, world, length).await?],
        Workload::FanOut => fanout::measure(&node, world, length, Readers::All).await?,
        Workload::Slow => fanout::measure(&node, world, length, Readers::AllButOne).await?,
        Workload::Idle => vec![idle::measure(&node, world).await?],
        Workload::Page => vec![pages::of_messages(&node, world, length).await?],
        Workload::List => vec![pages::of_conversations(&node, world, length).await?],
        Workload::Storm => vec![storm::measure(&node, world).await?],
        Workload::Start => unreachable!("it starts its node itself"),
    };
    node.stop().await?;
    place.remove()?;
    Ok(outcomes)
}

/// Progress, for those who wait.
#[expect(clippy::print_stderr, reason = "standard output is for the table")]
fn say(what: &str) {
    eprintln!("{what}");
}

#[expect(clippy::print_stdout, reason = "the table is what this is run for")]
fn tell(text: &str) -> ExitCode {
    println!("{text}");
    ExitCode::SUCCESS
}

fn complain(what: &str, code: u8) -> ExitCode {
    say(what);
    ExitCode::from(code)
}
