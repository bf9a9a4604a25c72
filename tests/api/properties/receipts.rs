//! Marks of several people on several devices, among messages, joins and leaves.

use super::*;

use crate::harness::people::{Following, MARK_DELIVERED, MARK_READ};

const DEVICES: usize = 2;

/// One act. Messages and positions are picked by index, modulo how many there are.
#[derive(Clone, Debug)]
enum Step {
    Send {
        by: usize,
    },
    Edit {
        message: usize,
    },
    Delete {
        message: usize,
    },
    Mark {
        by: usize,
        device: usize,
        upto: usize,
        read: bool,
    },
    ReadAll {
        by: usize,
        device: usize,
    },
    Come {
        whom: usize,
    },
    Go {
        whom: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let who = || 0..PEOPLE;
    let device = || 0..DEVICES;
    prop_oneof![
        5 => who().prop_map(|by| Step::Send { by }),
        1 => (0_usize..20).prop_map(|message| Step::Edit { message }),
        2 => (0_usize..20).prop_map(|message| Step::Delete { message }),
        6 => (who(), device(), 0_usize..30, any::<bool>())
            .prop_map(|(by, device, upto, read)| Step::Mark { by, device, upto, read }),
        1 => (who(), device()).prop_map(|(by, device)| Step::ReadAll { by, device }),
        // The first stays: somebody must see everything.
        1 => (1..PEOPLE).prop_map(|whom| Step::Come { whom }),
        1 => (1..PEOPLE).prop_map(|whom| Step::Go { whom }),
    ]
}

/// What should be so of one who is, or was, a member.
#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    present: bool,
    joined: i64,
    delivered: i64,
    read: i64,
    /// Whether a mark has moved since joining.
    moved: bool,
}

struct Line {
    sent: Sent,
    sender: usize,
    deleted: bool,
}

struct Reading<'a> {
    devices: &'a [[Person; DEVICES]; PEOPLE],
    room: Room,
    seq: i64,
    lines: Vec<Line>,
    marks: [Marks; PEOPLE],
    here: [[i64; DEVICES]; PEOPLE],
}

impl<'a> Reading<'a> {
    async fn new(devices: &'a [[Person; DEVICES]; PEOPLE]) -> Self {
        let founder = Marks {
            present: true,
            ..Marks::default()
        };
        Self {
            devices,
            room: devices[0][0].makes_group("Marks", &[&devices[1][0]]).await,
            seq: 0,
            lines: Vec::new(),
            marks: [founder, founder, Marks::default()],
            here: [[0; DEVICES]; PEOPLE],
        }
    }

    async fn take(&mut self, step: &Step) {
        let lines = self.lines.len();
        match *step {
            Step::Send { by } if self.marks[by].present => {
                let sent = self.devices[by][0].sends(&self.room, "hello").await;
                self.seq += 1;
                assert_eq!(sent.seq, self.seq);
                self.lines.push(Line {
                    sent,
                    sender: by,
                    deleted: false,
                });
            }
            Step::Edit { message } if lines > 0 => {
                let line = &self.lines[message % lines];
                if !line.deleted && self.marks[line.sender].present {
                    let words = format!("edited at {}", self.seq);
                    self.devices[line.sender][1].edits(&line.sent, &words).await;
                    self.seq += 1;
                }
            }
            Step::Delete { message } if lines > 0 => {
                let line = &mut self.lines[message % lines];
                self.devices[0][0].deletes(&line.sent).await;
                self.seq += i64::from(!std::mem::replace(&mut line.deleted, true));
            }
            Step::Mark {
                by,
                device,
                upto,
                read,
            } => self.mark(by, device, upto, read).await,
            Step::ReadAll { by, device } => {
                self.devices[by][device]
                    .asks("mutation { markAllRead { conversationCount } }", json!({}))
                    .await;
                if self.marks[by].present {
                    self.reach(by, device, self.seq, true);
                }
            }
            Step::Come { whom } if !self.marks[whom].present => {
                self.devices[0][0]
                    .adds(&self.room, &[&self.devices[whom][0]])
                    .await;
                self.seq += 1;
                let seq = self.seq;
                self.marks[whom] = Marks {
                    present: true,
                    joined: seq,
                    delivered: seq,
                    read: seq,
                    moved: false,
                };
                self.here[whom] = [seq; DEVICES];
            }
            Step::Go { whom } if self.marks[whom].present => {
                self.devices[0][0]
                    .removes(&self.room, &self.devices[whom][0])
                    .await;
                self.seq += 1;
                self.marks[whom].present = false;
            }
            Step::Send { .. }
            | Step::Edit { .. }
            | Step::Delete { .. }
            | Step::Come { .. }
            | Step::Go { .. } => {}
        }
    }

    async fn mark(&mut self, by: usize, device: usize, upto: usize, read: bool) {
        let seq = i64::try_from(upto).expect("small") % (self.seq + 2);
        let (query, field) = if read {
            (MARK_READ, "markRead")
        } else {
            (MARK_DELIVERED, "markDelivered")
        };
        let input = json!({ "input": { "conversationId": self.room.id, "seq": seq } });
        let answer = self.devices[by][device].request(query, input).await.json();
        let code = &answer["errors"][0]["extensions"]["code"];
        if !self.marks[by].present {
            assert_eq!(code, "NOT_FOUND", "{answer}");
        } else if seq > self.seq {
            assert_eq!(code, "BAD_USER_INPUT", "{answer}");
        } else {
            self.reach(by, device, seq, read);
            let member = &answer["data"][field]["member"];
            let marks = self.marks[by];
            assert_eq!(
                *member,
                json!({ "deliveredSeq": marks.delivered, "readSeq": marks.read })
            );
        }
    }

