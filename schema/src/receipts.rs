//! How far the viewer has come in a conversation.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::ConversationId;
use backchannel_domain::receipts::{self, Mark};

use crate::error::Result;
use crate::id::Global as _;
use crate::members::Member;
use crate::scope::Scope;

/// A position reached.
#[derive(InputObject)]
struct MarkInput {
    /// Where.
    conversation_id: ID,
    /// Everything up to and including this position.
    seq: i32,
}

/// The answer to `markDelivered` and `markRead`.
#[derive(SimpleObject)]
struct MarkPayload {
    /// The viewer's own membership.
    member: Member,
}

#[derive(Default)]
pub(crate) struct ReceiptsMutation;

#[Object]
impl ReceiptsMutation {
    /// Says that everything up to a position has reached this device. Positions only ever
    /// move forward: a smaller seq is a no-op, one past lastSeq is BAD_USER_INPUT.
    async fn mark_delivered(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and how far.")] input: MarkInput,
    ) -> Result<MarkPayload> {
        mark(Scope::of(ctx), input, Mark::Delivered).await
    }

    /// Says that everything up to a position has been read, and so delivered. Positions
    /// only ever move forward: a smaller seq is a no-op, one past lastSeq is BAD_USER_INPUT.
    async fn mark_read(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and how far.")] input: MarkInput,
    ) -> Result<MarkPayload> {
        mark(Scope::of(ctx), input, Mark::Read).await
    }
}

async fn mark(scope: &Scope, input: MarkInput, mark: Mark) -> Result<MarkPayload> {
    scope.cx().signed_in()?;
    let id = ConversationId::parse(&input.conversation_id)?;
    let row = receipts::mark(scope.cx(), id, input.seq.into(), mark).await?;
    Ok(MarkPayload {
        member: Member::new(scope, row),
    })
}
