//! Catching up: from a cursor to everything there is.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use backchannel_entities::conversation_event::{self, Kind};
use backchannel_entities::{ConversationId, Timestamp, UserId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult,
    QuerySelect, Statement,
};
use uuid::Uuid;

use crate::conversations::{Conversation, Settings};
use crate::db::in_list;
use crate::event::{Event, EventKind};
use crate::feed::cursor::{CatchingUp, Cursor};
use crate::feed::reader::{BATCH, Range};
use crate::{Cx, Result};

use super::{NAMED, RETRY, View};

/// One catching up.
pub(super) struct CatchUp {
    /// Settled when it began; the cursor's base when it is done.
    until: i64,
    /// Conversations with something new, and their newest stamp.
    stamps: BTreeMap<ConversationId, i64>,
    /// What is still to be read, in the order of conversations.
    wanted: VecDeque<Wanted>,
    /// The last conversation being read now, if it will be done thereby.
    reading: Option<ConversationId>,
    resumed: bool,
}

/// A stretch of a conversation's log that the viewer is to have.
#[derive(Clone, Copy)]
struct Wanted {
    conversation_id: ConversationId,
    after: i64,
    upto: i64,
    /// When the viewer left, where that is so: later texts are none of theirs.
    left_at: Option<Timestamp>,
    /// Up to which seq messages are hidden from the viewer.
    hidden_upto: i64,
}

/// A conversation with something new for the viewer.
struct Newer {
    id: ConversationId,
    stamp: i64,
    last_seq: i64,
    /// The last seq below the cursor's base.
    start: i64,
    left_at: Option<Timestamp>,
    left_seq: Option<i64>,
    hidden_upto: i64,
    member_stamp: i64,
}

impl CatchUp {
    /// Finds what `cursor` does not have.
    pub(super) async fn read(cx: &Cx, viewer: UserId, cursor: &Cursor) -> Result<Self> {
        let _turn = cx.handles().bus.reader().turn().await;
        let (settled, newer) = find_newer(cx, viewer, cursor).await?;
        // One that was interrupted is finished first, as it began: a cursor tells two bases
        // apart, not three.
        let (until, done) = match cursor.catching_up {
            Some(CatchingUp { until, done }) => (until, done),
            None => (settled, ConversationId(Uuid::nil())),
        };
        let has_changed = |newer: &&Newer| newer.member_stamp >= cursor.base_of(newer.id);
        let changed: Vec<_> = newer.iter().filter(has_changed).map(|n| n.id).collect();
        let turns = membership_turns(cx, viewer, cursor, &changed).await?;
        let mut wanted = VecDeque::new();
        for newer in newer.iter().filter(|newer| newer.id > done) {
            let after = cursor.seqs.get(&newer.id).copied().unwrap_or(newer.start);
            let turns = turns.get(&newer.id).map_or([].as_slice(), Vec::as_slice);
            wanted.extend(newer.wanted(after, turns));
        }
        Ok(Self {
            until,
            stamps: newer.iter().map(|newer| (newer.id, newer.stamp)).collect(),
            wanted,
            reading: None,
            resumed: cursor.catching_up.is_some(),
        })
    }

    /// Whether it finished one that had been interrupted; then what came since is still to be
    /// caught up with.
    pub(super) fn was_resumed(&self) -> bool {
        self.resumed
    }

    /// The next events to deliver, in the order in which they happened; none when all is
    /// caught up with.
    pub(super) async fn next(&mut self, view: &mut View) -> Option<Vec<Arc<Event>>> {
        if let Some(done) = self.reading.take() {
            let until = self.until;
            view.cursor.catching_up = Some(CatchingUp { until, done });
            self.forget_settled(&mut view.cursor, done);
        }
        let wanted = self.take_batch();
        if wanted.is_empty() {
            view.cursor.base = self.until;
            view.cursor.catching_up = None;
            self.forget_settled(&mut view.cursor, ConversationId(Uuid::max()));
            view.named = NAMED.max(2 * view.cursor.seqs.len());
            return None;
        }
        if std::mem::take(&mut view.is_new) {
            view.cx.handles().bus.reader().round().await;
        }
        let mut events = read(view, &wanted).await;
        for event in &mut events {
            let id = event.conversation_id;
            let Some(wanted) = wanted.iter().find(|wanted| wanted.conversation_id == id) else {
                continue;
            };
            *event = Arc::clone(event).seen_behind(wanted.hidden_upto);
            if let Some(left_at) = wanted.left_at {
                hide_later_text(event, left_at);
            }
        }
        // In one conversation instants never fall, so this keeps its order.
        events.sort_by_key(|event| (event.at, event.conversation_id, event.seq));
        Some(events)
    }

    /// Stops naming the conversations up to `done` whose newest event is settled.
    fn forget_settled(&self, cursor: &mut Cursor, done: ConversationId) {
        cursor.seqs.retain(|id, _| {
            *id > done
                || self
                    .stamps
                    .get(id)
                    .is_some_and(|stamp| *stamp >= self.until)
        });
    }

