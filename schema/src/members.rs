//! Members of a conversation.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use backchannel_domain::members::{self, Member as Row, Role};
use backchannel_domain::{ConversationId, UserId};

use crate::connection::{Edge, PageInfo};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::{Global as _, parse_all};
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::users::User;

/// What a member may do.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Role")]
pub(crate) enum MemberRole {
    /// Made the conversation, or inherited it: removes anyone, deletes any message.
    Owner,
    /// Removes plain members, deletes any message.
    Admin,
    /// Takes part.
    Member,
}

#[derive(Clone)]
pub(crate) struct Member {
    scope: Scope,
    row: Arc<Row>,
}

impl Member {
    pub(crate) fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// A user in a conversation.
#[Object]
impl Member {
    /// Who.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.user_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// With which role.
    async fn role(&self) -> MemberRole {
        self.row.role.into()
    }

    /// Since when.
    async fn joined_at(&self) -> DateTime {
        self.row.joined_at.into()
    }

    /// Everything up to and including this position has reached one of the member's devices.
    async fn delivered_seq(&self) -> i32 {
        int(self.row.delivered_seq)
    }

    /// Everything up to and including this position has been read.
    async fn read_seq(&self) -> i32 {
        int(self.row.read_seq)
    }
}

pub(crate) struct MemberConnection {
    scope: Scope,
    conversation_id: ConversationId,
    edges: Vec<Edge<Member>>,
    nodes: Vec<Member>,
    page_info: PageInfo,
}

impl MemberConnection {
    pub(crate) fn new(
        scope: &Scope,
        conversation_id: ConversationId,
        edges: Vec<Edge<Member>>,
        nodes: Vec<Member>,
        page_info: PageInfo,
    ) -> Self {
        Self {
            scope: scope.clone(),
            conversation_id,
            edges,
            nodes,
            page_info,
        }
    }
}

/// A page of the members of a conversation.
#[Object]
impl MemberConnection {
    /// The items, each with its cursor.
    async fn edges(&self) -> &[Edge<Member>] {
        &self.edges
    }

    /// The items alone.
    async fn nodes(&self) -> &[Member] {
        &self.nodes
    }

    /// Where the page stands in the list.
    async fn page_info(&self) -> &PageInfo {
        &self.page_info
    }

    /// How many members there are in all.
    async fn total_count(&self) -> Result<i32> {
        Ok(int(self
            .scope
            .loaders()
            .member_count(self.conversation_id)
            .await?))
    }
}

/// Members to add.
#[derive(InputObject)]
struct AddMembersInput {
    /// Where.
    conversation_id: ID,
    /// Who; at most 200. Those who are members already stay as they are.
    user_ids: Vec<ID>,
}

/// The answer to `addMembers`.
#[derive(SimpleObject)]
struct AddMembersPayload {
    /// The conversation.
    conversation: Conversation,
}

/// A member to remove.
#[derive(InputObject)]
struct RemoveMemberInput {
    /// From where.
    conversation_id: ID,
    /// Who; the viewer's own id means to leave.
    user_id: ID,
}

/// The answer to `removeMember`.
#[derive(SimpleObject)]
struct RemoveMemberPayload {
    /// The conversation, as it was when the member went.
    conversation: Conversation,
}

#[derive(Default)]
pub(crate) struct MembersMutation;

#[Object]
impl MembersMutation {
    /// Adds members, each by a MemberJoined event. Any member of a GROUP or ROOM may; in a
    /// CHANNEL, owners and admins; a DIRECT conversation stays as it is.
    async fn add_members(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and who.")] input: AddMembersInput,
    ) -> Result<AddMembersPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let row = members::add(scope.cx(), id, parse_all(&input.user_ids)?).await?;
        Ok(AddMembersPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }

    /// Removes a member, or leaves, by a MemberLeft event after which the member's own
    /// streams of the conversation complete. When the OWNER leaves, the ADMIN, else the
    /// MEMBER, who has been there longest becomes OWNER.
    async fn remove_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From where, and who.")] input: RemoveMemberInput,
    ) -> Result<RemoveMemberPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let row = members::remove(scope.cx(), id, UserId::parse(&input.user_id)?).await?;
        Ok(RemoveMemberPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }
}
