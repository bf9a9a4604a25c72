//! The binary as an operator meets it: settings, commands, and how it starts and stops.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use backchannel::Api;
use backchannel::config::settings_markdown;
use serde_json::{Value, json};

use crate::harness::PATIENCE;
use crate::harness::clients::{Ended, Http, Socket};
use crate::harness::people::{EVENTS, PASSWORD, text};

/// The binary with these settings and nothing else of the environment.
fn backchannel(arguments: &[&str], settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_backchannel"));
    command
        .args(arguments)
        .env_clear()
        .envs(settings.iter().copied())
        .stdin(Stdio::null());
    command
}

/// Runs it to its end.
fn run(arguments: &[&str], settings: &[(&str, &str)]) -> Output {
    backchannel(arguments, settings)
        .output()
        .expect("the binary runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// A server of the binary's own, killed when the test is over.
struct Server {
    process: Child,
    output: BufReader<ChildStdout>,
    log: String,
    url: String,
}

impl Server {
    /// Starts it and waits until it listens.
    fn start(arguments: &[&str], data: &Path, settings: &[(&str, &str)]) -> Self {
        let data = data.display().to_string();
        let process = backchannel(arguments, settings)
            .env("DATA_DIR", data)
            .env("PORT", "0")
            .env("HOST", "127.0.0.1")
            .stdout(Stdio::piped())
            .spawn();
        let mut process = process.expect("the binary runs");
        let output = BufReader::new(process.stdout.take().expect("a pipe"));
        let mut server = Self {
            process,
            output,
            log: String::new(),
            url: String::new(),
        };
        let port = loop {
            let line = server.line();
            if let Some((_, port)) = line.split_once("port=") {
                break port.split_whitespace().next().expect("a number").to_owned();
            }
        };
        server.url = format!("http://127.0.0.1:{port}/graphql");
        server
    }

    /// The next line of its output.
    fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("UTF-8");
        assert!(read > 0, "it went on: {}", self.log);
        self.log.push_str(&line);
        line
    }

    /// Sends SIGTERM and waits: its exit code, how long it took, and all it has written.
    fn terminate(mut self) -> (Option<i32>, Duration, String) {
        let pid = self.process.id().to_string();
        let began = Instant::now();
        let killed = Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("`kill` runs");
        assert!(killed.success());
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).expect("UTF-8");
        let status = self.process.wait().expect("it ends");
        (
            status.code(),
            began.elapsed(),
            std::mem::take(&mut self.log) + &rest,
        )
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already, where the test went well.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn ask(server: &Server, token: Option<&str>, query: &str, variables: Value) -> Value {
    let body = json!({ "query": query, "variables": variables });
    Http::new().post(&server.url, token, &body).await.json()
}

#[test]
fn the_readme_names_every_setting_as_the_code_does() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md"));
    let readme = readme.expect("README.md is there");
    let (_, rest) = readme
        .split_once("<!-- settings -->")
        .expect("the table begins with <!-- settings -->");
    let (table, _) = rest
        .split_once("<!-- /settings -->")
        .expect("the table ends with <!-- /settings -->");
    assert_eq!(
        table.trim(),
        settings_markdown().trim(),
        "copy it from `settings_markdown()`"
    );
}

#[test]
fn check_config_names_all_mistakes_at_once() {
    let secret = "not to be shown";
    let settings = [
        ("PORT", "70000"),
        ("JWT_ACCESS_EXPIRES_IN", "soon"),
        ("DATABASE_URL", "mysql://root:hunter2@localhost/x"),
        ("ALLOWED_ORIGINS", "https://fine.example,nonsense"),
        ("JWT_SECRET", secret),
        ("LOG_FORMAT", "xml"),
        ("BACKCHANNEL_ENV", "production"),
        ("RATE_LIMITS", "off"),
    ];
    for command in ["check-config", "serve", "migrate"] {
        let output = run(&[command], &settings);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let mistakes = stderr(&output);
        for name in [
            "PORT",
            "JWT_ACCESS_EXPIRES_IN",
            "DATABASE_URL",
            "ALLOWED_ORIGINS",
            "JWT_SECRET",
            "LOG_FORMAT",
            "RATE_LIMITS",
        ] {
            let lines = mistakes.lines().filter(|line| line.starts_with(name));
            assert_eq!(lines.count(), 1, "{command}, {name}: {mistakes}");
        }
        assert_eq!(mistakes.lines().count(), 7, "{mistakes}");
        assert!(
            !mistakes.contains(secret) && !mistakes.contains("hunter2"),
            "{mistakes}"
        );
        assert_eq!(stdout(&output), "", "{command}");
    }
}

#[test]
fn check_config_shows_what_holds_and_no_secret() {
    let secret = "a secret of thirty-two bytes or more";
    let url = "postgres://me:hunter2@db.example/x";
    let settings = [("JWT_SECRET", secret), ("DATABASE_URL", url)];
    let output = run(&["check-config", "--port", "4321"], &settings);
    assert!(output.status.success());
    let shown = stdout(&output);
    for line in [
        "PORT = 4321  (from: flag)",
        "JWT_SECRET = set  (from: environment)",
    ] {
        assert!(shown.lines().any(|one| one == line), "{shown}");
    }
    assert!(
        !shown.contains(secret) && !shown.contains("hunter2"),
        "{shown}"
    );
    assert!(shown.contains("db.example"), "{shown}");
}

#[test]
fn production_does_not_start_without_a_secret() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().join("data").display().to_string();
    for secret in ["", "31 bytes are one byte too few.."] {
        let settings = [
            ("BACKCHANNEL_ENV", "production"),
            ("DATA_DIR", directory.as_str()),
            ("PORT", "0"),
            ("JWT_SECRET", secret),
        ];
        let output = run(&[], &settings);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            stderr(&output).starts_with("JWT_SECRET "),
            "{}",
            stderr(&output)
        );
        assert_eq!(stderr(&output).lines().count(), 1);
        assert!(secret.is_empty() || !stderr(&output).contains(secret));
        assert!(!Path::new(&directory).exists(), "nothing was made");
    }
}

