//! Marks carry no stamp, which every one of them would have to move in an index, so the sweep
//! does not find them. What was never told of them is made up for by reading the members of
//! open conversations again: those who were marked lately.
//!
//! 1. While Redis is away, every second.
//! 2. When a node has been cut off and is back, it asks all nodes to read once more: what it
//!    could not tell meanwhile, nobody else knows of.
//! 3. Now and then in any case, for a node that died before it could tell.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use backchannel_entities::{ConversationId, Timestamp, UserId, conversation, member, user};
use sea_orm::{ColumnTrait, EntityTrait, FromQueryResult, JoinType, QueryFilter, QueryOrder};
use sea_orm::{QuerySelect, RelationTrait};

use crate::Result;
use crate::bus::redis::Redis;
use crate::bus::{Ends, SKEW};
use crate::db::{Db, in_list};

use super::{Advance, KEPT};

/// How often is looked whether there is reason to read, and read while Redis is away.
const LOOK: Duration = Duration::from_secs(1);
/// How often is read without a reason.
const ANYWAY: Duration = Duration::from_secs(15);
/// How long before it was noticed Redis may have been gone.
const UNNOTICED: Duration = Duration::from_secs(5);
/// Conversations read in one statement.
const BATCH: usize = 512;

/// From when on other nodes could not tell of marks.
#[derive(Default)]
pub(in crate::bus) struct Missed(Mutex<Option<Timestamp>>);

impl Missed {
    /// Takes the request of a node to read again what was marked since then.
    pub(in crate::bus) fn ask(&self, since: Timestamp) {
        let mut missed = self.0.lock().expect("no holder panics");
        *missed = Some(missed.map_or(since, |missed| missed.min(since)));
    }

    fn take(&self) -> Option<Timestamp> {
        self.0.lock().expect("no holder panics").take()
    }
}

/// What this node knows of its own connection.
struct Connection {
    /// How often it had been made when last looked.
    made: u64,
    /// When all was well.
    well: Timestamp,
    /// Since when it is not, if so.
    gap: Option<Timestamp>,
}

impl Connection {
    /// Looks at it. When this node can tell again, asks all to read what it could not.
    fn look(&mut self, ends: &Ends, redis: &Redis) {
        let (made, dropped) = (redis.connections(), ends.outbox.has_dropped());
        if !redis.connected() || made != self.made || dropped {
            self.made = made;
            self.gap.get_or_insert(self.well.minus(UNNOTICED));
        } else {
            self.well = ends.clock.now();
        }
        if let Some(gap) = self.gap.take_if(|gap| redis.tell_missed(*gap)) {
            ends.local.missed.ask(gap);
        }
    }
}

/// Reads marks again wherever there is reason to.
pub(in crate::bus) async fn read_again_until_stopped(ends: Arc<Ends>, redis: Redis) {
    let mut read = ends.clock.now();
    let mut connection = Connection {
        made: 0,
        well: read,
        gap: None,
    };
    loop {
        tokio::select! {
            () = ends.stopping.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
        connection.look(&ends, &redis);
        let now = ends.clock.now();
        let missed = ends.local.missed.take();
        if missed.is_none() && redis.connected() && now < read.plus(ANYWAY) {
            continue;
        }
        let since = missed.unwrap_or(read).min(read).minus(SKEW);
        match read_again(&ends, since).await {
            Ok(()) => read = now,
            Err(error) => {
                ends.local.missed.ask(since);
                tracing::warn!(%error, "looking for missed receipts failed; trying again");
            }
        }
    }
}

/// Gives the open hubs what was marked since then.
async fn read_again(ends: &Ends, since: Timestamp) -> Result<()> {
    for ids in ends.local.receipt_streams().chunks(BATCH) {
        let mut marks: HashMap<ConversationId, Vec<Advance>> = HashMap::new();
        for (id, advance) in read_marks(&ends.db, ids, since).await? {
            marks.entry(id).or_default().push(advance);
        }
        for (id, advances) in marks {
            ends.local.take_receipts(id, &advances);
        }
    }
    Ok(())
}

#[derive(FromQueryResult)]
struct Row {
    conversation_id: ConversationId,
    user_id: UserId,
    delivered_seq: i64,
    read_seq: i64,
    marked_at: Timestamp,
    read_receipts: bool,
    last_seq: i64,
}

/// How far the members of these conversations are who were marked since then, the latest
/// first. In one statement, so that `last_seq` is not older than the marks.
pub(super) async fn read_marks(
    db: &Db,
    ids: &[ConversationId],
    since: Timestamp,
) -> Result<Vec<(ConversationId, Advance)>> {
    use member::Column;
    let rows: Vec<Row> = member::Entity::find()
        .select_only()
        .columns([
            Column::ConversationId,
            Column::UserId,
            Column::DeliveredSeq,
            Column::ReadSeq,
            Column::MarkedAt,
        ])
        .column(user::Column::ReadReceipts)
        .column(conversation::Column::LastSeq)
        .join(JoinType::InnerJoin, member::Relation::Conversation.def())
        .join(JoinType::InnerJoin, member::Relation::User.def())
        .filter(Column::ConversationId.is_in(in_list(ids)))
        .filter(Column::LeftAt.is_null())
        .filter(Column::MarkedAt.gte(since))
        .order_by_desc(Column::MarkedAt)
        .limit(KEPT as u64)
        .into_model()
        .all(&db.reader)
        .await?;
    let advances = rows.into_iter().map(|row| {
        let advance = Advance {
            user_id: row.user_id,
            delivered_seq: row.delivered_seq,
            read_seq: row.read_seq,
            at: row.marked_at,
            shows_reads: row.read_receipts,
            last_seq: row.last_seq,
        };
        (row.conversation_id, advance)
    });
    Ok(advances.collect())
}
