//! Calls: their types, how they are found, what may be done with them, and the stream of what
//! a device is told.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject, Subscription};
use backchannel_domain::admission::Admission;
use backchannel_domain::calls::{
    self, Call as CallRow, CallKind as RowKind, CallState as RowState, MediaKind, NewSignal,
    Outcome as RowOutcome, Party, PartyState as RowPartyState, SignalKind as RowSignalKind,
    StartPosition,
};
use backchannel_domain::page::End;
use backchannel_domain::{CallId, ConversationId};
use futures_util::{Stream, StreamExt as _};

use crate::connection::{Connection, List, RawPageArgs, page_cost, parse_time_cursor, time_cursor};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::streaming;
use crate::users::User;

/// What is sent in a call.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowKind")]
pub(crate) enum CallKind {
    /// Sound.
    Audio,
    /// Sound and picture.
    Video,
}

/// How far a call has come.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowState")]
pub(crate) enum CallState {
    /// Nobody has answered yet; after 40 seconds it ends by itself.
    Ringing,
    /// Somebody has answered.
    Answered,
    /// It is over.
    Ended,
}

/// What became of a call that is over.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowOutcome")]
pub(crate) enum CallOutcome {
    /// It was answered.
    Completed,
    /// Nobody answered in time.
    Missed,
    /// It was turned down.
    Declined,
    /// The caller gave up before anybody answered.
    Cancelled,
    /// A party was in another call; it never rang.
    Busy,
}

/// How a user stands to a call.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowPartyState")]
pub(crate) enum CallPartyState {
    /// Is being rung.
    Ringing,
    /// Is in the call; the caller from the beginning.
    Joined,
    /// Turned it down.
    Declined,
    /// Was in the call.
    Left,
    /// Did not answer.
    Missed,
    /// Was in another call.
    Busy,
}

/// What a device is told of a call.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowSignalKind")]
pub(crate) enum CallSignalKind {
    /// The call rings for the viewer. To all devices.
    Ringing,
    /// The call was answered. To the two devices that are in it now.
    Answered,
    /// Another device of the viewer has answered: stop ringing.
    AnsweredElsewhere,
    /// Another device of the viewer has turned the call down: stop ringing.
    DeclinedElsewhere,
    /// A WebRTC offer of the device on the other side.
    Offer,
    /// A WebRTC answer of the device on the other side.
    Answer,
    /// An ICE candidate of the device on the other side.
    Candidate,
    /// The call is over; `call.outcome` says why.
    Ended,
}

/// What a device has to say to the device on the other side.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "MediaKind")]
pub(crate) enum CallMediaKind {
    /// A WebRTC offer.
    Offer,
    /// The answer to one.
    Answer,
    /// An ICE candidate.
    Candidate,
}

#[derive(Clone)]
pub(crate) struct Call {
    scope: Scope,
    row: Arc<CallRow>,
}

