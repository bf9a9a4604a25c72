//! Asking.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;

use backchannel_entities::poll::{Options, PollOption};
use backchannel_entities::{ConversationId, MessageId, Timestamp, poll};
use sea_orm::{ActiveModelTrait as _, EntityTrait as _};
use serde::{Deserialize, Serialize};

use crate::cx::Tx;
use crate::messages::{self, Message, NewMessage};
use crate::{Cx, Error, Result, limits};

/// Fewest and most options of a poll.
const OPTIONS: RangeInclusive<usize> = 2..=12;
/// Longest question, in characters.
const QUESTION_CHARS: usize = 300;

/// What there is to choose from, and how.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ballot {
    /// The options, in order.
    pub options: Vec<String>,
    /// Whether one may choose several.
    pub allows_multiple: bool,
    /// Whether nobody is told who chose what.
    pub is_anonymous: bool,
    /// When it closes by itself, if it does.
    pub closes_at: Option<Timestamp>,
}

/// Sends a poll, in the way of all messages.
///
/// # Errors
/// [`Error::BadInput`] on the first input that is not acceptable; else as [`messages::send`].
pub async fn create(
    cx: &Cx,
    conversation_id: ConversationId,
    question: String,
    ballot: Ballot,
    client_message_id: Option<String>,
) -> Result<Arc<Message>> {
    let question = limits::text("question", question)?;
    if question.chars().count() > QUESTION_CHARS {
        let message = format!("must have at most {QUESTION_CHARS} characters");
        return Err(Error::bad_input("question", message));
    }
    let ballot = ballot.checked()?;
    let new = NewMessage::asking(conversation_id, question, ballot, client_message_id)?;
    messages::send(cx, new).await
}

impl Ballot {
    fn checked(self) -> Result<Self> {
        if !OPTIONS.contains(&self.options.len()) {
            let message = format!("must be {} to {}", OPTIONS.start(), OPTIONS.end());
            return Err(Error::bad_input("options", message));
        }
        let options = self.options.iter();
        let options: Vec<String> = options
            .map(|option| limits::name("options", option))
            .collect::<Result<_>>()?;
        let different: HashSet<&String> = options.iter().collect();
        if different.len() < options.len() {
            return Err(Error::bad_input("options", "must differ from each other"));
        }
        Ok(Self { options, ..self })
    }
}

/// Keeps what a message asks that was just inserted.
pub(crate) async fn insert(tx: &Tx, id: MessageId, ballot: &Ballot) -> Result<()> {
    let options = ballot.options.iter().map(|text| PollOption {
        text: text.clone(),
        count: 0,
    });
    let row = poll::ActiveModel::from(poll::Model {
        message_id: id,
        options: Options(options.collect()),
        allows_multiple: ballot.allows_multiple,
        is_anonymous: ballot.is_anonymous,
        closes_at: ballot.closes_at,
        closed_at: None,
        voter_count: 0,
    });
    poll::Entity::insert(row.reset_all())
        .exec_without_returning(&tx.db)
        .await?;
    Ok(())
}
