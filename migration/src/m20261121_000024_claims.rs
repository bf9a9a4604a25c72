//! By which claim a scheduled message is being sent, and what it was when it was scheduled.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [uuid_null("claim"), blob_null("digest")] {
            let alter = Table::alter()
                .table("scheduled_messages")
                .add_column(column)
                .take();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
