//! A crowd that comes back at once, each somewhat behind, while more is being sent.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::{try_join, try_join_all};
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep};

use crate::fanout::OPENING;
use crate::marker::{Marker, now};
use crate::node::Node;
use crate::processes::Meter;
use crate::seed::{Person, World};
use crate::sends::Sender;
use crate::socket::{Complaints, Listener, Subscription};
use crate::table::{Latencies, Outcome};
use crate::{PATIENCE, Result};

/// How many messages everybody has seen beforehand, and has missed.
const SEEN: u64 = 5;
const MISSED: u64 = 20;
/// Between two messages while they come back.
const GAP: Duration = Duration::from_millis(200);
/// How long messages go on when all are back.
const AFTERWARDS: Duration = Duration::from_secs(1);
/// How long the node is left alone after they have gone.
const REST: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(2);

pub(crate) async fn measure(node: &Node, world: &World) -> Result<Outcome> {
    let complaints = Rc::new(Complaints::default());
    let mut sender = Sender::connect(node.address, &world.people[0].token).await?;
    let mut number = 0;
    let mut send = async || {
        number += 1;
        sender.send(&world.everybody, Marker::now(number)).await
    };
    let seen = {
        let people = stream::iter(&world.people);
        let opening = people.map(|person| open(node, world, person, None, &complaints, |_| {}));
        let listeners: Vec<_> = opening.buffered(OPENING).try_collect().await?;
        let mut last = 0;
        for _ in 0..SEEN {
            last = send().await?;
        }
        all_at(&listeners, last).await?;
        complaints.check()?;
        last
    };
    sleep(REST).await;
    for _ in 0..MISSED {
        send().await?;
    }

    let (meter, began) = (Meter::start(node), now());
    let latencies = Rc::new(RefCell::new(Latencies::default()));
    let back = Cell::new(false);
    let coming = async {
        let coming = world.people.iter().map(|person| {
            let latencies = Rc::clone(&latencies);
            let hears = move |marker: Marker| {
                if marker.number == SEEN + MISSED {
                    latencies.borrow_mut().record(now() - began);
                }
            };
            open(node, world, person, Some(seen), &complaints, hears)
        });
        let listeners = try_join_all(coming).await?;
        all_at(&listeners, seen + MISSED).await?;
        let (took, used) = (now() - began, meter.stop());
        sleep(AFTERWARDS).await;
        back.set(true);
        Result::Ok((listeners, took, used))
    };
    let going_on = async {
        let mut last = 0;
        while !back.get() {
            last = send().await?;
            sleep(GAP).await;
        }
        Result::Ok(last)
    };
    let ((listeners, took, used), last) = try_join(coming, going_on).await?;
    all_at(&listeners, last).await?;
    // A repeat would come about now.
    sleep(AFTERWARDS).await;
    complaints.check()?;
    let latencies = latencies.take();
    if latencies.count() != world.people.len() as u64 {
        return Err(format!("{} had what they missed", latencies.count()).into());
    }
    Ok(Outcome::of("storm, 1,000 resume 20 each", "client")
        .latencies(&latencies)
        .usage(latencies.count(), used)
        .fact("all back after ms", Some(took as f64 / 1_000.0))
        .fact("lost or repeated", Some(0.0)))
}

async fn open(
    node: &Node,
    world: &World,
    person: &Person,
    after: Option<u64>,
    complaints: &Rc<Complaints>,
    hears: impl Fn(Marker) + 'static,
) -> Result<Listener> {
    let (token, everybody) = (&person.token, &world.everybody);
    let subscription = Subscription::open(node.address, token, everybody, after).await?;
    Ok(subscription.listen(complaints, hears))
}

/// Waits until all have heard of a position.
async fn all_at(listeners: &[Listener], position: u64) -> Result<()> {
    let began = Instant::now();
    let is_behind = |listener: &&Listener| listener.last() < Some(position);
    loop {
        let behind = listeners.iter().filter(is_behind).count();
        if behind == 0 {
            return Ok(());
        }
        if began.elapsed() > PATIENCE {
            return Err(format!("{behind} subscribers lack what was sent").into());
        }
        sleep(LOOK).await;
    }
}
