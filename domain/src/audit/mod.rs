//! What was done that bears on security: who, to whose account, from where. Entries are added and
//! never changed.
//!
//! 1. Use cases note acts in their transactions ([`Tx::audit`]). An act is done and noted, or
//!    neither.
//! 2. Just before the commit, [`chain`] gives the entries their places and hashes: each is made of the
//!    entry and the hash of the one before, so that none can be changed, left out or put
//!    between without all that follow.
//! 3. Whoever has all entries can do that again. So [`verify`] finds what was changed;
//!    and, by a hash that was written down elsewhere, what was cut off.
//! 4. Entries name accounts by their ids alone, no addresses, numbers or texts, and refer to
//!    nothing: who is forgotten is forgotten here too.

mod chain;
mod verifying;

use backchannel_entities::audit_entry::{self, Column};
use backchannel_entities::{SessionId, UserId};
use sea_orm::sea_query::Order;
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::cx::Tx;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Result};

pub(crate) use self::chain::append;
pub use self::verifying::{Verdict, verify};
pub use backchannel_entities::audit_entry::{Act, Model as Entry};

/// Who acts, as far as entries tell.
#[derive(Clone, Debug, Default)]
pub(crate) struct By {
    actor_id: Option<UserId>,
    session_id: Option<SessionId>,
    address: Option<String>,
}

impl By {
    pub(crate) fn of(cx: &Cx) -> Self {
        let signed_in = cx.signed_in().ok();
        Self {
            actor_id: signed_in.map(|signed_in| signed_in.user.id),
            session_id: signed_in.map(|signed_in| signed_in.session_id),
            address: cx.client().address.map(|address| address.to_string()),
        }
    }
}

/// An act that was noted and has no place yet.
pub(crate) struct Noted {
    act: Act,
    subject_id: Option<UserId>,
    detail: Option<&'static str>,
}

impl Tx {
    /// Notes an act of whoever acts, on somebody's account.
    pub(crate) fn audit(&mut self, act: Act, subject_id: impl Into<Option<UserId>>) {
        self.audit_with(act, subject_id, None);
    }

    /// [`Tx::audit`], with a word more. It must name nobody.
    pub(crate) fn audit_with(
        &mut self,
        act: Act,
        subject_id: impl Into<Option<UserId>>,
        detail: Option<&'static str>,
    ) {
        self.noted.push(Noted {
            act,
            subject_id: subject_id.into(),
            detail,
        });
    }
}

/// Which entries to list.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    /// Of one kind.
    pub act: Option<Act>,
    /// Of acts by one user.
    pub actor_id: Option<UserId>,
    /// Of acts on one user's account.
    pub subject_id: Option<UserId>,
}

/// Entries, the newest first.
///
/// # Errors
/// [`crate::Error::Forbidden`] to anyone but operators.
pub async fn list(cx: &Cx, filter: Filter, request: &PageRequest<i64>) -> Result<Page<Entry>> {
    cx.operator()?;
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let Filter {
        act,
        actor_id,
        subject_id,
    } = filter;
    let mut select = audit_entry::Entity::find();
    if let Some(act) = act {
        select = select.filter(Column::Act.eq(act));
    }
    if let Some(id) = actor_id {
        select = select.filter(Column::ActorId.eq(id));
    }
    if let Some(id) = subject_id {
        select = select.filter(Column::SubjectId.eq(id));
    }
    if let Some(after) = request.after {
        select = select.filter(Column::Seq.lt(after));
    }
    let rows = select
        .filter(Column::Seq.gt(request.before.unwrap_or(0)))
        .order_by(Column::Seq, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}
