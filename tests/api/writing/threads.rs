//! What messages answer, and threads.

use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::harness::people::{SEND, Sent, text};
use crate::harness::{Person, on_both};

pub(crate) const THREAD: &str = "query($id: ID!, $first: Int, $after: String, $last: Int, $before: String) {
    node(id: $id) { ... on Message { thread {
        replyCount readSeq unreadCount
        replies(first: $first, after: $after, last: $last, before: $before) {
            nodes { id text } edges { cursor } pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
        }
        readers(first: 10) { nodes { user { id } readSeq } pageInfo { endCursor } }
    } } }
}";

pub(crate) const MARK: &str = "mutation($input: MarkThreadReadInput!) {
    markThreadRead(input: $input) { message { id thread { readSeq unreadCount } } }
}";

impl Person {
    /// A page of a thread, and what stands beside it.
    pub(crate) async fn thread(&self, root: &Sent, page: Value) -> Value {
        let mut variables = page;
        variables["id"] = json!(root.id);
        let mut found = self.asks(THREAD, variables).await;
        found["node"]["thread"].take()
    }

    pub(crate) async fn reads_thread(&self, root: &Sent, seq: i64) -> Value {
        let input = json!({ "messageId": root.id, "seq": seq });
        let mut marked = self.asks(MARK, json!({ "input": input })).await;
        marked["markThreadRead"]["message"]["thread"].take()
    }
}

