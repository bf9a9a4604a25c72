//! Pages of messages: what is read most.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId};
use sea_orm::{ConnectionTrait, DbBackend, DbErr, FromQueryResult, QueryResult, Statement, Value};
use serde_json::json;

use super::{Message, hiding};
use crate::db::{json_list, uuids};
use crate::page::{End, Page, PageRequest};
use crate::users::Audience;
use crate::{Cx, Result, access, ties};

/// A page of messages, and what others see of those who sent them.
#[derive(Default)]
pub struct MessagePage {
    /// The messages.
    pub messages: Page<Arc<Message>>,
    /// Their senders.
    pub senders: HashMap<UserId, Sender>,
    /// Whether others may see something else of the senders.
    pub is_selective: bool,
}

/// What others see of a user who has sent something.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The name.
    pub display_name: String,
    /// Absolute URL of the picture, if the actor sees it.
    pub avatar_url: Option<String>,
    /// Who sees it, where not all see the same of the user.
    selective: Option<Audience>,
}

/// A message and its sender, if it has one.
struct Sent {
    message: Message,
    sender: Option<Sender>,
}

/// By position, in the order of [`COLUMNS`]: looking each column up by its name would be a good
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
            kind: row.try_get_by_index(11)?,
            has_details: row.try_get_by_index(12)?,
        };
        let sender = match message.sender_id {
            Some(_) => Some(Sender {
                display_name: row.try_get_by_index(13)?,
                avatar_url: row.try_get_by_index(14)?,
                selective: if row.try_get_by_index(15)? {
                    Some(row.try_get_by_index(16)?)
                } else {
                    None
                },
            }),
            None => None,
        };
        Ok(Self { message, sender })
    }
}

/// The columns of a page, in the order of [`Sent`]. Written out, because putting it together anew
/// for each page took as long as reading a dozen messages.
const COLUMNS: &str = r#"
m."id", m."conversation_id", m."seq", m."sender_id", m."client_message_id", m."digest", m."text",
m."created_at", m."edited_at", m."deleted_at", m."stamp", m."kind", m."has_details", u."display_name", u."avatar_url",
u."is_selective", u."shows_avatar""#;

/// Which messages a page has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Of {
    /// What members have said.
    Members,
    /// And what the system tells of them.
    All,
}

/// What is asked of a page of messages; positions are seqs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessagesRequest {
    /// Which stretch.
    pub page: PageRequest<i64>,
    /// Which messages.
    pub of: Of,
}

