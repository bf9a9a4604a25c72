//! Voting: what many do at once ([`crate::tallies`]).

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use backchannel_entities::poll::Options;
use backchannel_entities::{MessageId, UserId, poll, poll_vote};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait as _, DbBackend, EntityTrait as _,
    IntoActiveModel as _, QueryFilter as _, Set, Statement, Value,
};
use serde_json::json;

use crate::access::Membership;
use crate::bots::Scope;
use crate::cx::Tx;
use crate::db::{in_list, json_list, uuids};
use crate::event::EventKind;
use crate::messages::Message;
use crate::rates::{self, Action};
use crate::tallies::{Applied, Asked, Tally, TallyQueue, tally};
use crate::{Cx, Domain, Error, Result};

use super::{Poll, PollOption, is_closed};

/// Votes in a poll: `options` are all that the actor chooses from then on, by their numbers; none takes
/// the vote back. What is chosen already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the message does not exist for the actor; [`Error::BadInput`] for a message
/// that is no poll, for an option that it does not have, and for several where one is to be chosen;
/// [`Error::Conflict`] when it is closed; [`Error::Forbidden`] where nobody may vote;
/// [`Error::RateLimited`] when the actor has done too much, or too many vote just now.
pub async fn vote(cx: &Cx, id: MessageId, options: &[i32]) -> Result<Arc<Message>> {
    let user = Arc::clone(&cx.signed_in()?.user);
    cx.may(Scope::Messages)?;
    rates::count(cx, Action::Send)?;
    let what = Vote(options.iter().copied().collect());
    tally(cx.domain(), id, Asked { user, what }).await
}

/// All that a user chooses.
#[derive(Clone)]
pub(crate) struct Vote(BTreeSet<i32>);

/// The poll of a message that is locked.
pub(super) async fn of(tx: &Tx, id: MessageId) -> Result<Poll> {
    let poll = poll::Entity::find_by_id(id).one(&tx.db).await?;
    poll.ok_or_else(no_poll)
}

fn no_poll() -> Error {
    Error::bad_input("messageId", "is no poll")
}

impl Tally for Vote {
    fn queue(domain: &Domain) -> &TallyQueue<Self> {
        &domain.0.votes
    }

    fn event(message: Arc<Message>) -> EventKind {
        EventKind::PollChanged(message)
    }

    async fn apply(
        tx: &Tx,
        message: &mut Message,
        members: &HashMap<UserId, Membership>,
        asked: &[Asked<Self>],
    ) -> Result<Applied> {
        let poll = poll::Entity::find_by_id(message.id).one(&tx.db).await?;
        let is_anonymous = poll.as_ref().is_some_and(|poll| poll.is_anonymous);
        let before = votes(tx, message.id, members).await?;
        let mut after = before.clone();
        let outcomes = asked.iter().map(|Asked { user, what }| {
            let membership = members.get(&user.id);
            let membership = membership.ok_or(Error::NotFound("message"))?;
            if !what.0.is_empty() {
                membership.may_vote()?;
            }
            let poll = poll.as_ref().ok_or_else(no_poll)?;
            check(poll, what, tx)?;
            after.retain(|(id, _)| *id != user.id);
            after.extend(what.0.iter().map(|option| (user.id, *option)));
            Ok(())
        });
        let outcomes = outcomes.collect();
        let added: Vec<_> = after.difference(&before).copied().collect();
        let gone: Vec<_> = before.difference(&after).copied().collect();
        let who: HashSet<UserId> = added.iter().chain(&gone).map(|(id, _)| *id).collect();
        if let Some(poll) = poll.filter(|_| !who.is_empty()) {
            delete(tx, message.id, &gone).await?;
            insert(tx, message.id, &added).await?;
            recount(tx, poll, &before, &after).await?;
        }
        let users = asked.iter().map(|asked| &asked.user);
        Ok(Applied {
            outcomes,
            changed_by: users
                .filter(|user| who.contains(&user.id))
                .cloned()
                .collect(),
            is_anonymous,
        })
    }
}

fn check(poll: &Poll, Vote(chosen): &Vote, tx: &Tx) -> Result<()> {
    if is_closed(poll, tx.now()) {
        return Err(Error::Conflict {
            field: None,
            message: "the poll is closed",
        });
    }
    let is_there = |option: &i32| {
        usize::try_from(*option).is_ok_and(|n| (1..=poll.options.0.len()).contains(&n))
    };
    if !chosen.iter().all(is_there) {
        return Err(Error::bad_input(
            "options",
            "are not all options of this poll",
        ));
    }
    if chosen.len() > 1 && !poll.allows_multiple {
        return Err(Error::bad_input(
            "options",
            "must be one at most in this poll",
        ));
    }
    Ok(())
}

