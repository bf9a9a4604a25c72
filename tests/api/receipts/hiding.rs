//! Who has switched read receipts off.

use super::*;

on_both! {
    async fn who_hides_reads_shows_none_and_sees_none(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let laptop = bob.signs_in_again().await;
        let room = ann.makes_group("Hidden", &[&bob, &cleo]).await;
        let mut said = Vec::new();
        for n in 1..=3 {
            said.push(ann.sends(&room, &format!("{n}")).await);
        }
        let shown = "{ viewer { readReceipts } }";
        assert_eq!(bob.asks(shown, json!({})).await["viewer"]["readReceipts"], true);
        bob.sets_read_receipts(false).await;
        assert_eq!(laptop.asks(shown, json!({})).await["viewer"]["readReceipts"], false);
        let mut anns = ann.follows_receipts(app, &room).await;
        let mut bobs = laptop.follows_receipts(app, &room).await;

        // Others hear of what was delivered, and not of a mere read.
        bob.receives(&room, 2).await;
        assert_eq!(marks(&anns.next().await), (2, 0));
        assert_eq!(marks(&bobs.next().await), (2, 0));
        assert_eq!(marks(&bob.reads(&room, 2).await), (2, 2), "to oneself it is true");
        assert_eq!(marks(&bobs.next().await), (2, 2), "on the other device too");
        bob.reads(&room, 3).await;
        assert_eq!(marks(&anns.next().await), (3, 0), "there was no event of the mere read");
        assert_eq!(marks(&bobs.next().await), (3, 3));
        assert_eq!(ann.sees_marks(&room, &bob).await, (3, 0));
        assert_eq!(laptop.sees_marks(&room, &bob).await, (3, 3));
        assert_eq!(bob.unread(&room).await, 0);

        // And the one who hides sees as little of others.
        cleo.reads(&room, 1).await;
        assert_eq!(marks(&anns.next().await), (1, 1));
        assert_eq!(marks(&bobs.next().await), (1, 0));
        cleo.receives(&room, 3).await;
        cleo.reads(&room, 3).await;
        assert_eq!(bob.sees_marks(&room, &cleo).await, (3, 0));
        assert_eq!(ann.sees_marks(&room, &cleo).await, (3, 3));
        assert_eq!(ann.seen_by(&said[0]).await, [&*cleo.id]);
        assert_eq!(bob.seen_by(&said[0]).await, [""; 0]);

        // Switched on, all of it shows, to those too who listened all along.
        bob.sets_read_receipts(true).await;
        assert_eq!(ann.sees_marks(&room, &bob).await, (3, 3));
        assert_eq!(bob.seen_by(&said[0]).await.len(), 2);
        ann.sends(&room, "4").await;
        cleo.reads(&room, 4).await;
        loop {
            let heard = bobs.next().await;
            if marks(&heard) == (4, 4) {
                assert_eq!(heard["userId"], cleo.id);
                break;
            }
            // Of before, told before the switch or after it.
            assert!(matches!(marks(&heard), (1 | 3, 0) | (3, 3)), "{heard}");
        }
    }

    async fn a_stream_follows_the_switch_at_once(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Switch", &[&bob]).await;
        for n in 1..=4 {
            ann.sends(&room, &format!("{n}")).await;
        }
        let mut anns = ann.follows_receipts(app, &room).await;
        bob.reads(&room, 1).await;
        assert_eq!(marks(&anns.next().await), (1, 1));
        ann.sets_read_receipts(false).await;
        bob.receives(&room, 3).await;
        assert_eq!(marks(&anns.next().await), (3, 0));
        bob.reads(&room, 3).await;
        ann.sets_read_receipts(true).await;
        bob.reads(&room, 4).await;
        assert_eq!(marks(&anns.next().await), (4, 4));
    }
}
