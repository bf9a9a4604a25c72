//! Bots, and the API keys by which they act: each is a session that a secret opens.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            ("users", uuid_null("owner_id")),
            ("sessions", blob_null("key_hash")),
            ("sessions", text_null("scopes")),
        ];
        for (table, column) in columns {
            let alter = Table::alter().table(table).add_column(column).take();
            manager.alter_table(alter).await?;
        }
        let owners = Index::create()
            .name("idx_users_owner_id")
            .table("users")
            .col("owner_id")
            .take();
        manager.create_index(owners).await
    }
}