on_both! {
    async fn a_reply_shows_what_it_answers_as_that_is_now(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Replies", &[bob]).await;
        let first = ann.sends(&room, "five o'clock?").await;
        let answer = bob.writes(&room, json!({ "text": "yes", "replyToId": first.id })).await;
        assert_eq!(ann.looks_at(&answer).await["replyTo"], json!({ "id": first.id, "text": "five o'clock?", "deletedAt": null }));
        ann.edits(&first, "six o'clock?").await;
        assert_eq!(ann.looks_at(&answer).await["replyTo"]["text"], "six o'clock?");
        ann.deletes(&first).await;
        let quoted = ann.looks_at(&answer).await["replyTo"].take();
        assert_eq!((&quoted["id"], &quoted["text"]), (&json!(first.id), &Value::Null));
        assert!(quoted["deletedAt"].is_string());

        // Nothing of another conversation is answered here.
        let other = ann.makes_group("Other", &[]).await;
        for field in ["replyToId", "threadId"] {
            let input = json!({ "conversationId": other.id, "text": "?", field: first.id });
            assert_eq!(ann.is_refused(SEND, json!({ "input": input })).await, "NOT_FOUND");
        }
    }

    async fn a_thread_counts_its_replies(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Threads", &[bob]).await;
        let root = ann.sends(&room, "root").await;
        assert_eq!(bob.looks_at(&root).await["thread"], Value::Null);
        let mut stream = ann.follows(&room, Some(root.seq)).await;
        let mut replies = Vec::new();
        for n in 0..5 {
            // In the thread of a reply is in the thread.
            let to = replies.last().map_or(&root, |(last, _): &(Sent, String)| last);
            let reply = bob.writes(&room, json!({ "text": format!("{n}"), "threadId": to.id })).await;
            replies.push((reply, format!("{n}")));
        }
        for (reply, said) in &replies {
            let event = stream.next().await;
            assert_eq!((&event["message"]["id"], &event["message"]["text"]), (&json!(reply.id), &json!(said)));
            assert_eq!(ann.looks_at(reply).await["threadRoot"]["id"], *root.id);
        }
        let last = &replies[4].0;
        let thread = ann.looks_at(&root).await["thread"].take();
        assert_eq!((&thread["replyCount"], &thread["lastReply"]["id"]), (&json!(5), &json!(last.id)));

        // What is deleted does not count, but stays in the list.
        bob.deletes(last).await;
        let thread = ann.looks_at(&root).await["thread"].take();
        assert_eq!((&thread["replyCount"], &thread["lastReply"]["id"]), (&json!(4), &json!(replies[3].0.id)));
        bob.deletes(&replies[1].0).await;
        let thread = ann.looks_at(&root).await["thread"].take();
        assert_eq!((&thread["replyCount"], &thread["lastReply"]["id"]), (&json!(3), &json!(replies[3].0.id)));
        let page = ann.thread(&root, json!({ "first": 2 })).await["replies"].take();
        assert_eq!((&page["nodes"][0]["text"], &page["nodes"][1]["text"]), (&json!("0"), &Value::Null));
        assert_eq!(page["pageInfo"]["hasNextPage"], true);
        let rest = ann.thread(&root, json!({ "first": 10, "after": page["pageInfo"]["endCursor"] })).await;
        assert_eq!(rest["replies"]["nodes"].as_array().expect("a list").len(), 3);
        let newest = ann.thread(&root, json!({ "last": 1 })).await;
        assert_eq!(newest["replies"]["nodes"][0]["id"], *last.id);
        let before = ann.thread(&root, json!({ "last": 1, "before": newest["replies"]["pageInfo"]["startCursor"] })).await;
        assert_eq!(before["replies"]["nodes"][0]["id"], *replies[3].0.id);
    }

    async fn replies_at_once_are_all_counted(app) {
        let people = app.people(["Ann", "Bob", "Cleo", "Dan"]).await;
        let [ann, others @ ..] = &people;
        let room = ann.makes_group("Many", &others.each_ref()).await;
        let root = ann.sends(&room, "root").await;
        let reply = json!({ "text": "me too", "threadId": root.id });
        let sends = (0..10).flat_map(|_| people.iter().map(|person| person.writes(&room, reply.clone())));
        let sent = join_all(sends).await;
        let thread = ann.looks_at(&root).await["thread"].take();
        assert_eq!(thread["replyCount"], 40);
        let last = sent.iter().max_by_key(|sent| sent.seq).expect("there is one");
        assert_eq!(thread["lastReply"]["id"], *last.id);
    }

    async fn threads_are_read_apart(app) {
        let [ann, bob, cleo] = &app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Reading", &[bob]).await;
        let root = ann.sends(&room, "root").await;
        let mut last = root.seq;
        for said in ["1", "2", "3"] {
            last = bob.writes(&room, json!({ "text": said, "threadId": root.id })).await.seq;
        }
        let standing = |thread: &Value| (thread["readSeq"].clone(), thread["unreadCount"].clone());
        let of = async |person: &Person| standing(&person.thread(&root, json!({})).await);
        assert_eq!(of(ann).await, (json!(0), json!(3)));
        assert_eq!(of(bob).await, (json!(0), json!(0)));
        assert_eq!(standing(&ann.reads_thread(&root, last - 1).await), (json!(last - 1), json!(1)));
        // Never back, nor past the end.
        assert_eq!(standing(&ann.reads_thread(&root, 1).await), (json!(last - 1), json!(1)));
        let input = json!({ "messageId": root.id, "seq": last + 1 });
        assert_eq!(ann.is_refused_with(MARK, json!({ "input": input })).await["field"], "seq");
        // Others see it, unless somebody hides it.
        let readers = async |person: &Person| {
            let thread = person.thread(&root, json!({})).await;
            let readers = thread["readers"]["nodes"].as_array().expect("a list").clone();
            readers.iter().map(|reader| (text(&reader["user"]["id"]), reader["readSeq"].clone())).collect::<Vec<_>>()
        };
        bob.reads_thread(&root, last).await;
        assert_eq!(readers(bob).await, [(ann.id.clone(), json!(last - 1)), (bob.id.clone(), json!(last))]);
        ann.sets_read_receipts(false).await;
        assert_eq!(readers(bob).await, [(bob.id.clone(), json!(last))]);
        assert_eq!(readers(ann).await, []);
        // Who comes later has missed nothing.
        ann.adds(&room, &[cleo]).await;
        assert_eq!(of(cleo).await, (json!(0), json!(0)));
    }

    async fn hidden_and_deleted_replies_are_not_unread(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Reading", &[bob]).await;
        let root = ann.sends(&room, "root").await;
        let mut replies = Vec::new();
        for said in ["1", "2", "3", "4"] {
            replies.push(bob.writes(&room, json!({ "text": said, "threadId": root.id })).await);
        }
        ann.hides(&replies[1]).await;
        bob.deletes(&replies[2]).await;
        assert_eq!(ann.thread(&root, json!({})).await["unreadCount"], 2);
        ann.reads_thread(&root, replies[0].seq).await;
        assert_eq!(ann.thread(&root, json!({})).await["unreadCount"], 1);
    }

    async fn a_mark_is_of_the_thread_and_writes_nothing_where_it_is_no_news(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Reading", &[bob]).await;
        let root = ann.sends(&room, "root").await;
        let reply = bob.writes(&room, json!({ "text": "reply", "threadId": root.id })).await;
        let alone = bob.sends(&room, "alone").await;
        let input = json!({ "messageId": reply.id, "seq": reply.seq });
        let marked = ann.asks(MARK, json!({ "input": input })).await["markThreadRead"]["message"].take();
        assert_eq!((&marked["id"], &marked["thread"]["readSeq"]), (&json!(root.id), &json!(reply.seq)));
        app.domain.statements().record();
        ann.reads_thread(&root, reply.seq).await;
        ann.reads_thread(&root, 1).await;
        ann.reads_thread(&alone, alone.seq).await;
        let statements = app.recorded_statements().await;
        let writes = statements.iter().filter(|sql| sql.contains("INSERT INTO"));
        assert_eq!(writes.count(), 0, "{statements:#?}");
        assert_eq!(app.runs_sql("SELECT count(*) FROM thread_reads").await, "1");
    }

    async fn what_is_unread_is_counted_from_where_one_has_come_to(app) {
        let [ann, bob] = &app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Reading", &[bob]).await;
        let root = ann.sends(&room, "root").await;
        bob.writes(&room, json!({ "text": "reply", "threadId": root.id })).await;
        app.domain.statements().record();
        ann.thread(&root, json!({})).await;
        let plans = app.domain.explain_recorded().await.expect("plans");
        let counting = plans.iter().find(|plan| plan.sql.contains("AS \"unread\"")).expect("it is counted");
        let is_range = |line: &&str| line.contains("root_id") && (line.contains("seq>?") || line.contains("seq >"));
        assert!(counting.steps.lines().any(|line| is_range(&line)), "{}", counting.steps);
    }
}
