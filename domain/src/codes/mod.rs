//! One-time codes: whoever can read what is sent to a phone or mailbox proves that it is theirs.
//!
//! 1. [`request`] sends six digits and answers with the request's id, whether or not anybody
//!    has an account there: answer, time and statements tell nothing. The id is as good as a
//!    secret: the code is of no use without it.
//! 2. A code is good with any request of the same recipient and purpose that is open: of two
//!    messages the first may come last, and clients keep the first id.
//! 3. What is proved by a code, or by the link that went along with it, is found out by
//!    [`proving`]; [`uses`] is what one may do then.
//! 4. Codes are kept as MACs under the server's secret: there are but a million of them, so that
//!    hashes would hide nothing.

mod proving;
mod uses;

use std::time::Duration;

use backchannel_entities::{CodeId, Timestamp, UserId, code};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use hmac::{Hmac, Mac as _};
use sea_orm::{ActiveModelTrait as _, Set};
use sha2::Sha256;

use crate::clock::{new_id, random_bytes};
use crate::couriers::Letter;
use crate::cx::Tx;
use crate::identifiers::Identifier;
use crate::rates::{self, Guarded};
use crate::tokens::{new_secret, secret_hash};
use crate::upkeep::{self, Found};
use crate::users;
use crate::{Cx, Domain, Result};

pub use self::proving::Proof;
pub use self::uses::{NewAccount, attach, register, reset_password, sign_in};
pub use backchannel_entities::code::Purpose;

/// How long a code is good.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// How long a link is: mail takes its time, and nobody guesses 256 bits.
const LINK_GOOD_FOR: Duration = Duration::from_secs(3_600);

/// A request for a code, checked.
pub struct CodeRequest {
    recipient: Identifier,
    purpose: Purpose,
}

impl CodeRequest {
    /// Checks it.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] unless exactly one well-formed e-mail address or phone number is given.
    pub fn parse(
        domain: &Domain,
        email: Option<&str>,
        phone: Option<&str>,
        purpose: Purpose,
    ) -> Result<Self> {
        let recipient = Identifier::parse(domain, email, phone)?;
        Ok(Self { recipient, purpose })
    }
}

/// A request whose code is on its way.
pub struct Requested {
    /// To be given with the code.
    pub id: CodeId,
    /// Until when the code is good.
    pub expires_at: Timestamp,
}

/// Sends a code.
///
/// # Errors
/// [`crate::Error::Forbidden`] where this server reaches nobody that way; [`crate::Error::RateLimited`] when
/// too many were sent there, or asked for from here; [`crate::Error::Unauthenticated`] when nobody is
/// signed in and something is to be attached to an account.
pub async fn request(cx: &Cx, request: CodeRequest) -> Result<Requested> {
    let CodeRequest { recipient, purpose } = request;
    let user_id = match purpose {
        Purpose::Attach => Some(cx.signed_in()?.user.id),
        Purpose::Register | Purpose::SignIn | Purpose::ResetPassword => None,
    };
    let ready = cx.handles().couriers.get_ready(recipient.channel())?;
    rates::count_guarded(cx, Guarded::Code, Some(recipient.as_str())).await?;
    // Looked up whatever the purpose, so that all cost the same.
    let account = users::find_by_identifier(cx, &recipient).await?;
    let (id, code) = (CodeId(new_id()), new_code());
    let link = recipient.link_for(purpose).then(new_secret);
    let row = Row {
        id,
        purpose,
        user_id,
        recipient: recipient.as_str().to_owned(),
        code_mac: mac(cx, id, &code).finalize().into_bytes().to_vec(),
        link_hash: link.as_deref().map(secret_hash),
    };
    let requested = cx.write(move |tx| Box::pin(async move { row.insert(tx).await }));
    let requested = requested.await?;
    // There is nothing to reset where there is no account, and that is not told.
    if account.is_some() || purpose != Purpose::ResetPassword {
        ready.take(Letter {
            channel: recipient.channel(),
            to: recipient.into_string(),
            code,
            purpose,
            good_for: GOOD_FOR,
            link,
        });
    }
    Ok(requested)
}

/// What is kept of a request.
struct Row {
    id: CodeId,
    purpose: Purpose,
    recipient: String,
    user_id: Option<UserId>,
    code_mac: Vec<u8>,
    link_hash: Option<Vec<u8>>,
}

impl Row {
    async fn insert(self, tx: &Tx) -> Result<Requested> {
        let now = tx.now();
        let (id, expires_at) = (self.id, now.plus(GOOD_FOR));
        let row = code::ActiveModel {
            id: Set(id),
            purpose: Set(self.purpose),
            recipient: Set(self.recipient),
            user_id: Set(self.user_id),
            code_mac: Set(self.code_mac),
            link_hash: Set(self.link_hash),
            tries: Set(0),
            created_at: Set(now),
            expires_at: Set(expires_at),
            used_at: Set(None),
        };
        row.insert(&tx.db).await?;
        Ok(Requested { id, expires_at })
    }
}

/// Six digits, each as likely as any other.
fn new_code() -> String {
    const CODES: u32 = 1_000_000;
    // Beyond the last whole million the low ones would come more often.
    let random = std::iter::repeat_with(|| u32::from_le_bytes(random_bytes()));
    let mut fair = random.filter(|random| *random < u32::MAX / CODES * CODES);
    let code = fair.next().expect("it goes on for ever") % CODES;
    format!("{code:06}")
}

/// What is kept of a code: it goes with its request alone.
fn mac(cx: &Cx, id: CodeId, code: &str) -> Hmac<Sha256> {
    let key = &cx.handles().settings.jwt_secret;
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    // Not to be taken for anything else that is signed with the secret.
    mac.update(b"backchannel:code");
    mac.update(id.0.as_bytes());
    mac.update(code.as_bytes());
    mac
}

/// Clears away what is over, until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing codes away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    let before = cx.handles().clock.now().minus(LINK_GOOD_FOR);
    upkeep::clear_before::<code::Entity>(cx, code::Column::Id, code::Column::ExpiresAt, before)
        .boxed()
}
