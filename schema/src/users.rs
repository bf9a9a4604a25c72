//! Users as others see them.

use std::sync::Arc;

use async_graphql::{ID, Object};
use backchannel_domain::users::User as Row;

use crate::id::Global as _;

#[derive(Clone)]
pub(crate) struct User(pub(crate) Arc<Row>);

/// A person with an account.
#[Object]
impl User {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.0.id.global()
    }

    /// The name shown to others. Not unique.
    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    /// Absolute URL of the picture, if there is one.
    async fn avatar_url(&self) -> Option<&str> {
        self.0.avatar_url.as_deref()
    }
}
