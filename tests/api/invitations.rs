//! Links by which others come in: for whom, how often, how long.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::text;
use crate::harness::{App, Person, Room, on_both, until};
use crate::settings::ARCHIVE;

pub(crate) const INVITE: &str = "mutation($input: CreateInvitationInput!) {
    createInvitation(input: $input) { code invitation { id role asksFirst maxUses useCount expiresAt inviter { id } } }
}";
pub(crate) const REVOKE: &str = "mutation($input: RevokeInvitationInput!) {
    revokeInvitation(input: $input) { invitation { id expiresAt } }
}";
pub(crate) const ACCEPT: &str = "mutation($input: AcceptInvitationInput!) {
    acceptInvitation(input: $input) { conversation { id } joinRequest { id state } }
}";
pub(crate) const PREVIEW: &str = "query($code: String!) { invitation(code: $code) {
    conversation { id kind title memberCount } inviter { id } role asksFirst expiresAt
} }";
pub(crate) const INVITATIONS: &str =
    "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    conversation(id: $id) { invitations(first: $first, after: $after, last: $last, before: $before) {
        nodes { id useCount } pageInfo { hasNextPage endCursor }
    } }
}";

/// An invitation that was made.
pub(crate) struct Made {
    pub(crate) id: String,
    pub(crate) code: String,
}

impl Person {
    pub(crate) async fn invites(&self, room: &Room, how: Value) -> Made {
        let data = self.asks(INVITE, to(room, how)).await;
        let made = &data["createInvitation"];
        Made {
            id: text(&made["invitation"]["id"]),
            code: text(&made["code"]),
        }
    }

    /// Comes in by an invitation, or asks to; answers which.
    pub(crate) async fn accepts(&self, code: &str) -> Value {
        let data = self.asks(ACCEPT, by(code)).await;
        data["acceptInvitation"].clone()
    }

    /// Ids and uses of the invitations to a conversation.
    async fn sees_invitations(&self, room: &Room) -> Vec<(String, i64)> {
        let found = self.asks(INVITATIONS, json!({ "id": room.id })).await;
        let nodes = found["conversation"]["invitations"]["nodes"].as_array();
        let nodes = nodes.expect("a list").iter();
        nodes
            .map(|node| {
                (
                    text(&node["id"]),
                    node["useCount"].as_i64().expect("a number"),
                )
            })
            .collect()
    }
}

fn to(room: &Room, how: Value) -> Value {
    let mut input = how;
    input["conversationId"] = json!(room.id);
    json!({ "input": input })
}

fn by(code: &str) -> Value {
    json!({ "input": { "code": code } })
}

/// An instant so far from the node's present.
fn after(app: &App, seconds: u64) -> String {
    let at = app.clock.now().plus(Duration::from_secs(seconds));
    backchannel_schema::rfc3339(at)
}