    fn reach(&mut self, by: usize, device: usize, seq: i64, read: bool) {
        let marks = &mut self.marks[by];
        marks.moved |= marks.delivered < seq || (read && marks.read < seq);
        marks.delivered = marks.delivered.max(seq);
        if read {
            marks.read = marks.read.max(seq);
        }
        let here = &mut self.here[by][device];
        *here = (*here).max(seq);
    }

    /// What everyone sees is what the model says.
    async fn check(&self) {
        let query = "query($id: ID!) { conversation(id: $id) {
            lastSeq unreadCount deliveredSeqHere
            members(first: 9) { nodes { user { id } deliveredSeq readSeq } }
            messages(first: 200) { nodes { id seenBy(first: 3) { totalCount nodes { user { id } } } } }
        } }";
        for (who, devices) in self.devices.iter().enumerate() {
            for (device, person) in devices.iter().enumerate() {
                if !self.marks[who].present {
                    let refused = person
                        .is_refused(query, json!({ "id": self.room.id }))
                        .await;
                    assert_eq!(refused, "NOT_FOUND");
                    continue;
                }
                let found =
                    person.asks(query, json!({ "id": self.room.id })).await["conversation"].clone();
                assert_eq!(found["lastSeq"], self.seq);
                assert_eq!(found["unreadCount"], self.unread(who), "{:?}", self.marks);
                assert_eq!(found["deliveredSeqHere"], self.here[who][device]);
                self.agree_on_members(&found["members"]["nodes"]);
                self.agree_on_seen(&found["messages"]["nodes"]);
            }
        }
    }

    fn unread(&self, who: usize) -> usize {
        let read = self.marks[who].read;
        let lines = self.lines.iter();
        lines
            .filter(|line| line.sender != who && !line.deleted && line.sent.seq > read)
            .count()
    }

    fn present(&self) -> impl Iterator<Item = (&str, &Marks)> {
        let people = self.devices.iter().map(|devices| devices[0].id.as_str());
        people.zip(&self.marks).filter(|(_, marks)| marks.present)
    }

    fn agree_on_members(&self, found: &Value) {
        let found = found.as_array().expect("a list");
        assert_eq!(found.len(), self.present().count());
        for (id, marks) in self.present() {
            let member = found
                .iter()
                .find(|member| member["user"]["id"] == id)
                .expect("a member");
            assert_eq!(
                (&member["deliveredSeq"], &member["readSeq"]),
                (&json!(marks.delivered), &json!(marks.read))
            );
        }
    }

    fn agree_on_seen(&self, found: &Value) {
        for (line, found) in self.lines.iter().zip(found.as_array().expect("a list")) {
            let sender = &self.devices[line.sender][0].id;
            let seq = line.sent.seq;
            let mut expected: Vec<&str> = self
                .present()
                .filter(|(id, marks)| id != sender && marks.joined < seq && marks.read >= seq)
                .map(|(id, _)| id)
                .collect();
            let nodes = found["seenBy"]["nodes"].as_array().expect("a list").iter();
            let mut seen: Vec<&str> = nodes
                .filter_map(|node| node["user"]["id"].as_str())
                .collect();
            expected.sort_unstable();
            seen.sort_unstable();
            assert_eq!(
                (seen.as_slice(), &found["seenBy"]["totalCount"]),
                (expected.as_slice(), &json!(expected.len()))
            );
        }
    }

    /// What was streamed only went forward, and came to what the model says.
    async fn check_stream(&self, mut stream: Following) {
        let wanted: BTreeMap<&str, (i64, i64)> = self
            .present()
            .filter(|(_, marks)| marks.moved)
            .map(|(id, marks)| (id, (marks.delivered, marks.read)))
            .collect();
        let mut heard: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        while wanted
            .iter()
            .any(|(id, marks)| heard.get(*id) != Some(marks))
        {
            let receipt = stream.next().await;
            let seq = |name: &str| receipt[name].as_i64().expect("a number");
            let marks = (seq("deliveredSeq"), seq("readSeq"));
            let before = heard
                .insert(text(&receipt["userId"]), marks)
                .unwrap_or_default();
            assert!(
                before.0 <= marks.0 && before.1 <= marks.1,
                "{before:?} then {marks:?}"
            );
        }
    }
}

on_both! {
    async fn every_mark_agrees_with_the_model(app) {
        let people = app.people(["Ann", "Bob", "Cleo"]).await;
        let mut devices = Vec::new();
        for person in people {
            let other = person.signs_in_again().await;
            devices.push([person, other]);
        }
        let devices: [[Person; DEVICES]; PEOPLE] = devices.try_into().unwrap_or_else(|_| unreachable!("as many as people"));
        let steps = prop::collection::vec(step(), 1..40);
        run(&steps, |steps| {
            let devices = &devices;
            async move {
                let mut reading = Reading::new(devices).await;
                let stream = devices[0][1].follows_receipts(app, &reading.room).await;
                for step in &steps {
                    reading.take(step).await;
                }
                reading.check().await;
                reading.check_stream(stream).await;
            }
        });
    }
}
