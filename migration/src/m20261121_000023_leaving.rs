//! What goes with a membership that ends; and what a reported message held besides its text.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let content = json_binary_null("content");
        let reports = Table::alter().table("reports").add_column(content).take();
        manager.alter_table(reports).await?;
        // Those that go on, of how many soever that are over.
        let live = Index::create()
            .name("idx_invitations_conversation_id_expires_at")
            .table("invitations")
            .col("conversation_id")
            .col("expires_at")
            .take();
        manager.create_index(live).await?;
        manager.get_connection().execute_unprepared(FORGET).await?;
        Ok(())
    }
}

/// Whoever had left before kept what they had made of a conversation.
const FORGET: &str = r#"
DELETE FROM "conversation_states" WHERE NOT EXISTS (
    SELECT 1 FROM "members" m WHERE m."conversation_id" = "conversation_states"."conversation_id"
        AND m."user_id" = "conversation_states"."user_id" AND m."left_at" IS NULL)"#;
