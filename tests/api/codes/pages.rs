//! The pages that links in mail lead to.

use hyper::{Request, StatusCode};

use super::*;
use crate::harness::clients::Answer;

const FORM: &str = "application/x-www-form-urlencoded";

/// The path of a link, and what stands in it.
fn parts(link: &Value) -> (String, String) {
    let link = link.as_str().expect("a link");
    let path = link
        .strip_prefix("https://chat.example.org/base")
        .expect("under PUBLIC_URL");
    let (path, secret) = path.split_once("?link=").expect("a secret");
    (path.to_owned(), secret.to_owned())
}

async fn opens(app: &App, path: &str, secret: &str) -> Answer {
    let request = Request::get(app.url(&format!("{path}?link={secret}")));
    app.http()
        .request(request.body(Default::default()).expect("a request"))
        .await
}

async fn posts(app: &App, path: &str, form: String) -> Answer {
    let request = Request::post(app.url(path)).header("content-type", FORM);
    app.http()
        .request(request.body(form.into()).expect("a request"))
        .await
}

fn body(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).expect("a text")
}

on_both! {
    with &[("PUBLIC_URL", "https://chat.example.org/base/")];

    async fn a_link_confirms_a_mailbox_once_its_button_is_pressed(app) {
        let ann = app.person("Ann").await;
        asks_to_attach(app, &ann, &ann.email).await;
        let (path, secret) = parts(&app.mailbox.letter(&ann.email, 0).await["link"]);
        let verified = async || ann.asks("{ viewer { emailVerifiedAt } }", json!({})).await["viewer"]["emailVerifiedAt"].clone();
        // Mail programs look at what links lead to.
        let page = opens(app, &path, &secret).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(body(&page).contains(&secret) && page.content_type().starts_with("text/html"));
        let policy = page.headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert_eq!((&page.headers["referrer-policy"], &page.headers["cache-control"]), (&"no-referrer".parse().expect("a value"), &"no-store".parse().expect("a value")));
        assert_eq!(verified().await, Value::Null);

        // A link is good for an hour, the code for ten minutes of it.
        app.advance(TEN_MINUTES);
        let done = posts(app, &path, format!("link={secret}")).await;
        assert_eq!(done.status, StatusCode::OK, "{}", body(&done));
        until("she sees it", || async { verified().await.is_string() }).await;
        assert_eq!(posts(app, &path, format!("link={secret}")).await.status, StatusCode::GONE, "it is used up");
    }

    async fn a_link_sets_a_password_once(app) {
        const NEW: &str = "another good one";
        let ann = app.person("Ann").await;
        let stream = ann.opens_socket().await;
        let code = asks_for_code(app, &ann.email, "RESET_PASSWORD").await;
        let (path, secret) = parts(&app.mailbox.letter(&ann.email, 0).await["link"]);
        assert!(body(&opens(app, &path, &secret).await).contains("new-password"));
        let weak = posts(app, &path, format!("link={secret}&password=12345678")).await;
        assert_eq!(weak.status, StatusCode::BAD_REQUEST, "and the link is good still");
        let done = posts(app, &path, format!("link={secret}&password=another+good+one")).await;
        assert_eq!(done.status, StatusCode::OK, "{}", body(&done));
        assert_eq!(closed(stream).await, Ended::Closed(4403));
        assert_eq!(by_password(app, &ann.email, NEW).await["errors"], Value::Null);
        let reset = code.input(json!({ "newPassword": PASSWORD }));
        assert_eq!(error(&app.anonymous(RESET, reset).await), OVER, "the code went with it");

        // A client's own page does the same.
        asks_for_code(app, &ann.email, "RESET_PASSWORD").await;
        let (_, secret) = parts(&app.mailbox.letter(&ann.email, 1).await["link"]);
        let reset = json!({ "input": { "link": secret, "newPassword": PASSWORD } });
        assert_eq!(app.anonymous(RESET, reset).await["errors"], Value::Null);
        assert_eq!(by_password(app, &ann.email, PASSWORD).await["errors"], Value::Null);
    }

    async fn what_is_no_link_does_nothing(app) {
        let ann = app.person("Ann").await;
        asks_for_code(app, &ann.email, "RESET_PASSWORD").await;
        let (reset, secret) = parts(&app.mailbox.letter(&ann.email, 0).await["link"]);
        // For another purpose.
        assert_eq!(posts(app, "/account/verify", format!("link={secret}")).await.status, StatusCode::GONE);
        for link in ["", "x", &"A".repeat(43), &"A".repeat(5_000)] {
            let form = format!("link={link}&password=another+good+one");
            assert_eq!(posts(app, &reset, form).await.status, StatusCode::GONE, "{link}");
        }
        for form in ["password=another+good+one", "link=%zz", "link"] {
            assert!(posts(app, &reset, form.to_owned()).await.status.is_client_error(), "{form}");
        }
        let large = posts(app, &reset, format!("link={}", "A".repeat(20_000))).await;
        assert_eq!(large.status, StatusCode::BAD_REQUEST);
        let odd = opens(app, &reset, "%22%3E%3Cscript%3E").await;
        assert!(!body(&odd).contains("<script"), "{}", body(&odd));
        // An hour later the link is over.
        app.advance(Duration::from_secs(3_600));
        let late = posts(app, &reset, format!("link={secret}&password=another+good+one")).await;
        assert_eq!(late.status, StatusCode::GONE);
        assert_eq!(by_password(app, &ann.email, PASSWORD).await["errors"], Value::Null);
    }
}
