//! A node: the real binary, with the settings of an operator who limits nobody.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::{PATIENCE, Result};

#[path = "../../tests/api/harness/address.rs"]
mod address;

use address::free_address;

/// How often a node that comes or goes is looked at.
const LOOK: Duration = Duration::from_millis(2);

/// The process, and what it is started with. Dropping it kills it.
pub(crate) struct Node {
    pub(crate) address: SocketAddr,
    command: Command,
    child: Option<Child>,
    log: PathBuf,
}

impl Node {
    /// A node that keeps its data in `files`, not started yet.
    pub(crate) fn new(
        files: &Path,
        settings: impl Iterator<Item = (&'static str, String)>,
    ) -> Self {
        let address = free_address();
        let mut command = Command::new(env!("CARGO_BIN_EXE_backchannel"));
        command
            .env_clear()
            .env("HOST", address.ip().to_string())
            .env("PORT", address.port().to_string())
            .env("DATA_DIR", files)
            .env("JWT_SECRET", "the same secret in every life of a node")
            .env("JWT_ACCESS_EXPIRES_IN", "12h")
            .env("RATE_LIMITS", "off")
            .envs(settings)
            .stdin(Stdio::null());
        Self {
            address,
            command,
            child: None,
            log: files.join("log"),
        }
    }

    /// Starts it and waits until it takes connections.
    pub(crate) async fn start(&mut self) -> Result<()> {
        self.spawn()?;
        while TcpStream::connect(self.address).await.is_err() {
            self.check()?;
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// Starts it.
    pub(crate) fn spawn(&mut self) -> Result<()> {
        let log = File::create(&self.log)?;
        self.command.stdout(log.try_clone()?).stderr(log);
        self.child = Some(self.command.spawn()?);
        Ok(())
    }

    /// Whether it runs.
    pub(crate) fn check(&mut self) -> Result<()> {
        let child = self.child.as_mut().expect("it was started");
        match child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let log = fs::read_to_string(&self.log)?;
                Err(format!("the node ended, {status}:\n{log}").into())
            }
        }
    }

    /// Stops it as an operator does, and waits for its end.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.check()?;
        let killed = Command::new("kill").arg(self.id().to_string()).status()?;
        assert!(killed.success(), "it was running");
        let child = self.child.as_mut().expect("it was started");
        let asked = Instant::now();
        while child.try_wait()?.is_none() {
            if asked.elapsed() > PATIENCE {
                return Err("the node does not stop".into());
            }
            sleep(LOOK).await;
        }
        Ok(())
    }

    /// The id of the process.
    pub(crate) fn id(&self) -> u32 {
        self.child.as_ref().expect("it was started").id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // Gone already is as good.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
