//! Whom the viewer blocks.

use std::sync::Arc;

use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use backchannel_domain::UserId;
use backchannel_domain::blocks::{self, Block};

use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::users::User;

#[derive(Clone)]
pub(crate) struct BlockedUser {
    scope: Scope,
    row: Arc<Block>,
}

impl BlockedUser {
    pub(crate) fn new(scope: &Scope, row: Arc<Block>) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// A user whom the viewer blocks.
#[Object]
impl BlockedUser {
    /// Who.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.blocked_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// Since when.
    async fn blocked_at(&self) -> DateTime {
        self.row.created_at.into()
    }
}

/// Whom to block.
#[derive(InputObject)]
struct BlockUserInput {
    /// A user.
    user_id: ID,
}

/// The answer to `blockUser`.
#[derive(SimpleObject)]
struct BlockUserPayload {
    /// The user.
    user: User,
}

/// Whom to let through again.
#[derive(InputObject)]
struct UnblockUserInput {
    /// A user.
    user_id: ID,
}

/// The answer to `unblockUser`.
#[derive(SimpleObject)]
struct UnblockUserPayload {
    /// The user.
    user: User,
}

#[derive(Default)]
pub(crate) struct BlocksMutation;

#[Object]
impl BlocksMutation {
    /// Blocks a user, who is not told: once this is answered, nothing passes between the two, either
    /// way. Their direct conversation stays to be read, but nothing can be sent there, and a
    /// call in it ends. In groups nothing changes. CONFLICT for the 10,001st.
    async fn block_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom.")] input: BlockUserInput,
    ) -> Result<BlockUserPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = blocks::block(scope.cx(), UserId::parse(&input.user_id)?).await?;
        Ok(BlockUserPayload {
            user: User::new(scope, row),
        })
    }

    /// Lets a user through again. What was sent meanwhile was refused, and does not come.
    async fn unblock_user(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Whom.")] input: UnblockUserInput,
    ) -> Result<UnblockUserPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let row = blocks::unblock(scope.cx(), UserId::parse(&input.user_id)?).await?;
        Ok(UnblockUserPayload {
            user: User::new(scope, row),
        })
    }
}
