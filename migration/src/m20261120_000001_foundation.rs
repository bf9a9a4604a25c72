//! Users, sessions, conversations, members, messages and the event log.
//!
//! Instants are BIGINT milliseconds, ids UUIDs, enums text. Each index names the query
//! it serves; a test reads the plans of the hot ones on both databases.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in tables() {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn tables() -> [TableCreateStatement; 7] {
    [
        Table::create()
            .table("users")
            .col(uuid("id").primary_key())
            .col(text_null("email").unique_key())
            .col(text_null("phone").unique_key())
            .col(text_null("password_hash"))
            .col(text("display_name"))
            .col(text_null("avatar_url"))
            .col(big_integer("created_at"))
            .take(),
        Table::create()
            .table("sessions")
            .col(uuid("id").primary_key())
            .col(uuid("user_id"))
            .col(big_integer("created_at"))
            .col(big_integer("last_used_at"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("revoked_at"))
            .foreign_key(&mut foreign_key("sessions", "user_id", "users"))
            .take(),
        Table::create()
            .table("refresh_tokens")
            .col(blob("token_hash").primary_key())
            .col(uuid("session_id"))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("spent_at"))
            .foreign_key(&mut foreign_key("refresh_tokens", "session_id", "sessions"))
            .take(),
        Table::create()
            .table("conversations")
            .col(uuid("id").primary_key())
            .col(text("kind"))
            .col(text_null("title"))
            .col(text_null("slug").unique_key())
            .col(text_null("direct_key").unique_key())
            .col(uuid("created_by"))
            .col(big_integer("created_at"))
            .col(big_integer("last_seq").default(0))
            .col(big_integer("last_active_at"))
            .foreign_key(&mut foreign_key("conversations", "created_by", "users"))
            .take(),
        Table::create()
            .table("members")
            .col(uuid("conversation_id"))
            .col(uuid("user_id"))
            .col(text("role"))
            .col(big_integer("joined_at"))
            .col(big_integer("joined_seq"))
            .col(big_integer_null("left_at"))
            .col(big_integer_null("left_seq"))
            .col(big_integer("delivered_seq").default(0))
            .col(big_integer("read_seq").default(0))
            .primary_key(Index::create().col("conversation_id").col("user_id"))
            .foreign_key(&mut foreign_key(
                "members",
                "conversation_id",
                "conversations",
            ))
            .foreign_key(&mut foreign_key("members", "user_id", "users"))
            .take(),
        Table::create()
            .table("messages")
            .col(uuid("id").primary_key())
            .col(uuid("conversation_id"))
            .col(big_integer("seq"))
            .col(uuid_null("sender_id"))
            .col(text_null("client_message_id"))
            .col(blob_null("digest"))
            .col(text_null("text"))
            .col(big_integer("created_at"))
            .col(big_integer_null("edited_at"))
            .col(big_integer_null("deleted_at"))
            .foreign_key(&mut foreign_key(
                "messages",
                "conversation_id",
                "conversations",
            ))
            .foreign_key(&mut foreign_key("messages", "sender_id", "users"))
            .take(),
        Table::create()
            .table("conversation_events")
            .col(uuid("conversation_id"))
            .col(big_integer("seq"))
            .col(text("kind"))
            .col(big_integer("at"))
            .col(uuid_null("actor_id"))
            .col(uuid_null("message_id"))
            .col(uuid_null("user_id"))
            .primary_key(Index::create().col("conversation_id").col("seq"))
            .foreign_key(&mut foreign_key(
                "conversation_events",
                "conversation_id",
                "conversations",
            ))
            .foreign_key(&mut foreign_key("conversation_events", "actor_id", "users"))
            .foreign_key(&mut foreign_key(
                "conversation_events",
                "message_id",
                "messages",
            ))
            .foreign_key(&mut foreign_key("conversation_events", "user_id", "users"))
            .take(),
    ]
}

fn indexes() -> [IndexCreateStatement; 7] {
    [
        // What other nodes ended lately, and a user's own sessions.
        index("sessions", &["revoked_at"]).take(),
        index("sessions", &["user_id"]).take(),
        // The tokens of a family.
        index("refresh_tokens", &["session_id"]).take(),
        // The conversations of a viewer.
        index("members", &["user_id", "conversation_id"]).take(),
        // A page of the members of a conversation.
        index("members", &["conversation_id", "joined_at", "user_id"]).take(),
        // Pages and replay; and no two messages at one position.
        index("messages", &["conversation_id", "seq"])
            .unique()
            .take(),
        // A retry finds the first message, for ever.
        index("messages", &["sender_id", "client_message_id"])
            .unique()
            .take(),
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