impl Call {
    /// Wraps a call of a conversation that the scope's actor is in.
    pub(crate) fn new(scope: &Scope, row: Arc<CallRow>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// Somebody ringing somebody, and what became of it. Stays as a record once it is over.
#[Object]
impl Call {
    /// Global identifier.
    pub(crate) async fn id(&self) -> ID {
        self.row.row.id.global()
    }

    /// Whose members it is between.
    async fn conversation(&self) -> Result<Conversation> {
        let id = self.row.row.conversation_id;
        let row = self.scope.loaders().conversation(id).await?;
        Ok(Conversation::new(&self.scope, row))
    }

    /// What is sent in it.
    async fn kind(&self) -> CallKind {
        self.row.row.kind.into()
    }

    /// How far it has come.
    async fn state(&self) -> CallState {
        self.row.row.state.into()
    }

    /// Who started it.
    async fn caller(&self) -> Result<User> {
        let id = self.row.row.caller_id;
        Ok(User::new(&self.scope, self.scope.loaders().user(id).await?))
    }

    /// Who takes part, or was to; the caller first.
    async fn parties(&self) -> Vec<CallParty> {
        let party = |party: &Party| CallParty {
            scope: self.scope.clone(),
            row: party.clone(),
        };
        self.row.parties.iter().map(party).collect()
    }

    /// When it was started.
    async fn started_at(&self) -> DateTime {
        self.row.row.started_at.into()
    }

    /// When it was answered; null if it was not.
    async fn answered_at(&self) -> Option<DateTime> {
        self.row.row.answered_at.map(Into::into)
    }

    /// When it was over; null while it goes on.
    async fn ended_at(&self) -> Option<DateTime> {
        self.row.row.ended_at.map(Into::into)
    }

    /// How long it lasted from the answer, in whole seconds; null unless it was answered and
    /// is over.
    async fn duration_seconds(&self) -> Option<i32> {
        self.row.duration_seconds().map(int)
    }

    /// What became of it; null while it goes on.
    async fn outcome(&self) -> Option<CallOutcome> {
        self.row.row.outcome.map(Into::into)
    }
}

#[derive(Clone)]
pub(crate) struct CallParty {
    scope: Scope,
    row: Party,
}

/// A user in a call.
#[Object]
impl CallParty {
    /// Who.
    async fn user(&self) -> Result<User> {
        Ok(User::new(
            &self.scope,
            self.scope.loaders().user(self.row.user_id).await?,
        ))
    }

    /// How the user stands to the call.
    async fn state(&self) -> CallPartyState {
        self.row.state.into()
    }
}

/// Servers that help two devices to reach each other: an entry of WebRTC's `iceServers`.
#[derive(SimpleObject)]
struct IceServer {
    /// Their `stun:`, `stuns:`, `turn:` or `turns:` URLs.
    urls: Vec<String>,
    /// User name for TURN; null for STUN, which asks for none.
    username: Option<String>,
    /// Password that goes with it, good for six hours.
    credential: Option<String>,
}

#[derive(Default)]
pub(crate) struct CallsQuery;

#[Object]
impl CallsQuery {
    /// A call of a conversation the viewer is in. NOT_FOUND for any other.
    async fn call(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its global identifier.")] id: ID,
    ) -> Result<Option<Call>> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = scope.loaders().call(CallId::parse(&id)?).await?;
        Ok(Some(Call::new(scope, row)))
    }

    /// The viewer's calls, newest first, those that go on among them.
    #[graphql(complexity = "page_cost(first, last, child_complexity)")]
    async fn call_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those of this conversation.")] conversation_id: Option<ID>,
        #[graphql(desc = "Take so many from the beginning: 1 to 200, 50 by default.")]
        first: Option<i32>,
        #[graphql(desc = "Start behind the item with this cursor.")] after: Option<String>,
        #[graphql(desc = "Take so many from the end: 1 to 200.")] last: Option<i32>,
        #[graphql(desc = "Stop in front of the item with this cursor.")] before: Option<String>,
    ) -> Result<Connection<Call>> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let conversation_id = conversation_id
            .map(|id| ConversationId::parse(&id))
            .transpose()?;
        let request = RawPageArgs {
            first,
            after,
            last,
            before,
        }
        .decode(|cursor| {
            let (started_at, id) = parse_time_cursor(List::Calls, cursor)?;
            Some(StartPosition {
                started_at,
                id: CallId(id),
            })
        })?
        .check(End::Start)?;
        let page = calls::list(scope.cx(), conversation_id, &request).await?;
        let cursor = |row: &CallRow| {
            let position = StartPosition::of(row);
            time_cursor(List::Calls, position.started_at, position.id.0)
        };
        Ok(Connection::of(&page, cursor, |row| {
            Call::new(scope, Arc::new(row.clone()))
        }))
    }

    /// What to give to `RTCPeerConnection` for a call that goes on and that the viewer is a
    /// party of. Empty where no servers are configured.
    async fn ice_servers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "For which call.")] call_id: ID,
    ) -> Result<Vec<IceServer>> {
        let cx = Scope::of(ctx).cx();
        cx.signed_in()?;
        let servers = calls::ice_servers(cx, CallId::parse(&call_id)?).await?;
        let server = |server: calls::IceServer| {
            let (username, credential) = server.credentials.unzip();
            IceServer {
                urls: server.urls,
                username,
                credential,
            }
        };
        Ok(servers.into_iter().map(server).collect())
    }
}

/// A call to start.
#[derive(InputObject)]
struct StartCallInput {
    /// Whom to ring: the other member of this DIRECT conversation.
    conversation_id: ID,
    /// What is to be sent.
    kind: CallKind,
}

/// The answer to `startCall`.
#[derive(SimpleObject)]
struct StartCallPayload {
    /// The call. Where the other was ringing the viewer at the same moment, theirs, and
    /// answered; where somebody is in another call, one that has ended as BUSY.
    call: Call,
}

/// A call to answer.
#[derive(InputObject)]
struct AnswerCallInput {
    /// Which call.
    call_id: ID,
}

/// The answer to `answerCall`.
#[derive(SimpleObject)]
struct AnswerCallPayload {
    /// The call, with this device in it.
    call: Call,
}

/// A call to turn down.
#[derive(InputObject)]
struct DeclineCallInput {
    /// Which call.
    call_id: ID,
}

/// The answer to `declineCall`.
#[derive(SimpleObject)]
struct DeclineCallPayload {
    /// The call, which is over.
    call: Call,
}

/// Something to say to the device on the other side.
#[derive(InputObject)]
struct SendCallSignalInput {
    /// In which call.
    call_id: ID,
    /// What it is.
    kind: CallMediaKind,
    /// What to say, 1 to 65,536 bytes without NUL: handed over as it is.
    payload: String,
}

