//! How far members have come in a conversation.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::ConversationId;
use backchannel_domain::receipts::{self, Mark, ReadReceipts, Receipt as Row};
use futures_util::{Stream, StreamExt as _};

use crate::error::Result;
use crate::id::Global as _;
use crate::members::Member;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::streaming;
use crate::viewer::Viewer;

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

/// The answer to `markAllRead`.
#[derive(SimpleObject)]
struct MarkAllReadPayload {
    /// In how many conversations there was anything to mark.
    conversation_count: i32,
}

/// Whether read receipts are on.
#[derive(InputObject)]
struct SetReadReceiptsInput {
    /// Whether others shall see how far the viewer has read, and the viewer how far others
    /// have.
    enabled: bool,
}

/// The answer to `setReadReceipts`.
#[derive(SimpleObject)]
struct SetReadReceiptsPayload {
    /// The viewer, with the setting as it is now.
    viewer: Viewer,
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

    /// Says that everything has been read in all the viewer's conversations, up to the
    /// `lastSeq` each has now.
    async fn mark_all_read(&self, ctx: &Context<'_>) -> Result<MarkAllReadPayload> {
        let moved = receipts::mark_all_read(Scope::of(ctx).cx()).await?;
        Ok(MarkAllReadPayload {
            conversation_count: i32::try_from(moved).unwrap_or(i32::MAX),
        })
    }

    /// Switches read receipts on, as they are at first, or off: then nobody else sees how far
    /// the viewer has read, and the viewer does not see how far others have. What has been
    /// delivered shows all the same.
    async fn set_read_receipts(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "On or off.")] input: SetReadReceiptsInput,
    ) -> Result<SetReadReceiptsPayload> {
        let scope = Scope::of(ctx);
        let read_receipts = if input.enabled {
            ReadReceipts::Shown
        } else {
            ReadReceipts::Hidden
        };
        receipts::set_read_receipts(scope.cx(), read_receipts).await?;
        let selected = ctx.look_ahead().field("viewer");
        Ok(SetReadReceiptsPayload {
            viewer: Viewer::load(Scope::new(scope.cx().clone()), selected).await?,
        })
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

struct Receipt(Arc<Row>);

/// How far a member has come. Depends on the viewer: what others have read shows only while
/// neither they nor the viewer have switched read receipts off.
#[Object]
impl Receipt {
    /// Where.
    async fn conversation_id(&self) -> ID {
        self.0.conversation_id.global()
    }

    /// Who.
    async fn user_id(&self) -> ID {
        self.0.user_id.global()
    }

    /// Everything up to and including this position has reached one of the member's devices.
    async fn delivered_seq(&self) -> i32 {
        int(self.0.delivered_seq)
    }

    /// Everything up to and including this position has been read; 0 where that does not show.
    async fn read_seq(&self) -> i32 {
        int(self.0.read_seq)
    }

    /// When either last moved.
    async fn at(&self) -> DateTime {
        self.0.at.into()
    }

    /// Receipts of others who advanced at about the same time, at most 200: where more than
    /// eight do so at once, not each comes as an event of its own. These have no others.
    #[graphql(complexity = "10 * child_complexity")]
    async fn others(&self) -> Vec<Receipt> {
        let others = self.0.others.iter();
        others
            .map(|other| Receipt(Arc::new(other.clone())))
            .collect()
    }
}

#[derive(Default)]
pub(crate) struct ReceiptsSubscription;

#[Subscription]
impl ReceiptsSubscription {
    /// How far members of a conversation come from now on: the first advance at once, those
    /// right after it together, each member's latest state. Positions never go back, except
    /// that `readSeq` shows as 0 once read receipts are off. To have all, subscribe first and
    /// then load the members. Losing membership completes the stream.
    #[graphql(directive = per_viewer::apply())]
    async fn receipt_advanced(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which conversation.")] conversation_id: ID,
    ) -> Result<impl Stream<Item = Receipt> + use<>> {
        let cx = Scope::of(ctx).cx();
        let advances = streaming::each(ctx, async {
            cx.signed_in()?;
            let id = ConversationId::parse(&conversation_id)?;
            Ok(receipts::advances(cx, id).await?.map(Arc::new))
        });
        Ok(advances.await?.map(Receipt))
    }
}
