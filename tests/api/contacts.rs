//! Whom people know: found by an address book, added, named, hidden, removed.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{App, Person, on_both};

pub(crate) const SYNC: &str = "mutation($input: SyncContactsInput!) { syncContacts(input: $input) {
    matches { phone name user { id displayName } } numberCount unreadableCount
} }";
pub(crate) const ADD: &str =
    "mutation($input: AddContactInput!) { addContact(input: $input) { contact { ...Contact } } }
    fragment Contact on Contact { user { id } name isHidden }";
pub(crate) const CHANGE: &str = "mutation($input: UpdateContactInput!) { updateContact(input: $input) { contact { ...Contact } } }
    fragment Contact on Contact { user { id } name isHidden }";
pub(crate) const REMOVE: &str =
    "mutation($input: RemoveContactInput!) { removeContact(input: $input) { ok } }";
pub(crate) const LIST: &str =
    "query($first: Int, $after: String, $last: Int, $before: String, $hidden: Boolean) { viewer {
    contacts(first: $first, after: $after, last: $last, before: $before, includeHidden: $hidden) {
        nodes { name isHidden user { displayName } }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
} }";

impl Person {
    pub(crate) async fn adds_contact(&self, other: &Self, name: Option<&str>) -> Value {
        let input = json!({ "userId": other.id, "name": name });
        let data = self.asks(ADD, json!({ "input": input })).await;
        data["addContact"]["contact"].clone()
    }

    pub(crate) async fn removes_contact(&self, other: &Self) {
        let input = json!({ "userId": other.id });
        self.asks(REMOVE, json!({ "input": input })).await;
    }

    async fn changes_contact(&self, other: &Self, change: Value) -> Value {
        let mut input = change;
        input["userId"] = json!(other.id);
        let data = self.asks(CHANGE, json!({ "input": input })).await;
        data["updateContact"]["contact"].clone()
    }

    async fn syncs(&self, contacts: Value) -> Value {
        let input = json!({ "contacts": contacts });
        self.asks(SYNC, json!({ "input": input })).await["syncContacts"].clone()
    }

    async fn contacts(&self, variables: Value) -> Value {
        self.asks(LIST, variables).await["viewer"]["contacts"].clone()
    }
}

/// The names in a list: the owner's own, or else those they have.
fn names(page: &Value) -> Vec<&str> {
    let nodes = page["nodes"].as_array().expect("a list");
    let name = |node: &'_ Value| node["name"].as_str().map(str::len);
    nodes
        .iter()
        .map(|node| match name(node) {
            Some(_) => node["name"].as_str(),
            None => node["user"]["displayName"].as_str(),
        })
        .map(|name| name.expect("a name"))
        .collect()
}

/// An address book of so many numbers of nobody, from the `n`th hundred thousand.
fn strangers(n: usize, count: usize) -> Vec<Value> {
    let number = |index| {
        let phone = format!("+49 30 {:08}", 20_000_000 + n * 100_000 + index);
        json!({ "phone": phone, "name": format!("Stranger {index}") })
    };
    (0..count).map(number).collect()
}

async fn stored(app: &App) -> String {
    app.runs_sql("SELECT count(*) FROM contacts").await
}

