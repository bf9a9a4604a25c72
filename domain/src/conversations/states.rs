//! What members make of a conversation for themselves: hiding, muting, pinning, marking unread, and
//! what they have begun to write. Nobody else hears of it; the member's other devices do
//! ([`changes()`](super::changes())).
//!
//! 1. There is a row once something was made, and none before. All of a user's rows change under
//!    the lock of the user, so that of two devices the later one wins.
//! 2. Hidden is a conversation up to its last position of then: a message behind that brings it
//!    back, and sending knows nothing of it.
//! 3. Reading takes away that a conversation is marked unread ([`read`], [`read_all`]).

use std::collections::HashMap;

use backchannel_entities::{ConversationId, Timestamp, UserId, conversation_state};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait as _, EntityTrait as _, FromQueryResult,
    PaginatorTrait as _, QueryFilter as _, QuerySelect as _, Select, Set,
};

use crate::access::Membership;
use crate::bots::Scope;
use crate::bus::UserNotice;
use crate::cx::Tx;
use crate::db::in_list;
use crate::rates::{self, Action};
use crate::{Cx, Error, Result, limits, users};

use backchannel_entities::conversation_state::Model as Row;

/// What the actor has made of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, FromQueryResult)]
pub struct State {
    #[sea_orm(nested)]
    pub(super) row: Row,
    is_hidden: bool,
}

/// What somebody has begun to write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// What.
    pub text: String,
    /// When it last changed.
    pub updated_at: Timestamp,
}

impl State {
    /// Of which conversation.
    #[must_use]
    pub fn conversation_id(&self) -> ConversationId {
        self.row.conversation_id
    }

    /// Whether it is left out of lists.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.is_hidden
    }

    /// Until when it is muted, if it is at that moment.
    #[must_use]
    pub fn muted_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.row.muted_until.filter(|until| *until > now)
    }

    /// When it was pinned, if it is.
    #[must_use]
    pub fn pinned_at(&self) -> Option<Timestamp> {
        self.row.pinned_at
    }

    /// Whether it is to look unread.
    #[must_use]
    pub fn is_marked_unread(&self) -> bool {
        self.row.is_marked_unread
    }

    /// What the actor has begun to write.
    #[must_use]
    pub fn draft(&self) -> Option<Draft> {
        let (text, updated_at) = (self.row.draft.clone()?, self.row.drafted_at?);
        Some(Draft { text, updated_at })
    }
}

/// Whether a conversation is hidden, for the row in `conversation_states`. It is looked up by itself
/// (that is what OFFSET 0 says): a join could be planned while tables are small.
pub(super) const IS_HIDDEN: &str = r#"(coalesce("conversation_states"."hidden_upto", -1) >= 0
AND NOT EXISTS (SELECT 1 FROM "messages" x WHERE x."conversation_id" = "conversation_states"."conversation_id"
    AND x."seq" > "conversation_states"."hidden_upto" AND x."kind" <> 'system' LIMIT 1 OFFSET 0))"#;

/// What `user_id` has made of conversations.
pub(super) fn of_user(user_id: UserId) -> Select<conversation_state::Entity> {
    conversation_state::Entity::find()
        .expr_as(Expr::cust(IS_HIDDEN), "is_hidden")
        .filter(conversation_state::Column::UserId.eq(user_id))
}

/// What the actor has made of these conversations; those of which that is nothing are left out.
///
/// # Errors
/// [`Error::Unauthenticated`] when nobody is signed in.
pub async fn find_many(cx: &Cx, ids: &[ConversationId]) -> Result<HashMap<ConversationId, State>> {
    let states: Vec<State> = of_user(cx.signed_in()?.user.id)
        .filter(conversation_state::Column::ConversationId.is_in(in_list(ids)))
        .into_model()
        .all(cx.read())
        .await?;
    let by_id = states
        .into_iter()
        .map(|state| (state.conversation_id(), state));
    Ok(by_id.collect())
}

/// What to make of a conversation, checked.
#[derive(Clone, Debug)]
pub struct Making(What);

#[derive(Clone, Debug)]
enum What {
    Hide,
    Show,
    Mute(Timestamp),
    Unmute,
    Pin,
    Unpin,
    MarkUnread,
    Draft(Option<String>),
}

impl Making {
    /// To leave it out of lists, until a message is sent.
    #[must_use]
    pub fn hide() -> Self {
        Self(What::Hide)
    }

    /// To list it again.
    #[must_use]
    pub fn show() -> Self {
        Self(What::Show)
    }

    /// Not to be notified of it until then.
    ///
    /// # Errors
    /// [`Error::BadInput`] for an instant that is over.
    pub fn mute(cx: &Cx, until: Timestamp) -> Result<Self> {
        if until <= cx.handles().clock.now() {
            return Err(Error::bad_input("until", "must be in the future"));
        }
        Ok(Self(What::Mute(until)))
    }

    /// To be notified again.
    #[must_use]
    pub fn unmute() -> Self {
        Self(What::Unmute)
    }

    /// To have it at hand.
    #[must_use]
    pub fn pin() -> Self {
        Self(What::Pin)
    }

    /// No longer.
    #[must_use]
    pub fn unpin() -> Self {
        Self(What::Unpin)
    }

    /// To let it look unread, until it is read.
    #[must_use]
    pub fn mark_unread() -> Self {
        Self(What::MarkUnread)
    }

    /// To keep what was begun to be written; none for nothing.
    ///
    /// # Errors
    /// [`Error::BadInput`] for a text that is not acceptable.
    pub fn draft(text: Option<String>) -> Result<Self> {
        let text = text.filter(|text| !text.is_empty());
        let text = text.map(|text| limits::draft("text", text)).transpose()?;
        Ok(Self(What::Draft(text)))
    }

