//! What a conversation says of its members: where in the sequence somebody last came or went,
//! or was given another role. Who sees it unchanged knows that nobody has.

use sea_orm_migration::{prelude::*, schema::*};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // It is only compared with itself, so that 0 is right for what exists already.
        let column = big_integer("members_seq").default(0).take();
        let alter = Table::alter()
            .table("conversations")
            .add_column(column)
            .take();
        manager.alter_table(alter).await
    }
}
