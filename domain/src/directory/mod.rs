//! Finding people: by the beginning of a word of their name or of their username, or by their whole
//! e-mail address or phone number.
//!
//! 1. [`terms`] folds names into words. Whoever makes an account or changes its names writes them
//!    ([`list`], [`list_anew`]); for accounts older than the table a node does ([`keep_listing`]).
//! 2. What begins with a word is a range of the index. A user who matches by several words is found
//!    at the first of them, so pages repeat nobody.
//! 3. Who is blocked either way, or does not wish to be found so, is left out by the statement
//!    itself: to whoever asks, they are like people who are not there.

mod terms;

use std::cmp::Reverse;
use std::sync::Arc;

use backchannel_entities::{UserId, user, user_term};
use futures_util::FutureExt as _;
use sea_orm::sea_query::{Expr, ExprTrait as _, LockBehavior, LockType};
use sea_orm::{
    ColumnTrait as _, ConnectionTrait as _, DbBackend, EntityTrait as _, IntoActiveModel as _,
    QueryFilter as _, QueryOrder as _, QuerySelect as _, Statement, Value,
};

use crate::cx::Tx;
use crate::db::in_list;
use crate::identifiers::{self, Identifier};
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::upkeep::{self, Found};
use crate::users::{self, User};
use crate::{Cx, Domain, Error, Result, limits};

pub(crate) use self::terms::{end_of, key, of_name};

/// Most words of a query.
const WORDS: usize = 8;
/// Most words written by one statement.
const TERMS: usize = 256;
/// Most users listed by one transaction.
const BATCH: u64 = 128;

/// Where somebody stands among those who were found.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The word by which they were found; none for who was found by e-mail address or phone
    /// number, and comes first.
    pub term: String,
    /// Tells apart those who have the same.
    pub id: UserId,
}

/// Those who match a query, by the words that match. Of several words, all must. The actor is not
/// among them, nor anybody whom a block stands between.
///
/// # Errors
/// [`Error::BadInput`] for a query that is too short, too long or of too many words;
/// [`Error::RateLimited`] when the actor has searched too often.
pub async fn find(
    cx: &Cx,
    query: &str,
    request: &PageRequest<Place>,
) -> Result<Page<(Place, Arc<User>)>> {
    let actor = cx.signed_in()?.user.id;
    rates::count(cx, Action::Search)?;
    let query = limits::query("query", query)?;
    let words = words_of(query)?;
    let exact = find_exactly(cx, actor, query).await?;
    let mut places = Vec::new();
    if !words.is_empty() {
        let not = exact.as_ref().map_or(actor, |place| place.id);
        let backend = cx.read().get_database_backend();
        let statement = by_words(backend, [actor, not], &words, request);
        for row in cx.read().query_all_raw(statement).await? {
            places.push(Place {
                term: row.try_get_by_index(0)?,
                id: row.try_get_by_index(1)?,
            });
        }
    }
    let is_within = |place: &Place| {
        request.after.as_ref().is_none_or(|after| place > after)
            && request.before.as_ref().is_none_or(|before| place < before)
    };
    if let Some(exact) = exact.filter(is_within) {
        // The first of all, from whichever end they were read.
        match request.end {
            End::Start => places.insert(0, exact),
            End::Finish => places.push(exact),
        }
    }
    let page = request.page(places);
    let ids = page.items.iter().map(|place| place.id).collect();
    let found = users::read_many(cx.read(), ids).await?;
    let with_user = |place: Place| {
        let user = found.get(&place.id)?;
        Some((place, Arc::clone(user)))
    };
    Ok(Page {
        items: page.items.into_iter().filter_map(with_user).collect(),
        has_next: page.has_next,
        has_previous: page.has_previous,
    })
}

/// The words of a query, the longest first: it says most, and the others are looked up for what it
/// finds.
pub(crate) fn words_of(query: &str) -> Result<Vec<String>> {
    let mut words = terms::words(query);
    if words.len() > WORDS {
        let message = format!("must have at most {WORDS} words");
        return Err(Error::bad_input("query", message));
    }
    words.sort_by_key(|word| Reverse(word.chars().count()));
    words.dedup();
    Ok(words)
}

/// Who has the e-mail address or phone number that a query is, if they wish to be found by it. One
/// statement, whatever comes of it.
async fn find_exactly(cx: &Cx, actor: UserId, query: &str) -> Result<Option<Place>> {
    let phone = identifiers::parse_phone(cx.domain(), query).map(Identifier::Phone);
    let email = || identifiers::parse_email(query).map(Identifier::Email);
    let Ok(identifier) = phone.or_else(|_| email()) else {
        return Ok(None);
    };
    let (column, setting) = match &identifier {
        Identifier::Email(_) => ("email", "found_by_email"),
        Identifier::Phone(_) => ("phone", "found_by_phone"),
    };
    let admits = admits(setting);
    let sql = format!(r#"SELECT u."id" FROM "users" u WHERE u."{column}" = $2 AND {admits}"#);
    let db = cx.read();
    let values: [Value; 2] = [actor.into(), identifier.as_str().into()];
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
    let found = db.query_one_raw(statement).await?;
    let id = found.map(|row| row.try_get_by_index(0)).transpose()?;
    Ok(id.map(|id| Place {
        term: String::new(),
        id,
    }))
}

/// The condition that the user `u` is another than the user `$1`, and lets that one find them by
/// what `setting` is about.
pub(crate) fn admits(setting: &str) -> String {
    let blocks = no_block(r#"u."id""#);
    format!(
        r#"u."id" <> $1 AND {blocks} AND (u."{setting}" = 'everyone' OR u."{setting}" = 'contacts' AND EXISTS (
SELECT 1 FROM "contacts" k WHERE k."user_id" = u."id" AND k."contact_id" = $1 LIMIT 1 OFFSET 0))"#
    )
}

