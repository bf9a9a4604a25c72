//! Those who send, edit and delete.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use serde_json::json;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::harness::caller::{Caller, Cut, RETRY};
use crate::harness::people::{DELETE, EDIT, SEND, text};

use super::ROOMS;

/// A message whose sending was acknowledged.
#[derive(Clone, Debug)]
pub(super) struct Acked {
    pub(super) room: usize,
    pub(super) key: String,
    pub(super) id: String,
    pub(super) seq: i64,
    /// What was sent, then what it was edited to.
    pub(super) texts: Vec<String>,
    pub(super) deleted: bool,
}

pub(super) struct Writer {
    pub(super) name: String,
    pub(super) caller: Caller,
    pub(super) acked: Vec<Acked>,
    /// Keys of sends that were given up: the answer was lost.
    pub(super) given_up: HashSet<String>,
    pub(super) repeats: usize,
}

impl Writer {
    pub(super) fn new(name: String, caller: Caller) -> Self {
        Self {
            name,
            caller,
            acked: Vec::new(),
            given_up: HashSet::new(),
            repeats: 0,
        }
    }

    /// Writes until told to stop; the last send is acknowledged or given up by then.
    pub(super) async fn write(mut self, stopped: watch::Receiver<bool>) -> Self {
        for n in 0_usize.. {
            if *stopped.borrow() {
                break;
            }
            let key = format!("{} {n}", self.name);
            let room = n % ROOMS;
            let Some(acked) = self.send(room, &key, n % 4 == 0).await else {
                self.given_up.insert(key);
                continue;
            };
            self.acked.push(acked);
            self.caller.world.acks.fetch_add(1, Ordering::Relaxed);
            if n % 5 == 0 {
                // Not the newest only: one from some lives ago.
                let index = self.acked.len() / 2;
                self.edit(index, format!("{key} edits")).await;
            }
            if n % 9 == 0 {
                let index = self.acked.len() / 3;
                self.delete(index).await;
            }
        }
        self
    }

    /// Sends until the answer comes; without patience, gives up when one is lost.
    pub(super) async fn send(&mut self, room: usize, key: &str, impatient: bool) -> Option<Acked> {
        let content = format!("text of {key}");
        let id = &self.caller.world.rooms[room];
        let input = json!({ "conversationId": id, "text": content, "clientMessageId": key });
        let variables = json!({ "input": input });
        loop {
            match self.caller.ask(SEND, &variables).await {
                Ok(data) => {
                    let message = &data["sendMessage"]["message"];
                    return Some(Acked {
                        room,
                        key: key.to_owned(),
                        id: text(&message["id"]),
                        seq: message["seq"].as_i64().expect("a number"),
                        texts: vec![content],
                        deleted: false,
                    });
                }
                Err(Cut) if impatient => return None,
                Err(Cut) => {
                    self.repeats += 1;
                    sleep(RETRY).await;
                }
            }
        }
    }

    async fn edit(&mut self, index: usize, to: String) {
        let message = &mut self.acked[index];
        if !message.deleted && message.texts.len() == 1 {
            let input = json!({ "messageId": message.id, "text": to });
            message.texts.push(to);
            self.caller.insist(EDIT, &json!({ "input": input })).await;
        }
    }

    async fn delete(&mut self, index: usize) {
        let message = &mut self.acked[index];
        if !message.deleted {
            message.deleted = true;
            let input = json!({ "messageId": message.id });
            self.caller.insist(DELETE, &json!({ "input": input })).await;
        }
    }
}
