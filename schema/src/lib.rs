//! The GraphQL API: types, queries, mutations and subscriptions over `domain`'s use cases.
//!
//! 1. [`Api::prepare`] takes a [`request`], refuses what is too large ([`document`]) and
//!    parses the rest, once: [`documents`] keeps what it has parsed, and knows the [`trusted`].
//!    So is it validated once, where possible ([`validity`]).
//! 2. [`Api::execute`] or [`Api::subscribe`] run it for an actor: a subscription once for each event
//!    ([`streaming`]), and that once for all who ask the same ([`sharing`]).
//! 3. A resolver makes a request struct of the domain out of its input, calls one use case
//!    and wraps the answer. It never decides who may do what.
//! 4. Objects carry their [`scope`]: the actor and the request's loaders, behind which
//!    every relation lies.
//! 5. Results are made to fit what was asked ([`completion`]). Pages of messages are written as
//!    [`json`] where they are resolved, if that can be ([`plain`]).
//! 6. Errors leave with a code ([`error`]); what is not the client's fault leaves with
//!    nothing else.
//!
//! One file a noun: its types, inputs, queries, mutations and subscriptions. The SDL is
//! committed as `schema.graphql`, and a test compares the two.

mod answer;
mod audit;
mod bans;
mod blocks;
mod bots;
mod calls;
mod canonical;
mod codes;
mod completion;
mod connection;
mod contacts;
mod content;
mod conversations;
mod document;
mod documents;
mod edits;
mod error;
mod events;
mod filters;
mod id;
mod invitations;
mod join_requests;
mod json;
mod loaders;
mod members;
mod message_page;
mod message_states;
mod messages;
mod node;
mod pins;
mod plain;
mod polls;
mod presence;
mod previews;
mod privacy;
mod profiles;
mod rates;
mod reactions;
mod receipts;
mod reports;
mod request;
mod requests;
mod rooms;
mod scalars;
mod scheduled;
mod scope;
mod sessions;
mod settings;
mod sharing;
mod states;
mod streaming;
mod system;
mod tallies;
mod templates;
mod threads;
mod trusted;
mod typing;
mod users;
mod validity;
mod viewer;

use std::sync::Arc;

use async_graphql::{
    MergedObject, MergedSubscription, Response, Schema, ValidationMode, Variables,
};
use backchannel_domain::Cx;
use backchannel_domain::admission::Admission;
use futures_util::Stream;
use tokio::task::unconstrained;

pub use answer::{Answer, Encoded, is_request_error, to_json};
use documents::Documents;

use document::Document;
pub use document::{Operation, OperationKind};
pub use error::{code, failure, refusal, whole_seconds};
pub use rates::tell_allowance;
pub use request::{Asked, GraphQlRequest, Sent};
pub use scalars::rfc3339;
pub use trusted::{ManifestError, Others, Trusted};

use sharing::Executions;

use completion::{Shape, Types};
use scope::Scope;

/// The most fields one operation may come to, pages multiplied out.
pub const COMPLEXITY: usize = 20_000;

/// The root of all reading.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
struct Query(
    audit::AuditQuery,
    invitations::InvitationsQuery,
    rooms::RoomsQuery,
    users::UsersQuery,
    calls::CallsQuery,
    node::NodeQuery,
    viewer::ViewerQuery,
    conversations::ConversationsQuery,
);

/// The root of all changes. Each answers once its change is durable.
// It is merged in parts, of which each holds the next: in one piece, the future of any mutation would
// lie as deep as there are nouns. Whatever comes last is looked at first.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
struct Mutation(
    AccountMutations,
    PeopleMutations,
    ConversationMutations,
    LiveMutations,
    MessageMutations,
);

/// Who one is.
#[derive(MergedObject, Default)]
struct AccountMutations(
    sessions::SessionsMutation,
    codes::CodesMutation,
    bots::BotsMutation,
    profiles::ProfilesMutation,
    privacy::PrivacyMutation,
);

/// Whom one knows.
#[derive(MergedObject, Default)]
struct PeopleMutations(
    contacts::ContactsMutation,
    requests::RequestsMutation,
    blocks::BlocksMutation,
    reports::ReportsMutation,
);

/// Where one talks.
#[derive(MergedObject, Default)]
struct ConversationMutations(
    templates::TemplatesMutation,
    states::StatesMutation,
    join_requests::JoinRequestsMutation,
    invitations::InvitationsMutation,
    bans::BansMutation,
    settings::SettingsMutation,
    conversations::ConversationsMutation,
    members::MembersMutation,
);

