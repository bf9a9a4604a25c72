//! What more decides about sends to conversations that are guarded: how they are set, and in slow mode
//! when the sender last sent there. That is kept in the transaction that sends, under the
//! conversation's lock: it is right for all nodes, and within a batch.

use std::collections::HashMap;
use std::time::Duration;

use backchannel_entities::{ConversationId, Timestamp, UserId, conversation, last_send};
use sea_orm::sea_query::{ExprTrait as _, OnConflict};
use sea_orm::{ColumnTrait as _, Condition, EntityTrait, QueryFilter as _, Set};

use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::db::in_list;
use crate::members::Role;
use crate::{Error, Result, access};

/// A member of a conversation.
type Sender = (ConversationId, UserId);

/// What is known of the guarded conversations of a batch.
#[derive(Default)]
pub(super) struct Guards {
    conversations: HashMap<ConversationId, Conversation>,
    last: HashMap<Sender, Timestamp>,
    /// What the batch adds to that.
    sent: HashMap<Sender, Timestamp>,
}

impl Guards {
    /// Finds out about these, which are locked.
    pub(super) async fn find(tx: &Tx, guarded: &[Sender]) -> Result<Self> {
        use last_send::Column::{ConversationId, UserId};
        if guarded.is_empty() {
            return Ok(Self::default());
        }
        let ids: Vec<_> = guarded.iter().map(|(id, _)| *id).collect();
        let found = conversation::Entity::find()
            .filter(conversation::Column::Id.is_in(in_list(&ids)))
            .all(&tx.db)
            .await?;
        let conversations: HashMap<_, _> = found.into_iter().map(|c| (c.id, c)).collect();
        let is_slow = |(id, _): &&Sender| {
            let conversation = conversations.get(id);
            conversation.is_some_and(|there| there.settings.slow_mode_seconds > 0)
        };
        let slow: Vec<_> = guarded.iter().filter(is_slow).copied().collect();
        let mut last = HashMap::new();
        if !slow.is_empty() {
            let mut any = Condition::any();
            for (id, user_id) in in_list(&slow) {
                any = any.add(ConversationId.eq(id).and(UserId.eq(user_id)));
            }
            let rows = last_send::Entity::find().filter(any).all(&tx.db).await?;
            let sent = |row: last_send::Model| ((row.conversation_id, row.user_id), row.sent_at);
            last = rows.into_iter().map(sent).collect();
        }
        Ok(Self {
            conversations,
            last,
            sent: HashMap::new(),
        })
    }

    /// Whether members of this role may send there at all.
    pub(super) fn admit(&self, id: ConversationId, role: Role) -> Result<()> {
        let there = self.conversations.get(&id);
        access::may_send_to(there.ok_or(Error::NotFound("conversation"))?, role)
    }

    /// Whether it is time for the sender's next message, and takes note of it.
    pub(super) fn take(&mut self, sender: Sender, role: Role, now: Timestamp) -> Result<()> {
        let Some(there) = self.conversations.get(&sender.0) else {
            return Ok(());
        };
        let pace = access::pace(there, role);
        if pace.is_zero() {
            return Ok(());
        }
        if let Some(last) = self.last.get(&sender) {
            let wait = last.plus(pace).0.saturating_sub(now.0);
            if let Ok(wait @ 1..) = u64::try_from(wait) {
                return Err(Error::RateLimited {
                    retry_after: Duration::from_millis(wait),
                });
            }
        }
        self.last.insert(sender, now);
        self.sent.insert(sender, now);
        Ok(())
    }

    /// Writes what was noted.
    pub(super) async fn write(self, tx: &Tx) -> Result<()> {
        use last_send::Column::{ConversationId, SentAt, UserId};
        if self.sent.is_empty() {
            return Ok(());
        }
        let rows = self
            .sent
            .into_iter()
            .map(|((id, user_id), sent_at)| last_send::ActiveModel {
                conversation_id: Set(id),
                user_id: Set(user_id),
                sent_at: Set(sent_at),
            });
        let latest = OnConflict::columns([ConversationId, UserId])
            .update_column(SentAt)
            .to_owned();
        last_send::Entity::insert_many(rows)
            .on_conflict(latest)
            .exec_without_returning(&tx.db)
            .await?;
        Ok(())
    }
}

/// Forgets when members last sent: the conversation, which is locked, is not in slow mode.
pub(crate) async fn forget(tx: &Tx, id: ConversationId) -> Result<()> {
    last_send::Entity::delete_many()
        .filter(last_send::Column::ConversationId.eq(id))
        .exec(&tx.db)
        .await?;
    Ok(())
}
