//! Relay connections: cursors, edges and page information.

use async_graphql::{OutputType, SimpleObject};
use backchannel_domain::page::{Page, PageArgs};
use backchannel_domain::{Error, Timestamp, feed};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::Uuid;

use crate::audit::AuditEntry;
use crate::bans::Ban;
use crate::blocks::BlockedUser;
use crate::calls::Call;
use crate::contacts::Contact;
use crate::conversations::Conversation;
use crate::edits::MessageEdit;
use crate::error::Result;
use crate::invitations::Invitation;
use crate::join_requests::JoinRequest;
use crate::messages::Message;
use crate::requests::ChatRequest;
use crate::scalars::Cursor;
use crate::scheduled::ScheduledMessage;
use crate::sessions::Session;
use crate::templates::Template;
use crate::threads::ThreadReader;
use crate::users::User;

/// Where a page stands in its list.
#[derive(Clone, SimpleObject)]
pub(crate) struct PageInfo {
    /// Whether more follow behind this page.
    has_next_page: bool,
    /// Whether more precede this page.
    has_previous_page: bool,
    /// Cursor of the first item; null for an empty page.
    start_cursor: Option<String>,
    /// Cursor of the last item; null for an empty page.
    end_cursor: Option<String>,
}

/// A page of a list.
#[derive(SimpleObject)]
#[graphql(concrete(name = "AuditEntryConnection", params(AuditEntry)))]
#[graphql(concrete(name = "BanConnection", params(Ban)))]
#[graphql(concrete(name = "BlockedUserConnection", params(BlockedUser)))]
#[graphql(concrete(name = "CallConnection", params(Call)))]
#[graphql(concrete(name = "ChatRequestConnection", params(ChatRequest)))]
#[graphql(concrete(name = "ContactConnection", params(Contact)))]
#[graphql(concrete(name = "ConversationConnection", params(Conversation)))]
#[graphql(concrete(name = "MessageEditConnection", params(MessageEdit)))]
#[graphql(concrete(name = "ThreadReaderConnection", params(ThreadReader)))]
#[graphql(concrete(name = "MessageListConnection", params(Message)))]
#[graphql(concrete(name = "ScheduledMessageConnection", params(ScheduledMessage)))]
#[graphql(concrete(name = "InvitationConnection", params(Invitation)))]
#[graphql(concrete(name = "JoinRequestConnection", params(JoinRequest)))]
#[graphql(concrete(name = "SessionConnection", params(Session)))]
#[graphql(concrete(name = "TemplateConnection", params(Template)))]
#[graphql(concrete(name = "UserConnection", params(User)))]
pub(crate) struct Connection<T: OutputType>
where
    Edge<T>: OutputType,
{
    /// The items, each with its cursor.
    pub(crate) edges: Vec<Edge<T>>,
    /// The items alone.
    pub(crate) nodes: Vec<T>,
    /// Where the page stands in the list.
    pub(crate) page_info: PageInfo,
}

impl<T: Clone + OutputType> Connection<T>
where
    Edge<T>: OutputType,
{
    /// A page of rows as a page of nodes.
    pub(crate) fn of<R>(
        page: &Page<R>,
        cursor: impl Fn(&R) -> String,
        node: impl Fn(&R) -> T,
    ) -> Self {
        let (edges, nodes, page_info) = edges(page, cursor, node);
        Self {
            edges,
            nodes,
            page_info,
        }
    }
}

