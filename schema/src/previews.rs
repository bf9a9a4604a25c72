//! What those may see of a conversation who are not in it, but were invited, or ask to join.

use std::sync::Arc;

use async_graphql::{ID, Object};
use backchannel_domain::conversations::Conversation as Row;

use crate::conversations::ConversationKind;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::int;
use crate::scope::Scope;

pub(crate) struct ConversationPreview {
    scope: Scope,
    row: Arc<Row>,
}

impl ConversationPreview {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// What somebody may see of a conversation who is not in it, but was invited, or asks to join.
#[Object]
impl ConversationPreview {
    /// Global identifier of the conversation.
    async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// What it is.
    async fn kind(&self) -> ConversationKind {
        self.row.kind.into()
    }

    /// Title, if it has one.
    async fn title(&self) -> Option<&str> {
        self.row.title.as_deref()
    }

    /// What it is about, if anything is said.
    async fn description(&self) -> Option<&str> {
        self.row.description.as_deref()
    }

    /// Absolute URL of its picture, if it has one.
    async fn avatar_url(&self) -> Option<&str> {
        self.row.avatar_url.as_deref()
    }

    /// How many members it has.
    async fn member_count(&self) -> Result<i32> {
        let count = self.scope.loaders().member_count(self.row.id).await?;
        Ok(int(count))
    }
}
