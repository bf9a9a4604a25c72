//! Those who follow a conversation, and come back to it.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::sleep;

use crate::harness::PATIENCE;
use crate::harness::caller::{Caller, Cut, RETRY};
use crate::harness::connection::Connection;
use crate::harness::people::{EVENTS, text};

/// What a reader keeps of an event: all but what may change until it is read again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Seen {
    pub(super) seq: i64,
    pub(super) kind: String,
    pub(super) message: String,
    pub(super) message_seq: i64,
}

impl Seen {
    pub(super) fn of(event: &Value) -> Self {
        Self {
            seq: event["seq"].as_i64().expect("a number"),
            kind: text(&event["__typename"]),
            message: text(&event["message"]["id"]),
            message_seq: event["message"]["seq"].as_i64().expect("a number"),
        }
    }
}

pub(super) struct Reader {
    pub(super) room: usize,
    pub(super) caller: Caller,
    pub(super) seen: Vec<Seen>,
    /// The text that each of `seen` came with.
    pub(super) texts: Vec<Option<String>>,
}

impl Reader {
    pub(super) fn new(room: usize, caller: Caller) -> Self {
        Self {
            room,
            caller,
            seen: Vec::new(),
            texts: Vec::new(),
        }
    }

    /// Reads until it has seen up to the end that it is told, once it is; or for a while longer.
    pub(super) async fn read(
        mut self,
        by_socket: bool,
        mut end: watch::Receiver<Option<Vec<i64>>>,
    ) -> Self {
        let mut told = end.clone();
        let too_late = async {
            let told = told.wait_for(Option::is_some).await;
            drop(told.expect("the end is told"));
            sleep(PATIENCE).await;
        };
        tokio::select! {
            () = self.read_to(&mut end, by_socket) => {}
            () = too_late => {}
        }
        self
    }

    async fn read_to(&mut self, end: &mut watch::Receiver<Option<Vec<i64>>>, by_socket: bool) {
        while !self.is_at(end) {
            let Ok(mut connection) = self.connect(by_socket).await else {
                sleep(RETRY).await;
                continue;
            };
            self.caller
                .world
                .connections
                .fetch_add(1, Ordering::Relaxed);
            while !self.is_at(end) {
                tokio::select! {
                    data = connection.next(&self.caller.world) => match data {
                        Ok(data) => self.note(&data["conversationEvents"]),
                        Err(Cut) => break,
                    },
                    told = end.changed() => told.expect("the end is told"),
                }
            }
        }
    }

    fn last(&self) -> i64 {
        self.seen.last().map_or(0, |seen| seen.seq)
    }

    fn is_at(&self, end: &watch::Receiver<Option<Vec<i64>>>) -> bool {
        end.borrow()
            .as_ref()
            .is_some_and(|end| self.last() >= end[self.room])
    }

    fn note(&mut self, event: &Value) {
        let seen = Seen::of(event);
        if seen.seq != self.last() + 1 {
            let what = if seen.seq <= self.last() {
                "repeated"
            } else {
                "a hole"
            };
            let fault = format!("{what}: {} after {}", seen.seq, self.last());
            self.caller.world.fault(fault);
        }
        self.caller.world.events.fetch_add(1, Ordering::Relaxed);
        self.seen.push(seen);
        let text = event["message"]["text"].as_str();
        self.texts.push(text.map(str::to_owned));
    }

    async fn connect(&self, by_socket: bool) -> Result<Connection, Cut> {
        let room = &self.caller.world.rooms[self.room];
        let variables = json!({ "id": room, "after": self.last() });
        Connection::open(&self.caller, by_socket, EVENTS, &variables).await
    }
}
