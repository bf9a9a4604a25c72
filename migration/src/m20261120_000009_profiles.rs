//! Profiles: what users say about themselves, and what their clients keep for them.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = [
            text_null("username"),
            text_null("bio"),
            text_null("locale"),
            // A calendar date, YYYY-MM-DD.
            text_null("date_of_birth"),
            boolean("is_onboarded").default(false).take(),
        ];
        for column in columns {
            let alter = Table::alter().table("users").add_column(column).take();
            manager.alter_table(alter).await?;
        }
        // Nobody takes a name that somebody has.
        let usernames = Index::create()
            .name("idx_users_username")
            .table("users")
            .col("username")
            .unique()
            .take();
        manager.create_index(usernames).await?;
        manager.create_table(preferences()).await
    }
}

/// One row for each client of a user that keeps something; how it reads that is its own affair.
fn preferences() -> TableCreateStatement {
    Table::create()
        .table("preferences")
        .col(uuid("user_id"))
        .col(text("client"))
        .col(text("value"))
        .primary_key(Index::create().col("user_id").col("client"))
        .foreign_key(
            ForeignKey::create()
                .name("fk_preferences_user_id")
                .from("preferences", "user_id")
                .to("users", "id"),
        )
        .take()
}
