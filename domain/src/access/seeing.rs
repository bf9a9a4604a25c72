//! What of conversations and messages a user sees, as parts of the statements that read them: so no
//! reader can forget it, and none asks twice.

use backchannel_entities::{ban, conversation, member, message};
use sea_orm::sea_query::{Expr, ExprTrait as _, Func, Query, SelectStatement, SimpleExpr};

use crate::UserId;
use crate::conversations::{Conversation, ConversationKind, History};

/// Up to which seq the messages of a conversation are hidden from a user, as an expression: from
/// members what they are not to see of what was before them, from others everything; but of a room
/// that lets newcomers see all, nothing, unless they are banned from it. `conversation` and `user` are
/// expressions too. Each look-up goes by a key, whatever it stands in.
pub(crate) fn hidden_upto(conversation: &str, user: &str) -> String {
    let (all, banned) = (i64::MAX, is_banned(conversation, user));
    format!(
        r#"coalesce(
(SELECT v."visible_after" FROM "members" v WHERE v."conversation_id" = {conversation} AND v."user_id" = {user} AND v."left_at" IS NULL),
(SELECT CASE WHEN r."settings" ->> 'history' = 'joining' THEN {all} ELSE 0 END FROM "conversations" r
    WHERE r."id" = {conversation} AND r."kind" = 'room' AND r."deleted_at" IS NULL AND NOT {banned}),
{all})"#
    )
}

/// Whether a user sees a row of `messages`: the same, to be built into a statement.
pub(crate) fn sees_message(user: UserId) -> SimpleExpr {
    use conversation::Column::{DeletedAt, Id, Kind};
    use member::Column::{ConversationId, LeftAt, UserId, VisibleAfter};
    let message = |column: message::Column| Expr::col((message::Entity, column));
    let all = || Expr::value(i64::MAX);
    let from_member = Query::select()
        .column(("v", VisibleAfter))
        .from_as(member::Entity, "v")
        .and_where(Expr::col(("v", ConversationId)).eq(message(message::Column::ConversationId)))
        .and_where(Expr::col(("v", UserId)).eq(user))
        .and_where(Expr::col(("v", LeftAt)).is_null())
        .take();
    let hides = Expr::cust(r#""r"."settings" ->> 'history' = 'joining'"#);
    let from_others = Query::select()
        .expr(Expr::case(hides, all()).finally(0_i64))
        .from_as(conversation::Entity, "r")
        .and_where(Expr::col(("r", Id)).eq(message(message::Column::ConversationId)))
        .and_where(Expr::col(("r", Kind)).eq(ConversationKind::Room))
        .and_where(Expr::col(("r", DeletedAt)).is_null())
        .and_where(Expr::exists(ban_of(user, message(message::Column::ConversationId))).not())
        .take();
    let part = |part: SelectStatement| Expr::SubQuery(None, Box::new(part.into()));
    let hidden_upto = Func::coalesce([part(from_member), part(from_others), all()]);
    message(message::Column::Seq).gt(hidden_upto)
}

/// The ban of a user from a conversation, if there is one.
pub(crate) fn ban_of(user: UserId, conversation: SimpleExpr) -> SelectStatement {
    Query::select()
        .expr(Expr::value(1))
        .from(ban::Entity)
        .and_where(Expr::col((ban::Entity, ban::Column::ConversationId)).eq(conversation))
        .and_where(Expr::col((ban::Entity, ban::Column::UserId)).eq(user))
        .take()
}

/// Whether a user is banned from a conversation, as an expression of the same kind.
pub(crate) fn is_banned(conversation: &str, user: &str) -> String {
    format!(
        r#"EXISTS (SELECT 1 FROM "bans" y WHERE y."conversation_id" = {conversation} AND y."user_id" = {user} LIMIT 1 OFFSET 0)"#
    )
}

/// Whether a user sees a conversation, as an expression of the same kind: members do, and whoever is
/// not banned from it a room.
pub(crate) fn is_seen(conversation: &str, user: &str) -> String {
    let banned = is_banned(conversation, user);
    format!(
        r#"(EXISTS (SELECT 1 FROM "members" v WHERE v."conversation_id" = {conversation} AND v."user_id" = {user} AND v."left_at" IS NULL LIMIT 1 OFFSET 0)
OR EXISTS (SELECT 1 FROM "conversations" r WHERE r."id" = {conversation} AND r."kind" = 'room' AND r."deleted_at" IS NULL AND NOT {banned} LIMIT 1 OFFSET 0))"#
    )
}

/// What is hidden from one who joins `conversation` at `seq`.
pub(crate) fn hidden_from_newcomer(conversation: &Conversation, seq: i64) -> i64 {
    match conversation.settings.history {
        History::All => 0,
        // The joining itself is seen.
        History::Joining => Ord::max(seq - 1, 0),
    }
}
