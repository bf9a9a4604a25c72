//! The pages that links in mail lead to. They work without scripts; opening one does nothing yet,
//! because mail programs open links by themselves.

use std::time::Duration;

use axum::Form;
use axum::extract::{self, Query};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{Request, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::{RequestExt as _, body::Body};
use backchannel_domain::codes::{self, Proof};
use backchannel_domain::{Cx, Error};
use serde::Deserialize;
use tokio::time::timeout;

use crate::client::client;
use crate::state::State;

/// Confirms that a mailbox is somebody's.
pub(crate) const VERIFY: &str = "/account/verify";
/// Sets a new password.
pub(crate) const RESET_PASSWORD: &str = "/account/reset-password";

/// Nothing is loaded, and nothing goes anywhere but back here.
const POLICY: &str =
    "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// How long a form may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(20);

/// What stands in the link.
#[derive(Deserialize)]
pub(crate) struct Linked {
    #[serde(default)]
    link: String,
}

/// What is sent from a page.
#[derive(Deserialize)]
struct Sent {
    #[serde(default)]
    link: String,
    #[serde(default)]
    password: String,
}

/// The page to confirm a mailbox by.
pub(crate) async fn verify_page(Query(Linked { link }): Query<Linked>) -> Response {
    let title = "Confirm your e-mail address";
    form(title, VERIFY, &link, "<button>Confirm</button>")
}

/// The page to set a new password by.
pub(crate) async fn reset_password_page(Query(Linked { link }): Query<Linked>) -> Response {
    let title = "Set a new password";
    let fields = r#"<p><label>New password, at least 8 characters:
<input type="password" name="password" autocomplete="new-password" minlength="8" maxlength="1024" required></label></p>
<button>Set password</button>"#;
    form(title, RESET_PASSWORD, &link, fields)
}

/// Confirms a mailbox.
pub(crate) async fn verify(state: extract::State<State>, request: Request<Body>) -> Response {
    let done = async {
        let (cx, sent) = read(&state, request).await?;
        codes::attach(&cx, Proof::link(sent.link)?).await
    };
    tell(
        "Confirm your e-mail address",
        "Your e-mail address is confirmed. You can close this page.",
        done.await.map(drop),
    )
}

/// Sets a new password.
pub(crate) async fn reset_password(
    state: extract::State<State>,
    request: Request<Body>,
) -> Response {
    let done = async {
        let (cx, sent) = read(&state, request).await?;
        codes::reset_password(&cx, Proof::link(sent.link)?, sent.password).await
    };
    tell(
        "Set a new password",
        "Your new password is set, and you are signed out everywhere. You can close this page and sign in.",
        done.await,
    )
}

async fn read(state: &State, request: Request<Body>) -> Result<(Cx, Sent), Error> {
    let client = client(state, &request);
    let domain = state.domain();
    domain.count_requests(&domain.payer(None, &client), 1)?;
    let cx = domain.authenticate(None, client).await?;
    match timeout(ARRIVAL, request.extract::<Form<Sent>, _>()).await {
        Ok(Ok(Form(sent))) => Ok((cx, sent)),
        Ok(Err(_)) | Err(_) => Err(Error::bad_input("link", "is not there")),
    }
}

fn tell(title: &str, success: &str, done: Result<(), Error>) -> Response {
    let (status, text) = match done {
        Ok(()) => (StatusCode::OK, success.to_owned()),
        Err(Error::NotFound(_) | Error::Conflict { field: Some(_), .. }) => (
            StatusCode::GONE,
            "This link has expired or was used. Ask for another one.".to_owned(),
        ),
        Err(Error::BadInput { field, message }) => {
            (StatusCode::BAD_REQUEST, format!("The {field} {message}."))
        }
        Err(Error::Conflict {
            field: None,
            message,
        }) => (
            StatusCode::CONFLICT,
            format!("It cannot be done: {message}."),
        ),
        Err(Error::RateLimited { .. }) => (
            StatusCode::TOO_MANY_REQUESTS,
            "That is too much at once. Try again in a few minutes.".to_owned(),
        ),
        Err(Error::Unauthenticated(_) | Error::Forbidden(_)) => (
            StatusCode::FORBIDDEN,
            "This cannot be done by a link.".to_owned(),
        ),
        Err(Error::Internal(cause)) => {
            tracing::error!(%cause, "a request failed");
            (
                StatusCode::INTERNAL_SERVER_ERROR,
                "Something went wrong on the server. Try again later.".to_owned(),
            )
        }
    };
    page(status, title, &format!("<p>{}</p>", escape(&text)))
}

fn form(title: &str, action: &str, link: &str, fields: &str) -> Response {
    let link = escape(link);
    let body = format!(
        r#"<form method="post" action="{action}"><input type="hidden" name="link" value="{link}">
{fields}</form>"#
    );
    page(StatusCode::OK, title, &body)
}

fn page(status: StatusCode, title: &str, body: &str) -> Response {
    let html = format!(
        r#"<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title><h1>{title}</h1>{body}</html>"#
    );
    let headers = [
        (CONTENT_SECURITY_POLICY, POLICY),
        // The address of the page is as good as the code.
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, Html(html)).into_response()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
