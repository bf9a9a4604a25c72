//! Every query of the hot paths has its index: the plans are read on both databases.

mod writing;

use backchannel_domain::{Plan, audit, operators};
use serde_json::json;

use crate::audit::LOG;
use crate::bans::BANS;
use crate::blocks::BLOCKED;
use crate::bots::{KEYS, REVOKE_KEY, makes_bot};
use crate::calls::{ANSWER, HANG_UP, HISTORY, ICE};
use crate::codes::{ATTACH, CHANGE, RESET, SIGN_IN, asks_for_code, asks_to_attach};
use crate::contacts;
use crate::directory::FIND;
use crate::harness::people::{JOIN_ROOM, PASSWORD, text};
use crate::harness::{App, Person, Room, on_both, until};
use crate::invitations::{INVITATIONS, PREVIEW};
use crate::join_requests::{APPROVE, OWN, WAITING, WITHDRAW};
use crate::marked;
use crate::polls::{self, poll};
use crate::reactions;
use crate::requests::{ACCEPT, CANCEL, DECLINE, LIST as REQUESTS};
use crate::rooms::ROOMS;
use crate::sessions::{LIST, RENAME, REVOKE, has_no_leases, session_ids};
use crate::templates;

/// Whether a plan reads a whole table. On SQLite a covering index used as a table is no
/// scan that grows into a search; on Postgres sequential scans are switched off for
/// planning, so that one that remains has no index to use.
fn full_scan(plan: &str) -> Option<&str> {
    let tables = [
        "users",
        "sessions",
        "refresh_tokens",
        "legacy_users",
        "conversations",
        "members",
        "messages",
        "conversation_events",
        "leases",
        "presences",
        "preferences",
        "calls",
        "call_parties",
        "call_signals",
        "deliveries",
        "rates",
        "codes",
        "audit_entries",
        "audit_heads",
        "contacts",
        "blocks",
        "user_terms",
        "chat_requests",
        "reports",
        "message_details",
        "message_edits",
        "mentions",
        "thread_reads",
        "scheduled_messages",
        "retentions",
        "conversation_states",
        "conversation_terms",
        "conversation_tags",
        "room_tags",
        "templates",
        "reactions",
        "stars",
        "hidden_messages",
        "polls",
        "poll_votes",
        "bans",
        "invitations",
        "join_requests",
        "last_sends",
        "erasures",
    ];
    plan.lines().find(|line| {
        let line = line.trim();
        let sqlite = line.strip_prefix("SCAN ").is_some_and(|rest| {
            let scanned = rest.split_whitespace().next().unwrap_or_default();
            // Sub-selects are scanned once they are made; they are bounded.
            tables.contains(&scanned)
                || ["b", "c", "e", "f", "k", "m", "o", "r", "t", "u", "v", "x"].contains(&scanned)
        });
        // An index of those alone for whom something is to be done, and there are none.
        let is_of_few = line.ends_with("idx_users_unlisted")
            // One of rooms alone, in whose order a page of them is read.
            || line.ends_with("idx_conversations_member_count_id");
        (sqlite && !is_of_few) || line.contains("Seq Scan on")
    })
}

/// SQLite plans to look at what refers to users and messages where some are inserted, in case one
/// mends a broken reference. It does not look while there are none, which is always.
fn is_never_done(sql: &str, line: &str) -> bool {
    let mends = |table: &str| sql.contains(&format!("INSERT INTO \"{table}\""));
    let of_messages = mends("messages") && line.trim() == "SCAN conversation_events";
    of_messages || (mends("users") && line.trim().starts_with("SCAN "))
}