/// An item of a list, and where it stands.
#[derive(SimpleObject)]
#[graphql(concrete(name = "AuditEntryEdge", params(AuditEntry)))]
#[graphql(concrete(name = "BanEdge", params(Ban)))]
#[graphql(concrete(name = "BlockedUserEdge", params(BlockedUser)))]
#[graphql(concrete(name = "CallEdge", params(Call)))]
#[graphql(concrete(name = "ChatRequestEdge", params(ChatRequest)))]
#[graphql(concrete(name = "ContactEdge", params(Contact)))]
#[graphql(concrete(name = "ConversationEdge", params(Conversation)))]
#[graphql(concrete(name = "InvitationEdge", params(Invitation)))]
#[graphql(concrete(name = "JoinRequestEdge", params(JoinRequest)))]
#[graphql(concrete(name = "MemberEdge", params(crate::members::Member)))]
#[graphql(concrete(name = "MessageEdge", params(Message)))]
#[graphql(concrete(name = "MessageEditEdge", params(MessageEdit)))]
#[graphql(concrete(name = "ThreadReaderEdge", params(ThreadReader)))]
#[graphql(concrete(name = "ScheduledMessageEdge", params(ScheduledMessage)))]
#[graphql(concrete(name = "SessionEdge", params(Session)))]
#[graphql(concrete(name = "TemplateEdge", params(Template)))]
#[graphql(concrete(name = "UserEdge", params(User)))]
pub(crate) struct Edge<T: OutputType> {
    /// Opaque: hand it back as `after` or `before`.
    cursor: String,
    /// The item.
    node: T,
}

impl<T: OutputType> Edge<T> {
    pub(crate) fn new(cursor: String, node: T) -> Self {
        Self { cursor, node }
    }
}

impl PageInfo {
    pub(crate) fn of<R>(page: &Page<R>, cursor: impl Fn(&R) -> String) -> Self {
        Self {
            has_next_page: page.has_next,
            has_previous_page: page.has_previous,
            start_cursor: page.items.first().map(&cursor),
            end_cursor: page.items.last().map(cursor),
        }
    }
}

/// Makes edges and page information of a page.
pub(crate) fn edges<R, T: Clone + OutputType>(
    page: &Page<R>,
    cursor: impl Fn(&R) -> String,
    node: impl Fn(&R) -> T,
) -> (Vec<Edge<T>>, Vec<T>, PageInfo) {
    let edges: Vec<Edge<T>> = page
        .items
        .iter()
        .map(|row| Edge::new(cursor(row), node(row)))
        .collect();
    let nodes = edges.iter().map(|edge| edge.node.clone()).collect();
    (edges, nodes, PageInfo::of(page, cursor))
}

