//! Receipts: what each device has, when a member's marks last moved, and the switch that
//! hides how far somebody has read.

use sea_orm_migration::sea_orm::DbBackend;
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.create_table(deliveries()).await?;
        // Not indexed, like all that a mark changes: Postgres then rewrites a row in its place.
        let marked_at = big_integer("marked_at").default(0).take();
        let read_receipts = boolean("read_receipts").default(true).take();
        let stamp = big_integer("stamp").default(0).take();
        let columns = [
            ("members", marked_at),
            ("users", read_receipts),
            ("users", stamp),
        ];
        for (table, column) in columns {
            let alter = Table::alter().table(table).add_column(column).take();
            manager.alter_table(alter).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // Room in each page for that.
            let sql = "ALTER TABLE members SET (fillfactor = 85)";
            manager.get_connection().execute_unprepared(sql).await?;
        }
        // Whose settings have changed lately, for other nodes.
        let index = Index::create()
            .name("idx_users_stamp")
            .table("users")
            .col("stamp")
            .take();
        manager.create_index(index).await
    }
}

/// One row for each device and conversation. Without a foreign key to the conversation: a mark
/// would then wait for whoever holds its lock, with the member's row locked already.
fn deliveries() -> TableCreateStatement {
    Table::create()
        .table("deliveries")
        .col(uuid("session_id"))
        .col(uuid("conversation_id"))
        .col(big_integer("delivered_seq"))
        .primary_key(Index::create().col("session_id").col("conversation_id"))
        .foreign_key(
            ForeignKey::create()
                .name("fk_deliveries_session_id")
                .from("deliveries", "session_id")
                .to("sessions", "id")
                .on_delete(ForeignKeyAction::Cascade),
        )
        .take()
}
