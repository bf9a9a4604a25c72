//! Secrets clients hold: access tokens (JWT, RFC 7519, HS256) and refresh tokens.

mod keys;
mod legacy;

use std::sync::{Arc, Mutex, MutexGuard};
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
use crate::{Error, Result, Settings};

use self::legacy::LegacyTokens;

pub(crate) use self::keys::{KeyHash, new_key};

/// Our tokens are a third of this; longer ones are refused before they are parsed.
const ACCESS_TOKEN_BYTES: usize = 1_024;
/// Those of the servers that came before may name device and address.
const LEGACY_TOKEN_BYTES: usize = 4_096;

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

/// Whose an access token is.
#[derive(Clone)]
pub(crate) enum Holder {
    /// The user it names.
    User(UserId),
    /// Whoever had this id on the servers that came before.
    Legacy(Arc<str>),
    /// A program with an API key: whether it is the session's, nobody has looked yet.
    Key(KeyHash),
}

/// What a good access token says.
#[derive(Clone)]
pub(crate) struct AccessToken {
    pub(crate) holder: Holder,
    pub(crate) session_id: SessionId,
    pub(crate) expires_at: Timestamp,
}

/// Makes and checks access tokens.
pub(crate) struct AccessTokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    lifetime: Duration,
    legacy: Option<LegacyTokens>,
    /// By the hash of the token: what is valid is not to lie about in memory.
    known: Mutex<LruCache<[u8; 32], AccessToken>>,
}

impl AccessTokens {
    pub(crate) fn new(settings: &Settings) -> Self {
        let secret = &settings.jwt_secret;
        let legacy = settings.legacy_jwt_secret.as_deref();
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_audience(&[AUDIENCE]);
        validation.set_required_spec_claims(&["exp", "aud", "sub"]);
        // Expiry is checked against our own clock, which tests can move.
        validation.validate_exp = false;
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
            validation,
            lifetime: settings.access_token_lifetime,
            legacy: legacy.map(LegacyTokens::new),
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
        let most = match self.legacy {
            Some(_) => LEGACY_TOKEN_BYTES,
            None => ACCESS_TOKEN_BYTES,
        };
        if token.len() > most {
            return Err(Unauthenticated::InvalidToken);
        }
        if keys::is_key(token) {
            return keys::read(token).ok_or(Unauthenticated::InvalidToken);
        }
        let digest = Sha256::digest(token.as_bytes()).into();
        let known = self.known().get(&digest).cloned();
        let token = match known {
            Some(token) => token,
            None => {
                let read = self.read(token)?;
                self.known().insert(digest, read.clone());
                read
            }
        };
        if token.expires_at <= now {
            return Err(Unauthenticated::ExpiredToken);
        }
        Ok(token)
    }

    /// The two kinds are told apart by nothing but their signature, and the secrets differ.
    fn read(&self, token: &str) -> Result<AccessToken, Unauthenticated> {
        let own = || {
            let decoded =
                jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation).ok()?;
            Some(AccessToken {
                holder: Holder::User(decoded.claims.sub),
                session_id: decoded.claims.sid,
                expires_at: Timestamp(decoded.claims.exp.saturating_mul(1_000)),
            })
        };
        let legacy = || self.legacy.as_ref()?.read(token);
        own().or_else(legacy).ok_or(Unauthenticated::InvalidToken)
    }

    fn known(&self) -> MutexGuard<'_, LruCache<[u8; 32], AccessToken>> {
        self.known.lock().expect("no holder panics")
    }
}

/// Length of a secret.
pub(crate) const SECRET_BYTES: usize = 43;

/// A new secret for somebody to hold, such as a refresh token: 256 random bits, URL-safe.
pub(crate) fn new_secret() -> String {
    BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<32>())
}

/// What is kept of a secret.
pub(crate) fn secret_hash(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}
