//! What is counted in the database, so that it holds on every node; see `domain::rates`.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("rates")
            .col(blob("key").primary_key())
            .col(big_integer("paid_until"))
            .take();
        manager.create_table(table).await?;
        // What may be cleared away.
        let paid_off = Index::create()
            .name("idx_rates_paid_until")
            .table("rates")
            .col("paid_until")
            .take();
        manager.create_index(paid_off).await
    }
}
