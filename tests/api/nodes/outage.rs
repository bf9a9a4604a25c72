//! Redis dies, freezes, or cuts a node off, and comes back.

use crate::harness::servers::Outage;

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_dead_sends_ack_and_arrive_and_after_that_hints_pass_again() {
    survives(Outage::Killed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_redis_is_frozen_sends_ack_and_arrive_and_after_that_hints_pass_again() {
    survives(Outage::Frozen).await;
}

/// A message as its sender saw it.
struct Acked {
    seq: i64,
    took: Duration,
    at: Instant,
}

const LAST: &str = "the last one";

#[expect(clippy::print_stdout, reason = "figures for whoever reads the log")]
async fn survives(outage: Outage) {
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Outage", &[&bob]).await;
    let mut near = bob.follows(&room, Some(0)).await;
    let mut far = bob.on(&cluster.b).follows(&room, Some(0)).await;
    ann.sends(&room, "both streams are open").await;
    let before = [near.next().await, far.next().await];
    assert_eq!(seqs(&before), [1, 1]);
    let (stop, stopped) = watch::channel(false);
    let writing = tokio::spawn(write_until(stopped, ann.clone(), room.clone()));
    let reading = tokio::spawn(read_to_the_last(far));

    outage.begin(&cluster.redis);
    let began = Instant::now();
    cluster.has_redis(false).await;
    let noticed = began.elapsed();
    // A stream that is opened now, the first of its conversation on its node. Its first event
    // waits for its opening, too.
    let other = ann.makes_group("Opened in the outage", &[&bob]).await;
    let mut opened = bob.on(&cluster.b).follows(&other, Some(0)).await;
    let opened_took = latencies(&ann, &other, &mut opened, 3).await;
    sleep_until(began + OUTAGE).await;
    outage.end(&cluster.redis).await;
    let ended = Instant::now();
    cluster.has_redis(true).await;
    let healed = ended.elapsed();
    // Hints of the stream that was opened without Redis pass, too.
    hints_pass(&ann, &other, &mut opened).await;

    stop.send(true).expect("the writer goes on until told");
    let sent = writing.await.expect("every send is acknowledged");
    ann.sends(&room, LAST).await;
    let mut events = reading.await.expect("every event arrives");
    let (last, _) = events.pop().expect("the last one");
    let seen: Vec<i64> = events
        .iter()
        .map(|(event, _)| event["seq"].as_i64().expect("a number"))
        .collect();
    let acked: Vec<i64> = sent.iter().map(|sent| sent.seq).collect();
    assert_eq!(acked, first(sent.len() + 1)[1..]);
    assert_eq!(seen, acked, "each once, in order, none lost");
    let on_a = near.take(sent.len() + 1).await;
    assert_eq!(seqs(&on_a), first(sent.len() + 2)[1..]);
    assert_eq!(on_a.last(), Some(&last));

    let slowest_ack = sent.iter().map(|sent| sent.took).max().unwrap_or_default();
    let slowest = sent
        .iter()
        .zip(&events)
        .map(|(sent, (_, at))| at.saturating_duration_since(sent.at))
        .max()
        .unwrap_or_default();
    println!(
        "{} sent; outage noticed after {noticed:.1?}, healed after {healed:.1?}; slowest ack \
         {slowest_ack:.1?}, slowest arrival {slowest:.1?}, of a stream opened meanwhile {:.1?}",
        sent.len(),
        opened_took[opened_took.len() - 1],
    );
    assert!(slowest_ack < ACKED, "acknowledged after {slowest_ack:?}");
    assert!(slowest < UNHINTED, "arrived {slowest:?} after its ack");
    assert!(
        opened_took.iter().all(|took| *took < UNHINTED),
        "{opened_took:?}"
    );
    drop((near, opened));
    cluster.down().await;
}

async fn write_until(stopped: watch::Receiver<bool>, ann: Person, room: Room) -> Vec<Acked> {
    let mut pace = interval(Duration::from_millis(50));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = Vec::new();
    while !*stopped.borrow() {
        pace.tick().await;
        let started = Instant::now();
        let seq = ann.sends(&room, &format!("{}", sent.len() + 1)).await.seq;
        let at = Instant::now();
        sent.push(Acked {
            seq,
            took: at - started,
            at,
        });
    }
    sent
}

async fn read_to_the_last(mut stream: Following) -> Vec<(Value, Instant)> {
    let mut events = Vec::new();
    loop {
        let event = stream.next().await;
        let last = event["message"]["text"] == LAST;
        events.push((event, Instant::now()));
        if last {
            return events;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_subscription_redis_cuts_joins_again_and_loses_nothing() {
    let cluster = Cluster::up().await;
    let [ann, bob] = cluster.a.people(["Ann", "Bob"]).await;
    let room = ann.makes_group("Cut", &[&bob]).await;
    let far = bob.on(&cluster.b).follows(&room, Some(0)).await;
    let (stop, stopped) = watch::channel(false);
    let writing = tokio::spawn(write_until(stopped, ann.clone(), room.clone()));
    let reading = tokio::spawn(read_to_the_last(far));
    for _ in 0..5 {
        assert_eq!(
            command(&cluster.redis, "CLIENT KILL TYPE pubsub").await,
            ":2"
        );
        until("both nodes listen again", || async {
            let listening = command(&cluster.redis, "CLIENT LIST TYPE pubsub").await;
            listening.lines().count() == 2
        })
        .await;
        cluster.has_redis(true).await;
    }
    stop.send(true).expect("the writer goes on until told");
    let sent = writing.await.expect("every send is acknowledged");
    let last = ann.sends(&room, LAST).await.seq;
    let events: Vec<_> = reading
        .await
        .expect("every event arrives")
        .into_iter()
        .map(|(event, _)| event)
        .collect();
    assert_eq!(seqs(&events), first(sent.len() + 1));

    let mut stream = bob.on(&cluster.b).follows(&room, Some(last)).await;
    hints_pass(&ann, &room, &mut stream).await;
    drop(stream);
    cluster.down().await;
}
