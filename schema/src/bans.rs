//! Who may not come into a conversation.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::bans::{self, Ban as Row, BanPosition, NewBan};
use backchannel_domain::page::End;
use backchannel_domain::{ConversationId, UserId};

use crate::connection::{Connection, List, RawPageArgs, parse_time_cursor, time_cursor};
use crate::conversations::Conversation;
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::users::User;

#[derive(Clone)]
pub(crate) struct Ban {
    scope: Scope,
    row: Arc<Row>,
}

impl Ban {
    fn new(scope: &Scope, row: Arc<Row>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }

    /// A page of those of a conversation.
    pub(crate) async fn page(
        scope: &Scope,
        id: ConversationId,
        args: RawPageArgs,
    ) -> Result<Connection<Self>> {
        let position = |cursor: &str| {
            let (created_at, user_id) = parse_time_cursor(List::Bans, cursor)?;
            let user_id = UserId(user_id);
            Some(BanPosition {
                created_at,
                user_id,
            })
        };
        let request = args.decode(position)?.check(End::Start)?;
        let page = scope.loaders().ban_page(id, request).await?;
        let cursor = |row: &Row| {
            let BanPosition {
                created_at,
                user_id,
            } = BanPosition::of(row);
            time_cursor(List::Bans, created_at, user_id.0)
        };
        let node = |row: &Row| Self::new(scope, Arc::new(row.clone()));
        Ok(Connection::of(&page, cursor, node))
    }
}

/// A user who may not come into a conversation. Owners and admins see it.
#[Object]
impl Ban {
    /// Who.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.user_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// By whom.
    async fn banned_by(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.banned_by).await?;
        Ok(User::new(&self.scope, row))
    }

    /// Why, if that was said.
    async fn reason(&self) -> Option<&str> {
        self.row.reason.as_deref()
    }

    /// Since when.
    async fn banned_at(&self) -> DateTime {
        self.row.created_at.into()
    }
}

/// Whom to ban.
#[derive(InputObject)]
struct BanMemberInput {
    /// From where.
    conversation_id: ID,
    /// Who: a member, or anybody else.
    user_id: ID,
    /// Why, at most 1,000 characters; owners and admins see it.
    reason: Option<String>,
}

/// The answer to `banMember`.
#[derive(SimpleObject)]
struct BanMemberPayload {
    /// The ban.
    ban: Ban,
}

/// Whose ban to lift.
#[derive(InputObject)]
struct UnbanMemberInput {
    /// Where.
    conversation_id: ID,
    /// Who.
    user_id: ID,
}

/// The answer to `unbanMember`.
#[derive(SimpleObject)]
struct UnbanMemberPayload {
    /// The conversation.
    conversation: Conversation,
}

#[derive(Default)]
pub(crate) struct BansMutation;

#[Object]
impl BansMutation {
    /// Bans a user: a member is removed, by a MemberLeft event, and nobody who is banned can be added,
    /// join, or come in by an invitation or request. Owners may ban anyone, admins plain members and
    /// who is none; in a DIRECT conversation it is FORBIDDEN. BAD_USER_INPUT for oneself, CONFLICT for
    /// the 10,001st.
    async fn ban_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "From where, and whom.")] input: BanMemberInput,
    ) -> Result<BanMemberPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let user_id = UserId::parse(&input.user_id)?;
        let new = NewBan::parse(id, user_id, input.reason.as_deref())?;
        let row = bans::ban(scope.cx(), new).await?;
        Ok(BanMemberPayload {
            ban: Ban::new(scope, row),
        })
    }

    /// Lifts a ban: the user may come back, or ask to. Owners and admins may.
    async fn unban_member(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Where, and whose.")] input: UnbanMemberInput,
    ) -> Result<UnbanMemberPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let id = ConversationId::parse(&input.conversation_id)?;
        let row = bans::unban(scope.cx(), id, UserId::parse(&input.user_id)?).await?;
        Ok(UnbanMemberPayload {
            conversation: Conversation::new(scope, Arc::new(row)),
        })
    }
}
