//! What may be done by whoever has a code.

use std::sync::Arc;

use backchannel_entities::user;
use sea_orm::{ActiveModelTrait as _, Set};

use crate::audit::Act;
use crate::bus::UserNotice;
use crate::couriers::Channel;
use crate::cx::Tx;
use crate::error::Unauthenticated;
use crate::identifiers::Identifier;
use crate::passwords::NewPassword;
use crate::rates::{self, Guarded};
use crate::sessions::{self, Issuer, NewSession};
use crate::users::{self, NewAccountRow, User};
use crate::{Cx, Error, Result, limits};

use super::Purpose;
use super::proving::{Proof, prove};

/// An account to make with a code.
pub struct NewAccount {
    display_name: String,
    password: Option<NewPassword>,
}

impl NewAccount {
    /// Checks it. Without a password, one signs in by codes alone.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(display_name: &str, password: Option<String>) -> Result<Self> {
        let password = password.map(|password| NewPassword::parse("password", password, &[]));
        Ok(Self {
            display_name: limits::name("displayName", display_name)?,
            password: password.transpose()?,
        })
    }
}

/// Makes an account whose e-mail address or phone number is verified, and signs it in.
///
/// # Errors
/// As for every proof ([`Error::NotFound`], [`Error::BadInput`], [`Error::Conflict`]);
/// [`Error::Conflict`] also when the address or number has an account.
pub async fn register(cx: &Cx, proof: Proof, new: NewAccount) -> Result<NewSession> {
    let NewAccount {
        display_name,
        password,
    } = new;
    rates::count_guarded(cx, Guarded::Register, None).await?;
    let password_hash = match password {
        Some(password) => Some(cx.handles().passwords.hash(password).await?),
        None => None,
    };
    let issuer = Issuer::of(cx);
    let issued = prove(cx, Purpose::Register, proof, move |tx, proved| {
        Box::pin(async move {
            let user = make(tx, proved.whom, display_name, password_hash).await?;
            issuer.open(tx, user).await
        })
    });
    issued.await?.signed_in(cx)
}

async fn make(
    tx: &mut Tx,
    whom: Identifier,
    display_name: String,
    password_hash: Option<String>,
) -> Result<Arc<User>> {
    let now = Some(tx.now());
    let (email, phone) = match whom {
        Identifier::Email(email) => (Some(email), None),
        Identifier::Phone(phone) => (None, Some(phone)),
    };
    let new = NewAccountRow {
        email_verified_at: now.filter(|_| email.is_some()),
        phone_verified_at: now.filter(|_| phone.is_some()),
        email,
        phone,
        password_hash,
        display_name,
        owner_id: None,
    };
    Ok(Arc::new(users::insert(tx, new).await?))
}

/// Signs in. Where nobody has an account there and `display_name` is given, one is made.
///
/// # Errors
/// As for every proof ([`Error::NotFound`], [`Error::BadInput`], [`Error::Conflict`]);
/// [`Error::Unauthenticated`] when there is no account and no name for one: the code is not used
/// up by that.
pub async fn sign_in(cx: &Cx, proof: Proof, display_name: Option<&str>) -> Result<NewSession> {
    let name = display_name.map(|name| limits::name("displayName", name));
    let name = name.transpose()?;
    let issuer = Issuer::of(cx);
    let issued = prove(cx, Purpose::SignIn, proof, move |tx, proved| {
        Box::pin(async move {
            let whom = proved.whom;
            match (users::lock_by_identifier(tx, &whom).await?, name) {
                (Some(user), _) => {
                    let user = verified(tx, user, &whom).await?;
                    issuer.open_one_more(tx, user).await
                }
                (None, Some(name)) => {
                    let user = make(tx, whom, name, None).await?;
                    issuer.open(tx, user).await
                }
                (None, None) => Err(Error::Unauthenticated(Unauthenticated::WrongCredentials)),
            }
        })
    });
    issued.await?.signed_in(cx)
}

/// Notes that an address or number is the user's.
///
/// Whoever made the account may have given somebody else's, and wait for them with the password
/// and an open session. So the first to verify it ends what was before.
async fn verified(tx: &mut Tx, user: User, whom: &Identifier) -> Result<Arc<User>> {
    if whom.is_verified_of(&user) {
        return Ok(Arc::new(user));
    }
    let id = user.id;
    let mut row = user::ActiveModel::from(user);
    whom.verify(&mut row, tx.now());
    row.password_hash = Set(None);
    row.stamp = Set(tx.stamp().await?);
    let user = row.update(&tx.db).await?;
    sessions::end_all(tx, id, None).await?;
    tx.tell(id, UserNotice::Settings);
    tx.audit(Act::AccountClaimed, id);
    Ok(Arc::new(user))
}

/// Attaches an e-mail address or phone number to the account that the code was asked for by, in the
/// place of the one that is there; or verifies that one. By a link this can be done by
/// somebody who is not signed in.
///
/// # Errors
/// As for every proof ([`Error::NotFound`], [`Error::BadInput`], [`Error::Conflict`]);
/// [`Error::Conflict`] also when somebody else has the address or number.
pub async fn attach(cx: &Cx, proof: Proof) -> Result<Arc<User>> {
    let user = prove(cx, Purpose::Attach, proof, move |tx, proved| {
        Box::pin(async move {
            let user_id = proved.user_id.ok_or(Error::NotFound("user"))?;
            let mut row = user::ActiveModel::from(users::lock(tx, user_id).await?);
            let which = match proved.whom.channel() {
                Channel::Email => "email",
                Channel::Sms => "phone",
            };
            proved.whom.verify(&mut row, tx.now());
            row.stamp = Set(tx.stamp().await?);
            proved.whom.write_to(&mut row);
            let user = row.update(&tx.db).await.map_err(users::taken)?;
            tx.tell(user_id, UserNotice::Settings);
            tx.audit_with(Act::IdentifierAttached, user_id, Some(which));
            Ok(Arc::new(user))
        })
    });
    user.await
}

/// Sets a new password and ends all sessions of the account.
///
/// # Errors
/// As for every proof ([`Error::NotFound`], [`Error::BadInput`], [`Error::Conflict`]);
/// [`Error::BadInput`] also for a password that is not acceptable.
pub async fn reset_password(cx: &Cx, proof: Proof, password: String) -> Result<()> {
    let password = NewPassword::parse("newPassword", password, &[])?;
    let password_hash = cx.handles().passwords.hash(password).await?;
    let reset = prove(cx, Purpose::ResetPassword, proof, move |tx, proved| {
        Box::pin(async move {
            let user = users::lock_by_identifier(tx, &proved.whom).await?;
            // Of one who has no account nobody was told a code.
            let user = user.ok_or(Error::NotFound("user"))?;
            let user_id = user.id;
            let mut row = user::ActiveModel::from(user);
            proved.whom.verify(&mut row, tx.now());
            row.password_hash = Set(Some(password_hash));
            row.stamp = Set(tx.stamp().await?);
            row.update(&tx.db).await?;
            sessions::end_all(tx, user_id, None).await?;
            tx.tell(user_id, UserNotice::Settings);
            tx.audit(Act::PasswordReset, user_id);
            Ok(())
        })
    });
    reset.await
}
