//! Who is typing.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::ConversationId;
use backchannel_domain::typing::{self, Typing as State};
use futures_util::{Stream, StreamExt as _};

use crate::error::Result;
use crate::id::Global as _;
use crate::scope::Scope;
use crate::streaming;

/// Whether the viewer is typing.
#[derive(InputObject)]
struct SetTypingInput {
    /// Where.
    conversation_id: ID,
    /// True when the viewer starts, and again every two to four seconds while they go on;
    /// false when they stop.
    typing: bool,
}

/// The answer to `setTyping`.
#[derive(SimpleObject)]
struct SetTypingPayload {
    /// True.
    ok: bool,
}

/// Whether a member is typing.
#[derive(SimpleObject)]
struct Typing {
    /// Where.
    conversation_id: ID,
    /// Who.
    user_id: ID,
    /// Whether they are.
    typing: bool,
}

#[derive(Default)]
pub(crate) struct TypingMutation;

#[Object]
impl TypingMutation {
    /// Says that the viewer is typing, or is no longer. It ends by itself after some five
    /// seconds without a word, and with the viewer's next message. FORBIDDEN to one who may
    /// not send there.
    async fn set_typing(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and whether.")] input: SetTypingInput,
    ) -> Result<SetTypingPayload> {
        let cx = Scope::of(ctx).cx();
        cx.signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let state = if input.typing {
            State::Active
        } else {
            State::Ended
        };
        typing::set(cx, id, state).await?;
        Ok(SetTypingPayload { ok: true })
    }
}

#[derive(Default)]
pub(crate) struct TypingSubscription;

#[Subscription]
impl TypingSubscription {
    /// Members known to be typing, then each who starts and each who stops, the viewer among them.
    /// A signal: nothing of it is stored, and while nodes cannot reach each other it stays on
    /// the typer's. Losing membership completes the stream.
    async fn typing_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which conversation.")] conversation_id: ID,
    ) -> Result<impl Stream<Item = Typing> + use<>> {
        let cx = Scope::of(ctx).cx();
        let changes = streaming::each(ctx, async {
            cx.signed_in()?;
            let id = ConversationId::parse(&conversation_id)?;
            Ok(typing::changes(cx, id).await?)
        });
        Ok(changes.await?.map(|change| Typing {
            conversation_id: change.conversation_id.global(),
            user_id: change.user_id.global(),
            typing: change.state == State::Active,
        }))
    }
}
