//! Asking for a direct conversation.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::requests::{
    self, ChatRequest as Row, ChatRequestState as RowState, Direction, NewChatRequest,
};
use backchannel_domain::{ChatRequestId, ConversationId, Error, UserId};
use futures_util::{Stream, StreamExt as _};

use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::streaming;
use crate::users::User;

/// How far a chat request has come.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowState")]
pub(crate) enum ChatRequestState {
    /// It waits for an answer.
    Pending,
    /// The conversation is there.
    Accepted,
    /// The one who was asked does not want to.
    Declined,
    /// The one who asked does not want to any more.
    Cancelled,
}

/// Whose chat requests.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Direction")]
pub(crate) enum ChatRequestDirection {
    /// Those of others to the viewer.
    Incoming,
    /// The viewer's own.
    Outgoing,
}

#[derive(Clone)]
pub(crate) struct ChatRequest {
    scope: Scope,
    row: Arc<Row>,
}

impl ChatRequest {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// Somebody would like to talk with somebody. There is one of a pair: who asks again, or the other way
/// round, turns it back to PENDING. One of which nothing comes is forgotten after a year.
#[Object]
impl ChatRequest {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// Who asked.
    async fn from(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.from_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// Who was asked.
    async fn to(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.to_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// How far it has come.
    async fn state(&self) -> ChatRequestState {
        self.row.state.into()
    }

    /// The first message, while it is PENDING, if there is one. With the acceptance it becomes the
    /// first message of the conversation.
    async fn text(&self) -> Option<&str> {
        self.row.text.as_deref()
    }

    /// When it was asked last.
    async fn asked_at(&self) -> DateTime {
        self.row.asked_at.into()
    }

    /// When its state last changed.
    async fn changed_at(&self) -> DateTime {
        self.row.changed_at.into()
    }

    /// The conversation that came of it; null unless it was ACCEPTED.
    async fn conversation(&self) -> Result<Option<Conversation>> {
        if self.row.state != RowState::Accepted {
            return Ok(None);
        }
        let id = ConversationId(self.row.id.0);
        match self.scope.loaders().conversation(id).await {
            Ok(row) => Ok(Some(Conversation::new(&self.scope, row))),
            Err(Error::NotFound(_)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Whom to ask: one of `userId`, `email` and `phone`.
#[derive(InputObject)]
struct RequestChatInput {
    /// A user.
    user_id: Option<ID>,
    /// The e-mail address of a user who may be found by it.
    email: Option<String>,
    /// The phone number of a user who may be found by it.
    phone: Option<String>,
    /// A first message, 1 to 4,000 characters: shown with the request, and sent when it is accepted.
    text: Option<String>,
}

/// The answer to `requestChat`.
#[derive(SimpleObject)]
struct RequestChatPayload {
    /// The request.
    request: ChatRequest,
}

/// Which request to accept.
#[derive(InputObject)]
struct AcceptChatRequestInput {
    /// One to the viewer.
    request_id: ID,
}

/// The answer to `acceptChatRequest`.
#[derive(SimpleObject)]
struct AcceptChatRequestPayload {
    /// The request, with its conversation.
    request: ChatRequest,
}

/// Which request to decline.
#[derive(InputObject)]
struct DeclineChatRequestInput {
    /// One to the viewer.
    request_id: ID,
}

/// The answer to `declineChatRequest`.
#[derive(SimpleObject)]
struct DeclineChatRequestPayload {
    /// The request.
    request: ChatRequest,
}

/// Which request to take back.
#[derive(InputObject)]
struct CancelChatRequestInput {
    /// One of the viewer.
    request_id: ID,
}

/// The answer to `cancelChatRequest`.
#[derive(SimpleObject)]
struct CancelChatRequestPayload {
    /// The request.
    request: ChatRequest,
}

#[derive(Default)]
pub(crate) struct RequestsMutation;

#[Object]
impl RequestsMutation {
    /// Asks somebody for a direct conversation. Answers ACCEPTED where there is one already, and
    /// where they have asked the viewer; PENDING once more, and no second time to them, where it is
    /// PENDING. NOT_FOUND for an address or number that is nobody's, and alike for one by which its
    /// owner may not be found. FORBIDDEN for one whom the viewer blocks, or who has declined three
    /// times.
    async fn request_chat(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to ask.")] input: RequestChatInput,
    ) -> Result<RequestChatPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let RequestChatInput {
            user_id,
            email,
            phone,
            text,
        } = input;
        let user_id = user_id.map(|id| UserId::parse(&id)).transpose()?;
        let by = [email.as_deref(), phone.as_deref()];
        let new = NewChatRequest::parse(scope.cx().domain(), user_id, by, text)?;
        let row = requests::ask(scope.cx(), new).await?;
        Ok(RequestChatPayload {
            request: ChatRequest::new(scope, row),
        })
    }

    /// Accepts a request: the conversation is there, and begins with the first message.
    async fn accept_chat_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: AcceptChatRequestInput,
    ) -> Result<AcceptChatRequestPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ChatRequestId::parse(&input.request_id)?;
        let row = requests::accept(scope.cx(), id).await?;
        Ok(AcceptChatRequestPayload {
            request: ChatRequest::new(scope, row),
        })
    }

    /// Declines a request, of which the one who asked is told. They may ask again, until they have
    /// been declined three times.
    async fn decline_chat_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: DeclineChatRequestInput,
    ) -> Result<DeclineChatRequestPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ChatRequestId::parse(&input.request_id)?;
        let row = requests::decline(scope.cx(), id).await?;
        Ok(DeclineChatRequestPayload {
            request: ChatRequest::new(scope, row),
        })
    }

    /// Takes the viewer's own request back.
    async fn cancel_chat_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: CancelChatRequestInput,
    ) -> Result<CancelChatRequestPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ChatRequestId::parse(&input.request_id)?;
        let row = requests::cancel(scope.cx(), id).await?;
        Ok(CancelChatRequestPayload {
            request: ChatRequest::new(scope, row),
        })
    }
}

#[derive(Default)]
pub(crate) struct RequestsSubscription;

#[Subscription]
impl RequestsSubscription {
    /// Emits the viewer's PENDING requests, of both directions, the latest 200 of them, the oldest first; then
    /// each that changes, as it is then.
    #[graphql(directive = per_viewer::apply())]
    async fn chat_request_changed(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = ChatRequest> + use<>> {
        let scope = Scope::of(ctx).clone();
        let changes = streaming::each(ctx, async { Ok(requests::changes(scope.cx()).await?) });
        Ok(changes.await?.map(move |row| ChatRequest::new(&scope, row)))
    }
}