/// The statement for a page of each conversation. One text for all numbers of conversations but
/// one, which is by far the most common: its statement does without a list.
fn statement(
    backend: DbBackend,
    viewer: UserId,
    ids: &[ConversationId],
    MessagesRequest { page: request, of }: &MessagesRequest,
) -> Statement {
    let (order, reaches, no_bound) = match request.end {
        End::Start => ("ASC", "<=", i64::MAX),
        End::Finish => ("DESC", ">=", 0),
    };
    let mut values: Vec<Value> = vec![request.rows().into(), viewer.into()];
    let mut bounds = match of {
        Of::Members => r#" AND m."kind" <> 'system'"#.to_owned(),
        Of::All => String::new(),
    };
    for (bound, seq) in [(">", request.after), ("<", request.before)] {
        if let Some(seq) = seq {
            values.push(seq.into());
            bounds += &format!(r#" AND m."seq" {bound} ${}"#, values.len());
        }
    }
    let list = values.len() + 1;
    bounds += &is_shown(ids, list);
    // Of the conversation that `id` stands for, what the actor sees.
    let within = |id: &str| {
        let hidden = access::hidden_upto(id, "$2");
        format!(r#"m."conversation_id" = {id}{bounds} AND m."seq" > {hidden}"#)
    };
    let part = |id: &str, rows: &str| {
        let within = within(id);
        format!(r#"{within} ORDER BY m."seq" {order} LIMIT {rows}"#)
    };
    let senders = r#"LEFT JOIN "users" u ON u."id" = m."sender_id""#;
    let sql = match (ids, backend) {
        ([id], _) => {
            values.push((*id).into());
            let part = part(&format!("${list}"), "$1");
            format!(r#"SELECT {COLUMNS} FROM "messages" m {senders} WHERE {part}"#)
        }
        (ids, DbBackend::Postgres) => {
            values.push(uuids(ids.iter().map(|id| id.0)));
            let part = part(r#"asked."id""#, "$1");
            format!(
                r#"
SELECT {COLUMNS} FROM unnest(${list}) asked("id")
CROSS JOIN LATERAL (SELECT * FROM "messages" m WHERE {part}) m {senders}
ORDER BY m."conversation_id", m."seq" {order}"#
            )
        }
        // Others know no LATERAL: a page reaches to the last of its rows, if there are so many.
        (ids, _) => {
            values.push(json_list(ids.iter().map(|id| json!(id.0.simple()))));
            let id = r#"unhex(asked."value")"#;
            let (within, last) = (within(id), part(id, "1 OFFSET $1 - 1"));
            format!(
                r#"
SELECT {COLUMNS} FROM json_each(${list}) asked CROSS JOIN "messages" m {senders}
WHERE {within}
  AND m."seq" {reaches} coalesce((SELECT m."seq" FROM "messages" m WHERE {last}), {no_bound})
ORDER BY m."conversation_id", m."seq" {order}"#
            )
        }
    };
    Statement::from_sql_and_values(backend, sql, values)
}

/// That the viewer does not hide the message. Of one conversation, which is the value of this number, all
/// that is hidden is looked up at once, which mostly is nothing.
fn is_shown(ids: &[ConversationId], list: usize) -> String {
    if let [_] = ids {
        let hidden = r#"FROM "hidden_messages" h WHERE h."user_id" = $2"#;
        format!(
            r#" AND m."seq" NOT IN (SELECT h."seq" {hidden} AND h."conversation_id" = ${list})"#
        )
    } else {
        format!(" AND {}", hiding::is_shown_sql("m", "$2"))
    }
}

/// A page of the messages of each conversation, as far as the actor sees them and has not hidden them,
/// oldest first, with their senders; positions are seqs.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    ids: &[ConversationId],
    request: &MessagesRequest,
) -> Result<HashMap<ConversationId, MessagePage>> {
    let viewer = cx.signed_in()?.user.id;
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let db = cx.read();
    let statement = statement(db.get_database_backend(), viewer, ids, request);
    let rows = Sent::find_by_statement(statement).all(db).await?;
    let pages = request
        .page
        .pages(rows, |sent| sent.message.conversation_id);
    let mut pages: HashMap<_, _> = pages
        .into_iter()
        .map(|(id, page)| (id, MessagePage::of(page)))
        .collect();
    hide_avatars(cx, &mut pages).await?;
    Ok(pages)
}

/// Takes away the pictures that the actor is not to see. Mostly there are none, and nothing is asked.
async fn hide_avatars(cx: &Cx, pages: &mut HashMap<ConversationId, MessagePage>) -> Result<()> {
    let senders = pages.values_mut().flat_map(|page| &mut page.senders);
    let mut selective: Vec<(UserId, Audience, &mut Option<String>)> = senders
        .filter(|(_, sender)| sender.avatar_url.is_some())
        .filter_map(|(id, sender)| Some((*id, sender.selective?, &mut sender.avatar_url)))
        .collect();
    let mut ids: Vec<UserId> = selective.iter().map(|(id, ..)| *id).collect();
    ids.sort_unstable();
    ids.dedup();
    let ties = ties::of_actor(cx, &ids).await?;
    for (id, shows_avatar, avatar) in &mut selective {
        let tie = ties.get(id).copied().unwrap_or_default();
        if !tie.admits(*shows_avatar) {
            **avatar = None;
        }
    }
    Ok(())
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
        Self {
            is_selective: senders.values().any(|sender| sender.selective.is_some()),
            messages,
            senders,
        }
    }
}
