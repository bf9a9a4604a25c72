//! An event is executed once for all who ask the same of it.
//!
//! 1. Who asks the same is told by an [`Audience`]: the operation in one form, whatever its
//!    white space, its comments and the names of its fragments, and the values of the variables
//!    that matter. What the root field is asked for does not: it says which events one gets, not
//!    what is in them.
//! 2. An operation with a field that depends on the viewer (`@perViewer` in the schema) has no
//!    audience: it is executed for each. So is an event whose execution failed: what one may
//!    not see need not be hidden from another.
//! 3. The first subscriber to whom an event comes executes it, the others take the result. What
//!    takes longer is finished by a task of its own: nobody waits for a subscriber who is slow.
//! 4. A result is kept only for as long as others are likely to come for it. Without it an event
//!    is executed again, which is no harm.
//!
//! Who gets an event at all is decided for each subscriber, by the stream that it comes from.

use std::any::Any;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use async_graphql::{Response, TypeDirective};
use futures_util::poll;
use tokio::sync::SetOnce;

use crate::answer::{Answer, Encoded, Template, to_json};
use crate::canonical::Audience;

/// What the field says depends on who asks. An event of which it is asked is executed for each
/// subscriber by themselves.
#[TypeDirective(name = "perViewer", location = "FieldDefinition")]
pub(crate) fn per_viewer() {}

/// Events as streams carry them: all whom an event comes to have the same one.
pub(crate) type Shared = Arc<dyn Any + Send + Sync>;

/// Results are kept in so many queues, each under a lock of its own.
const QUEUES: usize = 16;
/// Most results in a queue: together more than a stream may lag behind.
const KEPT: usize = 32;
/// Longest result that is shared, in bytes: with these there are at most 16 MB.
const LONGEST: usize = 32 * 1_024;

/// What came of an execution.
enum Execution {
    Shared(Arc<Template>),
    /// Everybody executes it for themselves.
    OfEach,
}

struct Entry {
    audience: Audience,
    event: Shared,
    execution: Arc<SetOnce<Execution>>,
}

/// The executions of late.
#[derive(Default)]
pub(crate) struct Executions([Mutex<VecDeque<Entry>>; QUEUES]);

impl Executions {
    /// The result of an event for somebody who belongs to an audience. `own` goes into its gaps;
    /// `execute` executes it.
    pub(crate) async fn answer<F>(
        &self,
        audience: Audience,
        event: &Shared,
        own: Box<str>,
        execute: impl Fn() -> F,
    ) -> Answer
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let (execution, is_first) = self.of(audience, event);
        if is_first {
            let done = Done(Arc::clone(&execution));
            let mut response = Box::pin(execute());
            match poll!(&mut response) {
                Poll::Ready(response) => {
                    if let Some(alone) = done.with(response) {
                        return own_answer(&alone, own);
                    }
                }
                Poll::Pending => {
                    tokio::spawn(async move { done.with(response.await) });
                }
            }
        }
        match execution.wait().await {
            Execution::Shared(template) => Answer::Result(Encoded::new(Arc::clone(template), own)),
            Execution::OfEach => own_answer(&execute().await, own),
        }
    }

    /// The execution of an event for an audience, and whether the caller is to see to it.
    fn of(&self, audience: Audience, event: &Shared) -> (Arc<SetOnce<Execution>>, bool) {
        let address = Arc::as_ptr(event).cast::<()>();
        // The lowest bits of addresses are alike.
        let queue = &self.0[(address.addr() >> 5) % QUEUES];
        let mut queue = queue.lock().expect("no holder panics");
        // Most come for what is new.
        let found = queue.iter().rev().find(|entry| {
            entry.audience == audience && Arc::as_ptr(&entry.event).cast::<()>() == address
        });
        if let Some(entry) = found {
            return (Arc::clone(&entry.execution), false);
        }
        if queue.len() == KEPT {
            queue.pop_front();
        }
        let execution = Arc::new(SetOnce::new());
        queue.push_back(Entry {
            audience,
            event: Arc::clone(event),
            execution: Arc::clone(&execution),
        });
        (execution, true)
    }
}

/// A result for one subscriber alone.
pub(crate) fn own_answer(response: &Response, own: Box<str>) -> Answer {
    let template = Template::of(&to_json(response));
    Answer::Result(Encoded::new(Arc::new(template), own))
}

/// Sees to it that nobody waits in vain for an execution that panics.
struct Done(Arc<SetOnce<Execution>>);

impl Done {
    /// Tells the others; hands the response back if it is not for them.
    fn with(self, response: Response) -> Option<Response> {
        if response.errors.is_empty() {
            let template = Template::of(&to_json(&response));
            if template.len() <= LONGEST {
                // It is set once, here or when dropped.
                let _ = self.0.set(Execution::Shared(Arc::new(template)));
                return None;
            }
        }
        Some(response)
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        let _ = self.0.set(Execution::OfEach);
    }
}
