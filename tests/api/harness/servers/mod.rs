//! Private Postgres, Redis and TURN servers for this test process.
//!
//! 1. [`Postgres::shared`], [`Redis::shared`] and [`Coturn::shared`] start one server each, when a
//!    test first asks.
//! 2. [`Postgres::durable`] and [`Redis::own`] start one that a single test may stop, kill or freeze.
//! 3. Each server is the child of a small shell, the watchdog ([`watchdog`]), whose stdin is a
//!    pipe that this process holds. Orders go down the pipe (start, stop, signal). When the pipe
//!    closes, because the handle was dropped or because this process ended in any way, `kill -9`
//!    included, the watchdog kills its server and removes its directory.
//!
//! Nothing here belongs to a tokio runtime, so a server outlives the test that started it.

mod coturn;
mod postgres;
mod redis;
mod watchdog;
mod wire;

use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use coturn::Coturn;
pub(crate) use postgres::{Postgres, Session};
pub(crate) use redis::{Outage, Redis};
pub(crate) use wire::{Cut, Wire};

/// Fails the test with what to install; a test without its server is never skipped.
fn missing(what: &str, package: &str) -> ! {
    panic!(
        "These tests run against real servers, and {what} is not installed. `scripts/test` \
         installs what is missing and runs the tests; to install it yourself on Debian: \
         `apt-get install {package}`."
    )
}

/// Runs a statement on a SQLite file that a node has open; answers what it prints.
pub(crate) fn sqlite3(file: &Path, statement: &str) -> String {
    if program_directory("sqlite3").is_none() {
        missing("the SQLite shell (sqlite3)", "sqlite3");
    }
    let mut command = Command::new("sqlite3");
    // As the server does; by itself it would wait for no lock and know no references.
    let settings = "PRAGMA foreign_keys = on";
    command.args(["-cmd", ".timeout 5000", "-cmd", settings]);
    let output = command.arg(file).arg(statement).output();
    let output = output.expect("it starts");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{statement}: {error}");
    String::from_utf8_lossy(&output.stdout)
        .trim_end()
        .to_owned()
}

/// Where the PATH has `program`.
fn program_directory(program: &str) -> Option<PathBuf> {
    let path = PathBuf::from(shell_output(&format!("command -v {program}"))?);
    Some(path.parent()?.to_path_buf())
}

/// What a shell command prints, if it succeeds.
fn shell_output(command: &str) -> Option<String> {
    let output = Command::new("sh")
        .args(["-c", command])
        .output()
        .expect("`sh` starts");
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
