//! What is asked for at the same time is gathered, fetched in one statement, and answered at once.
//!
//! The `dataloader` crate remembers what was fetched, and fetches nothing twice. But those who wait
//! for a batch of it stand in line for a lock, and come back one after the other; what they ask
//! for next would come in dribs too, and miss its batch. So it is here that keys wait for each
//! other:
//!
//! 1. What was fetched already is answered without waiting.
//! 2. Who comes first opens a batch, and gives others a few rounds to add their keys.
//! 3. Then it is closed and fetched. Whoever comes later opens the next one.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, OnceLock};

use backchannel_domain::{Cx, Error, Result};
use dataloader::BatchFn;
use dataloader::cached::Loader;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::SetOnce;
use tokio::task::yield_now;

/// Most keys fetched in one statement.
const MOST: usize = 200;

/// Rounds of the scheduler in which others may add their keys before a batch is fetched: in each,
/// whatever in the request can go on does. Fields come to one loader by ways of different length.
const ROUNDS: usize = 4;

/// How one relation is fetched. Keys without a value are left out of the answer.
pub(super) trait Source: 'static {
    type Key: Clone + Debug + Eq + Hash + Send + Sync;
    type Value: Clone + Send + Sync;

    fn fetch(
        cx: &Cx,
        keys: &[Self::Key],
    ) -> impl Future<Output = Result<HashMap<Self::Key, Self::Value>>> + Send;
}

type Answer<S> = Result<Option<<S as Source>::Value>>;
type Answers<S> = HashMap<<S as Source>::Key, Answer<S>>;

/// A loader that is made when first used.
pub(super) struct Lazy<S: Source>(OnceLock<Gatherer<S>>);

impl<S: Source> Default for Lazy<S> {
    fn default() -> Self {
        Self(OnceLock::new())
    }
}

impl<S: Source> Lazy<S> {
    fn gatherer(&self, cx: &Cx) -> &Gatherer<S> {
        self.0.get_or_init(|| Gatherer::new(cx.clone()))
    }

    pub(super) async fn load(&self, cx: &Cx, key: S::Key) -> Answer<S> {
        self.gatherer(cx).load(key).await
    }

    /// Gives answers that are at hand already.
    pub(super) async fn prime(&self, cx: &Cx, known: impl Iterator<Item = (S::Key, Answer<S>)>) {
        self.gatherer(cx).loader.prime_many(known).await;
    }
}

struct Gatherer<S: Source> {
    loader: LoaderOf<S>,
    latest: Mutex<Option<Batch<S>>>,
}

type LoaderOf<S> = Loader<<S as Source>::Key, Answer<S>, Statements<S>>;

impl<S: Source> Gatherer<S> {
    fn new(cx: Cx) -> Self {
        let source = PhantomData;
        let loader = Loader::new(Statements { cx, source })
            // A batch is neither begun nor waited for by the crate.
            .with_max_batch_size(usize::MAX)
            .with_yield_count(1);
        let latest = Mutex::default();
        Self { loader, latest }
    }

    async fn load(&self, key: S::Key) -> Answer<S> {
        // Asked once and not waited for: an answer that is there.
        if let Some(known) = self.loader.try_load(key.clone()).now_or_never() {
            return known.map_err(Error::internal)?;
        }
        let (answers, opened) = self.join(key.clone());
        if let Some(_closing) = opened {
            for _ in 0..ROUNDS {
                yield_now().await;
            }
        }
        let answers = answers.await?;
        answers.get(&key).cloned().unwrap_or(Ok(None))
    }

    /// The answers of the batch that takes `key`. Who opens it must see to it that it is closed.
    fn join(&self, key: S::Key) -> (SharedAnswers<S>, Option<Closing<S::Key>>) {
        let mut latest = self.latest.lock().expect("no holder panics");
        let key = match &*latest {
            None => key,
            Some(batch) => match batch.keys.add(key) {
                Ok(()) => return (batch.answers.clone(), None),
                Err(late) => late,
            },
        };
        let keys = Arc::new(Keys::first(key));
        let answers = fetch::<S>(self.loader.clone(), Arc::clone(&keys));
        let answers = answers.boxed().shared();
        *latest = Some(Batch {
            keys: Arc::clone(&keys),
            answers: answers.clone(),
        });
        (answers, Some(Closing(keys)))
    }
}

type SharedAnswers<S> = Shared<BoxFuture<'static, Result<Arc<Answers<S>>>>>;

struct Batch<S: Source> {
    keys: Arc<Keys<S::Key>>,
    answers: SharedAnswers<S>,
}

/// The keys of a batch.
struct Keys<K> {
    /// None once they have been taken.
    open: Mutex<Option<Vec<K>>>,
    closed: SetOnce<()>,
}

impl<K> Keys<K> {
    fn first(key: K) -> Self {
        Self {
            open: Mutex::new(Some(vec![key])),
            closed: SetOnce::new(),
        }
    }

    /// Adds a key; gives it back if it comes too late.
    fn add(&self, key: K) -> Result<(), K> {
        match &mut *self.open.lock().expect("no holder panics") {
            Some(keys) => {
                keys.push(key);
                Ok(())
            }
            None => Err(key),
        }
    }

    fn take(&self) -> Vec<K> {
        let mut open = self.open.lock().expect("no holder panics");
        open.take().unwrap_or_default()
    }
}

/// Closes a batch when dropped: whoever opened it may be gone before, and others wait.
struct Closing<K>(Arc<Keys<K>>);

impl<K> Drop for Closing<K> {
    fn drop(&mut self) {
        // Nobody else sets it.
        let _ = self.0.closed.set(());
    }
}

async fn fetch<S: Source>(loader: LoaderOf<S>, keys: Arc<Keys<S::Key>>) -> Result<Arc<Answers<S>>> {
    keys.closed.wait().await;
    let answers = loader.try_load_many(keys.take()).await;
    answers.map(Arc::new).map_err(Error::internal)
}

struct Statements<S> {
    cx: Cx,
    source: PhantomData<fn() -> S>,
}

impl<S: Source> BatchFn<S::Key, Answer<S>> for Statements<S> {
    #[expect(
        clippy::manual_async_fn,
        reason = "the trait does not promise Send; this does"
    )]
    fn load(&mut self, keys: &[S::Key]) -> impl Future<Output = Answers<S>> {
        async move {
            let mut answers = HashMap::with_capacity(keys.len());
            for keys in keys.chunks(MOST) {
                let mut found = S::fetch(&self.cx, keys).await;
                // Every key gets an answer: the crate loses the cause without one.
                answers.extend(keys.iter().map(|key| {
                    let answer = match &mut found {
                        Ok(found) => Ok(found.remove(key)),
                        Err(error) => Err(error.clone()),
                    };
                    (key.clone(), answer)
                }));
            }
            answers
        }
    }
}
