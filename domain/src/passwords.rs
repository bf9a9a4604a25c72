//! Password hashing: argon2id (RFC 9106) with the parameters OWASP recommends (19 MiB,
//! two passes, one lane), in a bounded pool off the async threads.

use std::sync::Arc;
use std::time::Duration;

use argon2::{Argon2, PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use crate::{Error, Result};

/// Fewest and most bytes of a password.
const LENGTHS: std::ops::RangeInclusive<usize> = 8..=1_024;

/// How many hashings may run or wait for a core. At some 13 ms each and one a core, the last in
/// line waits a few seconds; beyond that a refusal is kinder than a time-out.
const WAITING: usize = 256;

/// Passwords that every guesser tries first, in lower case, of those long enough.
const WELL_KNOWN: [&str; 32] = [
    "password",
    "password1",
    "password12",
    "password123",
    "passw0rd",
    "12345678",
    "123456789",
    "1234567890",
    "0123456789",
    "11111111",
    "00000000",
    "87654321",
    "88888888",
    "66666666",
    "qwertyui",
    "qwertyuiop",
    "qwerty123",
    "1q2w3e4r",
    "1qaz2wsx",
    "asdfghjkl",
    "abcd1234",
    "abc12345",
    "iloveyou",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno1",
    "letmein1",
    "welcome1",
    "changeme",
];

/// The pool: as many hashings at once as there are cores.
#[derive(Debug)]
pub(crate) struct Passwords {
    cores: Arc<Semaphore>,
    /// For those that run and those that wait.
    places: Arc<Semaphore>,
    /// Verified where there is no account, so that both cases cost the same.
    nobody: Arc<str>,
}

/// A password that may be set.
pub(crate) struct NewPassword(String);

impl NewPassword {
    /// Checks length and commonness; `names` are the account's own identifiers.
    pub(crate) fn parse(
        field: &'static str,
        password: String,
        names: &[Option<&str>],
    ) -> Result<Self> {
        if !LENGTHS.contains(&password.len()) {
            let (least, most) = (LENGTHS.start(), LENGTHS.end());
            let message = format!("must have {least} to {most} bytes");
            return Err(Error::bad_input(field, message));
        }
        let lower = password.to_lowercase();
        if WELL_KNOWN.contains(&lower.as_str()) {
            return Err(Error::bad_input(
                field,
                "is among the first that guessers try",
            ));
        }
        if names.iter().flatten().any(|name| *name == lower) {
            return Err(Error::bad_input(
                field,
                "must not be the account's own name",
            ));
        }
        Ok(Self(password))
    }
}

impl Passwords {
    /// Makes the pool.
    pub(crate) fn new() -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Ok(Self {
            cores: Arc::new(Semaphore::new(cores)),
            places: Arc::new(Semaphore::new(WAITING)),
            nobody: hash(&crate::clock::random_bytes::<32>())?.into(),
        })
    }

    /// The PHC string of `password`.
    pub(crate) async fn hash(&self, password: NewPassword) -> Result<String> {
        self.run(move || hash(password.0.as_bytes())).await?
    }

    /// Whether `password` is the one `hash` was made of. Without a hash the answer is no,
    /// after the same work.
    pub(crate) async fn verify(&self, password: String, hash: Option<String>) -> Result<bool> {
        // Never set, so never right; and hashing megabytes would be work for nothing.
        if !LENGTHS.contains(&password.len()) {
            return self.verify_bounded(String::new(), None).await;
        }
        self.verify_bounded(password, hash).await
    }

    async fn verify_bounded(&self, password: String, hash: Option<String>) -> Result<bool> {
        let known = hash.is_some();
        let hash = hash.map_or_else(|| Arc::clone(&self.nobody), Arc::from);
        let matches = move || {
            Argon2::default()
                .verify_password(password.as_bytes(), &*hash)
                .is_ok()
        };
        Ok(self.run(matches).await? && known)
    }

    /// Runs `work` when there is a core for it. Place and core belong to the work itself: a
    /// caller who hangs up must not make room for more while it still runs.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        let crowded = |_| Error::RateLimited {
            retry_after: Duration::from_secs(2),
        };
        let place = Arc::clone(&self.places)
            .try_acquire_owned()
            .map_err(crowded)?;
        let core = Arc::clone(&self.cores)
            .acquire_owned()
            .await
            .map_err(Error::internal)?;
        let bounded = move || {
            let done = work();
            drop((place, core));
            done
        };
        tokio::task::spawn_blocking(bounded)
            .await
            .map_err(Error::internal)
    }
}

fn hash(password: &[u8]) -> Result<String> {
    let hash = Argon2::default()
        .hash_password(password)
        .map_err(Error::internal)?;
    Ok(hash.to_string())
}
