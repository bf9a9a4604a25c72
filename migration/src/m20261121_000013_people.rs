//! Finding people, in what order contacts are listed, and who shows others different things.

use sea_orm_migration::sea_orm::DbBackend;
use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let backend = manager.get_database_backend();
        // What is written whenever blocks or settings change, and by no other way; and whether the
        // user's words are in `user_terms`, which is seen to after the start for those who are
        // there already.
        for column in ["is_selective", "is_listed"] {
            let column = boolean(column).default(false).take();
            let alter = Table::alter().table("users").add_column(column).take();
            manager.alter_table(alter).await?;
        }
        let unlisted = Index::create()
            .name("idx_users_unlisted")
            .table("users")
            .col("id")
            .and_where(Expr::col("is_listed").not())
            .take();
        manager.create_index(unlisted).await?;
        manager.create_table(user_terms(backend)).await?;
        let of_user = Index::create()
            .name("idx_user_terms_user_id")
            .table("user_terms")
            .col("user_id")
            .col("term")
            .take();
        manager.create_index(of_user).await?;
        let sort_key = bytewise("sort_key", backend).default("").take();
        let alter = Table::alter().table("contacts").add_column(sort_key).take();
        manager.alter_table(alter).await?;
        let in_order = Index::create()
            .name("idx_contacts_sort_key")
            .table("contacts")
            .col("user_id")
            .col("sort_key")
            .col("contact_id")
            .take();
        manager.create_index(in_order).await
    }
}

/// The words by whose beginnings a user is found.
fn user_terms(backend: DbBackend) -> TableCreateStatement {
    Table::create()
        .table("user_terms")
        .col(uuid("user_id"))
        .col(bytewise("term", backend))
        .primary_key(Index::create().col("term").col("user_id"))
        .foreign_key(
            ForeignKey::create()
                .name("fk_user_terms_user_id")
                .from("user_terms", "user_id")
                .to("users", "id"),
        )
        .take()
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
