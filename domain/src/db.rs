//! The connections, set up as measured: SQLite in WAL behind one writer, or a pool of
//! Postgres connections.

mod connections;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use backchannel_migration::{Migrator, MigratorTrait as _};
use sea_orm::sea_query::{Asterisk, Query, UnionType};
use sea_orm::sqlx::sqlite::{SqliteJournalMode, SqliteSynchronous};
use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    DbErr, EntityTrait, FromQueryResult, QueryResult, QueryTrait, Select, SqliteTransactionMode,
    Statement, TransactionOptions, TransactionTrait, Value,
};
use uuid::Uuid;

pub(crate) use self::connections::Connections;

use crate::stamps::Stamps;
use crate::{Error, Result};

/// How long to wait for a free connection before the request fails.
const ACQUIRE: Duration = Duration::from_secs(5);
/// How long a node that starts waits for a connection: the database may be starting too.
const START: Duration = Duration::from_secs(30);
/// How long one statement may run.
const STATEMENT: Duration = Duration::from_secs(15);
/// How long a statement may wait for a row lock, and a transaction for its next statement,
/// before Postgres ends it.
const LOCK: &str = "10s";
const IDLE: &str = "15s";
/// Readers of SQLite: each is a thread, and more than a few only contend.
const SQLITE_READERS: u32 = 4;
/// Key of the advisory lock under which one node at a time migrates. Any constant does.
const MIGRATION_LOCK: i64 = 0x6261_636b_6368;

/// Where the rows are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatabaseUrl {
    /// One file, made if it does not exist.
    Sqlite(std::path::PathBuf),
    /// A `postgres://` URL.
    Postgres(String),
}

/// Both ways to the database. On Postgres they are one pool.
#[derive(Clone)]
pub(crate) struct Db {
    /// For statements that change nothing.
    pub(crate) reader: Connections,
    writer: DatabaseConnection,
    pub(crate) stamps: Stamps,
    pub(crate) statements: Arc<StatementLog>,
}

impl Db {
    /// Connects and brings the tables up to date.
    pub(crate) async fn open(url: &DatabaseUrl, pool: u32) -> Result<Self> {
        let mut db = Self::connect(url, pool).await?;
        db.migrate(url).await?;
        db.stamps = Stamps::prepare(&db.reader).await?;
        Ok(db)
    }

    async fn connect(url: &DatabaseUrl, pool: u32) -> Result<Self> {
        let (reader, mut writer, kept) = match url {
            DatabaseUrl::Sqlite(path) => {
                // The writer first: it makes the file that readers expect.
                let writer = sqlite(path, Access::Write).await?;
                (sqlite(path, Access::Read).await?, writer, SQLITE_READERS)
            }
            DatabaseUrl::Postgres(url) => {
                let connection = postgres(url, pool).await?;
                // Transactions come by the other half.
                (connection.clone(), connection, pool / 2)
            }
        };
        let statements = Arc::new(StatementLog::default());
        let log = Arc::clone(&statements);
        writer.set_metric_callback(move |info| log.note(info.statement));
        Ok(Self {
            reader: Connections::of(&reader, kept, Arc::clone(&statements)),
            writer,
            stamps: Stamps::Counter,
            statements,
        })
    }

    /// Brings the tables up to date. Safe on a database in use, with several nodes starting
    /// at once, and killed half-way: all of it is one transaction. Left to itself, sea-orm
    /// takes none on SQLite, where a first start that was killed could never be repeated.
    async fn migrate(&self, url: &DatabaseUrl) -> Result<()> {
        match url {
            DatabaseUrl::Sqlite(_) => {
                let tx = self.begin().await?;
                Migrator::up(&tx, None).await?;
                tx.commit().await?;
            }
            DatabaseUrl::Postgres(url) => migrate_postgres(url).await?,
        }
        Ok(())
    }

