//! What messages were before they were edited, how far threads were read, messages that wait to be
//! sent, and conversations whose messages disappear.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            message_edits(),
            thread_reads(),
            scheduled_messages(),
            retentions(),
        ] {
            manager.create_table(table).await?;
        }
        for index in [
            // A reader's threads, when they are read with others.
            index("thread_reads", &["root_id", "marked_at", "user_id"]),
            // What was left lying.
            index("scheduled_messages", &["send_at", "id"]),
            // What is due.
            index("scheduled_messages", &["is_waiting", "send_at", "id"]),
            // A page of what a user has scheduled, in all and in one conversation.
            index("scheduled_messages", &["sender_id", "send_at", "id"]),
            index(
                "scheduled_messages",
                &["conversation_id", "sender_id", "send_at", "id"],
            ),
            // A retry schedules nothing more.
            index("scheduled_messages", &["sender_id", "client_message_id"])
                .unique()
                .take(),
            // Whose turn it is to be looked through.
            index("retentions", &["due_at", "conversation_id"]),
        ] {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn message_edits() -> TableCreateStatement {
    Table::create()
        .table("message_edits")
        .col(uuid("message_id"))
        .col(big_integer("seq"))
        .col(text_null("text"))
        .col(json_binary("content").default("{}"))
        .col(big_integer("written_at"))
        .primary_key(Index::create().col("message_id").col("seq"))
        .foreign_key(&mut foreign_key("message_edits", "message_id", "messages"))
        .take()
}

fn thread_reads() -> TableCreateStatement {
    Table::create()
        .table("thread_reads")
        .col(uuid("root_id"))
        .col(uuid("user_id"))
        .col(big_integer("read_seq"))
        .col(big_integer("marked_at"))
        .primary_key(Index::create().col("root_id").col("user_id"))
        .foreign_key(&mut foreign_key("thread_reads", "root_id", "messages"))
        .foreign_key(&mut foreign_key("thread_reads", "user_id", "users"))
        .take()
}

fn scheduled_messages() -> TableCreateStatement {
    Table::create()
        .table("scheduled_messages")
        .col(uuid("id").primary_key())
        .col(uuid("sender_id"))
        .col(uuid("conversation_id"))
        .col(text_null("text"))
        .col(json_binary_null("parts"))
        .col(text_null("client_message_id"))
        .col(big_integer("send_at"))
        .col(big_integer("created_at"))
        .col(big_integer("claimed_until").default(0))
        .col(boolean("is_waiting").default(true))
        .col(text_null("failure"))
        .foreign_key(&mut foreign_key("scheduled_messages", "sender_id", "users"))
        .foreign_key(&mut foreign_key(
            "scheduled_messages",
            "conversation_id",
            "conversations",
        ))
        .take()
}

fn retentions() -> TableCreateStatement {
    Table::create()
        .table("retentions")
        .col(uuid("conversation_id").primary_key())
        .col(big_integer("seconds"))
        .col(big_integer("gone_seq").default(0))
        .col(big_integer("due_at"))
        .foreign_key(&mut foreign_key(
            "retentions",
            "conversation_id",
            "conversations",
        ))
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
