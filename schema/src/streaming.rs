//! How a subscription is executed: once to open it, then once for each event.
//!
//! async-graphql executes a subscription as one stream, which keeps the parsed document, the
//! variables and the state of the execution for as long as it lives. That is more than all else
//! an idle socket needs, and does nothing while nothing happens. Therefore:
//!
//! 1. The operation is executed to open it. Its resolver checks what it must and hands its events
//!    over ([`each`]); with that the execution is over.
//! 2. What is kept is the stream of events, the variables, and the document, which is one for all
//!    who sent the same ([`crate::document::Documents`]).
//! 3. For each event the operation is executed again, with the event in the request's data, where
//!    the resolver finds it; with loaders of its own, because what was true for one event need not
//!    be for the next. The document is known to be valid by then, and is not validated again.

use std::option;
use std::sync::{Arc, Mutex};

use async_graphql::{Context, Name, Request, Response, Value, Variables};
use backchannel_domain::Cx;
use futures_util::stream::{self, BoxStream, Stream, StreamExt as _};

use crate::document::{Document, Operation};
use crate::error::Result;
use crate::scope::Scope;
use crate::{Root, finish};

/// Puts an event into a request.
type Put = Box<dyn FnOnce(Request) -> Request + Send>;

/// In the data of the execution that opens a subscription: where the events are handed over.
#[derive(Clone, Default)]
struct Opening(Arc<Mutex<Option<BoxStream<'static, Put>>>>);

/// In the data of the execution of an event: the event.
struct Present<E>(E);

/// What a subscription's resolver answers with. In the execution that opens it, nothing: `open` is
/// called, and its events are handed over. In the execution of an event, that event.
pub(crate) async fn each<E, S>(
    ctx: &Context<'_>,
    open: impl Future<Output = Result<S>>,
) -> Result<stream::Iter<option::IntoIter<E>>>
where
    E: Clone + Send + Sync + 'static,
    S: Stream<Item = E> + Send + 'static,
{
    if let Some(Present(event)) = ctx.data_opt::<Present<E>>() {
        return Ok(stream::iter(Some(event.clone())));
    }
    let events = open.await?;
    let events = events.map(|event| -> Put { Box::new(|request| request.data(Present(event))) });
    let Opening(opening) = ctx.data_unchecked();
    *opening.lock().expect("no holder panics") = Some(events.boxed());
    Ok(stream::iter(None))
}

/// The results of a subscription, until its events end. `executing` is `opening` without validation.
pub(crate) fn results(
    opening: &Root,
    executing: Root,
    operation: Operation,
    cx: Cx,
) -> BoxStream<'static, Response> {
    let Operation {
        document,
        variables,
        ..
    } = operation;
    let slot = Opening::default();
    let request = document
        .request(variables.clone())
        .data(Scope::new(cx.clone()));
    let responses = opening.execute_stream(request.data(slot.clone()));
    let streaming = Streaming {
        root: executing,
        document,
        variables: variables
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        cx,
        stage: Stage::Opening(responses, slot),
    };
    let results = stream::unfold(streaming, |mut streaming| async move {
        let response = streaming.next().await?;
        Some((response, streaming))
    });
    results.boxed()
}

struct Streaming {
    root: Root,
    document: Arc<Document>,
    /// Not as async-graphql keeps them: its map has room for eleven.
    variables: Box<[(Name, Value)]>,
    cx: Cx,
    stage: Stage,
}

enum Stage {
    /// Its responses are why it could not be opened.
    Opening(BoxStream<'static, Response>, Opening),
    Open(BoxStream<'static, Put>),
}

impl Streaming {
    async fn next(&mut self) -> Option<Response> {
        loop {
            match &mut self.stage {
                Stage::Opening(responses, opening) => {
                    if let Some(response) = responses.next().await {
                        return Some(finish(response, &self.document.shape));
                    }
                    let events = opening.0.lock().expect("no holder panics").take()?;
                    self.stage = Stage::Open(events);
                }
                Stage::Open(events) => {
                    let event = events.next().await?;
                    let response = self.execute(event).next().await?;
                    return Some(finish(response, &self.document.shape));
                }
            }
        }
    }

    fn execute(&self, event: Put) -> BoxStream<'static, Response> {
        let mut variables = Variables::default();
        variables.extend(self.variables.iter().cloned());
        let request = self.document.request(variables);
        let request = request.data(Scope::new(self.cx.clone()));
        self.root.execute_stream(event(request))
    }
}
