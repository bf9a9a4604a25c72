//! Private Postgres and Redis servers for this test process.
//!
//! 1. [`Postgres::shared`] and [`Redis::shared`] start one server each, when a test first asks.
//! 2. [`Postgres::durable`] and [`Redis::own`] start one that a single test may stop, kill or freeze.
//! 3. Each server is the child of a small shell, the watchdog ([`WATCHDOG`]), whose stdin is a
//!    pipe that this process holds. Orders go down the pipe (start, stop, signal). When the pipe
//!    closes, because the handle was dropped or because this process ended in any way, `kill -9`
//!    included, the watchdog kills its server and removes its directory.
//!
//! Nothing here belongs to a tokio runtime, so a server outlives the test that started it.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::{Instant, sleep};

/// How long a server may take to accept connections, `initdb` included.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How often a starting server is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How many ports are tried before giving up.
const PORT_ATTEMPTS: u32 = 20;

/// Settings for every test: quick to start, many connections, all files inside the data directory.
const POSTGRES_SETTINGS: &str = "listen_addresses=127.0.0.1 unix_socket_directories= \
    max_connections=400 shared_buffers=32MB dynamic_shared_memory_type=mmap jit=off autovacuum=on \
    max_wal_size=256MB wal_level=minimal max_wal_senders=0 lc_messages=C";

/// Settings that trade safety for speed: what a crash of the machine would lose is never looked at.
const POSTGRES_FAST: &str = "fsync=off synchronous_commit=off full_page_writes=off";

/// Settings under which a commit that was answered survives a crash.
const POSTGRES_DURABLE: &str = "fsync=on synchronous_commit=on full_page_writes=on";

/// The parent of a server: `sh -c WATCHDOG watchdog <name> <end signal> <server script> <bin dir>`.
///
/// It makes a private directory and prints its path, then obeys one order per line and answers
/// each with `done`. The server script runs in the directory, with `$port` and `$bin` set, writes
/// to the file `log` and must end in an `exec`, so that `$!` is the server.
///
/// At the end it repeats the end signal until the server is gone. A shell ignores `QUIT` in its
/// background, so an `initdb` that is at work finishes first: killed half way it would leave
/// shared memory behind.
const WATCHDOG: &str = r#"
trap : HUP INT TERM PIPE
dir=$(mktemp -d "${TMPDIR:-/tmp}/backchannel-$1.XXXXXX") ||
    dir=$(mktemp -d "/tmp/backchannel-$1.XXXXXX") || exit 1
cd "$dir" || exit 1
echo "$dir"
name=$1 end=$2 script=$3 bin=$4 server=
while read -r order argument; do
    case $order in
    start)
        : >log
        (port=$argument; eval "$script") >>log 2>&1 </dev/null &
        server=$! ;;
    signal)
        kill -s "$argument" "$server" ;;
    stop)
        kill -s "$argument" "$server"
        wait "$server"
        server= ;;
    esac
    echo done
done
tries=0
while [ -n "$server" ] && kill -s "$end" "$server"; do
    tries=$((tries + 1))
    [ "$tries" -lt 200 ] || end=KILL
    sleep 0.02
done
cd /
for attempt in 1 2 3 4 5; do
    rm -rf "$dir" && break
    sleep 0.1
done
"#;

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

    /// Runs one statement on a connection of its own, in Postgres' own protocol, version 3.
    async fn execute(&self, statement: &str) -> Result<(), String> {
        let failed = |error: std::io::Error| error.to_string();
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.server.port))
            .await
            .map_err(failed)?;
        let startup = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        connection
            .write_all(&framed(startup))
            .await
            .map_err(failed)?;
        until_ready(&mut connection).await?;
        let mut query = vec![b'Q'];
        query.extend(framed(&[statement.as_bytes(), b"\0"].concat()));
        connection.write_all(&query).await.map_err(failed)?;
        until_ready(&mut connection).await
    }
}

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

    /// Shuts the server down in an orderly way and waits until it is gone.
    pub(crate) fn stop(&self) {
        self.server.order("stop TERM");
    }

    /// Starts the server again after [`Self::kill`] or [`Self::stop`], on the same port and empty.
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

/// What distinguishes one kind of server from another.
#[derive(Debug)]
struct Kind {
    name: &'static str,
    /// Starts the server, in the sense of [`WATCHDOG`].
    script: String,
    /// Where its programs are.
    bin: PathBuf,
    /// The user and group to run as, where that is not our own.
    user: Option<(u32, u32)>,
    /// Ends the server quickly and for certain.
    end_signal: &'static str,
    /// What its log says once it accepts connections.
    ready: &'static str,
    /// What its log says when somebody else has the port.
    port_taken: &'static str,
}

/// How an attempt to start a server went.
#[derive(Debug, PartialEq, Eq)]
enum Started {
    Ready,
    PortTaken,
}

