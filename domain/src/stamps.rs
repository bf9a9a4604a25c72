//! Stamps: an order over all that is durable, by which readers can say what they have seen.
//!
//! Seqs order one conversation. Across conversations no number given out while writing will
//! do: a transaction that took a lower one may commit after a higher one was read. So:
//!
//! 1. What a transaction writes carries its stamp: on Postgres the transaction's id, on
//!    SQLite a counter that its one writer moves.
//! 2. A [`Snapshot`] tells of the moment of a statement which stamps were finished. All below
//!    [`Snapshot::settled`] were, and that statement saw all they wrote.
//! 3. Whoever has then taken in all that was visible has everything below `settled`, whatever
//!    commits in which order from there on. What came of it with higher stamps must be
//!    remembered one by one, or rather conversation by conversation: there, events commit in
//!    the order of their seqs.

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement};

use crate::{Error, Result};

/// How stamps are made on this database.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stamps {
    /// A counter in the table `stamps`.
    Counter,
    /// Ids of transactions, and how far stamps are ahead of them: a dump restored elsewhere
    /// meets smaller ids than those it was made under.
    TransactionIds { ahead: i64 },
}

/// Which stamps were finished at some moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// All below were.
    pub(crate) settled: i64,
    /// None from here on was.
    pub(crate) next: i64,
    /// Between the two, these were not.
    pub(crate) running: Vec<i64>,
}

impl Stamps {
    /// Finds out, and on Postgres sees to it that every stamp to come is greater than those
    /// there are. Not for use in a transaction: nothing may change under running nodes, and
    /// nothing does where nothing was restored, as long as the statement's snapshot is older
    /// than its transaction's id.
    pub(crate) async fn prepare(db: &impl ConnectionTrait) -> Result<Self> {
        let backend = db.get_database_backend();
        if backend != DbBackend::Postgres {
            return Ok(Self::Counter);
        }
        let row = db.query_one_raw(Statement::from_string(backend, AHEAD));
        let row = row.await?.ok_or_else(missing)?;
        Ok(Self::TransactionIds {
            ahead: row.try_get("", "ahead")?,
        })
    }

    /// An expression for the stamp of the transaction it stands in, where there is one.
    pub(crate) fn sql(self) -> Option<String> {
        match self {
            Self::TransactionIds { ahead } => {
                Some(format!("(pg_current_xact_id()::text::bigint + {ahead})"))
            }
            Self::Counter => None,
        }
    }

    /// The transaction's stamp, at the price of a statement. To be called once in it.
    pub(crate) async fn take(self, tx: &DatabaseTransaction) -> Result<i64> {
        let sql = match self.sql() {
            Some(sql) => format!(r#"SELECT {sql} AS "stamp""#),
            None => COUNT.to_owned(),
        };
        let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), sql));
        Ok(row.await?.ok_or_else(missing)?.try_get("", "stamp")?)
    }

    /// An expression for the snapshot of the statement it stands in; see
    /// [`Stamps::parse_snapshot`].
    pub(crate) fn snapshot_sql(self) -> &'static str {
        match self {
            Self::TransactionIds { .. } => "pg_current_snapshot()::text",
            Self::Counter => r#"(SELECT ("last" + 1) || ':' || ("last" + 1) || ':' FROM "stamps")"#,
        }
    }

    /// Reads the text of a snapshot: `xmin:xmax:xip,…`, as Postgres writes it.
    pub(crate) fn parse_snapshot(self, text: &str) -> Result<Snapshot> {
        let ahead = match self {
            Self::TransactionIds { ahead } => ahead,
            Self::Counter => 0,
        };
        let stamp = |id: &str| {
            id.parse::<i64>()
                .map(|id| id + ahead)
                .map_err(Error::internal)
        };
        let mut parts = text.split(':');
        let mut next = || parts.next().unwrap_or_default();
        Ok(Snapshot {
            settled: stamp(next())?,
            next: stamp(next())?,
            running: next()
                .split(',')
                .filter(|id| !id.is_empty())
                .map(stamp)
                .collect::<Result<_>>()?,
        })
    }

    /// The present snapshot.
    pub(crate) async fn snapshot(self, db: &impl ConnectionTrait) -> Result<Snapshot> {
        let sql = format!("SELECT {} AS snapshot", self.snapshot_sql());
        let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql));
        let text: String = row.await?.ok_or_else(missing)?.try_get("", "snapshot")?;
        self.parse_snapshot(&text)
    }
}

impl Snapshot {
    /// A condition on a column of stamps: not finished at that moment.
    pub(crate) fn is_later(&self, column: impl sea_orm::ColumnTrait) -> sea_orm::Condition {
        let mut later = sea_orm::Condition::any().add(column.gte(self.next));
        if !self.running.is_empty() {
            later = later.add(column.is_in(crate::db::in_list(&self.running)));
        }
        later
    }
}

fn missing() -> Error {
    Error::internal(std::io::Error::other("the table `stamps` has lost its row"))
}

const COUNT: &str =
    r#"UPDATE "stamps" SET "last" = "last" + 1 WHERE "id" = 1 RETURNING "last" AS "stamp""#;

/// Enough to come out behind the greatest stamp there is.
const AHEAD: &str = r#"
UPDATE "stamps" SET "ahead" = GREATEST("ahead", 1 - pg_current_xact_id()::text::bigint + GREATEST(
    (SELECT coalesce(max("stamp"), 0) FROM "messages"),
    (SELECT coalesce(max("stamp"), 0) FROM "conversation_events"),
    (SELECT coalesce(max("stamp"), 0) FROM "members"),
    (SELECT coalesce(max("stamp"), 0) FROM "presences"),
    (SELECT coalesce(max("stamp"), 0) FROM "calls"),
    (SELECT coalesce(max("stamp"), 0) FROM "chat_requests"),
    (SELECT coalesce(max("stamp"), 0) FROM "conversation_states"),
    (SELECT coalesce(max("stamp"), 0) FROM "join_requests"),
    (SELECT coalesce(max("stamp"), 0) FROM "users")))
WHERE "id" = 1 RETURNING "ahead"
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_as_postgres_writes_it() {
        let stamps = Stamps::TransactionIds { ahead: 1_000 };
        let snapshot = stamps.parse_snapshot("10:20:10,14,15").expect("a snapshot");
        let expected = Snapshot {
            settled: 1_010,
            next: 1_020,
            running: vec![1_010, 1_014, 1_015],
        };
        assert_eq!(snapshot, expected);
        let idle = Stamps::Counter.parse_snapshot("7:7:").expect("a snapshot");
        assert_eq!((idle.settled, idle.next, idle.running), (7, 7, vec![]));
        assert!(Stamps::Counter.parse_snapshot("").is_err());
    }
}
