//! Sends to a conversation that somebody else holds, as another node would: here, a session of
//! the test's own.

use tokio::task::JoinHandle;

use crate::harness::servers::{Postgres, Session};
use crate::harness::until;

use super::*;

/// A node on a database that the test can lock behind its back.
pub(super) struct Stage {
    pub(super) app: App,
    database: String,
}

impl Stage {
    pub(super) async fn set() -> Self {
        let database = Postgres::shared().await.fresh_database().await;
        let app = App::with(&[("DATABASE_URL", &database)]).await;
        Self { app, database }
    }

    /// A node whose connections go another way than the test's.
    pub(super) async fn set_behind(database: String, url: &str) -> Self {
        let app = App::with(&[("DATABASE_URL", url)]).await;
        Self { app, database }
    }

    pub(super) async fn session(&self) -> Session {
        Postgres::shared().await.session(&self.database).await
    }

    /// Holds rows until [`gives_back`].
    pub(super) async fn holds(&self, rows: &str) -> Session {
        let mut session = self.session().await;
        let lock = format!("BEGIN; SELECT FROM {rows} FOR UPDATE");
        session.execute(&lock).await.expect("the rows are locked");
        session
    }

    /// Waits until so many transactions wait for a lock.
    pub(super) async fn are_waiting(&self, count: usize) {
        // A division by zero tells without reading rows that they do not wait.
        let sql = format!(
            "SELECT 1 / (count(*) >= {count})::int FROM pg_stat_activity \
             WHERE datname = current_database() AND wait_event_type = 'Lock'"
        );
        until("they wait for a lock", || async {
            self.session().await.execute(&sql).await.is_ok()
        })
        .await;
    }

    /// Sends, and waits until the node has it queued behind what is under way.
    pub(super) async fn queues(
        &self,
        send: impl Future<Output = Value> + Send + 'static,
    ) -> Sending {
        let queued = self.app.domain.waiting_sends();
        let sending = tokio::spawn(send);
        until("the send is queued", || async {
            self.app.domain.waiting_sends() == queued + 1
        })
        .await;
        sending
    }
}

pub(super) type Sending = JoinHandle<Value>;

pub(super) async fn gives_back(mut session: Session) {
    session
        .execute("COMMIT")
        .await
        .expect("the lock is given back");
}

pub(super) fn send(
    person: &Person,
    room: &Room,
    text: &str,
    key: Option<&str>,
) -> impl Future<Output = Value> + use<> {
    attempt(
        person.clone(),
        room.clone(),
        text.to_owned(),
        key.map(str::to_owned),
    )
}

