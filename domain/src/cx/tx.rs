//! A change in the making: one transaction, and what is to be told of it.

use std::collections::HashMap;
use std::sync::Arc;

use backchannel_entities::{
    ConversationId, SessionId, Timestamp, UserId, conversation, conversation_event,
};
use sea_orm::sea_query::{Asterisk, Expr, Func, Query};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseTransaction, EntityTrait, ExprTrait, FromQueryResult,
    QuerySelect,
};
use tokio::sync::OnceCell;

use crate::audit::{self, By, Noted};
use crate::bus::{Advance, News, UserNotice};
use crate::clock::Clock;
use crate::event::Event;
use crate::limits;
use crate::stamps::Stamps;
use crate::{Error, Result};

use super::Handles;

/// An open transaction, and what is to be published once it has committed.
pub(crate) struct Tx {
    pub(crate) db: DatabaseTransaction,
    clock: Clock,
    stamps: Stamps,
    stamp: OnceCell<i64>,
    news: News,
    by: By,
    pub(crate) noted: Vec<Noted>,
}

impl Tx {
    /// Opens one. `Cx::write` is the caller; besides it, sends that commit together, and tallies.
    pub(crate) async fn begin(handles: &Handles) -> Result<Self> {
        Ok(Self {
            db: handles.db.begin().await?,
            clock: handles.clock.clone(),
            stamps: handles.db.stamps,
            stamp: OnceCell::new(),
            news: News::default(),
            by: By::default(),
            noted: Vec::new(),
        })
    }

    /// The same, by somebody.
    pub(crate) fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// Commits, then publishes what was recorded.
    pub(crate) async fn commit(self, handles: &Handles) -> Result<()> {
        // Last of all, because others wait for their turn.
        audit::append(&self.db, self.noted, &self.by, self.clock.now()).await?;
        self.db.commit().await?;
        handles.bus.publish(self.news);
        Ok(())
    }

    /// Leaves everything as it was.
    pub(crate) async fn roll_back(self) {
        // A connection that cannot roll back is closed, which rolls back.
        if let Err(failure) = self.db.rollback().await {
            tracing::debug!(%failure, "rolling back failed");
        }
    }

    /// The present instant. What happens in a conversation happens at the `last_active_at`
    /// that [`Tx::allocate`] answers, which never runs backwards.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Locks the conversation until the end of the transaction. SQLite has no row locks
    /// and needs none: its one writer holds them all.
    pub(crate) async fn lock(&self, id: ConversationId) -> Result<conversation::Model> {
        conversation::Entity::find_by_id(id)
            .lock_exclusive()
            .one(&self.db)
            .await?
            .ok_or(Error::NotFound("conversation"))
    }

    /// Locks the conversation and takes its next `count` positions. Answers the
    /// conversation as it is afterwards: the positions are the last `count` up to its
    /// `last_seq`.
    pub(crate) async fn allocate(
        &self,
        id: ConversationId,
        count: i64,
    ) -> Result<conversation::Model> {
        use conversation::Column;
        // The lock may be long in coming; time must not run backwards over the sequence.
        let latest = Func::greatest([Expr::col(Column::LastActiveAt), Expr::value(self.now())]);
        let mut returned = vec![Expr::col(Asterisk)];
        let own = match self.stamps.sql() {
            Some(sql) => {
                returned.push(Expr::cust(format!(r#"{sql} AS "own_stamp""#)));
                Expr::cust(sql)
            }
            None => Expr::value(self.stamp().await?),
        };
        let greatest = Func::greatest([Expr::col(Column::Stamp), own]);
        let update = Query::update()
            .table(conversation::Entity)
            .value(Column::LastSeq, Expr::col(Column::LastSeq).add(count))
            .value(Column::LastActiveAt, latest)
            .value(Column::Stamp, greatest)
            .and_where(Column::Id.eq(id))
            .and_where(Column::LastSeq.lte(limits::SEQ - count))
            .returning(Query::returning().exprs(returned))
            .take();
        let row = self.db.query_one(&update).await?;
        let row = row.ok_or(Error::NotFound("conversation"))?;
        if self.stamps.sql().is_some() {
            self.know_stamp(row.try_get("", "own_stamp")?);
        }
        Ok(conversation::Model::from_query_result(&row, "")?)
    }

    /// The transaction's stamp. After [`Tx::allocate`] it is at hand.
    pub(crate) async fn stamp(&self) -> Result<i64> {
        let ask = || self.stamps.take(&self.db);
        self.stamp.get_or_try_init(ask).await.copied()
    }

    /// Takes the stamp that a statement of this transaction has brought along.
    pub(crate) fn know_stamp(&self, stamp: i64) {
        // An error means that it is known already.
        let _ = self.stamp.set(stamp);
    }

    /// Writes the events' rows and publishes the events after the commit: the one way for
    /// an event to come into being, but for a message that is sent in one statement.
    pub(crate) async fn record(&mut self, events: Vec<Event>) -> Result<()> {
        let rows: Vec<_> = events.iter().filter_map(Event::row).collect();
        if !rows.is_empty() {
            conversation_event::Entity::insert_many(rows)
                .exec_without_returning(&self.db)
                .await?;
        }
        // The last position of each conversation, and how many members more it has.
        let mut changes: HashMap<ConversationId, (i64, i64)> = HashMap::new();
        for event in events.iter().filter(|event| event.changes_members()) {
            let (seq, more) = changes.entry(event.conversation_id).or_default();
            (*seq, *more) = (event.seq, *more + event.members_more());
        }
        for (id, (seq, more)) in changes {
            let update = Query::update()
                .table(conversation::Entity)
                .value(conversation::Column::MembersSeq, seq)
                .value("member_count", Expr::col("member_count").add(more))
                .and_where(conversation::Column::Id.eq(id))
                .take();
            self.db.execute(&update).await?;
        }
        self.news.events.extend(events.into_iter().map(Arc::new));
        Ok(())
    }

    /// Tells a user's own streams something, on whichever node they are, once the
    /// transaction has committed.
    pub(crate) fn tell(&mut self, user_id: UserId, notice: UserNotice) {
        self.news.notices.push((user_id, notice));
    }

    /// Tells streams of receipts how far a member has come, once the transaction has
    /// committed.
    pub(crate) fn advance(&mut self, id: ConversationId, advance: Advance) {
        self.news.advances.push((id, advance));
    }

    /// Tells those who answer requests to join a conversation that something became of one, once the
    /// transaction has committed.
    pub(crate) fn asked_to_join(&mut self, id: ConversationId) {
        self.news.asked.push(id);
    }

    /// Ends the streams and sockets of a session once the transaction has committed.
    pub(crate) fn end_session(&mut self, session_id: SessionId) {
        self.news.ended.push(session_id);
    }
}