    /// Takes stretches of [`BATCH`] events in all, or of what is left.
    fn take_batch(&mut self) -> Vec<Wanted> {
        let mut batch = Vec::new();
        let mut room = BATCH;
        while room > 0
            && let Some(mut wanted) = self.wanted.pop_front()
        {
            let rest = Wanted {
                after: wanted.upto.min(wanted.after + room),
                ..wanted
            };
            wanted.upto = rest.after;
            room -= wanted.upto - wanted.after;
            let id = wanted.conversation_id;
            batch.push(wanted);
            if rest.after < rest.upto {
                self.wanted.push_front(rest);
            } else if self
                .wanted
                .front()
                .is_none_or(|next| next.conversation_id != id)
            {
                self.reading = Some(id);
            }
        }
        batch
    }
}

impl Newer {
    /// The stretches after `after` in which the viewer was a member; `turns` are the viewer's
    /// own joinings and leavings.
    fn wanted(&self, after: i64, turns: &[(i64, Kind)]) -> Vec<Wanted> {
        let mut stretches = Vec::new();
        let mut since = after;
        let mut end = after;
        // The turns were read later: one that came in between is not told of here, but live.
        let known = after + 1..=self.last_seq;
        for (seq, kind) in turns.iter().filter(|(seq, _)| known.contains(seq)) {
            if *kind == Kind::MemberJoined {
                since = seq - 1;
            } else {
                stretches.push((since, *seq));
                end = *seq;
            }
        }
        match self.left_seq {
            None => stretches.push((since, self.last_seq)),
            // The conversation was deleted, which no leaving of the viewer's own says.
            Some(left_seq) if left_seq > end => stretches.push((since, left_seq)),
            Some(_) => {}
        }
        let wanted = |(after, upto)| Wanted {
            conversation_id: self.id,
            after,
            upto,
            left_at: self.left_at,
            hidden_upto: self.hidden_upto,
        };
        let stretches = stretches.into_iter().filter(|(after, upto)| after < upto);
        stretches.map(wanted).collect()
    }
}

/// A cursor that has everything there is.
pub(super) async fn now(cx: &Cx, viewer: UserId) -> Result<Cursor> {
    let _turn = cx.handles().bus.reader().turn().await;
    let settled = cx.handles().db.stamps.snapshot(cx.read()).await?.settled;
    let mut cursor = Cursor::new(settled);
    // What is finished but not settled is in there too.
    let (_, newer) = find_newer(cx, viewer, &cursor).await?;
    cursor.seqs = newer
        .iter()
        .map(|newer| (newer.id, newer.last_seq))
        .collect();
    Ok(cursor)
}

/// The viewer's conversations in which something has a stamp from the cursor's base on, in
/// the order of their ids; and what was settled at that moment. It is one statement: what is
/// settled was visible to it.
async fn find_newer(cx: &Cx, viewer: UserId, cursor: &Cursor) -> Result<(i64, Vec<Newer>)> {
    let stamps = cx.handles().db.stamps;
    let sql = FIND_NEWER.replace("{snapshot}", stamps.snapshot_sql());
    let (until, done) = match cursor.catching_up {
        Some(CatchingUp { until, done }) => (until, done),
        None => (cursor.base, ConversationId(Uuid::nil())),
    };
    let values = [done.into(), until.into(), cursor.base.into(), viewer.into()];
    let backend = cx.read().get_database_backend();
    let statement = Statement::from_sql_and_values(backend, sql, values);
    let rows = cx.read().query_all_raw(statement).await?;
    let snapshot: String = match rows.first() {
        Some(row) => row.try_get("", "snapshot")?,
        None => return Err(crate::Error::internal(std::io::Error::other("no snapshot"))),
    };
    let newer: Result<Vec<Option<Newer>>, DbErr> = rows.iter().map(newer).collect();
    let settled = stamps.parse_snapshot(&snapshot)?.settled;
    Ok((settled, newer?.into_iter().flatten().collect()))
}

/// Reads a row; where nothing is newer, there is one with the snapshot alone.
fn newer(row: &QueryResult) -> Result<Option<Newer>, DbErr> {
    let Some(id) = row.try_get::<Option<ConversationId>>("", "id")? else {
        return Ok(None);
    };
    Ok(Some(Newer {
        id,
        stamp: row.try_get("", "stamp")?,
        last_seq: row.try_get("", "last_seq")?,
        start: row
            .try_get::<i64>("", "message_start")?
            .max(row.try_get("", "event_start")?),
        left_at: row.try_get("", "left_at")?,
        left_seq: row.try_get("", "left_seq")?,
        hidden_upto: row.try_get("", "visible_after")?,
        member_stamp: row.try_get("", "member_stamp")?,
    }))
}

