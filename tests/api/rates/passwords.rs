//! Guessing at passwords, and trying out which addresses have accounts.

use super::*;

on_both! {
    with &[("RATE_LIMITS", "on"), ("TRUSTED_PROXIES", "127.0.0.1")];

    async fn each_alias_of_sign_in_counts(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        // Of an account and of none, alike.
        for (n, email) in [ann.email.as_str(), "nobody@example.com"].iter().enumerate() {
            let wrong = aliases(20, "mutation", &signing_in(email, "not the password"));
            let answer = ask_from(app, &format!("203.0.113.{n}"), None, &wrong).await.json();
            let (guessed, refused) = (["UNAUTHENTICATED"; 10], ["RATE_LIMITED"; 10]);
            assert_eq!(codes(&answer), [guessed, refused].concat(), "{answer}");
            let retry_after = answer["errors"][19]["extensions"]["retryAfter"].as_u64();
            assert!((40..=60).contains(&retry_after.expect("seconds")), "{answer}");
        }
        // What is right is refused then too, from anywhere: it may be a guess.
        let right = aliases(1, "mutation", &signing_in(&ann.email, PASSWORD));
        let elsewhere = || async { ask_from(app, "203.0.113.7", None, &right).await.json() };
        assert_eq!(codes(&elsewhere().await), ["RATE_LIMITED"]);
        // Who is signed in stays so, and others sign in.
        let refresh = "mutation($input: RefreshSessionInput!) { refreshSession(input: $input) { expiresAt } }";
        ann.asks(refresh, json!({ "input": { "refreshToken": ann.refresh_token } })).await;
        bob.signs_in_again().await;
        // A minute later there is one more guess, and none after it.
        app.advance(MINUTE);
        let wrong = aliases(2, "mutation", &signing_in(&ann.email, "not the password"));
        let answer = ask_from(app, "203.0.113.7", None, &wrong).await.json();
        assert_eq!(codes(&answer), ["UNAUTHENTICATED", "RATE_LIMITED"]);
        app.advance(MINUTE);
        assert!(codes(&elsewhere().await).is_empty());
    }

    async fn each_item_of_a_batch_counts(app) {
        let ann = app.person("Ann").await;
        let wrong = aliases(1, "mutation", &signing_in(&ann.email, "not the password"));
        let batch = json!(vec![wrong.clone(); 10]);
        let answers = ask_from(app, "203.0.113.20", None, &batch).await.json();
        let answers = answers.as_array().expect("a list");
        assert!(answers.iter().all(|answer| codes(answer) == ["UNAUTHENTICATED"]));
        let answer = ask_from(app, "203.0.113.20", None, &wrong).await.json();
        assert_eq!(codes(&answer), ["RATE_LIMITED"]);
    }

    async fn a_right_password_is_no_guess(app) {
        let ann = app.person("Ann").await;
        let right = aliases(15, "mutation", &signing_in(&ann.email, PASSWORD));
        let answer = ask_from(app, "203.0.113.30", None, &right).await.json();
        assert!(codes(&answer).is_empty(), "{answer}");
        let wrong = aliases(11, "mutation", &signing_in(&ann.email, "not the password"));
        let answer = ask_from(app, "203.0.113.30", None, &wrong).await.json();
        assert_eq!(count(&answer, "UNAUTHENTICATED"), 10, "all guesses are left: {answer}");
    }

    async fn an_account_is_guessed_at_ten_times_from_however_many_addresses_at_once(app) {
        let ann = app.person("Ann").await;
        let answers = guesses(app, &ann.email, 50).await;
        let guessed: usize = answers.iter().map(|answer| count(answer, "UNAUTHENTICATED")).sum();
        let refused: usize = answers.iter().map(|answer| count(answer, "RATE_LIMITED")).sum();
        assert_eq!((guessed, refused), (10, 40), "{answers:?}");
    }

    async fn renewals_are_counted_by_address_and_reads_are_none_of_them(app) {
        const BURST: usize = 600;
        let ann = app.person("Ann").await;
        let renewals = aliases(20, "mutation", "refreshSession(input: { refreshToken: \"guess\" }) { expiresAt }");
        let began = Instant::now();
        let mut tried = 0;
        loop {
            let answer = ask_from(app, "203.0.113.50", None, &renewals).await.json();
            tried += count(&answer, "UNAUTHENTICATED");
            if count(&answer, "RATE_LIMITED") > 0 {
                break;
            }
        }
        let more = usize::try_from(began.elapsed().as_millis() / 50).expect("it fits");
        assert!((BURST..=BURST + more).contains(&tried), "{tried} in {:?}", began.elapsed());
        let query = json!({ "query": "{ viewer { user { id } } }" });
        for person in [None, Some(&ann)] {
            let answer = ask_from(app, "203.0.113.50", person, &query).await.json();
            assert_eq!(count(&answer, "RATE_LIMITED"), 0, "{answer}");
        }
        // An address away, nothing has been counted.
        let answer = ask_from(app, "203.0.113.51", None, &renewals).await.json();
        assert_eq!(count(&answer, "UNAUTHENTICATED"), 20);
    }

    async fn one_password_cannot_be_tried_on_ever_more_accounts(app) {
        const BURST: usize = 100;
        let fields = |from: usize| -> String {
            let field = |n| format!("a{n}: {} ", signing_in(&format!("user{n}@example.com"), "summer 2026"));
            (from..from + 20).map(field).collect()
        };
        let (mut tried, mut refused) = (0, 0);
        for from in (0..BURST + 20).step_by(20) {
            let body = json!({ "query": format!("mutation {{ {} }}", fields(from)) });
            let answer = ask_from(app, "203.0.113.40", None, &body).await.json();
            tried += count(&answer, "UNAUTHENTICATED");
            refused += count(&answer, "RATE_LIMITED");
        }
        // One in ten seconds is paid off meanwhile.
        assert!((BURST..BURST + 5).contains(&tried), "{tried}");
        assert_eq!(tried + refused, BURST + 20);
        // Others who sign in from there are held up, and nobody else.
        let body = json!({ "query": format!("mutation {{ {} }}", fields(500)) });
        let answer = ask_from(app, "203.0.113.41", None, &body).await.json();
        assert_eq!(count(&answer, "UNAUTHENTICATED"), 20);
    }
}
