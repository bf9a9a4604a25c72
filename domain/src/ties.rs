//! What people are to each other, as far as it decides what they see of each other and whether they
//! reach each other.

use std::collections::HashMap;

use backchannel_entities::{UserId, block, contact};
use sea_orm::sea_query::{Expr, UnionType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait, EntityTrait as _, FromQueryResult, QueryFilter as _,
    QuerySelect as _, QueryTrait as _,
};

use crate::db::in_list;
use crate::presence::{Presence, never_there};
use crate::users::{Audience, User};
use crate::{Cx, Result};

/// What another is to the one who looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tie {
    /// Whether the other is no other.
    pub(crate) is_own: bool,
    /// Whether the other has the one who looks among their contacts.
    pub(crate) knows: bool,
    /// Whether one of the two blocks the other.
    pub(crate) is_blocked: bool,
}

impl Tie {
    /// Whether the other's setting lets the one who looks in.
    pub(crate) fn admits(self, audience: Audience) -> bool {
        let is_among = match audience {
            Audience::Everyone => true,
            Audience::Contacts => self.knows,
            Audience::Nobody => false,
        };
        self.is_own || (is_among && !self.is_blocked)
    }

    /// The other's picture, as far as it is shown.
    #[must_use]
    pub fn avatar_of(self, user: &User) -> Option<&str> {
        let avatar = user.avatar_url.as_deref();
        avatar.filter(|_| self.admits(user.shows_avatar))
    }

    /// The other's presence, as far as it is shown.
    pub(crate) fn presence(self, presence: Presence, shows_last_seen: Audience) -> Presence {
        if self.is_blocked && !self.is_own {
            return never_there(presence.user_id);
        }
        let last_seen_at = presence.last_seen_at;
        Presence {
            last_seen_at: last_seen_at.filter(|_| self.admits(shows_last_seen)),
            ..presence
        }
    }
}

/// What each of these users is to the actor. There is nothing to ask where they are not selective
/// ([`User`]): all see the same of them.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn of_actor(cx: &Cx, others: &[UserId]) -> Result<HashMap<UserId, Tie>> {
    find_many(cx.read(), cx.signed_in()?.user.id, others).await
}

/// What each of `others` is to `user_id`, in one statement. Of those who are nothing to each other
/// there is no entry.
pub(crate) async fn find_many(
    db: &impl ConnectionTrait,
    user_id: UserId,
    others: &[UserId],
) -> Result<HashMap<UserId, Tie>> {
    #[derive(FromQueryResult)]
    struct Row {
        other_id: UserId,
        is_blocked: bool,
    }
    let mut ties: HashMap<UserId, Tie> = HashMap::new();
    if others.is_empty() {
        return Ok(ties);
    }
    if others.contains(&user_id) {
        ties.entry(user_id).or_default().is_own = true;
    }
    let others = in_list(others);
    let is_blocked = |is_blocked: bool| Expr::value(is_blocked);
    let mut knowing = contact::Entity::find()
        .select_only()
        .column_as(contact::Column::UserId, "other_id")
        .expr_as(is_blocked(false), "is_blocked")
        .filter(contact::Column::UserId.is_in(others.clone()))
        .filter(contact::Column::ContactId.eq(user_id))
        .into_query();
    let blocking = block::Entity::find()
        .select_only()
        .column_as(block::Column::UserId, "other_id")
        .expr_as(is_blocked(true), "is_blocked")
        .filter(block::Column::UserId.is_in(others.clone()))
        .filter(block::Column::BlockedId.eq(user_id))
        .into_query();
    let blocked = block::Entity::find()
        .select_only()
        .column_as(block::Column::BlockedId, "other_id")
        .expr_as(is_blocked(true), "is_blocked")
        .filter(block::Column::UserId.eq(user_id))
        .filter(block::Column::BlockedId.is_in(others))
        .into_query();
    knowing
        .union(UnionType::All, blocking)
        .union(UnionType::All, blocked);
    let statement = db.get_database_backend().build(&knowing);
    for row in Row::find_by_statement(statement).all(db).await? {
        let tie = ties.entry(row.other_id).or_default();
        if row.is_blocked {
            tie.is_blocked = true;
        } else {
            tie.knows = true;
        }
    }
    Ok(ties)
}
