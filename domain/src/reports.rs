//! Reports: what users think operators should look at, with what there was to be seen.
//!
//! A message may be edited or deleted after it was reported; so its text and content are copied. Reports are
//! for operators alone, and are forgotten after half a year.

use std::sync::Arc;
use std::time::Duration;

use backchannel_entities::{MessageId, ReportId, UserId, message, report};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveModelTrait as _, ColumnTrait, EntityTrait, QueryFilter};

use crate::clock::new_id;
use crate::cx::Tx;
use crate::messages::details;
use crate::rates::{self, Guarded};
use crate::upkeep::{self, Found};
use crate::{Cx, Domain, Error, Result, access, limits, users};

pub use backchannel_entities::report::{Model as Report, Reason};

/// How long a report is kept.
const KEPT: Duration = Duration::from_hours(180 * 24);

/// A report to make, checked.
pub struct NewReport {
    subject: Subject,
    reason: Reason,
    comment: Option<String>,
}

#[derive(Clone, Copy)]
enum Subject {
    User(UserId),
    Message(MessageId),
}

impl NewReport {
    /// Checks it. Either a user or a message is to be given.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        user_id: Option<UserId>,
        message_id: Option<MessageId>,
        reason: Reason,
        comment: Option<&str>,
    ) -> Result<Self> {
        let subject = match (user_id, message_id) {
            (Some(id), None) => Subject::User(id),
            (None, Some(id)) => Subject::Message(id),
            (None, None) | (Some(_), Some(_)) => {
                return Err(Error::bad_input("userId", "give a user or a message"));
            }
        };
        let comment = comment.map(|comment| limits::comment("comment", comment));
        Ok(Self {
            subject,
            reason,
            comment: comment.transpose()?.flatten(),
        })
    }
}

/// Reports a user or a message to the operators. Reported again by the same user, the first report
/// is the answer.
///
/// # Errors
/// [`Error::NotFound`] for what the actor cannot see; [`Error::BadInput`] for oneself and one's own
/// messages; [`Error::RateLimited`] when the actor has reported too much.
pub async fn report(cx: &Cx, new: NewReport) -> Result<Arc<Report>> {
    let reporter = cx.signed_in()?.user.id;
    rates::count_guarded(cx, Guarded::Report, None).await?;
    cx.write(move |tx| {
        Box::pin(async move {
            let seen = match new.subject {
                Subject::User(id) => user(tx, reporter, id).await?,
                Subject::Message(id) => message(tx, reporter, id).await?,
            };
            let row = Report {
                reason: new.reason,
                comment: new.comment,
                ..seen
            };
            let subject_id = row.subject_id;
            report::Entity::insert(report::ActiveModel::from(row).reset_all())
                .on_conflict(OnConflict::new().do_nothing().to_owned())
                .exec_without_returning(&tx.db)
                .await?;
            let first = report::Entity::find()
                .filter(report::Column::ReporterId.eq(reporter))
                .filter(report::Column::SubjectId.eq(subject_id))
                .one(&tx.db)
                .await?;
            first.map(Arc::new).ok_or(Error::NotFound("report"))
        })
    })
    .await
}

async fn user(tx: &Tx, reporter: UserId, id: UserId) -> Result<Report> {
    users::require_all(tx, &[id]).await?;
    if id == reporter {
        return Err(Error::bad_input("userId", "is your own"));
    }
    Ok(Report {
        id: ReportId(new_id()),
        reporter_id: reporter,
        subject_id: id.0,
        user_id: Some(id),
        message_id: None,
        conversation_id: None,
        reason: Reason::Other,
        comment: None,
        text: None,
        content: None,
        sent_at: None,
        created_at: tx.now(),
    })
}

/// A message as it is now, if the reporter sees it.
async fn message(tx: &Tx, reporter: UserId, id: MessageId) -> Result<Report> {
    let unknown = Error::NotFound("message");
    let seen = message::Entity::find_by_id(id).filter(access::sees_message(reporter));
    let Some(message) = seen.one(&tx.db).await? else {
        return Err(unknown);
    };
    if message.sender_id == Some(reporter) {
        return Err(Error::bad_input("messageId", "is your own"));
    }
    Ok(Report {
        id: ReportId(new_id()),
        reporter_id: reporter,
        subject_id: id.0,
        user_id: message.sender_id,
        message_id: Some(id),
        conversation_id: Some(message.conversation_id),
        reason: Reason::Other,
        comment: None,
        content: details::find(tx, &message).await?,
        text: message.text,
        sent_at: Some(message.created_at),
        created_at: tx.now(),
    })
}

/// Clears away old reports, until the node stops.
pub(crate) async fn keep_clearing(domain: Domain) {
    upkeep::keep_doing(domain, "clearing reports away", clear_some).await;
}

fn clear_some(cx: &Cx) -> BoxFuture<'_, Result<Found>> {
    let before = cx.handles().clock.now().minus(KEPT);
    upkeep::clear_before::<report::Entity>(
        cx,
        report::Column::Id,
        report::Column::CreatedAt,
        before,
    )
    .boxed()
}
