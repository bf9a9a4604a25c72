//! The whole router on one screen.

use axum::Json;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde_json::json;
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::trace::TraceLayer;

use crate::state::State;
use crate::{account, graphql, health, playground};

/// Shorter answers are not compressed: they fit into one packet as they are.
const COMPRESSED_ABOVE: u64 = 1_024;

/// Longest form, in bytes. The doors of GraphQL have limits of their own.
const FORM_BYTES: usize = 8 * 1_024;

/// Every path of the server.
pub(crate) fn router(state: State) -> Router {
    let cors = state.origins().cors();
    let nosniff = (
        HeaderName::from_static("x-content-type-options"),
        HeaderValue::from_static("nosniff"),
    );
    Router::new()
        .route("/graphql", any(graphql::door))
        .route("/ping", get(health::ping))
        .route("/health", get(health::health))
        .route("/health/ready", get(health::ready))
        .route("/", get(playground::page))
        .route("/playground/{*path}", get(playground::asset))
        .route(account::VERIFY, get(account::verify_page).post(account::verify))
        .route(
            account::RESET_PASSWORD,
            get(account::reset_password_page).post(account::reset_password),
        )
        .layer(DefaultBodyLimit::max(FORM_BYTES))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .with_state(state)
        .layer(compression())
        .layer(cors)
        .layer(SetResponseHeaderLayer::if_not_present(nosniff.0, nosniff.1))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
            // The path alone: a query string can hold a document.
            tracing::info_span!("request", method = %request.method(), path = request.uri().path())
        }))
}

/// Compresses what is long, by zstd or else gzip, as clients take it. Streams of events are left
/// alone: a compressor would hold events back. The first level, because the next ones cost
/// several times as much for a few bytes, and no brotli, which costs twice as much for the same.
fn compression() -> CompressionLayer<impl Predicate> {
    let pays = SizeAbove::new(COMPRESSED_ABOVE)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES);
    CompressionLayer::new()
        .quality(CompressionLevel::Precise(1))
        .compress_when(pays)
}

/// An error as the REST surface words it: old clients read one field or the other.
pub(crate) fn error(status: StatusCode, code: &str, message: &str) -> Response {
    let body = json!({ "success": false, "error": code, "message": message });
    (status, Json(body)).into_response()
}

pub(crate) async fn not_found() -> Response {
    error(
        StatusCode::NOT_FOUND,
        "not_found",
        "there is nothing at this path",
    )
}

async fn method_not_allowed() -> Response {
    error(
        StatusCode::METHOD_NOT_ALLOWED,
        "method_not_allowed",
        "this path has no such method",
    )
}

fn panicked(cause: Box<dyn std::any::Any + Send>) -> Response {
    let cause = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied());
    tracing::error!(cause, "a request panicked");
    error(
        StatusCode::INTERNAL_SERVER_ERROR,
        "internal",
        "something went wrong on the server",
    )
}
