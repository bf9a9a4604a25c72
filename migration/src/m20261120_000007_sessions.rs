//! What a session tells of its device, and what finds the sessions and refresh tokens whose time is over.

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
