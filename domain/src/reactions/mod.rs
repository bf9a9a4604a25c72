//! Reactions: an emoji that a user gives to a message.
//!
//! Who has reacted with what stands in `reactions`; how often there is each, for everybody who reads the
//! message, in its details. The two change together, under the conversation's lock, and many at once
//! ([`crate::tallies`]).

mod emoji;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backchannel_entities::message_detail::{ReactionCount, Reactions};
use backchannel_entities::{MessageId, UserId, reaction};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait as _, DbBackend, EntityTrait,
    IntoActiveModel as _, QueryFilter, QuerySelect, Set, Statement, Value,
};
use serde_json::json;

use crate::access::Membership;
use crate::bots::Scope;
use crate::cx::Tx;
use crate::db::{in_list, json_list, page_of_each, uuids};
use crate::event::EventKind;
use crate::messages::{Message, MessageKind, details};
use crate::page::{Page, PageRequest};
use crate::rates::{self, Action};
use crate::tallies::{Applied, Asked, Tally, TallyPosition, TallyQueue, page_of, tally};
use crate::users::User;
use crate::{Cx, Domain, Error, Result};

/// Most different reactions to a message.
pub const OF_MESSAGE: usize = 20;
/// Most reactions of one user to a message.
const OF_USER: usize = 5;

/// A reaction, checked.
pub struct NewReaction {
    message_id: MessageId,
    emoji: String,
}

impl NewReaction {
    /// Checks it.
    ///
    /// # Errors
    /// [`Error::BadInput`] when it is not one emoji.
    pub fn parse(message_id: MessageId, emoji: &str) -> Result<Self> {
        Ok(Self {
            message_id,
            emoji: emoji::parse("emoji", emoji)?,
        })
    }
}

/// Reacts to a message. To react so again is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::Forbidden`] where nobody
/// may react; [`Error::Conflict`] to a message that takes none, or no more; [`Error::RateLimited`] when
/// the actor has done too much, or too many react to it just now.
pub async fn add(cx: &Cx, reaction: NewReaction) -> Result<Arc<Message>> {
    change(cx, reaction, Wish::Given).await
}

/// Takes a reaction back. One that is not there is no change.
///
/// # Errors
/// As [`add`].
pub async fn remove(cx: &Cx, reaction: NewReaction) -> Result<Arc<Message>> {
    change(cx, reaction, Wish::Gone).await
}

async fn change(cx: &Cx, reaction: NewReaction, wish: Wish) -> Result<Arc<Message>> {
    let user = Arc::clone(&cx.signed_in()?.user);
    cx.may(Scope::Messages)?;
    rates::count(cx, Action::Send)?;
    let NewReaction { message_id, emoji } = reaction;
    let what = Reaction { emoji, wish };
    tally(cx.domain(), message_id, Asked { user, what }).await
}

/// How a user's reaction with an emoji shall be.
#[derive(Clone)]
pub(crate) struct Reaction {
    emoji: String,
    wish: Wish,
}

#[derive(Clone, Copy)]
enum Wish {
    Given,
    Gone,
}

impl Tally for Reaction {
    fn queue(domain: &Domain) -> &TallyQueue<Self> {
        &domain.0.reactions
    }

    fn event(message: Arc<Message>) -> EventKind {
        EventKind::MessageReactionsChanged(message)
    }

    async fn apply(
        tx: &Tx,
        message: &mut Message,
        members: &HashMap<UserId, Membership>,
        asked: &[Asked<Self>],
    ) -> Result<Applied> {
        let detail = details::of(tx, message).await?;
        message.has_details = true;
        let before = given(tx, message.id, members).await?;
        let mut counting = Counting {
            message,
            members,
            given: before.clone(),
            counts: detail.reactions.0.clone(),
        };
        let outcomes = asked.iter().map(|asked| counting.take(asked)).collect();
        let Counting {
            given: after,
            counts,
            ..
        } = counting;
        let added: Vec<_> = after.difference(&before).collect();
        let gone: Vec<_> = before.difference(&after).collect();
        let who: HashSet<UserId> = added.iter().chain(&gone).map(|(id, _)| *id).collect();
        if !who.is_empty() {
            insert(tx, message.id, &added).await?;
            delete(tx, message.id, &gone).await?;
            let mut row = detail.into_active_model();
            row.reactions = Set(Reactions(counts));
            row.update(&tx.db).await?;
        }
        let users = asked.iter().map(|asked| &asked.user);
        Ok(Applied {
            outcomes,
            changed_by: users
                .filter(|user| who.contains(&user.id))
                .cloned()
                .collect(),
            is_anonymous: false,
        })
    }
}

