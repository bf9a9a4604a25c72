//! GraphQL over HTTP: <https://graphql.github.io/graphql-over-http/draft/>.

use std::sync::Arc;

use async_graphql::Response as Outcome;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use backchannel_domain::client::Client;
use backchannel_schema::{GraphQlRequest, Operation, OperationKind, is_request_error, to_json};

use crate::auth;
use crate::client::client;
use crate::state::State;

use super::accept::{Accepted, MediaType, accepted};
use super::answer::Refusal;
use super::decode::{self, Decoded};
use super::{EXECUTION, sse};

/// Who asks, as far as the request says.
pub(super) struct Caller {
    pub(super) token: Option<String>,
    pub(super) client: Arc<Client>,
}

/// Answers a request.
pub(super) async fn answer(state: State, request: Request) -> Response {
    let accepted = accepted(request.headers());
    let caller = Caller {
        token: auth::bearer(request.headers()).map(str::to_owned),
        client: client(&request),
    };
    let is_get = request.method() == Method::GET;
    // Where neither is taken, the refusal itself still has to be said in something.
    let media_type = accepted.json.unwrap_or(MediaType::Json);
    let decoded = match *request.method() {
        Method::GET => decode::get(request.uri().query().unwrap_or_default()).map(Decoded::One),
        Method::POST => decode::post(request).await,
        _ => Err(method_not_allowed("use GET or POST")),
    };
    let requests = match decoded {
        Ok(_) if accepted.json.is_none() && !accepted.event_stream => {
            let message = "answers are application/graphql-response+json, application/json or text/event-stream";
            return refuse(
                media_type,
                Refusal::new(StatusCode::NOT_ACCEPTABLE, message),
            );
        }
        Ok(requests) => requests,
        Err(refusal) => return refuse(media_type, refusal),
    };
    let answered = match requests {
        Decoded::One(request) => one(&state, request, &caller, accepted, is_get).await,
        Decoded::Batch(requests) => batch(&state, requests, &caller, media_type).await,
    };
    answered.unwrap_or_else(|refusal| refuse(media_type, refusal))
}

async fn one(
    state: &State,
    request: GraphQlRequest,
    caller: &Caller,
    accepted: Accepted,
    is_get: bool,
) -> Result<Response, Refusal> {
    let media_type = accepted.json.unwrap_or(MediaType::Json);
    let prepared = state.api().prepare(request);
    let kind = prepared.as_ref().ok().map(|operation| operation.kind);
    if is_get && kind == Some(OperationKind::Mutation) {
        return Err(method_not_allowed("a mutation needs POST"));
    }
    let streams = accepted.event_stream
        && (accepted.json.is_none() || kind == Some(OperationKind::Subscription));
    if streams {
        return Ok(sse::answer(state, prepared, caller).await);
    }
    let executed = in_time(run(state, prepared, caller)).await?;
    Ok(respond(media_type, &executed))
}

async fn batch(
    state: &State,
    requests: Vec<GraphQlRequest>,
    caller: &Caller,
    media_type: MediaType,
) -> Result<Response, Refusal> {
    let execution = async {
        let mut results = Vec::with_capacity(requests.len());
        // One after the other: a mutation may be meant to follow the one before it.
        for request in requests {
            results.push(to_json(
                &run(state, state.api().prepare(request), caller).await?,
            ));
        }
        Ok(results)
    };
    let results = in_time(execution).await?;
    Ok(body(
        StatusCode::OK,
        media_type,
        format!("[{}]", results.join(",")),
    ))
}

async fn run(
    state: &State,
    prepared: Result<Operation, Box<Outcome>>,
    caller: &Caller,
) -> Result<Outcome, Refusal> {
    let operation = match prepared {
        Ok(operation) => operation,
        Err(outcome) => return Ok(*outcome),
    };
    if operation.kind == OperationKind::Subscription {
        let message = "a subscription needs `Accept: text/event-stream`, or a WebSocket";
        return Ok(Refusal::bad_request(message).into_outcome());
    }
    // A bad token is told to the fields that need a good one.
    let client = Arc::clone(&caller.client);
    let known = state.domain().authenticate(caller.token.as_deref(), client);
    let cx = known.await.map_err(|error| {
        tracing::error!(%error, "authenticating failed");
        Refusal::internal()
    })?;
    Ok(state.api().execute(operation, cx).await)
}

async fn in_time<T>(execution: impl Future<Output = Result<T, Refusal>>) -> Result<T, Refusal> {
    let execution = tokio::time::timeout(EXECUTION, execution).await;
    execution.unwrap_or_else(|_| Err(Refusal::timed_out()))
}

fn respond(media_type: MediaType, outcome: &Outcome) -> Response {
    let status = match media_type {
        MediaType::GraphQlResponse if is_request_error(outcome) => StatusCode::BAD_REQUEST,
        MediaType::GraphQlResponse | MediaType::Json => StatusCode::OK,
    };
    body(status, media_type, to_json(outcome))
}

fn refuse(media_type: MediaType, refusal: Refusal) -> Response {
    let status = refusal.status;
    let mut response = body(status, media_type, to_json(&refusal.into_outcome()));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    response
}

fn method_not_allowed(message: &str) -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, message)
}

fn body(status: StatusCode, media_type: MediaType, json: String) -> Response {
    // Answers depend on who asks.
    let headers = [
        (CONTENT_TYPE, media_type.content_type()),
        (CACHE_CONTROL, "no-store"),
    ];
    (status, headers, json).into_response()
}
