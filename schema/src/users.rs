//! Users as others see them.

use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::{ContextSelectionSet, ID, Object};
use backchannel_domain::UserId;
use backchannel_domain::messages::Sender;
use backchannel_domain::users::User as Row;

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

    /// Absolute URL of the picture, if there is one.
    async fn avatar_url(&self) -> Option<&str> {
        self.row.avatar_url.as_deref()
    }

    /// Whether the user is there. `presenceChanged` tells when that changes.
    async fn presence(&self) -> Result<Presence> {
        Ok(self.scope.loaders().presence(self.row.id).await?.into())
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
