//! People with an account.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{Timestamp, UserId, user};
use sea_orm::sea_query::{Expr, LockType};
use sea_orm::{
    ActiveModelTrait, ColumnTrait, Condition, ConnectionTrait, DbErr, EntityTrait, QueryFilter,
    QueryOrder, QuerySelect, Select, Set,
};

use crate::audit::Act;
use crate::bus::UserNotice;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::db::in_list;
use crate::error::is_unique_violation;
use crate::identifiers::{self, Identifier};
use crate::passwords::NewPassword;
use crate::rates::{self, Guarded};
use crate::sessions::{self, NewSession};
use crate::{Cx, Domain, Error, Result, directory, limits};

pub use backchannel_entities::user::{Audience, Model as User};

/// An account to be.
pub(crate) struct NewAccountRow {
    pub(crate) email: Option<String>,
    pub(crate) email_verified_at: Option<Timestamp>,
    pub(crate) phone: Option<String>,
    pub(crate) phone_verified_at: Option<Timestamp>,
    pub(crate) password_hash: Option<String>,
    pub(crate) display_name: String,
    /// Whose bot it is to be.
    pub(crate) owner_id: Option<UserId>,
}

/// A registration, checked.
pub struct NewUser {
    email: Option<String>,
    phone: Option<String>,
    password: NewPassword,
    display_name: String,
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
        let email = email.map(identifiers::parse_email).transpose()?;
        let phone = phone
            .map(|phone| identifiers::parse_phone(domain, phone))
            .transpose()?;
        if email.is_none() && phone.is_none() {
            return Err(Error::bad_input(
                "email",
                "give an e-mail address, a phone number or both",
            ));
        }
        let password =
            NewPassword::parse("password", password, &[email.as_deref(), phone.as_deref()])?;
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
            let new = NewAccountRow {
                email,
                email_verified_at: None,
                phone,
                phone_verified_at: None,
                password_hash: Some(password_hash),
                display_name,
                owner_id: None,
            };
            let user = insert(tx, new).await?;
            issuer.open(tx, Arc::new(user)).await
        })
    })
    .await?
    .signed_in(cx)
}

/// A change of password, checked.
pub struct PasswordChange {
    current: String,
    new: NewPassword,
}

impl PasswordChange {
    /// Checks it. One who has no password yet gives an empty one as the current.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a new password that is not acceptable.
    pub fn parse(current: Option<String>, new: String) -> Result<Self> {
        Ok(Self {
            current: current.unwrap_or_default(),
            new: NewPassword::parse("newPassword", new, &[])?,
        })
    }
}

/// Sets another password for the actor, or a first one, and ends the actor's other sessions; answers
/// how many went on until then.
///
/// # Errors
/// [`Error::BadInput`] when the current password is another one; [`Error::RateLimited`] when too many
/// were wrong lately, or too many wait to be hashed.
pub async fn change_password(cx: &Cx, change: PasswordChange) -> Result<u64> {
    let signed_in = cx.signed_in()?;
    let (id, own) = (signed_in.user.id, signed_in.session_id);
    let PasswordChange { current, new } = change;
    let identifier = id.to_string();
    let attempt = rates::count_guarded(cx, Guarded::WrongPassword, Some(&identifier)).await?;
    let passwords = &cx.handles().passwords;
    // Not as it is known to the session, which may have been read a while ago.
    let known = read_many(cx.read(), vec![id]).await?.remove(&id);
    let known = known.and_then(|user| user.password_hash.clone());
    if let Some(known) = known.clone() {
        match passwords.verify(current, Some(known)).await {
            Ok(true) => {}
            Ok(false) => {
                let message = "is not the password of this account";
                return Err(Error::bad_input("currentPassword", message));
            }
            Err(error) => {
                // It was not even looked at.
                attempt.undo(cx).await?;
                return Err(error);
            }
        }
    }
    let new = passwords.hash(new).await?;
    cx.write(move |tx| {
        Box::pin(async move {
            let user = lock(tx, id).await?;
            if user.password_hash != known {
                let message = "the password was changed just now";
                return Err(Error::Conflict {
                    field: None,
                    message,
                });
            }
            attempt.give_back(tx).await?;
            let mut row = user::ActiveModel::from(user);
            row.password_hash = Set(Some(new));
            row.stamp = Set(tx.stamp().await?);
            row.update(&tx.db).await?;
            tx.tell(id, UserNotice::Settings);
            tx.audit(Act::PasswordChanged, id);
            sessions::end_all(tx, id, Some(own)).await
        })
    })
    .await
}

