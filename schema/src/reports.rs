//! Reporting users and messages to the operators.

use std::sync::Arc;

use async_graphql::{Context, Enum, ID, InputObject, Object, SimpleObject};
use backchannel_domain::reports::{self, NewReport, Reason, Report as Row};
use backchannel_domain::{MessageId, UserId};

use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;

/// What is wrong with what is reported.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "Reason")]
pub(crate) enum ReportReason {
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

struct Report {
    row: Arc<Row>,
}

/// A report of the viewer.
#[Object]
impl Report {
    /// What is wrong with it.
    async fn reason(&self) -> ReportReason {
        self.row.reason.into()
    }

    /// What the viewer said to that, if anything.
    async fn comment(&self) -> Option<&str> {
        self.row.comment.as_deref()
    }

    /// When it was made.
    async fn reported_at(&self) -> DateTime {
        self.row.created_at.into()
    }
}

/// What to report: a user or a message.
#[derive(InputObject)]
struct ReportInput {
    /// A user.
    user_id: Option<ID>,
    /// A message. Its present text is kept with the report, whatever becomes of the message.
    message_id: Option<ID>,
    /// What is wrong with it.
    reason: ReportReason,
    /// What else there is to say, at most 1,000 characters.
    comment: Option<String>,
}

/// The answer to `report`.
#[derive(SimpleObject)]
struct ReportPayload {
    /// The report; of the same thing reported twice, the first.
    report: Report,
}

#[derive(Default)]
pub(crate) struct ReportsMutation;

#[Object]
impl ReportsMutation {
    /// Reports a user or a message to the operators of the server. Nobody else hears of it. NOT_FOUND
    /// for what the viewer cannot see. A report is kept for 180 days.
    async fn report(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What, and why.")] input: ReportInput,
    ) -> Result<ReportPayload> {
        let scope = Scope::of(ctx);
        scope.cx().signed_in()?;
        let ReportInput {
            user_id,
            message_id,
            reason,
            comment,
        } = input;
        let user_id = user_id.map(|id| UserId::parse(&id)).transpose()?;
        let message_id = message_id.map(|id| MessageId::parse(&id)).transpose()?;
        let new = NewReport::parse(user_id, message_id, reason.into(), comment.as_deref())?;
        let row = reports::report(scope.cx(), new).await?;
        Ok(ReportPayload {
            report: Report { row },
        })
    }
}
