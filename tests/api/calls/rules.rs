//! Who may do what, and the servers that calls are given.

use super::*;

on_both! {
    async fn only_the_devices_in_a_call_have_a_say_in_it(app) {
        let mut scene = Scene::set(app).await;
        let tablet = scene.ann.signs_in_again().await;
        let id = scene.rings().await;
        let refused = async |person: &Person, mutation, variables| person.is_refused(mutation, variables).await;
        assert_eq!(refused(&scene.ann, ANSWER, on_call(&id)).await, "FORBIDDEN");
        assert_eq!(refused(&scene.ann, DECLINE, on_call(&id)).await, "FORBIDDEN");
        assert_eq!(refused(&scene.bob, SAY, said(&id, "ANSWER", "x")).await, "FORBIDDEN");
        assert_eq!(refused(&tablet, SAY, said(&id, "OFFER", "x")).await, "FORBIDDEN");
        scene.bob.does(ANSWER, &id).await;
        assert_eq!(refused(&scene.laptop, SAY, said(&id, "ANSWER", "x")).await, "FORBIDDEN");
        for device in [&scene.bob, &scene.laptop] {
            assert_eq!(refused(device, DECLINE, on_call(&id)).await, "CONFLICT");
        }
        // Any device of a party may hang up: a lost phone must not keep its owner in a call.
        assert_eq!(tablet.does(HANG_UP, &id).await["outcome"], "COMPLETED");
        scene.anns.is_told_all(&["ANSWERED", "ENDED"], &id).await;
        scene.bobs.is_told_all(&["ANSWERED", "ENDED"], &id).await;
        assert_eq!(refused(&scene.ann, SAY, said(&id, "OFFER", "x")).await, "CONFLICT");
        assert_eq!(refused(&scene.ann, ICE, json!({ "id": id })).await, "CONFLICT");
    }

    async fn so_far_only_direct_conversations_have_calls(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let group = ann.makes_group("Many", &[&bob]).await;
        let room = ann.makes(json!({ "kind": "ROOM", "memberIds": [] })).await;
        let channel = ann.makes(json!({ "kind": "CHANNEL", "memberIds": [bob.id] })).await;
        for conversation in [group, room, channel] {
            let input = json!({ "conversationId": conversation.id, "kind": "AUDIO" });
            assert_eq!(ann.is_refused(START, json!({ "input": input })).await, "FORBIDDEN");
            assert_eq!(ann.last_seq(&conversation).await, 0);
        }
    }

    async fn nobody_without_a_session_has_anything_to_do_with_calls(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_direct(&bob).await;
        let id = text(&ann.calls(&room).await["id"]);
        let input = json!({ "conversationId": room.id, "kind": "AUDIO" });
        for (query, variables) in [
            (START, json!({ "input": input })), (ANSWER, on_call(&id)), (DECLINE, on_call(&id)), (HANG_UP, on_call(&id)),
            (SAY, said(&id, "OFFER", "")), (CALL, json!({ "id": id })), (HISTORY, json!({})), (ICE, json!({ "id": id })),
        ] {
            let answer = app.anonymous(query, variables).await;
            assert_eq!(answer["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{query}");
        }
        let mut socket = Socket::open(&app.url("/graphql"), None).await;
        socket.subscribe("1", SIGNALS, &json!({})).await;
        let refused = socket.next().await.expect("an answer");
        assert_eq!(refused["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{refused}");
        assert_eq!(ann.call(&id).await["state"], "RINGING");
    }

    async fn without_settings_there_are_no_ice_servers(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_direct(&bob).await;
        let id = text(&ann.calls(&room).await["id"]);
        assert_eq!(ann.asks(ICE, json!({ "id": id })).await["iceServers"], json!([]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_party_of_each_call_gets_credentials_of_its_own() {
    let urls = "stun:stun.example.org, turn:turn.example.org:3478?transport=udp,turns:turn.example.org:5349";
    let app = App::with(&[("TURN_URLS", urls), ("TURN_SECRET", "north")]).await;
    let [ann, bob] = app.people(["Ann", "Bob"]).await;
    let room = ann.makes_direct(&bob).await;
    let id = text(&ann.calls(&room).await["id"]);
    let mut names = Vec::new();
    for person in [&ann, &bob] {
        let servers = person.asks(ICE, json!({ "id": id })).await["iceServers"].clone();
        let stun =
            json!({ "urls": ["stun:stun.example.org"], "username": null, "credential": null });
        assert_eq!(servers[0], stun);
        let turn = &servers[1];
        assert_eq!(
            turn["urls"],
            json!([
                "turn:turn.example.org:3478?transport=udp",
                "turns:turn.example.org:5349"
            ])
        );
        let name = text(&turn["username"]);
        let (expiry, opaque) = name.split_once(':').expect("two parts");
        let left = expiry.parse::<i64>().expect("seconds") - app.clock.now().0 / 1_000;
        assert!((21_590..=21_600).contains(&left), "six hours: {left}");
        assert!(opaque.len() > 10 && !opaque.contains(':'), "{name}");
        assert_eq!(text(&turn["credential"]).len(), 28, "SHA-1 in base64");
        names.push(name);
    }
    assert_ne!(names[0], names[1]);
    app.finish().await;
}