/// What lasts a moment.
#[derive(MergedObject, Default)]
struct LiveMutations(
    calls::CallsMutation,
    presence::PresenceMutation,
    typing::TypingMutation,
    receipts::ReceiptsMutation,
);

/// What one says.
#[derive(MergedObject, Default)]
struct MessageMutations(
    scheduled::ScheduledMutation,
    polls::PollsMutation,
    message_states::MessageStatesMutation,
    pins::PinsMutation,
    threads::ThreadsMutation,
    reactions::ReactionsMutation,
    messages::MessagesMutation,
);

/// The root of all streams.
#[derive(MergedSubscription, Default)]
#[graphql(name = "Subscription")]
struct Subscription(
    events::EventsSubscription,
    presence::PresenceSubscription,
    profiles::ProfilesSubscription,
    calls::CallsSubscription,
    receipts::ReceiptsSubscription,
    typing::TypingSubscription,
    requests::RequestsSubscription,
    states::StatesSubscription,
    message_states::MessageStatesSubscription,
    join_requests::JoinRequestsSubscription,
);

type Root = Schema<Query, Mutation, Subscription>;

/// Whether clients may ask the schema about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Introspection {
    /// They may.
    Allowed,
    /// They may not.
    Refused,
}

/// The executable schema. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    root: Root,
    /// The same, for documents that are known to be valid.
    executing: Root,
    documents: Arc<Documents>,
    executions: Arc<Executions>,
}

impl Api {
    /// Builds the schema; its streams start in turns of `admission`.
    #[must_use]
    pub fn new(introspection: Introspection, admission: Admission, trusted: Trusted) -> Self {
        let build = |validation| {
            let builder = Root::build(Query::default(), Mutation::default(), Subscription::default())
                .data(admission.clone())
                .validation_mode(validation)
                .limit_complexity(COMPLEXITY)
                // A suggestion tells a stranger the names that introspection does not.
                .disable_suggestions();
            match introspection {
                Introspection::Allowed => builder.finish(),
                Introspection::Refused => builder.disable_introspection().finish(),
            }
        };
        let (root, executing) = (build(ValidationMode::Strict), build(ValidationMode::Fast));
        let types = Types::of_sdl(&root.sdl());
        Self {
            root,
            executing,
            documents: Arc::new(Documents::new(types, introspection, trusted)),
            executions: Arc::default(),
        }
    }

    /// The schema in GraphQL's definition language.
    #[must_use]
    pub fn sdl() -> String {
        let options = async_graphql::SDLExportOptions::new().prefer_single_line_descriptions();
        Self::new(
            Introspection::Allowed,
            Admission::new(1),
            Trusted::default(),
        )
        .root
        .sdl_with_options(options)
    }

    /// Finds a request's document, or checks its size and shape and parses it.
    ///
    /// # Errors
    /// The answer to send instead of executing it.
    pub fn prepare(&self, request: GraphQlRequest) -> Result<Operation, Box<Response>> {
        let operations = self.documents.find(request.document)?;
        let document = operations.select(request.operation_name.as_deref())?;
        Ok(Operation {
            kind: document.kind,
            variables: document.variables(request.variables),
            document,
        })
    }

    /// Runs a query or mutation.
    pub async fn execute(&self, operation: Operation, cx: Cx) -> Response {
        let Operation {
            document,
            variables,
            ..
        } = operation;
        let (root, learning) = self.validating(&document, &variables);
        let request = document.request(variables).data(Scope::new(cx));
        // Whole: where tokio's budget made some fields wait, they would come too late for the
        // loaders' batches and cost statements of their own.
        let response = unconstrained(root.execute(request)).await;
        if learning && !is_request_error(&response) {
            document.validity.learn();
        }
        finish(response, &document.shape)
    }

    /// What executes an operation, and whether it tells thereby that the operation is valid.
    fn validating(&self, document: &Document, variables: &Variables) -> (&Root, bool) {
        if document.validity.is_known(variables) {
            (&self.executing, false)
        } else {
            (&self.root, document.validity.is_told_by(variables))
        }
    }

    /// Runs a subscription.
    pub fn subscribe(
        &self,
        operation: Operation,
        cx: Cx,
    ) -> impl Stream<Item = Answer> + Send + use<> {
        streaming::answers(self, operation, cx)
    }
}

fn finish(response: Response, shape: &Shape) -> Response {
    let mut response = error::finish(response);
    shape.complete(&mut response);
    response
}
