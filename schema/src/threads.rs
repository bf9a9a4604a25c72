//! Threads: the replies to a message.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::threads::{self, ReaderPosition, ThreadRead};
use backchannel_domain::messages::{Message as MessageRow, MessageDetail};
use backchannel_domain::page::End;
use backchannel_domain::{MessageId, UserId};

use crate::connection::{
    Connection, List, RawPageArgs, page_cost, parse_seq_cursor, parse_time_cursor, seq_cursor,
    time_cursor,
};
use crate::error::Result;
use crate::id::Global as _;
use crate::messages::Message;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::users::User;

/// The thread of a message.
pub(crate) struct Thread {
    scope: Scope,
    root: Arc<MessageRow>,
    row: Arc<MessageDetail>,
}

impl Thread {
    /// The thread, if the message has one.
    pub(crate) fn of(
        scope: &Scope,
        root: &Arc<MessageRow>,
        row: Arc<MessageDetail>,
    ) -> Option<Self> {
        let has_begun = row.reply_count > 0;
        has_begun.then(|| Self {
            scope: scope.clone(),
            root: Arc::clone(root),
            row,
        })
    }
}

/// The replies to a message. Each is a message of the conversation like any other.
#[Object]
impl Thread {
    /// How many there are; deleted ones do not count.
    async fn reply_count(&self) -> i32 {
        int(self.row.reply_count)
    }

    /// The newest of them; null where the viewer does not see that one.
    async fn last_reply(&self) -> Result<Option<Message>> {
        match self.row.last_reply_id {
            Some(id) => {
                let row = self.scope.loaders().quoted(id).await?;
                Ok(row.map(|row| Message::new(&self.scope, row)))
            }
            None => Ok(None),
        }
    }

    /// When that was sent.
    async fn last_reply_at(&self) -> Option<DateTime> {
        self.row.last_reply_at.map(Into::into)
    }

    /// The replies, deleted ones as tombstones, oldest first within a page: 1 to 200 a page, the newest 50
    /// where no page is asked for. Depends on the viewer: those that the viewer has hidden are left out.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn replies(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200.")] first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200, 50 by default.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Message>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let cursor = |cursor: &str| parse_seq_cursor(List::Replies, cursor);
        let request = args.decode(cursor)?.check(End::Finish)?;
        let page = self
            .scope
            .loaders()
            .thread_page(self.root.id, request)
            .await?;
        Ok(Connection::of(
            &page,
            |row: &Arc<MessageRow>| seq_cursor(List::Replies, row.seq),
            |row| Message::new(&self.scope, Arc::clone(row)),
        ))
    }

    /// How far the viewer has read it: 0 until `markThreadRead`. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn read_seq(&self) -> Result<i32> {
        let standing = self.scope.loaders().thread_standing(self.root.id).await?;
        Ok(int(standing.read_seq))
    }

    /// Replies of others after that, and after the viewer joined. Deleted ones, and those that the
    /// viewer has hidden, do not count. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn unread_count(&self) -> Result<i32> {
        let standing = self.scope.loaders().thread_standing(self.root.id).await?;
        Ok(int(standing.unread))
    }

    /// How far members have read it, who moved last last. Depends on the viewer: those who have switched
    /// read receipts off are left out, and all are if the viewer has.
    #[graphql(
        complexity = "page_cost(first, last, child_complexity)",
        directive = per_viewer::apply()
    )]
    async fn readers(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<ThreadReader>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let cursor = |cursor: &str| {
            let (marked_at, user_id) = parse_time_cursor(List::ThreadReaders, cursor)?;
            let user_id = UserId(user_id);
            Some(ReaderPosition { marked_at, user_id })
        };
        let request = args.decode(cursor)?.check(End::Start)?;
        let page = self
            .scope
            .loaders()
            .thread_reader_page(self.root.id, request)
            .await?;
        Ok(Connection::of(
            &page,
            |row: &ThreadRead| {
                let ReaderPosition { marked_at, user_id } = ReaderPosition::of(row);
                time_cursor(List::ThreadReaders, marked_at, user_id.0)
            },
            |row| ThreadReader {
                scope: self.scope.clone(),
                row: row.clone(),
            },
        ))
    }
}

/// How far a member has read a thread.
#[derive(Clone)]
pub(crate) struct ThreadReader {
    scope: Scope,
    row: ThreadRead,
}

/// How far a member has read a thread.
#[Object]
impl ThreadReader {
    /// Who.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.user_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// Every reply up to and including this position.
    async fn read_seq(&self) -> i32 {
        int(self.row.read_seq)
    }

    /// When that last moved.
    async fn at(&self) -> DateTime {
        self.row.marked_at.into()
    }
}

/// How far a thread was read.
#[derive(InputObject)]
struct MarkThreadReadInput {
    /// The message whose thread it is, or any in that thread.
    message_id: ID,
    /// Every reply up to and including this position.
    seq: i32,
}

/// The answer to `markThreadRead`.
#[derive(SimpleObject)]
struct MarkThreadReadPayload {
    /// The message whose thread it is.
    message: Message,
}

#[derive(Default)]
pub(crate) struct ThreadsMutation;

#[Object]
impl ThreadsMutation {
    /// Notes how far the viewer has read a thread. It only ever moves forward: a smaller seq is a no-op, a
    /// seq past the conversation's lastSeq is BAD_USER_INPUT. Of a reply it is the thread that the reply is in;
    /// for a message without a thread it is a no-op. It is apart from `markRead`, which is for the conversation
    /// as a whole.
    async fn mark_thread_read(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which thread, and how far.")] input: MarkThreadReadInput,
    ) -> Result<MarkThreadReadPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.message_id)?;
        let row = threads::mark_read(scope.cx(), id, input.seq.into()).await?;
        Ok(MarkThreadReadPayload {
            message: Message::new(scope, row),
        })
    }
}
