//! Whom users know: added one by one, or found by the numbers of an address book ([`mod@sync`]).
//!
//! What a user is to another by this decides what that one sees of them ([`crate::ties`]), so
//! whatever adds or removes a contact touches its owner.

mod book;
mod sync;

use backchannel_entities::{UserId, contact, user};
use sea_orm::sea_query::{OnConflict, Order};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, Condition, EntityTrait as _, PaginatorTrait as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Set,
};

use crate::cx::Tx;
use crate::page::{End, Page, PageRequest};
use crate::users::User;
use crate::{Cx, Error, Result, directory, limits, users};

pub use self::book::Entry;
pub use self::sync::{Match, Synced, sync};
pub use backchannel_entities::contact::Model as Contact;

/// Where a contact stands in the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The name, folded.
    pub sort_key: String,
    /// Tells apart those who have the same.
    pub id: UserId,
}

impl Place {
    /// The place of `contact`.
    #[must_use]
    pub fn of(contact: &Contact) -> Self {
        Self {
            sort_key: contact.sort_key.clone(),
            id: contact.contact_id,
        }
    }
}

/// Which contacts a list has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Those that are not hidden.
    Shown,
    /// All.
    All,
}

/// The actor's contacts, by name.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn list(cx: &Cx, which: Which, request: &PageRequest<Place>) -> Result<Page<Contact>> {
    use contact::Column::{ContactId, IsHidden, SortKey, UserId};
    let actor = cx.signed_in()?.user.id;
    let mut select = contact::Entity::find().filter(UserId.eq(actor));
    if which == Which::Shown {
        select = select.filter(IsHidden.eq(false));
    }
    if let Some(Place { sort_key, id }) = &request.after {
        let tie = Condition::all()
            .add(SortKey.eq(sort_key))
            .add(ContactId.gt(*id));
        select = select.filter(Condition::any().add(SortKey.gt(sort_key)).add(tie));
    }
    if let Some(Place { sort_key, id }) = &request.before {
        let tie = Condition::all()
            .add(SortKey.eq(sort_key))
            .add(ContactId.lt(*id));
        select = select.filter(Condition::any().add(SortKey.lt(sort_key)).add(tie));
    }
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    let rows = select
        .order_by(SortKey, order.clone())
        .order_by(ContactId, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}

/// Adds a user to the actor's contacts, under a name of the actor's own if there is one. Who is
/// among them already gets that name, and stays as they are without.
///
/// # Errors
/// [`Error::NotFound`] when there is no such user; [`Error::BadInput`] for the actor, and for a name
/// that is not acceptable; [`Error::Conflict`] when there are too many.
pub async fn add(cx: &Cx, id: UserId, name: Option<&str>) -> Result<Contact> {
    let actor = cx.signed_in()?.user.id;
    if id == actor {
        return Err(Error::bad_input("userId", "is the viewer"));
    }
    let name = name.map(|name| limits::name("name", name)).transpose()?;
    cx.write(move |tx| {
        Box::pin(async move {
            let user = find_user(tx, id).await?;
            let row = contact::ActiveModel {
                user_id: Set(actor),
                contact_id: Set(id),
                created_at: Set(tx.now()),
                sort_key: Set(sort_key(name.as_deref(), &user)),
                is_hidden: Set(false),
                name: Set(name.clone()),
            };
            let key = [contact::Column::UserId, contact::Column::ContactId];
            let mut there = OnConflict::columns(key);
            match name {
                Some(_) => {
                    there.update_columns([contact::Column::Name, contact::Column::SortKey]);
                }
                None => {
                    there.do_nothing();
                }
            }
            contact::Entity::insert(row)
                .on_conflict(there)
                .exec_without_returning(&tx.db)
                .await?;
            users::touch(tx, vec![actor]).await?;
            leave_space(tx, actor).await?;
            get(tx, actor, id).await
        })
    })
    .await
}

/// Takes a user out of the actor's contacts.
///
/// # Errors
/// [`Error::NotFound`] for who is not among them.
pub async fn remove(cx: &Cx, id: UserId) -> Result<()> {
    let actor = cx.signed_in()?.user.id;
    cx.write(move |tx| {
        Box::pin(async move {
            let removed = contact::Entity::delete_by_id((actor, id));
            if removed.exec(&tx.db).await?.rows_affected == 0 {
                return Err(NO_CONTACT);
            }
            users::touch(tx, vec![actor]).await
        })
    })
    .await
}

/// Gives a contact another name, or none; hides it, or shows it again. None leaves a thing as it
/// is.
///
/// # Errors
/// [`Error::NotFound`] for who is not among the actor's contacts; [`Error::BadInput`] for a name
/// that is not acceptable.
pub async fn update(
    cx: &Cx,
    id: UserId,
    name: Option<Option<String>>,
    is_hidden: Option<bool>,
) -> Result<Contact> {
    let actor = cx.signed_in()?.user.id;
    let name = match name {
        Some(Some(name)) => Some(Some(limits::name("name", &name)?)),
        Some(None) => Some(None),
        None => None,
    };
    cx.write(move |tx| {
        Box::pin(async move {
            let before = get(tx, actor, id).await?;
            let user = find_user(tx, id).await?;
            let mut row = contact::ActiveModel::from(before.clone());
            if let Some(name) = name {
                row.sort_key = Set(sort_key(name.as_deref(), &user));
                row.name = Set(name);
            }
            if let Some(is_hidden) = is_hidden {
                row.is_hidden = Set(is_hidden);
            }
            if !row.is_changed() {
                return Ok(before);
            }
            Ok(row.update(&tx.db).await?)
        })
    })
    .await
}

const NO_CONTACT: Error = Error::NotFound("contact");

async fn get(tx: &Tx, actor: UserId, id: UserId) -> Result<Contact> {
    let found = contact::Entity::find_by_id((actor, id));
    found.one(&tx.db).await?.ok_or(NO_CONTACT)
}

async fn find_user(tx: &Tx, id: UserId) -> Result<User> {
    let found = user::Entity::find_by_id(id).one(&tx.db).await?;
    found.ok_or(Error::NotFound("user"))
}

/// By what a contact is sorted: the name that the owner gives it, else the one it has at the time.
fn sort_key(name: Option<&str>, user: &User) -> String {
    directory::key(name.unwrap_or(&user.display_name))
}

/// Fails when the actor, whose row is locked, has too many contacts.
async fn leave_space(tx: &Tx, actor: UserId) -> Result<()> {
    let all = contact::Entity::find().filter(contact::Column::UserId.eq(actor));
    if all.count(&tx.db).await? > limits::CONTACTS {
        let message = "there is no room for more contacts";
        return Err(Error::Conflict {
            field: None,
            message,
        });
    }
    Ok(())
}
