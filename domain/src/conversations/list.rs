//! A viewer's list of conversations.

use backchannel_entities::{
    ConversationId, Timestamp, UserId, conversation, conversation_state, conversation_tag,
    conversation_term, member, user_term,
};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Order, Query, SelectStatement, SimpleExpr};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait as _, JoinType, PaginatorTrait as _, QueryFilter as _,
    QueryOrder as _, QuerySelect as _, Select,
};

use crate::db::in_list;
use crate::messages::hiding;
use crate::page::{End, Page, PageRequest};
use crate::rates::{self, Action};
use crate::{Cx, Result, directory, limits};

use super::{Conversation, ConversationKind, of_member, states};

/// Which of the actor's conversations, by what they are and what the actor has made of them. By
/// default those that are neither hidden nor archived.
#[derive(Clone, Debug, Default)]
pub struct Which {
    /// Of these kinds; all, where none is named.
    pub kinds: Vec<ConversationKind>,
    /// Those that are archived, instead of those that are not.
    pub archived: bool,
    /// Those that are hidden, instead of those that are not.
    pub hidden: bool,
    /// Only those with something unread or marked so, or only others.
    pub unread: Option<bool>,
    /// Only those that are muted, or only others.
    pub muted: Option<bool>,
    /// Only those that are pinned, or only others.
    pub pinned: Option<bool>,
}

/// Which of the actor's conversations, checked.
#[derive(Clone, Debug, Default)]
pub struct ConversationFilter {
    which: Which,
    tag: Option<String>,
    words: Vec<String>,
}

impl From<Which> for ConversationFilter {
    fn from(which: Which) -> Self {
        Self {
            which,
            ..Self::default()
        }
    }
}

impl ConversationFilter {
    /// Only those with this tag.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] for what is no tag.
    pub fn tagged(self, tag: &str) -> Result<Self> {
        let tag = limits::tags("tag", vec![tag.to_owned()])?.pop();
        Ok(Self { tag, ..self })
    }

    /// Only those that a query finds: each of its words begins a word of the title, or of the
    /// other's name in a direct conversation.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] for a query that is too short, too long or of too many words.
    pub fn named(self, query: &str) -> Result<Self> {
        let words = directory::words_of(limits::query("query", query)?)?;
        Ok(Self { words, ..self })
    }

    /// The conversations of `actor` that it lets through.
    fn select(&self, actor: UserId, now: Timestamp) -> Select<conversation::Entity> {
        use conversation::Column::{ArchivedAt, Kind};
        use conversation_state::Column::{IsMarkedUnread, MutedUntil, PinnedAt};
        let state = conversation::Entity::belongs_to(conversation_state::Entity)
            .from(conversation::Column::Id)
            .to(conversation_state::Column::ConversationId)
            .on_condition(move |_, _| {
                Condition::all().add(conversation_state::Column::UserId.eq(actor))
            });
        let is = |this: SimpleExpr, wanted: bool| if wanted { this } else { this.not() };
        let mut select = of_member(actor)
            .join(JoinType::LeftJoin, state.into())
            .filter(if self.which.archived {
                ArchivedAt.is_not_null()
            } else {
                ArchivedAt.is_null()
            })
            .filter(is(Expr::cust(states::IS_HIDDEN), self.which.hidden));
        if !self.which.kinds.is_empty() {
            select = select.filter(Kind.is_in(in_list(&self.which.kinds)));
        }
        if let Some(unread) = self.which.unread {
            let mark = Expr::col((conversation_state::Entity, IsMarkedUnread));
            let is_marked: SimpleExpr = Func::coalesce([mark, Expr::value(false)]).into();
            select = select.filter(is(is_marked.or(Expr::cust(is_unread())), unread));
        }
        if let Some(muted) = self.which.muted {
            let until = Expr::col((conversation_state::Entity, MutedUntil));
            let until = Expr::from(Func::coalesce([until, Expr::value(0_i64)]));
            select = select.filter(is(until.gt(now.0), muted));
        }
        if let Some(pinned) = self.which.pinned {
            select = select.filter(is(PinnedAt.is_not_null(), pinned));
        }
        if let Some(tag) = &self.tag {
            select = select.filter(Expr::exists(tagged(tag)));
        }
        for word in &self.words {
            let is_other = Kind.eq(ConversationKind::Direct);
            let is_other = is_other.and(Expr::exists(of_other(actor, word)));
            select = select.filter(is_other.or(Expr::exists(titled(word))));
        }
        select
    }
}

/// Whether the member has messages of others to read, those that the member hides left out. Looked up by
/// itself, for each row of `members`: that is what OFFSET 0 says.
fn is_unread() -> String {
    let is_shown = hiding::is_shown_sql("x", r#""members"."user_id""#);
    format!(
        r#"EXISTS (SELECT 1 FROM "messages" x
WHERE x."conversation_id" = "members"."conversation_id" AND x."seq" > "members"."read_seq"
AND x."deleted_at" IS NULL AND x."sender_id" <> "members"."user_id" AND {is_shown} LIMIT 1 OFFSET 0)"#
    )
}