#[test]
fn the_secret_of_older_servers_must_be_another_than_ours() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().display().to_string();
    let secret = "a secret that two kinds of servers would share";
    let settings = [
        ("DATA_DIR", directory.as_str()),
        ("PORT", "0"),
        ("JWT_SECRET", secret),
        ("LEGACY_JWT_SECRET", secret),
    ];
    for command in ["serve", "check-config"] {
        let output = run(&[command], &settings);
        assert_eq!(output.status.code(), Some(2), "{command}");
        let error = stderr(&output);
        assert!(error.starts_with("LEGACY_JWT_SECRET "), "{error}");
        assert!(!error.contains(secret), "{error}");
    }
    // Nor may it be the one that the server has made for itself.
    std::fs::write(data.path().join("jwt_secret"), secret).expect("a kept secret");
    let output = run(&[], &[settings[0], settings[1], settings[3]]);
    assert_eq!(output.status.code(), Some(1));
    let error = stderr(&output);
    assert!(error.contains("LEGACY_JWT_SECRET"), "{error}");
    assert!(!error.contains(secret), "{error}");
}

#[test]
fn the_schema_can_be_had_without_a_server() {
    let output = run(&["schema"], &[("PORT", "nonsense")]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output).trim(), Api::sdl().trim());
    assert!(stdout(&output).contains("type Query {"));
}

#[test]
fn what_is_no_command_exits_with_2() {
    for arguments in [
        &["sevre"][..],
        &["--prot", "1"],
        &["migrate", "--demo"],
        &["serve", "extra"],
    ] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(
            !stderr(&output).is_empty() && output.stdout.is_empty(),
            "{arguments:?}"
        );
    }
    for flag in ["--help", "--version"] {
        assert!(run(&[flag], &[]).status.success(), "{flag}");
    }
}

#[test]
fn migrating_twice_is_as_good_as_once() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().join("new").display().to_string();
    for _ in 0..2 {
        let output = run(&["migrate"], &[("DATA_DIR", &directory)]);
        assert!(
            output.status.success(),
            "{}{}",
            stdout(&output),
            stderr(&output)
        );
        assert!(Path::new(&directory).join("backchannel.db").exists());
    }
}

