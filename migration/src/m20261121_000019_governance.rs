//! Who comes in and who stays out: bans, invitations, requests to join; the pace of slow mode; and
//! what is still to be erased of deleted conversations.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for table in [
            bans(),
            invitations(),
            join_requests(),
            last_sends(),
            erasures(),
        ] {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        Ok(())
    }
}

fn bans() -> TableCreateStatement {
    Table::create()
        .table("bans")
        .col(uuid("conversation_id"))
        .col(uuid("user_id"))
        .col(uuid("banned_by"))
        .col(text_null("reason"))
        .col(big_integer("created_at"))
        .primary_key(Index::create().col("conversation_id").col("user_id"))
        .foreign_key(&mut foreign_key("bans", "conversation_id", "conversations"))
        .foreign_key(&mut foreign_key("bans", "user_id", "users"))
        .foreign_key(&mut foreign_key("bans", "banned_by", "users"))
        .take()
}

fn invitations() -> TableCreateStatement {
    Table::create()
        .table("invitations")
        .col(uuid("id").primary_key())
        .col(uuid("conversation_id"))
        .col(uuid("inviter_id"))
        .col(blob("code_hash").unique_key())
        .col(text("role"))
        .col(boolean("asks_first"))
        .col(integer_null("max_uses"))
        .col(integer("uses"))
        .col(big_integer("created_at"))
        .col(big_integer("expires_at"))
        .foreign_key(&mut foreign_key(
            "invitations",
            "conversation_id",
            "conversations",
        ))
        .foreign_key(&mut foreign_key("invitations", "inviter_id", "users"))
        .take()
}

fn join_requests() -> TableCreateStatement {
    Table::create()
        .table("join_requests")
        .col(uuid("id").primary_key())
        .col(uuid("conversation_id"))
        .col(uuid("user_id"))
        .col(text("state"))
        .col(big_integer("asked_at"))
        .col(big_integer("changed_at"))
        .col(big_integer("expires_at"))
        .col(big_integer("stamp"))
        .foreign_key(&mut foreign_key(
            "join_requests",
            "conversation_id",
            "conversations",
        ))
        .foreign_key(&mut foreign_key("join_requests", "user_id", "users"))
        .take()
}

fn last_sends() -> TableCreateStatement {
    Table::create()
        .table("last_sends")
        .col(uuid("conversation_id"))
        .col(uuid("user_id"))
        .col(big_integer("sent_at"))
        .primary_key(Index::create().col("conversation_id").col("user_id"))
        .take()
}

fn erasures() -> TableCreateStatement {
    Table::create()
        .table("erasures")
        .col(uuid("conversation_id").primary_key())
        .col(big_integer("erased_seq"))
        .foreign_key(&mut foreign_key(
            "erasures",
            "conversation_id",
            "conversations",
        ))
        .take()
}

fn indexes() -> [IndexCreateStatement; 8] {
    [
        // A page of those of a conversation.
        index("bans", &["conversation_id", "created_at", "user_id"]),
        index("invitations", &["conversation_id", "created_at", "id"]),
        index(
            "join_requests",
            &["conversation_id", "state", "asked_at", "id"],
        ),
        // A page of those of a user.
        index("join_requests", &["user_id", "asked_at", "id"]),
        // One of a user in a conversation.
        index("join_requests", &["conversation_id", "user_id"])
            .unique()
            .take(),
        // What was committed lately.
        index("join_requests", &["stamp"]),
        // What is over.
        index("invitations", &["expires_at"]),
        index("join_requests", &["expires_at"]),
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
