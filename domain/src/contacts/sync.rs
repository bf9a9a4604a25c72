//! Finding whom a user knows by their address book: who of its numbers has an account becomes a
//! contact. Of the others nothing is kept: hashes of phone numbers tell the numbers, to whoever
//! tries them all.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::UserId;
use sea_orm::{ConnectionTrait as _, DbBackend, FromQueryResult as _, Statement, Value};
use serde_json::json;

use crate::cx::Tx;
use crate::db::{json_list, uuids};
use crate::rates::{self, Guarded};
use crate::users::{self, User};
use crate::{Cx, Error, Result, directory};

use super::book::{self, Book, Entry};
use super::{leave_space, sort_key};

/// What came of an address book.
pub struct Synced {
    /// Those of it who have an account, in its order.
    pub matches: Vec<Match>,
    /// How many different numbers were looked for.
    pub numbers: usize,
    /// How many entries have no number that can be read.
    pub unreadable: usize,
}

/// A number of an address book, and whose it is.
pub struct Match {
    /// As the address book has it.
    pub entry: Entry,
    /// Whose it is.
    pub user: Arc<User>,
}

/// Finds those of an address book who have an account and wish to be found by their number, and
/// adds them to the actor's contacts, under the names that the book has for them.
///
/// # Errors
/// [`Error::BadInput`] for a book that is too long; [`Error::RateLimited`] when too many numbers
/// were looked for; [`Error::Conflict`] when there are too many contacts.
pub async fn sync(cx: &Cx, entries: Vec<Entry>) -> Result<Synced> {
    let actor = cx.signed_in()?.user.id;
    book::check(&entries)?;
    let region = cx.handles().settings.default_region;
    // Thousands of numbers take as long as a password.
    let read = tokio::task::spawn_blocking(move || Book::read(entries, region));
    let Book {
        numbers,
        unreadable,
    } = read.await.map_err(Error::internal)?;
    let count = numbers.len();
    let times = u32::try_from(count).map_err(Error::internal)?;
    rates::count_guarded_times(cx, Guarded::Number, None, times).await?;
    let mut found = find(cx, actor, &numbers).await?;
    let matches: Vec<Match> = numbers
        .into_iter()
        .filter_map(|(number, entry)| {
            let user = found.remove(&number)?;
            Some(Match { entry, user })
        })
        .collect();
    keep(cx, actor, &matches).await?;
    Ok(Synced {
        matches,
        numbers: count,
        unreadable,
    })
}

/// Who has these numbers and lets the actor find them by that, by number.
async fn find(
    cx: &Cx,
    actor: UserId,
    numbers: &[(String, Entry)],
) -> Result<HashMap<String, Arc<User>>> {
    if numbers.is_empty() {
        return Ok(HashMap::new());
    }
    let db = cx.read();
    let backend = db.get_database_backend();
    let numbers = numbers.iter().map(|(number, _)| number.clone());
    let (is_asked, numbers): (_, Value) = if backend == DbBackend::Postgres {
        ("= ANY($2)", numbers.collect::<Vec<_>>().into())
    } else {
        let list = json_list(numbers.map(Into::into));
        (r#"IN (SELECT "value" FROM json_each($2))"#, list)
    };
    let admits = directory::admits("found_by_phone");
    let sql = format!(r#"SELECT u.* FROM "users" u WHERE u."phone" {is_asked} AND {admits}"#);
    let statement = Statement::from_sql_and_values(backend, sql, [actor.into(), numbers]);
    let mut found = HashMap::new();
    for row in db.query_all_raw(statement).await? {
        let user = User::from_query_result(&row, "")?;
        found.extend(user.phone.clone().map(|phone| (phone, Arc::new(user))));
    }
    Ok(found)
}

async fn keep(cx: &Cx, actor: UserId, matches: &[Match]) -> Result<()> {
    if matches.is_empty() {
        return Ok(());
    }
    let mut rows: Vec<Row> = matches.iter().map(Row::of).collect();
    rows.sort_unstable_by_key(|row| row.id);
    cx.write(move |tx| {
        Box::pin(async move {
            if write(tx, actor, rows).await? > 0 {
                users::touch(tx, vec![actor]).await?;
                leave_space(tx, actor).await?;
            }
            Ok(())
        })
    })
    .await
}

/// A contact to be written.
struct Row {
    id: UserId,
    /// Empty for none.
    name: String,
    sort_key: String,
}

impl Row {
    fn of(Match { entry, user }: &Match) -> Self {
        Self {
            id: user.id,
            name: entry.name.clone().unwrap_or_default(),
            sort_key: sort_key(entry.name.as_deref(), user),
        }
    }
}

/// Writes contacts in one statement; answers how many are new or have another name.
async fn write(tx: &Tx, actor: UserId, rows: Vec<Row>) -> Result<u64> {
    let backend = tx.db.get_database_backend();
    let mut values: Vec<Value> = vec![actor.into(), tx.now().into()];
    let given = if backend == DbBackend::Postgres {
        let (mut names, mut keys) = (Vec::new(), Vec::new());
        let ids = uuids(rows.iter().map(|row| row.id.0));
        for row in rows {
            names.push(row.name);
            keys.push(row.sort_key);
        }
        values.extend([ids, names.into(), keys.into()]);
        r#"SELECT g."id", g."name", g."key" FROM unnest($3, $4, $5) AS g("id", "name", "key")"#
    } else {
        let rows = rows.into_iter();
        let rows = rows.map(|row| json!([row.id.0.simple(), row.name, row.sort_key]));
        values.push(json_list(rows));
        r#"SELECT unhex("value" ->> 0) AS "id", "value" ->> 1 AS "name", "value" ->> 2 AS "key" FROM json_each($3)"#
    };
    // A name that the actor has given stays where the book has none. Without a condition, SQLite
    // would take ON CONFLICT for a join.
    let sql = format!(
        r#"
INSERT INTO "contacts" ("user_id", "contact_id", "created_at", "name", "is_hidden", "sort_key")
SELECT $1, g."id", $2, nullif(g."name", ''), FALSE, g."key" FROM ({given}) g WHERE TRUE
ON CONFLICT ("user_id", "contact_id") DO UPDATE SET "name" = excluded."name", "sort_key" = excluded."sort_key"
WHERE excluded."name" <> coalesce("contacts"."name", '')"#
    );
    let statement = Statement::from_sql_and_values(backend, sql, values);
    Ok(tx.db.execute_raw(statement).await?.rows_affected())
}
