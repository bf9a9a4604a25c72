//! API keys: `bck_`, then the session's id and 256 random bits in base64url. The prefix lets scanners
//! of published code know one; the id, the server find the session without a search.

use backchannel_entities::{SessionId, Timestamp};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::clock::random_bytes;

use super::{AccessToken, Holder};

const PREFIX: &str = "bck_";
/// Bytes of the id and of the secret.
const ID: usize = 16;
const SECRET: usize = 32;
/// A key lives as long as its session.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// What is kept of a key.
pub(crate) type KeyHash = [u8; 32];

/// Makes the key of a session: its text, to be shown once, and what is kept of it.
pub(crate) fn new_key(id: SessionId) -> (String, KeyHash) {
    let secret = random_bytes::<SECRET>();
    let key = [id.0.as_bytes().as_slice(), &secret].concat();
    let text = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(key));
    (text, Sha256::digest(secret).into())
}

/// Whether it is to be read as a key and not as a JWT.
pub(super) fn is_key(token: &str) -> bool {
    token.starts_with(PREFIX)
}

/// What a key says; whether it is true, the session's row tells.
pub(super) fn read(token: &str) -> Option<AccessToken> {
    let key = BASE64_URL_SAFE_NO_PAD
        .decode(token.strip_prefix(PREFIX)?)
        .ok()?;
    let (id, secret) = key.split_at_checked(ID)?;
    if secret.len() != SECRET {
        return None;
    }
    Some(AccessToken {
        holder: Holder::Key(Sha256::digest(secret).into()),
        session_id: SessionId(Uuid::from_slice(id).ok()?),
        expires_at: NEVER,
    })
}