/// Parameters come in the order of their numbers: SQLite knows no other.
///
/// What has been delivered of a conversation is a beginning of it, so its end is found from
/// behind, at the cost of what was missed.
const FIND_NEWER: &str = r#"
SELECT s."snapshot", n.*
FROM (SELECT {snapshot} AS "snapshot") s LEFT JOIN (
    SELECT c."id", c."stamp", c."last_seq", m."left_at", m."left_seq", m."visible_after", m."stamp" AS "member_stamp",
        coalesce((SELECT x."seq" FROM "messages" x WHERE x."conversation_id" = c."id"
            AND x."stamp" < CASE WHEN c."id" <= $1 THEN $2 ELSE $3 END
            ORDER BY x."seq" DESC LIMIT 1), 0) AS "message_start",
        coalesce((SELECT x."seq" FROM "conversation_events" x WHERE x."conversation_id" = c."id"
            AND x."stamp" < CASE WHEN c."id" <= $1 THEN $2 ELSE $3 END
            ORDER BY x."seq" DESC LIMIT 1), 0) AS "event_start"
    FROM "members" m JOIN "conversations" c ON c."id" = m."conversation_id"
    WHERE m."user_id" = $4 AND (m."stamp" >= $3 OR (m."left_at" IS NULL AND c."stamp" >= $3))
) n ON 1 = 1
ORDER BY n."id"
"#;

/// The viewer's own joinings and leavings in these conversations, in order, since the
/// cursor's base.
async fn membership_turns(
    cx: &Cx,
    viewer: UserId,
    cursor: &Cursor,
    ids: &[ConversationId],
) -> Result<BTreeMap<ConversationId, Vec<(i64, Kind)>>> {
    use conversation_event::Column;
    let mut turns: BTreeMap<ConversationId, Vec<(i64, Kind)>> = BTreeMap::new();
    if ids.is_empty() {
        return Ok(turns);
    }
    let rows: Vec<(ConversationId, i64, Kind)> = conversation_event::Entity::find()
        .select_only()
        .columns([Column::ConversationId, Column::Seq, Column::Kind])
        .filter(Column::ConversationId.is_in(in_list(ids)))
        .filter(Column::Stamp.gte(cursor.base))
        .filter(Column::UserId.eq(viewer))
        .filter(Column::Kind.is_in([Kind::MemberJoined, Kind::MemberLeft]))
        .order_by_asc(Column::Seq)
        .into_tuple()
        .all(cx.read())
        .await?;
    for (id, seq, kind) in rows {
        turns.entry(id).or_default().push((seq, kind));
    }
    Ok(turns)
}

/// Reads a batch; waits for the database while it fails.
async fn read(view: &View, wanted: &[Wanted]) -> Vec<Arc<Event>> {
    let range = |wanted: &Wanted| Range {
        conversation_id: wanted.conversation_id,
        after: wanted.after,
        upto: wanted.upto,
    };
    loop {
        let ranges = wanted.iter().map(range).collect();
        match view.cx.handles().bus.reader().read_all(ranges).await {
            Ok(events) => return events,
            Err(error) => {
                tracing::warn!(%error, user.id = %view.viewer, "catching up failed; trying again");
            }
        }
        tokio::time::sleep(RETRY).await;
    }
}

/// A text given after the viewer left is not shown, though the message is; nor what the conversation is
/// called.
fn hide_later_text(event: &mut Arc<Event>, left_at: Timestamp) {
    let is_later = |message: &crate::messages::Message| {
        message
            .edited_at
            .is_some_and(|edited_at| edited_at > left_at)
    };
    let hidden = |message: &Arc<crate::messages::Message>| {
        Arc::new(crate::messages::Message {
            text: None,
            ..(**message).clone()
        })
    };
    let kind = match &event.kind {
        EventKind::MessageSent(message) if is_later(message) => {
            EventKind::MessageSent(hidden(message))
        }
        EventKind::MessageEdited(message) if is_later(message) => {
            EventKind::MessageEdited(hidden(message))
        }
        // It says what is so now, and whoever left is not to know.
        EventKind::ConversationUpdated(conversation) => {
            EventKind::ConversationUpdated(Arc::new(Conversation {
                title: None,
                description: None,
                avatar_url: None,
                archived_at: None,
                settings: Settings::default(),
                ..(**conversation).clone()
            }))
        }
        EventKind::MessageReactionsChanged(message) if is_later(message) => {
            EventKind::MessageReactionsChanged(hidden(message))
        }
        EventKind::MessagePinned(message) if is_later(message) => {
            EventKind::MessagePinned(hidden(message))
        }
        EventKind::MessageUnpinned(message) if is_later(message) => {
            EventKind::MessageUnpinned(hidden(message))
        }
        EventKind::PollChanged(message) if is_later(message) => {
            EventKind::PollChanged(hidden(message))
        }
        EventKind::MessageSent(_)
        | EventKind::MessageEdited(_)
        | EventKind::MessageDeleted(_)
        | EventKind::MemberJoined(_)
        | EventKind::MemberLeft(_)
        | EventKind::MemberRoleChanged(_)
        | EventKind::CallEnded(_)
        | EventKind::ConversationDeleted
        | EventKind::MessageReactionsChanged(_)
        | EventKind::MessagePinned(_)
        | EventKind::MessageUnpinned(_)
        | EventKind::PollChanged(_) => return,
    };
    *event = Arc::new(Event {
        kind,
        ..(**event).clone()
    });
}
