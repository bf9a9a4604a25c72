//! Whom the viewer knows.

use async_graphql::{Context, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use backchannel_domain::UserId;
use backchannel_domain::contacts::{self, Contact as Row, Entry, Match};

use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::users::User;

#[derive(Clone)]
pub(crate) struct Contact {
    scope: Scope,
    row: Row,
}

impl Contact {
    pub(crate) fn new(scope: &Scope, row: Row) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// Somebody whom the viewer knows. Nobody else sees that, not even they.
#[Object]
impl Contact {
    /// Who it is.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.contact_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// What the viewer calls them, if anything of their own.
    async fn name(&self) -> Option<&str> {
        self.row.name.as_deref()
    }

    /// Whether the viewer does not wish to see them in lists.
    async fn is_hidden(&self) -> bool {
        self.row.is_hidden
    }

    /// Since when.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }
}

/// A number in the address book of a device.
#[derive(InputObject)]
struct AddressBookEntry {
    /// As it was typed. The country code can be left out for numbers of the country that the server
    /// is set up for, if it is.
    phone: String,
    /// Under which name. One that is blank or longer than 100 characters counts as none.
    name: Option<String>,
}

/// The address book of a device.
#[derive(InputObject)]
struct SyncContactsInput {
    /// Its numbers, at most 5,000.
    contacts: Vec<AddressBookEntry>,
}

/// Somebody of an address book who has an account.
#[derive(SimpleObject)]
struct ContactMatch {
    /// The number, as it was given.
    phone: String,
    /// The name, as it was given.
    name: Option<String>,
    /// Whose number it is.
    user: User,
}

/// The answer to `syncContacts`.
#[derive(SimpleObject)]
struct SyncContactsPayload {
    /// Those who have an account and wish to be found by their number, in the order of the address
    /// book. The viewer is not among them.
    matches: Vec<ContactMatch>,
    /// How many different numbers were looked for.
    number_count: i32,
    /// How many entries were left out, because no number could be read.
    unreadable_count: i32,
}

/// Whom to add.
#[derive(InputObject)]
struct AddContactInput {
    /// Who it is.
    user_id: ID,
    /// What the viewer calls them, 1 to 100 characters.
    name: Option<String>,
}

/// The answer to `addContact`.
#[derive(SimpleObject)]
struct AddContactPayload {
    /// The contact.
    contact: Contact,
}

/// Which contact, and what is to change. What is left out stays as it is.
#[derive(InputObject)]
struct UpdateContactInput {
    /// A contact of the viewer.
    user_id: ID,
    /// What the viewer calls them, 1 to 100 characters; null for nothing of their own.
    name: MaybeUndefined<String>,
    /// Whether the viewer does not wish to see them in lists.
    is_hidden: Option<bool>,
}

/// The answer to `updateContact`.
#[derive(SimpleObject)]
struct UpdateContactPayload {
    /// The contact, as it is now.
    contact: Contact,
}

/// Which contact to remove.
#[derive(InputObject)]
struct RemoveContactInput {
    /// A contact of the viewer.
    user_id: ID,
}

/// The answer to `removeContact`.
#[derive(SimpleObject)]
struct RemoveContactPayload {
    /// True.
    ok: bool,
}

#[derive(Default)]
pub(crate) struct ContactsMutation;

#[Object]
impl ContactsMutation {
    /// Finds whom the viewer knows by an address book: who has one of its numbers becomes a
    /// contact, under the name that the address book has. Of numbers that nobody has, nothing is
    /// kept. RATE_LIMITED by the number of numbers: 20,000 at once, then 17,280 a day.
    async fn sync_contacts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The address book.")] input: SyncContactsInput,
    ) -> Result<SyncContactsPayload> {
        let scope = Scope::of(ctx);
        let entry = |AddressBookEntry { phone, name }| Entry { phone, name };
        let entries = input.contacts.into_iter().map(entry).collect();
        let synced = contacts::sync(scope.cx(), entries).await?;
        let found = |Match { entry, user }| ContactMatch {
            phone: entry.phone,
            name: entry.name,
            user: User::new(scope, user),
        };
        Ok(SyncContactsPayload {
            number_count: count(synced.numbers),
            unreadable_count: count(synced.unreadable),
            matches: synced.matches.into_iter().map(found).collect(),
        })
    }

    /// Adds a user to the viewer's contacts. Who is among them already gets the new name, if one is
    /// given. At most 10,000; one more is CONFLICT.
    async fn add_contact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to add.")] input: AddContactInput,
    ) -> Result<AddContactPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = UserId::parse(&input.user_id)?;
        let row = contacts::add(scope.cx(), id, input.name.as_deref()).await?;
        Ok(AddContactPayload {
            contact: Contact::new(scope, row),
        })
    }

    /// Gives a contact another name, or hides it in lists. NOT_FOUND for who is no contact.
    async fn update_contact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which contact, and what is to change.")] input: UpdateContactInput,
    ) -> Result<UpdateContactPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = UserId::parse(&input.user_id)?;
        let name = match input.name {
            MaybeUndefined::Undefined => None,
            MaybeUndefined::Null => Some(None),
            MaybeUndefined::Value(name) => Some(Some(name)),
        };
        let row = contacts::update(scope.cx(), id, name, input.is_hidden).await?;
        Ok(UpdateContactPayload {
            contact: Contact::new(scope, row),
        })
    }

    /// Takes a user out of the viewer's contacts. NOT_FOUND for who is no contact.
    async fn remove_contact(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which contact.")] input: RemoveContactInput,
    ) -> Result<RemoveContactPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        contacts::remove(scope.cx(), UserId::parse(&input.user_id)?).await?;
        Ok(RemoveContactPayload { ok: true })
    }
}

fn count(number: usize) -> i32 {
    i64::try_from(number).map_or(i32::MAX, int)
}
