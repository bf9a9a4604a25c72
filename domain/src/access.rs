//! Who may do what. A [`Membership`] is the proof that the actor belongs to a
//! conversation; only this file makes one. What it lets them do is in `permissions`, what
//! they see in `seeing`.

mod permissions;
mod seeing;

use std::collections::HashMap;

use backchannel_entities::{ConversationId, conversation, member};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, FromQueryResult as _, IdenStatic as _,
    Iterable as _, QueryFilter, Statement,
};

use crate::conversations::Conversation;
use crate::cx::Tx;
use crate::db::{Connections, in_list};
use crate::members::Member;
use crate::proofs::Claim;
use crate::{Cx, Error, Result, UserId};

pub(crate) use self::permissions::{
    CLOSED, Times, guards, is_guarded, may_invite, may_mention_everyone, may_send, may_send_to,
    pace, senders, takes_members,
};
pub(crate) use self::seeing::{
    ban_of, hidden_from_newcomer, hidden_upto, is_banned, is_seen, sees_message,
};

/// Proof that the actor was a member when it was made; within a transaction that holds
/// the conversation's lock, that the actor still is.
#[derive(Clone, Debug)]
pub struct Membership {
    /// The conversation, as it was then.
    pub conversation: Conversation,
    /// The actor's own membership.
    pub member: Member,
}

impl Membership {
    /// Proves it for reading.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such conversation, or the actor is no member.
    pub async fn prove(cx: &Cx, id: ConversationId) -> Result<Self> {
        Self::of(cx.read(), cx.signed_in()?.user.id, id).await
    }

    /// That of any user.
    ///
    /// # Errors
    /// As [`Membership::prove`].
    pub(crate) async fn of(
        db: &impl ConnectionTrait,
        user_id: UserId,
        id: ConversationId,
    ) -> Result<Self> {
        let (member, conversation) = member::Entity::find_by_id((id, user_id))
            .filter(member::Column::LeftAt.is_null())
            .find_both_related(conversation::Entity)
            .one(db)
            .await?
            .ok_or(Error::NotFound("conversation"))?;
        Ok(Self {
            conversation,
            member,
        })
    }

    /// The actor's memberships of these conversations; others are left out.
    pub(crate) async fn find_many(cx: &Cx, ids: &[ConversationId]) -> Result<Vec<Self>> {
        let user_id = cx.signed_in()?.user.id;
        let found = member::Entity::find()
            .filter(member::Column::ConversationId.is_in(in_list(ids)))
            .filter(member::Column::UserId.eq(user_id))
            .filter(member::Column::LeftAt.is_null())
            .find_also_related(conversation::Entity)
            .all(cx.read())
            .await?;
        let membership = |(member, conversation): (Member, Option<Conversation>)| {
            Some(Self {
                conversation: conversation?,
                member,
            })
        };
        Ok(found.into_iter().filter_map(membership).collect())
    }

    /// Proves it for a stream that opens, together with others who come at the same time.
    ///
    /// # Errors
    /// As [`Membership::prove`].
    pub(crate) async fn prove_with_others(cx: &Cx, id: ConversationId) -> Result<Self> {
        let user_id = cx.signed_in()?.user.id;
        cx.handles().proofs.prove((id, user_id)).await
    }

    /// Those of the claims that are true.
    pub(crate) async fn prove_all(
        db: &Connections,
        claims: &[Claim],
    ) -> Result<HashMap<Claim, Self>> {
        let claims = in_list(claims);
        let values = claims
            .iter()
            .flat_map(|(conversation_id, user_id)| [(*conversation_id).into(), (*user_id).into()]);
        let sql = claimed_sql(claims.len());
        let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
        let mut proved = HashMap::with_capacity(claims.len());
        for row in db.query_all_raw(statement).await? {
            let membership = Self {
                conversation: Conversation::from_query_result(&row, "c_")?,
                member: Member::from_query_result(&row, "m_")?,
            };
            let claim = (membership.conversation.id, membership.member.user_id);
            proved.insert(claim, membership);
        }
        Ok(proved)
    }

    /// Proves it for writing: locks the conversation first, so that the proof holds until
    /// the commit.
    pub(crate) async fn lock(tx: &Tx, user_id: UserId, id: ConversationId) -> Result<Self> {
        let conversation = tx.lock(id).await?;
        let member = find(&tx.db, conversation.id, user_id).await?;
        match member {
            Some(member) if member.left_at.is_none() => Ok(Self {
                conversation,
                member,
            }),
            _ => Err(Error::NotFound("conversation")),
        }
    }

    /// Proves it for writing for several users at once; who is no member is left out.
    pub(crate) async fn lock_all(
        tx: &Tx,
        user_ids: &[UserId],
        id: ConversationId,
    ) -> Result<HashMap<UserId, Self>> {
        let conversation = tx.lock(id).await?;
        let members = member::Entity::find()
            .filter(member::Column::ConversationId.eq(id))
            .filter(member::Column::UserId.is_in(in_list(user_ids)))
            .filter(member::Column::LeftAt.is_null())
            .all(&tx.db)
            .await?;
        let proved = members.into_iter().map(|member| {
            let conversation = conversation.clone();
            let membership = Self {
                conversation,
                member,
            };
            (membership.member.user_id, membership)
        });
        Ok(proved.collect())
    }
}

/// The joins are CROSS for SQLite, which then keeps their order.
fn claimed_sql(claims: usize) -> String {
    let claimed: Vec<String> = (0..claims)
        .map(|n| format!("(${}, ${})", 2 * n + 1, 2 * n + 2))
        .collect();
    let columns = |table: &str, names: Vec<String>| {
        let columns = names
            .iter()
            .map(|name| format!(r#"{table}."{name}" AS "{table}_{name}""#));
        columns.collect::<Vec<_>>().join(", ")
    };
    let of_member = member::Column::iter().map(|column| column.as_str().to_owned());
    let of_conversation = conversation::Column::iter().map(|column| column.as_str().to_owned());
    format!(
        r#"
WITH claimed("conversation_id", "user_id") AS (VALUES {claimed})
SELECT {member}, {conversation}
FROM claimed w CROSS JOIN "members" m CROSS JOIN "conversations" c
WHERE m."conversation_id" = w."conversation_id" AND m."user_id" = w."user_id" AND m."left_at" IS NULL
  AND c."id" = m."conversation_id"
"#,
        claimed = claimed.join(", "),
        member = columns("m", of_member.collect()),
        conversation = columns("c", of_conversation.collect()),
    )
}

/// The membership of a user, ended or not.
pub(crate) async fn find(
    db: &impl ConnectionTrait,
    id: ConversationId,
    user_id: UserId,
) -> Result<Option<Member>> {
    Ok(member::Entity::find_by_id((id, user_id)).one(db).await?)
}
