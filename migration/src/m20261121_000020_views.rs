//! What each member makes of a conversation, words and tags by which conversations are found, how
//! many members they have, templates, and the room that is there from the start.

use sea_orm_migration::sea_orm::DbBackend;
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        let count = big_integer("member_count").default(0).take();
        let alter = Table::alter()
            .table("conversations")
            .add_column(count)
            .take();
        manager.alter_table(alter).await?;
        for table in tables(backend) {
            manager.create_table(table).await?;
        }
        for index in indexes() {
            manager.create_index(index).await?;
        }
        let connection = manager.get_connection();
        connection.execute_unprepared(COUNT).await?;
        for statement in general(backend) {
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}

fn tables(backend: DbBackend) -> [TableCreateStatement; 5] {
    [
        // One row for each conversation of which a user has made something.
        Table::create()
            .table("conversation_states")
            .col(uuid("user_id"))
            .col(uuid("conversation_id"))
            .col(big_integer_null("hidden_upto"))
            .col(big_integer_null("muted_until"))
            .col(big_integer_null("pinned_at"))
            .col(boolean("is_marked_unread"))
            .col(text_null("draft"))
            .col(big_integer_null("drafted_at"))
            .col(big_integer("stamp"))
            .primary_key(Index::create().col("user_id").col("conversation_id"))
            .foreign_key(&mut foreign_key("conversation_states", "user_id", "users"))
            .foreign_key(&mut foreign_key(
                "conversation_states",
                "conversation_id",
                "conversations",
            ))
            .take(),
        // The words by whose beginnings a conversation is found.
        Table::create()
            .table("conversation_terms")
            .col(bytewise("term", backend))
            .col(uuid("conversation_id"))
            .primary_key(Index::create().col("term").col("conversation_id"))
            .foreign_key(&mut foreign_key(
                "conversation_terms",
                "conversation_id",
                "conversations",
            ))
            .take(),
        Table::create()
            .table("conversation_tags")
            .col(bytewise("tag", backend))
            .col(uuid("conversation_id"))
            .primary_key(Index::create().col("tag").col("conversation_id"))
            .foreign_key(&mut foreign_key(
                "conversation_tags",
                "conversation_id",
                "conversations",
            ))
            .take(),
        // How many rooms have a tag.
        Table::create()
            .table("room_tags")
            .col(bytewise("tag", backend).primary_key())
            .col(big_integer("rooms"))
            .take(),
        Table::create()
            .table("templates")
            .col(uuid("id").primary_key())
            .col(uuid("user_id"))
            .col(text("name"))
            .col(json_binary("content"))
            .foreign_key(&mut foreign_key("templates", "user_id", "users"))
            .take(),
    ]
}

fn indexes() -> [IndexCreateStatement; 7] {
    [
        // What was committed lately.
        index("conversation_states", &["stamp"]),
        // From the conversation.
        index("conversation_states", &["conversation_id"]),
        index("conversation_terms", &["conversation_id", "term"]),
        index("conversation_tags", &["conversation_id", "tag"]),
        // The tags of most rooms.
        index("room_tags", &["rooms", "tag"]),
        // A page of a user's.
        index("templates", &["user_id", "id"]),
        // A page of rooms. Their order does not depend on what is sent: no send changes an index of
        // conversations.
        index("conversations", &["member_count", "id"])
            .and_where(Expr::cust(
                r#""kind" = 'room' AND "deleted_at" IS NULL AND "archived_at" IS NULL"#,
            ))
            .take(),
    ]
}

const COUNT: &str = r#"
UPDATE "conversations" SET "member_count" = (
    SELECT count(*) FROM "members" m
    WHERE m."conversation_id" = "conversations"."id" AND m."left_at" IS NULL
)"#;

const SYSTEM: &str = "000000000000700080000000000000a1";
const GENERAL: &str = "000000000000700080000000000000b1";

/// The room `general`, unless there is one, and its owner: nobody signs in as that, or finds it.
fn general(backend: DbBackend) -> [String; 4] {
    let (key, now, yes): (fn(&str) -> String, _, _) = if backend == DbBackend::Postgres {
        let now = "(extract(epoch FROM now()) * 1000)::bigint";
        (|id| format!("'{id}'::uuid"), now, "TRUE")
    } else {
        (|id| format!("X'{id}'"), "unixepoch() * 1000", "1")
    };
    let (system, general) = (key(SYSTEM), key(GENERAL));
    let of_room = format!(r#"FROM "conversations" WHERE "id" = {general}"#);
    [
        format!(
            r#"
INSERT INTO "users" ("id", "display_name", "created_at", "chats_from", "is_listed")
VALUES ({system}, 'Backchannel', {now}, 'nobody', {yes})"#
        ),
        format!(
            r#"
INSERT INTO "conversations" ("id", "kind", "title", "slug", "created_by", "created_at", "last_active_at", "member_count")
SELECT {general}, 'room', 'General', 'general', {system}, {now}, {now}, 1
WHERE NOT EXISTS (SELECT 1 FROM "conversations" WHERE "slug" = 'general')"#
        ),
        format!(
            r#"
INSERT INTO "members" ("conversation_id", "user_id", "role", "joined_at", "joined_seq")
SELECT "id", {system}, 'owner', {now}, 0 {of_room}"#
        ),
        format!(
            r#"INSERT INTO "conversation_terms" ("term", "conversation_id") SELECT 'general', "id" {of_room}"#
        ),
    ]
}

/// Text that is compared byte by byte: what begins with a word is a range then. SQLite does so by
/// itself, Postgres by the language of the database.
fn bytewise(name: &'static str, backend: DbBackend) -> ColumnDef {
    let mut column = text(name);
    if backend == DbBackend::Postgres {
        column.extra(r#"COLLATE "C""#);
    }
    column
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
