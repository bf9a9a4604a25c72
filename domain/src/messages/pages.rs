//! Pages of messages: what is read most.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value};

use super::Message;
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

/// By position, in the order of [`PAGE`]: looking each column up by its name would be a good
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

/// What a page is read by. Written out, because putting it together anew for each page took as
/// long as reading a dozen messages. In the order of [`Sent`].
const PAGE: &str = r#"
SELECT m."id", m."conversation_id", m."seq", m."sender_id", m."client_message_id", m."digest",
       m."text", m."created_at", m."edited_at", m."deleted_at", m."stamp", u."display_name", u."avatar_url"
FROM "messages" m LEFT JOIN "users" u ON u."id" = m."sender_id"
WHERE m."conversation_id" = "#;

/// A page of each conversation, in one statement. For one, by far the most common case, that is
/// the page's own.
fn statement(backend: DbBackend, ids: &[ConversationId], request: &PageRequest<i64>) -> Statement {
    let mut values: Vec<Value> = vec![request.rows().into()];
    let mut bounds = String::new();
    for (bound, seq) in [(">", request.after), ("<", request.before)] {
        if let Some(seq) = seq {
            values.push(seq.into());
            bounds += &format!(r#" AND m."seq" {bound} ${}"#, values.len());
        }
    }
    let order = match request.end {
        End::Start => "ASC",
        End::Finish => "DESC",
    };
    let mut pages = ids.iter().map(|id| {
        values.push((*id).into());
        let id = values.len();
        format!(r#"{PAGE}${id}{bounds} ORDER BY m."seq" {order} LIMIT $1"#)
    });
    let sql = if ids.len() == 1 {
        pages.next().unwrap_or_default()
    } else {
        // Wrapped, because neither database takes ORDER BY and LIMIT in a bare branch of UNION.
        let wrapped = pages.map(|page| format!("SELECT * FROM ({page}) page"));
        wrapped.collect::<Vec<_>>().join(" UNION ALL ")
    };
    Statement::from_sql_and_values(backend, sql, values)
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
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let db = cx.read();
    let statement = statement(db.get_database_backend(), ids, request);
    let rows = Sent::find_by_statement(statement).all(db).await?;
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
