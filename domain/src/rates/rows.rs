//! What is counted in the database.

use std::time::Duration;

use backchannel_entities::rate::{self, Column};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, TryFutureExt as _};
use sea_orm::sea_query::{Expr, Func, LockBehavior, LockType, OnConflict, Order, Query};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait as _, QueryFilter, Set};
use sha2::{Digest as _, Sha256};

use crate::cx::Tx;
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Error, Result};

use super::table::Rate;

/// Most rows cleared away by one transaction.
const BATCH: u64 = 1_000;

/// Something counted in the database, which may be given back.
pub(super) struct Counted {
    rate: &'static Rate,
    key: Vec<u8>,
    times: u32,
}

impl Counted {
    /// Of `whose`, which is kept as a hash: nobody is to read from these rows who tried what.
    pub(super) fn new(rate: &'static Rate, whose: &str, times: u32) -> Self {
        let name = rate.name();
        let key = Sha256::digest(format!("{name}:{whose}")).to_vec();
        Self { rate, key, times }
    }

    /// Counts it, in one statement: nobody gets between looking and counting.
    pub(super) async fn take(&self, tx: &Tx) -> Result<()> {
        let each = self.rate.each * self.times;
        let now = tx.now();
        // The latest that leaves room for so many more.
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

    /// Takes it back.
    pub(super) async fn give_back(&self, tx: &Tx) -> Result<()> {
        let each = millis(self.rate.each * self.times);
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
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing rates away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    let cleared = cx.write(|tx| Box::pin(delete_paid_off(tx)));
    cleared.map_ok(|count| Found::of(count, BATCH)).boxed()
}

async fn delete_paid_off(tx: &mut Tx) -> Result<usize> {
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
    usize::try_from(cleared.rows_affected).map_err(Error::internal)
}

#[cfg(test)]
mod tests {
    use super::super::table::{Guarded, TABLE, What};
    use super::*;
    use crate::Settings;
    use crate::clock::Clock;
    use crate::error::Unauthenticated;

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
                    Counted::new(rate, whose, 1).take(tx).await?;
                }
                Ok(())
            })
        });
        counted.await.expect("it is counted");
    }

    async fn clear(cx: &Cx) {
        while clear_some(cx).await.expect("it is cleared") == Found::Enough {}
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn what_is_paid_off_is_cleared_away_and_nothing_else() {
        let files = tempfile::tempdir().expect("a directory");
        let settings = Settings {
            rate_limits: true,
            ..Settings::alone_on(files.path().join("rates.db"))
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
        clear(&cx).await;
        assert_eq!(kept(&cx).await, 1, "one that is not paid off");
        clock.advance(rate.each * 9);
        clear(&cx).await;
        assert_eq!(kept(&cx).await, 0);
        domain.stop().await;
    }
}