/// By themselves, whatever they stand in: that is what OFFSET 0 says.
fn by_itself(mut select: SelectStatement) -> SelectStatement {
    select.expr(Expr::value(1)).limit(1).offset(0).take()
}

fn tagged(tag: &str) -> SelectStatement {
    use conversation_tag::Column::{ConversationId, Tag};
    let mut select = Query::select();
    select
        .from_as(conversation_tag::Entity, "t")
        .and_where(of_conversation(("t", ConversationId)))
        .and_where(Expr::col(("t", Tag)).eq(tag));
    by_itself(select)
}

fn titled(word: &str) -> SelectStatement {
    use conversation_term::Column::{ConversationId, Term};
    let mut select = Query::select();
    select
        .from_as(conversation_term::Entity, "t")
        .and_where(of_conversation(("t", ConversationId)))
        .and_where(Expr::col(("t", Term)).gte(word))
        .and_where(Expr::col(("t", Term)).lt(directory::end_of(word)));
    by_itself(select)
}

fn of_other(actor: UserId, word: &str) -> SelectStatement {
    use user_term::Column::{Term, UserId};
    let is_theirs = Expr::col(("t", UserId)).equals(("o", member::Column::UserId));
    let mut select = Query::select();
    select
        .from_as(member::Entity, "o")
        .join_as(JoinType::InnerJoin, user_term::Entity, "t", is_theirs)
        .and_where(of_conversation(("o", member::Column::ConversationId)))
        .and_where(Expr::col(("o", member::Column::UserId)).ne(actor))
        .and_where(Expr::col(("t", Term)).gte(word))
        .and_where(Expr::col(("t", Term)).lt(directory::end_of(word)));
    by_itself(select)
}

fn of_conversation(column: (&'static str, impl ColumnTrait)) -> SimpleExpr {
    Expr::col(column).equals((conversation::Entity, conversation::Column::Id))
}

/// Where a conversation stands in a viewer's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActivityPosition {
    /// When something last happened in it.
    pub last_active_at: Timestamp,
    /// Tells apart what happened in the same millisecond.
    pub id: ConversationId,
}

impl ActivityPosition {
    /// The position of `conversation`.
    #[must_use]
    pub fn of(conversation: &Conversation) -> Self {
        Self {
            last_active_at: conversation.last_active_at,
            id: conversation.id,
        }
    }

    /// What stands on one side of this position.
    fn on_side(self, side: Side) -> Condition {
        use conversation::Column::{Id, LastActiveAt};
        let at = self.last_active_at;
        let (beyond, tie) = match side {
            Side::Newer => (LastActiveAt.gt(at), Id.gt(self.id)),
            Side::Older => (LastActiveAt.lt(at), Id.lt(self.id)),
        };
        Condition::any()
            .add(beyond)
            .add(LastActiveAt.eq(at).and(tie))
    }
}

#[derive(Clone, Copy)]
enum Side {
    Newer,
    Older,
}

/// The actor's conversations that `filter` lets through, most recently active first.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in; [`crate::Error::RateLimited`] when the
/// actor has searched too often.
pub async fn list(
    cx: &Cx,
    filter: &ConversationFilter,
    request: &PageRequest<ActivityPosition>,
) -> Result<Page<Conversation>> {
    let order = match request.end {
        End::Start => Order::Desc,
        End::Finish => Order::Asc,
    };
    let mut select = filtered(cx, filter)?;
    if let Some(after) = request.after {
        select = select.filter(after.on_side(Side::Older));
    }
    if let Some(before) = request.before {
        select = select.filter(before.on_side(Side::Newer));
    }
    let rows = select
        .order_by(conversation::Column::LastActiveAt, order.clone())
        .order_by(conversation::Column::Id, order)
        .limit(request.rows())
        .all(cx.read())
        .await?;
    Ok(request.page(rows))
}

/// How many of the actor's conversations `filter` lets through.
///
/// # Errors
/// As [`list`].
pub async fn count(cx: &Cx, filter: &ConversationFilter) -> Result<u64> {
    let select = filtered(cx, filter)?;
    Ok(select.count(cx.read()).await?)
}

/// The actor's pinned conversations, in the order in which they were pinned.
///
/// # Errors
/// [`crate::Error::Unauthenticated`] when nobody is signed in.
pub async fn list_pinned(cx: &Cx) -> Result<Vec<Conversation>> {
    let pinned = Which {
        pinned: Some(true),
        ..Which::default()
    };
    let pinned = filtered(cx, &pinned.into())?
        .order_by_asc(conversation_state::Column::PinnedAt)
        .order_by_asc(conversation::Column::Id)
        .limit(limits::PINNED);
    Ok(pinned.all(cx.read()).await?)
}

fn filtered(cx: &Cx, filter: &ConversationFilter) -> Result<Select<conversation::Entity>> {
    let actor = cx.signed_in()?.user.id;
    if !filter.words.is_empty() {
        rates::count(cx, Action::Search)?;
    }
    Ok(filter.select(actor, cx.handles().clock.now()))
}
