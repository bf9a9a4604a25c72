//! Those who send at a steady pace.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use proptest::prelude::RngExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep};

use crate::harness::caller::{Caller, Cut, RETRY};
use crate::harness::people::{SEND, text};

use super::Dice;
use super::crowd::{Heads, Load};

/// Who sent a message, and the how manieth of theirs it is. Its `clientMessageId` says so.
pub(super) type Key = (usize, usize);

/// The key that a `clientMessageId` says.
pub(super) fn key(client_message_id: &Value) -> Key {
    let parts = client_message_id
        .as_str()
        .and_then(|key| key.split_once(' '));
    let (sender, number) = parts.expect("the key of one of the senders");
    let parse = |text: &str| text.parse().expect("a number");
    (parse(sender), parse(number))
}

/// A message whose sending was acknowledged.
pub(super) struct Acked {
    pub(super) key: Key,
    pub(super) room: usize,
    pub(super) id: String,
    pub(super) seq: i64,
    /// When it was to be sent. A sender who is kept waiting sends the next one late, and that is
    /// time that somebody waits, too.
    pub(super) due: Instant,
    pub(super) at: Instant,
}

pub(super) struct Sender {
    n: usize,
    caller: Caller,
    dice: Dice,
    heads: Arc<Heads>,
    pub(super) acked: Vec<Acked>,
    pub(super) repeats: usize,
}

impl Sender {
    pub(super) fn new(n: usize, caller: Caller, dice: Dice, heads: Arc<Heads>) -> Self {
        Self {
            n,
            caller,
            dice,
            heads,
            acked: Vec::new(),
            repeats: 0,
        }
    }

    /// Sends until told to stop, each time on some node; the last send is acknowledged by then.
    pub(super) async fn send(
        mut self,
        began: Instant,
        load: Load,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        let pace =
            Duration::from_secs(1) * u32::try_from(load.senders).expect("it fits") / load.rate;
        let turn = pace.mul_f64(self.n as f64 / load.senders as f64);
        let mut pace = interval_at(began + turn, pace);
        // What could not be sent in time is made up for.
        pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while !*stopped.borrow() {
            let due = pace.tick().await;
            let room = self.dice.random_range(0..load.rooms);
            self.caller.at = self.dice.random_range(0..self.caller.nodes.len());
            self.send_one(room, due).await;
        }
        self
    }

    /// Sends, if need be on one node after the other, until the answer comes.
    async fn send_one(&mut self, room: usize, due: Instant) {
        let key = (self.n, self.acked.len());
        let id = &self.caller.world.rooms[room];
        let name = format!("{} {}", key.0, key.1);
        let input = json!({ "conversationId": id, "text": name, "clientMessageId": name });
        let variables = json!({ "input": input });
        let data = loop {
            match self.caller.ask(SEND, &variables).await {
                Ok(data) => break data,
                Err(Cut) => {
                    self.repeats += 1;
                    self.caller.at = (self.caller.at + 1) % self.caller.nodes.len();
                    sleep(RETRY).await;
                }
            }
        };
        let message = &data["sendMessage"]["message"];
        let seq = message["seq"].as_i64().expect("a number");
        self.heads.raise(room, seq);
        self.caller.world.acks.fetch_add(1, Ordering::Relaxed);
        self.acked.push(Acked {
            key,
            room,
            id: text(&message["id"]),
            seq,
            due,
            at: Instant::now(),
        });
    }
}
