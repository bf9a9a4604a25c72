//! What the database has in the end, against what people were told.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::harness::caller::Caller;

use super::ROOMS;
use super::reader::Reader;
use super::writer::{Acked, Writer};

/// What the database has in the end.
pub(super) struct Audit {
    auditor: Caller,
    last_seqs: Vec<i64>,
    /// By conversation.
    messages: Vec<Vec<Value>>,
    /// Readers who came at the end, one a conversation.
    replays: Vec<Reader>,
}

impl Audit {
    pub(super) async fn of(
        auditor: &Caller,
        last_seqs: Vec<i64>,
        end: watch::Receiver<Option<Vec<i64>>>,
    ) -> Self {
        let rooms = &auditor.world.rooms;
        let messages = join_all(rooms.iter().map(|room| auditor.messages(room))).await;
        let replays =
            (0..ROOMS).map(|room| Reader::new(room, auditor.clone()).read(true, end.clone()));
        let replays = join_all(replays).await;
        Self {
            auditor: auditor.clone(),
            last_seqs,
            messages,
            replays,
        }
    }

    pub(super) async fn compare(&self, writers: &[Writer], readers: &[Reader]) {
        self.sequences_are_dense();
        self.readers_saw_what_is_replayed(readers);
        self.replays_show_the_present_state();
        self.acknowledged_messages_are_there(writers);
        self.retries_answer_the_first_message(writers).await;
    }

    fn sequences_are_dense(&self) {
        for (replay, last_seq) in self.replays.iter().zip(&self.last_seqs) {
            let seqs: Vec<_> = replay.seen.iter().map(|seen| seen.seq).collect();
            assert_eq!(seqs, (1..=*last_seq).collect::<Vec<_>>());
        }
    }

    fn readers_saw_what_is_replayed(&self, readers: &[Reader]) {
        for (n, reader) in readers.iter().enumerate() {
            let replayed = &self.replays[reader.room].seen;
            assert_eq!(reader.seen.len(), replayed.len(), "reader {n}");
            let differing = reader.seen.iter().zip(replayed).find(|(a, b)| a != b);
            assert_eq!(differing, None, "reader {n}");
        }
    }

    fn replays_show_the_present_state(&self) {
        for (replay, messages) in self.replays.iter().zip(&self.messages) {
            let present: HashMap<_, _> = messages
                .iter()
                .map(|message| (message["id"].as_str(), message["text"].as_str()))
                .collect();
            for (seen, text) in replay.seen.iter().zip(&replay.texts) {
                let message = present.get(&Some(seen.message.as_str()));
                assert_eq!(message, Some(&text.as_deref()), "{seen:?}");
            }
        }
    }

    fn acknowledged_messages_are_there(&self, writers: &[Writer]) {
        let acked: HashMap<&str, &Acked> = writers
            .iter()
            .flat_map(|writer| &writer.acked)
            .map(|acked| (acked.key.as_str(), acked))
            .collect();
        let mut given_up: HashSet<&str> = writers
            .iter()
            .flat_map(|writer| &writer.given_up)
            .map(String::as_str)
            .collect();
        let (mut found, mut edits, mut deletions) = (0, 0, 0);
        for (room, messages) in self.messages.iter().enumerate() {
            for message in messages {
                let key = message["clientMessageId"].as_str().expect("all have keys");
                let Some(acked) = acked.get(key) else {
                    assert!(
                        given_up.remove(key),
                        "nobody sent this, or twice: {message}"
                    );
                    continue;
                };
                found += 1;
                edits += acked.texts.len() - 1;
                deletions += usize::from(acked.deleted);
                let present = acked.texts.last().filter(|_| !acked.deleted);
                let expected = json!({
                    "id": acked.id, "seq": acked.seq, "text": present, "clientMessageId": acked.key,
                });
                assert_eq!((room, message), (acked.room, &expected));
            }
        }
        assert_eq!(found, acked.len(), "acknowledged messages, each once");
        let mut kinds: HashMap<&str, HashSet<&str>> = HashMap::new();
        for event in self.replays.iter().flat_map(|replay| &replay.seen) {
            let first = kinds.entry(&event.kind).or_default().insert(&event.message);
            assert!(first, "twice: {event:?}");
        }
        let of_kind = |kind| kinds.get(kind).map_or(0, HashSet::len);
        let sent: usize = self.messages.iter().map(Vec::len).sum();
        let expected = [sent, edits, deletions];
        assert_eq!(
            ["MessageSent", "MessageEdited", "MessageDeleted"].map(of_kind),
            expected,
            "one event each"
        );
        assert_eq!(kinds.len(), 3, "{:?}", kinds.keys());
    }

    async fn retries_answer_the_first_message(&self, writers: &[Writer]) {
        for writer in writers {
            let mut again = Writer::new(writer.name.clone(), writer.caller.clone());
            for first in writer.acked.iter().step_by(writer.acked.len() / 20 + 1) {
                let second = again.send(first.room, &first.key, false).await;
                let second = second.expect("a patient send is answered");
                assert_eq!((&second.id, second.seq), (&first.id, first.seq));
            }
        }
        let rooms = &self.auditor.world.rooms;
        let last_seqs = join_all(rooms.iter().map(|room| self.auditor.last_seq(room))).await;
        assert_eq!(last_seqs, self.last_seqs, "retries add nothing");
    }
}
