//! Any sequence of acts, by anyone, agrees with a model too simple to be wrong; and events
//! applied to an old snapshot give the present one.

mod receipts;

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};

use crate::harness::people::{ADD, DELETE, EDIT, REMOVE, SEND, Sent, text};
use crate::harness::{Person, Room, on_both};

/// How many sequences are tried on each database.
const CASES: u32 = 20;
const PEOPLE: usize = 3;

/// One act. People and messages are picked by index, modulo how many there are.
#[derive(Clone, Debug)]
enum Act {
    Send {
        by: usize,
        key: Option<u8>,
    },
    Edit {
        by: usize,
        message: usize,
        text: u8,
    },
    Delete {
        by: usize,
        message: usize,
    },
    Add {
        by: usize,
        whom: usize,
    },
    Remove {
        by: usize,
        whom: usize,
    },
    /// Remember how things are, for the replay at the end.
    Snapshot,
}

fn act() -> impl Strategy<Value = Act> {
    let who = || 0..PEOPLE;
    let which = || 0_usize..20;
    prop_oneof![
        6 => (who(), prop::option::weighted(0.4, 0_u8..4)).prop_map(|(by, key)| Act::Send { by, key }),
        3 => (who(), which(), 0_u8..3).prop_map(|(by, message, text)| Act::Edit { by, message, text }),
        2 => (who(), which()).prop_map(|(by, message)| Act::Delete { by, message }),
        2 => (who(), who()).prop_map(|(by, whom)| Act::Add { by, whom }),
        2 => (who(), who()).prop_map(|(by, whom)| Act::Remove { by, whom }),
        1 => Just(Act::Snapshot),
    ]
}

/// What should be so.
struct Model {
    /// By person: whether a member, and whether the owner.
    members: [Option<bool>; PEOPLE],
    /// Who was ever a member.
    known: [bool; PEOPLE],
    messages: Vec<ModelMessage>,
    keys: BTreeMap<(usize, u8), usize>,
    /// Kind and subject of every event, in order.
    log: Vec<(&'static str, Value)>,
}

struct ModelMessage {
    sent: Sent,
    sender: usize,
    text: Option<String>,
}

/// A conversation as a client keeps it: texts by message id, and who is in it.
#[derive(Clone, Debug, Default, PartialEq)]
struct Snapshot {
    seq: i64,
    texts: BTreeMap<String, Option<String>>,
    members: std::collections::BTreeSet<String>,
}

impl Snapshot {
    async fn take(person: &Person, room: &Room) -> Self {
        let query = "query($id: ID!) { conversation(id: $id) { lastSeq
            messages(first: 200) { nodes { id text } } members { nodes { user { id } } } } }";
        let found = person.asks(query, json!({ "id": room.id })).await["conversation"].clone();
        let list = |of: &str| found[of]["nodes"].as_array().expect("a list").clone();
        let texts = list("messages").into_iter().map(|message| {
            (
                text(&message["id"]),
                message["text"].as_str().map(str::to_owned),
            )
        });
        Self {
            seq: found["lastSeq"].as_i64().expect("a number"),
            texts: texts.collect(),
            members: list("members")
                .iter()
                .map(|member| text(&member["user"]["id"]))
                .collect(),
        }
    }

    fn apply(&mut self, event: &Value) {
        self.seq += 1;
        assert_eq!(event["seq"], self.seq, "dense and in order");
        let message = &event["message"];
        match event["__typename"].as_str().expect("a type") {
            "MessageSent" | "MessageEdited" | "MessageDeleted" => {
                let now = message["text"].as_str().map(str::to_owned);
                self.texts.insert(text(&message["id"]), now);
            }
            "MemberJoined" => {
                self.members.insert(text(&event["member"]["user"]["id"]));
            }
            "MemberLeft" => {
                self.members.remove(&text(&event["user"]["id"]));
            }
            other => panic!("unknown event {other}"),
        }
    }
}

struct World<'a> {
    people: &'a [Person; PEOPLE],
    room: Room,
    model: Model,
    snapshots: Vec<Snapshot>,
}