    /// Opens a transaction. `Cx::write` is the caller; besides it, [`Db`] itself.
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that opens transactions"
    )]
    pub(crate) async fn begin(&self) -> Result<DatabaseTransaction, DbErr> {
        // A deferred SQLite transaction that reads before it writes can fail half-way with
        // SQLITE_BUSY; an immediate one waits at its beginning. Postgres ignores the mode.
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(options).await
    }

    /// Runs one statement that changes something, as a transaction by itself. All rows are read
    /// though one is expected: the first is sent before the commit, and the failure of that after
    /// it. On SQLite there is no such statement: its readers are not allowed it.
    pub(crate) async fn run_alone(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.reader.query_all_raw(statement).await
    }

    pub(crate) fn backend(&self) -> DbBackend {
        self.reader.get_database_backend()
    }

    pub(crate) async fn close(&self) {
        self.reader.close().await;
        if let Err(error) = self.writer.close_by_ref().await {
            tracing::warn!(%error, "closing the database failed");
        }
    }

    /// The plan of every statement noted since recording began.
    pub(crate) async fn explain(&self) -> Result<Vec<Plan>> {
        let (prefix, column) = if self.backend() == DbBackend::Sqlite {
            ("EXPLAIN QUERY PLAN ", 3)
        } else {
            ("EXPLAIN ", 0)
        };
        let mut plans = Vec::new();
        let connection = self.begin().await?;
        if self.backend() == DbBackend::Postgres {
            // Small tables are scanned whatever the indexes; this shows whether one exists.
            connection
                .execute_unprepared("SET LOCAL enable_seqscan = off")
                .await?;
        }
        for (mut statement, ran_for) in self.statements.take() {
            let sql = std::mem::take(&mut statement.sql);
            statement.sql = format!("{prefix}{sql}");
            let rows = connection.query_all_raw(statement).await?;
            let lines: Result<Vec<String>, DbErr> = rows
                .iter()
                .map(|row| row.try_get_by_index(column))
                .collect();
            plans.push(Plan {
                sql,
                ran_for,
                steps: lines?.join("\n"),
            });
        }
        connection.rollback().await?;
        Ok(plans)
    }
}

enum Access {
    Read,
    Write,
}

/// Makes the file readable by its owner only; the files SQLite puts beside it follow it.
async fn make_private(path: &Path) -> std::io::Result<()> {
    let mut options = tokio::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    options.mode(0o600);
    options.open(path).await.map(drop)
}

async fn sqlite(path: &Path, access: Access) -> Result<DatabaseConnection> {
    make_private(path).await.map_err(Error::internal)?;
    let path = path.to_owned();
    let mut options = ConnectOptions::new("sqlite://");
    let (readers, read_only) = match access {
        Access::Read => (SQLITE_READERS, true),
        Access::Write => (1, false),
    };
    options
        .max_connections(readers)
        .min_connections(1)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .sqlx_logging(false)
        .map_sqlx_sqlite_opts(move |options| {
            let options = options
                .filename(&path)
                .create_if_missing(true)
                .foreign_keys(true)
                .busy_timeout(ACQUIRE)
                .statement_cache_capacity(256)
                .pragma("query_only", if read_only { "on" } else { "off" });
            if read_only {
                return options;
            }
            // FULL: an acknowledged message survives the power going, not only the process.
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
        })
        .map_sqlx_sqlite_pool_opts(|options| options.idle_timeout(None).max_lifetime(None));
    Ok(Database::connect(options).await?)
}

fn postgres_options(url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(ACQUIRE)
        .connect_timeout(ACQUIRE)
        .sqlx_logging(false)
        .set_application_name("backchannel");
    options
}

async fn postgres(url: &str, pool: u32) -> Result<DatabaseConnection> {
    let mut options = postgres_options(url);
    options
        .max_connections(pool)
        .min_connections(pool.min(2))
        // A ping before every statement would double the round trips.
        .test_before_acquire(false)
        .test_before_acquire_if_idle_for(Duration::from_secs(30))
        .statement_timeout(STATEMENT)
        .map_sqlx_postgres_opts(|options| {
            options.statement_cache_capacity(256).options([
                ("lock_timeout", LOCK),
                ("idle_in_transaction_session_timeout", IDLE),
                // Half of a short statement's cost is its plan, and every statement here is for few
                // rows by an index. Plans are kept, and may be made while tables are
                // empty: what suits an empty table alone must not be in them.
                ("plan_cache_mode", "force_generic_plan"),
                ("enable_seqscan", "off"),
                ("jit", "off"),
            ])
        });
    Ok(Database::connect(options).await?)
}

/// Migrates over a connection of its own: a long migration, or a long wait for the node that
/// is running one, must not be cut by the time-outs that requests live with. The lock is the
/// transaction's own: of a node that is killed, Postgres may go on with the last statement, and the next
/// one must not begin before that is undone.
async fn migrate_postgres(url: &str) -> Result<(), DbErr> {
    let mut options = postgres_options(url);
    options
        .max_connections(1)
        .acquire_timeout(START)
        .connect_timeout(START)
        .map_sqlx_postgres_opts(|options| {
            options.options([
                ("lock_timeout", "0"),
                ("statement_timeout", "0"),
                ("idle_in_transaction_session_timeout", "0"),
            ])
        });
    let connection = Database::connect(options).await?;
    #[expect(
        clippy::disallowed_methods,
        reason = "what a migration does is told to nobody"
    )]
    let tx = connection.begin().await?;
    let lock = format!("SELECT pg_advisory_xact_lock({MIGRATION_LOCK})");
    tx.execute_unprepared(&lock).await?;
    Migrator::up(&tx, None).await?;
    tx.commit().await?;
    connection.close().await
}

tokio::task_local! {
    static UPKEEP: ();
}

/// Does what the node does by itself. Its statements are noted as such.
pub(crate) async fn as_upkeep<F: Future>(work: F) -> F::Output {
    UPKEEP.scope((), work).await
}

