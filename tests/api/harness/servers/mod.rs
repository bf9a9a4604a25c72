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

use std::path::PathBuf;
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
