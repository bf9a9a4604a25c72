//! The doors of the GraphQL API, all at `/graphql`: HTTP, server-sent events, WebSocket.
//!
//! They are our own because the ready-made ones run mutations by GET, take requests of any
//! size, never give a silent socket up and close with codes that clients do not retry.
//!
//! 1. [`door`] tells an upgrade from a request.
//! 2. [`http`] decodes a request (GraphQL over HTTP) and answers it in the media type that
//!    [`accept`] chose, or hands a subscription to [`sse`].
//! 3. [`ws`] speaks graphql-transport-ws.

mod accept;
mod answer;
mod decode;
mod ending;
mod http;
mod sse;
mod ws;

pub(crate) use decode::PREFLIGHT;
pub(crate) use ws::Seats;

use std::time::Duration;

use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{self, Request, WebSocketUpgrade};
use axum::response::Response;
use backchannel_domain::Cx;
use backchannel_domain::rates::Allowance;
use backchannel_schema::{Answer, Operation, OperationKind, failure, tell_allowance};
use futures_util::future::Either;
use futures_util::stream::{self, Stream};

use crate::state::State;

use self::answer::Refusal;

/// The longest a query or mutation may take.
const EXECUTION: Duration = Duration::from_secs(30);
/// Streams end on their own when a session does; this is how often an idle one is kept from
/// being taken for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(12);

/// What an operation has to say. One that is no subscription must answer in time; with the answer
/// goes what the caller may ask after it. Events are the same for all who select the same, so
/// nobody's allowance goes with them.
fn answers(
    state: &State,
    operation: Operation,
    cx: Cx,
    allowance: Option<Allowance>,
) -> impl Stream<Item = Answer> + Send + use<> {
    let (api, domain) = (state.api().clone(), state.domain().clone());
    if operation.kind == OperationKind::Subscription {
        return Either::Left(api.subscribe(operation, cx));
    }
    let execution = async move {
        let execution = async {
            match domain.renewed(cx).await {
                Ok(cx) => api.execute(operation, cx).await,
                Err(error) => failure(error),
            }
        };
        let outcome = tokio::time::timeout(EXECUTION, execution).await;
        let mut outcome = outcome.unwrap_or_else(|_| *Refusal::timed_out().outcome);
        tell_allowance(&mut outcome, allowance);
        Answer::from(outcome)
    };
    // Boxed: a subscription would otherwise keep a place as large as an execution.
    Either::Right(stream::once(Box::pin(execution)))
}

/// Takes every request for `/graphql`.
pub(crate) async fn door(
    state: extract::State<State>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    match upgrade {
        Ok(upgrade) => ws::open(state.0, upgrade, &request),
        Err(_) => http::answer(state.0, request).await,
    }
}
