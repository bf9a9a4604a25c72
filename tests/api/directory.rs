//! Finding people: by words of their names, by username, and by what is exactly theirs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{App, Person, on_both, until};

pub(crate) const FIND: &str =
    "query($query: String!, $first: Int, $after: String, $last: Int, $before: String) {
    users(query: $query, first: $first, after: $after, last: $last, before: $before) {
        edges { cursor }
        nodes { id displayName username avatarUrl }
        pageInfo { hasNextPage hasPreviousPage startCursor endCursor }
    }
}";

impl Person {
    /// The names of those who match.
    pub(crate) async fn finds(&self, query: &str) -> Vec<String> {
        names(&self.finds_page(json!({ "query": query })).await)
    }

    async fn finds_page(&self, variables: Value) -> Value {
        self.asks(FIND, variables).await["users"].clone()
    }
}

fn names(page: &Value) -> Vec<String> {
    let nodes = page["nodes"].as_array().expect("a list");
    let names = nodes.iter().map(|node| node["displayName"].as_str());
    names.map(|name| name.expect("a name").to_owned()).collect()
}

const NOBODY: [&str; 0] = [];

on_both! {
    async fn people_are_found_by_how_words_of_their_names_begin(app) {
        let [ann, ito, luc, zoe] = app.people(["Ann Ångström", "Ito Annabel", "Jean-Luc O'Neil", "Zoë Straße"]).await;
        luc.updates_profile(json!({ "username": "captain.picard" })).await;
        assert_eq!(zoe.finds("ann").await, ["Ann Ångström", "Ito Annabel"], "by their words");
        assert_eq!(zoe.finds("  ANNA ").await, ["Ito Annabel"]);
        assert_eq!(zoe.finds("ang").await, ["Ann Ångström"]);
        assert_eq!(zoe.finds("a\u{30a}ngstro\u{308}m").await, ["Ann Ångström"]);
        for query in ["jean", "jean-l", "luc", "o'n", "neil", "capt", "captain.p", "@captain"] {
            assert_eq!(zoe.finds(query).await, ["Jean-Luc O'Neil"], "{query}");
        }
        assert_eq!(ito.finds("STRASS").await, ["Zoë Straße"]);
        assert_eq!(ito.finds("zoe").await, ["Zoë Straße"]);
        // Several words must all match, in whichever order.
        assert_eq!(zoe.finds("ångstr an").await, ["Ann Ångström"]);
        assert_eq!(zoe.finds("ann ito").await, ["Ito Annabel"]);
        for query in ["nn", "picard", "ann luc", "ngstrom", "nn%", "a_n", "__", "\u{10ffff}\u{10ffff}", "\"'", "\\ 'or"] {
            assert_eq!(zoe.finds(query).await, NOBODY, "{query}");
        }
        assert_eq!(ann.finds("ang").await, NOBODY, "nobody finds themselves");
        assert_eq!(ann.finds("ann").await, ["Ito Annabel"]);
    }

    async fn who_changes_their_name_is_found_by_the_new_one(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        ann.updates_profile(json!({ "username": "lake" })).await;
        assert_eq!(bob.finds("lake").await, ["Ann"]);
        ann.updates_profile(json!({ "displayName": "Anna", "username": "tent" })).await;
        for (query, found) in [("lake", &NOBODY[..]), ("tent", &["Anna"]), ("anna", &["Anna"])] {
            assert_eq!(bob.finds(query).await, found, "{query}");
        }
        ann.updates_profile(json!({ "username": null })).await;
        assert_eq!(bob.finds("tent").await, NOBODY);
    }

    async fn an_address_or_a_number_is_found_whole_and_only_by_those_who_may(app) {
        let ann = app.person_with_phone("Ann", "+49 30 12345678").await;
        let [bob, cleo] = app.people(["Bob", "Cleo"]).await;
        ann.adds_contact(&cleo, None).await;
        let spellings = ["+49 (0)30 / 123456-78", "+493012345678"];
        let (phones, emails) = (spellings, ["ann@example.com", " ANN@Example.com "]);
        for query in phones.iter().chain(&emails) {
            assert_eq!(bob.finds(query).await, ["Ann"], "{query}");
        }
        assert_eq!(ann.finds(phones[0]).await, NOBODY, "nobody finds themselves");
        for part in ["@example.com", "ann@example.co", "+49301234567", "12345678"] {
            assert_eq!(bob.finds(part).await, NOBODY, "{part}");
        }
        let unknown = async |query: &str| bob.finds_page(json!({ "query": query })).await;
        let (no_phone, no_email) = (unknown("+493012345679").await, unknown("nobody@example.com").await);
        for (settings, of_cleo) in [
            (json!({ "foundByPhone": "CONTACTS", "foundByEmail": "CONTACTS" }), vec!["Ann"]),
            (json!({ "foundByPhone": "NOBODY", "foundByEmail": "NOBODY" }), vec![]),
        ] {
            ann.updates_privacy(settings).await;
            assert_eq!(unknown(phones[0]).await, no_phone);
            assert_eq!(unknown(emails[0]).await, no_email);
            for query in [phones[0], emails[0]] {
                assert_eq!(cleo.finds(query).await, of_cleo, "{query}");
            }
        }
        assert_eq!(bob.finds("ann").await, ["Ann"], "the name is no secret");
        ann.updates_privacy(json!({ "foundByPhone": "EVERYONE" })).await;
        assert_eq!(bob.finds(phones[0]).await, ["Ann"]);
    }

    async fn a_block_hides_two_from_each_other(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Anton", "Cleo"]).await;
        ann.blocks(&bob).await;
        for query in ["an", "ann@example.com", "anton@example.com"] {
            assert_eq!(ann.finds(query).await, NOBODY, "{query}");
            assert_eq!(bob.finds(query).await, NOBODY, "{query}");
        }
        assert_eq!(cleo.finds("an").await, ["Ann", "Anton"]);
    }

    async fn pages_of_people_follow_each_other_and_repeat_nobody(app) {
        let names = (0..7).map(|n| format!("Anna Annika Anne{n}"));
        for name in names {
            app.person(&name).await;
        }
        let [ann, zoe] = app.people(["Annegret", "Zoe"]).await;
        ann.updates_profile(json!({ "username": "anna.e" })).await;
        let whole = zoe.finds("ann").await;
        assert_eq!(whole.len(), 8, "{whole:?}");
        let mut forwards = Vec::new();
        let mut after = Value::Null;
        loop {
            let page = zoe.finds_page(json!({ "query": "ann", "first": 3, "after": after })).await;
            forwards.extend(self::names(&page));
            assert_eq!(page["pageInfo"]["hasPreviousPage"], !after.is_null());
            if page["pageInfo"]["hasNextPage"] == false {
                break;
            }
            after = page["pageInfo"]["endCursor"].clone();
        }
        assert_eq!(forwards, whole);
        let mut backwards = Vec::new();
        let mut before = Value::Null;
        loop {
            let page = zoe.finds_page(json!({ "query": "ann", "last": 3, "before": before })).await;
            backwards.splice(0..0, self::names(&page));
            if page["pageInfo"]["hasPreviousPage"] == false {
                break;
            }
            before = page["pageInfo"]["startCursor"].clone();
        }
        assert_eq!(backwards, whole);
    }

    async fn who_is_found_exactly_comes_first_and_once(app) {
        let ann = app.person("Ann").await;
        ann.updates_profile(json!({ "displayName": "bob@example.com" })).await;
        let [_bob, zoe] = app.people(["Bob", "Zoe"]).await;
        let query = "bob@example.com";
        assert_eq!(zoe.finds(query).await, ["Bob", "bob@example.com"]);
        let first = zoe.finds_page(json!({ "query": query, "first": 1 })).await;
        assert_eq!(names(&first), ["Bob"]);
        assert_eq!(first["pageInfo"]["hasNextPage"], true);
        let next = zoe.finds_page(json!({ "query": query, "first": 1, "after": first["pageInfo"]["endCursor"] })).await;
        assert_eq!(names(&next), ["bob@example.com"]);
        assert_eq!(next["pageInfo"]["hasNextPage"], false);
        let last = zoe.finds_page(json!({ "query": query, "last": 1 })).await;
        assert_eq!(names(&last), ["bob@example.com"]);
        let before = zoe.finds_page(json!({ "query": query, "last": 5, "before": last["pageInfo"]["startCursor"] })).await;
        assert_eq!(names(&before), ["Bob"]);
    }

    async fn people_from_before_the_table_are_listed_by_and_by(app) {
        let zoe = app.person("Zoe").await;
        for n in 0..3 {
            app.person(&format!("Ann {n}")).await;
        }
        app.runs_sql("DELETE FROM user_terms").await;
        app.runs_sql("UPDATE users SET is_listed = FALSE").await;
        assert_eq!(zoe.finds("ann").await, NOBODY);
        app.advance(Duration::from_secs(61));
        until("they are found", || async { zoe.finds("ann").await.len() == 3 }).await;
        assert_eq!(app.runs_sql("SELECT count(*) FROM users WHERE NOT is_listed").await, "0");
    }

    async fn what_is_no_query_is_refused(app) {
        let ann = app.person("Ann").await;
        let long = "x".repeat(101);
        for query in ["", "a", " a ", "a\nb", "a\0b", &long, "a b c d e f g h i"] {
            let refused = ann.is_refused_with(FIND, json!({ "query": query })).await;
            assert_eq!(refused, json!({ "code": "BAD_USER_INPUT", "field": "query" }), "{query:?}");
        }
        let page = json!({ "query": "ann", "after": "BwAA" });
        assert_eq!(ann.is_refused_with(FIND, page).await["field"], "after");
        assert_eq!(ann.is_refused(FIND, json!({ "query": "ann", "first": 201 })).await, "BAD_USER_INPUT");
        let stranger = app.anonymous(FIND, json!({ "query": "ann" })).await;
        assert_eq!(stranger["errors"][0]["extensions"]["code"], "UNAUTHENTICATED");
    }
}

#[tokio::test]
async fn who_searches_too_much_is_held_up() {
    const BURST: u128 = 60;
    let app = App::with(&[("RATE_LIMITS", "on")]).await;
    let [ann, bob] = app.people(["Ann", "Bob"]).await;
    let (began, mut searched) = (Instant::now(), 0);
    let refused = loop {
        let answer = ann.request(FIND, json!({ "query": "bob" })).await.json();
        if !answer["errors"].is_null() {
            break answer;
        }
        searched += 1;
    };
    assert_eq!(refused["errors"][0]["extensions"]["code"], "RATE_LIMITED");
    let more = began.elapsed().as_millis() / 500;
    assert!((BURST..=BURST + more + 1).contains(&searched), "{searched}");
    assert_eq!(bob.finds("ann").await, ["Ann"]);
    app.finish().await;
}
