//! Postgres.

use std::fmt::Write as _;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;

use super::watchdog::{Kind, Server};
use super::{missing, program_directory, shell_output};

/// Settings for every test: quick to start, many connections, all files inside the data directory.
const POSTGRES_SETTINGS: &str = "listen_addresses=127.0.0.1 unix_socket_directories= \
    max_connections=400 shared_buffers=32MB dynamic_shared_memory_type=mmap jit=off autovacuum=on \
    max_wal_size=256MB wal_level=minimal max_wal_senders=0 lc_messages=C";

/// Settings that trade safety for speed: what a crash of the machine would lose is never looked at.
const POSTGRES_FAST: &str = "fsync=off synchronous_commit=off full_page_writes=off";

/// Settings under which a commit that was answered survives a crash.
const POSTGRES_DURABLE: &str = "fsync=on synchronous_commit=on full_page_writes=on";

/// A Postgres server of this test process.
#[derive(Debug)]
pub(crate) struct Postgres {
    server: Server,
    databases: AtomicU32,
}

impl Postgres {
    /// The one server that all tests of this process share; the first caller starts it.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(|| Self::launch(POSTGRES_FAST)).await
    }

    /// A server of the caller's own that loses no commit when it is killed: for crash tests.
    pub(crate) async fn durable() -> Self {
        Self::launch(POSTGRES_DURABLE).await
    }

    /// Makes an empty database with a name of its own and returns its URL.
    ///
    /// Copying files takes 10 ms where the default, writing the copy to the log, takes 60.
    pub(crate) async fn fresh_database(&self) -> String {
        let number = self.databases.fetch_add(1, Ordering::Relaxed) + 1;
        let database = format!("test_{number}");
        if let Err(message) = self
            .execute(&format!(
                "CREATE DATABASE {database} TEMPLATE template0 STRATEGY file_copy"
            ))
            .await
        {
            panic!(
                "Postgres did not create {database}: {message}\n{}",
                self.server.log_tail()
            );
        }
        format!(
            "postgres://postgres@127.0.0.1:{}/{database}",
            self.server.port
        )
    }

    /// Crashes the server at once: every connection breaks and no checkpoint is written.
    pub(crate) fn kill(&self) {
        self.server.order("stop QUIT");
    }

    /// Starts the server again after [`Self::kill`], on the same port; it recovers from its log.
    pub(crate) async fn start(&self) {
        self.server.start_again().await;
    }

    async fn launch(durability: &str) -> Self {
        let bin = postgres_bin();
        let mut script = String::from(
            "[ -d data ] || \"$bin/initdb\" --pgdata=data --username=postgres --auth=trust \
             --encoding=UTF8 --locale=C.UTF-8 --no-sync || { echo 'initdb failed'; exit 1; }\n\
             exec \"$bin/postgres\" -D data -p \"$port\"",
        );
        for setting in POSTGRES_SETTINGS
            .split_whitespace()
            .chain(durability.split_whitespace())
        {
            write!(script, " -c {setting}").expect("a string takes any text");
        }
        let server = Server::launch(&Kind {
            name: "postgres",
            script,
            bin,
            user: unprivileged_user(),
            end_signal: "QUIT",
            ready: "database system is ready to accept connections",
            port_taken: "could not create any TCP/IP sockets",
        })
        .await;
        Self {
            server,
            databases: AtomicU32::new(0),
        }
    }

    /// Runs one statement on a connection of its own.
    async fn execute(&self, statement: &str) -> Result<(), String> {
        Session::open(self.server.port, "postgres")
            .await?
            .execute(statement)
            .await
    }

    /// A session of the test's own in one of the databases.
    pub(crate) async fn session(&self, url: &str) -> Session {
        let (_, database) = url.rsplit_once('/').expect("a database's URL");
        let session = Session::open(self.server.port, database).await;
        session.unwrap_or_else(|message| panic!("no session in {database}: {message}"))
    }
}

/// A connection, in Postgres' own protocol, version 3.
pub(crate) struct Session(TcpStream);

impl Session {
    async fn open(port: u16, database: &str) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await;
        let mut connection = connection.map_err(failed)?;
        let startup = format!("\0\x03\0\0user\0postgres\0database\0{database}\0\0");
        let startup = framed(startup.as_bytes());
        connection.write_all(&startup).await.map_err(failed)?;
        until_ready(&mut connection).await?;
        Ok(Self(connection))
    }

    /// Runs one statement.
    pub(crate) async fn execute(&mut self, statement: &str) -> Result<(), String> {
        self.ask(statement).await.map(drop)
    }

    /// Runs one statement; answers the first value of its last row, as text.
    pub(crate) async fn ask(&mut self, statement: &str) -> Result<String, String> {
        let mut query = vec![b'Q'];
        query.extend(framed(&[statement.as_bytes(), b"\0"].concat()));
        let written = self.0.write_all(&query).await;
        written.map_err(|error| error.to_string())?;
        until_ready(&mut self.0).await
    }
}

/// The directory of `postgres` and `initdb`: on the PATH, or where Debian keeps them.
fn postgres_bin() -> PathBuf {
    let debian = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let newest = debian
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path(),
            ))
        })
        .map(|(version, path)| (version, path.join("bin")))
        .filter(|(_, bin)| bin.join("initdb").is_file() && bin.join("postgres").is_file())
        .max();
    program_directory("postgres")
        .filter(|bin| bin.join("initdb").is_file())
        .or(newest.map(|(_, bin)| bin))
        .unwrap_or_else(|| missing("the Postgres server (postgres, initdb)", "postgresql"))
}

/// The user to run Postgres as when we are root, whom it refuses; `None` for everybody else.
fn unprivileged_user() -> Option<(u32, u32)> {
    if shell_output("id -u")? != "0" {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("/etc/passwd can be read");
    let postgres = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix("postgres:")?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    assert!(
        postgres.is_some(),
        "Postgres refuses to run as root, and there is no user `postgres` to run it as. Run the \
         tests as another user, or install Debian's `postgresql` (`scripts/test` does)."
    );
    postgres
}

/// A message of the Postgres protocol after its type byte: its length, then its body.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("messages are short");
    [&length.to_be_bytes(), body].concat()
}

/// Reads messages until Postgres waits for the next query (`Z`); an error (`E`) becomes text, and
/// so does the first value of a row (`D`).
async fn until_ready(connection: &mut TcpStream) -> Result<String, String> {
    let mut outcome = Ok(String::new());
    loop {
        let kind = connection
            .read_u8()
            .await
            .map_err(|error| error.to_string());
        let length = connection
            .read_u32()
            .await
            .map_err(|error| error.to_string());
        let (kind, length) = match (kind, length) {
            (Ok(kind), Ok(length)) => (kind, length),
            // A refused connection is closed after its error, with no `Z`.
            (Err(error), _) | (_, Err(error)) => return outcome.and(Err(error)),
        };
        let length = usize::try_from(length).expect("messages are short") - 4;
        let mut body = vec![0; length];
        connection
            .read_exact(&mut body)
            .await
            .map_err(|error| error.to_string())?;
        match kind {
            b'E' => outcome = Err(String::from_utf8_lossy(&body).replace('\0', " ")),
            b'D' => outcome = Ok(first_value(&body)),
            b'Z' => return outcome,
            _ => {}
        }
    }
}

/// The first value of a row, if there are any: behind their number, its length and its text.
fn first_value(row: &[u8]) -> String {
    let Some((length, values)) = row[2..].split_first_chunk() else {
        return String::new();
    };
    let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
    String::from_utf8_lossy(&values[..length]).into_owned()
}
