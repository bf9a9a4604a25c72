//! Members of a conversation.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use backchannel_domain::members::{self, JoinPosition, Member as Row, Role};
use backchannel_domain::page::Page;
use backchannel_domain::receipts;
use backchannel_domain::{ConversationId, MessageId, UserId};

use crate::connection::{Edge, List, PageInfo, edges, parse_time_cursor, time_cursor};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::{Global as _, parse_all};
use crate::scalars::{DateTime, int};
use crate::scope::Scope;
use crate::sharing::per_viewer;
use crate::users::User;

/// What a member may do.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Role")]
pub(crate) enum MemberRole {
    /// Made the conversation, inherited it or was given it: does what an ADMIN does, to anyone, and
    /// deletes the conversation, gives roles and invites admins. There is one.
    Owner,
    /// Sends where few do; removes and bans plain members, adds and invites others, lets in who asks,
    /// changes settings, archives and restores, pins, deletes any message, closes any poll.
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

    /// Whether how far the member has come is none of the viewer's business: they are not in a room, or
    /// are told what happened while they were somewhere.
    async fn is_strangers(&self) -> Result<bool> {
        if self.row.user_id == self.scope.cx().signed_in()?.user.id {
            return Ok(false);
        }
        let membership = self
            .scope
            .loaders()
            .viewer_membership(self.row.conversation_id);
        Ok(membership.await?.is_none())
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

    /// Everything up to and including this position has reached one of the member's devices. Depends
    /// on the viewer: of a member who is blocked, or blocks the viewer, it is as it was before; 0 to
    /// one who is no member.
    #[graphql(directive = per_viewer::apply())]
    async fn delivered_seq(&self) -> Result<i32> {
        if self.is_strangers().await? {
            return Ok(0);
        }
        let shown = receipts::shown(self.scope.cx(), &self.row)?;
        Ok(int(shown.delivered_seq))
    }

    /// Everything up to and including this position has been read. Depends on the viewer: 0
    /// for another member, if that member or the viewer has switched read receipts off; as it was
    /// before, if one of the two blocks the other; 0 to one who is no member.
    #[graphql(directive = per_viewer::apply())]
    async fn read_seq(&self) -> Result<i32> {
        let user_id = self.row.user_id;
        if self.is_strangers().await? {
            return Ok(0);
        }
        if !self.scope.loaders().shows_reads(user_id).await? {
            return Ok(0);
        }
        let shown = receipts::shown(self.scope.cx(), &self.row)?;
        Ok(int(shown.read_seq))
    }
}

/// Which members a list has.
pub(crate) enum MemberList {
    /// Those of a conversation.
    All(ConversationId),
    /// Those who have seen a message.
    SeenBy(MessageId),
}

/// Reads the cursor of a list of members.
pub(crate) fn parse_member_cursor(cursor: &str) -> Option<JoinPosition> {
    let (joined_at, user_id) = parse_time_cursor(List::Members, cursor)?;
    let user_id = UserId(user_id);
    Some(JoinPosition { joined_at, user_id })
}

pub(crate) struct MemberConnection {
    scope: Scope,
    list: MemberList,
    edges: Vec<Edge<Member>>,
    nodes: Vec<Member>,
    page_info: PageInfo,
}

impl MemberConnection {
    pub(crate) fn new(scope: &Scope, list: MemberList, page: &Page<Row>) -> Self {
        let cursor = |row: &Row| {
            let JoinPosition { joined_at, user_id } = JoinPosition::of(row);
            time_cursor(List::Members, joined_at, user_id.0)
        };
        let node = |row: &Row| Member::new(scope, Arc::new(row.clone()));
        let (edges, nodes, page_info) = edges(page, cursor, node);
        Self {
            scope: scope.clone(),
            list,
            edges,
            nodes,
            page_info,
        }
    }
}

/// A page of members.
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
        let loaders = self.scope.loaders();
        let count = match self.list {
            MemberList::All(id) => loaders.member_count(id).await?,
            MemberList::SeenBy(id) => loaders.seen_by_count(id).await?,
        };
        Ok(int(count))
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

/// A member, and the role to be.
#[derive(InputObject)]
struct SetMemberRoleInput {
    /// Where.
    conversation_id: ID,
    /// Which member.
    user_id: ID,
    /// The role from now on. OWNER hands the conversation over: the viewer is ADMIN then.
    role: MemberRole,
}

/// The answer to `setMemberRole`.
#[derive(SimpleObject)]
struct SetMemberRolePayload {
    /// The member, with the role.
    member: Member,
}

#[derive(Default)]
pub(crate) struct MembersMutation;

#[Object]
impl MembersMutation {
    /// Adds members, each by a MemberJoined event. Owners and admins may, and in a GROUP or ROOM any
    /// member unless `onlyAdminsAdd` or `joinsByRequest`; a DIRECT conversation stays as it is.
    /// FORBIDDEN, too, for who is banned, and where one of them and the viewer block each other.
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

    /// Gives a member another role, by a MemberRoleChanged event; one more tells of the OWNER who hands the
    /// conversation over. The OWNER may give any role to others, an ADMIN may step down to MEMBER; all
    /// else is FORBIDDEN, and so is everything in a DIRECT conversation. In a ROOM whose OWNER is nobody's
    /// account, as that of `general`, operators of the server who are members may give any role, to
    /// themselves too.
    async fn set_member_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which member, and the role.")] input: SetMemberRoleInput,
    ) -> Result<SetMemberRolePayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let user_id = UserId::parse(&input.user_id)?;
        let row = members::set_role(scope.cx(), id, user_id, input.role.into()).await?;
        Ok(SetMemberRolePayload {
            member: Member::new(scope, row),
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