type Given = HashSet<(UserId, String)>;

/// What has become of a message's reactions so far.
struct Counting<'c> {
    message: &'c Message,
    members: &'c HashMap<UserId, Membership>,
    /// Those of whoever asks.
    given: Given,
    /// Those of all.
    counts: Vec<ReactionCount>,
}

impl Counting<'_> {
    fn take(&mut self, asked: &Asked<Reaction>) -> Result<()> {
        let Asked { user, what } = asked;
        let membership = self.members.get(&user.id);
        let membership = membership.ok_or(Error::NotFound("message"))?;
        let key = (user.id, what.emoji.clone());
        match (what.wish, self.given.contains(&key)) {
            (Wish::Given, true) | (Wish::Gone, false) => {}
            (Wish::Given, false) => {
                membership.may_react()?;
                takes_any(self.message)?;
                self.add(user, &what.emoji)?;
                self.given.insert(key);
            }
            (Wish::Gone, true) => {
                self.given.remove(&key);
                self.remove(&what.emoji);
            }
        }
        Ok(())
    }

    fn add(&mut self, user: &User, emoji: &str) -> Result<()> {
        let full = |message| Error::Conflict {
            field: Some("emoji"),
            message,
        };
        if self.given.iter().filter(|(id, _)| *id == user.id).count() >= OF_USER {
            return Err(full(
                "you have reacted with as many emoji as there is room for",
            ));
        }
        if let Some(known) = self.counts.iter_mut().find(|count| count.emoji == emoji) {
            known.count += 1;
            return Ok(());
        }
        if self.counts.len() >= OF_MESSAGE {
            return Err(full(
                "the message has as many different reactions as there is room for",
            ));
        }
        self.counts.push(ReactionCount {
            emoji: emoji.to_owned(),
            count: 1,
        });
        Ok(())
    }

    fn remove(&mut self, emoji: &str) {
        for count in &mut self.counts {
            count.count -= i64::from(count.emoji == emoji);
        }
        self.counts.retain(|count| count.count > 0);
    }
}

fn takes_any(message: &Message) -> Result<()> {
    let refused = |message| {
        Err(Error::Conflict {
            field: None,
            message,
        })
    };
    if message.deleted_at.is_some() {
        return refused("a deleted message takes no reactions");
    }
    if message.kind == MessageKind::System {
        return refused("a message of the system takes no reactions");
    }
    Ok(())
}

async fn given(tx: &Tx, id: MessageId, by: &HashMap<UserId, Membership>) -> Result<Given> {
    let mut users: Vec<UserId> = by.keys().copied().collect();
    users.sort_unstable();
    let rows: Vec<(UserId, String)> = reaction::Entity::find()
        .select_only()
        .column(reaction::Column::UserId)
        .column(reaction::Column::Emoji)
        .filter(reaction::Column::MessageId.eq(id))
        .filter(reaction::Column::UserId.is_in(in_list(&users)))
        .into_tuple()
        .all(&tx.db)
        .await?;
    Ok(rows.into_iter().collect())
}

async fn insert(tx: &Tx, id: MessageId, reactions: &[&(UserId, String)]) -> Result<()> {
    let now = tx.now().into();
    write(
        tx,
        [ADD_POSTGRES, ADD_SQLITE],
        vec![id.into(), now],
        reactions,
    )
    .await
}

async fn delete(tx: &Tx, id: MessageId, reactions: &[&(UserId, String)]) -> Result<()> {
    write(
        tx,
        [REMOVE_POSTGRES, REMOVE_SQLITE],
        vec![id.into()],
        reactions,
    )
    .await
}

