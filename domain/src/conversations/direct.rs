//! Direct conversations: one for a pair, opened by either, or by accepting a
//! [request](crate::requests).

use std::sync::Arc;

use backchannel_entities::{ConversationId, UserId, conversation, user};
use sea_orm::sea_query::LockType;
use sea_orm::{ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use crate::bots::Scope;
use crate::clock::new_id;
use crate::cx::Tx;
use crate::ties::{self, Tie};
use crate::users::{self, User};
use crate::{Cx, Error, Result, requests};

use super::making::{Founding, make};
use super::{Conversation, ConversationKind};

/// The actor and another user, locked until the end of the transaction. Whoever opens, asks or
/// blocks between the two does so one after the other. To be locked before anything else is.
pub(crate) struct Pair {
    pub(crate) actor: Arc<User>,
    pub(crate) other: Arc<User>,
    /// The same, whoever of the two acts.
    pub(crate) key: String,
}

impl Pair {
    /// Locks both. Messages that refer to them are not held up by that.
    pub(crate) async fn lock(tx: &Tx, actor: UserId, other: UserId) -> Result<Self> {
        let both = user::Entity::find()
            .filter(user::Column::Id.is_in([actor, other]))
            .order_by_asc(user::Column::Id)
            .lock(LockType::NoKeyUpdate)
            .all(&tx.db)
            .await?;
        let mut both = both.into_iter().map(Arc::new);
        let (Some(one), Some(two)) = (both.next(), both.next()) else {
            return Err(Error::NotFound("user"));
        };
        let (actor, other) = if one.id == actor {
            (one, two)
        } else {
            (two, one)
        };
        if !users::is_somebody(&other) {
            return Err(Error::NotFound("user"));
        }
        Ok(Self {
            key: key(actor.id, other.id),
            actor,
            other,
        })
    }

    /// What the other is to the actor.
    pub(crate) async fn tie(&self, tx: &Tx) -> Result<Tie> {
        let mut ties = ties::find_many(&tx.db, self.actor.id, &[self.other.id]).await?;
        Ok(ties.remove(&self.other.id).unwrap_or_default())
    }

    /// Their conversation.
    pub(crate) async fn conversation(&self, tx: &Tx) -> Result<Option<Conversation>> {
        find(&tx.db, &self.key).await
    }

    /// Makes their conversation, which there is none of yet.
    pub(crate) async fn make(&self, tx: &mut Tx, id: ConversationId) -> Result<Conversation> {
        let founding = Founding {
            direct_key: Some(self.key.clone()),
            ..Founding::of(id, ConversationKind::Direct)
        };
        make(tx, founding, self.actor.id, &[self.other.id]).await
    }
}

/// A pair's key, the same whoever asks.
fn key(one: UserId, other: UserId) -> String {
    let (smaller, greater) = if one < other {
        (one, other)
    } else {
        (other, one)
    };
    format!("{smaller}:{greater}")
}

async fn find(db: &impl ConnectionTrait, key: &str) -> Result<Option<Conversation>> {
    let existing = conversation::Entity::find()
        .filter(conversation::Column::DirectKey.eq(key))
        .one(db)
        .await?;
    Ok(existing)
}

/// Opens the actor's conversation with another user: the one there is, or a new one where the
/// other has asked for it or admits the actor.
pub(super) async fn open(cx: &Cx, other: UserId) -> Result<Conversation> {
    let actor = cx.signed_in()?.user.id;
    if let Some(existing) = find(cx.read(), &key(actor, other)).await? {
        return Ok(existing);
    }
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            let pair = Pair::lock(tx, actor, other).await?;
            if let Some(existing) = pair.conversation(tx).await? {
                return Ok(existing);
            }
            let request = requests::lock_of(tx, &pair).await?;
            let is_asked = request
                .as_ref()
                .is_some_and(|request| requests::waits_for(request, actor));
            if !is_asked && !pair.tie(tx).await?.admits(pair.other.chats_from) {
                return Err(Error::Forbidden(
                    "this user must be asked first, by requestChat",
                ));
            }
            match request {
                Some(request) => requests::settle(tx, &pair, request).await,
                None => pair.make(tx, ConversationId(new_id())).await,
            }
        })
    })
    .await
}
