//! What people are to each other: contacts, blocks, and who may find and see whom.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // Each says to whom: everyone, contacts or nobody.
        for column in [
            "found_by_email",
            "found_by_phone",
            "shows_last_seen",
            "shows_avatar",
            "chats_from",
        ] {
            let column = text(column).default("everyone").take();
            let alter = Table::alter().table("users").add_column(column).take();
            manager.alter_table(alter).await?;
        }
        let contacts = between("contacts", "contact_id")
            .col(text_null("name"))
            .col(boolean("is_hidden").default(false))
            .take();
        manager.create_table(contacts).await?;
        let blocks = between("blocks", "blocked_id");
        manager.create_table(blocks).await?;
        // From the other side.
        for (table, column) in [("contacts", "contact_id"), ("blocks", "blocked_id")] {
            let index = Index::create()
                .name(format!("idx_{table}_{column}"))
                .table(table)
                .col(column)
                .take();
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

/// One row for each user whom a user has in some relation.
fn between(table: &'static str, other: &'static str) -> TableCreateStatement {
    let key = |column: &'static str| {
        ForeignKey::create()
            .name(format!("fk_{table}_{column}"))
            .from(table, column)
            .to("users", "id")
            .take()
    };
    Table::create()
        .table(table)
        .col(uuid("user_id"))
        .col(uuid(other))
        .col(big_integer("created_at"))
        .primary_key(Index::create().col("user_id").col(other))
        .foreign_key(&mut key("user_id"))
        .foreign_key(&mut key(other))
        .take()
}
