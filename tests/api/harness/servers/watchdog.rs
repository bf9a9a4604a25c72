//! A server process under a shell that outlives us just long enough to end it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

/// How long a server may take to accept connections, `initdb` included.
const START_LIMIT: Duration = Duration::from_mins(1);

/// How often a starting server is looked at.
const POLL: Duration = Duration::from_millis(5);

/// How many ports are tried before giving up.
const PORT_ATTEMPTS: u32 = 20;

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

/// What distinguishes one kind of server from another.
#[derive(Debug)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    /// Starts the server, in the sense of [`WATCHDOG`].
    pub(super) script: String,
    /// Where its programs are.
    pub(super) bin: PathBuf,
    /// The user and group to run as, where that is not our own.
    pub(super) user: Option<(u32, u32)>,
    /// Ends the server quickly and for certain.
    pub(super) end_signal: &'static str,
    /// What its log says once it accepts connections.
    pub(super) ready: &'static str,
    /// What its log says when somebody else has the port.
    pub(super) port_taken: &'static str,
}

/// How an attempt to start a server went.
#[derive(Debug, PartialEq, Eq)]
enum Started {
    Ready,
    PortTaken,
}

/// One server process under its watchdog; dropping it ends the server and removes its files.
#[derive(Debug)]
pub(super) struct Server {
    watchdog: Mutex<Watchdog>,
    name: &'static str,
    ready: &'static str,
    port_taken: &'static str,
    directory: PathBuf,
    pub(super) port: u16,
}

/// The shell that owns a server, and our two ends of its pipes.
#[derive(Debug)]
struct Watchdog {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

impl Server {
    pub(super) async fn launch(kind: &Kind) -> Self {
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
            // Most end by themselves; coturn would go on trying.
            server.order(&format!("stop {}", kind.end_signal));
        }
        panic!(
            "{} found no free port in {PORT_ATTEMPTS} attempts\n{}",
            kind.name,
            server.log_tail()
        );
    }

    pub(super) async fn start_again(&self) {
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
    pub(super) fn order(&self, order: &str) {
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
    pub(super) fn log_tail(&self) -> String {
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
