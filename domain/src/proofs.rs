//! Proving memberships for streams that open.
//!
//! When a crowd comes back, each of its streams asks whether its viewer is a member. What is asked
//! at the same time is looked up in one statement, by few workers, as the log itself is read
//! ([`crate::feed::Reader`]). A look-up never begins before it was asked for.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId};
use tokio::sync::{Mutex, mpsc, oneshot};

use crate::access::Membership;
use crate::db::Connections;
use crate::{Error, Result};

/// Proofs made in one statement.
const TOGETHER: usize = 64;
/// Statements at a time.
const WORKERS: usize = 2;
/// Questions that may wait; whoever comes then waits to ask.
const QUEUE: usize = 1_024;

/// Of which conversation, and who.
pub(crate) type Claim = (ConversationId, UserId);

struct Question {
    claim: Claim,
    answer: oneshot::Sender<Result<Membership>>,
}

/// Where proofs are asked for. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proofs(mpsc::Sender<Question>);

impl Proofs {
    /// Starts the workers. They stop when the last handle is gone.
    pub(crate) fn start(db: &Connections) -> Self {
        let (questions, queue) = mpsc::channel(QUEUE);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..WORKERS {
            tokio::spawn(work(db.clone(), Arc::clone(&queue)));
        }
        Self(questions)
    }

    /// Proves a membership.
    pub(crate) async fn prove(&self, claim: Claim) -> Result<Membership> {
        let (answer, answered) = oneshot::channel();
        let question = Question { claim, answer };
        self.0.send(question).await.map_err(|_| stopped())?;
        answered.await.map_err(|_| stopped())?
    }
}

fn stopped() -> Error {
    Error::internal(std::io::Error::other("memberships are no longer proved"))
}

async fn work(db: Connections, queue: Arc<Mutex<mpsc::Receiver<Question>>>) {
    let mut questions = Vec::new();
    loop {
        let asked = queue.lock().await.recv_many(&mut questions, TOGETHER).await;
        if asked == 0 {
            return;
        }
        let mut claims: Vec<Claim> = questions.iter().map(|question| question.claim).collect();
        claims.sort_unstable();
        claims.dedup();
        let proved: Result<HashMap<Claim, Membership>> = Membership::prove_all(&db, &claims).await;
        for Question { claim, answer } in questions.drain(..) {
            let proof = match &proved {
                Ok(proved) => proved
                    .get(&claim)
                    .cloned()
                    .ok_or(Error::NotFound("conversation")),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may be gone.
            let _ = answer.send(proof);
        }
    }
}
