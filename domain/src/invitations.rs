//! Invitations: links by which others come into a conversation.
//!
//! 1. The code of a link is 128 random bits. It is shown once, to whoever makes it, and kept as its
//!    hash: who reads the database, or the list of invitations, cannot come in by it. A plain hash
//!    does, because nobody can try that many codes.
//! 2. A link is good for as long as whoever made it may make it: with their membership, or their role,
//!    what they made by it ends.
//! 3. By the link of an owner or admin one comes in, also where others ask to join: it is their
//!    approval. By that of a member one asks then.
//! 4. Uses are counted under the lock of the conversation, with what they lead to.

mod accepting;
mod list;

use std::sync::Arc;

use backchannel_entities::{ConversationId, InvitationId, Timestamp, UserId, invitation};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, EntityTrait, PaginatorTrait as _, QueryFilter, Set,
};
use sha2::{Digest as _, Sha256};

use crate::access::Membership;
use crate::bots::Scope;
use crate::clock::{new_id, random_bytes};
use crate::cx::Tx;
use crate::members::Role;
use crate::rates::{self, Action};
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Error, Result, limits};

pub use backchannel_entities::invitation::Model as Invitation;

pub use self::accepting::{Preview, accept, preview};
pub use self::list::{InvitationPosition, UNSEEN, pages};

/// Random bytes of a code.
const SECRET: usize = 16;
/// Letters of a code in base64url.
const CODE: usize = 22;
/// When an invitation is over that has no end: the last day a date can be written of with four digits
/// of year.
const NEVER: Timestamp = Timestamp(253_402_300_799_000);
/// How long one is kept after it is over, in which to revoke it again is no mistake.
const KEPT: std::time::Duration = std::time::Duration::from_hours(30 * 24);

const UNKNOWN: Error = Error::NotFound("invitation");

/// When an invitation is over, if it ever is by itself.
#[must_use]
pub fn expires_at(invitation: &Invitation) -> Option<Timestamp> {
    Some(invitation.expires_at).filter(|at| *at < NEVER)
}

/// An invitation to make, checked.
pub struct NewInvitation {
    conversation_id: ConversationId,
    role: Role,
    asks_first: bool,
    max_uses: Option<i32>,
    expires_at: Option<Timestamp>,
}

impl NewInvitation {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        conversation_id: ConversationId,
        role: Role,
        max_uses: Option<i32>,
        expires_at: Option<Timestamp>,
    ) -> Result<Self> {
        if role == Role::Owner {
            return Err(Error::bad_input("role", "nobody comes in as the owner"));
        }
        let most = limits::INVITATION_USES;
        if max_uses.is_some_and(|uses| !(1..=most).contains(&uses)) {
            let message = format!("must be 1 to {most}");
            return Err(Error::bad_input("maxUses", message));
        }
        Ok(Self {
            conversation_id,
            role,
            asks_first: false,
            max_uses,
            expires_at,
        })
    }

    /// The same, by which one asks to join instead of coming in.
    ///
    /// # Errors
    /// [`Error::BadInput`] for one that makes admins: whoever is let in is a plain member.
    pub fn asking_first(self) -> Result<Self> {
        if self.role != Role::Member {
            let message = "who asks first comes in as a MEMBER";
            return Err(Error::bad_input("asksFirst", message));
        }
        Ok(Self {
            asks_first: true,
            ..self
        })
    }
}

