//! Sockets under load: clients that do not read, nodes that stop, places that are taken.

use std::time::{Duration, Instant};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;

use crate::harness::clients::Ended;
use crate::harness::people::{EVENTS, PASSWORD, Room, seqs};
use crate::harness::{App, PATIENCE, Person, on_both, until};

const PROTOCOL: &str = "graphql-transport-ws";

/// A socket whose kernel keeps next to nothing for it, greeted and subscribed. It reads only
/// when it is told to.
async fn lazy_follower(app: &App, person: &Person, rooms: &[&Room]) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let stream = socket.connect(app.address).await.expect("connected");
    let mut request = app
        .url("/graphql")
        .replacen("http", "ws", 1)
        .into_client_request()
        .expect("a request");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", PROTOCOL.parse().expect("a value"));
    let (mut socket, _) = tokio_tungstenite::client_async(request, stream)
        .await
        .expect("upgraded");
    let greeting = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", person.token) } });
    socket
        .send(Message::text(greeting.to_string()))
        .await
        .expect("sent");
    for room in rooms {
        let payload = json!({ "query": EVENTS, "variables": { "id": room.id, "after": 0 } });
        let subscribe = json!({ "type": "subscribe", "id": room.id, "payload": payload });
        socket
            .send(Message::text(subscribe.to_string()))
            .await
            .expect("sent");
    }
    socket
}

