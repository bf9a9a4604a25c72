//! Pages of messages: what is read most.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId, message, user};
use sea_orm::sea_query::Order;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder,
    QueryResult, QuerySelect,
};

use super::Message;
use crate::db::page_of_each;
use crate::page::{End, Page, PageRequest};
use crate::{Cx, Result};

/// A page of messages, and what others see of those who sent them.
#[derive(Default)]
pub struct MessagePage {
    /// The messages.
    pub messages: Page<Arc<Message>>,
    /// Their senders.
    pub senders: HashMap<UserId, Sender>,
}

/// What others see of a user who has sent something.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The name.
    pub display_name: String,
    /// Absolute URL of the picture.
    pub avatar_url: Option<String>,
}

/// A message and its sender, if it has one.
struct Sent {
    message: Message,
    sender: Option<Sender>,
}

/// By position, in the order of [`page_of`]: looking each column up by its name would be a good
/// part of reading a page.
impl FromQueryResult for Sent {
    fn from_query_result(row: &QueryResult, _: &str) -> Result<Self, DbErr> {
        let message = Message {
            id: row.try_get_by_index(0)?,
            conversation_id: row.try_get_by_index(1)?,
            seq: row.try_get_by_index(2)?,
            sender_id: row.try_get_by_index(3)?,
            client_message_id: row.try_get_by_index(4)?,
            digest: row.try_get_by_index(5)?,
            text: row.try_get_by_index(6)?,
            created_at: row.try_get_by_index(7)?,
            edited_at: row.try_get_by_index(8)?,
            deleted_at: row.try_get_by_index(9)?,
            stamp: row.try_get_by_index(10)?,
        };
        let sender = match message.sender_id {
            Some(_) => Some(Sender {
                display_name: row.try_get_by_index(11)?,
                avatar_url: row.try_get_by_index(12)?,
            }),
            None => None,
        };
        Ok(Self { message, sender })
    }
}

fn page_of(id: ConversationId, request: &PageRequest<i64>) -> sea_orm::Select<message::Entity> {
    use message::Column;
    let sender = message::Entity::belongs_to(user::Entity)
        .from(Column::SenderId)
        .to(user::Column::Id)
        .into();
    let mut select = message::Entity::find()
        .select_only()
        .columns([
            Column::Id,
            Column::ConversationId,
            Column::Seq,
            Column::SenderId,
            Column::ClientMessageId,
            Column::Digest,
            Column::Text,
            Column::CreatedAt,
            Column::EditedAt,
            Column::DeletedAt,
            Column::Stamp,
        ])
        .columns([user::Column::DisplayName, user::Column::AvatarUrl])
        .join(JoinType::LeftJoin, sender)
        .filter(Column::ConversationId.eq(id));
    if let Some(after) = request.after {
        select = select.filter(Column::Seq.gt(after));
    }
    if let Some(before) = request.before {
        select = select.filter(Column::Seq.lt(before));
    }
    let order = match request.end {
        End::Start => Order::Asc,
        End::Finish => Order::Desc,
    };
    select.order_by(Column::Seq, order).limit(request.rows())
}

/// A page of the messages of each conversation, oldest first, with their senders; positions are
/// seqs. The caller has found the conversations through the actor's own memberships.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &PageRequest<i64>,
) -> Result<HashMap<ConversationId, MessagePage>> {
    cx.signed_in()?;
    let rows: Vec<Sent> = page_of_each(cx.read(), ids, |id| page_of(id, request)).await?;
    let pages = request.pages(rows, |sent| sent.message.conversation_id);
    Ok(pages
        .into_iter()
        .map(|(id, page)| (id, MessagePage::of(page)))
        .collect())
}

impl MessagePage {
    fn of(page: Page<Sent>) -> Self {
        let mut senders = HashMap::new();
        let messages = page.map(|Sent { message, sender }| {
            if let (Some(id), Some(sender)) = (message.sender_id, sender) {
                senders.entry(id).or_insert(sender);
            }
            Arc::new(message)
        });
        Self { messages, senders }
    }
}