/// Each text is one however many reactions it is for.
async fn write(
    tx: &Tx,
    [postgres, sqlite]: [&str; 2],
    mut values: Vec<Value>,
    reactions: &[&(UserId, String)],
) -> Result<()> {
    if reactions.is_empty() {
        return Ok(());
    }
    let backend = tx.db.get_database_backend();
    let sql = if backend == DbBackend::Postgres {
        values.push(uuids(reactions.iter().map(|(id, _)| id.0)));
        let emoji = reactions.iter().map(|(_, emoji)| emoji.clone());
        values.push(emoji.collect::<Vec<_>>().into());
        postgres
    } else {
        let rows = reactions
            .iter()
            .map(|(id, emoji)| json!([id.0.simple(), emoji]));
        values.push(json_list(rows));
        sqlite
    };
    let statement = Statement::from_sql_and_values(backend, sql, values);
    tx.db.execute_raw(statement).await?;
    Ok(())
}

const ADD_POSTGRES: &str = r#"
INSERT INTO "reactions" ("message_id", "user_id", "emoji", "created_at")
SELECT $1, n."user_id", n."emoji", $2 FROM unnest($3, $4) AS n("user_id", "emoji")"#;

const ADD_SQLITE: &str = r#"
INSERT INTO "reactions" ("message_id", "user_id", "emoji", "created_at")
SELECT $1, unhex(n."value" ->> 0), n."value" ->> 1, $2 FROM json_each($3) n"#;

const REMOVE_POSTGRES: &str = r#"
DELETE FROM "reactions" r USING unnest($2, $3) AS n("user_id", "emoji")
WHERE r."message_id" = $1 AND r."user_id" = n."user_id" AND r."emoji" = n."emoji""#;

const REMOVE_SQLITE: &str = r#"
DELETE FROM "reactions" WHERE "message_id" = $1
  AND ("user_id", "emoji") IN (SELECT unhex(n."value" ->> 0), n."value" ->> 1 FROM json_each($2) n)"#;

/// What the actor has reacted with, by message.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn of_actor(
    cx: &Cx,
    ids: &[MessageId],
) -> Result<HashMap<MessageId, Arc<HashSet<String>>>> {
    let actor = cx.signed_in()?.user.id;
    let rows = reaction::Entity::find()
        .filter(reaction::Column::MessageId.is_in(in_list(ids)))
        .filter(reaction::Column::UserId.eq(actor))
        .all(cx.read())
        .await?;
    let mut by_id: HashMap<MessageId, HashSet<String>> = HashMap::new();
    for row in rows {
        by_id.entry(row.message_id).or_default().insert(row.emoji);
    }
    let by_id = by_id.into_iter().map(|(id, emoji)| (id, Arc::new(emoji)));
    Ok(by_id.collect())
}

/// A message, and one of the emoji it was reacted to with.
pub type ReactionKey = (MessageId, String);

/// A page of those who have reacted so, each who did first first. The caller has found the messages
/// through the actor's own memberships.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn pages(
    cx: &Cx,
    keys: &[&ReactionKey],
    request: &PageRequest<TallyPosition>,
) -> Result<HashMap<ReactionKey, Page<TallyPosition>>> {
    cx.signed_in()?;
    let page_of_one = |(id, emoji): &ReactionKey| {
        let select = reaction::Entity::find()
            .filter(reaction::Column::MessageId.eq(*id))
            .filter(reaction::Column::Emoji.eq(emoji));
        page_of(
            select,
            [reaction::Column::CreatedAt, reaction::Column::UserId],
            request,
        )
    };
    let rows: Vec<reaction::Model> = page_of_each(cx.read(), keys, page_of_one).await?;
    let pages = request.pages(rows, |row| (row.message_id, row.emoji.clone()));
    let position = |row: reaction::Model| TallyPosition {
        at: row.created_at,
        user_id: row.user_id,
    };
    Ok(pages
        .into_iter()
        .map(|(key, page)| (key, page.map(position)))
        .collect())
}
