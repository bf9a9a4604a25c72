//! Sending, by many at once: each message is acknowledged once, and stands once where its
//! acknowledgement says.

mod broken;
mod waiting;

use std::collections::HashMap;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{SEND, Sent, seqs, text};
use crate::harness::{App, Person, Room, on_both};

/// Who sends to which room, and what was answered.
type Answered = (usize, Sent);

/// What was answered to a send, whatever it was.
async fn attempt(person: Person, room: Room, text: String, key: Option<String>) -> Value {
    let input = json!({ "conversationId": room.id, "text": text, "clientMessageId": key });
    person.request(SEND, json!({ "input": input })).await.json()
}

/// The id and seq of a message that was sent, or the code of the refusal.
fn outcome(answer: &Value) -> Result<Sent, String> {
    match answer["errors"][0]["extensions"]["code"].as_str() {
        Some(code) => Err(code.to_owned()),
        None => Ok(Sent::of(&answer["data"])),
    }
}

/// Sends of everybody to every room at the same time, `rounds` times each.
async fn crowd(people: &[Person], rooms: &[Room], rounds: usize) -> Vec<Answered> {
    let sends = people.iter().flat_map(|person| {
        rooms.iter().enumerate().map(move |(n, room)| async move {
            let mut sent = Vec::new();
            for round in 0..rounds {
                let text = format!("{} {round}", person.name);
                sent.push((n, person.sends(room, &text).await));
            }
            sent
        })
    });
    join_all(sends).await.into_iter().flatten().collect()
}

/// Proves that each room has exactly what was acknowledged, where it was acknowledged, for those
/// who follow it from the start and for those who come later.
async fn all_are_there_once(app: &App, reader: &Person, rooms: &[Room], answered: &[Answered]) {
    for (n, room) in rooms.iter().enumerate() {
        let of_room = answered.iter().filter(|(of, _)| *of == n);
        let acked: HashMap<i64, &str> = of_room.map(|(_, s)| (s.seq, s.id.as_str())).collect();
        let count = answered.iter().filter(|(of, _)| *of == n).count();
        assert_eq!(acked.len(), count, "no position is given twice");
        let mut later = reader.on(app).follows(room, Some(0)).await;
        for event in later.take(count).await {
            let seq = event["seq"].as_i64().expect("a number");
            assert_eq!(event["message"]["id"], *acked[&seq], "{event}");
        }
        assert_eq!(reader.last_seq(room).await, count as i64);
    }
}

on_both! {
    async fn many_who_send_at_once_are_each_acknowledged_once(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan", "Eve", "Fay"]).await;
        let [ann, others @ ..] = &people;
        let mut rooms = Vec::new();
        for n in 0..8 {
            rooms.push(ann.makes_group(&format!("{n}"), &others.each_ref()).await);
        }
        let mut streams = Vec::new();
        for room in &rooms {
            streams.push(ann.follows(room, Some(0)).await);
        }
        let (few, many) = rooms.split_at(1);

        let mut answered = crowd(&people, few, 20).await;
        let more = crowd(&people, many, 4).await;
        answered.extend(more.into_iter().map(|(n, sent)| (n + 1, sent)));

        for (n, stream) in streams.iter_mut().enumerate() {
            let count = if n == 0 { 120 } else { 24 };
            let events = stream.take(count).await;
            assert_eq!(seqs(&events), (1..).take(count).collect::<Vec<_>>());
        }
        all_are_there_once(app, ann, &rooms, &answered).await;
    }

    async fn a_bad_send_among_good_ones_fails_alone(app) {
        let people = app.people(["Ann", "Bob", "Eve"]).await;
        let [ann, bob, eve] = &people;
        let room = ann.makes_group("Group", &[bob]).await;
        let channel = ann.makes(json!({ "kind": "CHANNEL", "title": "News", "memberIds": [bob.id] })).await;
        ann.sends_with_key(&room, "first", "taken").await;
        let mut stream = bob.follows(&room, Some(1)).await;
        let mut sends = Vec::new();
        for n in 0..20 {
            let send = |person: &Person, room: &Room, text: &str, key: Option<&str>| {
                attempt(person.clone(), room.clone(), text.to_owned(), key.map(str::to_owned))
            };
            sends.push(send(ann, &room, "good", Some(&format!("good {n}"))));
            sends.push(send(eve, &room, "foreign", None));
            sends.push(send(bob, &channel, "no right", None));
            sends.push(send(ann, &room, "other", Some("taken")));
            sends.push(send(ann, &room, "first", Some("taken")));
            sends.push(send(bob, &room, "good", None));
        }
        let answers = join_all(sends).await;
        for six in answers.chunks(6) {
            let [good, foreign, no_right, other, first, plain] = six else { panic!("six each") };
            assert!(outcome(good).is_ok() && outcome(plain).is_ok(), "{good} {plain}");
            assert_eq!(outcome(foreign), Err("NOT_FOUND".to_owned()));
            assert_eq!(outcome(no_right), Err("FORBIDDEN".to_owned()));
            assert_eq!(outcome(other), Err("CONFLICT".to_owned()));
            assert_eq!(outcome(first).map(|sent| sent.seq), Ok(1));
        }
        let events = stream.take(40).await;
        assert_eq!(seqs(&events), (2..=41).collect::<Vec<_>>());
        assert!(events.iter().all(|event| text(&event["message"]["text"]) == "good"));
        assert_eq!((ann.last_seq(&room).await, ann.last_seq(&channel).await), (41, 0));
    }

    async fn one_alone_is_sent_in_few_statements(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Quiet", &[&bob]).await;
        app.domain.statements().record();

        ann.sends_with_key(&room, "hello", "key").await;

        let texts = app.recorded_statements().await;
        // Before that, the session is looked up.
        let signs = ["messages", "conversations", "members"];
        let texts: Vec<_> = texts.iter().filter(|sql| signs.iter().any(|sign| sql.contains(sign))).collect();
        // On SQLite: what decides, the conversation's row, the message's.
        let most = if app.is_on_postgres() { 1 } else { 3 };
        assert_eq!(texts.len(), most, "{texts:#?}");
        assert_eq!(seqs(&bob.follows(&room, Some(0)).await.take(1).await), [1]);
    }
}
