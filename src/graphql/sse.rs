//! GraphQL over server-sent events, distinct connections mode:
//! <https://github.com/enisdenjo/graphql-sse/blob/master/PROTOCOL.md>.

use std::convert::Infallible;
use std::sync::Arc;

use async_graphql::Response as Outcome;
use async_stream::stream;
use axum::body::{Body, Bytes};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use backchannel_domain::error::Unauthenticated;
use backchannel_domain::presence::{self, DeviceLease};
use backchannel_domain::{Cx, Error};
use backchannel_schema::{
    Answer, Operation, OperationKind, code, failure, refusal, tell_allowance, to_json,
};
use futures_util::StreamExt as _;
use futures_util::stream::Stream;

use crate::state::State;

use super::ending::Ending;
use super::http::Caller;
use super::{KEEP_ALIVE, answers};

/// A comment. The first one opens the stream at once, before there is an event.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");
const COMPLETE: Bytes = Bytes::from_static(b"event: complete\ndata:\n\n");

/// Answers any operation with a stream of its results.
pub(super) async fn answer(
    state: &State,
    prepared: Result<Operation, Box<Outcome>>,
    caller: &Caller,
) -> Response {
    let begun = match prepared {
        Ok(operation) => authenticate(state, caller)
            .await
            .map(|(cx, ending)| (operation, cx, ending)),
        Err(outcome) => Err(*outcome),
    };
    let body = match begun {
        Ok((operation, cx, ending)) => {
            let lasts = operation.kind == OperationKind::Subscription;
            let device = lasts.then(|| presence::hold(&cx)).flatten();
            let answers = answers(state, operation, cx, caller.allowance);
            stream(state, answers, device, ending)
        }
        Err(mut refused) => {
            tell_allowance(&mut refused, caller.allowance);
            Body::from([next(&refused.into()), COMPLETE].concat())
        }
    };
    let headers = [
        (CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (CACHE_CONTROL, "no-cache"),
        // Asks nginx, and those who learned it from there, not to collect the stream.
        (HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (StatusCode::OK, headers, body).into_response()
}

/// Who listens, and what ends it. A bad token is told to the fields that need a good one.
async fn authenticate(state: &State, caller: &Caller) -> Result<(Cx, Ending), Outcome> {
    let client = Arc::clone(&caller.client);
    let watched = match &caller.token {
        Some(token) => {
            let client = Arc::clone(&client);
            let known = state.domain().authenticate_and_watch(token, client);
            state.admission().in_turn(known).await
        }
        None => Err(Error::Unauthenticated(Unauthenticated::NoToken)),
    };
    match watched {
        Ok((cx, watch)) => Ok((cx.clone(), Ending::of(state, &cx, Some(watch)))),
        Err(Error::Unauthenticated(because)) => {
            let cx = state.domain().anonymous(because).asked_by(client);
            Ok((cx.clone(), Ending::of(state, &cx, None)))
        }
        Err(error) => Err(failure(error)),
    }
}

fn stream(
    state: &State,
    answers: impl Stream<Item = Answer> + Send + 'static,
    device: Option<DeviceLease>,
    ending: Ending,
) -> Body {
    let open = state.streams().token();
    Body::from_stream(stream! {
        let _open = open;
        let _device = device;
        yield Ok::<_, Infallible>(COMMENT);
        let ended = ending.ended();
        tokio::pin!(ended, answers);
        loop {
            tokio::select! {
                biased;
                reason = &mut ended => {
                    // Draining cuts the stream short: the client comes back, to another node.
                    if let Some(because) = reason.told() {
                        let refusal = refusal(code::UNAUTHENTICATED, because, None);
                        yield Ok(next(&refusal.into()));
                        yield Ok(COMPLETE);
                    }
                    return;
                }
                answer = answers.next() => match answer {
                    Some(answer) => yield Ok(next(&answer)),
                    None => {
                        yield Ok(COMPLETE);
                        return;
                    }
                },
                () = tokio::time::sleep(KEEP_ALIVE) => yield Ok(COMMENT),
            }
        }
    })
}

fn next(answer: &Answer) -> Bytes {
    const BEFORE: &str = "event: next\ndata: ";
    const AFTER: &str = "\n\n";
    // JSON as serde writes it has no line breaks, which would end the field.
    let text = match answer {
        Answer::Refused(response) => [BEFORE, &to_json(response), AFTER].concat(),
        Answer::Result(result) => {
            let length = BEFORE.len() + result.len() + AFTER.len();
            let mut text = String::with_capacity(length);
            text.push_str(BEFORE);
            result.append_to(&mut text);
            text.push_str(AFTER);
            text
        }
    };
    text.into()
}
