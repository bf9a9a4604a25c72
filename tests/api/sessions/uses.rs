//! When a session was last used, and from where.

use super::*;

/// The session of this id, as its owner sees it.
async fn session(owner: &Person, id: &str) -> Value {
    let sessions = sessions(owner).await;
    let found = sessions.into_iter().find(|session| session["id"] == id);
    found.expect("it goes on")
}

async fn last_used_at(owner: &Person, id: &str) -> Value {
    session(owner, id).await["lastUsedAt"].clone()
}

on_both! {
    async fn a_use_is_written_once_a_minute_with_the_program_it_came_from(app) {
        let ann = app.person("Ann").await;
        let phone = ann.signs_in_again().await;
        app.advance(Duration::from_secs(5));
        let laptop = ann.signs_in_again().await;
        let (phones, laptops) = (own_id(&phone).await, own_id(&laptop).await);
        let signed_in = [last_used_at(&ann, &phones).await, last_used_at(&ann, &laptops).await];

        app.advance(Duration::from_secs(57));
        let bearer = format!("Bearer {}", phone.token);
        let headers: [(&str, &[u8]); 3] =
            [("authorization", bearer.as_bytes()), ("user-agent", b"Messenger/2.2"), ("x-device-name", b"not asked")];
        asks_by(app, &headers, VIEWER, Value::Null).await;
        until("the use is written", || async { last_used_at(&ann, &phones).await != signed_in[0] }).await;
        let used = session(&ann, &phones).await;
        assert!(text(&used["lastUsedAt"]) > text(&signed_in[1]));
        assert_eq!(used["client"], "Messenger/2.2");
        assert_eq!(used["deviceName"], Value::Null, "names are given when signing in");
        assert_eq!(last_used_at(&ann, &laptops).await, signed_in[1], "nobody has used it");

        app.advance(Duration::from_secs(8));
        phone.asks(VIEWER, json!({})).await;
        laptop.asks(VIEWER, json!({})).await;
        until("the other use is written", || async { last_used_at(&ann, &laptops).await != signed_in[1] }).await;
        assert_eq!(session(&ann, &phones).await, used, "that was written just now");
    }

    async fn an_open_socket_is_use(app) {
        let ann = app.person("Ann").await;
        let phone = ann.signs_in_again().await;
        let id = own_id(&phone).await;
        let before = last_used_at(&ann, &id).await;
        let socket = phone.opens_socket().await;
        app.advance(Duration::from_secs(301));
        until("the use is written", || async { last_used_at(&ann, &id).await != before }).await;
        drop(socket);
    }

    async fn a_renewal_is_use(app) {
        let ann = app.person("Ann").await;
        let phone = ann.signs_in_again().await;
        let id = own_id(&phone).await;
        let before = session(&ann, &id).await;
        app.advance(Duration::from_secs(10));
        let token = json!({ "refreshToken": phone.refresh_token });
        asks_by(app, &[("user-agent", b"Messenger/3")], REFRESH, token).await;
        let after = session(&ann, &id).await;
        assert!(text(&after["lastUsedAt"]) > text(&before["lastUsedAt"]));
        assert!(text(&after["expiresAt"]) > text(&before["expiresAt"]));
        assert_eq!(after["client"], "Messenger/3");
    }
}
