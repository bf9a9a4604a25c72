//! `reports`: what users think operators should look at.

use sea_orm::entity::prelude::*;
use uuid::Uuid;

use crate::message_detail::Content;
use crate::{ConversationId, MessageId, ReportId, Timestamp, UserId};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, EnumIter, DeriveActiveEnum)]
#[sea_orm(rs_type = "String", db_type = "Text", rename_all = "snake_case")]
pub enum Reason {
    /// Nobody asked for it, and many get it.
    Spam,
    /// Somebody is insulted, threatened or pursued.
    Harassment,
    /// Violence is shown or called for.
    Violence,
    /// Sexual content, where it does not belong.
    SexualContent,
    /// Somebody passes for somebody else.
    Impersonation,
    /// Something else; the comment says what.
    Other,
}

/// A report, with what was to be seen when it was made.
#[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
#[sea_orm(table_name = "reports")]
pub struct Model {
    /// Key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: ReportId,
    /// Who reports.
    pub reporter_id: UserId,
    /// Key of what is reported: the message, else the user. Unique with the reporter.
    pub subject_id: Uuid,
    /// The user who is reported, or who sent the message; none for one of the system.
    pub user_id: Option<UserId>,
    /// The message, if one is reported.
    pub message_id: Option<MessageId>,
    /// Where it was sent.
    pub conversation_id: Option<ConversationId>,
    /// What is wrong with it.
    pub reason: Reason,
    /// What the reporter says to that.
    pub comment: Option<String>,
    /// The text of the message as it was then; none if it was deleted before.
    pub text: Option<String>,
    /// What it held besides, as it was then; none if that was nothing.
    pub content: Option<Content>,
    /// When the message was sent.
    pub sent_at: Option<Timestamp>,
    /// When the report was made.
    pub created_at: Timestamp,
}

/// None is needed from this side.
#[derive(Clone, Copy, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