/// Calls from ringing to being forgotten, busy ones, and their lists.
async fn calls(app: &App, ann: &Person, bob: &Person, cleo: &Person) {
    let (room, other) = (ann.makes_direct(bob).await, cleo.makes_direct(bob).await);
    let id = text(&ann.calls(&room).await["id"]);
    ann.says(&id, "OFFER", "sdp").await;
    let mut phone = bob.listens().await;
    phone.is_told("RINGING", &id).await;
    cleo.calls(&other).await;
    bob.does(ANSWER, &id).await;
    phone.is_told_all(&["ANSWERED", "OFFER"], &id).await;
    ann.call(&id).await;
    ann.asks(ICE, json!({ "id": id })).await;
    ann.does(HANG_UP, &id).await;
    for conversation in [None, Some(&room.id)] {
        let mut variables = json!({ "conversation": conversation, "first": 1 });
        let page = bob.asks(HISTORY, variables.clone()).await;
        variables["after"] = page["callHistory"]["pageInfo"]["endCursor"].clone();
        bob.asks(HISTORY, variables).await;
    }
    app.advance(std::time::Duration::from_secs(121));
    until("the signals are forgotten", || async {
        let mut late = bob.signs_in_again().await.listens().await;
        let a_while = std::time::Duration::from_millis(300);
        tokio::time::timeout(a_while, late.next()).await.is_err()
    })
    .await;
}

/// Finding people, contacts, and who shows what to whom; of somebody who is not listed yet too.
async fn people(app: &App, ann: &Person, bob: &Person, eve: &Person) {
    app.runs_sql("UPDATE users SET is_listed = FALSE").await;
    app.advance(std::time::Duration::from_secs(61));
    until("all are listed", || async {
        app.runs_sql("SELECT count(*) FROM users WHERE NOT is_listed")
            .await
            == "0"
    })
    .await;
    for query in ["b", "an bo", "bob@example.com", "+4930123456", "a b c d"] {
        let query = format!("{query}o");
        let page = ann.asks(FIND, json!({ "query": query, "first": 1 })).await;
        let cursor = &page["users"]["pageInfo"]["endCursor"];
        for variables in [
            json!({ "query": query, "first": 1, "after": cursor }),
            json!({ "query": query, "last": 1, "before": cursor }),
        ] {
            ann.asks(FIND, variables).await;
        }
    }
    ann.adds_contact(bob, None).await;
    ann.adds_contact(bob, Some("Bobby")).await;
    let input = json!({ "userId": bob.id, "name": "Bob", "isHidden": true });
    ann.asks(contacts::CHANGE, json!({ "input": input })).await;
    let book = json!({ "contacts": [{ "phone": "+4930123456" }, { "phone": "+4930123457" }] });
    ann.asks(contacts::SYNC, json!({ "input": book })).await;
    let page = ann
        .asks(contacts::LIST, json!({ "first": 1, "hidden": true }))
        .await;
    let cursor = &page["viewer"]["contacts"]["pageInfo"]["endCursor"];
    for variables in [
        json!({ "first": 1, "after": cursor }),
        json!({ "last": 1, "before": cursor }),
    ] {
        ann.asks(contacts::LIST, variables).await;
    }
    ann.removes_contact(bob).await;
    let room = eve.makes_group("Hidden", &[ann]).await;
    let picture = json!({ "avatarUrl": "https://example.com/eve.png" });
    eve.updates_profile(picture).await;
    eve.sets_presence(json!({ "state": "BUSY" })).await;
    let mut watching = ann.watches(&[eve]).await;
    watching.shows(eve, "BUSY").await;
    let hide = json!({ "avatar": "CONTACTS", "lastSeen": "CONTACTS" });
    eve.updates_privacy(hide).await;
    watching.shows(eve, "BUSY").await;
    eve.sends(&room, "hi").await;
    let query = "query($id: ID!) { conversation(id: $id) {
        messages(last: 1) { nodes { sender { avatarUrl } } }
        members(first: 5) { nodes { user { avatarUrl presence { lastSeenAt } } } }
    } }";
    ann.asks(query, json!({ "id": room.id })).await;
}

