//! Redis.

use std::path::PathBuf;

use tokio::sync::OnceCell;

use super::watchdog::{Kind, Server};
use super::{missing, program_directory};

/// A Redis server of this test process, without persistence.
#[derive(Debug)]
pub(crate) struct Redis {
    server: Server,
}

impl Redis {
    /// The one server that all tests of this process share; the first caller starts it.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Redis> = OnceCell::const_new();
        SHARED.get_or_init(Self::own).await
    }

    /// A server of the caller's own, to be stopped, killed or frozen; dropping it ends it.
    pub(crate) async fn own() -> Self {
        let server = Server::launch(&Kind {
            name: "redis",
            script: "exec \"$bin/redis-server\" --port \"$port\" --bind 127.0.0.1 --dir \"$PWD\" \
                     --save '' --appendonly no --daemonize no"
                .into(),
            bin: redis_bin(),
            user: None,
            end_signal: "KILL",
            ready: "Ready to accept connections",
            port_taken: "Failed listening on port",
        })
        .await;
        Self { server }
    }

    /// Where the server listens; stays the same when it is started again.
    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.server.port)
    }

    /// Ends the server with `SIGKILL`: it says goodbye to nobody.
    pub(crate) fn kill(&self) {
        self.server.order("stop KILL");
    }

    /// Starts the server again after [`Self::kill`], on the same port and empty.
    pub(crate) async fn start(&self) {
        self.server.start_again().await;
    }

    /// Freezes the server (`SIGSTOP`): connections stay open and nothing answers.
    pub(crate) fn pause(&self) {
        self.server.order("signal STOP");
    }

    /// Lets a frozen server go on (`SIGCONT`).
    pub(crate) fn resume(&self) {
        self.server.order("signal CONT");
    }
}

/// How Redis is put out of order, and in order again.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Outage {
    Killed,
    Frozen,
}

impl Outage {
    pub(crate) fn begin(self, redis: &Redis) {
        match self {
            Self::Killed => redis.kill(),
            Self::Frozen => redis.pause(),
        }
    }

    pub(crate) async fn end(self, redis: &Redis) {
        match self {
            Self::Killed => redis.start().await,
            Self::Frozen => redis.resume(),
        }
    }
}

/// The directory of `redis-server`.
fn redis_bin() -> PathBuf {
    program_directory("redis-server")
        .unwrap_or_else(|| missing("the Redis server (redis-server)", "redis-server"))
}
