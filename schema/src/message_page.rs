//! Pages of messages: what clients ask for most. Their lists are written in one go where what is
//! selected allows it; see [`crate::plain`].

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use async_graphql::parser::types::Field;
use async_graphql::registry::Registry;
use async_graphql::{ContextSelectionSet, Object, OutputType, Positioned, ServerResult, Value};
use backchannel_domain::UserId;
use backchannel_domain::messages::{Message as Row, MessagePage};

use crate::connection::{Edge, List, PageInfo, seq_cursor};
use crate::content::MessageKind;
use crate::id::Global as _;
use crate::json::{write_between, write_plain, written};
use crate::messages::Message;
use crate::plain::{Plain, Plan, plan};
use crate::scalars::{int, rfc3339};
use crate::scope::Scope;
use crate::users::UserField;

/// A page of messages.
#[derive(Clone)]
pub(crate) struct MessageConnection {
    scope: Scope,
    page: Arc<MessagePage>,
}

impl MessageConnection {
    pub(crate) fn new(scope: &Scope, page: Arc<MessagePage>) -> Self {
        Self {
            scope: scope.clone(),
            page,
        }
    }
}

/// A page of a list.
#[Object]
impl MessageConnection {
    /// The items, each with its cursor.
    async fn edges(&self) -> Edges {
        Edges(self.clone())
    }

    /// The items alone.
    async fn nodes(&self) -> Nodes {
        Nodes(self.clone())
    }

    /// Where the page stands in the list.
    async fn page_info(&self) -> PageInfo {
        PageInfo::of(&self.page.messages, |row| {
            seq_cursor(List::Messages, row.seq)
        })
    }
}

/// The messages of a page.
struct Nodes(MessageConnection);

impl OutputType for Nodes {
    fn type_name() -> Cow<'static, str> {
        Vec::<Message>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<Message>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<Message>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let Self(MessageConnection { scope, page }) = self;
        if let Some(plan) = plan::<MessageField>(ctx)
            && let Some(senders) = Senders::of(page, &plan)
        {
            return Ok(write_list(page, |out, row| {
                plan.write_message(out, row, &senders)
            }));
        }
        let rows = page.messages.items.iter();
        let nodes = rows.map(|row| Message::new(scope, Arc::clone(row)));
        nodes.collect::<Vec<_>>().resolve(ctx, field).await
    }
}

/// The messages of a page, each with its cursor.
struct Edges(MessageConnection);

impl OutputType for Edges {
    fn type_name() -> Cow<'static, str> {
        Vec::<Edge<Message>>::type_name()
    }

    fn qualified_type_name() -> String {
        Vec::<Edge<Message>>::qualified_type_name()
    }

    fn create_type_info(registry: &mut Registry) -> String {
        Vec::<Edge<Message>>::create_type_info(registry)
    }

    async fn resolve(
        &self,
        ctx: &ContextSelectionSet<'_>,
        field: &Positioned<Field>,
    ) -> ServerResult<Value> {
        let Self(MessageConnection { scope, page }) = self;
        if let Some(plan) = plan::<EdgeField>(ctx)
            && let Some(senders) = plan.senders(page)
        {
            return Ok(write_list(page, |out, row| {
                plan.write_edge(out, row, &senders)
            }));
        }
        let edge = |row: &Arc<Row>| {
            let node = Message::new(scope, Arc::clone(row));
            Edge::new(seq_cursor(List::Messages, row.seq), node)
        };
        let edges: Vec<_> = page.messages.items.iter().map(edge).collect();
        edges.resolve(ctx, field).await
    }
}

fn write_list(page: &MessagePage, write: impl Fn(&mut Vec<u8>, &Row)) -> Value {
    let rows = &page.messages.items;
    // More than most messages take.
    let mut out = Vec::with_capacity(rows.len() * 384);
    write_between(&mut out, b'[', b']', rows, |out, row| write(out, row));
    written(out)
}

/// What is plain of an edge.
enum EdgeField {
    Typename,
    Cursor,
    Node(Plan<MessageField>),
}

impl Plain for EdgeField {
    const TYPE: &'static str = "MessageEdge";

    fn of(ctx: &ContextSelectionSet<'_>, field: &Field) -> Option<Self> {
        match field.name.node.as_str() {
            "__typename" => Some(Self::Typename),
            "cursor" => Some(Self::Cursor),
            "node" => Plan::of(ctx, &field.selection_set.node).map(Self::Node),
            _ => None,
        }
    }
}

impl Plan<EdgeField> {
    fn senders(&self, page: &MessagePage) -> Option<Senders> {
        let mut nodes = self.fields().filter_map(|field| match field {
            EdgeField::Node(plan) => Some(plan),
            EdgeField::Typename | EdgeField::Cursor => None,
        });
        match (nodes.next(), nodes.next()) {
            (Some(only), None) => Senders::of(page, only),
            (None, None) => Some(Senders::default()),
            // The node twice, under other names.
            (_, Some(_)) => None,
        }
    }