/// Sessions from sign-in to being cleared away, and their list.
async fn sessions(app: &App, ann: &Person) {
    let again = ann.signs_in_again().await;
    let refresh =
        "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { accessToken } }";
    let token = json!({ "input": { "refreshToken": again.refresh_token } });
    again.asks(refresh, token).await;
    let page = ann.asks(LIST, json!({ "first": 1 })).await;
    let cursor = &page["viewer"]["sessions"]["pageInfo"]["endCursor"];
    ann.asks(LIST, json!({ "first": 1, "after": cursor })).await;
    ann.asks(LIST, json!({ "last": 1, "before": cursor })).await;
    let id = session_ids(&again).await.swap_remove(0);
    let node = "query($id: ID!) { node(id: $id) { id } }";
    ann.asks(node, json!({ "id": id })).await;
    let name = json!({ "input": { "sessionId": id, "deviceName": "tablet" } });
    ann.asks(RENAME, name).await;
    ann.asks(REVOKE, json!({ "input": { "sessionId": id } }))
        .await;
    let other = ann.signs_in_again().await;
    let revoke_others = "mutation { revokeOtherSessions { sessionCount } }";
    ann.asks(revoke_others, json!({})).await;
    assert_eq!(other.is_refused(LIST, json!({})).await, "UNAUTHENTICATED");
    let again = ann.signs_in_again().await;
    again.asks("mutation { signOut { ok } }", json!({})).await;
    // Used after a while, then not for long.
    app.advance(std::time::Duration::from_secs(120));
    let before = "SELECT max(last_used_at) FROM sessions";
    let used = app.runs_sql(before).await;
    ann.asks(LIST, json!({})).await;
    until("the use is written", || async {
        app.runs_sql(before).await != used
    })
    .await;
    has_no_leases(app).await;
    app.advance(std::time::Duration::from_hours(8 * 24));
    until("all is cleared away", || async {
        app.runs_sql("SELECT count(*) FROM sessions").await == "0"
    })
    .await;
}

/// Codes and links, bots and their keys, and what the log tells of all that.
async fn accounts(app: &App, ann: &Person) {
    let code = asks_to_attach(app, ann, "+12025550173").await;
    let wrong = json!({ "input": { "token": code.token, "code": code.wrong() } });
    ann.is_refused(ATTACH, wrong).await;
    ann.asks(ATTACH, code.input(json!({}))).await;
    let code = asks_for_code(app, "eve@example.com", "SIGN_IN").await;
    app.anonymous(SIGN_IN, code.input(json!({ "displayName": "Eve" })))
        .await;
    let code = asks_for_code(app, "eve@example.com", "RESET_PASSWORD").await;
    let reset = code.input(json!({ "newPassword": "another good one" }));
    app.anonymous(RESET, reset).await;
    let unknown = json!({ "input": { "link": "A".repeat(43), "newPassword": "another good one" } });
    app.anonymous(RESET, unknown).await;
    let change = json!({ "input": { "currentPassword": PASSWORD, "newPassword": PASSWORD } });
    ann.asks(CHANGE, change).await;

    let (bot, key) = makes_bot(ann, "Bot", &["MESSAGES"]).await;
    let keys = json!({ "bot": bot.id });
    ann.asks(KEYS, keys.clone()).await;
    ann.asks("{ viewer { bots { id } } }", json!({})).await;
    bot.asks("{ viewer { user { id } } }", json!({})).await;
    ann.asks(REVOKE_KEY, json!({ "input": { "apiKeyId": key } }))
        .await;

    let made = operators::set(&app.domain, &ann.email, true).await;
    made.expect("she is an operator");
    until("it is felt", || async {
        ann.request(LOG, json!({})).await.json()["errors"].is_null()
    })
    .await;
    for narrow in [
        json!({ "first": 1 }),
        json!({ "act": "SIGNED_IN", "last": 2 }),
        json!({ "actor": ann.id }),
        json!({ "subject": ann.id, "first": 1 }),
    ] {
        let page = ann.asks(LOG, narrow.clone()).await;
        let mut next = narrow;
        next["after"] = page["auditLog"]["pageInfo"]["endCursor"].clone();
        ann.asks(LOG, next).await;
    }
    audit::verify(&app.domain).await.expect("it is read");
}

