//! STUN and TURN servers for a call, with credentials made for it alone.
//!
//! The convention is that of "A REST API For Access To TURN Services" (draft-uberti-behave-turn-rest),
//! as coturn checks it with `use-auth-secret`: the user name is the instant of expiry and, behind
//! a colon, anything; the password is an HMAC of it.

use std::time::Duration;

use backchannel_entities::{CallId, Timestamp, UserId};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use crate::{Cx, Error, Result};

use super::{CallState, get};

/// How long credentials are good. A relayed connection outlives them only until it is to be
/// refreshed, so a long call asks again.
const LIFETIME: Duration = Duration::from_secs(6 * 3_600);

/// What is known of STUN and TURN servers.
#[derive(Clone, Debug, Default)]
pub struct Turn {
    /// Their `stun:`, `stuns:`, `turn:` and `turns:` URLs.
    pub urls: Vec<String>,
    /// The secret shared with the TURN servers; none where there are only STUN servers.
    pub secret: Option<Vec<u8>>,
}

/// Servers that help two devices to reach each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceServer {
    /// Where they are.
    pub urls: Vec<String>,
    /// User name and password, for those that ask.
    pub credentials: Option<(String, String)>,
}

/// The servers for a call that goes on, for one of its parties; none where none are configured.
///
/// # Errors
/// [`Error::NotFound`] when the call does not exist for the actor; [`Error::Forbidden`] unless
/// the actor is in it; [`Error::Conflict`] when it has ended.
pub async fn ice_servers(cx: &Cx, id: CallId) -> Result<Vec<IceServer>> {
    let user_id = cx.signed_in()?.user.id;
    let call = get(cx, id).await?;
    match call.row.state {
        CallState::Ringing | CallState::Answered => {}
        CallState::Ended => {
            return Err(Error::Conflict {
                field: None,
                message: "the call has ended",
            });
        }
    }
    let is_in = |party: &super::Party| party.live && party.user_id == user_id;
    if !call.parties.iter().any(is_in) {
        return Err(Error::Forbidden("you are not in this call"));
    }
    let now = cx.handles().clock.now();
    Ok(cx.handles().settings.turn.servers(id, user_id, now))
}

impl Turn {
    fn servers(&self, id: CallId, user_id: UserId, now: Timestamp) -> Vec<IceServer> {
        let is_turn = |url: &&String| url.starts_with("turn");
        let (turn, stun): (Vec<_>, Vec<_>) = self.urls.iter().partition(is_turn);
        let server = |urls: Vec<&String>, credentials| IceServer {
            urls: urls.into_iter().cloned().collect(),
            credentials,
        };
        let mut servers = Vec::new();
        if !stun.is_empty() {
            servers.push(server(stun, None));
        }
        if let Some(secret) = &self.secret
            && !turn.is_empty()
        {
            let credentials = credentials(secret, &user_name(id, user_id, now.plus(LIFETIME)));
            servers.push(server(turn, Some(credentials)));
        }
        servers
    }
}

/// TURN servers log the name; it tells them calls and users apart and nothing more.
fn user_name(id: CallId, user_id: UserId, expires_at: Timestamp) -> String {
    let digest = Sha256::new()
        .chain_update(id.0.as_bytes())
        .chain_update(user_id.0.as_bytes())
        .finalize();
    let opaque = BASE64_URL_SAFE_NO_PAD.encode(&digest[..12]);
    format!("{}:{opaque}", expires_at.0 / 1_000)
}

fn credentials(secret: &[u8], user_name: &str) -> (String, String) {
    let mut mac = Hmac::<Sha1>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(user_name.as_bytes());
    let password = BASE64_STANDARD.encode(mac.finalize().into_bytes());
    (user_name.to_owned(), password)
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    /// By `echo -n 1735689600:anything | openssl dgst -sha1 -hmac north -binary | base64`.
    #[test]
    fn the_password_is_what_openssl_and_coturn_make_of_the_name() {
        let (name, password) = credentials(b"north", "1735689600:anything");
        assert_eq!(name, "1735689600:anything");
        assert_eq!(password, "H720VaaOAcESTF8GqIRh9k76Mfg=");
    }

    #[test]
    fn stun_servers_get_no_credentials_and_turn_servers_their_own() {
        let turn = Turn {
            urls: ["stun:a", "turn:b", "turns:c"].map(str::to_owned).into(),
            secret: Some(b"north".to_vec()),
        };
        let (call, ann, bob) = (
            CallId(Uuid::from_u128(1)),
            Uuid::from_u128(2),
            Uuid::from_u128(3),
        );
        let now = Timestamp(1_000_000);
        let [stun, anns] = &turn.servers(call, UserId(ann), now)[..] else {
            panic!("two kinds");
        };
        assert_eq!(
            (&stun.urls[..], &stun.credentials),
            (&["stun:a".to_owned()][..], &None)
        );
        assert_eq!(anns.urls, ["turn:b", "turns:c"]);
        let (name, _) = anns.credentials.as_ref().expect("credentials");
        assert!(name.starts_with("22600:"), "six hours from now: {name}");
        assert_ne!(anns, &turn.servers(call, UserId(bob), now)[1]);
        assert_eq!(Turn::default().servers(call, UserId(ann), now), []);
    }
}
