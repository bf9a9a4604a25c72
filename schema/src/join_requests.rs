//! Asking to join a conversation.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::join_requests::{
    self, JoinAskPosition, JoinRequest as Row, JoinRequestState as RowState,
};
use backchannel_domain::page::{End, Page};
use backchannel_domain::{ConversationId, JoinRequestId};
use futures_util::{Stream, StreamExt as _};

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::error::Result;
use crate::id::Global as _;
use crate::previews::ConversationPreview;
use crate::rooms::room_named;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::streaming;
use crate::users::User;

/// How far a request to join has come.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowState")]
pub(crate) enum JoinRequestState {
    /// It waits for an answer.
    Pending,
    /// The user came in.
    Approved,
    /// The user is not wanted, and cannot ask again for 30 days.
    Declined,
    /// The user does not want to any more.
    Withdrawn,
}

#[derive(Clone)]
pub(crate) struct JoinRequest {
    scope: Scope,
    row: Arc<Row>,
}

impl JoinRequest {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }

    /// A page of those that wait for an answer of a conversation.
    pub(crate) async fn page(
        scope: &Scope,
        id: ConversationId,
        args: RawPageArgs,
    ) -> Result<Connection<Self>> {
        let request = args.decode(parse_cursor)?.check(End::Start)?;
        let page = scope.loaders().join_request_page(id, request).await?;
        Ok(Self::connection(scope, &page))
    }

    /// A page of the viewer's own.
    pub(crate) async fn own_page(scope: &Scope, args: RawPageArgs) -> Result<Connection<Self>> {
        let request = args.decode(parse_cursor)?.check(End::Start)?;
        let page = join_requests::list(scope.cx(), &request).await?;
        Ok(Self::connection(scope, &page))
    }

    fn connection(scope: &Scope, page: &Page<Row>) -> Connection<Self> {
        let cursor = |row: &Row| {
            let JoinAskPosition { asked_at, id } = JoinAskPosition::of(row);
            time_cursor(List::JoinRequests, asked_at, id.0)
        };
        Connection::of(page, cursor, |row| Self::new(scope, Arc::new(row.clone())))
    }
}

fn parse_cursor(cursor: &str) -> Option<JoinAskPosition> {
    let (asked_at, id) = parse_time_cursor(List::JoinRequests, cursor)?;
    let id = JoinRequestId(id);
    Some(JoinAskPosition { asked_at, id })
}

/// Somebody would like to come into a conversation. There is one of a user in a conversation at most. It is forgotten
/// 90 days after it was asked, 30 after it was answered.
#[Object]
impl JoinRequest {
    /// Identifier.
    async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// The conversation; null once it was deleted, or nobody waits for an answer any more and the viewer
    /// does not see it.
    async fn conversation(&self) -> Result<Option<ConversationPreview>> {
        let (id, loaders) = (self.row.conversation_id, self.scope.loaders());
        let found = match self.row.state {
            RowState::Pending => loaders.preview(id).await?,
            RowState::Approved | RowState::Declined | RowState::Withdrawn => {
                loaders.find_conversation(id).await?
            }
        };
        Ok(found.map(|row| ConversationPreview::new(&self.scope, row)))
    }

    /// Who asks.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.user_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// How far it has come.
    async fn state(&self) -> JoinRequestState {
        self.row.state.into()
    }

    /// When it was asked last.
    async fn asked_at(&self) -> DateTime {
        self.row.asked_at.into()
    }

    /// When its state last changed.
    async fn changed_at(&self) -> DateTime {
        self.row.changed_at.into()
    }
}

/// Which room to ask to join: `slug` or `conversationId`.
#[derive(InputObject)]
struct RequestToJoinInput {
    /// Its slug.
    slug: Option<String>,
    /// Its identifier: not every room has a slug.
    conversation_id: Option<ID>,
}

/// The answer to `requestToJoin`.
#[derive(SimpleObject)]
struct RequestToJoinPayload {
    /// The request.
    join_request: JoinRequest,
}

