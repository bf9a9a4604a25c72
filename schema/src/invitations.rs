//! Links by which others come into a conversation.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::invitations::{
    self, Invitation as Row, InvitationPosition, NewInvitation, Preview,
};
use backchannel_domain::members::Role;
use backchannel_domain::page::End;
use backchannel_domain::{ConversationId, InvitationId};

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::conversations::{Conversation, entered};
use crate::error::Result;
use crate::id::Global as _;
use crate::join_requests::JoinRequest;
use crate::members::MemberRole;
use crate::previews::ConversationPreview;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::users::User;

#[derive(Clone)]
pub(crate) struct Invitation {
    scope: Scope,
    row: Arc<Row>,
}

impl Invitation {
    fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }

    /// A page of those to a conversation.
    pub(crate) async fn page(
        scope: &Scope,
        id: ConversationId,
        args: RawPageArgs,
    ) -> Result<Connection<Self>> {
        let position = |cursor: &str| {
            let (created_at, id) = parse_time_cursor(List::Invitations, cursor)?;
            let id = InvitationId(id);
            Some(InvitationPosition { created_at, id })
        };
        let request = args.decode(position)?.check(End::Start)?;
        let page = scope.loaders().invitation_page(id, request).await?;
        let cursor = |row: &Row| {
            let InvitationPosition { created_at, id } = InvitationPosition::of(row);
            time_cursor(List::Invitations, created_at, id.0)
        };
        let node = |row: &Row| Self::new(scope, Arc::new(row.clone()));
        Ok(Connection::of(&page, cursor, node))
    }
}

/// A link by which others come into a conversation. Its code is shown once, by `createInvitation`. It
/// is good for as long as whoever made it may make it, and ends when they leave, are removed or are
/// demoted.
#[Object]
impl Invitation {
    /// Identifier.
    async fn id(&self) -> ID {
        self.row.id.global()
    }

    /// Who made it.
    async fn inviter(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.inviter_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// With which role one comes in.
    async fn role(&self) -> MemberRole {
        self.row.role.into()
    }

    /// Whether one asks to join by it, instead of coming in.
    async fn asks_first(&self) -> bool {
        self.row.asks_first
    }

    /// How often it can be used; null for any number of times.
    async fn max_uses(&self) -> Option<i32> {
        self.row.max_uses
    }

    /// How often it was used.
    async fn use_count(&self) -> i32 {
        self.row.uses
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.row.created_at.into()
    }

    /// When it is over, or was revoked; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        invitations::expires_at(&self.row).map(Into::into)
    }
}

pub(crate) struct InvitationPreview {
    scope: Scope,
    preview: Preview,
}

/// What an invitation leads to, for whoever was given its code.
#[Object]
impl InvitationPreview {
    /// The conversation.
    async fn conversation(&self) -> ConversationPreview {
        ConversationPreview::new(&self.scope, Arc::clone(&self.preview.conversation))
    }

    /// Who made the invitation.
    async fn inviter(&self) -> Result<User> {
        let id = self.preview.invitation.inviter_id;
        let row = self.scope.loaders().user(id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// With which role one comes in.
    async fn role(&self) -> MemberRole {
        self.preview.invitation.role.into()
    }

    /// Whether `acceptInvitation` asks to join, instead of coming in.
    async fn asks_first(&self) -> bool {
        self.preview.asks
    }

    /// When it is over; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        invitations::expires_at(&self.preview.invitation).map(Into::into)
    }
}

#[derive(Default)]
pub(crate) struct InvitationsQuery;

#[Object]
impl InvitationsQuery {
    /// What an invitation leads to. NOT_FOUND for a code of none, of one that is over, and of one whose maker
    /// might not make it any more; FORBIDDEN to who is banned there.
    async fn invitation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The code of the link.")] code: String,
    ) -> Result<InvitationPreview> {
        let scope = Scope::of(ctx);
        Ok(InvitationPreview {
            preview: invitations::preview(scope.cx(), &code).await?,
            scope: scope.clone(),
        })
    }
}

/// An invitation to make.
#[derive(InputObject)]
struct CreateInvitationInput {
    /// To where.
    conversation_id: ID,
    /// With which role one comes in: MEMBER, or ADMIN if the viewer is the OWNER.
    #[graphql(default_with = "MemberRole::Member")]
    role: MemberRole,
    /// Whether one asks to join by it, instead of coming in; not with ADMIN.
    #[graphql(default = false)]
    asks_first: bool,
    /// How often it can be used, 1 to 100,000; null for any number of times.
    max_uses: Option<i32>,
    /// When it is over; null for never.
    expires_at: Option<DateTime>,
}

/// The answer to `createInvitation`.
#[derive(SimpleObject)]
struct CreateInvitationPayload {
    /// The invitation.
    invitation: Invitation,
    /// Its code, which whoever has it comes in by: it is not shown again.
    code: String,
}

/// Which invitation to end.
#[derive(InputObject)]
struct RevokeInvitationInput {
    /// Which.
    invitation_id: ID,
}

/// The answer to `revokeInvitation`.
#[derive(SimpleObject)]
struct RevokeInvitationPayload {
    /// The invitation, which is over.
    invitation: Invitation,
}

/// Which invitation to come in by.
#[derive(InputObject)]
struct AcceptInvitationInput {
    /// The code of the link.
    code: String,
}

/// The answer to `acceptInvitation`.
#[derive(SimpleObject)]
struct AcceptInvitationPayload {
    /// The conversation; null where the viewer has only asked to join.
    conversation: Option<Conversation>,
    /// The viewer's request, where the invitation asks first, or a plain MEMBER made it and the
    /// conversation `joinsByRequest`.
    join_request: Option<JoinRequest>,
}

#[derive(Default)]
pub(crate) struct InvitationsMutation;

#[Object]
impl InvitationsMutation {
    /// Makes a link by which others come in. Owners and admins may, and in a GROUP any member unless
    /// `onlyAdminsAdd`; a DIRECT conversation is FORBIDDEN. CONFLICT for the 201st that goes on.
    async fn create_invitation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "To where, and of which kind.")] input: CreateInvitationInput,
    ) -> Result<CreateInvitationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let expires_at = input.expires_at.map(|DateTime(at)| at);
        let role = Role::from(input.role);
        let mut new = NewInvitation::parse(id, role, input.max_uses, expires_at)?;
        if input.asks_first {
            new = new.asking_first()?;
        }
        let (row, code) = invitations::create(scope.cx(), new).await?;
        Ok(CreateInvitationPayload {
            invitation: Invitation::new(scope, row),
            code,
        })
    }

    /// Ends an invitation: one's own, or any as OWNER or ADMIN.
    async fn revoke_invitation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: RevokeInvitationInput,
    ) -> Result<RevokeInvitationPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = InvitationId::parse(&input.invitation_id)?;
        let row = invitations::revoke(scope.cx(), id).await?;
        Ok(RevokeInvitationPayload {
            invitation: Invitation::new(scope, row),
        })
    }

    /// Comes in by an invitation, by a MemberJoined event; or asks to, where the invitation asks first, or the
    /// conversation `joinsByRequest` and a plain MEMBER made it. To a member it is no change, and no use.
    /// Errors as of `invitation`; FORBIDDEN also to who was declined lately.
    async fn accept_invitation(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which.")] input: AcceptInvitationInput,
    ) -> Result<AcceptInvitationPayload> {
        let scope = Scope::of(ctx);
        let entry = invitations::accept(scope.cx(), &input.code).await?;
        let (conversation, join_request) = entered(scope, entry);
        Ok(AcceptInvitationPayload {
            conversation,
            join_request,
        })
    }
}
