//! How a subscription is executed: once to open it, then once for each event.
//!
//! async-graphql executes a subscription as one stream, which keeps the parsed document, the
//! variables and the state of the execution for as long as it lives. That is more than all else
//! an idle socket needs, and does nothing while nothing happens. Therefore:
//!
//! 1. The operation is executed to open it. Its resolver checks what it must and hands its events
//!    over ([`each`]); with that the execution is over.
//! 2. What is kept is the stream of events, the variables, and the document, which is one for all
//!    who sent the same ([`crate::documents::Documents`]).
//! 3. For each event the operation is executed again, with the event in the request's data, where
//!    the resolver finds it; with loaders of its own, because what was true for one event need not
//!    be for the next. The document is known to be valid by then, and is not validated again.
//! 4. It is executed once for all who ask the same ([`crate::sharing`]). What is each subscriber's
//!    own, the cursor of an event, is put in afterwards.

use std::option;
use std::sync::{Arc, Mutex};

use async_graphql::{Context, Name, Response, Value, Variables};
use async_stream::stream;
use backchannel_domain::Cx;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, Iter, Stream, StreamExt as _, iter};
use tokio::task::unconstrained;

use crate::answer::Answer;
use crate::canonical::Audience;
use crate::document::{Document, Operation};
use crate::error::Result;
use crate::scope::Scope;
use crate::sharing::{Executed, Executions, Shared, own_answer};
use crate::{Api, Root, finish};

/// An event on its way to a subscriber.
struct Delivery {
    event: Shared,
    /// What takes the place of [`crate::answer::placeholder`] in its result.
    own: Box<str>,
}

/// In the data of the execution that opens a subscription: where the events are handed over.
#[derive(Clone, Default)]
struct Opening(Arc<Mutex<Option<BoxStream<'static, Delivery>>>>);

/// In the data of the execution of an event: the event.
struct Present(Shared);

/// What a subscription's resolver answers with. In the execution that opens it, nothing: `open` is
/// called, and its events are handed over. In the execution of an event, that event. Who gets
/// the same event gets the same `Arc`.
pub(crate) async fn each<E, S>(
    ctx: &Context<'_>,
    open: impl Future<Output = Result<S>>,
) -> Result<Iter<option::IntoIter<Arc<E>>>>
where
    E: Send + Sync + 'static,
    S: Stream<Item = Arc<E>> + Send + 'static,
{
    let open = async { Ok(open.await?.map(|event| (event, Box::default()))) };
    each_with_own(ctx, open).await
}

/// The same, where each event comes with something that is the subscriber's own: a resolver writes
/// [`crate::answer::placeholder`] in its place. It must be fit to stand in a JSON string.
pub(crate) async fn each_with_own<E, S>(
    ctx: &Context<'_>,
    open: impl Future<Output = Result<S>>,
) -> Result<Iter<option::IntoIter<Arc<E>>>>
where
    E: Send + Sync + 'static,
    S: Stream<Item = (Arc<E>, Box<str>)> + Send + 'static,
{
    if let Some(Present(event)) = ctx.data_opt() {
        let event = Arc::clone(event).downcast();
        return Ok(iter(event.ok()));
    }
    let events = open.await?;
    let deliveries = events.map(|(event, own)| Delivery { event, own });
    let Opening(opening) = ctx.data_unchecked();
    *opening.lock().expect("no holder panics") = Some(deliveries.boxed());
    Ok(iter(None))
}

/// What a subscription has to say, until its events end.
pub(crate) fn answers(
    api: &Api,
    operation: Operation,
    cx: Cx,
) -> impl Stream<Item = Answer> + Send + use<> {
    let Operation {
        document,
        variables,
        ..
    } = operation;
    let slot = Opening::default();
    let (root, learning) = api.validating(&document, &variables);
    let request = document
        .request(variables.clone())
        .data(Scope::new(cx.clone()));
    let responses = root.execute_stream(request.data(slot.clone()));
    let subscription = Subscription {
        root: api.executing.clone(),
        executions: Arc::clone(&api.executions),
        audience: document.audience(&variables),
        document,
        variables: variables
            .iter()
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
        cx,
    };
    let mut stage = Stage::Opening(responses, slot, learning);
    stream! {
        while let Some(answer) = subscription.next(&mut stage).await {
            yield answer;
        }
    }
}

/// What is kept of a subscription's operation.
struct Subscription {
    root: Root,
    executions: Arc<Executions>,
    document: Arc<Document>,
    /// Not as async-graphql keeps them: its map has room for eleven.
    variables: Box<[(Name, Value)]>,
    /// None where each is an audience of one.
    audience: Option<Audience>,
    cx: Cx,
}

enum Stage {
    /// Its responses are why it could not be opened; else it is valid, which may be news.
    Opening(BoxStream<'static, Response>, Opening, bool),
    Open(BoxStream<'static, Delivery>),
}

impl Subscription {
    async fn next(&self, stage: &mut Stage) -> Option<Answer> {
        loop {
            match stage {
                Stage::Opening(responses, opening, learning) => {
                    if let Some(response) = responses.next().await {
                        return Some(finish(response, &self.document.shape).into());
                    }
                    let events = opening.0.lock().expect("no holder panics").take()?;
                    if *learning {
                        self.document.validity.learn();
                    }
                    *stage = Stage::Open(events);
                }
                Stage::Open(events) => {
                    let Delivery { event, own } = events.next().await?;
                    return Some(self.answer(event, own).await);
                }
            }
        }
    }

    async fn answer(&self, event: Shared, own: Box<str>) -> Answer {
        let execute = || self.execute(Arc::clone(&event));
        match self.audience {
            Some(audience) => {
                let answer = self.executions.answer(audience, &event, own, execute);
                answer.await
            }
            None => own_answer(&execute().await.response, own),
        }
    }

    fn execute(&self, event: Shared) -> BoxFuture<'static, Executed> {
        let mut variables = Variables::default();
        variables.extend(self.variables.iter().cloned());
        let request = self.document.request(variables);
        let scope = Scope::new(self.cx.clone());
        let request = request.data(scope.clone()).data(Present(event));
        let mut responses = self.root.execute_stream(request);
        let document = Arc::clone(&self.document);
        // As in [`Api::execute`].
        Box::pin(unconstrained(async move {
            // The stream has the one event.
            let response = responses.next().await.unwrap_or_default();
            Executed {
                response: finish(response, &document.shape),
                is_for_all: scope.loaders().are_for_all(),
            }
        }))
    }
}
