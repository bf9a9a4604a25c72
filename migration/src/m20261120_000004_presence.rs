//! Presence: what each device says of itself, the nodes that keep devices' leases, and what
//! follows from them for each user; see `domain::presence`.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let column = text("device_state").default("online").take();
        let alter = Table::alter().table("sessions").add_column(column).take();
        manager.alter_table(alter).await?;
        for table in tables() {
            manager.create_table(table).await?;
        }
        // The devices of a user.
        let devices = Index::create()
            .name("idx_leases_user_id_session_id")
            .table("leases")
            .col("user_id")
            .col("session_id")
            .take();
        manager.create_index(devices).await?;
        // The leases of a session, for its foreign key.
        let session = Index::create()
            .name("idx_leases_session_id")
            .table("leases")
            .col("session_id")
            .take();
        manager.create_index(session).await?;
        // What was committed lately.
        let changes = Index::create()
            .name("idx_presences_stamp")
            .table("presences")
            .col("stamp")
            .take();
        manager.create_index(changes).await
    }
}

fn tables() -> [TableCreateStatement; 3] {
    [
        Table::create()
            .table("nodes")
            .col(uuid("id").primary_key())
            .col(big_integer("beat"))
            .take(),
        // No lease without its node: one that was declared dead cannot leave any behind.
        Table::create()
            .table("leases")
            .col(uuid("node_id"))
            .col(uuid("session_id"))
            .col(uuid("user_id"))
            .primary_key(Index::create().col("node_id").col("session_id"))
            .foreign_key(&mut foreign_key("leases", "node_id", "nodes"))
            .foreign_key(&mut foreign_key("leases", "session_id", "sessions"))
            .take(),
        Table::create()
            .table("presences")
            .col(uuid("user_id").primary_key())
            .col(text("state"))
            .col(text_null("text"))
            .col(big_integer_null("last_seen_at"))
            .col(big_integer("changes"))
            .col(big_integer("stamp"))
            .foreign_key(&mut foreign_key("presences", "user_id", "users"))
            .take(),
    ]
}

fn foreign_key(
    table: &'static str,
    column: &'static str,
    to: &'static str,
) -> ForeignKeyCreateStatement {
    ForeignKey::create()
        .name(format!("fk_{table}_{column}"))
        .from(table, column)
        .to(to, "id")
        .to_owned()
}