/// Requests from asking to being accepted, declined and cancelled, with their lists; a block and its
/// end; reports; and what is cleared away of them.
async fn requests([ann, bob, fay, gus]: [&Person; 4]) {
    let mut stream = fay.follows_requests().await;
    let by_email = json!({ "email": fay.email, "text": "hi" });
    let id = gus.asks_for_chat(by_email.clone()).await["id"].clone();
    stream.shows(&id, "PENDING").await;
    fay.answers(DECLINE, &id).await;
    stream.shows(&id, "DECLINED").await;
    gus.asks_for_chat(by_email).await;
    gus.answers(CANCEL, &id).await;
    gus.asks_for_chat(json!({ "userId": fay.id })).await;
    for direction in ["INCOMING", "OUTGOING"] {
        let mut variables = json!({ "direction": direction, "first": 1 });
        let page = gus.asks(REQUESTS, variables.clone()).await;
        variables["after"] = page["viewer"]["chatRequests"]["pageInfo"]["endCursor"].clone();
        gus.asks(REQUESTS, variables).await;
    }
    let node = "query($id: ID!) { node(id: $id) { id } }";
    fay.asks(node, json!({ "id": id })).await;
    let accepted = fay.answers(ACCEPT, &id).await;
    assert_eq!(accepted["state"], "ACCEPTED");
    drop(stream);
    let room = fay.makes_direct(gus).await;
    let rude = gus.sends(&room, "rude").await;
    fay.reports(json!({ "messageId": rude.id, "reason": "SPAM" }))
        .await;
    fay.reports(json!({ "userId": gus.id, "reason": "SPAM" }))
        .await;
    gus.calls(&room).await;
    fay.blocks(gus).await;
    let page = fay.asks(BLOCKED, json!({ "first": 1 })).await;
    let cursor = &page["viewer"]["blockedUsers"]["pageInfo"]["endCursor"];
    fay.asks(BLOCKED, json!({ "first": 1, "after": cursor }))
        .await;
    fay.asks(BLOCKED, json!({ "last": 1, "before": cursor }))
        .await;
    fay.unblocks(gus).await;
    // One that is pending, on both sides of a block.
    ann.asks_for_chat(json!({ "userId": gus.id })).await;
    gus.blocks(ann).await;
    bob.asks_for_chat(json!({ "userId": gus.id })).await;
    bob.blocks(gus).await;
}

