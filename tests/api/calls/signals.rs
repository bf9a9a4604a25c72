//! What devices say to each other, and devices that come late or come back.

use super::*;
use crate::harness::until;

on_both! {
    async fn what_is_said_before_the_answer_waits_for_the_device_that_gives_it(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        scene.ann.says(&id, "OFFER", "o").await;
        for n in 0..40 {
            scene.ann.says(&id, "CANDIDATE", &format!("a{n}")).await;
        }
        scene.laptop.does(ANSWER, &id).await;
        // Signals of both directions, at the same time.
        tokio::join!(scene.laptop.says(&id, "ANSWER", "a"), scene.ann.says(&id, "CANDIDATE", "a40"));
        scene.laptop.says(&id, "CANDIDATE", "b0").await;
        let mut kinds = vec!["ANSWERED", "OFFER"];
        kinds.extend(["CANDIDATE"; 41]);
        let told = scene.laptops.is_told_all(&kinds, &id).await;
        assert_eq!(told[1]["payload"], "o");
        for (n, signal) in told[2..].iter().enumerate() {
            assert_eq!(signal["payload"], format!("a{n}"), "in order, each once");
            assert_eq!(signal["from"]["id"], scene.ann.id);
        }
        let told = scene.anns.is_told_all(&["ANSWERED", "ANSWER", "CANDIDATE"], &id).await;
        assert_eq!((&told[1]["payload"], &told[2]["payload"]), (&json!("a"), &json!("b0")));
        // Nothing of that was for Bob's phone.
        scene.bobs.is_told("ANSWERED_ELSEWHERE", &id).await;
        scene.ann.does(HANG_UP, &id).await;
        scene.anns.is_told("ENDED", &id).await;
        scene.laptops.is_told("ENDED", &id).await;
        let next = scene.rings().await;
        scene.bob.does(DECLINE, &next).await;
    }

    async fn a_device_that_comes_late_still_rings(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        scene.ann.says(&id, "OFFER", "o").await;
        let tablet = scene.bob.signs_in_again().await;
        let mut tablets = tablet.listens().await;
        tablets.is_told("RINGING", &id).await;
        tablet.does(ANSWER, &id).await;
        tablets.is_told_all(&["ANSWERED", "OFFER"], &id).await;
        scene.laptops.is_told("ANSWERED_ELSEWHERE", &id).await;
        // Later still, there is nothing to ring for.
        let watch = scene.bob.signs_in_again().await;
        watch.listens().await.is_told("ANSWERED_ELSEWHERE", &id).await;
    }

    async fn a_device_that_comes_back_goes_on(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.talks().await;
        scene.ann.says(&id, "OFFER", "o").await;
        let before = scene.bobs.is_told("OFFER", &id).await;
        drop(scene.bobs);
        scene.ann.says(&id, "CANDIDATE", "while away").await;
        let mut back = scene.bob.listens().await;
        let again = back.is_told_all(&["RINGING", "ANSWERED", "OFFER", "CANDIDATE"], &id).await;
        assert_eq!(again[2], before, "a repeat is seen to be one");
        assert_eq!(again[3]["payload"], "while away");

        // One that was away at the end is told of it, once, and after a while nobody is.
        drop((back, scene.laptops));
        scene.ann.does(HANG_UP, &id).await;
        let mut back = scene.bob.listens().await;
        back.is_told("ENDED", &id).await;
        app.advance(Duration::from_secs(121));
        until("the signals are forgotten", || async {
            let mut late = scene.bob.signs_in_again().await.listens().await;
            tokio::time::timeout(Duration::from_millis(300), late.next()).await.is_err()
        }).await;
        assert_eq!(scene.bob.call(&id).await["outcome"], "COMPLETED", "the record stays");
    }

    async fn a_payload_is_opaque_and_has_1_to_65536_bytes(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.talks().await;
        let long = "x".repeat(65_537);
        for bad in ["", long.as_str(), "nul\0"] {
            let refusal = scene.ann.is_refused_with(SAY, said(&id, "OFFER", bad)).await;
            assert_eq!(refusal, json!({ "code": "BAD_USER_INPUT", "field": "payload" }));
        }
        for good in [&long[1..], " ", "{\"sdp\":\"v=0\\r\\n\"}", "💥"] {
            scene.ann.says(&id, "OFFER", good).await;
            assert_eq!(scene.bobs.is_told("OFFER", &id).await["payload"], good);
        }
    }

    async fn a_party_says_at_most_256_things_in_two_minutes(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.talks().await;
        for n in 0..256 {
            scene.ann.says(&id, "CANDIDATE", &format!("{n}")).await;
        }
        assert_eq!(scene.ann.is_refused(SAY, said(&id, "CANDIDATE", "more")).await, "RATE_LIMITED");
        scene.bob.says(&id, "ANSWER", "of the other side").await;
        scene.anns.is_told("ANSWER", &id).await;
        for n in 0..256 {
            assert_eq!(scene.bobs.is_told("CANDIDATE", &id).await["payload"], format!("{n}"));
        }
        app.advance(Duration::from_secs(121));
        scene.ann.says(&id, "CANDIDATE", "again").await;
        assert_eq!(scene.bobs.is_told("CANDIDATE", &id).await["payload"], "again");
    }
}
