//! Requests for direct conversations, conversations that a block has closed, and reports.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_blocked = boolean("is_blocked").default(false).take();
        for (table, column) in [
            ("conversations", is_blocked),
            ("members", big_integer_null("held_delivered_seq")),
            ("members", big_integer_null("held_read_seq")),
        ] {
            let alter = Table::alter().table(table).add_column(column).take();
            manager.alter_table(alter).await?;
        }
        manager.create_table(chat_requests()).await?;
        manager.create_table(reports()).await?;
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn chat_requests() -> TableCreateStatement {
    Table::create()
        .table("chat_requests")
        .col(uuid("id").primary_key())
        .col(text("direct_key").unique_key())
        .col(uuid("from_id"))
        .col(uuid("to_id"))
        .col(text("state"))
        .col(text_null("text"))
        .col(big_integer("asked_at"))
        .col(big_integer("changed_at"))
        .col(big_integer_null("expires_at"))
        .col(integer("declines"))
        .col(boolean("is_hidden"))
        .col(big_integer("stamp"))
        .foreign_key(&mut foreign_key("chat_requests", "from_id", "users"))
        .foreign_key(&mut foreign_key("chat_requests", "to_id", "users"))
        .take()
}

fn reports() -> TableCreateStatement {
    Table::create()
        .table("reports")
        .col(uuid("id").primary_key())
        .col(uuid("reporter_id"))
        .col(uuid("subject_id"))
        .col(uuid_null("user_id"))
        .col(uuid_null("message_id"))
        .col(uuid_null("conversation_id"))
        .col(text("reason"))
        .col(text_null("comment"))
        .col(text_null("text"))
        .col(big_integer_null("sent_at"))
        .col(big_integer("created_at"))
        .foreign_key(&mut foreign_key("reports", "reporter_id", "users"))
        .foreign_key(&mut foreign_key("reports", "user_id", "users"))
        .foreign_key(&mut foreign_key("reports", "message_id", "messages"))
        .foreign_key(&mut foreign_key(
            "reports",
            "conversation_id",
            "conversations",
        ))
        .take()
}

fn indexes() -> [IndexCreateStatement; 12] {
    [
        // A page of those of one side.
        index("chat_requests", &["from_id", "state", "asked_at", "id"]),
        index("chat_requests", &["to_id", "state", "asked_at", "id"]),
        // What was committed lately: for a user, and at all.
        index("chat_requests", &["from_id", "stamp"]),
        index("chat_requests", &["to_id", "stamp"]),
        index("chat_requests", &["stamp"]),
        // What is over.
        index("chat_requests", &["expires_at"]),
        index("reports", &["created_at"]),
        // One report of a thing by a user.
        index("reports", &["reporter_id", "subject_id"])
            .unique()
            .take(),
        // From what they are about.
        index("reports", &["user_id", "created_at"]),
        index("reports", &["message_id"]),
        index("reports", &["conversation_id"]),
        // A page of those whom a user blocks.
        index("blocks", &["user_id", "created_at", "blocked_id"]),
    ]
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