on_both! {
    async fn an_address_book_finds_whom_one_knows(app) {
        let ann = app.person_with_phone("Ann", "+4930100001").await;
        let bob = app.person_with_phone("Bob", "+4930100002").await;
        let cleo = app.person_with_phone("Cleo", "+12025550173").await;
        let shy = app.person_with_phone("Shy", "+4930100004").await;
        let known = app.person_with_phone("Known", "+4930100005").await;
        let blocked = app.person_with_phone("Blocked", "+4930100006").await;
        shy.updates_privacy(json!({ "foundByPhone": "NOBODY" })).await;
        known.updates_privacy(json!({ "foundByPhone": "CONTACTS" })).await;
        known.adds_contact(&ann, None).await;
        blocked.blocks(&ann).await;
        let book = json!([
            { "phone": "+1 (202) 555-0173", "name": "  Cleo at work " },
            { "phone": "not a number", "name": "Dentist" },
            { "phone": "+49 30 100001", "name": "Me" },
            { "phone": "+49-30-100002", "name": " \n " },
            { "phone": "0049 30 100002", "name": "Bob again" },
            { "phone": "+4930100002", "name": "And again" },
            { "phone": "+4930100004", "name": "Shy" },
            { "phone": "+4930100005" },
            { "phone": "+4930100006", "name": "Blocked" },
            { "phone": "+4930100099", "name": "Nobody" },
            { "phone": "" },
        ]);
        let synced = ann.syncs(book.clone()).await;
        let matches = json!([
            { "phone": "+1 (202) 555-0173", "name": "Cleo at work", "user": { "id": cleo.id, "displayName": "Cleo" } },
            { "phone": "+49-30-100002", "name": null, "user": { "id": bob.id, "displayName": "Bob" } },
            { "phone": "+4930100005", "name": null, "user": { "id": known.id, "displayName": "Known" } },
        ]);
        assert_eq!(synced["matches"], matches);
        // Without a country of the server's own, nobody knows which number "0049 …" is.
        assert_eq!((&synced["numberCount"], &synced["unreadableCount"]), (&json!(7), &json!(3)));
        assert_eq!(names(&ann.contacts(json!({})).await), ["Bob", "Cleo at work", "Known"]);
        assert_eq!(stored(app).await, "4", "nothing of anybody else: theirs, and the one of Known");

        // Again: what has changed is changed, and what the viewer has said stays.
        ann.changes_contact(&bob, json!({ "name": "Bobby", "isHidden": true })).await;
        let again = ann.syncs(json!([{ "phone": "+4930100002" }, { "phone": "+12025550173", "name": "Zoe" }])).await;
        assert_eq!(again["matches"].as_array().map(Vec::len), Some(2));
        assert_eq!(names(&ann.contacts(json!({ "hidden": true })).await), ["Bobby", "Known", "Zoe"]);
        assert_eq!(ann.syncs(json!([])).await, json!({ "matches": [], "numberCount": 0, "unreadableCount": 0 }));
        // To be known by somebody is to be let in where contacts are.
        bob.updates_privacy(json!({ "lastSeen": "CONTACTS" })).await;
        bob.sets_presence(json!({ "state": "BUSY" })).await;
        let mut watching = ann.watches(&[&bob]).await;
        assert_eq!(watching.shows(&bob, "BUSY").await["lastSeenAt"], Value::Null);
        bob.syncs(json!([{ "phone": "+4930100001", "name": "Ann" }])).await;
        assert!(watching.shows(&bob, "BUSY").await["lastSeenAt"].is_string());
    }

    async fn five_thousand_numbers_cost_less_than_ten_statements(app) {
        let ann = app.person("Ann").await;
        let mut book = strangers(0, 5_000);
        for n in 0..10 {
            let phone = book[n * 499]["phone"].as_str().expect("a number").to_owned();
            app.person_with_phone(&format!("Friend {n}"), &phone).await;
        }
        let before = app.domain.statements().count();
        let synced = ann.syncs(json!(book)).await;
        let cost = app.domain.statements().count() - before;
        assert_eq!(synced["numberCount"], 5_000);
        assert_eq!(synced["matches"].as_array().map(Vec::len), Some(10));
        assert_eq!(synced["matches"][9]["name"], "Stranger 4491");
        assert!(cost < 10, "{cost} statements");
        assert_eq!(names(&ann.contacts(json!({})).await).len(), 10);
        book.push(json!({ "phone": "+49 30 99999999" }));
        let refused = ann.is_refused_with(SYNC, json!({ "input": { "contacts": book } })).await;
        assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "contacts" }));
    }

    async fn contacts_are_added_named_hidden_and_removed(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let contact = |person: &Person, name: Option<&str>, is_hidden: bool| {
            json!({ "user": { "id": person.id }, "name": name, "isHidden": is_hidden })
        };
        assert_eq!(ann.adds_contact(&bob, None).await, contact(&bob, None, false));
        assert_eq!(ann.adds_contact(&bob, Some(" Bobby ")).await, contact(&bob, Some("Bobby"), false));
        assert_eq!(ann.adds_contact(&bob, None).await, contact(&bob, Some("Bobby"), false));
        ann.adds_contact(&cleo, Some("Äpfel")).await;
        assert_eq!(names(&ann.contacts(json!({})).await), ["Äpfel", "Bobby"]);
        assert_eq!(ann.changes_contact(&cleo, json!({ "isHidden": true })).await, contact(&cleo, Some("Äpfel"), true));
        assert_eq!(names(&ann.contacts(json!({})).await), ["Bobby"]);
        assert_eq!(ann.adds_contact(&cleo, None).await, contact(&cleo, Some("Äpfel"), true));
        assert_eq!(ann.changes_contact(&cleo, json!({ "name": null, "isHidden": false })).await, contact(&cleo, None, false));
        assert_eq!(ann.changes_contact(&cleo, json!({})).await, contact(&cleo, None, false));
        assert_eq!(names(&ann.contacts(json!({})).await), ["Bobby", "Cleo"]);
        ann.removes_contact(&bob).await;
        assert_eq!(names(&ann.contacts(json!({ "hidden": true })).await), ["Cleo"]);
        assert!(names(&bob.contacts(json!({})).await).is_empty(), "who is known need not know");

        let input = |person: &Person| json!({ "input": { "userId": person.id } });
        for query in [REMOVE, CHANGE] {
            assert_eq!(ann.is_refused(query, input(&bob)).await, "NOT_FOUND");
        }
        let own = ann.is_refused_with(ADD, input(&ann)).await;
        assert_eq!(own, json!({ "code": "BAD_USER_INPUT", "field": "userId" }));
        for name in ["", " ", "two\nlines", &"x".repeat(101)] {
            let input = json!({ "input": { "userId": cleo.id, "name": name } });
            for query in [ADD, CHANGE] {
                let refused = ann.is_refused_with(query, input.clone()).await;
                assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "name" }), "{name:?}");
            }
        }
        let nobody = json!({ "input": { "userId": format!("usr_{}", "A".repeat(22)) } });
        assert_eq!(ann.is_refused(ADD, nobody).await, "NOT_FOUND");
        for query in [SYNC, ADD, CHANGE, REMOVE] {
            let input = if query == SYNC { json!({ "contacts": [] }) } else { json!({ "userId": cleo.id }) };
            let stranger = app.anonymous(query, json!({ "input": input })).await;
            assert_eq!(stranger["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
        }
    }

    async fn contacts_are_paged_by_name(app) {
        let ann = app.person("Ann").await;
        for name in ["Émile", "emma", "Zoe", "Ähm", "bob", "emma"] {
            let other = app.person(&format!("Person {}", uuid())).await;
            ann.adds_contact(&other, Some(name)).await;
        }
        let sorted = ["Ähm", "bob", "Émile", "emma", "emma", "Zoe"];
        assert_eq!(names(&ann.contacts(json!({})).await), sorted);
        let first = ann.contacts(json!({ "first": 4 })).await;
        assert_eq!(names(&first), sorted[..4]);
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let rest = ann.contacts(json!({ "first": 4, "after": first["pageInfo"]["endCursor"] })).await;
        assert_eq!(names(&rest), sorted[4..]);
        assert_eq!(rest["pageInfo"]["hasNextPage"], false);
        let last = ann.contacts(json!({ "last": 2 })).await;
        assert_eq!(names(&last), sorted[4..]);
        let before = ann.contacts(json!({ "last": 3, "before": last["pageInfo"]["startCursor"] })).await;
        assert_eq!(names(&before), sorted[1..4]);
        assert_eq!(before["pageInfo"]["hasPreviousPage"], true);
        let before = before["pageInfo"]["startCursor"].clone();
        assert_eq!(names(&ann.contacts(json!({ "last": 3, "before": before })).await), sorted[..1]);
    }

    async fn two_who_add_each_other_at_once_both_do(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        for _ in 0..20 {
            tokio::join!(ann.adds_contact(&bob, None), bob.adds_contact(&ann, None));
            tokio::join!(ann.removes_contact(&bob), bob.removes_contact(&ann));
        }
        assert_eq!(stored(app).await, "0");
    }
}

/// Something that no other address has.
fn uuid() -> usize {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_many_numbers_a_day_are_looked_for() {
    for app in App::both_with(&[("RATE_LIMITS", "on")]).await {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        for n in 0..4 {
            ann.syncs(json!(strangers(n, 5_000))).await;
        }
        // They are paid off one each five seconds.
        let refused = ann.is_refused_with(
            SYNC,
            json!({ "input": { "contacts": strangers(5, 1_000) } }),
        );
        let refused = refused.await;
        assert_eq!(refused["code"], "RATE_LIMITED");
        let wait = refused["retryAfter"].as_u64().expect("seconds");
        assert!((4_000..=5_000).contains(&wait), "{wait}");
        bob.syncs(json!(strangers(5, 10))).await;
        app.advance(Duration::from_secs(wait));
        ann.signs_in_again()
            .await
            .syncs(json!(strangers(5, 1_000)))
            .await;
        app.finish().await;
    }
}