/// Makes an invitation; answers it and its code, which nobody is shown again.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor; [`Error::Forbidden`] to one
/// who may not invite others there so; [`Error::BadInput`] for an end that is not to come;
/// [`Error::Conflict`] when very many go on already; [`Error::RateLimited`] when the actor has made too
/// many.
pub async fn create(cx: &Cx, new: NewInvitation) -> Result<(Arc<Invitation>, String)> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    let secret = random_bytes::<SECRET>();
    let code = BASE64_URL_SAFE_NO_PAD.encode(secret);
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let membership = Membership::lock(tx, actor, new.conversation_id).await?;
            membership.may_invite(new.role)?;
            let now = tx.now();
            if new.expires_at.is_some_and(|at| at <= now || at > NEVER) {
                return Err(Error::bad_input("expiresAt", "must be in the future"));
            }
            let others = invitation::Entity::find()
                .filter(invitation::Column::ConversationId.eq(new.conversation_id))
                .filter(invitation::Column::ExpiresAt.gt(now));
            if others.count(&tx.db).await? >= limits::INVITATIONS {
                return Err(Error::Conflict {
                    field: None,
                    message: "as many invitations go on as there is room for: revoke some",
                });
            }
            let row = invitation::ActiveModel {
                id: Set(InvitationId(new_id())),
                conversation_id: Set(new.conversation_id),
                inviter_id: Set(actor),
                code_hash: Set(hash(&secret)),
                role: Set(new.role),
                asks_first: Set(new.asks_first),
                max_uses: Set(new.max_uses),
                uses: Set(0),
                created_at: Set(now),
                expires_at: Set(new.expires_at.unwrap_or(NEVER)),
            };
            let made = row.insert(&tx.db).await?;
            Ok((Arc::new(made), code))
        })
    })
    .await
}

/// What is kept of a code.
fn hash(secret: &[u8]) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// What is kept of a code that somebody gives; none for what cannot be one.
fn hash_of(code: &str) -> Result<Vec<u8>> {
    let secret = Some(code).filter(|code| code.len() == CODE);
    let secret = secret.and_then(|code| BASE64_URL_SAFE_NO_PAD.decode(code).ok());
    secret.map(|secret| hash(&secret)).ok_or(UNKNOWN)
}

/// Ends an invitation. One that is over already is no change.
///
/// # Errors
/// [`Error::NotFound`] when it does not exist for the actor; [`Error::Forbidden`] to plain members for the
/// invitation of another.
pub async fn revoke(cx: &Cx, id: InvitationId) -> Result<Arc<Invitation>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Send)?;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let find = || invitation::Entity::find_by_id(id).one(&tx.db);
            let known = find().await?.ok_or(UNKNOWN)?;
            let membership = match Membership::lock(tx, actor, known.conversation_id).await {
                Err(Error::NotFound(_)) => return Err(UNKNOWN),
                membership => membership?,
            };
            membership.may_revoke(known.inviter_id)?;
            // Read again: only under the lock does it stay as it is.
            let mut known = find().await?.ok_or(UNKNOWN)?;
            let now = tx.now();
            if known.expires_at > now {
                known.expires_at = now;
                invitation::Entity::update_many()
                    .col_expr(invitation::Column::ExpiresAt, Expr::value(now))
                    .filter(invitation::Column::Id.eq(id))
                    .exec(&tx.db)
                    .await?;
            }
            Ok(Arc::new(known))
        })
    })
    .await
}

/// Ends those of one inviter by which others come in with one of these roles.
pub(crate) async fn end(
    tx: &Tx,
    id: ConversationId,
    inviter: UserId,
    roles: &[Role],
) -> Result<()> {
    use invitation::Column::{ConversationId, ExpiresAt, InviterId, Role};
    if roles.is_empty() {
        return Ok(());
    }
    let now = tx.now();
    invitation::Entity::update_many()
        .col_expr(ExpiresAt, Expr::value(now))
        .filter(ConversationId.eq(id))
        .filter(InviterId.eq(inviter))
        .filter(Role.is_in(roles.iter().copied()))
        .filter(ExpiresAt.gt(now))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// Clears away what is long over, until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing invitations away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    use invitation::Column::{ExpiresAt, Id};
    let before = cx.handles().clock.now().minus(KEPT);
    upkeep::clear_before::<invitation::Entity>(cx, Id, ExpiresAt, before).boxed()
}
