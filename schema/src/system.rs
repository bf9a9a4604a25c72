//! What messages of the system tell.

use async_graphql::{Enum, Object};
use backchannel_domain::messages::{SystemAction as RowAction, SystemContent as Row};

use crate::error::Result;
use crate::members::MemberRole;
use crate::scope::Scope;
use crate::users::User;

/// What happened to a member.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowAction")]
pub(crate) enum SystemAction {
    /// The user came in, if they did it themselves, or was added.
    Joined,
    /// The member left.
    Left,
    /// The member was removed.
    Removed,
    /// The member was removed, and may not come back.
    Banned,
    /// The member has another role.
    RoleChanged,
    /// The member is the OWNER from then on: was handed the conversation, or inherited it.
    OwnerChanged,
}

pub(crate) struct SystemContent {
    scope: Scope,
    row: Row,
}

impl SystemContent {
    pub(crate) fn new(scope: &Scope, row: Row) -> Self {
        Self {
            scope: scope.clone(),
            row,
        }
    }
}

/// What a message of the system tells: what somebody did to a member. Clients put it into words.
#[Object]
impl SystemContent {
    /// What.
    async fn action(&self) -> SystemAction {
        self.row.action.into()
    }

    /// Who did it.
    async fn actor(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.actor_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// To whom; the actor, for what people do by themselves.
    async fn user(&self) -> Result<User> {
        let row = self.scope.loaders().user(self.row.user_id).await?;
        Ok(User::new(&self.scope, row))
    }

    /// The role that the user has from then on; null where that did not change, and for who came in as
    /// a MEMBER.
    async fn role(&self) -> Option<MemberRole> {
        self.row.role.map(Into::into)
    }
}