/// What people make of conversations, lists by every filter, rooms, and templates.
async fn views(app: &App, ann: &Person, bob: &Person, room: &Room) {
    let mut live = ann.follows_states(app).await;
    let until = json!({ "until": "2099-01-01T00:00:00Z" });
    for (mutation, more) in [
        ("pinConversation", json!({})),
        ("setDraft", json!({ "text": "Dear" })),
        ("muteConversation", until),
        ("hideConversation", json!({})),
        ("markUnread", json!({})),
    ] {
        ann.makes_of(room, mutation, more).await;
        live.next().await;
    }
    ann.reads(room, 1).await;
    live.next().await;
    let everything = json!({
        "kinds": ["GROUP", "DIRECT"], "unread": false, "muted": false, "pinned": false, "tag": "none", "query": "some words",
    });
    for filter in [
        json!(null),
        json!({ "hidden": true, "pinned": true }),
        json!({ "unread": true }),
        everything,
    ] {
        ann.lists(filter).await;
    }
    let query =
        "{ viewer { unreadConversationCount pinnedConversations { id } conversations { nodes {
        isPinned unreadMentionCount tags memberCount viewerMembership { role } lastMessage { text }
    } } } }";
    ann.asks(query, json!({})).await;
    let one = "query($id: ID!) { conversation(id: $id) {
        isPinned unreadMentionCount tags memberCount viewerMembership { role } lastMessage { text }
    } }";
    ann.asks(one, json!({ "id": room.id })).await;
    ann.updates(room, json!({ "title": "Planned", "tags": ["plans"] }))
        .await;
    ann.updates(room, json!({ "tags": [] })).await;
    let input = json!({ "kind": "ROOM", "memberIds": [], "title": "Two words", "tags": ["plans"] });
    let public = ann.makes(input).await;
    bob.asks(one, json!({ "id": public.id })).await;
    bob.asks(
        "{ conversation(slug: \"two-words\") { members { nodes { readSeq } } } roomTags { tag } }",
        json!({}),
    )
    .await;
    for narrow in [
        json!({}),
        json!({ "query": "two" }),
        json!({ "query": "two words", "tag": "plans" }),
        json!({ "tag": "plans" }),
    ] {
        let mut variables = narrow;
        variables["first"] = json!(1);
        let page = bob.asks(ROOMS, variables.clone()).await;
        let cursor = page["rooms"]["pageInfo"]["endCursor"].clone();
        variables["after"] = cursor.clone();
        bob.asks(ROOMS, variables.clone()).await;
        variables["first"] = json!(null);
        variables["after"] = json!(null);
        variables["last"] = json!(1);
        variables["before"] = cursor;
        bob.asks(ROOMS, variables).await;
    }
    let saved = ann.saves(room, "Mine").await;
    let input = json!({ "name": "All", "conversationId": room.id, "withMembers": true });
    ann.asks(templates::SAVE, json!({ "input": input })).await;
    let page = ann.asks(templates::LIST, json!({ "first": 1 })).await;
    let cursor = &page["viewer"]["templates"]["pageInfo"]["endCursor"];
    for variables in [
        json!({ "first": 1, "after": cursor }),
        json!({ "last": 1, "before": cursor }),
    ] {
        ann.asks(templates::LIST, variables).await;
    }
    let node = "query($id: ID!) { node(id: $id) { id } }";
    ann.asks(node, json!({ "id": saved })).await;
    let like = json!({ "kind": "GROUP", "memberIds": [], "templateId": saved });
    ann.makes(like).await;
    ann.asks(
        templates::DELETE,
        json!({ "input": { "templateId": saved } }),
    )
    .await;
}

/// What people do to messages, and what becomes of that with a message.
async fn marks([ann, bob]: [&Person; 2], room: &Room) {
    let mut both = Vec::new();
    for _ in 0..2 {
        let asked = ann.asks_poll(room, poll(&["a", "b"])).await;
        for person in [ann, bob] {
            person.reacts(&asked, "👍").await;
            person.votes(&asked, &[1]).await;
        }
        bob.unreacts(&asked, "👍").await;
        bob.votes(&asked, &[2]).await;
        bob.pins(&asked).await;
        bob.asks(marked::STAR, marked::of(&asked)).await;
        both.push(asked);
    }
    let page = json!({ "id": both[0].id, "first": 1 });
    for query in [reactions::WHO, polls::WHO] {
        bob.asks(query, page.clone()).await;
    }
    let mut pages = Vec::new();
    for (query, mut variables) in [
        (marked::PINNED, json!({ "id": room.id })),
        (marked::STARRED, json!({ "conversation": null })),
        (marked::STARRED, json!({ "conversation": room.id })),
    ] {
        variables["first"] = json!(1);
        let found = bob.asks(query, variables.clone()).await.to_string();
        let (_, cursor) = found.split_once("\"endCursor\":\"").expect("a page");
        let cursor = cursor.split('"').next().expect("a cursor").to_owned();
        variables["after"] = json!(cursor);
        pages.push((query, variables.clone()));
        variables["last"] = variables["first"].take();
        variables["before"] = variables["after"].take();
        pages.push((query, variables));
    }
    for (query, variables) in pages {
        bob.asks(query, variables).await;
    }
    let query = "query($id: ID!) { conversation(id: $id) { messages(last: 5) { nodes {
        reactions { emoji count viewerReacted users(first: 2) { nodes { id } } }
        pinnedAt pinnedBy { id } isStarred isHidden
        poll { viewerVotes options { count voters(first: 2) { nodes { id } } } }
    } } } }";
    bob.asks(query, json!({ "id": room.id })).await;
    let one = marked::of(&both[0]);
    bob.asks(marked::UNPIN, one.clone()).await;
    bob.asks(marked::UNSTAR, one.clone()).await;
    bob.asks(marked::HIDE, one.clone()).await;
    ann.asks(polls::CLOSE, one).await;
    ann.deletes(&both[1]).await;
}

