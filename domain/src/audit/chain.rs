//! The chain of hashes.

use backchannel_entities::{Timestamp, audit_entry, audit_head};
use sea_orm::sea_query::{Expr, ExprTrait as _};
use sea_orm::{
    ActiveEnum as _, ColumnTrait as _, DatabaseTransaction, EntityTrait as _, QueryFilter as _, Set,
};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{Error, Result};

use super::{By, Entry, Noted};

/// Key of the one row that has the end of the chain.
pub(super) const HEAD: i32 = 1;

/// Adds entries at the end of the chain. Others who would do the same wait until the
/// transaction is over, so this is the last that it does.
pub(crate) async fn append(
    db: &DatabaseTransaction,
    noted: Vec<Noted>,
    by: &By,
    at: Timestamp,
) -> Result<()> {
    let count = i64::try_from(noted.len()).map_err(Error::internal)?;
    if count == 0 {
        return Ok(());
    }
    let head = audit_head::Entity::update_many()
        .col_expr(
            audit_head::Column::Seq,
            Expr::col(audit_head::Column::Seq).add(count),
        )
        .filter(audit_head::Column::Id.eq(HEAD))
        .exec_with_returning(db)
        .await?
        .pop();
    let head = head.ok_or_else(|| {
        Error::internal(std::io::Error::other("the end of the audit log is missing"))
    })?;
    let mut hash = head.hash;
    let entries: Vec<Entry> = (head.seq - count + 1..)
        .zip(noted)
        .map(|(seq, noted)| {
            let mut entry = Entry {
                seq,
                at,
                act: noted.act,
                actor_id: by.actor_id,
                subject_id: noted.subject_id,
                session_id: by.session_id,
                address: by.address.clone(),
                detail: noted.detail.map(str::to_owned),
                hash: Vec::new(),
            };
            entry.hash = hash_of(&entry, &hash);
            hash.clone_from(&entry.hash);
            entry
        })
        .collect();
    let rows = entries.into_iter().map(audit_entry::ActiveModel::from);
    audit_entry::Entity::insert_many(rows)
        .exec_without_returning(db)
        .await?;
    let row = audit_head::ActiveModel {
        id: Set(HEAD),
        hash: Set(hash),
        ..Default::default()
    };
    audit_head::Entity::update(row).exec(db).await?;
    Ok(())
}

/// SHA-256 of the hash before and of the entry as a JSON array, in which no two entries look
/// alike.
pub(super) fn hash_of(entry: &Entry, before: &[u8]) -> Vec<u8> {
    let Entry {
        seq,
        at,
        act,
        actor_id,
        subject_id,
        session_id,
        address,
        detail,
        hash: _,
    } = entry;
    let act = act.to_value();
    let text = json!([
        seq, at, act, actor_id, subject_id, session_id, address, detail
    ]);
    let mut hash = Sha256::new();
    hash.update(b"backchannel:audit");
    hash.update(before);
    hash.update(text.to_string());
    hash.finalize().to_vec()
}