    /// What the row is afterwards.
    fn applied_to(self, before: &Row, last_seq: i64, now: Timestamp) -> Row {
        let mut row = before.clone();
        match self.0 {
            What::Hide => row.hidden_upto = Some(last_seq),
            What::Show => row.hidden_upto = None,
            What::Mute(until) => row.muted_until = Some(until),
            What::Unmute => row.muted_until = None,
            What::Pin => row.pinned_at = row.pinned_at.or(Some(now)),
            What::Unpin => row.pinned_at = None,
            What::MarkUnread => row.is_marked_unread = true,
            What::Draft(text) if text == before.draft => {}
            What::Draft(text) => {
                row.drafted_at = text.as_ref().map(|_| now);
                row.draft = text;
            }
        }
        row
    }
}

/// Makes something of a conversation for the actor. What is so already is no change.
///
/// # Errors
/// [`Error::NotFound`] when the conversation does not exist for the actor; [`Error::Conflict`] when
/// there are too many pinned ones; [`Error::RateLimited`] when the actor has changed too much.
pub async fn make(cx: &Cx, id: ConversationId, making: Making) -> Result<()> {
    let action = match making.0 {
        What::Draft(_) => Action::Signal,
        What::Hide
        | What::Show
        | What::Mute(_)
        | What::Unmute
        | What::Pin
        | What::Unpin
        | What::MarkUnread => Action::Send,
    };
    rates::count(cx, action)?;
    let last_seq = Membership::prove(cx, id).await?.conversation.last_seq;
    let user_id = cx.signed_in()?.user.id;
    cx.write_in(Scope::Conversations, move |tx| {
        Box::pin(async move {
            users::lock(tx, user_id).await?;
            let found = conversation_state::Entity::find_by_id((user_id, id));
            let found = found.one(&tx.db).await?;
            let before = found.clone().unwrap_or_else(|| nothing_of(user_id, id));
            let after = making.applied_to(&before, last_seq, tx.now());
            if after == before {
                return Ok(());
            }
            if before.pinned_at.is_none() && after.pinned_at.is_some() {
                leave_space(tx, user_id).await?;
            }
            write(tx, found, after).await?;
            tx.tell(user_id, UserNotice::States);
            Ok(())
        })
    })
    .await
}

fn nothing_of(user_id: UserId, conversation_id: ConversationId) -> Row {
    Row {
        user_id,
        conversation_id,
        hidden_upto: None,
        muted_until: None,
        pinned_at: None,
        is_marked_unread: false,
        draft: None,
        drafted_at: None,
        stamp: 0,
    }
}

/// Writes what has changed, and nothing else: reading changes rows without the user's lock.
async fn write(tx: &Tx, before: Option<Row>, after: Row) -> Result<()> {
    let stamp = tx.stamp().await?;
    let Some(before) = before else {
        let row = conversation_state::ActiveModel::from(Row { stamp, ..after });
        conversation_state::Entity::insert(row.reset_all())
            .exec_without_returning(&tx.db)
            .await?;
        return Ok(());
    };
    let mut row = conversation_state::ActiveModel::from(before);
    row.hidden_upto.set_if_not_equals(after.hidden_upto);
    row.muted_until.set_if_not_equals(after.muted_until);
    row.pinned_at.set_if_not_equals(after.pinned_at);
    row.is_marked_unread
        .set_if_not_equals(after.is_marked_unread);
    row.draft.set_if_not_equals(after.draft);
    row.drafted_at.set_if_not_equals(after.drafted_at);
    row.stamp = Set(stamp);
    row.update(&tx.db).await?;
    Ok(())
}

/// Fails when the actor, whose row is locked, has pinned enough.
async fn leave_space(tx: &Tx, user_id: UserId) -> Result<()> {
    let pinned = of_user(user_id).filter(conversation_state::Column::PinnedAt.is_not_null());
    if pinned.count(&tx.db).await? >= limits::PINNED {
        return Err(Error::Conflict {
            field: None,
            message: "20 conversations are pinned; unpin one first",
        });
    }
    Ok(())
}

/// Forgets what a member has made of a conversation, who leaves it.
pub(crate) async fn forget(tx: &Tx, id: ConversationId, user_id: UserId) -> Result<()> {
    conversation_state::Entity::delete_by_id((user_id, id))
        .exec(&tx.db)
        .await?;
    Ok(())
}

/// The actor has read a conversation: it does not look unread any more.
pub(crate) async fn read(tx: &mut Tx, user_id: UserId, id: ConversationId) -> Result<()> {
    clear_marks(tx, user_id, Some(id)).await
}

/// The actor has read everything.
pub(crate) async fn read_all(tx: &mut Tx, user_id: UserId) -> Result<()> {
    clear_marks(tx, user_id, None).await
}

async fn clear_marks(tx: &mut Tx, user_id: UserId, id: Option<ConversationId>) -> Result<()> {
    use conversation_state::Column::{ConversationId, IsMarkedUnread, Stamp, UserId};
    let mut update = conversation_state::Entity::update_many()
        .col_expr(IsMarkedUnread, Expr::value(false))
        .col_expr(Stamp, Expr::value(tx.stamp().await?))
        .filter(UserId.eq(user_id))
        .filter(IsMarkedUnread.eq(true));
    if let Some(id) = id {
        update = update.filter(ConversationId.eq(id));
    }
    if update.exec(&tx.db).await?.rows_affected > 0 {
        tx.tell(user_id, UserNotice::States);
    }
    Ok(())
}