/// Bans, invitations and requests to join, with their lists; slow mode; what the system tells; a
/// conversation from being archived to being erased.
async fn governance(app: &App, [ann, bob, fay, gus]: [&Person; 4]) {
    let input = json!({ "kind": "ROOM", "memberIds": [bob.id], "slug": "governed" });
    let room = ann.makes(input).await;
    ann.sets(
        &room,
        json!({ "joinsByRequest": true, "slowModeSeconds": 1 }),
    )
    .await;
    bob.sends(&room, "slowly").await;
    let made = ann.invites(&room, json!({ "asksFirst": true })).await;
    ann.invites(&room, json!({})).await;
    let mut waiting = ann.hears_of_joins(app, &room).await;
    fay.asks(PREVIEW, json!({ "code": made.code })).await;
    let asked = fay.accepts(&made.code).await["joinRequest"]["id"].clone();
    assert_eq!(waiting.next().await, asked);
    let other = gus.asks_to_join("governed").await["id"].clone();
    assert_eq!(waiting.next().await, other);
    gus.settles(WITHDRAW, &other).await;
    gus.asks_to_join("governed").await;
    for (query, path) in [
        (BANS, "bans"),
        (INVITATIONS, "invitations"),
        (WAITING, "joinRequests"),
    ] {
        for one in [bob, gus] {
            ann.bans(&room, one).await;
            ann.unbans(&room, one).await;
        }
        ann.bans(&room, bob).await;
        let page = ann.asks(query, json!({ "id": room.id, "first": 1 })).await;
        let cursor = &page["conversation"][path]["pageInfo"]["endCursor"];
        for narrow in [
            json!({ "id": room.id, "first": 1, "after": cursor }),
            json!({ "id": room.id, "last": 1, "before": cursor }),
        ] {
            ann.asks(query, narrow).await;
        }
    }
    let page = fay.asks(OWN, json!({ "first": 1 })).await;
    let cursor = &page["viewer"]["joinRequests"]["pageInfo"]["endCursor"];
    fay.asks(OWN, json!({ "first": 1, "after": cursor })).await;
    fay.asks(OWN, json!({ "last": 1, "before": cursor })).await;
    ann.settles(APPROVE, &asked).await;
    gus.accepts(&ann.invites(&room, json!({ "maxUses": 1 })).await.code)
        .await;
    let query = "query($id: ID!) { conversation(id: $id) { messages(system: true) { nodes { system { action user { id } } } } }
        viewer { conversations { nodes { messages(last: 1, system: true) { nodes { id } } bans { nodes { reason } } } } } }";
    // Not every conversation of hers shows its bans.
    ann.request(query, json!({ "id": room.id })).await;
    ann.archives(&room).await;
    ann.restores(&room).await;
    drop(waiting);
    ann.deletes_conversation(&room).await;
    app.advance(std::time::Duration::from_secs(61));
    until("it is erased", || async {
        app.runs_sql("SELECT count(*) FROM erasures").await == "0"
    })
    .await;
}

