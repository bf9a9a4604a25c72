//! Whether the node is alive and fit for work. Public, so nothing but the status is told.

use std::time::Duration;

use axum::Json;
use axum::extract;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use backchannel_schema::rfc3339;
use serde_json::{Value, json};

use crate::state::State;

/// How long the database may take to answer before it counts as away.
const DATABASE: Duration = Duration::from_secs(2);

/// Answers without looking at anything.
pub(crate) async fn ping() -> Json<Value> {
    Json(json!({ "pong": true }))
}

/// Whether the database answers.
pub(crate) async fn health(extract::State(state): extract::State<State>) -> Response {
    report(&state, database_answers(&state).await)
}

/// Whether new work should be sent here: the database answers and the node is staying.
pub(crate) async fn ready(extract::State(state): extract::State<State>) -> Response {
    report(
        &state,
        !state.draining().is_cancelled() && database_answers(&state).await,
    )
}

async fn database_answers(state: &State) -> bool {
    let check = tokio::time::timeout(DATABASE, state.domain().check_database()).await;
    matches!(check, Ok(Ok(())))
}

fn report(state: &State, well: bool) -> Response {
    let (status, word) = if well {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unavailable")
    };
    let timestamp = rfc3339(state.domain().clock().now());
    (
        status,
        Json(json!({ "success": well, "status": word, "timestamp": timestamp })),
    )
        .into_response()
}
