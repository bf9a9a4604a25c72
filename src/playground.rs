//! GraphiQL, bundled into the binary: it works offline and asks nobody else for anything.

use axum::body::Body;
use axum::extract::{self, Path};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use crate::http::not_found;
use crate::state::State;

/// What the page may load and talk to: this server, and no other.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

#[derive(Embed)]
#[folder = "playground/dist"]
struct Bundle;

/// The page itself.
pub(crate) async fn page(state: extract::State<State>) -> Response {
    serve(&state, "index.html").await
}

/// A file the page asks for.
pub(crate) async fn asset(state: extract::State<State>, Path(path): Path<String>) -> Response {
    serve(&state, &path).await
}

async fn serve(state: &State, path: &str) -> Response {
    match Bundle::get(path) {
        Some(file) if state.playground() => respond(file),
        Some(_) | None => not_found().await,
    }
}

fn respond(file: EmbeddedFile) -> Response {
    let headers = [
        (CONTENT_TYPE, file.metadata.mimetype().to_owned()),
        // File names stay the same from release to release.
        (CACHE_CONTROL, "no-cache".to_owned()),
        (CONTENT_SECURITY_POLICY, POLICY.to_owned()),
    ];
    (headers, Body::from(file.data)).into_response()
}
