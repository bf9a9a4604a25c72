//! Whether a code is the right one.
//!
//! 1. A wrong try counts against every code that is open for the same recipient and purpose, in the
//!    database, so that neither other nodes nor other addresses bring more tries. After
//!    five a code is dead. How often anybody may be wrong in a day is bounded besides.
//! 2. A code is used once: whoever tries takes the lock of all that are open, in the order of
//!    their ids, and the first right one uses them all up.
//! 3. What is done with a proof is done in the same transaction. If that fails, nothing was used.

use backchannel_entities::{CodeId, UserId, code};
use futures_util::future::BoxFuture;
use hmac::Mac as _;
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::audit::Act;
use crate::cx::Tx;
use crate::db::in_list;
use crate::identifiers::Identifier;
use crate::rates::{self, Guarded};
use crate::tokens::{SECRET_BYTES, secret_hash};
use crate::{Cx, Error, Result};

use super::{LINK_GOOD_FOR, Purpose, mac};

/// Wrong tries after which a code is dead.
const TRIES: i32 = 5;
/// Digits of a code.
const DIGITS: usize = 6;
/// The newest of those that are open; more are only where nothing is limited.
const OPEN: u64 = 32;

/// What somebody has read who can read what was sent.
#[derive(Clone)]
pub enum Proof {
    /// The code, and the id of the request, which went to whoever asked.
    Code(CodeId, String),
    /// The secret of the link.
    Link(String),
}

impl Proof {
    /// Checks the form of a code.
    ///
    /// # Errors
    /// [`Error::NotFound`] for no request; [`Error::BadInput`] for what cannot be a code. Neither
    /// counts as a try.
    pub fn code(id: Option<CodeId>, code: &str) -> Result<Self> {
        let id = id.ok_or(UNKNOWN)?;
        let code = code.trim();
        if code.len() != DIGITS || !code.bytes().all(|b| b.is_ascii_digit()) {
            return Err(Error::bad_input("code", "must be six digits"));
        }
        Ok(Self::Code(id, code.to_owned()))
    }

    /// Checks the form of a link's secret.
    ///
    /// # Errors
    /// [`Error::NotFound`] for what cannot be one.
    pub fn link(secret: String) -> Result<Self> {
        if secret.len() == SECRET_BYTES {
            Ok(Self::Link(secret))
        } else {
            Err(UNKNOWN)
        }
    }
}

const UNKNOWN: Error = Error::NotFound("request for a code");

const OVER: Error = Error::Conflict {
    field: Some("code"),
    message: "the code has expired, was used, or was tried too often: ask for another one",
};

/// Runs `work` with whoever is proved to read what is sent there.
///
/// # Errors
/// [`Error::NotFound`] for a request that is none, is for another purpose, or is another user's;
/// [`Error::BadInput`] for a wrong code; [`Error::Conflict`] for one that is over;
/// [`Error::RateLimited`] when too many were wrong lately.
pub(super) async fn prove<T, F>(cx: &Cx, purpose: Purpose, proof: Proof, work: F) -> Result<T>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx, Proved) -> BoxFuture<'t, Result<T>> + Send + 'static,
{
    let request = find(cx, purpose, &proof).await?;
    let recipient = request.as_ref().map(|request| request.recipient.as_str());
    // Counted as wrong until it is known to be right: those that come at once count too.
    let attempt = rates::count_guarded(cx, Guarded::WrongCode, recipient).await?;
    let request = request.ok_or(UNKNOWN)?;
    let (own, user_id) = (cx.clone(), request.user_id);
    let done = cx.write(move |tx| {
        Box::pin(async move {
            match redeem(tx, &own, request, &proof).await? {
                Some(proved) => {
                    attempt.give_back(tx).await?;
                    work(tx, proved).await.map(Some)
                }
                // An error would roll the counting back.
                None => {
                    tx.audit(Act::CodeRefused, user_id);
                    Ok(None)
                }
            }
        })
    });
    done.await?
        .ok_or_else(|| Error::bad_input("code", "is not the code that was sent"))
}

/// What was found to be true.
pub(super) struct Proved {
    /// Whoever tried reads what is sent there.
    pub(super) whom: Identifier,
    /// Who asked for the code, where that matters.
    pub(super) user_id: Option<UserId>,
}

/// The request that a proof is for. One for an account is there for nobody else; but who has
/// the link need not be signed in.
async fn find(cx: &Cx, purpose: Purpose, proof: &Proof) -> Result<Option<code::Model>> {
    let found = match proof {
        Proof::Code(id, _) => code::Entity::find_by_id(*id),
        Proof::Link(secret) => {
            code::Entity::find().filter(code::Column::LinkHash.eq(secret_hash(secret)))
        }
    };
    let found = found.one(cx.read()).await?;
    let actor = cx.signed_in().ok().map(|signed_in| signed_in.user.id);
    Ok(found.filter(|request| {
        let is_actors = match proof {
            Proof::Code(..) => request.user_id.is_none() || request.user_id == actor,
            Proof::Link(_) => true,
        };
        is_actors && request.purpose == purpose
    }))
}

/// Tries a proof; none if it is wrong, which has then been counted.
async fn redeem(tx: &Tx, cx: &Cx, request: code::Model, proof: &Proof) -> Result<Option<Proved>> {
    let unused = unused(tx, &request).await?;
    let now = tx.now();
    let is_unused = unused.iter().any(|code| code.id == request.id);
    let open = unused.iter().filter(|code| code.expires_at > now);
    let is_right = match proof {
        Proof::Link(_) if !is_unused || request.created_at.plus(LINK_GOOD_FOR) <= now => {
            return Err(OVER);
        }
        Proof::Link(_) => true,
        Proof::Code(_, tried) => {
            let mut live = open.filter(|code| code.tries < TRIES).peekable();
            let is_open = is_unused && request.expires_at > now;
            if live.peek().is_none() || !is_open {
                return Err(OVER);
            }
            live.any(|code| {
                let mac = mac(cx, code.id, tried);
                mac.verify_slice(&code.code_mac).is_ok()
            })
        }
    };
    let ids: Vec<CodeId> = unused.iter().map(|code| code.id).collect();
    let update = code::Entity::update_many().filter(code::Column::Id.is_in(in_list(&ids)));
    let update = if is_right {
        update.col_expr(code::Column::UsedAt, Expr::value(now))
    } else {
        update.col_expr(code::Column::Tries, Expr::col(code::Column::Tries).add(1))
    };
    update.exec(&tx.db).await?;
    Ok(is_right.then(|| Proved {
        whom: Identifier::of_text(request.recipient),
        user_id: request.user_id,
    }))
}

/// What is not used yet of the same recipient, purpose and user, locked until the end of the
/// transaction.
async fn unused(tx: &Tx, request: &code::Model) -> Result<Vec<code::Model>> {
    let unused = code::Entity::find()
        .filter(code::Column::Recipient.eq(&request.recipient))
        .filter(code::Column::Purpose.eq(request.purpose))
        .filter(code::Column::UsedAt.is_null())
        .order_by_desc(code::Column::Id)
        .limit(OPEN)
        .lock_exclusive();
    let mut unused = unused.all(&tx.db).await?;
    unused.retain(|code| code.user_id == request.user_id);
    Ok(unused)
}
