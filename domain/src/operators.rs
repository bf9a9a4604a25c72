//! Those who run the server, as far as they are users. Whoever has the server's configuration makes
//! them; nobody else can.

use std::sync::Arc;

use backchannel_entities::user;
use sea_orm::{ActiveModelTrait as _, Set};

use crate::audit::Act;
use crate::bus::UserNotice;
use crate::error::Unauthenticated;
use crate::identifiers::Identifier;
use crate::sessions::SignedIn;
use crate::users;
use crate::{Cx, Domain, Error, Result};

impl Cx {
    /// The actor, who is an operator.
    ///
    /// # Errors
    /// [`Error::Forbidden`] for anyone else.
    pub fn operator(&self) -> Result<&Arc<SignedIn>> {
        let signed_in = self.signed_in()?;
        if signed_in.user.is_operator {
            Ok(signed_in)
        } else {
            Err(Error::Forbidden("only operators may do this"))
        }
    }
}

/// Makes the user with this e-mail address or phone number an operator, or one no longer. It is felt
/// within a second.
///
/// # Errors
/// [`Error::NotFound`] for nobody; [`Error::BadInput`] for what is neither.
pub async fn set(domain: &Domain, who: &str, is_operator: bool) -> Result<()> {
    let (email, phone) = if who.contains('@') {
        (Some(who), None)
    } else {
        (None, Some(who))
    };
    let who = Identifier::parse(domain, email, phone)?;
    let cx = domain.anonymous(Unauthenticated::NoToken);
    cx.write(move |tx| {
        Box::pin(async move {
            let user = users::lock_by_identifier(tx, &who).await?;
            let user = user.ok_or(Error::NotFound("user"))?;
            if user.is_operator == is_operator {
                return Ok(());
            }
            let id = user.id;
            let mut row = user::ActiveModel::from(user);
            row.is_operator = Set(is_operator);
            row.stamp = Set(tx.stamp().await?);
            row.update(&tx.db).await?;
            tx.tell(id, UserNotice::Settings);
            let act = if is_operator {
                Act::OperatorGranted
            } else {
                Act::OperatorRevoked
            };
            tx.audit(act, id);
            Ok(())
        })
    })
    .await
}
