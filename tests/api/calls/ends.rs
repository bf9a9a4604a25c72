//! How calls end: by somebody, by time, by devices that go.

use super::*;

on_both! {
    async fn a_decline_on_one_device_ends_it_for_all(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        assert_eq!(scene.laptop.does(DECLINE, &id).await["outcome"], "DECLINED");
        let ended = scene.anns.is_told("ENDED", &id).await;
        assert_eq!(ended["call"]["outcome"], "DECLINED");
        scene.bobs.is_told("DECLINED_ELSEWHERE", &id).await;
        scene.laptops.is_told("ENDED", &id).await;
        // Late, it changes nothing; and it is late for an answer.
        assert_eq!(scene.bob.does(DECLINE, &id).await["outcome"], "DECLINED");
        assert_eq!(scene.bob.does(HANG_UP, &id).await["outcome"], "DECLINED");
        assert_eq!(scene.bob.is_refused(ANSWER, on_call(&id)).await, "CONFLICT");
        scene.leaves_one_record(&id, 1, "DECLINED").await;
    }

    async fn hanging_up_cancels_what_rings_and_declines_what_one_is_rung_by(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        assert_eq!(scene.ann.does(HANG_UP, &id).await["outcome"], "CANCELLED");
        scene.anns.is_told("ENDED", &id).await;
        for phone in [&mut scene.bobs, &mut scene.laptops] {
            assert_eq!(phone.is_told("ENDED", &id).await["call"]["outcome"], "CANCELLED");
        }
        assert_eq!(scene.ann.does(HANG_UP, &id).await["outcome"], "CANCELLED");
        scene.leaves_one_record(&id, 1, "CANCELLED").await;

        let id = scene.rings().await;
        assert_eq!(scene.bob.does(HANG_UP, &id).await["outcome"], "DECLINED");
        scene.anns.is_told("ENDED", &id).await;
        scene.laptops.is_told("DECLINED_ELSEWHERE", &id).await;
        scene.leaves_one_record(&id, 2, "DECLINED").await;
    }

    async fn what_nobody_answers_is_missed_after_40_seconds(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        app.advance(RING);
        for phone in [&mut scene.anns, &mut scene.bobs, &mut scene.laptops] {
            let ended = phone.is_told("ENDED", &id).await;
            assert_eq!(ended["call"]["outcome"], "MISSED");
            assert_eq!(ended["from"], Value::Null);
        }
        let call = scene.ann.call(&id).await;
        assert_eq!([&call["parties"][0]["state"], &call["parties"][1]["state"]], ["LEFT", "MISSED"]);
        assert_eq!(call["durationSeconds"], Value::Null);
        scene.leaves_one_record(&id, 1, "MISSED").await;
    }

    async fn a_call_that_was_answered_goes_on_past_40_seconds(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.talks().await;
        app.advance(Duration::from_secs(600));
        scene.ann.says(&id, "OFFER", "still here").await;
        scene.bobs.is_told("OFFER", &id).await;
        // But not for ever.
        app.advance(Duration::from_secs(24 * 3_600));
        for phone in [&mut scene.anns, &mut scene.bobs] {
            assert_eq!(phone.is_told("ENDED", &id).await["call"]["outcome"], "COMPLETED");
        }
    }

    async fn a_caller_who_goes_while_it_rings_cancels_it_after_ten_seconds(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        scene.ann.asks("mutation { signOut { ok } }", json!({})).await;
        app.advance(Duration::from_secs(5));
        assert_eq!(scene.bob.call(&id).await["state"], "RINGING");
        app.advance(GRACE);
        for phone in [&mut scene.bobs, &mut scene.laptops] {
            assert_eq!(phone.is_told("ENDED", &id).await["call"]["outcome"], "CANCELLED");
        }
        scene.leaves_one_record(&id, 1, "CANCELLED").await;
    }

    async fn a_device_that_goes_while_people_talk_completes_the_call(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.talks().await;
        scene.bob.asks("mutation { signOut { ok } }", json!({})).await;
        app.advance(GRACE);
        assert_eq!(scene.anns.is_told("ENDED", &id).await["call"]["outcome"], "COMPLETED");
        // The other device of the one who went is free to ring, and goes without a trace.
        let id = text(&scene.laptop.calls(&scene.room).await["id"]);
        scene.anns.is_told("RINGING", &id).await;
        assert_eq!(scene.ann.last_seq(&scene.room).await, 1);
    }

    async fn a_device_that_only_rings_may_go(app) {
        let mut scene = Scene::set(app).await;
        let id = scene.rings().await;
        scene.laptop.asks("mutation { signOut { ok } }", json!({})).await;
        app.advance(GRACE);
        assert_eq!(scene.bob.does(ANSWER, &id).await["state"], "ANSWERED");
        scene.anns.is_told("ANSWERED", &id).await;
    }
}
