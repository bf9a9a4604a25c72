//! Those who follow, and resume on another node when they are cut off.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use proptest::prelude::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::harness::PATIENCE;
use crate::harness::caller::{Caller, Cut, RETRY};
use crate::harness::connection::Connection;

use super::Dice;
use super::crowd::Heads;
use super::sender::{Key, key};

const CONVERSATION: &str = "subscription($id: ID!, $after: Int) {
    conversationEvents(conversationId: $id, after: $after) {
        __typename conversationId seq at
        ... on MessageSent { message { clientMessageId } }
    }
}";
const VIEWER: &str = "subscription($after: Cursor) {
    viewerEvents(after: $after) {
        cursor
        event {
            __typename conversationId seq at
            ... on MessageSent { message { clientMessageId } }
        }
    }
}";

/// What a reader subscribes to.
pub(super) enum Follows {
    /// One conversation.
    Conversation(usize),
    /// All of the viewer's.
    Viewer(Vec<usize>),
}

impl Follows {
    pub(super) fn rooms(&self) -> &[usize] {
        match self {
            Self::Conversation(room) => std::slice::from_ref(room),
            Self::Viewer(rooms) => rooms,
        }
    }
}

/// An event that arrived.
pub(super) struct Seen {
    pub(super) room: usize,
    pub(super) seq: i64,
    pub(super) key: Key,
    pub(super) at: Instant,
    /// Of those the reader had, one after the other, the one that brought it.
    pub(super) connection: usize,
}

/// From being cut off until everything that had been acknowledged had arrived.
pub(super) struct Gap {
    /// The node it was on.
    pub(super) node: usize,
    pub(super) cut: Instant,
    pub(super) over: Instant,
}

pub(super) struct Reader {
    follows: Follows,
    caller: Caller,
    dice: Dice,
    heads: Arc<Heads>,
    /// The last position seen of each conversation, in the order of `follows`.
    last: Vec<i64>,
    /// The last cursor seen.
    cursor: Value,
    connections: usize,
    pub(super) seen: Vec<Seen>,
    pub(super) gaps: Vec<Gap>,
}

/// When and where it was cut off; once it is connected again also what it has to catch up with.
struct Behind {
    node: usize,
    cut: Instant,
    to: Option<Vec<i64>>,
}

impl Reader {
    pub(super) fn new(caller: Caller, dice: Dice, heads: Arc<Heads>, follows: Follows) -> Self {
        Self {
            last: vec![0; follows.rooms().len()],
            follows,
            caller,
            dice,
            heads,
            cursor: Value::Null,
            connections: 0,
            seen: Vec::new(),
            gaps: Vec::new(),
        }
    }

    pub(super) fn rooms(&self) -> &[usize] {
        self.follows.rooms()
    }

    pub(super) fn follows_all(&self) -> bool {
        matches!(self.follows, Follows::Viewer(_))
    }

    /// Learns where its stream begins: before everything that is sent from now on.
    pub(super) async fn gets_ready(mut self) -> Self {
        if self.follows_all() {
            let query = "{ viewer { eventCursor } }";
            let mut now = self.caller.insist(query, &json!({})).await;
            self.cursor = now["viewer"]["eventCursor"].take();
        }
        self
    }

    /// Reads until it has seen up to the end that it is told, once it is; or for a while longer.
    pub(super) async fn read(mut self, mut end: watch::Receiver<Option<Vec<i64>>>) -> Self {
        let mut told = end.clone();
        let too_late = async {
            let told = told.wait_for(Option::is_some).await;
            drop(told.expect("the end is told"));
            sleep(PATIENCE).await;
        };
        tokio::select! {
            () = self.read_to(&mut end) => {}
            () = too_late => {}
        }
        self
    }

    async fn read_to(&mut self, end: &mut watch::Receiver<Option<Vec<i64>>>) {
        let mut behind = None;
        while !self.is_at(end) {
            let node = self.caller.at;
            if let Ok(mut connection) = self.connect().await {
                self.connections += 1;
                if let Some(Behind { to, .. }) = &mut behind {
                    let rooms = self.rooms().iter();
                    *to = Some(rooms.map(|room| self.heads.of(*room)).collect());
                }
                loop {
                    self.catch_up(&mut behind);
                    if self.is_at(end) {
                        return;
                    }
                    tokio::select! {
                        data = connection.next(&self.caller.world) => match data {
                            Ok(data) => self.note(&data),
                            Err(Cut) => break,
                        },
                        told = end.changed() => told.expect("the end is told"),
                    }
                }
            }
            let cut = Instant::now();
            behind.get_or_insert(Behind {
                node,
                cut,
                to: None,
            });
            // To one of the others, and not all to the same.
            let nodes = self.caller.nodes.len();
            self.caller.at = (node + self.dice.random_range(1..nodes)) % nodes;
            sleep(RETRY).await;
        }
    }

    async fn connect(&self) -> Result<Connection, Cut> {
        let (query, variables) = match &self.follows {
            Follows::Conversation(room) => {
                let room = &self.caller.world.rooms[*room];
                (CONVERSATION, json!({ "id": room, "after": self.last[0] }))
            }
            Follows::Viewer(_) => (VIEWER, json!({ "after": self.cursor })),
        };
        let connection = Connection::open(&self.caller, true, query, &variables).await?;
        self.caller
            .world
            .connections
            .fetch_add(1, Ordering::Relaxed);
        Ok(connection)
    }

    fn note(&mut self, data: &Value) {
        let event = match &self.follows {
            Follows::Conversation(_) => &data["conversationEvents"],
            Follows::Viewer(_) => {
                self.cursor = data["viewerEvents"]["cursor"].clone();
                &data["viewerEvents"]["event"]
            }
        };
        let rooms = &self.caller.world.rooms;
        let mut followed = self.rooms().iter();
        let place = followed.position(|room| event["conversationId"] == rooms[*room]);
        let place = place.expect("a conversation that it is in");
        let seq = event["seq"].as_i64().expect("a number");
        self.last[place] = self.last[place].max(seq);
        self.caller.world.events.fetch_add(1, Ordering::Relaxed);
        self.seen.push(Seen {
            room: self.rooms()[place],
            seq,
            key: key(&event["message"]["clientMessageId"]),
            at: Instant::now(),
            connection: self.connections,
        });
    }

    /// Ends the gap if nothing is missing any more.
    fn catch_up(&mut self, behind: &mut Option<Behind>) {
        if let Some(Behind {
            node,
            cut,
            to: Some(to),
        }) = behind
            && self.last.iter().zip(to).all(|(last, to)| *last >= *to)
        {
            let over = Instant::now();
            let (node, cut) = (*node, *cut);
            self.gaps.push(Gap { node, cut, over });
            *behind = None;
        }
    }

    fn is_at(&self, end: &watch::Receiver<Option<Vec<i64>>>) -> bool {
        let rooms = self.rooms().iter();
        end.borrow().as_ref().is_some_and(|end| {
            rooms
                .zip(&self.last)
                .all(|(room, last)| *last >= end[*room])
        })
    }
}
