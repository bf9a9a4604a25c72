//! Promises about accounts that want a quiet machine and minutes: `scripts/accounts` shows them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, interval};

use crate::codes::{REQUEST, RESET, SIGN_IN as WITH_CODE};
use crate::harness::mailbox::Mailbox;
use crate::harness::people::{PASSWORD, text};
use crate::harness::process::Process;
use crate::harness::servers::{Postgres, Redis};

/// Tries of each kind, for a known and an unknown recipient.
const TRIES: usize = 200;
/// How far medians may be apart.
const APART: Duration = Duration::from_millis(5);

const SIGN_IN: &str = "mutation($input: SignInInput!) { signIn(input: $input) { accessToken } }";

/// A process on each database.
async fn processes(settings: &[(&str, &str)]) -> [(&'static str, Process); 2] {
    let database = Postgres::shared().await.fresh_database().await;
    let redis = Redis::shared().await.url();
    let servers = [("DATABASE_URL", database.as_str()), ("REDIS_URL", &redis)];
    let mut processes = [
        ("SQLite", Process::new(settings)),
        (
            "Postgres and Redis",
            Process::new(&[settings, &servers[..]].concat()),
        ),
    ];
    for (_, process) in &mut processes {
        process.start().await;
    }
    processes
}

/// What a stranger gets, and how long it takes.
async fn asks(process: &Process, query: &str, input: Value) -> (Value, Duration) {
    let body = json!({ "query": query, "variables": { "input": input } });
    let began = Instant::now();
    let answer = process
        .node()
        .http
        .post(&process.url("/graphql"), None, &body)
        .await;
    let took = began.elapsed();
    (answer.json(), took)
}

/// What somebody tries who would like to know who has an account.
#[derive(Clone, Copy, Debug)]
enum Try {
    Password,
    AskFor(&'static str),
    Code,
    Reset,
}

impl Try {
    async fn of(self, process: &Process, email: &str) -> Duration {
        let ask = async |purpose: &str| {
            let (asked, took) = asks(
                process,
                REQUEST,
                json!({ "email": email, "purpose": purpose }),
            )
            .await;
            (text(&asked["data"]["requestCode"]["token"]), took)
        };
        match self {
            Self::Password => {
                let wrong = json!({ "email": email, "password": "not the password" });
                asks(process, SIGN_IN, wrong).await.1
            }
            Self::AskFor(purpose) => ask(purpose).await.1,
            Self::Code => {
                let (token, _) = ask("SIGN_IN").await;
                asks(
                    process,
                    WITH_CODE,
                    json!({ "token": token, "code": "000000" }),
                )
                .await
                .1
            }
            Self::Reset => {
                let (token, _) = ask("RESET_PASSWORD").await;
                let guess = json!({ "token": token, "code": "000000", "newPassword": PASSWORD });
                asks(process, RESET, guess).await.1
            }
        }
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() * percent / 100).min(times.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes on a quiet machine: scripts/accounts"]
#[expect(clippy::print_stdout, reason = "the figures are of interest")]
async fn the_time_of_an_answer_does_not_tell_who_has_an_account() {
    let mailbox = Mailbox::open().await;
    let all = [
        Try::Password,
        Try::AskFor("REGISTER"),
        Try::AskFor("SIGN_IN"),
        Try::AskFor("RESET_PASSWORD"),
        Try::Code,
        Try::Reset,
    ];
    for (name, process) in processes(&[("OTP_WEBHOOK_URL", &mailbox.url)]).await {
        let ann = process.person("Ann").await;
        for one in all {
            let (mut known, mut unknown) = (Vec::new(), Vec::new());
            for n in 0..TRIES {
                // Another recipient each time, as nobody guesses at one for long.
                known.push(one.of(&process, &ann.email).await);
                unknown.push(one.of(&process, &format!("nobody{n}@example.com")).await);
            }
            let (known, unknown) = (median(known), median(unknown));
            println!(
                "{name}: {one:?}: {known:?} where there is an account, {unknown:?} where there is none"
            );
            assert!(known.abs_diff(unknown) < APART, "{name}: {one:?}");
        }
    }
}

/// Pace of messages and of sign-ins, and how long each phase takes.
const MESSAGES: Duration = Duration::from_millis(20);
const SIGN_INS: Duration = Duration::from_millis(50);
const ALONE: Duration = Duration::from_secs(20);
const BESIDE: Duration = Duration::from_secs(60);
/// What 99 of 100 messages may take to the one who listens.
const PROMISED: Duration = Duration::from_millis(150);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it takes minutes on a quiet machine: scripts/accounts"]
#[expect(clippy::print_stdout, reason = "the figures are of interest")]
async fn sign_ins_hold_no_messages_up() {
    for (name, process) in processes(&[]).await {
        let [ann, bob, cleo] = [
            process.person("Ann").await,
            process.person("Bob").await,
            process.person("Cleo").await,
        ];
        let room = ann.makes_group("Room", &[&bob]).await;
        let mut stream = bob.follows(&room, Some(0)).await;
        for (phase, sign_ins) in [(ALONE, false), (BESIDE, true)] {
            let signing_in = tokio::spawn({
                let cleo = cleo.with_connections_of_their_own();
                async move {
                    let mut due = interval(SIGN_INS);
                    loop {
                        due.tick().await;
                        let cleo = cleo.clone();
                        if sign_ins {
                            tokio::spawn(async move { cleo.signs_in_again().await });
                        }
                    }
                }
            });
            let count = usize::try_from(phase.as_millis() / MESSAGES.as_millis()).expect("it fits");
            let sending = tokio::spawn({
                let (ann, room) = (ann.clone(), room.clone());
                async move {
                    let (mut due, mut sent) = (interval(MESSAGES), Vec::with_capacity(count));
                    for n in 0..count {
                        due.tick().await;
                        sent.push(Instant::now());
                        let (ann, room) = (ann.clone(), room.clone());
                        tokio::spawn(async move { ann.sends(&room, &n.to_string()).await });
                    }
                    sent
                }
            });
            let mut seen = Vec::with_capacity(count);
            for _ in 0..count {
                let event = stream.next().await;
                let n: usize = text(&event["message"]["text"]).parse().expect("a number");
                seen.push((n, Instant::now()));
            }
            let sent = sending.await.expect("no panic");
            signing_in.abort();
            let mut took: Vec<_> = seen.iter().map(|(n, at)| *at - sent[*n]).collect();
            let (half, most) = (percentile(&mut took, 50), percentile(&mut took, 99));
            let beside = if sign_ins {
                "beside 20 sign-ins a second"
            } else {
                "alone"
            };
            println!("{name}: {count} messages {beside}: p50 {half:?}, p99 {most:?}");
            assert!(most < PROMISED, "{name} {beside}: {most:?}");
        }
    }
}