impl<'a> World<'a> {
    /// The first person owns the room and stays in it: somebody must see everything.
    async fn new(people: &'a [Person; PEOPLE]) -> Self {
        let model = Model {
            members: [Some(true), Some(false), None],
            known: [true, true, false],
            messages: Vec::new(),
            keys: BTreeMap::new(),
            log: Vec::new(),
        };
        let room = people[0].makes_group("Any order", &[&people[1]]).await;
        Self {
            people,
            room,
            model,
            snapshots: Vec::new(),
        }
    }

    async fn act(&mut self, act: &Act) {
        match *act {
            Act::Send { by, key } => self.send(by, key).await,
            Act::Edit { by, message, text } => self.edit(by, message, text).await,
            Act::Delete { by, message } => self.delete(by, message).await,
            Act::Add { by, whom } => self.add(by, whom).await,
            Act::Remove { by, whom } if whom != 0 => self.remove(by, whom).await,
            Act::Remove { .. } => {}
            Act::Snapshot => {
                self.snapshots
                    .push(Snapshot::take(&self.people[0], &self.room).await);
            }
        }
    }

    /// Asks; answers the data, or the code of the refusal.
    async fn ask(&self, by: usize, query: &str, input: Value) -> Result<Value, String> {
        let answer = self.people[by]
            .request(query, json!({ "input": input }))
            .await
            .json();
        match answer["errors"].as_array() {
            Some(errors) => Err(text(&errors[0]["extensions"]["code"])),
            None => Ok(answer["data"].clone()),
        }
    }

    async fn send(&mut self, by: usize, key: Option<u8>) {
        // The same key comes with the same text, unless the key is 3.
        let words = match key {
            Some(key) if key < 3 => format!("keyed {key}"),
            _ => format!("message {}", self.model.messages.len()),
        };
        let client_id = key.map(|key| format!("{}-{key}", self.room.id));
        let input =
            json!({ "conversationId": self.room.id, "text": words, "clientMessageId": client_id });
        let answer = self.ask(by, SEND, input).await.map(|data| Sent::of(&data));
        if self.model.members[by].is_none() {
            assert_eq!(answer, Err("NOT_FOUND".to_owned()));
            return;
        }
        let first = key.and_then(|key| self.model.keys.get(&(by, key)));
        match first {
            Some(first) if key < Some(3) => {
                assert_eq!(answer, Ok(self.model.messages[*first].sent.clone()))
            }
            Some(_) => assert_eq!(answer, Err("CONFLICT".to_owned())),
            None => {
                let sent = answer.expect("a new message is accepted");
                self.model.log.push(("MessageSent", json!(sent.id)));
                assert_eq!(usize::try_from(sent.seq), Ok(self.model.log.len()));
                if let Some(key) = key {
                    self.model.keys.insert((by, key), self.model.messages.len());
                }
                self.model.messages.push(ModelMessage {
                    sent,
                    sender: by,
                    text: Some(words),
                });
            }
        }
    }

    async fn edit(&mut self, by: usize, message: usize, words: u8) {
        if self.model.messages.is_empty() {
            return;
        }
        let index = message % self.model.messages.len();
        let words = format!("edited {words}");
        let input = json!({ "messageId": self.model.messages[index].sent.id, "text": words });
        let answer = self.ask(by, EDIT, input).await;
        let message = &mut self.model.messages[index];
        let refusal = match (self.model.members[by], &message.text) {
            (None, _) => Some("NOT_FOUND"),
            _ if message.sender != by => Some("FORBIDDEN"),
            (_, None) => Some("CONFLICT"),
            (_, Some(_)) => None,
        };
        assert_eq!(answer.as_ref().err().map(String::as_str), refusal);
        if refusal.is_none() && message.text.as_ref() != Some(&words) {
            message.text = Some(words);
            self.model
                .log
                .push(("MessageEdited", json!(message.sent.id)));
        }
    }

