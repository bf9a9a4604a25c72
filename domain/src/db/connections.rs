//! Connections for statements that are transactions by themselves, which most are.
//!
//! sqlx tests a connection each time it is given back to its pool: one more exchange with the
//! database for every statement. So some are not given back but kept at hand, and only now and
//! then returned to the pool, which sees to their age.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use sea_orm::sea_query::Values;
use sea_orm::sqlx::pool::PoolConnection;
use sea_orm::sqlx::{
    self, AssertSqlSafe, Database, Executor, IntoArguments, Pool, Postgres, Sqlite,
};
use sea_orm::{
    ConnAcquireErr, ConnectionTrait, DatabaseConnection, DbBackend, DbErr, ExecResult, QueryResult,
    RuntimeErr, Statement,
};
use sea_query_sqlx::SqlxValues;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::{ACQUIRE, StatementLog};

/// How long a connection is kept in all, and unused.
const KEPT: Duration = Duration::from_secs(60);
const UNUSED: Duration = Duration::from_secs(30);

/// Connections of a pool, some of them at hand. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Connections {
    at_hand: Arc<Either>,
    statements: Arc<StatementLog>,
}

enum Either {
    Postgres(AtHand<Postgres>),
    Sqlite(AtHand<Sqlite>),
}

impl Connections {
    /// Those of the pool of `db`. At most so many are kept; the rest is for others who use the pool.
    pub(crate) fn of(db: &DatabaseConnection, most: u32, statements: Arc<StatementLog>) -> Self {
        let at_hand = if db.get_database_backend() == DbBackend::Postgres {
            Either::Postgres(AtHand::new(db.get_postgres_connection_pool(), most))
        } else {
            Either::Sqlite(AtHand::new(db.get_sqlite_connection_pool(), most))
        };
        Self {
            at_hand: Arc::new(at_hand),
            statements,
        }
    }

    /// Asks the database for nothing.
    ///
    /// # Errors
    /// When it does not answer.
    pub(crate) async fn ping(&self) -> Result<(), DbErr> {
        self.execute_unprepared("SELECT 1").await.map(drop)
    }

    /// Closes the pool.
    pub(crate) async fn close(&self) {
        match &*self.at_hand {
            Either::Postgres(at_hand) => at_hand.close().await,
            Either::Sqlite(at_hand) => at_hand.close().await,
        }
    }
}