pub(super) async fn answered(sending: Sending) -> Result<Sent, String> {
    outcome(&sending.await.expect("the sender does not panic"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_together_commits_together_and_the_bad_fail_alone() {
    let stage = Stage::set().await;
    let [ann, bob, eve] = stage.app.people(["Ann", "Bob", "Eve"]).await;
    let members = json!({ "kind": "CHANNEL", "title": "Held", "memberIds": [bob.id] });
    let room = ann.makes(members).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    let session = stage.holds("conversations").await;
    stage.app.domain.statements().record();
    let first = tokio::spawn(send(&ann, &room, "first", Some("first")));
    stage.are_waiting(1).await;
    let mut queued = Vec::new();
    for n in 0..20 {
        queued.push(stage.queues(send(&ann, &room, &format!("{n}"), None)).await);
    }
    let twice = ["once", "once", "other"].map(|text| send(&ann, &room, text, Some("key")));
    let mut keyed = Vec::new();
    for send in twice {
        keyed.push(stage.queues(send).await);
    }
    let forbidden = stage.queues(send(&bob, &room, "no right", None)).await;
    let foreign = stage.queues(send(&eve, &room, "foreign", None)).await;
    let again = stage
        .queues(send(&ann, &room, "first", Some("first")))
        .await;

    gives_back(session).await;

    assert_eq!(answered(first).await.map(|sent| sent.seq), Ok(1));
    for (seq, sending) in (2..).zip(queued) {
        assert_eq!(answered(sending).await.map(|sent| sent.seq), Ok(seq));
    }
    let [one, same, other] = <[Sending; 3]>::try_from(keyed).expect("three");
    let one = answered(one).await;
    assert_eq!(one.as_ref().map(|sent| sent.seq), Ok(22));
    assert_eq!(answered(same).await, one);
    assert_eq!(answered(other).await, Err("CONFLICT".to_owned()));
    assert_eq!(answered(forbidden).await, Err("FORBIDDEN".to_owned()));
    assert_eq!(answered(foreign).await, Err("NOT_FOUND".to_owned()));
    assert_eq!(answered(again).await.map(|sent| sent.seq), Ok(1));
    assert_eq!(seqs(&stream.take(22).await), (1..=22).collect::<Vec<_>>());
    assert_eq!(ann.last_seq(&room).await, 22);
    let texts = stage.app.recorded_statements().await;
    let inserts = texts
        .iter()
        .filter(|sql| sql.contains(r#"INTO "messages""#));
    assert_eq!(inserts.count(), 2, "the first, and all that waited");
    drop(stream);
    stage.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_conversation_that_is_held_holds_up_no_other() {
    // As many commits as a node has at a time, slow ones included: half of its connections.
    const COMMITS: usize = 5;
    let stage = Stage::set().await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let room = async |title: &str| ann.makes_group(title, &[&bob]).await;
    let held = room("Held").await;
    let (mut busy, mut free) = (Vec::new(), Vec::new());
    for n in 0..COMMITS {
        busy.push(room(&format!("Busy {n}")).await);
        free.push(room(&format!("Free {n}")).await);
    }
    let mut stream = bob.follows(&held, Some(0)).await;
    let session = stage.holds("conversations WHERE title LIKE 'Busy%'").await;
    let other = stage.holds("conversations WHERE title = 'Held'").await;
    let mut first = Vec::new();
    for room in &busy {
        first.push(tokio::spawn(send(&ann, room, "first", None)));
    }
    stage.are_waiting(COMMITS).await;
    // These go together, since there is no commit left for them.
    let stuck = stage.queues(send(&ann, &held, "late", None)).await;
    let mut in_time = Vec::new();
    for room in &free {
        in_time.push(stage.queues(send(&ann, room, "in time", None)).await);
    }

    gives_back(session).await;
    for sending in first.into_iter().chain(in_time) {
        assert_eq!(answered(sending).await.map(|sent| sent.seq), Ok(1));
    }
    for seq in 2..5 {
        let sends = free.iter().map(|room| ann.sends(room, "in time"));
        let sent = join_all(sends).await;
        assert!(sent.iter().all(|sent| sent.seq == seq), "{sent:?}");
    }
    assert!(!stuck.is_finished(), "it waits still");

    gives_back(other).await;
    assert_eq!(answered(stuck).await.map(|sent| sent.seq), Ok(1));
    assert_eq!(seqs(&stream.take(1).await), [1]);
    drop(stream);
    stage.app.finish().await;
}

/// The statement that sends began when Bob was a member still, and saw him as one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_is_removed_while_the_send_waits_has_not_sent() {
    let stage = Stage::set().await;
    let [ann, bob, cleo] = stage.app.people(["Ann", "Bob", "Cleo"]).await;
    let room = ann.makes_group("Held", &[&bob, &cleo]).await;
    let mut stream = cleo.follows(&room, Some(0)).await;
    let session = stage.holds("conversations").await;
    let (by, from, whom) = (ann.clone(), room.clone(), bob.clone());
    let removing = tokio::spawn(async move { by.removes(&from, &whom).await });
    stage.are_waiting(1).await;
    let sending = tokio::spawn(send(&bob, &room, "too late", None));
    stage.are_waiting(2).await;

    gives_back(session).await;

    removing.await.expect("Bob is removed");
    assert_eq!(answered(sending).await, Err("NOT_FOUND".to_owned()));
    ann.sends(&room, "after").await;
    let events = stream.take(2).await;
    assert_eq!(seqs(&events), [1, 2]);
    assert_eq!(events[0]["__typename"], "MemberLeft");
    assert_eq!(events[1]["message"]["text"], "after");
    drop(stream);
    stage.app.finish().await;
}

/// The same for a block, for one send and for several that go together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_is_blocked_while_the_send_waits_has_not_sent() {
    let stage = Stage::set().await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let room = ann.makes_direct(&bob).await;
    let mut stream = ann.follows(&room, Some(0)).await;
    for is_alone in [true, false] {
        let session = stage.holds("conversations").await;
        let (by, whom) = (ann.clone(), bob.clone());
        let blocking = tokio::spawn(async move { by.blocks(&whom).await });
        stage.are_waiting(1).await;
        let first = tokio::spawn(send(&bob, &room, "too late", None));
        stage.are_waiting(2).await;
        let mut more = Vec::new();
        if !is_alone {
            more.push(stage.queues(send(&bob, &room, "later still", None)).await);
            more.push(stage.queues(send(&ann, &room, "hers", None)).await);
        }

        gives_back(session).await;

        blocking.await.expect("Bob is blocked");
        for sending in more.into_iter().chain([first]) {
            assert_eq!(answered(sending).await, Err("FORBIDDEN".to_owned()));
        }
        ann.unblocks(&bob).await;
    }
    ann.sends(&room, "after").await;
    let event = stream.next().await;
    assert_eq!(
        (&event["seq"], &event["message"]["text"]),
        (&json!(1), &json!("after"))
    );
    drop(stream);
    stage.app.finish().await;
}

/// The same for a right that comes: who inherits a channel may send there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_inherits_while_the_send_waits_has_sent() {
    let stage = Stage::set().await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let members = json!({ "kind": "CHANNEL", "title": "Held", "memberIds": [bob.id] });
    let room = ann.makes(members).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    let session = stage.holds("conversations").await;
    let (by, from) = (ann.clone(), room.clone());
    let leaving = tokio::spawn(async move { by.removes(&from, &by).await });
    stage.are_waiting(1).await;
    let sending = tokio::spawn(send(&bob, &room, "mine now", None));
    stage.are_waiting(2).await;

    gives_back(session).await;

    leaving.await.expect("Ann has left");
    assert_eq!(answered(sending).await.map(|sent| sent.seq), Ok(3));
    assert_eq!(seqs(&stream.take(3).await), [1, 2, 3]);
    drop(stream);
    stage.app.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_hangs_up_has_sent_all_the_same() {
    let stage = Stage::set().await;
    let [ann, bob] = stage.app.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Held", &[&bob]).await;
    let mut stream = bob.follows(&room, Some(0)).await;
    let session = stage.holds("conversations").await;
    let under_way = tokio::spawn(send(&ann, &room, "one", None));
    stage.are_waiting(1).await;
    let caller = ann.with_connections_of_their_own();
    let waiting = stage.queues(send(&caller, &room, "two", None)).await;

    for sending in [under_way, waiting] {
        sending.abort();
        assert!(sending.await.is_err(), "it was not answered");
    }
    gives_back(session).await;

    let events = stream.take(2).await;
    assert_eq!(events[0]["message"]["text"], "one");
    assert_eq!(events[1]["message"]["text"], "two");
    drop(stream);
    stage.app.finish().await;
}