/// The arguments of a connection, as clients send them.
pub(crate) struct RawPageArgs {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

impl RawPageArgs {
    /// Decodes the cursors.
    pub(crate) fn decode<C>(self, cursor: impl Fn(&str) -> Option<C>) -> Result<PageArgs<C>> {
        let decode = |field, text: Option<String>| {
            text.map(|text| {
                cursor(&text).ok_or_else(|| Error::bad_input(field, "is not a cursor of this list"))
            })
            .transpose()
        };
        Ok(PageArgs {
            first: self.first,
            after: decode("after", self.after)?,
            last: self.last,
            before: decode("before", self.before)?,
        })
    }
}

/// What a page of so many items costs, for the complexity limit. Sizes out of bounds are
/// refused when the field is resolved.
pub(crate) fn page_cost(first: Option<i32>, last: Option<i32>, each: usize) -> usize {
    use backchannel_domain::limits::{DEFAULT_PAGE_SIZE, PAGE_SIZE};
    let size = first.or(last).and_then(|size| u32::try_from(size).ok());
    let size = size.unwrap_or(DEFAULT_PAGE_SIZE).min(PAGE_SIZE);
    1 + (size as usize) * each
}

/// The lists that have cursors. Each cursor begins with its list's tag, so that it is refused
/// in another.
#[derive(Clone, Copy)]
pub(crate) enum List {
    Conversations = 1,
    Members = 2,
    Messages = 3,
    ViewerEvents = 4,
    Calls = 5,
    Sessions = 6,
    Audit = 7,
    Users = 8,
    Contacts = 9,
    ChatRequests = 10,
    Blocks = 11,
    Edits = 12,
    Replies = 13,
    ThreadReaders = 14,
    Scheduled = 15,
    Rooms = 31,
    Templates = 32,
    Reactions = 40,
    Pins = 41,
    Stars = 42,
    Voters = 43,
    Bans = 50,
    Invitations = 51,
    JoinRequests = 52,
}

fn encode(list: List, position: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode([&[list as u8], position].concat())
}

fn decoded(list: List, cursor: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(cursor).ok()?;
    bytes.strip_prefix(&[list as u8]).map(<[u8]>::to_vec)
}

/// Cursor of a viewer's stream.
pub(crate) fn stream_cursor(cursor: &feed::Cursor) -> Cursor {
    Cursor(encode(List::ViewerEvents, &cursor.encode()))
}

/// Reads what [`stream_cursor`] made.
pub(crate) fn parse_stream_cursor(cursor: &Cursor) -> Result<feed::Cursor> {
    decoded(List::ViewerEvents, &cursor.0)
        .and_then(|bytes| feed::Cursor::decode(&bytes))
        .ok_or_else(|| Error::bad_input("after", "is not a cursor of this stream").into())
}

/// Cursor of a position in a conversation, or in a log.
pub(crate) fn seq_cursor(list: List, seq: i64) -> String {
    encode(list, &seq.to_be_bytes())
}

/// Reads what [`seq_cursor`] made.
pub(crate) fn parse_seq_cursor(list: List, cursor: &str) -> Option<i64> {
    let position = decoded(list, cursor)?;
    Some(i64::from_be_bytes(position.try_into().ok()?)).filter(|seq| *seq >= 0)
}

/// Cursor of a place in a list ordered by time and, within a millisecond, by key.
pub(crate) fn time_cursor(list: List, at: Timestamp, key: Uuid) -> String {
    encode(
        list,
        &[at.0.to_be_bytes().as_slice(), key.as_bytes()].concat(),
    )
}

/// Reads what [`time_cursor`] made.
pub(crate) fn parse_time_cursor(list: List, cursor: &str) -> Option<(Timestamp, Uuid)> {
    let position = decoded(list, cursor)?;
    let (at, key) = position.split_at_checked(8)?;
    let at = Timestamp(i64::from_be_bytes(at.try_into().ok()?));
    Some((at, Uuid::from_slice(key).ok()?))
}

/// Cursor of a place in a list ordered by a count and, where it is the same, by key.
pub(crate) fn count_cursor(list: List, count: i64, key: Uuid) -> String {
    time_cursor(list, Timestamp(count), key)
}

/// Reads what [`count_cursor`] made.
pub(crate) fn parse_count_cursor(list: List, cursor: &str) -> Option<(i64, Uuid)> {
    let (Timestamp(count), key) = parse_time_cursor(list, cursor)?;
    Some((count, key))
}

/// Cursor of a key, in a list ordered by keys.
pub(crate) fn key_cursor(list: List, key: Uuid) -> String {
    encode(list, key.as_bytes())
}

/// Reads what [`key_cursor`] made.
pub(crate) fn parse_key_cursor(list: List, cursor: &str) -> Option<Uuid> {
    Uuid::from_slice(&decoded(list, cursor)?).ok()
}

/// Cursor of a place in a list ordered by words and, where they are the same, by key.
pub(crate) fn word_cursor(list: List, word: &str, key: Uuid) -> String {
    encode(list, &[key.as_bytes(), word.as_bytes()].concat())
}

/// Reads what [`word_cursor`] made.
pub(crate) fn parse_word_cursor(list: List, cursor: &str) -> Option<(String, Uuid)> {
    let position = decoded(list, cursor)?;
    let (key, word) = position.split_at_checked(16)?;
    let word = String::from_utf8(word.to_vec()).ok()?;
    // No word has any, and Postgres does not take all of them.
    let is_word = !word.chars().any(char::is_control);
    Some((word, Uuid::from_slice(key).ok()?)).filter(|_| is_word)
}