/// Whom to let in.
#[derive(InputObject)]
struct ApproveJoinRequestInput {
    /// A request to join one of the viewer's conversations.
    join_request_id: ID,
}

/// The answer to `approveJoinRequest`.
#[derive(SimpleObject)]
struct ApproveJoinRequestPayload {
    /// The request.
    join_request: JoinRequest,
}

/// Whom not to let in.
#[derive(InputObject)]
struct DeclineJoinRequestInput {
    /// A request to join one of the viewer's conversations.
    join_request_id: ID,
}

/// The answer to `declineJoinRequest`.
#[derive(SimpleObject)]
struct DeclineJoinRequestPayload {
    /// The request.
    join_request: JoinRequest,
}

/// Which request to take back.
#[derive(InputObject)]
struct WithdrawJoinRequestInput {
    /// One of the viewer.
    join_request_id: ID,
}

/// The answer to `withdrawJoinRequest`.
#[derive(SimpleObject)]
struct WithdrawJoinRequestPayload {
    /// The request.
    join_request: JoinRequest,
}

#[derive(Default)]
pub(crate) struct JoinRequestsMutation;

#[Object]
impl JoinRequestsMutation {
    /// Asks to join a ROOM that `joinsByRequest`; where it does not, CONFLICT: there is `joinRoom`. Answers the
    /// request that is PENDING to who asks again. FORBIDDEN to who is banned or was declined lately.
    async fn request_to_join(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which room.")] input: RequestToJoinInput,
    ) -> Result<RequestToJoinPayload> {
        let scope = Scope::of(ctx);
        let room = room_named(input.conversation_id.as_ref(), input.slug.as_deref())?;
        let row = join_requests::ask_room(scope.cx(), room).await?;
        Ok(RequestToJoinPayload {
            join_request: JoinRequest::new(scope, row),
        })
    }

    /// Lets somebody in who asked, by a MemberJoined event. Owners and admins may; to others there is no such
    /// request.
    async fn approve_join_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: ApproveJoinRequestInput,
    ) -> Result<ApproveJoinRequestPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = JoinRequestId::parse(&input.join_request_id)?;
        let row = join_requests::approve(scope.cx(), id).await?;
        Ok(ApproveJoinRequestPayload {
            join_request: JoinRequest::new(scope, row),
        })
    }

    /// Does not let somebody in who asked. Owners and admins may.
    async fn decline_join_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: DeclineJoinRequestInput,
    ) -> Result<DeclineJoinRequestPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = JoinRequestId::parse(&input.join_request_id)?;
        let row = join_requests::decline(scope.cx(), id).await?;
        Ok(DeclineJoinRequestPayload {
            join_request: JoinRequest::new(scope, row),
        })
    }

    /// Takes the viewer's own request back.
    async fn withdraw_join_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: WithdrawJoinRequestInput,
    ) -> Result<WithdrawJoinRequestPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = JoinRequestId::parse(&input.join_request_id)?;
        let row = join_requests::withdraw(scope.cx(), id).await?;
        Ok(WithdrawJoinRequestPayload {
            join_request: JoinRequest::new(scope, row),
        })
    }
}

#[derive(Default)]
pub(crate) struct JoinRequestsSubscription;

#[Subscription]
impl JoinRequestsSubscription {
    /// The requests to join a conversation that wait for an answer, the latest 200 of them, the oldest first; then each that
    /// comes. For owners and admins: it completes when the viewer is none any more.
    async fn join_request_received(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which conversation.")] conversation_id: ID,
    ) -> Result<impl Stream<Item = JoinRequest> + use<>> {
        let scope = Scope::of(ctx).clone();
        let cx = scope.cx();
        let received = streaming::each(ctx, async {
            cx.signed_in()?;
            let id = ConversationId::parse(&conversation_id)?;
            Ok(join_requests::received(cx, id).await?)
        });
        Ok(received
            .await?
            .map(move |row| JoinRequest::new(&scope, row)))
    }
}
