//! What a conversation is about, and its picture.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["description", "avatar_url"] {
            let column = text_null(column);
            let alter = Table::alter()
                .table("conversations")
                .add_column(column)
                .take();
            manager.alter_table(alter).await?;
        }
        Ok(())
    }
}
