//! Messages to send: what a client gives, checked.

use backchannel_entities::{ConversationId, MessageId, Timestamp, UserId};
use serde::{Deserialize, Serialize};

use crate::polls::Ballot;
use crate::{Cx, Error, Result, limits};

use super::content::{self, Body, TextEntity};
use super::{Content, Message, MessageKind, details};
use crate::cx::Tx;
use crate::scheduled::Scheduled;

/// A message to send, checked.
pub struct NewMessage {
    pub(super) conversation_id: ConversationId,
    /// Empty where there is none.
    pub(super) text: String,
    pub(super) client_message_id: Option<String>,
    /// Boxed, because most messages have none of it.
    pub(super) more: Option<Box<More>>,
}

/// What a message to send has besides its text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct More {
    pub(super) kind: Kind,
    pub(super) content: Content,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reply_to_id: Option<MessageId>,
    /// The message whose thread it goes to; until that is found, any of the thread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) root_id: Option<MessageId>,
    /// The message it is made of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) source_id: Option<MessageId>,
    /// What it asks, if its text is a question.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ballot: Option<Ballot>,
}

/// The kinds of messages that users send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Text and nothing else.
    #[default]
    Text,
    /// A picture.
    Image,
    /// A file of any other type.
    File,
    /// Something spoken.
    Voice,
    /// A film.
    Video,
    /// A note of a call.
    Call,
    /// A place.
    Location,
    /// A question with options.
    Poll,
}

impl Kind {
    /// Of which kind a message was sent; none for those of the system.
    fn of(kind: MessageKind) -> Option<Self> {
        match kind {
            MessageKind::Text => Some(Self::Text),
            MessageKind::Image => Some(Self::Image),
            MessageKind::File => Some(Self::File),
            MessageKind::Voice => Some(Self::Voice),
            MessageKind::Video => Some(Self::Video),
            MessageKind::Call => Some(Self::Call),
            MessageKind::Location => Some(Self::Location),
            MessageKind::Poll => Some(Self::Poll),
            MessageKind::System => None,
        }
    }
}

impl From<Kind> for MessageKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text,
            Kind::Image => Self::Image,
            Kind::File => Self::File,
            Kind::Voice => Self::Voice,
            Kind::Video => Self::Video,
            Kind::Call => Self::Call,
            Kind::Location => Self::Location,
            Kind::Poll => Self::Poll,
        }
    }
}

/// What a client gives besides a text.
#[derive(Default)]
pub struct Parts {
    /// What the message is about, and so of which kind it is.
    pub body: Option<(Kind, Body)>,
    /// What stretches of the text are.
    pub entities: Vec<TextEntity>,
    /// The message it answers.
    pub reply_to_id: Option<MessageId>,
    /// The message to whose thread it goes, or any in that thread.
    pub thread_id: Option<MessageId>,
}

impl Parts {
    fn is_empty(&self) -> bool {
        self.body.is_none()
            && self.entities.is_empty()
            && self.reply_to_id.is_none()
            && self.thread_id.is_none()
    }
}

impl NewMessage {
    /// Checks a message to send.
    ///
    /// # Errors
    /// [`Error::BadInput`] on the first input that is not acceptable.
    pub fn parse(
        conversation_id: ConversationId,
        text: Option<String>,
        client_message_id: Option<String>,
        parts: Parts,
    ) -> Result<Self> {
        let text = match text {
            // A picture needs no words.
            None if parts.body.is_some() => String::new(),
            text => limits::text("text", text.unwrap_or_default())?,
        };
        let client_message_id = client_message_id
            .map(|id| limits::client_message_id("clientMessageId", id))
            .transpose()?;
        let more = if parts.is_empty() {
            None
        } else {
            Some(Box::new(More::parse(&text, parts)?))
        };
        Ok(Self {
            conversation_id,
            text,
            client_message_id,
            more,
        })
    }

    /// A question.
    pub(crate) fn asking(
        conversation_id: ConversationId,
        question: String,
        ballot: Ballot,
        client_message_id: Option<String>,
    ) -> Result<Self> {
        let asked = Self::parse(
            conversation_id,
            Some(question),
            client_message_id,
            Parts::default(),
        )?;
        let more = More {
            kind: Kind::Poll,
            ballot: Some(ballot),
            ..More::formatted(Vec::new())
        };
        Ok(Self {
            more: Some(Box::new(more)),
            ..asked
        })
    }

    /// Whether it is not too late to send it.
    pub(super) fn is_in_time(&self, now: Timestamp) -> Result<()> {
        let ballot = self.more.as_deref().and_then(|more| more.ballot.as_ref());
        let closes_at = ballot.and_then(|ballot| ballot.closes_at);
        if closes_at.is_some_and(|at| at <= now) {
            return Err(Error::bad_input("closesAt", "must be in the future"));
        }
        Ok(())
    }

    /// A message to be made of another one.
    pub(super) fn forwarding(
        conversation_id: ConversationId,
        source_id: MessageId,
        client_message_id: Option<String>,
    ) -> Self {
        let more = More {
            source_id: Some(source_id),
            ..More::formatted(Vec::new())
        };
        Self {
            conversation_id,
            text: String::new(),
            client_message_id,
            more: Some(Box::new(more)),
        }
    }

