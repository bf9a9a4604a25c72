//! The signed-in user's own view.

use std::sync::Arc;

use async_graphql::{Context, Object};
use backchannel_domain::ConversationId;
use backchannel_domain::conversations::{self, ActivityPosition};
use backchannel_domain::page::End;

use crate::connection::{
    Connection, List, RawPageArgs, edges, page_cost, parse_time_cursor, time_cursor,
};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::scope::Scope;
use crate::users::User;

pub(crate) struct Viewer(pub(crate) Scope);

/// The signed-in user, and what only that user sees.
#[Object]
impl Viewer {
    /// The user as others see them.
    async fn user(&self) -> Result<User> {
        Ok(User(Arc::clone(&self.0.cx().signed_in()?.user)))
    }

    /// The viewer's conversations, most recently active first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn conversations(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Conversation>> {
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (last_active_at, id) = parse_time_cursor(List::Conversations, cursor)?;
            Some(ActivityPosition {
                last_active_at,
                id: ConversationId(id),
            })
        })?
        .check(End::Start)?;
        let page = conversations::list(self.0.cx(), &request).await?;
        let cursor = |row: &conversations::Conversation| {
            let position = ActivityPosition::of(row);
            time_cursor(List::Conversations, position.last_active_at, position.id.0)
        };
        let (edges, nodes, page_info) = edges(&page, cursor, |row| {
            Conversation::new(&self.0, Arc::new(row.clone()))
        });
        Ok(Connection {
            edges,
            nodes,
            page_info,
        })
    }
}

#[derive(Default)]
pub(crate) struct ViewerQuery;

#[Object]
impl ViewerQuery {
    /// The signed-in user; UNAUTHENTICATED without a valid access token.
    async fn viewer(&self, ctx: &Context<'_>) -> Result<Viewer> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        Ok(Viewer(scope.clone()))
    }
}