#[sea_orm::entity::prelude::async_trait::async_trait]
impl ConnectionTrait for Connections {
    fn get_database_backend(&self) -> DbBackend {
        match &*self.at_hand {
            Either::Postgres(_) => DbBackend::Postgres,
            Either::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    async fn execute_raw(&self, statement: Statement) -> Result<ExecResult, DbErr> {
        self.statements.note(&statement);
        match &*self.at_hand {
            Either::Postgres(at_hand) => at_hand.execute(statement).await.map(ExecResult::from),
            Either::Sqlite(at_hand) => at_hand.execute(statement).await.map(ExecResult::from),
        }
    }

    async fn execute_unprepared(&self, sql: &str) -> Result<ExecResult, DbErr> {
        self.execute_raw(Statement::from_string(self.get_database_backend(), sql))
            .await
    }

    async fn query_one_raw(&self, statement: Statement) -> Result<Option<QueryResult>, DbErr> {
        Ok(self.query_all_raw(statement).await?.into_iter().next())
    }

    async fn query_all_raw(&self, statement: Statement) -> Result<Vec<QueryResult>, DbErr> {
        self.statements.note(&statement);
        match &*self.at_hand {
            Either::Postgres(at_hand) => results(at_hand.query_all(statement).await?),
            Either::Sqlite(at_hand) => results(at_hand.query_all(statement).await?),
        }
    }
}

fn results<R: Into<QueryResult>>(rows: Vec<R>) -> Result<Vec<QueryResult>, DbErr> {
    Ok(rows.into_iter().map(Into::into).collect())
}

/// The connections at hand. Each has a place; without one a connection is of the pool, and given
/// back to it.
struct AtHand<D: Database> {
    pool: Pool<D>,
    places: Semaphore,
    /// Whether the pool has more connections than there are places.
    has_others: bool,
    /// The last used on top.
    idle: Mutex<Vec<Kept<D>>>,
}

struct Kept<D: Database> {
    connection: PoolConnection<D>,
    since: Instant,
    used: Instant,
}

struct Taken<'a, D: Database> {
    kept: Kept<D>,
    place: Option<SemaphorePermit<'a>>,
}

impl<D: Database> AtHand<D>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
    SqlxValues: IntoArguments<D>,
{
    fn new(pool: &Pool<D>, most: u32) -> Self {
        Self {
            pool: pool.clone(),
            places: Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)),
            has_others: pool.options().get_max_connections() > most,
            idle: Mutex::default(),
        }
    }

    async fn query_all(&self, statement: Statement) -> Result<Vec<D::Row>, DbErr> {
        let mut taken = self.take().await?;
        let connection = &mut *taken.kept.connection;
        // One that failed, or is left in the middle, goes back to the pool, which tests it.
        let rows = query(statement).fetch_all(connection).await;
        let rows = rows.map_err(|error| DbErr::Query(RuntimeErr::SqlxError(error.into())))?;
        self.keep(taken);
        Ok(rows)
    }

    async fn execute(&self, statement: Statement) -> Result<D::QueryResult, DbErr> {
        let mut taken = self.take().await?;
        let connection = &mut *taken.kept.connection;
        let done = query(statement).execute(connection).await;
        let done = done.map_err(|error| DbErr::Exec(RuntimeErr::SqlxError(error.into())))?;
        self.keep(taken);
        Ok(done)
    }

    async fn take(&self) -> Result<Taken<'_, D>, DbErr> {
        let place = match self.places.try_acquire() {
            Ok(place) => Some(place),
            // In the pool's queue everybody has their turn, transactions too.
            Err(_) if self.has_others => None,
            Err(_) => {
                let place = timeout(ACQUIRE, self.places.acquire()).await;
                let place = place.map_err(|_| DbErr::ConnectionAcquire(ConnAcquireErr::Timeout))?;
                Some(place.expect("places are never closed"))
            }
        };
        if place.is_some() {
            while let Some(kept) = self.pop() {
                if kept.used.elapsed() < UNUSED && kept.since.elapsed() < KEPT {
                    return Ok(Taken { kept, place });
                }
            }
        }
        let connection = self.pool.acquire().await;
        let connection =
            connection.map_err(|error| DbErr::Conn(RuntimeErr::SqlxError(error.into())))?;
        let now = Instant::now();
        let kept = Kept {
            connection,
            since: now,
            used: now,
        };
        Ok(Taken { kept, place })
    }

    fn pop(&self) -> Option<Kept<D>> {
        self.idle.lock().expect("no holder panics").pop()
    }

    fn keep(&self, taken: Taken<'_, D>) {
        let Taken { mut kept, place } = taken;
        kept.used = Instant::now();
        let mut idle = self.idle.lock().expect("no holder panics");
        if place.is_some() && !self.pool.is_closed() {
            idle.push(kept);
        }
        drop(idle);
        // Given up last: who has a place finds the connection.
        drop(place);
    }

    async fn close(&self) {
        // Marked closed by that, so that nothing is kept from here on.
        let closed = self.pool.close();
        let idle = std::mem::take(&mut *self.idle.lock().expect("no holder panics"));
        drop(idle);
        closed.await;
    }
}

fn query<D: Database>(statement: Statement) -> sqlx::query::Query<'static, D, SqlxValues>
where
    SqlxValues: IntoArguments<D>,
{
    let values = statement.values.unwrap_or(Values(Vec::new()));
    sqlx::query_with(AssertSqlSafe(statement.sql), SqlxValues(values))
}
