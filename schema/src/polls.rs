//! Polls.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::messages::{Message as MessageRow, MessageKind};
use backchannel_domain::polls::{self, Ballot, Poll as Row};
use backchannel_domain::{ConversationId, MessageId};

use crate::connection::{Connection, List, RawPageArgs, page_cost};
use crate::error::Result;
use crate::id::Global as _;
use crate::messages::Message;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::tallies::{parse_page, users};
use crate::users::User;

pub(crate) struct Poll {
    scope: Scope,
    row: Arc<Row>,
}

/// What a message asks. The question is the message's text.
#[Object]
impl Poll {
    /// What there is to choose from, in order; 2 to 12.
    #[graphql(complexity = "1 + 12 * child_complexity")]
    async fn options(&self) -> Vec<PollOption> {
        let options = (0..self.row.options.0.len()).map(|index| PollOption {
            scope: self.scope.clone(),
            row: Arc::clone(&self.row),
            index,
        });
        options.collect()
    }

    /// Whether one may choose several.
    async fn allows_multiple(&self) -> bool {
        self.row.allows_multiple
    }

    /// Whether nobody is told who chose what: `voters` has nobody, and events of votes have no `actor`.
    async fn is_anonymous(&self) -> bool {
        self.row.is_anonymous
    }

    /// When it closes by itself, if it does. There is no event at that moment: clients go by the clock.
    async fn closes_at(&self) -> Option<DateTime> {
        self.row.closes_at.map(Into::into)
    }

    /// Whether no votes are taken any more.
    async fn is_closed(&self) -> bool {
        polls::is_closed(&self.row, self.scope.cx().domain().clock().now())
    }

    /// How many have voted.
    async fn voter_count(&self) -> i32 {
        int(self.row.voter_count)
    }

    /// The numbers of the options that the viewer has chosen. Depends on the viewer.
    #[graphql(directive = per_viewer::apply())]
    async fn viewer_votes(&self) -> Result<Vec<i32>> {
        let own = self.scope.loaders().own_votes(self.row.message_id).await?;
        Ok(own.to_vec())
    }
}

struct PollOption {
    scope: Scope,
    row: Arc<Row>,
    index: usize,
}

impl PollOption {
    fn row(&self) -> &polls::PollOption {
        &self.row.options.0[self.index]
    }

    fn known_as(&self) -> i32 {
        i32::try_from(self.index + 1).expect("options are few")
    }
}

/// Something to choose in a poll.
#[Object]
impl PollOption {
    /// What it is known as: 1, 2, 3 and so on, as they stand in the poll.
    async fn number(&self) -> i32 {
        self.known_as()
    }

    /// What it says.
    async fn text(&self) -> &str {
        &self.row().text
    }

    /// How many have chosen it.
    async fn count(&self) -> i32 {
        int(self.row().count)
    }

    /// Who has, the first one first; nobody where the poll is anonymous.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn voters(
        &self,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<User>> {
        let args = RawPageArgs {
            first,
            after,
            last,
            before,
        };
        let request = parse_page(List::Voters, args)?;
        let key = (self.row.message_id, self.known_as());
        let page = self.scope.loaders().voter_page(key, request).await?;
        users(&self.scope, List::Voters, &page).await
    }
}

/// The poll of a message; none once that is deleted.
pub(crate) async fn of_message(scope: &Scope, row: &MessageRow) -> Result<Option<Poll>> {
    if row.kind != MessageKind::Poll || row.deleted_at.is_some() {
        return Ok(None);
    }
    let poll = scope.loaders().poll(row.id).await?;
    Ok(poll.map(|row| Poll {
        scope: scope.clone(),
        row,
    }))
}

/// A poll to send.
#[derive(InputObject)]
struct CreatePollInput {
    /// Where.
    conversation_id: ID,
    /// What is asked: 1 to 300 characters.
    question: String,
    /// What there is to choose from: 2 to 12 different ones of 1 to 100 characters.
    options: Vec<String>,
    /// Whether one may choose several.
    #[graphql(default)]
    allows_multiple: bool,
    /// Whether nobody is told who chose what.
    #[graphql(default)]
    is_anonymous: bool,
    /// When it closes by itself: in the future.
    closes_at: Option<DateTime>,
    /// The sender's own key for this message, 1 to 128 bytes: repeat it to retry safely.
    client_message_id: Option<String>,
}

/// The answer to `createPoll`.
#[derive(SimpleObject)]
struct CreatePollPayload {
    /// The message; to a retry, the one that was sent first.
    message: Message,
}

/// What to choose in a poll.
#[derive(InputObject)]
struct VotePollInput {
    /// The message that holds it.
    message_id: ID,
    /// The numbers of all options that the viewer chooses; an empty list takes the vote back.
    options: Vec<i32>,
}

/// The answer to `votePoll`.
#[derive(SimpleObject)]
struct VotePollPayload {
    /// The message that holds the poll.
    message: Message,
}

/// Which poll to close.
#[derive(InputObject)]
struct ClosePollInput {
    /// The message that holds it.
    message_id: ID,
}

/// The answer to `closePoll`.
#[derive(SimpleObject)]
struct ClosePollPayload {
    /// The message that holds the poll.
    message: Message,
}

#[derive(Default)]
pub(crate) struct PollsMutation;

#[Object]
impl PollsMutation {
    /// Sends a message of the kind POLL, which cannot be edited, forwarded or scheduled. Whoever may
    /// send messages may; the same (sender, clientMessageId) again returns the first message, with
    /// other content it is CONFLICT.
    async fn create_poll(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and what is asked.")] input: CreatePollInput,
    ) -> Result<CreatePollPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let ballot = Ballot {
            options: input.options,
            allows_multiple: input.allows_multiple,
            is_anonymous: input.is_anonymous,
            closes_at: input.closes_at.map(|at| at.0),
        };
        let key = input.client_message_id;
        let row = polls::create(scope.cx(), id, input.question, ballot, key).await?;
        Ok(CreatePollPayload {
            message: Message::new(scope, row),
        })
    }

    /// Votes in a poll, in place of what the viewer has chosen before. Any member may, unless the
    /// conversation is archived; there too a vote can be taken back. CONFLICT once the poll is closed.
    /// What many do within a short while is one PollChanged event.
    async fn vote_poll(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which poll, and what to choose.")] input: VotePollInput,
    ) -> Result<VotePollPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = MessageId::parse(&input.message_id)?;
        let row = polls::vote(scope.cx(), id, &input.options).await?;
        Ok(VotePollPayload {
            message: Message::new(scope, row),
        })
    }

    /// Closes a poll: one's own, or, except in a DIRECT conversation, any as OWNER or ADMIN. One that is
    /// closed is no change.
    async fn close_poll(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which poll.")] input: ClosePollInput,
    ) -> Result<ClosePollPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = polls::close(scope.cx(), MessageId::parse(&input.message_id)?).await?;
        Ok(ClosePollPayload {
            message: Message::new(scope, row),
        })
    }
}
