//! What is over is cleared away, and nothing else is.

use super::*;

const DAY: Duration = Duration::from_hours(24);

async fn count(app: &App, of: &str) -> u32 {
    let counted = app.runs_sql(&format!("SELECT count(*) FROM {of}")).await;
    counted.parse().expect("a number")
}

/// Renews a session; answers the next refresh token.
async fn renew(app: &App, token: &str) -> String {
    let renewed = app
        .anonymous(REFRESH, json!({ "input": { "refreshToken": token } }))
        .await;
    text(&renewed["data"]["refreshSession"]["refreshToken"])
}

on_both! {
    async fn sessions_and_tokens_are_cleared_away_when_their_time_is_over(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Past", &[&bob]).await;
        let sent = ann.sends(&room, "hello").await;
        bob.receives(&room, sent.seq).await;
        // More than are cleared away in one go; one of them signed out.
        let phones = join_all((0..70).map(|n| [&ann, &bob][n % 2].signs_in_again())).await;
        phones[69].asks("mutation { signOut { ok } }", json!({})).await;
        let second = renew(app, &ann.refresh_token).await;
        assert_eq!(count(app, "sessions").await, 72);
        assert_eq!(count(app, "refresh_tokens").await, 73);
        assert_eq!(count(app, "deliveries").await, 1);

        app.advance(4 * DAY);
        let third = renew(app, &second).await;
        app.advance(2 * DAY);
        // It is looked for meanwhile; nothing is over yet.
        assert_eq!(count(app, "sessions").await, 72);
        app.advance(2 * DAY);
        until("what is over is gone", || async {
            count(app, "sessions").await == 1 && count(app, "refresh_tokens").await == 1
        })
        .await;
        assert_eq!(count(app, "deliveries").await, 0);
        renew(app, &third).await;
        for token in [&ann.refresh_token, &second, &bob.refresh_token, &phones[0].refresh_token] {
            let refused = app.anonymous(REFRESH, json!({ "input": { "refreshToken": token } })).await;
            assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        }
        assert_eq!(count(app, "sessions WHERE revoked_at IS NULL").await, 1, "nobody was taken for a thief");
        assert_eq!(bob.signs_in_again().await.last_seq(&room).await, sent.seq);
    }

    async fn a_spent_token_is_known_until_it_expires(app) {
        let ann = app.person("Ann").await;
        let elsewhere = ann.signs_in_again().await;
        let next = renew(app, &ann.refresh_token).await;
        app.advance(7 * DAY - Duration::from_secs(60));
        let other = renew(app, &elsewhere.refresh_token).await;
        let refused = app.anonymous(REFRESH, json!({ "input": { "refreshToken": ann.refresh_token } })).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        let refused = app.anonymous(REFRESH, json!({ "input": { "refreshToken": next } })).await;
        assert_eq!(refused["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "its return ended the session");
        renew(app, &other).await;
    }
}
