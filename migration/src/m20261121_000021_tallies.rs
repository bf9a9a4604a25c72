//! What people do to messages: reactions, stars and votes; and what they hide from themselves.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            reactions(),
            stars(),
            hidden_messages(),
            polls(),
            poll_votes(),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            // Those who have reacted so, in order.
            index(
                "reactions",
                &["message_id", "emoji", "created_at", "user_id"],
            ),
            // A user's own, the latest first: all, and of one conversation.
            index("stars", &["user_id", "created_at", "message_id"]),
            index(
                "stars",
                &["user_id", "conversation_id", "created_at", "message_id"],
            ),
            // Those of a message.
            index("stars", &["message_id"]),
            index("hidden_messages", &["message_id", "user_id"]),
            // Those who have voted so, in order.
            index(
                "poll_votes",
                &["message_id", "option", "created_at", "user_id"],
            ),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn reactions() -> TableCreateStatement {
    Table::create()
        .table("reactions")
        .col(uuid("message_id"))
        .col(uuid("user_id"))
        .col(text("emoji"))
        .col(big_integer("created_at"))
        .primary_key(
            Index::create()
                .col("message_id")
                .col("user_id")
                .col("emoji"),
        )
        .foreign_key(&mut foreign_key("reactions", "message_id", "messages"))
        .foreign_key(&mut foreign_key("reactions", "user_id", "users"))
        .take()
}

fn stars() -> TableCreateStatement {
    Table::create()
        .table("stars")
        .col(uuid("user_id"))
        .col(uuid("message_id"))
        .col(uuid("conversation_id"))
        .col(big_integer("created_at"))
        .primary_key(Index::create().col("user_id").col("message_id"))
        .foreign_key(&mut foreign_key("stars", "message_id", "messages"))
        .foreign_key(&mut foreign_key("stars", "user_id", "users"))
        .take()
}

fn hidden_messages() -> TableCreateStatement {
    Table::create()
        .table("hidden_messages")
        .col(uuid("user_id"))
        .col(uuid("conversation_id"))
        .col(big_integer("seq"))
        .col(uuid("message_id"))
        .primary_key(
            Index::create()
                .col("user_id")
                .col("conversation_id")
                .col("seq"),
        )
        .foreign_key(&mut foreign_key(
            "hidden_messages",
            "message_id",
            "messages",
        ))
        .foreign_key(&mut foreign_key("hidden_messages", "user_id", "users"))
        .take()
}

fn polls() -> TableCreateStatement {
    Table::create()
        .table("polls")
        .col(uuid("message_id").primary_key())
        .col(json_binary("options"))
        .col(boolean("allows_multiple"))
        .col(boolean("is_anonymous"))
        .col(big_integer_null("closes_at"))
        .col(big_integer_null("closed_at"))
        .col(big_integer("voter_count"))
        .foreign_key(&mut foreign_key("polls", "message_id", "messages"))
        .take()
}

fn poll_votes() -> TableCreateStatement {
    Table::create()
        .table("poll_votes")
        .col(uuid("message_id"))
        .col(uuid("user_id"))
        .col(integer("option"))
        .col(big_integer("created_at"))
        .primary_key(
            Index::create()
                .col("message_id")
                .col("user_id")
                .col("option"),
        )
        .foreign_key(&mut foreign_key("poll_votes", "message_id", "messages"))
        .foreign_key(&mut foreign_key("poll_votes", "user_id", "users"))
        .take()
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
