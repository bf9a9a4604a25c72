//! One-time codes, and which of a user's addresses were proved by one.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in ["email_verified_at", "phone_verified_at"] {
            let column = big_integer_null(column);
            let alter = Table::alter().table("users").add_column(column).take();
            manager.alter_table(alter).await?;
        }
        let codes = Table::create()
            .table("codes")
            .col(uuid("id").primary_key())
            .col(text("purpose"))
            .col(text("recipient"))
            .col(uuid_null("user_id"))
            .col(blob("code_mac"))
            .col(blob_null("link_hash"))
            .col(integer("tries").default(0))
            .col(big_integer("created_at"))
            .col(big_integer("expires_at"))
            .col(big_integer_null("used_at"))
            .foreign_key(
                ForeignKey::create()
                    .name("fk_codes_user_id")
                    .from("codes", "user_id")
                    .to("users", "id"),
            )
            .take();
        manager.create_table(codes).await?;
        // What is open for a recipient; what is over, to be cleared away; and what a link leads to.
        for (name, columns) in [
            ("idx_codes_recipient_purpose", &["recipient", "purpose"][..]),
            ("idx_codes_expires_at", &["expires_at"]),
            ("idx_codes_user_id", &["user_id"]),
            ("idx_codes_link_hash", &["link_hash"]),
        ] {
            let mut index = Index::create();
            index.name(name).table("codes");
            for column in columns {
                index.col(*column);
            }
            manager.create_index(index.take()).await?;
        }
        Ok(())
    }
}
