//! Reactions to messages.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::MessageId;
use backchannel_domain::messages::Message as MessageRow;
use backchannel_domain::reactions::{self, NewReaction};

use crate::connection::{Connection, List, RawPageArgs, page_cost};
use crate::error::Result;
use crate::id::Global as _;
use crate::messages::Message;
use crate::scalars::int;
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::tallies::{parse_page, users};
use crate::users::User;

/// Most different reactions to a message, for the complexity limit.
pub(crate) const MOST: usize = reactions::OF_MESSAGE;

pub(crate) struct Reaction {
    scope: Scope,
    message_id: MessageId,
    emoji: String,
    count: i64,
}

/// An emoji that users have reacted to a message with.
#[Object]
impl Reaction {
    /// Which.
    async fn emoji(&self) -> &str {
        &self.emoji
    }

    /// How many have; at least one.
    async fn count(&self) -> i32 {
        int(self.count)
    }

    /// Whether the viewer has. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn viewer_reacted(&self) -> Result<bool> {
        let own = self.scope.loaders().own_reactions(self.message_id).await?;
        Ok(own.contains(&self.emoji))
    }

    /// Who has, the first one first.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn users(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<User>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let request = parse_page(List::Reactions, args)?;
        let key = (self.message_id, self.emoji.clone());
        let page = self.scope.loaders().reaction_page(key, request).await?;
        users(&self.scope, List::Reactions, &page).await
    }
}

/// The reactions to a message.
pub(crate) async fn of_message(scope: &Scope, row: &MessageRow) -> Result<Vec<Reaction>> {
    let details = scope.loaders().details(row).await?;
    let counts = details.iter().flat_map(|details| &details.reactions.0);
    let reactions = counts.map(|counted| Reaction {
        scope: scope.clone(),
        message_id: row.id,
        emoji: counted.emoji.clone(),
        count: counted.count,
    });
    Ok(reactions.collect())
}

/// How to react to a message.
#[derive(InputObject)]
struct AddReactionInput {
    /// Which message.
    message_id: ID,
    /// One emoji, at most 64 bytes.
    emoji: String,
}

/// The answer to `addReaction`.
#[derive(SimpleObject)]
struct AddReactionPayload {
    /// The message with its reactions.
    message: Message,
}

/// Which reaction to take back.
#[derive(InputObject)]
struct RemoveReactionInput {
    /// Of which message.
    message_id: ID,
    /// One emoji, at most 64 bytes.
    emoji: String,
}

/// The answer to `removeReaction`.
#[derive(SimpleObject)]
struct RemoveReactionPayload {
    /// The message with its reactions.
    message: Message,
}

#[derive(Default)]
pub(crate) struct ReactionsMutation;

#[Object]
impl ReactionsMutation {
    /// Reacts to a message; to do so again changes nothing, so it can be retried. Any member may,
    /// unless the conversation is archived or its settings say no. A user reacts to a message with 5
    /// emoji at most, all together with 20: CONFLICT. What many do within a short while is one
    /// MessageReactionsChanged event.
    async fn add_reaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "To which message, and how.")] input: AddReactionInput,
    ) -> Result<AddReactionPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let new = NewReaction::parse(MessageId::parse(&input.message_id)?, &input.emoji)?;
        let row = reactions::add(scope.cx(), new).await?;
        Ok(AddReactionPayload {
            message: Message::new(scope, row),
        })
    }

    /// Takes a reaction back, also where none can be added any more. One that is not there changes
    /// nothing.
    async fn remove_reaction(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which message, and which.")] input: RemoveReactionInput,
    ) -> Result<RemoveReactionPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let new = NewReaction::parse(MessageId::parse(&input.message_id)?, &input.emoji)?;
        let row = reactions::remove(scope.cx(), new).await?;
        Ok(RemoveReactionPayload {
            message: Message::new(scope, row),
        })
    }
}
