//! People with an account.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{UserId, user};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait, ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QuerySelect, Set,
};

use crate::bus::UserNotice;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::db::in_list;
use crate::error::is_unique_violation;
use crate::passwords::NewPassword;
use crate::rates::{self, Guarded};
use crate::sessions::{self, NewSession};
use crate::{Cx, Domain, Error, Result, limits, phones};

pub use backchannel_entities::user::{Audience, Model as User};

/// What identifies an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identifier {
    /// In lower case.
    Email(String),
    /// In E.164.
    Phone(String),
}

/// A registration, checked.
pub struct NewUser {
    email: Option<String>,
    phone: Option<String>,
    password: NewPassword,
    display_name: String,
}

impl Identifier {
    /// No two of them are the same text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Phone(text) => text,
        }
    }
}

impl NewUser {
    /// Checks a registration.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        domain: &Domain,
        email: Option<&str>,
        phone: Option<&str>,
        password: String,
        display_name: &str,
    ) -> Result<Self> {
        let email = email.map(parse_email).transpose()?;
        let phone = phone.map(|phone| parse_phone(domain, phone)).transpose()?;
        if email.is_none() && phone.is_none() {
            return Err(Error::bad_input(
                "email",
                "give an e-mail address, a phone number or both",
            ));
        }
        let password = NewPassword::parse(password, &[email.as_deref(), phone.as_deref()])?;
        let display_name = limits::name("displayName", display_name)?;
        Ok(Self {
            email,
            phone,
            password,
            display_name,
        })
    }
}

/// Makes an account and signs it in.
///
/// # Errors
/// [`Error::Conflict`] when the e-mail address or phone number has an account;
/// [`Error::RateLimited`] when too many were made from there, or when too many passwords wait to be
/// hashed.
pub async fn register(cx: &Cx, new: NewUser) -> Result<NewSession> {
    let NewUser {
        email,
        phone,
        password,
        display_name,
    } = new;
    rates::count_guarded(cx, Guarded::Register, None).await?;
    // Hashed before anything is looked up: a taken address costs the same as a free one.
    let password_hash = cx.handles().passwords.hash(password).await?;
    let issuer = sessions::Issuer::of(cx);
    cx.write(move |tx| {
        Box::pin(async move {
            let user = insert(tx, email, phone, password_hash, display_name).await?;
            issuer.open(tx, Arc::new(user)).await
        })
    })
    .await?
    .signed_in(cx)
}

async fn insert(
    tx: &Tx,
    email: Option<String>,
    phone: Option<String>,
    password_hash: String,
    display_name: String,
) -> Result<User> {
    let row = user::ActiveModel {
        id: Set(UserId(new_id())),
        email: Set(email),
        phone: Set(phone),
        password_hash: Set(Some(password_hash)),
        display_name: Set(display_name),
        avatar_url: Set(None),
        username: Set(None),
        bio: Set(None),
        locale: Set(None),
        date_of_birth: Set(None),
        is_onboarded: Set(false),
        created_at: Set(tx.now()),
        read_receipts: Set(true),
        email_verified_at: Set(None),
        phone_verified_at: Set(None),
        found_by_email: Set(Audience::Everyone),
        found_by_phone: Set(Audience::Everyone),
        shows_last_seen: Set(Audience::Everyone),
        shows_avatar: Set(Audience::Everyone),
        chats_from: Set(Audience::Everyone),
        stamp: Set(0),
    };
    row.insert(&tx.db).await.map_err(|error| {
        if is_unique_violation(&error) {
            let message = "an account with this e-mail address or phone number exists";
            Error::Conflict {
                field: None,
                message,
            }
        } else {
            error.into()
        }
    })
}

/// Whether there is any user at all.
///
/// # Errors
/// When the database fails.
pub async fn any(domain: &Domain) -> Result<bool> {
    Ok(user::Entity::find()
        .one(&domain.0.db.reader)
        .await?
        .is_some())
}

/// Users by id; those that do not exist are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: Vec<UserId>) -> Result<HashMap<UserId, Arc<User>>> {
    cx.signed_in()?;
    read_many(cx.read(), ids).await
}

pub(crate) async fn read_many(
    db: &impl ConnectionTrait,
    mut ids: Vec<UserId>,
) -> Result<HashMap<UserId, Arc<User>>> {
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let users = user::Entity::find()
        .filter(user::Column::Id.is_in(in_list(&ids)))
        .all(db)
        .await?;
    Ok(users
        .into_iter()
        .map(|user| (user.id, Arc::new(user)))
        .collect())
}

/// The user, locked until the end of the transaction.
pub(crate) async fn lock(tx: &Tx, id: UserId) -> Result<User> {
    let user = user::Entity::find_by_id(id).lock_exclusive();
    user.one(&tx.db).await?.ok_or(Error::NotFound("user"))
}

/// Says that what others may see of these users has changed: their profiles, or what they are to
/// each other. To be called once in a transaction; it locks the users in the order of their ids.
pub(crate) async fn touch(tx: &mut Tx, mut ids: Vec<UserId>) -> Result<()> {
    ids.sort_unstable();
    for id in ids {
        user::Entity::update_many()
            .col_expr(user::Column::Stamp, Expr::value(tx.stamp().await?))
            .filter(user::Column::Id.eq(id))
            .exec(&tx.db)
            .await?;
        tx.tell(id, UserNotice::Settings);
    }
    Ok(())
}

/// Fails with [`Error::NotFound`] unless all of these users exist.
pub(crate) async fn require_all(tx: &Tx, ids: &[UserId]) -> Result<HashMap<UserId, Arc<User>>> {
    let users = read_many(&tx.db, ids.to_vec()).await?;
    if users.len() == ids.len() {
        Ok(users)
    } else {
        Err(Error::NotFound("user"))
    }
}

/// The account behind an identifier.
pub(crate) async fn find_by_identifier(cx: &Cx, identifier: &Identifier) -> Result<Option<User>> {
    let filter = match identifier {
        Identifier::Email(email) => user::Column::Email.eq(email),
        Identifier::Phone(phone) => user::Column::Phone.eq(phone),
    };
    Ok(user::Entity::find().filter(filter).one(cx.read()).await?)
}

/// An e-mail address in the form it is kept and compared in. Whether it exists is for a
/// message sent to it to tell, so little is demanded of its form.
pub(crate) fn parse_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let well_formed = email.len() <= limits::EMAIL_BYTES
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if well_formed {
        Ok(email)
    } else {
        Err(Error::bad_input("email", "is not an e-mail address"))
    }
}

/// A phone number in the form it is kept and compared in.
pub(crate) fn parse_phone(domain: &Domain, phone: &str) -> Result<String> {
    phones::parse("phone", phone, domain.0.settings.default_region)
}
