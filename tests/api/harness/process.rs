//! A node as a process of its own, as an operator runs it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::PATIENCE;
use super::address::free_address;
use super::clients::Http;
use super::people::{Node, Person};

/// The process, and what it is started with. Dropping it kills it.
pub(crate) struct Process {
    command: Command,
    child: Option<Child>,
    pub(crate) address: SocketAddr,
    files: TempDir,
    http: Http,
    pub(crate) start_times: Vec<Duration>,
}

impl Process {
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        let files = tempfile::tempdir().expect("a directory for the node's files");
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_backchannel"));
        command
            .env_clear()
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("DATA_DIR", files.path().join("data"))
            .env("JWT_SECRET", "the same secret in every life of a node")
            .env("JWT_ACCESS_EXPIRES_IN", "12h")
            .env("LOG_LEVEL", "warn")
            // As in [`super::App::with`].
            .env("RATE_LIMITS", "off")
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        Self {
            command,
            child: None,
            address,
            files,
            http: Http::new(),
            start_times: Vec::new(),
        }
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&mut self) {
        let began = Instant::now();
        self.spawn();
        while !self.answers().await {
            let child = self.child.as_mut().expect("just started");
            let exited = child.try_wait().expect("a child can be looked at");
            assert!(
                exited.is_none() && began.elapsed() < PATIENCE,
                "the node does not start ({exited:?}):\n{}",
                std::fs::read_to_string(self.log()).unwrap_or_default()
            );
            sleep(Duration::from_millis(2)).await;
        }
        self.start_times.push(began.elapsed());
    }

    pub(crate) fn spawn(&mut self) {
        let log = File::options().create(true).append(true).open(self.log());
        let log = log.expect("the log can be written");
        self.command
            .stdout(log.try_clone().expect("a second handle on the log"));
        self.command.stderr(log);
        self.child = Some(self.command.spawn().expect("the binary starts"));
    }

    pub(crate) async fn answers(&self) -> bool {
        let ping = async {
            let mut stream = TcpStream::connect(self.address).await?;
            let request = b"GET /ping HTTP/1.1\r\nhost: node\r\nconnection: close\r\n\r\n";
            stream.write_all(request).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            Ok::<_, std::io::Error>(answer)
        };
        ping.await.is_ok_and(|answer| answer.contains(" 200 "))
    }

    /// Kills it with `SIGKILL`, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("the process can be killed");
            let status = child.wait().expect("the process ends");
            let log = std::fs::read_to_string(self.log()).unwrap_or_default();
            assert_eq!(
                status.code(),
                None,
                "it ended by itself before the kill:\n{log}"
            );
        }
    }

    /// Sends it a signal, such as `STOP`, by which it stalls, and `CONT`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.as_ref().expect("the process runs").id();
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &id.to_string()])
            .status();
        assert!(sent.expect("kill can be run").success());
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Registers somebody.
    pub(crate) async fn person(&self, name: &str) -> Person {
        Person::register(&self.node(), name).await
    }

    /// Where people are on.
    pub(crate) fn node(&self) -> Node {
        Node {
            endpoint: self.url("/graphql"),
            http: self.http.clone(),
        }
    }

    /// Memory resident just now.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let id = self.child.as_ref().expect("the process runs").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("this is Linux");
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

    /// All that it has logged.
    pub(crate) fn log_text(&self) -> String {
        std::fs::read_to_string(self.log()).expect("a log")
    }

    fn log(&self) -> PathBuf {
        self.files.path().join("log")
    }

    /// Median and maximum of the time from start to answer.
    pub(crate) fn start_times(&self) -> (Duration, Duration) {
        let mut times = self.start_times.clone();
        times.sort();
        (times[times.len() / 2], times[times.len() - 1])
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Gone already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
