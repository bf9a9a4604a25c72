//! A private Postgres and Redis, set up as one would for a small machine of their own, and gone
//! with this process.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::arguments::Database;
use crate::{Failure, Result};

#[path = "../../tests/api/harness/servers/watchdog.rs"]
#[expect(dead_code, reason = "nothing is stopped and started again here")]
mod watchdog;

use watchdog::{Kind, Server};

/// A commit that was answered survives a crash; checkpoints stay out of the measurements.
const SETTINGS: &str = "-c listen_addresses=127.0.0.1 -c unix_socket_directories= \
    -c dynamic_shared_memory_type=mmap -c lc_messages=C -c max_connections=100 \
    -c shared_buffers=512MB -c max_wal_size=4GB -c checkpoint_timeout=15min -c jit=off";

pub(crate) struct Servers {
    postgres: Server,
    psql: PathBuf,
    redis: Server,
}

impl Servers {
    /// Starts them, if they are needed.
    pub(crate) async fn launch(databases: &[Database]) -> Option<Self> {
        if !databases.contains(&Database::Postgres) {
            return None;
        }
        let bin = directory(
            "initdb",
            "ls /usr/lib/postgresql/*/bin/initdb | sort -V | tail -n 1",
        );
        let postgres = Server::launch(&Kind {
            name: "postgres",
            script: format!(
                "\"$bin/initdb\" --pgdata=data --username=postgres --auth=trust --encoding=UTF8 \
                 --locale=C.UTF-8 || {{ echo 'initdb failed'; exit 1; }}\n\
                 exec \"$bin/postgres\" -D data -p \"$port\" {SETTINGS}"
            ),
            bin: bin.clone(),
            user: unprivileged(),
            end_signal: "QUIT",
            ready: "database system is ready to accept connections",
            port_taken: "could not create any TCP/IP sockets",
        })
        .await;
        let redis = Server::launch(&Kind {
            name: "redis",
            script: "exec \"$bin/redis-server\" --port \"$port\" --bind 127.0.0.1 --dir \"$PWD\" \
                     --save '' --appendonly no --daemonize no"
                .into(),
            bin: directory("redis-server", "false"),
            user: None,
            end_signal: "KILL",
            ready: "Ready to accept connections",
            port_taken: "Failed listening on port",
        })
        .await;
        Some(Self {
            postgres,
            psql: bin.join("psql"),
            redis,
        })
    }

    /// The URL of a database.
    pub(crate) fn postgres_url(&self, database: &str) -> String {
        let port = self.postgres.port;
        format!("postgres://postgres@127.0.0.1:{port}/{database}")
    }

    pub(crate) fn redis_url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.redis.port)
    }

    /// Runs a statement in a database.
    pub(crate) fn execute(&self, database: &str, statement: &str) -> Result<()> {
        let mut psql = Command::new(&self.psql);
        psql.arg("--dbname").arg(self.postgres_url(database));
        psql.args(["--no-psqlrc", "--quiet", "--command", statement]);
        let output = psql.output();
        let output = output.map_err(|error| format!("{}: {error}", self.psql.display()))?;
        if output.status.success() {
            return Ok(());
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(Failure::from(format!("{statement}: {error}")))
    }
}

/// The directory of a program: on the PATH, or where another command finds it.
fn directory(program: &str, other: &str) -> PathBuf {
    let path = output(&format!("command -v {program} || {other}"));
    let path = path.filter(|path| !path.is_empty()).unwrap_or_else(|| {
        panic!("{program} is not installed; `scripts/test --no-run` installs what is missing")
    });
    // Beside the program itself, and not beside a link to it, is what belongs to it.
    let path = fs::canonicalize(&path).expect("the shell found it");
    let directory = path.parent().expect("a program is in a directory");
    directory.to_owned()
}

/// The user and group to run Postgres as when we are root, whom it refuses.
fn unprivileged() -> Option<(u32, u32)> {
    let id = |command: &str| output(command)?.parse().ok();
    if id("id -u") != Some(0) {
        return None;
    }
    id("id -u postgres").zip(id("id -g postgres"))
}

/// What a shell command prints, if it succeeds.
fn output(command: &str) -> Option<String> {
    let output = Command::new("sh").args(["-c", command]).output();
    let output = output.expect("`sh` starts");
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_owned())
}