on_both! {
    async fn whoever_has_the_code_sees_where_it_leads_and_comes_in(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Lake", &[]).await;
        let mut live = ann.follows(&room, Some(0)).await;
        let made = ann.invites(&room, json!({})).await;
        let seen = bob.asks(PREVIEW, json!({ "code": made.code })).await["invitation"].clone();
        assert_eq!(seen, json!({
            "conversation": { "id": room.id, "kind": "GROUP", "title": "Lake", "memberCount": 1 },
            "inviter": { "id": ann.id }, "role": "MEMBER", "asksFirst": false, "expiresAt": null,
        }));
        for _ in 0..2 {
            let joined = bob.accepts(&made.code).await;
            assert_eq!(joined, json!({ "conversation": { "id": room.id }, "joinRequest": null }));
        }
        let event = live.next().await;
        assert_eq!((&event["__typename"], &event["actor"]["id"]), (&json!("MemberJoined"), &json!(bob.id)));
        assert_eq!(ann.sees_invitations(&room).await, [(made.id.clone(), 1)], "who is in does not use it");
        // A member may invite others too, to come in as a member.
        cleo.accepts(&bob.invites(&room, json!({})).await.code).await;
        assert_eq!(live.next().await["member"]["user"]["id"], cleo.id);
        let secret = app.runs_sql("SELECT count(*) FROM invitations WHERE length(code_hash) = 32").await;
        assert_eq!(secret, "2", "no code is kept");
        for code in ["", "no", &"A".repeat(22), &"A".repeat(23), "ÄÄÄÄÄÄÄÄÄÄÄ", &made.code.to_lowercase()] {
            assert_eq!(cleo.is_refused(ACCEPT, by(code)).await, "NOT_FOUND", "{code}");
            assert_eq!(cleo.is_refused(PREVIEW, json!({ "code": code })).await, "NOT_FOUND", "{code}");
        }
        let anonymous = app.anonymous(ACCEPT, by(&made.code)).await;
        assert_eq!(anonymous["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }

    async fn uses_are_counted_exactly_however_many_come_at_once(app) {
        let ann = app.person("Ann").await;
        let others = join_all((0..12).map(|n| async move { app.person(&format!("Person {n}")).await })).await;
        let room = ann.makes_group("Race", &[]).await;
        let made = ann.invites(&room, json!({ "maxUses": 5 })).await;
        let mut live = ann.follows(&room, Some(0)).await;
        let tries = others.iter().flat_map(|person| [person, person]);
        let answers = join_all(tries.map(|person| person.request(ACCEPT, by(&made.code)))).await;
        for answer in &answers {
            let answer = answer.json();
            let code = &answer["errors"][0]["extensions"]["code"];
            assert!(code.is_null() || code == "NOT_FOUND", "{answer}");
        }
        live.take(5).await;
        assert_eq!(ann.last_seq(&room).await, 5);
        assert_eq!(ann.sees_invitations(&room).await, [], "it is used up");
        assert_eq!(app.runs_sql("SELECT uses FROM invitations").await, "5");
    }

    async fn invitations_end_and_are_revoked(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Ends", &[&bob]).await;
        let until_then = after(app, 60);
        let short = ann.invites(&room, json!({ "expiresAt": until_then })).await;
        let bobs = bob.invites(&room, json!({})).await;
        let anns = ann.invites(&room, json!({})).await;
        let revoke = |made: &Made| json!({ "input": { "invitationId": made.id } });
        assert_eq!(bob.is_refused(REVOKE, revoke(&anns)).await, "FORBIDDEN");
        assert_eq!(cleo.is_refused(REVOKE, revoke(&anns)).await, "NOT_FOUND");
        let over = ann.asks(REVOKE, revoke(&bobs)).await;
        assert_eq!(ann.asks(REVOKE, revoke(&bobs)).await, over, "once more it is no change");
        assert_eq!(cleo.is_refused(ACCEPT, by(&bobs.code)).await, "NOT_FOUND");
        app.advance(Duration::from_secs(61));
        for query in [ACCEPT, PREVIEW] {
            let variables = if query == PREVIEW { json!({ "code": short.code }) } else { by(&short.code) };
            assert_eq!(cleo.is_refused(query, variables).await, "NOT_FOUND");
        }
        assert_eq!(ann.sees_invitations(&room).await, [(anns.id.clone(), 0)]);
        app.advance(Duration::from_hours(31 * 24));
        until("what is long over is cleared away", || async {
            app.runs_sql("SELECT count(*) FROM invitations").await == "1"
        })
        .await;
        let ann = ann.signs_in_again().await;
        for (field, value) in [("maxUses", json!(0)), ("maxUses", json!(100_001)), ("role", json!("OWNER")), ("expiresAt", json!(after(app, 0)))] {
            let refused = ann.is_refused_with(INVITE, to(&room, json!({ field: value }))).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": field }));
        }
        let admin = to(&room, json!({ "role": "ADMIN", "asksFirst": true }));
        assert_eq!(ann.is_refused(INVITE, admin).await, "BAD_USER_INPUT");
    }

    async fn an_invitation_is_good_while_its_maker_may_make_it(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Makers", &[&bob]).await;
        let bobs = bob.invites(&room, json!({})).await;
        let admins = ann.invites(&room, json!({ "role": "ADMIN" })).await;
        assert_eq!(bob.is_refused(INVITE, to(&room, json!({ "role": "ADMIN" }))).await, "FORBIDDEN");
        let mut live = ann.follows(&room, Some(0)).await;
        cleo.accepts(&admins.code).await;
        assert_eq!(live.next().await["member"]["role"], "ADMIN");
        // An admin invites no admins.
        assert_eq!(cleo.is_refused(INVITE, to(&room, json!({ "role": "ADMIN" }))).await, "FORBIDDEN");
        ann.sets(&room, json!({ "onlyAdminsAdd": true })).await;
        assert_eq!(dan.is_refused(ACCEPT, by(&bobs.code)).await, "NOT_FOUND");
        assert_eq!(bob.is_refused(INVITATIONS, json!({ "id": room.id })).await, "FORBIDDEN");
        ann.sets(&room, json!({ "onlyAdminsAdd": false })).await;
        ann.removes(&room, &bob).await;
        assert_eq!(dan.is_refused(PREVIEW, json!({ "code": bobs.code })).await, "NOT_FOUND");
        ann.sets_role(&room, &cleo, "OWNER").await;
        assert_eq!(dan.is_refused(ACCEPT, by(&admins.code)).await, "NOT_FOUND", "she is the owner no more");
        let direct = ann.makes_direct(&dan).await;
        assert_eq!(ann.is_refused(INVITE, to(&direct, json!({}))).await, "FORBIDDEN");
        let channel = ann.makes(json!({ "kind": "CHANNEL", "memberIds": [dan.id] })).await;
        assert_eq!(dan.is_refused(INVITE, to(&channel, json!({}))).await, "FORBIDDEN");
        let page = json!({ "id": channel.id, "first": 1 });
        for _ in 0..3 {
            ann.invites(&channel, json!({})).await;
        }
        let first = ann.asks(INVITATIONS, page).await["conversation"]["invitations"].clone();
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let rest = json!({ "id": channel.id, "after": first["pageInfo"]["endCursor"] });
        let rest = ann.asks(INVITATIONS, rest).await["conversation"]["invitations"]["nodes"].clone();
        assert_eq!(rest.as_array().map(Vec::len), Some(2));
    }

    async fn what_somebody_made_does_not_come_back_with_them(app) {
        let [ann, bob, cleo, dan] = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let room = ann.makes_group("Makers", &[&bob, &cleo]).await;
        let made = bob.invites(&room, json!({})).await;
        ann.removes(&room, &bob).await;
        ann.adds(&room, &[&bob]).await;
        assert_eq!(dan.is_refused(ACCEPT, by(&made.code)).await, "NOT_FOUND");
        assert_eq!(ann.sees_invitations(&room).await, []);
        // With the role goes what the role allowed, and nothing else.
        let [admins, members] = [json!({ "role": "ADMIN" }), json!({})];
        let admins = ann.invites(&room, admins).await;
        let members = ann.invites(&room, members).await;
        ann.sets_role(&room, &cleo, "OWNER").await;
        cleo.sets_role(&room, &ann, "OWNER").await;
        assert_eq!(ann.sees_invitations(&room).await, [(members.id, 0)]);
        assert_eq!(dan.is_refused(ACCEPT, by(&admins.code)).await, "NOT_FOUND");
        let mut live = ann.follows(&room, Some(ann.last_seq(&room).await)).await;
        dan.accepts(&members.code).await;
        assert_eq!(live.next().await["member"]["role"], "MEMBER");
        let here = json!({ "input": { "conversationId": room.id } });
        ann.asks(ARCHIVE, here).await;
        assert_eq!(ann.sees_invitations(&room).await.len(), 1, "an archive shows them too");
    }
}
