//! What messages were before they were edited.

use std::sync::Arc;

use async_graphql::Object;
use backchannel_domain::messages::MessageEdit as Row;

use crate::content::TextEntity;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;

#[derive(Clone)]
pub(crate) struct MessageEdit {
    scope: Scope,
    row: Arc<Row>,
}

impl MessageEdit {
    pub(crate) fn new(scope: &Scope, row: &Row) -> Self {
        Self {
            scope: scope.clone(),
            row: Arc::new(row.clone()),
        }
    }
}

/// What a message was before it was edited.
#[Object]
impl MessageEdit {
    /// Position of the edit that replaced it.
    async fn seq(&self) -> i32 {
        int(self.row.seq)
    }

    /// The text then.
    async fn text(&self) -> Option<&str> {
        self.row.text.as_deref()
    }

    /// What stretches of it were.
    async fn entities(&self) -> Vec<TextEntity> {
        let entities = self.row.content.entities.iter();
        entities
            .map(|entity| TextEntity::new(&self.scope, entity))
            .collect()
    }

    /// When it was written.
    async fn written_at(&self) -> DateTime {
        self.row.written_at.into()
    }
}
