//! Stamps: where each durable event, and each membership's last change, stands in the
//! order of commits; see `domain::stamps`.
//!
//! What exists already stands at 0, before every cursor that will be handed out.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Tables that gain a stamp.
const STAMPED: [&str; 4] = [
    "conversations",
    "members",
    "messages",
    "conversation_events",
];
/// Those of them that are searched by it across conversations. Not `conversations`: an index
/// on what every send changes would make each of its updates dearer.
const INDEXED: [&str; 3] = ["members", "messages", "conversation_events"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // One row: the last stamp given out (SQLite), and how far stamps run ahead of
        // transaction ids (Postgres).
        let table = Table::create()
            .table("stamps")
            .col(integer("id").primary_key())
            .col(big_integer("last"))
            .col(big_integer("ahead"))
            .take();
        manager.create_table(table).await?;
        let row = Query::insert()
            .into_table("stamps")
            .columns(["id", "last", "ahead"])
            .values_panic([1.into(), 0.into(), 0.into()])
            .take();
        manager.execute(row).await?;
        for table in STAMPED {
            let column = big_integer("stamp").default(0).take();
            let alter = Table::alter().table(table).add_column(column).take();
            manager.alter_table(alter).await?;
        }
        for table in INDEXED {
            let index = Index::create()
                .name(format!("idx_{table}_stamp"))
                .table(table)
                .col("stamp")
                .take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}