/// Enough that some must go together.
async fn sends_at_once(ann: &Person) {
    let rooms =
        futures_util::future::join_all((0..20).map(|_| ann.makes_group("Crowd", &[]))).await;
    for _ in 0..3 {
        futures_util::future::join_all(rooms.iter().map(|room| ann.sends(room, "at once"))).await;
    }
}

on_both! {
    with &[("RATE_LIMITS", "on")];

    async fn no_hot_path_reads_a_whole_table(app) {
        let names = ["Ann", "Bob", "Cleo", "Dan", "Fay", "Gus"];
        let [ann, bob, cleo, dan, fay, gus] = app.people(names).await;
        let eve = app.person_with_phone("Eve", "+4930123456").await;
        let room = ann.makes_group("Plans", &[&bob]).await;
        let other = ann.makes_group("Others", &[&bob]).await;
        let cursor = bob.event_cursor().await;
        app.domain.statements().record();

        // Sending, and a retry; editing, deleting, membership.
        let sent = ann.sends_with_key(&room, "one", "key").await;
        ann.sends_with_key(&room, "one", "key").await;
        ann.edits(&sent, "two").await;
        ann.adds(&room, &[&cleo]).await;
        ann.removes(&room, &cleo).await;
        ann.sends(&other, "there").await;
        ann.updates(&other, json!({ "description": "all the others" })).await;
        ann.sets_role(&room, &bob, "ADMIN").await;
        ann.makes(json!({ "kind": "ROOM", "memberIds": [], "slug": "plans" })).await;
        bob.asks(JOIN_ROOM, json!({ "input": { "slug": "plans" } })).await;
        sends_at_once(&ann).await;
        marks([&ann, &bob], &other).await;
        // Pages: one conversation, the viewer's list, members, unread, from both ends.
        let query = "query($id: ID!) {
            conversation(id: $id) {
                unreadCount
                newest: messages(last: 50) { nodes { id sender { id } conversation { id } } pageInfo { startCursor } }
                oldest: messages(first: 5) { nodes { id } }
                members(first: 5) { totalCount nodes { user { id } } }
                latest: members(last: 5) { nodes { user { id } } }
            }
            viewer { conversations(first: 50) { nodes { unreadCount messages(last: 1) { nodes { text } } members(first: 3) { totalCount nodes { role } } } pageInfo { endCursor } } }
        }";
        let found = ann.asks(query, json!({ "id": room.id })).await;
        let next = "query($id: ID!, $message: String!, $conversation: String!, $node: ID!) {
            conversation(id: $id) { messages(last: 50, before: $message) { nodes { id } } }
            viewer { conversations(first: 50, after: $conversation) { nodes { id } } }
            node(id: $node) { id }
        }";
        let variables = json!({
            "id": room.id,
            "node": sent.id,
            "message": found["conversation"]["newest"]["pageInfo"]["startCursor"],
            "conversation": found["viewer"]["conversations"]["pageInfo"]["endCursor"],
        });
        ann.asks(next, variables).await;
        // Replay and its users; the retried direct conversation; marks.
        bob.follows(&room, Some(0)).await.take(4).await;
        // Everything since, of conversations left and joined too; and the sweep meanwhile.
        bob.follows_all(Some(&cursor)).await.take(5).await;
        cleo.follows_all(Some(&cursor)).await.take(2).await;
        let direct = json!({ "kind": "DIRECT", "memberIds": [bob.id] });
        ann.makes(direct.clone()).await;
        ann.makes(direct).await;
        let mark = "mutation($input: MarkInput!) { markRead(input: $input) { member { readSeq } } }";
        bob.asks(mark, json!({ "input": { "conversationId": room.id, "seq": 2 } })).await;
        // Presence: of a device with a socket and of one without, watched, left and come back.
        let mut watching = bob.watches(&[&ann, &dan]).await;
        watching.shows(&ann, "OFFLINE").await;
        watching.shows(&dan, "OFFLINE").await;
        let socket = dan.opens_socket().await;
        watching.shows(&dan, "ONLINE").await;
        let away = json!({ "state": "AWAY", "automatic": true, "text": "at lunch" });
        for person in [&dan, &ann] {
            person.sets_presence(away.clone()).await;
            watching.shows(person, "AWAY").await;
        }
        drop(socket);
        watching.shows(&dan, "OFFLINE").await;
        let back = dan.opens_socket().await;
        watching.shows(&dan, "ONLINE").await;
        assert_eq!(bob.sees(&ann).await["state"], "AWAY");
        calls(app, &ann, &bob, &cleo).await;
        // Receipts: of this device and of another, their stream, the switch; typing.
        let receipts = bob.follows_receipts(app, &room).await;
        let typing = bob.follows_typing(app, &room).await;
        let laptop = bob.signs_in_again().await;
        laptop.receives(&room, 3).await;
        ann.sends(&room, "unread").await;
        laptop.asks("mutation { markAllRead { conversationCount } }", json!({})).await;
        laptop.sets_read_receipts(false).await;
        laptop.sets_read_receipts(true).await;
        laptop.types(&room, true).await;
        let query = "query($id: ID!) { conversation(id: $id) {
            deliveredSeqHere
            members(first: 5) { nodes { readSeq } }
            messages(last: 50) { nodes { seenBy(first: 5) { totalCount nodes { readSeq } } } }
            oldest: messages(first: 1) { nodes { seenBy(last: 5) { nodes { role } } } }
        } }";
        ann.asks(query, json!({ "id": room.id })).await;
        drop((receipts, typing));
        // Profiles, and what clients keep.
        let mut profiles = bob.watches_profiles(&[&ann]).await;
        profiles.next().await;
        ann.updates_profile(json!({ "username": "ann", "bio": "hi" })).await;
        profiles.next().await;
        let keep = "mutation($input: SetPreferencesInput!) {
            setPreferences(input: $input) { viewer { preferences(client: \"web\") } }
        }";
        for value in [json!({ "theme": "dark" }), json!(null)] {
            ann.asks(keep, json!({ "input": { "client": "web", "value": value } })).await;
        }
        drop(profiles);
        people(app, &ann, &bob, &eve).await;
        drop((watching, back));
        accounts(app, &ann).await;
        views(app, &ann, &bob, &other).await;
        governance(app, [&ann, &bob, &fay, &gus]).await;
        requests([&ann, &bob, &fay, &gus]).await;
        writing::all_that_messages_hold(app, &ann, &bob).await;
        sessions(app, &ann).await;
        app.advance(std::time::Duration::from_hours(366 * 24));
        until("requests and reports are cleared away", || async {
            let left = "SELECT (SELECT count(*) FROM chat_requests) + (SELECT count(*) FROM reports)";
            app.runs_sql(left).await == "1"
        })
        .await;

        let plans = app.domain.explain_recorded().await.expect("every statement can be explained");
        let batches = plans.iter().filter(|Plan { sql, .. }| sql.contains("INTO \"messages\"") && !sql.contains("allowed"));
        assert!(batches.count() > 0, "some sends went together");
        for begun in ["INSERT INTO \"rates\"", "UPDATE \"rates\"", "DELETE FROM \"rates\""] {
            assert!(plans.iter().any(|plan| plan.sql.starts_with(begun)), "{begun} was seen");
        }
        assert!(plans.len() > 40, "only {} statements were seen", plans.len());
        for Plan { sql, steps, .. } in plans {
            if let Some(line) = full_scan(&steps).filter(|line| !is_never_done(&sql, line)) {
                panic!("full scan: {line}\nof: {sql}\nplan:\n{steps}");
            }
        }
    }
}
