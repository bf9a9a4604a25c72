//! Sockets that are open and subscribed while nothing happens.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use tokio::time::{Instant, sleep};

use crate::fanout::OPENING;
use crate::marker::Marker;
use crate::node::Node;
use crate::processes::{Meter, open_files, resident};
use crate::seed::World;
use crate::sends::Sender;
use crate::socket::{Complaints, Listener, Subscription};
use crate::table::Outcome;
use crate::{OTHER_FILES, PATIENCE, Result};

const SOCKETS: usize = 5_000;
/// How many are opened and closed beforehand, so that nothing is done for the first time.
const BEFOREHAND: usize = 50;
/// How long the node is left alone before it is weighed.
const REST: Duration = Duration::from_secs(4);
/// How long nothing happens.
const IDLE: Duration = Duration::from_secs(10);

pub(crate) async fn measure(node: &Node, world: &World) -> Result<Outcome> {
    // Each is a file here, and one of the node.
    let limit = open_files().map_or(SOCKETS, |files| files - OTHER_FILES);
    let sockets = SOCKETS.min(limit);
    let heard = Rc::new(Cell::new(0));
    let complaints = Rc::new(Complaints::default());
    drop(open(node, world, BEFOREHAND, (&heard, &complaints)).await?);
    sleep(REST).await;
    let before = resident(node.id());
    let _open = open(node, world, sockets, (&heard, &complaints)).await?;
    sleep(REST).await;
    let grown = before.zip(resident(node.id()));
    let meter = Meter::start(node);
    sleep(IDLE).await;
    let used = meter.stop();
    // That all of them were subscribed, one message shows.
    let mut sender = Sender::connect(node.address, &world.people[0].token).await?;
    sender.send(&world.everybody, Marker::now(1)).await?;
    let sent = Instant::now();
    while heard.get() < sockets {
        complaints.check()?;
        if sent.elapsed() > PATIENCE {
            return Err(format!("{} of {sockets} sockets were subscribed", heard.get()).into());
        }
        sleep(Duration::from_millis(10)).await;
    }
    complaints.check()?;
    let each = grown.map(|(before, after)| (after - before) / sockets as f64 / 1_024.0);
    Ok(Outcome::of("idle, subscribed", "socket in 10 s")
        .usage(sockets as u64, used)
        .fact("kB each", each)
        .fact("sockets", Some(sockets as f64)))
}

/// Opens so many sockets, several of each user.
async fn open(
    node: &Node,
    world: &World,
    sockets: usize,
    (heard, complaints): (&Rc<Cell<usize>>, &Rc<Complaints>),
) -> Result<Vec<Listener>> {
    let people = world.people.iter().cycle().take(sockets);
    let opening = stream::iter(people).map(async |person| {
        let (token, everybody) = (&person.token, &world.everybody);
        let subscription = Subscription::open(node.address, token, everybody, None).await?;
        let heard = Rc::clone(heard);
        let hears = move |_| heard.set(heard.get() + 1);
        Result::Ok(subscription.listen(complaints, hears))
    });
    opening.buffered(OPENING).try_collect().await
}