/// Makes an account.
///
/// # Errors
/// [`Error::Conflict`] when the e-mail address or phone number has one.
pub(crate) async fn insert(tx: &mut Tx, new: NewAccountRow) -> Result<User> {
    let NewAccountRow {
        email,
        email_verified_at,
        phone,
        phone_verified_at,
        password_hash,
        display_name,
        owner_id,
    } = new;
    let row = user::ActiveModel {
        id: Set(UserId(new_id())),
        email: Set(email),
        phone: Set(phone),
        password_hash: Set(password_hash),
        display_name: Set(display_name),
        avatar_url: Set(None),
        username: Set(None),
        bio: Set(None),
        locale: Set(None),
        date_of_birth: Set(None),
        is_onboarded: Set(false),
        created_at: Set(tx.now()),
        read_receipts: Set(true),
        email_verified_at: Set(email_verified_at),
        phone_verified_at: Set(phone_verified_at),
        found_by_email: Set(Audience::Everyone),
        found_by_phone: Set(Audience::Everyone),
        shows_last_seen: Set(Audience::Everyone),
        shows_avatar: Set(Audience::Everyone),
        chats_from: Set(Audience::Everyone),
        owner_id: Set(owner_id),
        is_operator: Set(false),
        is_selective: Set(false),
        is_listed: Set(true),
        stamp: Set(0),
    };
    let user = row.insert(&tx.db).await.map_err(taken)?;
    directory::list(tx, &[&user]).await?;
    tx.audit(Act::Registered, user.id);
    Ok(user)
}

/// What it means that a user's row cannot be written.
pub(crate) fn taken(error: DbErr) -> Error {
    if is_unique_violation(&error) {
        Error::Conflict {
            field: None,
            message: "an account with this e-mail address or phone number exists",
        }
    } else {
        error.into()
    }
}

/// Whether there is anybody at all. The owner of the room `general` is there from the start, and is
/// nobody: no address leads to it.
///
/// # Errors
/// When the database fails.
pub async fn any(domain: &Domain) -> Result<bool> {
    let has_address = Condition::any()
        .add(user::Column::Email.is_not_null())
        .add(user::Column::Phone.is_not_null());
    Ok(user::Entity::find()
        .filter(has_address)
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

/// The user, locked until the end of the transaction: not so that others could not refer to the
/// user meanwhile, which two who add each other do at once.
pub(crate) async fn lock(tx: &Tx, id: UserId) -> Result<User> {
    let user = user::Entity::find_by_id(id).lock(LockType::NoKeyUpdate);
    user.one(&tx.db).await?.ok_or(Error::NotFound("user"))
}

/// Says that what others may see of these users has changed: their profiles, or what they are to
/// each other. To be called once in a transaction; it locks the users in the order of their ids.
pub(crate) async fn touch(tx: &mut Tx, mut ids: Vec<UserId>) -> Result<()> {
    ids.sort_unstable();
    // In a statement before: that which waits for a lock sees what was before it waited.
    user::Entity::find()
        .select_only()
        .column(user::Column::Id)
        .filter(user::Column::Id.is_in(in_list(&ids)))
        .order_by_asc(user::Column::Id)
        .lock(LockType::NoKeyUpdate)
        .into_tuple::<UserId>()
        .all(&tx.db)
        .await?;
    for id in ids {
        user::Entity::update_many()
            .col_expr(user::Column::Stamp, Expr::value(tx.stamp().await?))
            .col_expr(user::Column::IsSelective, Expr::cust(IS_SELECTIVE))
            .filter(user::Column::Id.eq(id))
            .exec(&tx.db)
            .await?;
        tx.tell(id, UserNotice::Settings);
    }
    Ok(())
}

/// Whether what others see of a user depends on who they are.
const IS_SELECTIVE: &str = r#"("shows_avatar" <> 'everyone' OR "shows_last_seen" <> 'everyone'
OR EXISTS (SELECT 1 FROM "blocks" b WHERE b."user_id" = "users"."id")
OR EXISTS (SELECT 1 FROM "blocks" b WHERE b."blocked_id" = "users"."id"))"#;

/// Whether a user can be brought into anything: not the one that owns what is there from the start.
pub(crate) fn is_somebody(user: &User) -> bool {
    user.email.is_some() || user.phone.is_some() || user.owner_id.is_some()
}

/// Fails with [`Error::NotFound`] unless all of these users exist, and are somebody.
pub(crate) async fn require_all(tx: &Tx, ids: &[UserId]) -> Result<HashMap<UserId, Arc<User>>> {
    let users = read_many(&tx.db, ids.to_vec()).await?;
    if users.len() == ids.len() && users.values().all(|user| is_somebody(user)) {
        Ok(users)
    } else {
        Err(Error::NotFound("user"))
    }
}

/// The account behind an identifier.
pub(crate) async fn find_by_identifier(cx: &Cx, identifier: &Identifier) -> Result<Option<User>> {
    Ok(select_by_identifier(identifier).one(cx.read()).await?)
}

/// The account behind an identifier, locked until the end of the transaction.
pub(crate) async fn lock_by_identifier(tx: &Tx, identifier: &Identifier) -> Result<Option<User>> {
    let select = select_by_identifier(identifier).lock_exclusive();
    Ok(select.one(&tx.db).await?)
}

fn select_by_identifier(identifier: &Identifier) -> Select<user::Entity> {
    user::Entity::find().filter(match identifier {
        Identifier::Email(email) => user::Column::Email.eq(email),
        Identifier::Phone(phone) => user::Column::Phone.eq(phone),
    })
}
