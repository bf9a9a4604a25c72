//! Whether the log is what was written.

use backchannel_entities::{Timestamp, audit_entry, audit_head};
use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use crate::{Domain, Error, Result};

use super::chain::{HEAD, hash_of};

/// Entries read at once.
const BATCH: u64 = 1_000;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry follows from the one before.
    Intact {
        /// How many there are.
        count: i64,
        /// The last one's time and hash; none where there is none.
        last: Option<(Timestamp, String)>,
    },
    /// The first that does not, or that is missing.
    Broken {
        /// Its position.
        seq: i64,
    },
}

/// Reads the whole log, as far as it goes when this begins.
///
/// # Errors
/// When the database fails.
pub async fn verify(domain: &Domain) -> Result<Verdict> {
    let db = &domain.0.db.reader;
    let head = audit_head::Entity::find_by_id(HEAD).one(db).await?;
    let head = head.ok_or_else(|| {
        Error::internal(std::io::Error::other("the end of the audit log is missing"))
    })?;
    let (mut seq, mut hash, mut last) = (0, Vec::new(), None);
    while seq < head.seq {
        let entries = audit_entry::Entity::find()
            .filter(audit_entry::Column::Seq.gt(seq))
            .order_by_asc(audit_entry::Column::Seq)
            .limit(BATCH)
            .all(db)
            .await?;
        if entries.is_empty() {
            return Ok(Verdict::Broken { seq: seq + 1 });
        }
        for entry in &entries {
            if seq == head.seq {
                break;
            }
            seq += 1;
            if entry.seq != seq || entry.hash != hash_of(entry, &hash) {
                return Ok(Verdict::Broken { seq });
            }
            hash.clone_from(&entry.hash);
            last = Some(entry.at);
        }
    }
    if hash != head.hash {
        return Ok(Verdict::Broken { seq });
    }
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Verdict::Intact {
        count: seq,
        last: last.map(|at| (at, hex)),
    })
}
