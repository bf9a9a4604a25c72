//! How conversations are set; archiving, restoring and deleting them.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, MaybeUndefined, Object, SimpleObject};
use backchannel_domain::ConversationId;
use backchannel_domain::conversations::{
    self, History as RowHistory, Settings as Row, SettingsChange,
};

use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::{change, int};
use crate::scope::Scope;

/// What new members see of what was before them.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowHistory")]
pub(crate) enum ConversationHistory {
    /// All of it.
    All,
    /// Nothing.
    Joining,
}

/// How a conversation is set.
#[derive(Clone, SimpleObject)]
pub(crate) struct ConversationSettings {
    /// Whether owners and admins alone send.
    only_admins_send: bool,
    /// Whether owners and admins alone add members and invite others.
    only_admins_add: bool,
    /// Slow mode: how long a MEMBER waits between two messages, in seconds; 0 for not at all.
    slow_mode_seconds: i32,
    /// Whether members may react to messages.
    allows_reactions: bool,
    /// What new members see of what was before them.
    history: ConversationHistory,
    /// Whether who comes by themselves, by `joinRoom` or the invitation of a MEMBER, asks to join, and
    /// owners and admins approve. They alone add members then.
    joins_by_request: bool,
    /// Whether members see what a message was before it was edited.
    shows_edits: bool,
    /// How long messages are kept before they disappear, in seconds; null for ever.
    retention_seconds: Option<i32>,
    /// How long after sending a message its sender can edit it, in seconds; null for ever.
    edit_window_seconds: Option<i32>,
    /// How long after sending a message its sender can delete it for everyone, in seconds; null for ever.
    delete_window_seconds: Option<i32>,
}

impl ConversationSettings {
    pub(crate) fn of(row: &Row) -> Self {
        Self {
            only_admins_send: row.only_admins_send,
            only_admins_add: row.only_admins_add,
            slow_mode_seconds: int(row.slow_mode_seconds.into()),
            allows_reactions: row.allows_reactions,
            history: row.history.into(),
            joins_by_request: row.joins_by_request,
            shows_edits: row.shows_edits,
            retention_seconds: row.retention_seconds.map(|kept| int(kept.into())),
            edit_window_seconds: row.edit_window_seconds.map(|window| int(window.into())),
            delete_window_seconds: row.delete_window_seconds.map(|window| int(window.into())),
        }
    }
}

/// How a conversation shall be set. What is left out stays as it is, and what is null too, but for
/// `retentionSeconds`, `editWindowSeconds` and `deleteWindowSeconds`.
#[derive(InputObject)]
pub(crate) struct ConversationSettingsInput {
    /// Whether owners and admins alone send, and edit what they have sent.
    only_admins_send: Option<bool>,
    /// Whether owners and admins alone add members and invite others.
    only_admins_add: Option<bool>,
    /// Slow mode: how long a MEMBER waits between two messages, 0 to 3,600 seconds.
    slow_mode_seconds: Option<i32>,
    /// Whether members may react to messages.
    allows_reactions: Option<bool>,
    /// What new members see of what was before them.
    history: Option<ConversationHistory>,
    /// Whether who comes by themselves, by `joinRoom` or the invitation of a MEMBER, asks to join, and
    /// owners and admins approve. They alone add members then.
    joins_by_request: Option<bool>,
    /// Whether members see what a message was before it was edited.
    shows_edits: Option<bool>,
    /// How long messages are kept before they disappear: 60 to 31,536,000 seconds, for those there are and
    /// those to come. Null keeps them for ever. In a DIRECT conversation both members may set it.
    retention_seconds: MaybeUndefined<i32>,
    /// How long after sending a message its sender can edit it: 0 to 31,536,000 seconds. Null is for ever.
    edit_window_seconds: MaybeUndefined<i32>,
    /// How long after sending a message its sender can delete it for everyone: 0 to 31,536,000 seconds. Null is
    /// for ever. Owners and admins delete at any time.
    delete_window_seconds: MaybeUndefined<i32>,
}

impl From<ConversationSettingsInput> for SettingsChange {
    fn from(input: ConversationSettingsInput) -> Self {
        Self {
            only_admins_send: input.only_admins_send,
            only_admins_add: input.only_admins_add,
            slow_mode_seconds: input.slow_mode_seconds,
            allows_reactions: input.allows_reactions,
            history: input.history.map(Into::into),
            joins_by_request: input.joins_by_request,
            shows_edits: input.shows_edits,
            retention_seconds: change(input.retention_seconds),
            edit_window_seconds: change(input.edit_window_seconds),
            delete_window_seconds: change(input.delete_window_seconds),
        }
    }
}

/// Which conversation to archive.
#[derive(InputObject)]
struct ArchiveConversationInput {
    /// Which.
    conversation_id: ID,
}

/// The answer to `archiveConversation`.
#[derive(SimpleObject)]
struct ArchiveConversationPayload {
    /// The conversation, as it is now.
    conversation: Conversation,
}

/// Which conversation to restore.
#[derive(InputObject)]
struct RestoreConversationInput {
    /// Which.
    conversation_id: ID,
}

/// The answer to `restoreConversation`.
#[derive(SimpleObject)]
struct RestoreConversationPayload {
    /// The conversation, as it is now.
    conversation: Conversation,
}

/// Which conversation to delete.
#[derive(InputObject)]
struct DeleteConversationInput {
    /// Which.
    conversation_id: ID,
}

/// The answer to `deleteConversation`.
#[derive(SimpleObject)]
struct DeleteConversationPayload {
    /// What there is no more.
    deleted_conversation_id: ID,
}

#[derive(Default)]
pub(crate) struct SettingsMutation;

#[Object]
impl SettingsMutation {
    /// Archives a conversation for all of its members, by a ConversationUpdated event: it can be read
    /// and left, messages can be deleted and unpinned, reactions and votes taken back, members removed
    /// and banned, and all that adds or changes is FORBIDDEN. Owners and admins may; a DIRECT one is
    /// FORBIDDEN.
    async fn archive_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: ArchiveConversationInput,
    ) -> Result<ArchiveConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let row = conversations::archive(scope.cx(), id).await?;
        Ok(ArchiveConversationPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }

    /// Lets a conversation go on that was archived, by a ConversationUpdated event. Owners and admins may.
    async fn restore_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RestoreConversationInput,
    ) -> Result<RestoreConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let row = conversations::restore(scope.cx(), id).await?;
        Ok(RestoreConversationPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }

    /// Deletes a conversation for everybody, by a ConversationDeleted event, which is its last: its streams complete,
    /// and to all who were members it is NOT_FOUND from then on. Its slug is free; what was said in it is
    /// erased soon after. The OWNER may; a DIRECT one is FORBIDDEN.
    async fn delete_conversation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: DeleteConversationInput,
    ) -> Result<DeleteConversationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        conversations::delete(scope.cx(), id).await?;
        Ok(DeleteConversationPayload {
            deleted_conversation_id: id.global(),
        })
    }
}