    async fn delete(&mut self, by: usize, message: usize) {
        if self.model.messages.is_empty() {
            return;
        }
        let index = message % self.model.messages.len();
        let input = json!({ "messageId": self.model.messages[index].sent.id });
        let answer = self.ask(by, DELETE, input).await;
        let message = &mut self.model.messages[index];
        let refusal = match self.model.members[by] {
            None => Some("NOT_FOUND"),
            Some(owner) if !owner && message.sender != by => Some("FORBIDDEN"),
            Some(_) => None,
        };
        assert_eq!(answer.as_ref().err().map(String::as_str), refusal);
        if refusal.is_none() && message.text.take().is_some() {
            self.model
                .log
                .push(("MessageDeleted", json!(message.sent.id)));
        }
    }

    async fn add(&mut self, by: usize, whom: usize) {
        let input = json!({ "conversationId": self.room.id, "userIds": [self.people[whom].id] });
        let answer = self.ask(by, ADD, input).await;
        if self.model.members[by].is_none() {
            assert_eq!(answer, Err("NOT_FOUND".to_owned()));
            return;
        }
        answer.expect("members may add");
        if self.model.members[whom].is_none() {
            self.model.members[whom] = Some(false);
            self.model.known[whom] = true;
            self.model
                .log
                .push(("MemberJoined", json!(self.people[whom].id)));
        }
    }

    async fn remove(&mut self, by: usize, whom: usize) {
        let input = json!({ "conversationId": self.room.id, "userId": self.people[whom].id });
        let answer = self.ask(by, REMOVE, input).await;
        let refusal = match self.model.members[by] {
            None => Some("NOT_FOUND"),
            Some(_) if !self.model.known[whom] => Some("NOT_FOUND"),
            Some(owner) if !owner && by != whom => Some("FORBIDDEN"),
            Some(_) => None,
        };
        assert_eq!(answer.as_ref().err().map(String::as_str), refusal);
        if refusal.is_none() && self.model.members[whom].take().is_some() {
            self.model
                .log
                .push(("MemberLeft", json!(self.people[whom].id)));
        }
    }

    /// The log is the model's, and every old snapshot grows into the present.
    async fn check(self) {
        let present = Snapshot::take(&self.people[0], &self.room).await;
        assert_eq!(usize::try_from(present.seq), Ok(self.model.log.len()));
        for message in &self.model.messages {
            assert_eq!(present.texts[&message.sent.id], message.text);
        }
        let events = self.people[0]
            .follows(&self.room, Some(0))
            .await
            .take(self.model.log.len())
            .await;
        for (event, (kind, subject)) in events.iter().zip(&self.model.log) {
            assert_eq!(event["__typename"], *kind);
            let about = ["message", "user"].iter().map(|of| &event[of]["id"]);
            let about = about
                .chain([&event["member"]["user"]["id"]])
                .find(|id| !id.is_null());
            assert_eq!(about, Some(subject));
        }
        let founding = Snapshot {
            members: self.people[..2]
                .iter()
                .map(|person| person.id.clone())
                .collect(),
            ..Snapshot::default()
        };
        for mut snapshot in self.snapshots.into_iter().chain([founding]) {
            let seen = usize::try_from(snapshot.seq).expect("a position");
            events[seen..]
                .iter()
                .for_each(|event| snapshot.apply(event));
            assert_eq!(snapshot, present);
        }
    }
}

/// Tries `case` on many values.
fn run<T: std::fmt::Debug, F: Future<Output = ()>>(
    values: &impl Strategy<Value = T>,
    case: impl Fn(T) -> F,
) {
    let runtime = tokio::runtime::Handle::current();
    tokio::task::block_in_place(|| {
        let config = Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(values, |value| {
            let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                runtime.block_on(case(value));
            }));
            outcome.map_err(|_| TestCaseError::fail("it disagreed with the model"))
        });
        outcome.unwrap_or_else(|failure| panic!("{failure}"));
    });
}

on_both! {
    async fn every_history_agrees_with_the_model(app) {
        let people = app.people(["Ann", "Bob", "Cleo"]).await;
        run(&prop::collection::vec(act(), 1..40), |acts| {
            let people = &people;
            async move {
                let mut world = World::new(people).await;
                for act in &acts {
                    world.act(act).await;
                }
                world.check().await;
            }
        });
    }
}
