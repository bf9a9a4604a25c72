//! What is counted in the database.

use std::time::Duration;

use backchannel_entities::rate::{self, Column};
use sea_orm::sea_query::{Expr, Func, LockBehavior, LockType, OnConflict, Order, Query};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait as _, QueryFilter, Set};
use sha2::{Digest as _, Sha256};

use crate::cx::Tx;
use crate::error::Unauthenticated;
use crate::{Domain, Error, Result};

use super::table::Rate;

/// How often rows that are paid off are cleared away.
const CLEAR: Duration = Duration::from_secs(60);
/// How often a node looks whether it is time to; tests move the clock.
const WAKE: Duration = Duration::from_millis(500);
/// Most rows cleared away by one transaction.
const BATCH: u64 = 1_000;

/// Something counted in the database, which may be given back.
pub(super) struct Counted {
    rate: &'static Rate,
    key: Vec<u8>,
}

impl Counted {
    /// Of `whose`, which is kept as a hash: nobody is to read from these rows who tried what.
    pub(super) fn new(rate: &'static Rate, whose: &str) -> Self {
        let name = rate.name();
        let key = Sha256::digest(format!("{name}:{whose}")).to_vec();
        Self { rate, key }
    }

    /// Counts it once, in one statement: nobody gets between looking and counting.
    pub(super) async fn take(&self, tx: &Tx) -> Result<()> {
        let Rate { each, .. } = *self.rate;
        let now = tx.now();
        // The latest that leaves room for one more.
        let latest = now.plus(self.rate.whole()).minus(each);
        let row = rate::ActiveModel {
            key: Set(self.key.clone()),
            paid_until: Set(now.plus(each)),
        };
        let paid_until = || Expr::col((rate::Entity, Column::PaidUntil));
        let owed = Func::greatest([paid_until(), Expr::value(now)]);
        let once_more = OnConflict::column(Column::Key)
            .value(Column::PaidUntil, owed.add(millis(each)))
            .action_and_where(paid_until().lte(latest))
            .to_owned();
        let counted = rate::Entity::insert(row)
            .on_conflict(once_more)
            .exec_without_returning(&tx.db)
            .await?;
        if counted == 1 {
            return Ok(());
        }
        let found = rate::Entity::find_by_id(self.key.clone())
            .one(&tx.db)
            .await?;
        let left = found.map_or(0, |row| row.paid_until.0 - latest.0);
        Err(Error::RateLimited {
            retry_after: Duration::from_millis(u64::try_from(left).unwrap_or(0)),
        })
    }

    /// Takes back one time.
    pub(super) async fn give_back(&self, tx: &Tx) -> Result<()> {
        let each = millis(self.rate.each);
        rate::Entity::update_many()
            .col_expr(Column::PaidUntil, Expr::col(Column::PaidUntil).sub(each))
            .filter(Column::Key.eq(self.key.clone()))
            .exec(&tx.db)
            .await?;
        Ok(())
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// Clears away what is paid off, until the node stops.
pub(crate) async fn keep_clear(domain: Domain) {
    let stopping = domain.0.bus.stopping().clone();
    let mut due = Duration::ZERO;
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = tokio::time::sleep(WAKE) => {}
        }
        let now = domain.0.clock.uptime();
        if now < due {
            continue;
        }
        due = now + CLEAR;
        if let Err(error) = clear(&domain).await {
            tracing::warn!(%error, "clearing rates away failed; trying again");
        }
    }
}

async fn clear(domain: &Domain) -> Result<()> {
    // Nobody acts: the node itself does.
    let cx = domain.anonymous(Unauthenticated::NoToken);
    loop {
        let cleared = cx.write(|tx| Box::pin(clear_some(tx))).await?;
        if cleared < BATCH {
            return Ok(());
        }
    }
}

async fn clear_some(tx: &mut Tx) -> Result<u64> {
    let now = tx.now();
    let paid_off = Query::select()
        .column(Column::Key)
        .from(rate::Entity)
        .and_where(Column::PaidUntil.lte(now))
        .order_by(Column::PaidUntil, Order::Asc)
        .limit(BATCH)
        // Who counts locks two rows, one after the other: to wait for one of them while holding the
        // other would be for ever.
        .lock_with_behavior(LockType::Update, LockBehavior::SkipLocked)
        .take();
    let cleared = rate::Entity::delete_many()
        .filter(Column::Key.in_subquery(paid_off))
        .exec(&tx.db)
        .await?;
    Ok(cleared.rows_affected)
}

#[cfg(test)]
mod tests {
    use super::super::table::{Guarded, TABLE, What};
    use super::*;
    use crate::clock::Clock;
    use crate::db::DatabaseUrl;
    use crate::{Cx, Settings, calls};

    /// More than one transaction clears away.
    const KEYS: u64 = BATCH + 1;

    async fn kept(cx: &Cx) -> u64 {
        let rows = rate::Entity::find().all(cx.read()).await;
        rows.expect("rows").len() as u64
    }

    async fn count(cx: &Cx, rate: &'static Rate, whose: Vec<String>) {
        let counted = cx.write(move |tx| {
            Box::pin(async move {
                for whose in &whose {
                    Counted::new(rate, whose).take(tx).await?;
                }
                Ok(())
            })
        });
        counted.await.expect("it is counted");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_paid_off_is_cleared_away_and_nothing_else() {
        let files = tempfile::tempdir().expect("a directory");
        let settings = Settings {
            database: DatabaseUrl::Sqlite(files.path().join("rates.db")),
            database_pool: 1,
            redis_url: None,
            jwt_secret: vec![7; 32],
            access_token_lifetime: Duration::from_secs(900),
            refresh_token_lifetime: Duration::from_secs(900),
            refresh_grace: Duration::from_secs(30),
            default_region: None,
            sessions_per_user: 50,
            legacy_jwt_secret: None,
            turn: calls::Turn::default(),
            rate_limits: true,
        };
        let clock = Clock::default();
        let domain = Domain::start(settings, clock.clone()).await;
        let domain = domain.expect("a node");
        let cx = domain.anonymous(Unauthenticated::NoToken);
        let guesses = TABLE
            .iter()
            .find(|rate| rate.what == What::Guarded(Guarded::WrongPassword));
        let rate = guesses.expect("guesses are limited");
        let strangers = (0..KEYS).map(|n| format!("stranger {n}")).collect();
        count(&cx, rate, strangers).await;
        count(&cx, rate, vec!["a target".to_owned(); 10]).await;
        clock.advance(rate.each);
        clear(&domain).await.expect("it is cleared");
        assert_eq!(kept(&cx).await, 1, "one that is not paid off");
        clock.advance(rate.each * 9);
        clear(&domain).await.expect("it is cleared");
        assert_eq!(kept(&cx).await, 0);
        domain.stop().await;
    }
}