/// What a statement is run for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RanFor {
    /// Requests and streams.
    Clients,
    /// The node itself.
    Upkeep,
}

impl RanFor {
    /// What the present task runs statements for.
    pub(crate) fn now() -> Self {
        match UPKEEP.try_with(|()| ()) {
            Ok(()) => Self::Upkeep,
            Err(_) => Self::Clients,
        }
    }
}

/// How the database runs a statement.
#[derive(Debug)]
pub struct Plan {
    /// Its text.
    pub sql: String,
    /// For whom it was run.
    pub ran_for: RanFor,
    /// As the database explains it.
    pub steps: String,
}

/// Counts the statements that are run for clients, and keeps all while asked to: for tests of
/// how many statements a request costs, and of their plans.
#[derive(Debug, Default)]
pub struct StatementLog {
    count: AtomicU64,
    recorded: std::sync::Mutex<Option<Vec<(Statement, RanFor)>>>,
}

impl StatementLog {
    /// How many statements have been run for clients.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Starts to keep the statements.
    pub fn record(&self) {
        *self.recorded.lock().expect("no holder panics") = Some(Vec::new());
    }

    fn take(&self) -> Vec<(Statement, RanFor)> {
        self.recorded
            .lock()
            .expect("no holder panics")
            .take()
            .unwrap_or_default()
    }

    fn note(&self, statement: &Statement) {
        let ran_for = RanFor::now();
        if ran_for == RanFor::Clients {
            self.count.fetch_add(1, Ordering::Relaxed);
        }
        let mut recorded = self.recorded.lock().expect("no holder panics");
        if let Some(recorded) = recorded.as_mut() {
            recorded.push((statement.clone(), ran_for));
        }
    }
}

/// `ids` for an `IN` list, the last one repeated up to a power of two: every length would
/// be a statement of its own, and many statements thrash the connections' caches.
pub(crate) fn in_list<T: Copy>(ids: &[T]) -> Vec<T> {
    let last = ids.last().copied();
    let padding = ids.len().next_power_of_two() - ids.len();
    ids.iter()
        .copied()
        .chain(last.into_iter().cycle().take(padding))
        .collect()
}

/// Ids as one value for Postgres: an array.
pub(crate) fn uuids(ids: impl Iterator<Item = Uuid>) -> Value {
    ids.collect::<Vec<_>>().into()
}

/// A list as one value for SQLite: its JSON, for `json_each`.
pub(crate) fn json_list(items: impl Iterator<Item = serde_json::Value>) -> Value {
    serde_json::Value::Array(items.collect()).to_string().into()
}

/// Ids as a table to join: the value for `parameter`, the table with its alias, and the expression for
/// the id of its row. One text however many there are.
pub(crate) fn asked(
    backend: DbBackend,
    ids: impl Iterator<Item = Uuid>,
    parameter: &str,
) -> (Value, String, String) {
    if backend == DbBackend::Postgres {
        let table = format!(r#"unnest({parameter}) asked("id")"#);
        (uuids(ids), table, r#"asked."id""#.to_owned())
    } else {
        let ids = ids.map(|id| serde_json::Value::String(id.simple().to_string()));
        let table = format!("json_each({parameter}) asked");
        (json_list(ids), table, r#"unhex(asked."value")"#.to_owned())
    }
}

/// The rows of the same bounded, ordered select for each id, in one statement. For one id,
/// by far the most common case, that is the select itself.
pub(crate) async fn page_of_each<E, R, I: Copy>(
    db: &Connections,
    ids: &[I],
    select: impl Fn(I) -> Select<E>,
) -> Result<Vec<R>>
where
    E: EntityTrait,
    R: FromQueryResult + Send + Sync,
{
    let Some((first, rest)) = ids.split_first() else {
        return Ok(Vec::new());
    };
    if rest.is_empty() {
        return Ok(select(*first).into_model().all(db).await?);
    }
    // Wrapped, because neither database takes ORDER BY and LIMIT in a bare branch of UNION.
    let wrapped = |id| {
        Query::select()
            .column(Asterisk)
            .from_subquery(select(id).into_query(), "page")
            .take()
    };
    let mut union = wrapped(*first);
    for id in rest {
        union.union(UnionType::All, wrapped(*id));
    }
    let statement = db.get_database_backend().build(&union);
    Ok(R::find_by_statement(statement).all(db).await?)
}

/// The failure to start on a database, with words for whoever starts it.
pub(crate) fn unavailable(url: &DatabaseUrl, error: Error) -> Error {
    let place = match url {
        DatabaseUrl::Sqlite(path) => path.display().to_string(),
        // Never the URL itself: it may hold a password.
        DatabaseUrl::Postgres(_) => "the Postgres of DATABASE_URL".to_owned(),
    };
    Error::internal(std::io::Error::other(format!(
        "cannot use {place}: {error}"
    )))
}
