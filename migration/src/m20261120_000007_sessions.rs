//! What a session tells of its device; who is who for tokens of the servers that came before;
//! and what finds the sessions and refresh tokens whose time is over.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["device_name", "user_agent", "address"] {
            let alter = Table::alter()
                .table("sessions")
                .add_column(text_null(column))
                .take();
            manager.alter_table(alter).await?;
        }
        manager.create_table(legacy_users()).await?;
        for table in ["sessions", "refresh_tokens"] {
            let over = Index::create()
                .name(format!("idx_{table}_expires_at"))
                .table(table)
                .col("expires_at")
                .take();
            manager.create_index(over).await?;
        }
        Ok(())
    }
}

fn legacy_users() -> TableCreateStatement {
    Table::create()
        .table("legacy_users")
        .col(text("legacy_id").primary_key())
        .col(uuid("user_id"))
        .foreign_key(
            ForeignKey::create()
                .name("fk_legacy_users_user_id")
                .from("legacy_users", "user_id")
                .to("users", "id"),
        )
        .take()
}