type Votes = BTreeSet<(UserId, i32)>;

async fn votes(tx: &Tx, id: MessageId, by: &HashMap<UserId, Membership>) -> Result<Votes> {
    let mut users: Vec<UserId> = by.keys().copied().collect();
    users.sort_unstable();
    let rows = poll_vote::Entity::find()
        .filter(poll_vote::Column::MessageId.eq(id))
        .filter(poll_vote::Column::UserId.is_in(in_list(&users)))
        .all(&tx.db)
        .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user_id, row.option))
        .collect())
}

/// Writes how many there are for each option, after votes have changed from `before` to `after`.
async fn recount(tx: &Tx, poll: Poll, before: &Votes, after: &Votes) -> Result<()> {
    let for_option = |votes: &Votes, option| votes.iter().filter(|vote| vote.1 == option).count();
    let voters = |votes: &Votes| {
        votes
            .iter()
            .map(|vote| vote.0)
            .collect::<HashSet<_>>()
            .len()
    };
    let difference = |before: usize, after: usize| -> Result<i64> {
        let [before, after] = [before, after].map(|n| i64::try_from(n).map_err(Error::internal));
        Ok(after? - before?)
    };
    let mut options = Vec::with_capacity(poll.options.0.len());
    for (number, option) in (1..).zip(&poll.options.0) {
        let more = difference(for_option(before, number), for_option(after, number))?;
        options.push(PollOption {
            count: option.count + more,
            ..option.clone()
        });
    }
    let voter_count = poll.voter_count + difference(voters(before), voters(after))?;
    let mut row = poll.into_active_model();
    row.options = Set(Options(options));
    row.voter_count = Set(voter_count);
    row.update(&tx.db).await?;
    Ok(())
}

async fn insert(tx: &Tx, id: MessageId, votes: &[(UserId, i32)]) -> Result<()> {
    let now = tx.now().into();
    write(tx, [ADD_POSTGRES, ADD_SQLITE], vec![id.into(), now], votes).await
}

async fn delete(tx: &Tx, id: MessageId, votes: &[(UserId, i32)]) -> Result<()> {
    write(tx, [REMOVE_POSTGRES, REMOVE_SQLITE], vec![id.into()], votes).await
}

/// Each text is one however many votes it is for.
async fn write(
    tx: &Tx,
    [postgres, sqlite]: [&str; 2],
    mut values: Vec<Value>,
    votes: &[(UserId, i32)],
) -> Result<()> {
    if votes.is_empty() {
        return Ok(());
    }
    let backend = tx.db.get_database_backend();
    let sql = if backend == DbBackend::Postgres {
        values.push(uuids(votes.iter().map(|(id, _)| id.0)));
        let options = votes.iter().map(|(_, option)| *option);
        values.push(options.collect::<Vec<i32>>().into());
        postgres
    } else {
        let rows = votes
            .iter()
            .map(|(id, option)| json!([id.0.simple(), option]));
        values.push(json_list(rows));
        sqlite
    };
    let statement = Statement::from_sql_and_values(backend, sql, values);
    tx.db.execute_raw(statement).await?;
    Ok(())
}

const ADD_POSTGRES: &str = r#"
INSERT INTO "poll_votes" ("message_id", "user_id", "option", "created_at")
SELECT $1, n."user_id", n."option", $2 FROM unnest($3, $4) AS n("user_id", "option")"#;

const ADD_SQLITE: &str = r#"
INSERT INTO "poll_votes" ("message_id", "user_id", "option", "created_at")
SELECT $1, unhex(n."value" ->> 0), n."value" ->> 1, $2 FROM json_each($3) n"#;

const REMOVE_POSTGRES: &str = r#"
DELETE FROM "poll_votes" v USING unnest($2, $3) AS n("user_id", "option")
WHERE v."message_id" = $1 AND v."user_id" = n."user_id" AND v."option" = n."option""#;

const REMOVE_SQLITE: &str = r#"
DELETE FROM "poll_votes" WHERE "message_id" = $1
  AND ("user_id", "option") IN (SELECT unhex(n."value" ->> 0), n."value" ->> 1 FROM json_each($2) n)"#;
