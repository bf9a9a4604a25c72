//! What a conversation is set to, what a message is besides its text, and who is mentioned.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let settings = json_binary("settings").default("{}").take();
        for (table, column) in [
            ("conversations", big_integer_null("archived_at")),
            ("conversations", big_integer_null("deleted_at")),
            ("conversations", settings),
            ("conversations", boolean("is_guarded").default(false).take()),
            ("members", big_integer("visible_after").default(0).take()),
            ("messages", text("kind").default("text").take()),
            ("messages", boolean("has_details").default(false).take()),
        ] {
            let alter = Table::alter().table(table).add_column(column).take();
            manager.alter_table(alter).await?;
        }
        manager.create_table(message_details()).await?;
        manager.create_table(mentions()).await?;
        for index in [
            // The replies of a thread, in order.
            index("message_details", &["root_id", "seq"]),
            // What is pinned in a conversation, newest first.
            index("message_details", &["conversation_id", "pinned_at"]),
            // The mentions of a message, when it is deleted.
            index("mentions", &["conversation_id", "seq"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn message_details() -> TableCreateStatement {
    Table::create()
        .table("message_details")
        .col(uuid("message_id").primary_key())
        .col(uuid("conversation_id"))
        .col(big_integer("seq"))
        .col(uuid_null("reply_to_id"))
        .col(uuid_null("root_id"))
        .col(json_binary("content").default("{}"))
        .col(big_integer("reply_count").default(0))
        .col(uuid_null("last_reply_id"))
        .col(big_integer_null("last_reply_at"))
        .col(json_binary("reactions").default("[]"))
        .col(big_integer_null("pinned_at"))
        .col(uuid_null("pinned_by"))
        .foreign_key(
            ForeignKey::create()
                .name("fk_message_details_message_id")
                .from("message_details", "message_id")
                .to("messages", "id"),
        )
        .take()
}

fn mentions() -> TableCreateStatement {
    Table::create()
        .table("mentions")
        .col(uuid("conversation_id"))
        .col(uuid("user_id"))
        .col(big_integer("seq"))
        .primary_key(
            Index::create()
                .col("conversation_id")
                .col("user_id")
                .col("seq"),
        )
        .take()
}

fn index(table: &'static str, columns: &[&'static str]) -> IndexCreateStatement {
    let mut index = Index::create();
    index
        .name(format!("idx_{table}_{}", columns.join("_")))
        .table(table);
    for column in columns {
        index.col(*column);
    }
    index
}