#[test]
fn a_port_or_directory_that_cannot_be_had_is_named() {
    let data = tempfile::tempdir().expect("a directory");
    let directory = data.path().display().to_string();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("its address").port().to_string();
    let settings = [
        ("DATA_DIR", directory.as_str()),
        ("HOST", "127.0.0.1"),
        ("PORT", port.as_str()),
    ];
    let output = run(&[], &settings);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&port), "{}", stderr(&output));

    let output = run(&[], &[("DATA_DIR", "/proc/nowhere"), ("PORT", "0")]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("/proc/nowhere"),
        "{}",
        stderr(&output)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_busy_server_with_0_within_ten_seconds() {
    let data = tempfile::tempdir().expect("a directory");
    let server = Server::start(&["serve"], data.path(), &[]);
    let mut socket = Socket::open(&server.url, None).await;
    assert_eq!(
        ask(&server, None, "{ __typename }", Value::Null).await["data"]["__typename"],
        "Query"
    );
    let stopping = tokio::task::spawn_blocking(|| server.terminate());
    assert_eq!(socket.ended().await, Ended::Closed(1012));
    let ended = tokio::time::timeout(PATIENCE, stopping)
        .await
        .expect("in time");
    let (code, took, log) = ended.expect("no panic");
    assert_eq!(code, Some(0), "{log}");
    assert!(took < Duration::from_secs(10), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demo_is_made_once_and_then_left_as_it_is() {
    let data = tempfile::tempdir().expect("a directory");
    let look = "{ viewer { user { id } conversations { nodes { id title lastSeq messages { nodes { id text } } } } } }";
    let sign_in = "mutation($i: SignInInput!) { signIn(input: $i) { accessToken } }";
    let input =
        json!({ "i": { "email": "ann@example.com", "password": "correct horse battery staple" } });
    let mut seen = Vec::new();
    for _ in 0..2 {
        let server = Server::start(&["serve", "--demo"], data.path(), &[]);
        let session = ask(&server, None, sign_in, input.clone()).await;
        let token = text(&session["data"]["signIn"]["accessToken"]);
        let view = ask(&server, Some(&token), look, Value::Null).await;
        assert_eq!(
            view["data"]["viewer"]["conversations"]["nodes"]
                .as_array()
                .map(Vec::len),
            Some(3)
        );
        seen.push(view);
        let (code, _, log) = server.terminate();
        assert_eq!(code, Some(0), "{log}");
    }
    assert_eq!(seen[0], seen[1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn not_even_a_talkative_log_tells_a_secret() {
    let data = tempfile::tempdir().expect("a directory");
    for level in ["debug", "debug,sqlx=debug,sea_orm=debug"] {
        let server = Server::start(&[], data.path(), &[("LOG_LEVEL", level)]);
        let email = format!("{}@example.com", level.len());
        let register =
            "mutation($i: RegisterInput!) { register(input: $i) { accessToken refreshToken } }";
        let input =
            json!({ "i": { "email": email, "password": PASSWORD, "displayName": "Quiet" } });
        let session = ask(&server, None, register, input).await["data"]["register"].clone();
        let (token, refresh_token) = (
            text(&session["accessToken"]),
            text(&session["refreshToken"]),
        );
        let create = "mutation { createConversation(input: { kind: GROUP, memberIds: [] }) { conversation { id } } }";
        let made = ask(&server, Some(&token), create, Value::Null).await;
        let room = text(&made["data"]["createConversation"]["conversation"]["id"]);
        let mut socket = Socket::open(&server.url, Some(&token)).await;
        socket
            .subscribe("1", EVENTS, &json!({ "id": room, "after": 0 }))
            .await;
        let send = "mutation($i: SendMessageInput!) { sendMessage(input: $i) { message { id } } }";
        let input = json!({ "i": { "conversationId": room, "text": "between us" } });
        ask(&server, Some(&token), send, input).await;
        assert_eq!(socket.next().await.expect("the event")["type"], "next");
        let refresh = "mutation($i: RefreshSessionInput!) { refreshSession(input: $i) { accessToken refreshToken } }";
        let renewed = ask(
            &server,
            None,
            refresh,
            json!({ "i": { "refreshToken": refresh_token } }),
        )
        .await;
        let renewed = &renewed["data"]["refreshSession"];
        let (renewed_token, newest) = (
            text(&renewed["accessToken"]),
            text(&renewed["refreshToken"]),
        );
        let wrong = "mutation($i: SignInInput!) { signIn(input: $i) { accessToken } }";
        ask(
            &server,
            None,
            wrong,
            json!({ "i": { "email": email, "password": "a wrong password" } }),
        )
        .await;
        ask(
            &server,
            Some("a.bad.token"),
            "{ viewer { user { id } } }",
            Value::Null,
        )
        .await;
        let (code, _, log) = server.terminate();
        assert_eq!(code, Some(0));
        assert!(log.lines().count() > 3, "the log is there: {log}");
        let kept =
            std::fs::read_to_string(data.path().join("jwt_secret")).expect("the secret's file");
        for secret in [
            PASSWORD,
            &token,
            &refresh_token,
            &renewed_token,
            &newest,
            "a wrong password",
            "a.bad.token",
            "between us",
            kept.trim(),
        ] {
            let line = log.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "at {level}: {secret}");
        }
    }
}