/// One server process under its watchdog; dropping it ends the server and removes its files.
#[derive(Debug)]
struct Server {
    watchdog: Mutex<Watchdog>,
    name: &'static str,
    ready: &'static str,
    port_taken: &'static str,
    directory: PathBuf,
    port: u16,
}

/// The shell that owns a server, and our two ends of its pipes.
#[derive(Debug)]
struct Watchdog {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

impl Server {
    async fn launch(kind: &Kind) -> Self {
        let mut command = Command::new("sh");
        command
            .args(["-c", WATCHDOG, "watchdog", kind.name, kind.end_signal, &kind.script])
            .arg(&kind.bin)
            .env("LC_ALL", "C.UTF-8")
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // A group of its own: Ctrl-C and a test runner's group kill pass the watchdog by.
            .process_group(0);
        if let Some((uid, gid)) = kind.user {
            command.uid(uid).gid(gid);
        }
        let mut shell = command.spawn().expect("`sh` starts");
        let mut answers = BufReader::new(shell.stdout.take().expect("stdout is a pipe"));
        let mut directory = String::new();
        answers
            .read_line(&mut directory)
            .expect("the watchdog prints its directory");
        assert!(
            !directory.is_empty(),
            "no temporary directory could be made for {}",
            kind.name
        );

        let mut server = Self {
            watchdog: Mutex::new(Watchdog { shell, answers }),
            name: kind.name,
            ready: kind.ready,
            port_taken: kind.port_taken,
            directory: PathBuf::from(directory.trim_end()),
            port: 0,
        };
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port();
            if server.start().await == Started::Ready {
                return server;
            }
        }
        panic!(
            "{} found no free port in {PORT_ATTEMPTS} attempts\n{}",
            kind.name,
            server.log_tail()
        );
    }

    async fn start_again(&self) {
        assert_eq!(
            self.start().await,
            Started::Ready,
            "port {} of {} was taken by another process meanwhile",
            self.port,
            self.name
        );
    }

    /// Starts the process and waits until it accepts connections.
    ///
    /// The log decides and a connection confirms: with the log alone nothing is known to answer,
    /// with a connection alone it may be somebody else's server that does.
    async fn start(&self) -> Started {
        self.order(&format!("start {}", self.port));
        let deadline = Instant::now() + START_LIMIT;
        loop {
            let log = self.log();
            if log.contains(self.port_taken) {
                return Started::PortTaken;
            }
            if log.contains(self.ready)
                && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))
                    .await
                    .is_ok()
            {
                return Started::Ready;
            }
            assert!(
                !log.contains("initdb failed"),
                "initdb failed\n{}",
                self.log_tail()
            );
            assert!(
                Instant::now() < deadline,
                "{} did not accept connections within {START_LIMIT:?}\n{}",
                self.name,
                self.log_tail()
            );
            sleep(POLL).await;
        }
    }

    /// Gives the watchdog an order and waits until it is carried out, which takes milliseconds.
    fn order(&self, order: &str) {
        let mut watchdog = self.watchdog.lock().expect("no order panicked half way");
        let Watchdog { shell, answers } = &mut *watchdog;
        let orders = shell.stdin.as_mut().expect("stdin is a pipe");
        writeln!(orders, "{order}").expect("the watchdog listens");
        let mut answer = String::new();
        answers
            .read_line(&mut answer)
            .expect("the watchdog answers");
        assert_eq!(
            answer, "done\n",
            "the watchdog of {} refused {order:?}",
            self.name
        );
    }

    fn log(&self) -> String {
        let log = std::fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// The end of the server's log, for a panic message.
    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines[lines.len().saturating_sub(20)..].join("\n");
        format!("The log of {} ends:\n{tail}", self.name)
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        // Waiting closes the pipe first. That the shell is already gone is nobody's loss here.
        drop(self.shell.wait());
    }
}

/// A port that nobody listens on at this moment.
///
/// Ports from 32768 are left to outgoing connections: one of those could sit on the port while its
/// server is down. Another process may still be faster; then the server's log says so.
fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    let start = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST)
        .map(|port| u16::try_from(port).expect("the range ends below 65536"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of 12,000 ports is free")
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

/// The directory of `redis-server`.
fn redis_bin() -> PathBuf {
    program_directory("redis-server")
        .unwrap_or_else(|| missing("the Redis server (redis-server)", "redis-server"))
}

/// Fails the test with what to install; a test without its server is never skipped.
fn missing(what: &str, package: &str) -> ! {
    panic!(
        "These tests run against real servers, and {what} is not installed. `scripts/test` \
         installs what is missing and runs the tests; to install it yourself on Debian: \
         `apt-get install {package}`."
    )
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

/// A message of the Postgres protocol after its type byte: its length, then its body.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("messages are short");
    [&length.to_be_bytes(), body].concat()
}

/// Reads messages until Postgres waits for the next query (`Z`); an error (`E`) becomes text.
async fn until_ready(connection: &mut TcpStream) -> Result<(), String> {
    let mut outcome = Ok(());
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
            b'Z' => return outcome,
            _ => {}
        }
    }
}