    fn write_edge(&self, out: &mut Vec<u8>, row: &Row, senders: &Senders) {
        self.write(out, |out, field| match field {
            EdgeField::Typename => write_plain(out, EdgeField::TYPE),
            EdgeField::Cursor => write_plain(out, &seq_cursor(List::Messages, row.seq)),
            EdgeField::Node(plan) => plan.write_message(out, row, senders),
        });
    }
}

/// What is plain of a message: all but its conversation and who has seen it; what it has besides its
/// text, where no message of the page has any.
enum MessageField {
    Typename,
    Id,
    Seq,
    Kind,
    Sender(Plan<UserField>),
    Text,
    ClientMessageId,
    CreatedAt,
    EditedAt,
    DeletedAt,
    /// Of what a message without details has none.
    Absent,
    /// A list of that.
    Empty,
}

impl Plain for MessageField {
    const TYPE: &'static str = "Message";

    fn of(ctx: &ContextSelectionSet<'_>, field: &Field) -> Option<Self> {
        match field.name.node.as_str() {
            "__typename" => Some(Self::Typename),
            "id" => Some(Self::Id),
            "seq" => Some(Self::Seq),
            "kind" => Some(Self::Kind),
            "content" | "replyTo" | "threadRoot" | "thread" | "forwarded" => Some(Self::Absent),
            "entities" => Some(Self::Empty),
            "sender" => Plan::of(ctx, &field.selection_set.node).map(Self::Sender),
            "text" => Some(Self::Text),
            "clientMessageId" => Some(Self::ClientMessageId),
            "createdAt" => Some(Self::CreatedAt),
            "editedAt" => Some(Self::EditedAt),
            "deletedAt" => Some(Self::DeletedAt),
            _ => None,
        }
    }
}

impl Plan<MessageField> {
    fn write_message(&self, out: &mut Vec<u8>, row: &Row, senders: &Senders) {
        let write_instant = |out: &mut Vec<u8>, at: Option<_>| write_plain(out, &at.map(rfc3339));
        self.write(out, |out, field| match field {
            MessageField::Typename => write_plain(out, MessageField::TYPE),
            MessageField::Id => row.id.write_global(out),
            MessageField::Seq => write_plain(out, &int(row.seq)),
            MessageField::Kind => write_plain(out, MessageKind::from(row.kind).name()),
            MessageField::Absent => out.extend_from_slice(b"null"),
            MessageField::Empty => out.extend_from_slice(b"[]"),
            MessageField::Sender(_) => senders.write(out, row.sender_id),
            MessageField::Text => write_plain(out, &row.text),
            MessageField::ClientMessageId => write_plain(out, &row.client_message_id),
            MessageField::CreatedAt => write_instant(out, Some(row.created_at)),
            MessageField::EditedAt => write_instant(out, row.edited_at),
            MessageField::DeletedAt => write_instant(out, row.deleted_at),
        });
    }
}

/// Who has sent the messages of a page, each written once.
#[derive(Default)]
struct Senders(HashMap<UserId, Vec<u8>>);

impl Senders {
    /// None if they are selected twice, under several names, or if some message has what the plan says
    /// that none has.
    fn of(page: &MessagePage, plan: &Plan<MessageField>) -> Option<Self> {
        let asks_details =
            |field: &MessageField| matches!(field, MessageField::Absent | MessageField::Empty);
        let mut messages = page.messages.items.iter();
        if plan.fields().any(asks_details) && messages.any(|message| message.has_details) {
            return None;
        }
        let mut plans = plan.fields().filter_map(|field| match field {
            MessageField::Sender(plan) => Some(plan),
            MessageField::Typename
            | MessageField::Id
            | MessageField::Seq
            | MessageField::Kind
            | MessageField::Absent
            | MessageField::Empty
            | MessageField::Text
            | MessageField::ClientMessageId
            | MessageField::CreatedAt
            | MessageField::EditedAt
            | MessageField::DeletedAt => None,
        });
        let (plan, None) = (plans.next(), plans.next()) else {
            return None;
        };
        let Some(plan) = plan else {
            return Some(Self::default());
        };
        let written = page.senders.iter().map(|(id, sender)| {
            let mut out = Vec::new();
            plan.write_sender(&mut out, *id, sender);
            (*id, out)
        });
        Some(Self(written.collect()))
    }

    fn write(&self, out: &mut Vec<u8>, sender: Option<UserId>) {
        match sender.and_then(|id| self.0.get(&id)) {
            Some(written) => out.extend_from_slice(written),
            None => out.extend_from_slice(b"null"),
        }
    }
}
