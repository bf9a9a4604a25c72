//! Calls, their parties and their signals; and the event that a call leaves behind.

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
        // SQLite takes the reference with the column or not at all.
        let call_id = uuid_null("call_id")
            .extra(r#"REFERENCES "calls" ("id")"#)
            .take();
        let events = Table::alter()
            .table("conversation_events")
            .add_column(call_id)
            .take();
        manager.alter_table(events).await
    }
}

fn tables() -> [TableCreateStatement; 3] {
    [
        Table::create()
            .table("calls")
            .col(uuid("id").primary_key())
            .col(uuid("conversation_id"))
            .col(text("kind"))
            .col(text("state"))
            .col(uuid("caller_id"))
            .col(big_integer("started_at"))
            .col(big_integer_null("answered_at"))
            .col(big_integer_null("ended_at"))
            .col(text_null("outcome"))
            .col(big_integer_null("due_at"))
            .col(big_integer("last_signal"))
            .col(big_integer("stamp"))
            .foreign_key(&mut foreign_key(
                "calls",
                "conversation_id",
                "conversations",
            ))
            .foreign_key(&mut foreign_key("calls", "caller_id", "users"))
            .take(),
        // No reference to the session: the record outlives it.
        Table::create()
            .table("call_parties")
            .col(uuid("call_id"))
            .col(uuid("user_id"))
            .col(uuid_null("session_id"))
            .col(text("state"))
            .col(boolean("live"))
            .col(big_integer_null("absent_since"))
            .col(big_integer("started_at"))
            .primary_key(Index::create().col("call_id").col("user_id"))
            .foreign_key(&mut foreign_key("call_parties", "call_id", "calls"))
            .foreign_key(&mut foreign_key("call_parties", "user_id", "users"))
            .take(),
        Table::create()
            .table("call_signals")
            .col(uuid("call_id"))
            .col(big_integer("n"))
            .col(text("kind"))
            .col(big_integer("at"))
            .col(uuid_null("from_user"))
            .col(uuid_null("to_user"))
            .col(uuid_null("to_session"))
            .col(uuid_null("except_session"))
            .col(text_null("payload"))
            .primary_key(Index::create().col("call_id").col("n"))
            .foreign_key(&mut foreign_key("call_signals", "call_id", "calls"))
            .take(),
    ]
}

fn indexes() -> [IndexCreateStatement; 7] {
    [
        // A page of the calls of a conversation, and of a user.
        index("calls", &["conversation_id", "started_at", "id"]).take(),
        index("call_parties", &["user_id", "started_at", "call_id"]).take(),
        // What is due.
        index("calls", &["due_at"]).take(),
        // What was committed lately.
        index("calls", &["stamp"]).take(),
        // One live call a user.
        index("call_parties", &["user_id"])
            .name("idx_call_parties_live")
            .unique()
            .and_where(Expr::col("live"))
            .take(),
        // The live call of a device.
        index("call_parties", &["session_id"])
            .and_where(Expr::col("live"))
            .take(),
        // What a user's devices have not seen.
        index("call_signals", &["to_user", "call_id", "n"]).take(),
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
