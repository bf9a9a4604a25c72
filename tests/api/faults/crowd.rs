//! Those who write and read.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use crate::harness::caller::{Caller, World};

use super::chaos::Cluster;
use super::reader::{Follows, Reader};
use super::sender::Sender;
use super::{dice, say};

/// How much goes on.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) readers: usize,
    pub(super) senders: usize,
    pub(super) rooms: usize,
    /// Messages a second, of all senders together.
    pub(super) rate: u32,
}

/// How many conversations somebody who follows all of theirs is in.
const MEMBERSHIPS: usize = 2;
/// How many register at a time: checking passwords is work for the whole machine.
const REGISTERING: usize = 4;

pub(super) struct Crowd {
    pub(super) senders: Vec<Sender>,
    pub(super) readers: Vec<Reader>,
    /// A member of every conversation, who checks.
    pub(super) auditor: Caller,
}

/// What readers must have seen to be up to date.
pub(super) struct Heads(Vec<AtomicI64>);

impl Heads {
    /// Notes that the message at `seq` was acknowledged.
    pub(super) fn raise(&self, room: usize, seq: i64) {
        self.0[room].fetch_max(seq, Ordering::Relaxed);
    }

    /// The last position of a conversation that was acknowledged.
    pub(super) fn of(&self, room: usize) -> i64 {
        self.0[room].load(Ordering::Relaxed)
    }
}

impl Crowd {
    pub(super) async fn gather(cluster: &Cluster, load: Load, seed: u64) -> Self {
        let Load {
            readers,
            senders,
            rooms,
            ..
        } = load;
        say(&format!("{} people register", senders + readers));
        let stranger = Caller::new(cluster.endpoints());
        let people = stream::iter(0..senders + readers).map(|n| {
            let mut caller = stranger.clone();
            caller.at = n % caller.nodes.len();
            async move {
                let id = caller.register(&format!("p{n}")).await;
                (caller, id)
            }
        });
        let (mut callers, ids): (Vec<_>, Vec<_>) = people.buffered(REGISTERING).unzip().await;

        let follows: Vec<_> = (0..readers).map(|n| follows(n, rooms)).collect();
        let mut world = World {
            may_fail: true,
            ..World::default()
        };
        for room in 0..rooms {
            let present = (0..readers).filter(|n| follows[*n].rooms().contains(&room));
            let members = (1..senders).chain(present.map(|n| senders + n));
            let members: Vec<_> = members.map(|n| ids[n].clone()).collect();
            world.rooms.push(callers[0].make_room(&members).await);
        }
        let world = Arc::new(world);
        let heads = Arc::new(Heads((0..rooms).map(|_| AtomicI64::new(0)).collect()));
        for caller in &mut callers {
            caller.world = Arc::clone(&world);
        }
        let auditor = callers[0].clone();
        // Those who kill are choosers, too.
        let mut dice = (10..).map(|chooser| dice(seed, chooser));
        let mut dice = || dice.next().expect("there is always another");
        let readers = callers
            .split_off(senders)
            .into_iter()
            .zip(follows)
            .map(|(caller, follows)| Reader::new(caller, dice(), Arc::clone(&heads), follows));
        let readers = join_all(readers.map(Reader::gets_ready)).await;
        let senders = callers
            .into_iter()
            .enumerate()
            .map(|(n, caller)| Sender::new(n, caller, dice(), Arc::clone(&heads)))
            .collect();
        Self {
            senders,
            readers,
            auditor,
        }
    }
}

/// What the reader follows; half of them everything that is theirs.
fn follows(reader: usize, rooms: usize) -> Follows {
    let first = reader / 2;
    if reader.is_multiple_of(2) {
        Follows::Conversation(first % rooms)
    } else {
        let rooms = (first..first + MEMBERSHIPS).map(|room| room % rooms);
        Follows::Viewer(rooms.collect())
    }
}