/// The condition that the user `id` and the user `$1` do not block each other. Each is looked up by
/// itself (that is what OFFSET 0 says): a join could be planned while tables are small.
fn no_block(id: &str) -> String {
    format!(
        r#"NOT EXISTS (SELECT 1 FROM "blocks" b WHERE b."user_id" = {id} AND b."blocked_id" = $1 LIMIT 1 OFFSET 0)
AND NOT EXISTS (SELECT 1 FROM "blocks" b WHERE b."user_id" = $1 AND b."blocked_id" = {id} LIMIT 1 OFFSET 0)"#
    )
}

/// The statement for those who match by all of `words`, but for two: at the first term that begins
/// with the first word.
fn by_words(
    backend: DbBackend,
    but: [UserId; 2],
    words: &[String],
    request: &PageRequest<Place>,
) -> Statement {
    let (first, others) = words
        .split_first()
        .map_or(("", words), |(first, others)| (first.as_str(), others));
    let mut values: Vec<Value> = vec![
        but[0].into(),
        but[1].into(),
        request.rows().into(),
        first.into(),
        end_of(first).into(),
    ];
    let mut conditions = String::new();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    for word in in_list(&others) {
        values.extend([word.into(), end_of(word).into()]);
        let end = values.len();
        conditions += &format!(
            r#"
AND EXISTS (SELECT 1 FROM "user_terms" o WHERE o."user_id" = t."user_id"
    AND o."term" >= ${} AND o."term" < ${end} LIMIT 1 OFFSET 0)"#,
            end - 1
        );
    }
    for (side, place) in [(">", &request.after), ("<", &request.before)] {
        if let Some(Place { term, id }) = place {
            values.extend([term.as_str().into(), (*id).into()]);
            let id = values.len();
            let term = id - 1;
            conditions += &format!(r#" AND (t."term", t."user_id") {side} (${term}, ${id})"#);
        }
    }
    let order = match request.end {
        End::Start => "ASC",
        End::Finish => "DESC",
    };
    let blocks = no_block(r#"t."user_id""#);
    let sql = format!(
        r#"
SELECT t."term", t."user_id" FROM "user_terms" t
WHERE t."term" >= $4 AND t."term" < $5 AND t."user_id" NOT IN ($1, $2)
AND NOT EXISTS (SELECT 1 FROM "user_terms" f WHERE f."user_id" = t."user_id"
    AND f."term" >= $4 AND f."term" < t."term" LIMIT 1 OFFSET 0)
AND {blocks}{conditions}
ORDER BY t."term" {order}, t."user_id" {order} LIMIT $3"#
    );
    Statement::from_sql_and_values(backend, sql, values)
}

/// Writes the words of users who have none yet.
pub(crate) async fn list(tx: &Tx, users: &[&User]) -> Result<()> {
    let terms: Vec<(UserId, String)> = users
        .iter()
        .flat_map(|user| terms::of_user(user).into_iter().map(|term| (user.id, term)))
        .collect();
    for terms in terms.chunks(TERMS) {
        let terms: Vec<(UserId, &str)> = terms.iter().map(|(id, t)| (*id, t.as_str())).collect();
        let rows = in_list(&terms).into_iter().map(|(user_id, term)| {
            let term = term.to_owned();
            user_term::Model { term, user_id }.into_active_model()
        });
        user_term::Entity::insert_many(rows)
            .on_conflict_do_nothing_on([user_term::Column::Term, user_term::Column::UserId])
            .exec_without_returning(&tx.db)
            .await?;
    }
    Ok(())
}

/// Writes the words of a user whose names have changed.
pub(crate) async fn list_anew(tx: &Tx, user: &User) -> Result<()> {
    user_term::Entity::delete_many()
        .filter(user_term::Column::UserId.eq(user.id))
        .exec(&tx.db)
        .await?;
    list(tx, &[user]).await
}

/// Lists users who are not, until the node stops: those who were there before the table, and those
/// whom nodes of the last release still register.
pub(crate) async fn keep_listing(domain: Domain) {
    upkeep::keep_doing(domain, "listing users", |cx| list_some(cx).boxed()).await;
}

async fn list_some(cx: &Cx) -> Result<Found> {
    let unlisted = || {
        user::Entity::find()
            .filter(Expr::col((user::Entity, user::Column::IsListed)).not())
            .order_by_asc(user::Column::Id)
    };
    // Most often there is nobody, and nobody must be kept from writing for that.
    if unlisted().limit(1).one(cx.read()).await?.is_none() {
        return Ok(Found::TheLast);
    }
    cx.write(move |tx| {
        Box::pin(async move {
            let users = unlisted()
                .limit(BATCH)
                .lock_with_behavior(LockType::NoKeyUpdate, LockBehavior::SkipLocked)
                .all(&tx.db)
                .await?;
            let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
            list(tx, &users.iter().collect::<Vec<_>>()).await?;
            user::Entity::update_many()
                .col_expr(user::Column::IsListed, Expr::value(true))
                .filter(user::Column::Id.is_in(in_list(&ids)))
                .exec(&tx.db)
                .await?;
            Ok(Found::of(users.len(), BATCH))
        })
    })
    .await
}
