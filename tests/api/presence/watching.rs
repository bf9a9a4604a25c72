//! What watchers are told: the present first, then the latest, never the same twice.

use futures_util::future::join_all;

use super::*;

on_both! {
    async fn the_present_state_of_each_comes_first_in_the_order_asked_for(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let [ann, bob, cleo, dan] = &people;
        bob.sets_presence(json!({ "state": "BUSY" })).await;
        dan.sets_presence(json!({ "state": "AWAY", "text": "lunch" })).await;
        let mut watching = ann.watches(&[dan, cleo, bob, dan]).await;
        assert_eq!(watching.shows(dan, "AWAY").await["text"], "lunch");
        watching.shows(cleo, "OFFLINE").await;
        watching.shows(bob, "BUSY").await;
        cleo.sets_presence(json!({ "state": "ONLINE" })).await;
        watching.shows(cleo, "ONLINE").await;
    }

    async fn nothing_falls_between_the_present_and_the_changes(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let _bobs = bob.opens_socket().await;
        for n in 0..20 {
            let text = format!("{n}");
            let change = bob.sets_presence(json!({ "state": "ONLINE", "text": text }));
            let watched = [&bob];
            let (mut watching, _) = tokio::join!(ann.watches(&watched), change);
            while watching.next().await["text"] != text {}
        }
    }

    async fn of_many_changes_a_watcher_gets_few_and_the_last(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut watching = ann.watches(&[&bob]).await;
        watching.shows(&bob, "OFFLINE").await;
        let began = Instant::now();
        let changing = async {
            for n in 0..200 {
                let state = if n % 2 == 0 { "BUSY" } else { "ONLINE" };
                bob.sets_presence(json!({ "state": state, "text": format!("{n}") })).await;
            }
            began.elapsed()
        };
        let seeing = async {
            let mut seen = vec![watching.next().await];
            while seen[seen.len() - 1]["text"] != "199" {
                seen.push(watching.next().await);
            }
            seen
        };
        let (took, seen) = tokio::join!(changing, seeing);
        let ticks = took.as_millis() as usize / 100;
        assert!(seen.len() <= ticks + 3, "{} in {took:?}", seen.len());
        assert!(took > Duration::from_secs(4) || seen.len() < 100, "{} in {took:?}", seen.len());
        let number = |value: &Value| value["text"].as_str().and_then(|n| n.parse::<u32>().ok());
        assert!(seen.is_sorted_by(|a, b| number(a) < number(b)), "{seen:?}");
        watching.socket.stays_silent_for(Duration::from_millis(300)).await;
    }

    async fn when_many_come_at_once_a_watcher_is_told_of_each_once(app) {
        let ann = app.person("Ann").await;
        let names = (0..60).map(|n| format!("Person {n}"));
        let people = join_all(names.map(|name| async move { app.person(&name).await })).await;
        let mut watching = ann.watches(&people.iter().collect::<Vec<_>>()).await;
        for person in &people {
            watching.shows(person, "OFFLINE").await;
        }
        app.domain.statements().record();
        let sockets = join_all(people.iter().map(Person::opens_socket)).await;
        let mut online = std::collections::BTreeSet::new();
        for _ in &people {
            let value = watching.next().await;
            assert_eq!(value["state"], "ONLINE");
            assert!(online.insert(value["userId"].to_string()), "twice: {value}");
        }
        let cost = app.domain.explain_recorded().await.expect("plans").len();
        // Each socket costs the look-up of its session; the rest is shared.
        assert!(cost < 60 + 120, "{cost} statements");
        drop(sockets);
    }

    async fn a_stream_that_is_given_up_leaves_nothing_behind(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let mut watching = ann.watches(&[&ann, &bob]).await;
        watching.next().await;
        assert_eq!(app.domain.open_feeds(), 2);
        watching.socket.send(&json!({ "type": "complete", "id": "1" })).await;
        until("the watch is given up", || async { app.domain.open_feeds() == 0 }).await;
    }

    async fn a_page_of_50_members_with_presence_costs_one_statement_more(app) {
        let ann = app.person("Ann").await;
        let names = (0..50).map(|n| format!("Person {n}"));
        let people = join_all(names.map(|name| async move { app.person(&name).await })).await;
        let room = ann.makes_group("Fifty", &people.iter().collect::<Vec<_>>()).await;
        people[7].sets_presence(json!({ "state": "BUSY" })).await;
        let cost = async |fields: &str| {
            let query = format!("query($id: ID!) {{ conversation(id: $id) {{ lastSeq members(first: 51) {{ nodes {{ user {{ id {fields} }} }} }} }} }}");
            app.domain.statements().record();
            let data = ann.asks(&query, json!({ "id": room.id })).await;
            assert!(fields.is_empty() || data.to_string().contains("BUSY"), "{data}");
            app.recorded_statements().await
        };
        let (with, without) = (cost("presence { state }").await, cost("").await);
        assert_eq!(with.len(), without.len() + 1, "{with:#?}, {without:#?}");
    }
}
