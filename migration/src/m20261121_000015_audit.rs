//! The audit log, and those who may read it.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let is_operator = boolean("is_operator").default(false).take();
        let alter = Table::alter().table("users").add_column(is_operator).take();
        manager.alter_table(alter).await?;
        // It refers to nothing: an entry stays as it is, whatever becomes of what it names.
        let entries = Table::create()
            .table("audit_entries")
            .col(big_integer("seq").primary_key())
            .col(big_integer("at"))
            .col(text("act"))
            .col(uuid_null("actor_id"))
            .col(uuid_null("subject_id"))
            .col(uuid_null("session_id"))
            .col(text_null("address"))
            .col(text_null("detail"))
            .col(blob("hash"))
            .take();
        manager.create_table(entries).await?;
        for column in ["act", "actor_id", "subject_id"] {
            let index = Index::create()
                .name(format!("idx_audit_entries_{column}"))
                .table("audit_entries")
                .col(column)
                .col("seq")
                .take();
            manager.create_index(index).await?;
        }
        // Its one row is where the chain ends, and whose turn it is to go on with it.
        let heads = Table::create()
            .table("audit_heads")
            .col(integer("id").primary_key())
            .col(big_integer("seq"))
            .col(blob("hash"))
            .take();
        manager.create_table(heads).await?;
        let head = Query::insert()
            .into_table("audit_heads")
            .columns(["id", "seq", "hash"])
            .values_panic([1.into(), 0_i64.into(), Vec::<u8>::new().into()])
            .take();
        manager.execute(head).await
    }
}
