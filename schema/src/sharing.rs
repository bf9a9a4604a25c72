//! An event is executed once for all who ask the same of it.
//!
//! 1. Who asks the same is told by an [`Audience`]: the operation in one form, whatever its
//!    white space, its comments and the names of its fragments, and the values of the variables
//!    that matter. What the root field is asked for does not: it says which events one gets, not
//!    what is in them.
//! 2. An operation with a field that depends on the viewer (`@perViewer` in the schema) has no
//!    audience: it is executed for each. So is an event whose execution failed: what one may
//!    not see need not be hidden from another. And so is one that names a user who does not show the
//!    same to all, which only its execution tells.
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

/// What an execution answers.
pub(crate) struct Executed {
    pub(crate) response: Response,
    /// Whether everybody who asks the same would be answered the same.
    pub(crate) is_for_all: bool,
}

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
        F: Future<Output = Executed> + Send + 'static,
    {
        let (execution, is_first) = self.of(audience, event);
        if is_first {
            let done = Done(Arc::clone(&execution));
            let mut response = Box::pin(execute());
            match poll!(&mut response) {
                Poll::Ready(executed) => {
                    if let Some(alone) = done.with(executed) {
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
            Execution::OfEach => own_answer(&execute().await.response, own),
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
    fn with(self, executed: Executed) -> Option<Response> {
        let Executed {
            response,
            is_for_all,
        } = executed;
        if is_for_all && response.errors.is_empty() {
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

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use async_graphql::{Pos, ServerError, Value};
    use futures_util::FutureExt as _;
    use futures_util::future::{BoxFuture, join_all};
    use tokio::time::timeout;

    use super::*;

    const AUDIENCE: Audience = Audience::numbered(1);

    fn event() -> Shared {
        Arc::new(())
    }

    /// A result that tells which execution it is of.
    fn numbered(executions: &AtomicUsize) -> Executed {
        for_all(Value::from(executions.fetch_add(1, Ordering::Relaxed)))
    }

    fn for_all(data: Value) -> Executed {
        Executed {
            response: Response::new(data),
            is_for_all: true,
        }
    }

    fn text(answer: Answer) -> String {
        let Answer::Result(result) = answer else {
            panic!("a refusal");
        };
        let mut text = String::new();
        result.append_to(&mut text);
        text
    }

    #[tokio::test]
    async fn an_audience_has_one_execution_of_an_event() {
        let (executions, count, event) = (Executions::default(), AtomicUsize::new(0), event());
        let ask = |audience, event| {
            let answer =
                executions.answer(audience, event, Box::default(), || ready(numbered(&count)));
            answer.map(text)
        };
        let first = ask(AUDIENCE, &event).await;
        assert_eq!(ask(AUDIENCE, &event).await, first);
        assert_ne!(ask(Audience::numbered(2), &event).await, first);
        let another: Shared = Arc::new(1_u8);
        assert_ne!(ask(AUDIENCE, &another).await, first);
    }

    #[tokio::test]
    async fn an_execution_goes_on_without_the_one_who_began_it() {
        let (executions, event) = (Executions::default(), event());
        let gate = Arc::new(SetOnce::new());
        let slow = || {
            let gate = Arc::clone(&gate);
            async move {
                gate.wait().await;
                for_all(Value::from("late"))
            }
        };
        let began = executions.answer(AUDIENCE, &event, Box::default(), slow);
        assert!(began.now_or_never().is_none(), "and is not polled again");
        let never = || -> BoxFuture<'static, Executed> { Box::pin(pending()) };
        let others = (0..3).map(|_| executions.answer(AUDIENCE, &event, Box::default(), never));
        gate.set(()).expect("it is opened once");
        let answers = timeout(Duration::from_secs(5), join_all(others)).await;
        for answer in answers.expect("nobody waits for ever") {
            assert!(text(answer).contains("late"));
        }
    }

    #[tokio::test]
    async fn what_failed_for_one_is_executed_for_each() {
        let (executions, count, event) = (Executions::default(), AtomicUsize::new(0), event());
        for n in 0..3 {
            let execute = || {
                let mut executed = numbered(&count);
                let error = ServerError::new("not for you", Some(Pos::default()));
                executed.response.errors.push(error);
                ready(executed)
            };
            let answer = executions.answer(AUDIENCE, &event, Box::default(), execute);
            assert!(text(answer.await).contains(&format!("\"data\":{n}")));
        }
    }

    #[tokio::test]
    async fn what_is_not_for_all_is_executed_for_each() {
        let (executions, count, event) = (Executions::default(), AtomicUsize::new(0), event());
        for n in 0..3 {
            let execute = || {
                let is_for_all = false;
                ready(Executed {
                    is_for_all,
                    ..numbered(&count)
                })
            };
            let answer = executions.answer(AUDIENCE, &event, Box::default(), execute);
            assert!(text(answer.await).contains(&format!("\"data\":{n}")));
        }
    }

    #[tokio::test]
    async fn one_that_panics_keeps_nobody_waiting() {
        let (executions, count, event) = (Executions::default(), AtomicUsize::new(0), event());
        let panics = || async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        };
        let began = executions.answer(AUDIENCE, &event, Box::default(), panics);
        assert!(began.now_or_never().is_none());
        let execute = || ready(numbered(&count));
        let answer = executions.answer(AUDIENCE, &event, Box::default(), execute);
        let answer = timeout(Duration::from_secs(5), answer).await;
        assert!(text(answer.expect("nobody waits for ever")).contains("\"data\":0"));
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let (executions, count) = (Executions::default(), AtomicUsize::new(0));
        let events: Vec<Shared> = (0..2 * QUEUES * KEPT)
            .map(|n| -> Shared { Arc::new(n) })
            .collect();
        for event in &events {
            let execute = || ready(numbered(&count));
            let answer = executions.answer(AUDIENCE, event, Box::default(), execute);
            answer.await;
        }
        let kept = executions
            .0
            .iter()
            .map(|queue| queue.lock().expect("no panic").len());
        assert!(kept.sum::<usize>() <= QUEUES * KEPT);
    }
}
