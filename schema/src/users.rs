//! Users as others see them.

use std::sync::Arc;

use async_graphql::{ID, Object};
use backchannel_domain::users::User as Row;

use crate::error::Result;
use crate::id::Global as _;
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

    /// Absolute URL of the picture, if there is one.
    async fn avatar_url(&self) -> Option<&str> {
        self.row.avatar_url.as_deref()
    }

    /// Whether the user is there. `presenceChanged` tells when that changes.
    async fn presence(&self) -> Result<Presence> {
        Ok(self.scope.loaders().presence(self.row.id).await?.into())
    }
}