/// Reads to the end: the seqs seen, and how it ended.
async fn drained(mut socket: WebSocketStream<TcpStream>) -> (Vec<i64>, Option<u16>) {
    let mut seen = Vec::new();
    loop {
        match timeout(PATIENCE, socket.next())
            .await
            .expect("the rest, or an end")
        {
            Some(Ok(Message::Text(text))) => {
                let message: Value = serde_json::from_str(&text).expect("JSON");
                if message["type"] == "next" {
                    let event = &message["payload"]["data"]["conversationEvents"];
                    seen.push(event["seq"].as_i64().expect("a number"));
                }
            }
            Some(Ok(Message::Close(frame))) => return (seen, frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (seen, None),
        }
    }
}

on_both! {
    async fn one_who_does_not_read_is_let_go_and_delays_nobody(app) {
        const COUNT: i64 = 1_200;
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Flood", &[&bob, &cleo]).await;
        // Nobody else follows this one, so its feed shows whether the lazy one is still there.
        let quiet = bob.makes_group("Quiet", &[]).await;
        let lazy = lazy_follower(app, &bob, &[&room, &quiet]).await;
        let mut reader = cleo.follows(&room, Some(0)).await;
        until("both conversations are followed", || async { app.domain.open_feeds() == 2 }).await;

        // Four megabytes and a half: more than the kernel keeps for both ends together.
        let text = "ü".repeat(2_000);
        let mut slowest = Duration::ZERO;
        for n in 1..=COUNT {
            let sent = Instant::now();
            assert_eq!(ann.sends(&room, &text).await.seq, n);
            assert_eq!(reader.next().await["seq"], n);
            slowest = slowest.max(sent.elapsed());
        }
        assert!(slowest < Duration::from_secs(1), "{slowest:?}");

        // The stream is given up though its peer is still connected.
        let waiting = async {
            while app.domain.open_feeds() > 1 {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(Duration::from_secs(30), waiting).await.expect("the socket is given up within 30 s");
        ann.sends(&room, "while away").await;
        assert_eq!(reader.next().await["seq"], COUNT + 1, "the other goes on");

        // What had been written is whole and in order; the rest comes after resuming.
        let (seen, code) = drained(lazy).await;
        assert!(code.is_none_or(|code| code == 1013), "{code:?}");
        let last = seen.last().copied().unwrap_or(0);
        assert_eq!(seen, (1..=last).collect::<Vec<_>>());
        assert!(last < COUNT, "it did read everything: the test is too small");
        let mut resumed = bob.follows(&room, Some(last)).await;
        let missed = resumed.take(usize::try_from(COUNT + 1 - last).expect("a count")).await;
        assert_eq!(seqs(&missed), (last + 1..=COUNT + 1).collect::<Vec<_>>());
    }

    async fn what_finishes_gives_its_place_back(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Places", &[&bob]).await;
        ann.sends(&room, "here").await;
        let mut socket = bob.opens_socket().await;
        let events = json!({ "id": room.id, "after": 0 });
        for n in 0..49 {
            let id = format!("s{n}");
            socket.subscribe(&id, EVENTS, &events).await;
            let replay = socket.next().await.expect("the replay");
            assert_eq!((&replay["type"], &replay["id"]), (&json!("next"), &json!(id)), "{replay}");
        }
        // Queries and refused subscriptions come and go in the last place.
        for n in 0..120 {
            let id = format!("q{n}");
            if n % 2 == 0 {
                socket.subscribe(&id, "{ __typename }", &Value::Null).await;
                assert_eq!(socket.next().await.expect("a result")["type"], "next");
                assert_eq!(socket.next().await.expect("an end")["type"], "complete");
            } else {
                socket.subscribe(&id, EVENTS, &json!({ "id": "nothing" })).await;
                let refused = socket.next().await.expect("an answer");
                assert!(refused.to_string().contains("NOT_FOUND"), "{refused}");
                if refused["type"] == "next" {
                    assert_eq!(socket.next().await.expect("an end")["type"], "complete");
                }
            }
        }
        socket.subscribe("s49", EVENTS, &events).await;
        assert_eq!(socket.next().await.expect("the replay")["id"], "s49");
        for id in ["too many", "another"] {
            socket.subscribe(id, EVENTS, &events).await;
            let refused = socket.next().await.expect("an answer");
            assert_eq!((&refused["type"], &refused["id"]), (&json!("error"), &json!(id)), "{refused}");
            assert_eq!(refused["payload"][0]["extensions"]["code"], "TOO_COMPLEX");
        }
        // Streams that end by themselves make place too, and the client's `complete` does.
        socket.send(&json!({ "type": "complete", "id": "s7" })).await;
        socket.subscribe("s7", EVENTS, &events).await;
        assert_eq!(socket.next().await.expect("the replay")["id"], "s7");
        ann.removes(&room, &bob).await;
        let mut completed = 0;
        while completed < 50 {
            let message = socket.next().await.expect("the socket stays open");
            completed += usize::from(message["type"] == "complete");
        }
        let other = bob.makes_group("Other", &[]).await;
        bob.sends(&other, "there").await;
        for n in 0..50 {
            let id = format!("new{n}");
            socket.subscribe(&id, EVENTS, &json!({ "id": other.id, "after": 0 })).await;
            assert_eq!(socket.next().await.expect("the replay")["id"], id);
        }
    }
}

/// A node that stops while somebody is connected in every way.
async fn drains(app: App) {
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Drain", &[]).await;
    let url = app.url("/graphql");
    ann.sends(&room, "one").await;
    let mut greeted = ann.follows(&room, Some(0)).await;
    assert_eq!(greeted.next().await["seq"], 1);
    let mut silent = crate::harness::clients::Socket::connect(&url).await;
    let body = json!({ "query": EVENTS, "variables": { "id": room.id, "after": 0 } });
    let mut events = app.http().events(&url, Some(&ann.token), &body).await;
    assert_eq!(events.next().await.expect("the replay").0, "next");
    // Requests in flight: hashing keeps each of them busy for a while, and they queue.
    let register = "mutation($i: RegisterInput!) { register(input: $i) { accessToken } }";
    let in_flight: Vec<_> = (0..12).map(|n| {
        let (http, url) = (app.http().clone(), url.clone());
        let input = json!({ "email": format!("d{n}@example.com"), "password": PASSWORD, "displayName": "D" });
        tokio::spawn(async move {
            http.post(&url, None, &json!({ "query": register, "variables": { "i": input } })).await
        })
    }).collect();
    // One whose body is still on its way when the node is told to stop.
    let mut slow = TcpStream::connect(app.address).await.expect("connected");
    let query = r#"{"query":"{ __typename }"}"#;
    let head = format!(
        "POST /graphql HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        query.len()
    );
    slow.write_all(&[head.as_bytes(), &query.as_bytes()[..5]].concat())
        .await
        .expect("written");
    // The requests have arrived once one of them is answered.
    let mut in_flight = in_flight.into_iter();
    let first = in_flight.next().expect("one").await.expect("no panic");
    assert!(first.json()["data"]["register"]["accessToken"].is_string());

    let address = app.address;
    let began = Instant::now();
    let stopping = tokio::spawn(app.stop());
    assert_eq!(greeted.ends().await, Ended::Closed(1012));
    assert_eq!(silent.ended().await, Ended::Closed(1012));
    while let Some((name, data)) = events.next().await {
        assert!(
            data["errors"].is_null(),
            "nothing is wrong with the client: {name} {data}"
        );
        assert_ne!(
            name, "complete",
            "the stream is cut, not over: the client is to come back"
        );
    }
    slow.write_all(&query.as_bytes()[5..])
        .await
        .expect("written");
    let mut answer = String::new();
    timeout(PATIENCE, slow.read_to_string(&mut answer))
        .await
        .expect("in time")
        .expect("text");
    assert!(
        answer.starts_with("HTTP/1.1 200")
            && answer.ends_with(r#"{"data":{"__typename":"Query"}}"#),
        "{answer}"
    );
    for answer in in_flight {
        let answer = answer.await.expect("no panic");
        assert!(
            answer.json()["data"]["register"]["accessToken"].is_string(),
            "{}",
            answer.json()
        );
    }
    stopping.await.expect("the node stops");
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "{:?}",
        began.elapsed()
    );
    assert!(
        TcpStream::connect(address).await.is_err(),
        "nobody listens any more"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_sends_everybody_elsewhere_and_finishes_its_work_on_sqlite() {
    drains(App::sqlite().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_stops_sends_everybody_elsewhere_and_finishes_its_work_on_postgres() {
    drains(App::postgres().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_pinged_and_a_head_that_trickles_in_is_cut() {
    let app = App::sqlite().await;
    let ann = app.person("Ann").await;
    let room = ann.makes_group("Quiet", &[]).await;
    let pinged = async {
        let mut socket = lazy_follower(&app, &ann, &[&room]).await;
        let ping = async {
            while let Some(message) = socket.next().await {
                if message.expect("the socket stays open").is_ping() {
                    return;
                }
            }
            panic!("the socket was closed");
        };
        timeout(Duration::from_secs(30), ping)
            .await
            .expect("a ping at most every 30 s");
    };
    let cut = async {
        let mut slow = TcpStream::connect(app.address).await.expect("connected");
        slow.write_all(b"POST /graphql HTTP/1.1\r\nhost: x\r\n")
            .await
            .expect("written");
        let mut answer = Vec::new();
        let trickle = async {
            loop {
                tokio::select! {
                    read = slow.read_buf(&mut answer) => match read {
                        Ok(0) | Err(_) => return,
                        Ok(_) => {}
                    },
                    // A byte now and then does not buy more time.
                    () = tokio::time::sleep(Duration::from_secs(2)) => {
                        if slow.write_all(b"x: y\r\n").await.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        timeout(Duration::from_secs(40), trickle)
            .await
            .expect("cut in time");
    };
    tokio::join!(pinged, cut);
    app.finish().await;
}
