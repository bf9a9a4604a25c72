//! Guessing at codes: at once, from everywhere, and for days.

use hyper::Request;

use super::*;

/// Tries a code from some address, whatever that is worth.
async fn tries(app: &App, address: &str, code: &Code, guess: &str) -> Value {
    let input = json!({ "token": code.token, "code": guess, "displayName": "Eve" });
    let body = json!({ "query": SIGN_IN, "variables": { "input": input } });
    let request = Request::post(app.url("/graphql"))
        .header("content-type", "application/json")
        .header("x-forwarded-for", address)
        .header("x-real-ip", address)
        .header("forwarded", format!("for={address}"));
    let request = request.body(body.to_string().into()).expect("a request");
    app.http().request(request).await.json()
}

async fn tries_at_once(app: &App, code: &Code, guess: &str) -> Vec<Value> {
    let addresses: Vec<String> = (0..50).map(|n| format!("198.51.100.{n}")).collect();
    join_all(
        addresses
            .iter()
            .map(|address| tries(app, address, code, guess)),
    )
    .await
}

fn count(answers: &[Value], expected: (&str, Option<&str>)) -> usize {
    let refused = answers.iter().filter(|answer| !answer["errors"].is_null());
    refused.filter(|answer| error(answer) == expected).count()
}

on_both! {
    async fn of_50_who_have_the_code_at_once_one_gets_in(app) {
        let code = asks_for_code(app, "ann@example.com", "SIGN_IN").await;
        let answers = tries_at_once(app, &code, &code.code).await;
        let got_in = answers.iter().filter(|answer| answer["errors"].is_null()).count();
        assert_eq!((got_in, count(&answers, OVER)), (1, 49), "{answers:?}");
        assert_eq!(app.runs_sql("SELECT count(*) FROM sessions").await, "1");
    }

    async fn of_50_guesses_at_once_from_everywhere_five_are_looked_at(app) {
        let first = asks_for_code(app, "ann@example.com", "SIGN_IN").await;
        let code = asks_for_code(app, "ann@example.com", "SIGN_IN").await;
        // Wrong for both that are open.
        let guess = (0..3).map(|n| format!("{n:06}")).find(|guess| ![&first.code, &code.code].contains(&guess));
        let guess = guess.expect("of three one is neither");
        let answers = tries_at_once(app, &code, &guess).await;
        assert_eq!((count(&answers, WRONG), count(&answers, OVER)), (5, 45), "{answers:?}");
        // The right ones are good for nothing any more, either of them.
        for code in [&first, &code] {
            assert_eq!(error(&tries(app, "198.51.100.99", code, &code.code).await), OVER);
        }
        let fresh = asks_for_code(app, "ann@example.com", "SIGN_IN").await;
        let right = tries(app, "198.51.100.99", &fresh, &fresh.code).await;
        assert_eq!(right["errors"], Value::Null, "another is as good as ever: {right}");
    }

    async fn what_somebody_else_gets_wrong_is_not_counted_for_ann(app) {
        let anns = asks_for_code(app, "ann@example.com", "SIGN_IN").await;
        let eves = asks_for_code(app, "eve@example.com", "SIGN_IN").await;
        for _ in 0..6 {
            tries(app, "198.51.100.1", &eves, &eves.wrong()).await;
        }
        let right = tries(app, "198.51.100.2", &anns, &anns.code).await;
        assert_eq!(right["errors"], Value::Null, "{right}");
    }
}

mod limited {
    use super::*;

    on_both! {
        with &[("RATE_LIMITS", "on"), ("TRUSTED_PROXIES", "127.0.0.1")];

        async fn codes_are_asked_for_five_times_and_guessed_at_twenty(app) {
            const TO: &str = "ann@example.com";
            let ask = async |n: usize| {
                let body = json!({ "query": REQUEST, "variables": request(TO, "SIGN_IN") });
                let request = Request::post(app.url("/graphql"))
                    .header("content-type", "application/json")
                    .header("x-forwarded-for", format!("203.0.113.{n}"));
                app.http().request(request.body(body.to_string().into()).expect("a request")).await.json()
            };
            let mut wrong = 0;
            for n in 0..5 {
                let asked = ask(n).await;
                let token = text(&asked["data"]["requestCode"]["token"]);
                let letter = app.mailbox.letter(TO, n).await;
                let code = Code { token, code: text(&letter["code"]) };
                for _ in 0..5 {
                    let tried = tries(app, &format!("203.0.113.{n}"), &code, &code.wrong()).await;
                    match error(&tried).0 {
                        "RATE_LIMITED" => {}
                        _ => wrong += 1,
                    }
                }
            }
            assert_eq!(wrong, 20, "however many codes there were");
            assert_eq!(error(&ask(200).await).0, "RATE_LIMITED", "a sixth within two minutes, from another address");
            assert_eq!(app.mailbox.count(TO), 5);
        }
    }
}
