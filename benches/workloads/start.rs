//! From the start of the process to the first acknowledged message, on a database with content.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::marker::Marker;
use crate::processes::{Meter, resident};
use crate::seed::World;
use crate::sends::Sender;
use crate::store::Place;
use crate::table::{Latencies, Outcome};
use crate::{PATIENCE, Result};

/// How often a client tries.
const TRY: Duration = Duration::from_millis(2);
/// How long the node is left alone before it is weighed.
const REST: Duration = Duration::from_secs(3);

pub(crate) async fn measure(place: &Place<'_>, world: &World) -> Result<Outcome> {
    let mut node = place.node();
    let conversation = &world.conversations[0];
    let token = &world.people[conversation.members[0]].token;
    let began = Instant::now();
    node.spawn()?;
    let meter = Meter::start(&node);
    loop {
        if let Ok(mut sender) = Sender::connect(node.address, token).await {
            sender.send(&conversation.id, Marker::now(1)).await?;
            break;
        }
        node.check()?;
        if began.elapsed() > PATIENCE {
            return Err("the node does not start".into());
        }
        sleep(TRY).await;
    }
    let (took, used) = (began.elapsed(), meter.stop());
    sleep(REST).await;
    let megabytes = resident(node.id()).map(|bytes| bytes / 1_024.0 / 1_024.0);
    node.stop().await?;
    let mut latencies = Latencies::default();
    latencies.record(u64::try_from(took.as_micros())?);
    Ok(Outcome::of("start to the first message", "start")
        .latencies(&latencies)
        .usage(1, used)
        .fact("MB resident", megabytes))
}
