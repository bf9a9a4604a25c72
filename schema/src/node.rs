//! Refetching by global id (Relay).

use async_graphql::{Context, ID, Interface, Object};
use backchannel_domain::Error;
use backchannel_domain::limits::IDS_PER_REQUEST;

use crate::calls::Call;
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::GlobalId;
use crate::messages::Message;
use crate::requests::ChatRequest;
use crate::scope::Scope;
use crate::sessions::Session;
use crate::templates::Template;
use crate::users::User;

/// Anything that can be fetched again by its id.
#[derive(Clone, Interface)]
#[graphql(field(name = "id", ty = "ID", desc = "Global identifier."))]
pub(crate) enum Node {
    User(User),
    Conversation(Conversation),
    Message(Message),
    Call(Call),
    Session(Session),
    ChatRequest(ChatRequest),
    Template(Template),
}

#[derive(Default)]
pub(crate) struct NodeQuery;

#[Object]
impl NodeQuery {
    /// Any `Node` by its id. NOT_FOUND for what does not exist or may not be seen.
    async fn node(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global identifier.")] id: ID,
    ) -> Result<Option<Node>> {
        find(Scope::of(ctx), &id).await.map(Some)
    }

    /// Several at once, in the order of `ids`; null for each that does not exist or may not
    /// be seen.
    #[graphql(complexity = "1 + ids.len() * child_complexity")]
    async fn nodes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The global identifiers; at most 200.")] ids: Vec<ID>,
    ) -> Result<Vec<Option<Node>>> {
        if ids.len() > IDS_PER_REQUEST {
            let message = format!("must name at most {IDS_PER_REQUEST}");
            return Err(Error::bad_input("ids", message).into());
        }
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let found = futures_util::future::join_all(ids.iter().map(|id| find_if_any(scope, id)));
        found.await.into_iter().collect()
    }
}

async fn find(scope: &Scope, id: &ID) -> Result<Node> {
    scope.cx().signed_in()?;
    find_if_any(scope, id)
        .await?
        .ok_or_else(|| Error::NotFound("node").into())
}

async fn find_if_any(scope: &Scope, id: &ID) -> Result<Option<Node>> {
    let loaders = scope.loaders();
    let found = match GlobalId::parse(id) {
        None
        | Some(
            GlobalId::Code(_)
            | GlobalId::ApiKey(_)
            | GlobalId::Invitation(_)
            | GlobalId::JoinRequest(_),
        ) => return Ok(None),
        Some(GlobalId::User(id)) => {
            let row = loaders.user(id).await;
            row.map(|row| Node::User(User::new(scope, row)))
        }
        Some(GlobalId::Conversation(id)) => {
            let row = loaders.conversation(id).await;
            row.map(|row| Node::Conversation(Conversation::new(scope, row)))
        }
        Some(GlobalId::Message(id)) => {
            let row = loaders.message(id).await;
            row.map(|row| Node::Message(Message::new(scope, row)))
        }
        Some(GlobalId::Call(id)) => {
            let row = loaders.call(id).await;
            row.map(|row| Node::Call(Call::new(scope, row)))
        }
        Some(GlobalId::Session(id)) => {
            let row = loaders.session(id).await;
            row.map(|row| Node::Session(Session::new(scope, row)))
        }
        Some(GlobalId::ChatRequest(id)) => {
            let row = loaders.chat_request(id).await;
            row.map(|row| Node::ChatRequest(ChatRequest::new(scope, row)))
        }
        Some(GlobalId::Template(id)) => {
            let row = loaders.template(id).await;
            row.map(|row| Node::Template(Template::new(row)))
        }
    };
    match found {
        Ok(node) => Ok(Some(node)),
        Err(Error::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
