//! A node as a process of its own, as an operator runs it.

use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::app::Settings;
use super::clients::Http;
use super::people::{Node, Person};
use super::until;

/// A running process; killed hard when dropped.
pub(crate) struct Process {
    child: Child,
    address: SocketAddr,
    http: Http,
    _files: TempDir,
}

impl Process {
    /// Starts the binary under test on a free port and waits until it answers.
    pub(crate) async fn start(settings: Settings<'_>) -> Self {
        let files = tempfile::tempdir().expect("a directory for the node's files");
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_backchannel"));
        command
            .env_clear()
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("DATA_DIR", files.path())
            .env("LOG_LEVEL", "warn")
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        let child = command.spawn().expect("the binary starts");
        let node = Self {
            child,
            address,
            http: Http::new(),
            _files: files,
        };
        until("the process listens", || async {
            tokio::net::TcpStream::connect(address).await.is_ok()
        })
        .await;
        node
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Registers somebody.
    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(&self.node(), name).await
    }

    fn node(&self) -> Node {
        Node {
            endpoint: self.url("/graphql"),
            http: self.http.clone(),
        }
    }

    /// Memory resident just now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("the process runs, on Linux");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .expect("a size");
        let kilobytes: u64 = line
            .trim()
            .trim_end_matches(" kB")
            .parse()
            .expect("a number");
        kilobytes * 1_024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An address that is free now, below the ports that clients get.
fn free_address() -> SocketAddr {
    let ports = 20_000 + std::process::id() as u16 % 5_000..32_000;
    ports
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|address| std::net::TcpListener::bind(address).is_ok())
        .expect("a port is free")
}
