//! GraphQL over HTTP: <https://graphql.github.io/graphql-over-http/draft/>.

use std::sync::Arc;

use async_graphql::Response as Outcome;
use axum::extract::Request;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use backchannel_domain::client::Client;
use backchannel_domain::rates::Allowance;
use backchannel_schema::{
    GraphQlRequest, Operation, OperationKind, is_request_error, tell_allowance, to_json,
    whole_seconds,
};

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
    /// What they may ask after this request, where anything is limited.
    pub(super) allowance: Option<Allowance>,
}

impl Caller {
    fn of(state: &State, request: &Request) -> Self {
        Self {
            token: auth::bearer(request.headers()).map(str::to_owned),
            client: client(state, request),
            allowance: None,
        }
    }

    /// Counts so many requests of theirs. Nothing of them need have been read for that.
    fn count(&mut self, state: &State, requests: usize) -> Result<(), Refusal> {
        let payer = state.domain().payer(self.token.as_deref(), &self.client);
        let requests = u32::try_from(requests).unwrap_or(u32::MAX);
        let counted = state.domain().count_requests(&payer, requests);
        self.allowance = counted.map_err(Refusal::of)?;
        Ok(())
    }
}

/// Answers a request.
pub(super) async fn answer(state: State, request: Request) -> Response {
    let accepted = accepted(request.headers());
    let mut caller = Caller::of(&state, &request);
    let answered = match caller.count(&state, 1) {
        Ok(()) => answer_counted(&state, request, &mut caller, accepted).await,
        Err(refusal) => {
            decode::discard(request.into_body());
            Err(refusal)
        }
    };
    // Where neither is taken, the refusal itself still has to be said in something.
    let media_type = accepted.json.unwrap_or(MediaType::Json);
    answered.unwrap_or_else(|refusal| refuse(media_type, refusal, &caller))
}

async fn answer_counted(
    state: &State,
    request: Request,
    caller: &mut Caller,
    accepted: Accepted,
) -> Result<Response, Refusal> {
    let is_get = request.method() == Method::GET;
    let requests = match *request.method() {
        Method::GET => decode::get(request.uri().query().unwrap_or_default()).map(Decoded::One),
        Method::POST => decode::post(request).await,
        _ => Err(method_not_allowed("use GET or POST")),
    }?;
    if accepted.json.is_none() && !accepted.event_stream {
        let message =
            "answers are application/graphql-response+json, application/json or text/event-stream";
        return Err(Refusal::new(StatusCode::NOT_ACCEPTABLE, message));
    }
    match requests {
        Decoded::One(request) => one(state, request, caller, accepted, is_get).await,
        Decoded::Batch(requests) => {
            // One of them is counted already.
            caller.count(state, requests.len() - 1)?;
            let media_type = accepted.json.unwrap_or(MediaType::Json);
            batch(state, requests, caller, media_type).await
        }
    }
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
    Ok(respond(media_type, executed, caller))
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
            let mut outcome = run(state, state.api().prepare(request), caller).await?;
            tell_allowance(&mut outcome, caller.allowance);
            results.push(to_json(&outcome));
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
        return Ok(*Refusal::bad_request(message).outcome);
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

fn respond(media_type: MediaType, mut outcome: Outcome, caller: &Caller) -> Response {
    let status = match media_type {
        MediaType::GraphQlResponse if is_request_error(&outcome) => StatusCode::BAD_REQUEST,
        MediaType::GraphQlResponse | MediaType::Json => StatusCode::OK,
    };
    tell_allowance(&mut outcome, caller.allowance);
    body(status, media_type, to_json(&outcome))
}

fn refuse(media_type: MediaType, refusal: Refusal, caller: &Caller) -> Response {
    let Refusal {
        status,
        mut outcome,
        retry_after,
    } = refusal;
    tell_allowance(&mut outcome, caller.allowance);
    let mut response = body(status, media_type, to_json(&outcome));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        response
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET, POST"));
    }
    if let Some(time) = retry_after {
        let seconds = whole_seconds(time).max(1);
        response
            .headers_mut()
            .insert(RETRY_AFTER, HeaderValue::from(seconds));
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