/// The answer to `sendCallSignal`.
#[derive(SimpleObject)]
struct SendCallSignalPayload {
    /// True.
    ok: bool,
}

/// A call to leave.
#[derive(InputObject)]
struct HangUpInput {
    /// Which call.
    call_id: ID,
}

/// The answer to `hangUp`.
#[derive(SimpleObject)]
struct HangUpPayload {
    /// The call, which is over.
    call: Call,
}

#[derive(Default)]
pub(crate) struct CallsMutation;

#[Object]
impl CallsMutation {
    /// Rings the other member of a DIRECT conversation, on all their devices, for 40 seconds.
    /// A user is in one call at a time. Sent again by the same device while the call goes on,
    /// it answers that call.
    async fn start_call(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom to ring.")] input: StartCallInput,
    ) -> Result<StartCallPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let row = calls::start(scope.cx(), id, input.kind.into()).await?;
        let call = Call::new(scope, row);
        Ok(StartCallPayload { call })
    }

    /// Answers a call with this device. The first of the viewer's devices wins; the others are
    /// told ANSWERED_ELSEWHERE, and answering there is CONFLICT.
    async fn answer_call(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which call.")] input: AnswerCallInput,
    ) -> Result<AnswerCallPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = calls::answer(scope.cx(), CallId::parse(&input.call_id)?).await?;
        let call = Call::new(scope, row);
        Ok(AnswerCallPayload { call })
    }

    /// Turns a call down, for all devices of the viewer. Once it is over, that is no change.
    async fn decline_call(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which call.")] input: DeclineCallInput,
    ) -> Result<DeclineCallPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = calls::decline(scope.cx(), CallId::parse(&input.call_id)?).await?;
        let call = Call::new(scope, row);
        Ok(DeclineCallPayload { call })
    }

    /// Says something to the device on the other side. Only the two devices in the call may;
    /// what the caller says before the answer waits for the device that gives it. At most 256
    /// of a party are kept: beyond that within two minutes it is RATE_LIMITED.
    async fn send_call_signal(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, and in which call.")] input: SendCallSignalInput,
    ) -> Result<SendCallSignalPayload> {
        let cx = Scope::of(ctx).cx();
        cx.signed_in()?;
        let id = CallId::parse(&input.call_id)?;
        let new = NewSignal::parse(id, input.kind.into(), input.payload)?;
        calls::send_signal(cx, new).await?;
        Ok(SendCallSignalPayload { ok: true })
    }

    /// Leaves a call, by any device of the viewer; while it rings for the viewer, that declines
    /// it. Once it is over, that is no change.
    async fn hang_up(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which call.")] input: HangUpInput,
    ) -> Result<HangUpPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = calls::hang_up(scope.cx(), CallId::parse(&input.call_id)?).await?;
        let call = Call::new(scope, row);
        Ok(HangUpPayload { call })
    }
}

struct CallSignal {
    scope: Scope,
    signal: Arc<calls::Signal>,
}

/// Something that a device is told of a call.
#[Object]
impl CallSignal {
    /// The call, as it is now.
    async fn call(&self) -> Call {
        Call::new(&self.scope, Arc::clone(&self.signal.call))
    }

    /// Position among all that this device is told of this call: rising, with holes. After a
    /// reconnect, what is not greater than the last one seen is a repeat.
    async fn seq(&self) -> i32 {
        int(self.signal.n)
    }

    /// What it is told.
    async fn kind(&self) -> CallSignalKind {
        self.signal.kind.into()
    }

    /// Who caused it; null where time did.
    async fn from(&self) -> Result<Option<User>> {
        match self.signal.from {
            Some(id) => Ok(Some(User::new(
                &self.scope,
                self.scope.loaders().user(id).await?,
            ))),
            None => Ok(None),
        }
    }

    /// What was said, for OFFER, ANSWER and CANDIDATE.
    async fn payload(&self) -> Option<&str> {
        self.signal.payload.as_deref()
    }
}

#[derive(Default)]
pub(crate) struct CallsSubscription;

#[Subscription]
impl CallsSubscription {
    /// What the viewer's device is told of calls, in order. It begins with what the device
    /// needs of the call there is, so that a device that comes late still rings, and one that
    /// comes back goes on; of a call that was over lately it may be told the end once more.
    #[graphql(directive = per_viewer::apply())]
    async fn call_signaled(
        &self,
        ctx: &Context<'_>,
    ) -> Result<impl Stream<Item = CallSignal> + use<>> {
        let scope = Scope::of(ctx).clone();
        let cx = scope.cx();
        let admission = ctx.data_unchecked::<Admission>();
        let signals = streaming::each(ctx, async {
            cx.signed_in()?;
            let signals = admission.in_turn(calls::signals(cx)).await?;
            Ok(signals.map(Arc::new))
        });
        Ok(signals.await?.map(move |signal| CallSignal {
            scope: scope.clone(),
            signal,
        }))
    }
}
