//! Access tokens that the servers signed that came before. They name the user by an old id, in
//! one of several claims.

use std::sync::Arc;

use backchannel_entities::{SessionId, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use uuid::Builder;

use super::{AccessToken, Holder};

/// Longest old id, in bytes.
const ID_BYTES: usize = 64;

/// Where the old servers put the user's id.
#[derive(Deserialize)]
struct Claims {
    uid: Option<String>,
    id: Option<String>,
    #[serde(rename = "userId")]
    user_id: Option<String>,
    #[serde(rename = "_id")]
    object_id: Option<String>,
    exp: i64,
}

impl Claims {
    fn legacy_id(self) -> Option<String> {
        let is_id = |id: &String| {
            let is_letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
            (1..=ID_BYTES).contains(&id.len()) && id.bytes().all(is_letter)
        };
        let first = self.uid.or(self.id).or(self.user_id).or(self.object_id);
        first.filter(is_id)
    }
}

/// Checks them.
pub(super) struct LegacyTokens {
    decoding: DecodingKey,
    validation: Validation,
}

impl LegacyTokens {
    pub(super) fn new(secret: &[u8]) -> Self {
        // The old servers named no audience: a token that does was made for something else.
        let mut validation = Validation::new(Algorithm::HS256);
        validation.set_required_spec_claims(&["exp"]);
        // Expiry is checked where that of our own tokens is.
        validation.validate_exp = false;
        Self {
            decoding: DecodingKey::from_secret(secret),
            validation,
        }
    }

    /// What a token says, if it is one. The id of its session is made of a hash (UUIDv8,
    /// RFC 9562): 122 bits of it, and only who has the secret could look for two alike. Hashed is
    /// what is signed, and not the signature: written in another way, that would be another token.
    pub(super) fn read(&self, token: &str) -> Option<AccessToken> {
        let decoded = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation);
        let claims = decoded.ok()?.claims;
        let expires_at = Timestamp(claims.exp.saturating_mul(1_000));
        let (signed, _signature) = token.rsplit_once('.')?;
        let hash: [u8; 32] = Sha256::digest(signed.as_bytes()).into();
        let (key, _) = hash.split_first_chunk()?;
        Some(AccessToken {
            holder: Holder::Legacy(Arc::from(claims.legacy_id()?)),
            session_id: SessionId(Builder::from_custom_bytes(*key).into_uuid()),
            expires_at,
        })
    }
}