    /// The same, made of it: the actor sees it.
    pub(super) fn made_of(self, source: &Message, content: Content) -> Result<Self> {
        let kind = Kind::of(source.kind);
        let goes_on = |kind: &Kind| !matches!(kind, Kind::Call | Kind::Poll);
        let kind = kind.filter(goes_on).ok_or(Error::Forbidden(
            "notes of calls, polls and messages of the system are not forwarded",
        ))?;
        let more = More {
            kind,
            content,
            source_id: Some(source.id),
            ..More::formatted(Vec::new())
        };
        Ok(Self {
            text: source.text.clone().unwrap_or_default(),
            more: Some(Box::new(more)),
            ..self
        })
    }

    /// One that waited until now.
    pub(crate) fn scheduled(row: Scheduled) -> Result<Self> {
        let more = row.parts.map(serde_json::from_value).transpose();
        let key = row.client_message_id;
        Ok(Self {
            conversation_id: row.conversation_id,
            text: row.text.unwrap_or_default(),
            client_message_id: Some(key.unwrap_or_else(|| format!("scheduled-{}", row.id))),
            more: more.map_err(Error::internal)?,
        })
    }

    /// One that was sent, as it is now.
    pub(crate) async fn of_sent(tx: &Tx, sent: &Message) -> Result<Self> {
        let content = details::find(tx, sent).await?.unwrap_or_default();
        let more = More {
            kind: Kind::of(sent.kind).unwrap_or_default(),
            content,
            ..More::formatted(Vec::new())
        };
        Ok(Self {
            conversation_id: sent.conversation_id,
            text: sent.text.clone().unwrap_or_default(),
            client_message_id: sent.client_message_id.clone(),
            more: Some(Box::new(more)),
        })
    }

    /// The same as one that waits, but for its text.
    pub(crate) fn with_other_text(
        waiting: &Scheduled,
        text: String,
        entities: Vec<TextEntity>,
    ) -> Result<Self> {
        let text = limits::text("text", text)?;
        let entities = content::checked_entities(&text, entities)?;
        let mut new = Self::scheduled(waiting.clone())?;
        new.text = text;
        match &mut new.more {
            Some(more) => more.content.entities = entities,
            None if entities.is_empty() => {}
            None => new.more = Some(Box::new(More::formatted(entities))),
        }
        Ok(new)
    }

    /// Where it is to go.
    pub(crate) fn conversation_id(&self) -> ConversationId {
        self.conversation_id
    }

    /// Its text and what it has besides, as they are kept until it is sent.
    pub(crate) fn stored(&self) -> Result<(Option<String>, Option<serde_json::Value>)> {
        let text = Some(self.text.clone()).filter(|text| !text.is_empty());
        let parts = self.more.as_deref().map(serde_json::to_value).transpose();
        Ok((text, parts.map_err(Error::internal)?))
    }

    /// Of which kind it is, and what it holds besides its text.
    pub(crate) fn into_parts(self) -> (MessageKind, Content) {
        match self.more {
            Some(more) => (more.kind.into(), more.content),
            None => (MessageKind::Text, Content::default()),
        }
    }

    /// The sender's key.
    pub(crate) fn into_client_message_id(self) -> Option<String> {
        self.client_message_id
    }

    /// Whom it mentions.
    pub(super) fn mentioned(&self) -> Vec<UserId> {
        let more = self.more.as_deref();
        more.map_or_else(Vec::new, |more| content::mentioned(&more.content.entities))
    }

    /// Finds the messages that it refers to, which must be in the same conversation. What is found
    /// stays so: messages keep their places for ever.
    pub(crate) async fn find_referred(&mut self, cx: &Cx) -> Result<()> {
        let Some(more) = self.more.as_deref_mut() else {
            return Ok(());
        };
        let ids: Vec<MessageId> = more.reply_to_id.into_iter().chain(more.root_id).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let found = super::find_many(cx, &ids).await?;
        let is_good = |id: &MessageId| {
            found.get(id).is_some_and(|found| {
                found.conversation_id == self.conversation_id && found.kind != MessageKind::System
            })
        };
        if !ids.iter().all(is_good) {
            return Err(Error::NotFound("message"));
        }
        if let Some(id) = more.root_id {
            let known = details::find_many(cx, &[id]).await?;
            more.root_id = known.get(&id).and_then(|known| known.root_id).or(Some(id));
        }
        Ok(())
    }
}

impl More {
    fn parse(text: &str, parts: Parts) -> Result<Self> {
        let (kind, body) = match parts.body {
            Some((kind, body)) => (kind, Some(content::checked(kind, body)?)),
            None => (Kind::Text, None),
        };
        Ok(Self {
            kind,
            content: Content {
                body,
                entities: content::checked_entities(text, parts.entities)?,
                forwarded: None,
                system: None,
            },
            reply_to_id: parts.reply_to_id,
            root_id: parts.thread_id,
            source_id: None,
            ballot: None,
        })
    }

    /// Nothing but what stretches of the text are.
    fn formatted(entities: Vec<TextEntity>) -> Self {
        Self {
            kind: Kind::Text,
            content: Content {
                entities,
                ..Content::default()
            },
            reply_to_id: None,
            root_id: None,
            source_id: None,
            ballot: None,
        }
    }

    /// What tells it from other messages: of one that is made of another, which that is, because it may
    /// be edited meanwhile.
    pub(super) fn identity(&self) -> Vec<u8> {
        match self.source_id {
            Some(source_id) => source_id.0.as_bytes().to_vec(),
            None => serde_json::to_vec(self).unwrap_or_default(),
        }
    }
}
