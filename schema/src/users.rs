//! Users as others see them.

use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::{Context, ContextSelectionSet, ID, Object};
use backchannel_domain::UserId;
use backchannel_domain::directory::{self, Place};
use backchannel_domain::messages::Sender;
use backchannel_domain::page::End;
use backchannel_domain::users::User as Row;

use crate::connection::{Connection, List, RawPageArgs, page_cost, parse_word_cursor, word_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::json::write_plain;
use crate::plain::{Plain, Plan};
use crate::presence::Presence;
use crate::scope::Scope;

#[derive(Clone)]
pub(crate) struct User {
    scope: Scope,
    row: Arc<Row>,
}

impl User {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// A person with an account.
#[Object]
impl User {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// The name shown to others. Not unique.
    async fn display_name(&self) -> &str {
        &self.row.display_name
    }

    /// A name that nobody else has, in lower case; null for whoever has chosen none.
    async fn username(&self) -> Option<&str> {
        self.row.username.as_deref()
    }

    /// Whether it is a program that takes part, and no person.
    async fn is_bot(&self) -> bool {
        self.row.owner_id.is_some()
    }

    /// What the user says about themselves, if anything.
    async fn bio(&self) -> Option<&str> {
        self.row.bio.as_deref()
    }

    /// Absolute URL of the picture, if there is one and the user shows it to the viewer.
    async fn avatar_url(&self) -> Result<Option<&str>> {
        Ok(self.scope.loaders().avatar(&self.row).await?)
    }

    /// Whether the user is there, as far as they show it to the viewer. `presenceChanged` tells
    /// when that changes.
    async fn presence(&self) -> Result<Presence> {
        Ok(self.scope.loaders().presence(self.row.id).await?.into())
    }
}

#[derive(Default)]
pub(crate) struct UsersQuery;

#[Object]
impl UsersQuery {
    /// Finds people: by the beginning of a word of their name or of their username, or by their
    /// whole e-mail address or phone number, if they wish to be found by that. Of several words, all
    /// must match; case and diacritics make no difference. The viewer is not among them, nor anybody
    /// whom a block stands between.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn users(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What to look for: 2 to 100 characters, at most 8 words.")] query: String,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<User>> {
        let scope = Scope::of(ctx);
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let request = args
            .decode(|cursor| {
                let (term, id) = parse_word_cursor(List::Users, cursor)?;
                let id = UserId(id);
                Some(Place { term, id })
            })?
            .check(End::Start)?;
        let page = directory::find(scope.cx(), &query, &request).await?;
        let cursor = |(place, _): &(Place, _)| word_cursor(List::Users, &place.term, place.id.0);
        Ok(Connection::of(&page, cursor, |(_, row)| {
            User::new(scope, Arc::clone(row))
        }))
    }
}

/// What is plain of a user.
pub(crate) enum UserField {
    Typename,
    Id,
    DisplayName,
    AvatarUrl,
}

impl Plain for UserField {
    const TYPE: &'static str = "User";

    fn of(_: &ContextSelectionSet<'_>, field: &Field) -> Option<Self> {
        match field.name.node.as_str() {
            "__typename" => Some(Self::Typename),
            "id" => Some(Self::Id),
            "displayName" => Some(Self::DisplayName),
            "avatarUrl" => Some(Self::AvatarUrl),
            _ => None,
        }
    }
}

impl Plan<UserField> {
    /// Writes the user who has sent a message.
    pub(crate) fn write_sender(&self, out: &mut Vec<u8>, id: UserId, sender: &Sender) {
        self.write(out, |out, field| match field {
            UserField::Typename => write_plain(out, UserField::TYPE),
            UserField::Id => id.write_global(out),
            UserField::DisplayName => write_plain(out, &sender.display_name),
            UserField::AvatarUrl => write_plain(out, &sender.avatar_url),
        });
    }
}
