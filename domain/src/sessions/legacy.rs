//! Tokens of the servers that came before: the first sight of one opens its session.
//!
//! Such a token names no session of ours, and cannot be taken back by whoever made it. So each
//! gets one, whose id is made of the token itself: it is found again without being looked up,
//! on every node, and ending it ends the token. Its row stays as long as the token is good.

use std::sync::Arc;

use backchannel_entities::{legacy_user, session};
use sea_orm::EntityTrait;

use crate::client::Client;
use crate::error::Unauthenticated;
use crate::tokens::AccessToken;
use crate::{Domain, Error, Result};

use super::{Issuer, ends};

/// Opens the session of a token that has none, if its user came along.
pub(super) async fn open(
    domain: &Domain,
    token: &AccessToken,
    legacy_id: &str,
    client: &Arc<Client>,
) -> Result<()> {
    let user_id = legacy_user::Entity::find_by_id(legacy_id)
        .one(&domain.0.db.reader)
        .await?
        .ok_or(Error::Unauthenticated(Unauthenticated::InvalidToken))?
        .user_id;
    let cx = domain
        .anonymous(Unauthenticated::NoToken)
        .asked_by(Arc::clone(client));
    let issuer = Issuer::of(&cx);
    let (id, expires_at) = (token.session_id, token.expires_at);
    cx.write(move |tx| {
        Box::pin(async move {
            ends::take_turn(tx, user_id).await?;
            // Somebody may have been quicker.
            if session::Entity::find_by_id(id).one(&tx.db).await?.is_some() {
                return Ok(());
            }
            ends::make_room(tx, user_id, issuer.most).await?;
            issuer.insert(tx, (id, user_id), expires_at).await
        })
    })
    .await
}
