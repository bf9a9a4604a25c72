//! Secrets clients hold: access tokens (JWT, RFC 7519, HS256) and refresh tokens.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use backchannel_entities::{SessionId, Timestamp, UserId};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hashlink::LruCache;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::random_bytes;
use crate::error::Unauthenticated;
use crate::{Error, Result};

/// Our tokens are a third of this; longer ones are refused before they are parsed.
const ACCESS_TOKEN_BYTES: usize = 1_024;

/// The audience of access tokens: a token made for another purpose under the same secret
/// is not one.
const AUDIENCE: &str = "backchannel:access";

#[derive(Serialize, Deserialize)]
struct Claims {
    aud: String,
    sub: UserId,
    sid: SessionId,
    iat: i64,
    exp: i64,
}

/// Tokens whose signature is known to be good; the least recently used goes first.
const KNOWN: usize = 4_096;

/// What a good access token says.
#[derive(Clone, Copy)]
pub(crate) struct AccessToken {
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
    pub(crate) expires_at: Timestamp,
}

/// Makes and checks access tokens.
pub(crate) struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime: Duration,
    /// By the hash of the token: what is valid is not to lie about in memory.
    known: Mutex<LruCache<[u8; 32], AccessToken>>,
}

impl AccessTokens {
    pub(crate) fn new(secret: &[u8], lifetime: Duration) -> Self {
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // Expiry is checked against our own clock, which tests can move.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            lifetime,
            known: Mutex::new(LruCache::new(KNOWN)),
        }
    }

    /// A token for `session_id`, and when it expires.
    pub(crate) fn issue(
        &self,
        user_id: UserId,
        session_id: SessionId,
        now: Timestamp,
    ) -> Result<(String, Timestamp)> {
        // Claims carry whole seconds (NumericDate); less than one would be none.
        let expires_at = Timestamp(now.plus(self.lifetime).0.saturating_add(999) / 1_000 * 1_000);
        let claims = Claims {
            aud: AUDIENCE.to_owned(),
            sub: user_id,
            sid: session_id,
            iat: now.0 / 1_000,
            exp: expires_at.0 / 1_000,
        };
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.encoding)
            .map_err(Error::internal)?;
        Ok((token, expires_at))
    }

    /// Checks form, signature, algorithm, audience and expiry.
    pub(crate) fn check(
        &self,
        token: &str,
        now: Timestamp,
    ) -> Result<AccessToken, Unauthenticated> {
        if token.len() > ACCESS_TOKEN_BYTES {
            return Err(Unauthenticated::InvalidToken);
        }
        let digest = Sha256::digest(token.as_bytes()).into();
        let known = self.known().get(&digest).copied();
        let token = match known {
            Some(token) => token,
            None => {
                let read = self.read(token)?;
                self.known().insert(digest, read);
                read
            }
        };
        if token.expires_at <= now {
            return Err(Unauthenticated::ExpiredToken);
        }
        Ok(token)
    }

    fn read(&self, token: &str) -> Result<AccessToken, Unauthenticated> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| Unauthenticated::InvalidToken)?
            .claims;
        Ok(AccessToken {
            user_id: claims.sub,
            session_id: claims.sid,
            expires_at: Timestamp(claims.exp.saturating_mul(1_000)),
        })
    }

    fn known(&self) -> MutexGuard<'_, LruCache<[u8; 32], AccessToken>> {
        self.known.lock().expect("no holder panics")
    }
}

/// A new refresh token: 256 random bits, URL-safe.
pub(crate) fn new_refresh_token() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// What is kept of a refresh token.
pub(crate) fn refresh_token_hash(token: &str) -> Vec<u8> {
    Sha256::digest(token.as_bytes()).to_vec()
}
