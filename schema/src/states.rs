//! What the viewer makes of conversations for themselves.

use async_graphql::{Context, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::ConversationId;
use backchannel_domain::conversations::states::{self, Draft as RowDraft, Making, State as Row};
use backchannel_domain::conversations::{self};
use futures_util::{Stream, StreamExt as _};

use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::streaming;

/// What the viewer has begun to write.
#[derive(SimpleObject)]
pub(crate) struct Draft {
    /// What, as it was given.
    text: String,
    /// When it last changed.
    updated_at: DateTime,
}

impl From<RowDraft> for Draft {
    fn from(draft: RowDraft) -> Self {
        Self {
            text: draft.text,
            updated_at: draft.updated_at.into(),
        }
    }
}

#[derive(Clone)]
pub(crate) struct ConversationState {
    scope: Scope,
    row: Row,
}

/// What the viewer has made of a conversation.
#[Object]
impl ConversationState {
    /// Of which.
    async fn conversation_id(&self) -> ID {
        self.row.conversation_id().global()
    }

    /// The conversation.
    async fn conversation(&self) -> Result<Conversation> {
        let id = self.row.conversation_id();
        let row = self.scope.loaders().conversation(id).await?;
        Ok(Conversation::new(&self.scope, row))
    }

    /// Whether it is left out of lists.
    async fn is_hidden(&self) -> bool {
        self.row.is_hidden()
    }

    /// Until when it is muted, if it is.
    async fn muted_until(&self) -> Option<DateTime> {
        let now = self.scope.cx().domain().clock().now();
        self.row.muted_until(now).map(Into::into)
    }

    /// Whether it is pinned.
    async fn is_pinned(&self) -> bool {
        self.row.pinned_at().is_some()
    }

    /// When it was pinned, if it is.
    async fn pinned_at(&self) -> Option<DateTime> {
        self.row.pinned_at().map(Into::into)
    }

    /// Whether it is to look unread.
    async fn is_marked_unread(&self) -> bool {
        self.row.is_marked_unread()
    }

    /// What the viewer has begun to write, if anything.
    async fn draft(&self) -> Option<Draft> {
        self.row.draft().map(Into::into)
    }
}

/// Declares a mutation's input that names a conversation and nothing else, and its payload.
macro_rules! of_conversation {
    ($(#[doc = $input_doc:literal])* $input:ident, $(#[doc = $doc:literal])* $payload:ident) => {
        $(#[doc = $input_doc])*
        #[derive(InputObject)]
        struct $input {
            /// Which.
            conversation_id: ID,
        }

        $(#[doc = $doc])*
        #[derive(SimpleObject)]
        struct $payload {
            /// The conversation.
            conversation: Conversation,
        }
    };
}

of_conversation! {
    /// Which conversation to hide.
    HideConversationInput,
    /// The answer to `hideConversation`.
    HideConversationPayload
}
of_conversation! {
    /// Which conversation to show again.
    ShowConversationInput,
    /// The answer to `showConversation`.
    ShowConversationPayload
}
of_conversation! {
    /// Which conversation not to mute any more.
    UnmuteConversationInput,
    /// The answer to `unmuteConversation`.
    UnmuteConversationPayload
}
of_conversation! {
    /// Which conversation to pin.
    PinConversationInput,
    /// The answer to `pinConversation`.
    PinConversationPayload
}
of_conversation! {
    /// Which conversation to unpin.
    UnpinConversationInput,
    /// The answer to `unpinConversation`.
    UnpinConversationPayload
}
of_conversation! {
    /// Which conversation is to look unread.
    MarkUnreadInput,
    /// The answer to `markUnread`.
    MarkUnreadPayload
}

/// Which conversation to mute, and until when.
#[derive(InputObject)]
struct MuteConversationInput {
    /// Which.
    conversation_id: ID,
    /// Until when: in the future. Far in the future is for ever.
    until: DateTime,
}

/// The answer to `muteConversation`.
#[derive(SimpleObject)]
struct MuteConversationPayload {
    /// The conversation.
    conversation: Conversation,
}

/// What was begun to be written.
#[derive(InputObject)]
struct SetDraftInput {
    /// Where.
    conversation_id: ID,
    /// What: at most 4,000 characters, without NUL. Null or empty takes it away.
    text: Option<String>,
}

/// The answer to `setDraft`.
#[derive(SimpleObject)]
struct SetDraftPayload {
    /// The conversation.
    conversation: Conversation,
}

/// Makes something of a conversation; answers it.
async fn make(scope: &Scope, id: &ID, making: Making) -> Result<Conversation> {
    let id = ConversationId::parse(id)?;
    states::make(scope.cx(), id, making).await?;
    let row = scope.loaders().conversation(id).await?;
    Ok(Conversation::new(scope, row))
}

#[derive(Default)]
pub(crate) struct StatesMutation;

#[Object]
impl StatesMutation {
    /// Leaves a conversation out of the viewer's list, until a message is sent in it.
    async fn hide_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: HideConversationInput,
    ) -> Result<HideConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation = make(scope, &input.conversation_id, Making::hide()).await?;
        Ok(HideConversationPayload { conversation })
    }

    /// Lists a conversation again that was hidden.
    async fn show_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: ShowConversationInput,
    ) -> Result<ShowConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation = make(scope, &input.conversation_id, Making::show()).await?;
        Ok(ShowConversationPayload { conversation })
    }

    /// The viewer does not want to be notified of a conversation for a while.
    async fn mute_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which, and until when.")] input: MuteConversationInput,
    ) -> Result<MuteConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let making = Making::mute(scope.cx(), input.until.0)?;
        let conversation = make(scope, &input.conversation_id, making).await?;
        Ok(MuteConversationPayload { conversation })
    }

    /// The viewer wants to be notified again.
    async fn unmute_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: UnmuteConversationInput,
    ) -> Result<UnmuteConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation = make(scope, &input.conversation_id, Making::unmute()).await?;
        Ok(UnmuteConversationPayload { conversation })
    }

    /// Pins a conversation for the viewer, behind those that are pinned. CONFLICT for the 21st.
    async fn pin_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: PinConversationInput,
    ) -> Result<PinConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation = make(scope, &input.conversation_id, Making::pin()).await?;
        Ok(PinConversationPayload { conversation })
    }

    /// Unpins a conversation.
    async fn unpin_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: UnpinConversationInput,
    ) -> Result<UnpinConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation = make(scope, &input.conversation_id, Making::unpin()).await?;
        Ok(UnpinConversationPayload { conversation })
    }

    /// Lets a conversation look unread, until `markRead` or `markAllRead`.
    async fn mark_unread(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: MarkUnreadInput,
    ) -> Result<MarkUnreadPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation = make(scope, &input.conversation_id, Making::mark_unread()).await?;
        Ok(MarkUnreadPayload { conversation })
    }

    /// Keeps what the viewer has begun to write, for all their devices. Of two devices the later one
    /// wins, by when it reaches the server. Sending does not take it away.
    async fn set_draft(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and what.")] input: SetDraftInput,
    ) -> Result<SetDraftPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let making = Making::draft(input.text)?;
        let conversation = make(scope, &input.conversation_id, making).await?;
        Ok(SetDraftPayload { conversation })
    }
}

#[derive(Default)]
pub(crate) struct StatesSubscription;

#[Subscription]
impl StatesSubscription {
    /// What the viewer makes of conversations from now on, on any device, this one too: each that
    /// changes, as it is then. A conversation that a message brings back is not told of here.
    #[graphql(directive = per_viewer::apply())]
    async fn conversation_state_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = ConversationState> + use<>> {
        let scope = Scope::of(ctx).clone();
        let changes = streaming::each(ctx, async { Ok(conversations::changes(scope.cx()).await?) });
        Ok(changes.await?.map(move |row| ConversationState {
            scope: scope.clone(),
            row: (*row).clone(),
        }))
    }
}
