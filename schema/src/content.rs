//! What messages hold besides their text.

use async_graphql::{Enum, ID, InputObject, Object, OneofObject, SimpleObject, Union};
use backchannel_domain::UserId;
use backchannel_domain::messages::content::{
    Body, CallNote, EntityKind, Forwarded as ForwardedRow, Location, Media, TextEntity as EntityRow,
};
use backchannel_domain::messages::{MessageKind as RowKind, NewMessageKind};

use crate::calls::{CallKind, CallOutcome};
use crate::error::Result;
use crate::id::Global as _;
use crate::scalars::DateTime;
use crate::scope::Scope;
use crate::users::User;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "RowKind")]
pub(crate) enum MessageKind {
    /// Text and nothing else.
    Text,
    /// A picture; `content` is a MediaContent.
    Image,
    /// A file of any other type; `content` is a MediaContent.
    File,
    /// Something spoken; `content` is a MediaContent.
    Voice,
    /// A film; `content` is a MediaContent.
    Video,
    /// A note of a call; `content` is a CallContent.
    Call,
    /// A line about what happened to members, which stands at the `seq` of that event.
    System,
    /// A place; `content` is a LocationContent.
    Location,
    /// A question with options.
    Poll,
}

impl MessageKind {
    /// As it is written in an answer.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Text => "TEXT",
            Self::Image => "IMAGE",
            Self::File => "FILE",
            Self::Voice => "VOICE",
            Self::Video => "VIDEO",
            Self::Call => "CALL",
            Self::System => "SYSTEM",
            Self::Location => "LOCATION",
            Self::Poll => "POLL",
        }
    }
}

/// What a message is about, beside or instead of a text. Its kind says which.
#[derive(Union)]
pub(crate) enum MessageContent {
    Media(MediaContent),
    Location(LocationContent),
    Call(CallContent),
}

impl From<&Body> for MessageContent {
    fn from(body: &Body) -> Self {
        match body.clone() {
            Body::Media(media) => Self::Media(media.into()),
            Body::Location(place) => Self::Location(place.into()),
            Body::Call(note) => Self::Call(note.into()),
        }
    }
}

/// A picture, a file, something spoken, or a film.
#[derive(SimpleObject)]
pub(crate) struct MediaContent {
    /// Absolute URL.
    url: String,
    /// What the file is called.
    name: Option<String>,
    /// Media type (RFC 6838), like image/png.
    mime_type: Option<String>,
    /// In bytes.
    size: Option<i32>,
    /// In pixels.
    width: Option<i32>,
    /// In pixels.
    height: Option<i32>,
    /// In milliseconds.
    duration_ms: Option<i32>,
    /// Absolute URL of a small picture of it.
    thumbnail_url: Option<String>,
    /// How loud it is, evenly over its duration: 0 to 100.
    waveform: Vec<i32>,
}

impl From<Media> for MediaContent {
    fn from(media: Media) -> Self {
        Self {
            url: media.url,
            name: media.name,
            mime_type: media.mime_type,
            size: media.size,
            width: media.width,
            height: media.height,
            duration_ms: media.duration_ms,
            thumbnail_url: media.thumbnail_url,
            waveform: media.waveform,
        }
    }
}

/// A place.
#[derive(SimpleObject)]
pub(crate) struct LocationContent {
    /// In degrees, north is positive (WGS 84).
    latitude: f64,
    /// In degrees, east is positive.
    longitude: f64,
    /// What it is called.
    name: Option<String>,
    /// Where it is, in words.
    address: Option<String>,
}

impl From<Location> for LocationContent {
    fn from(place: Location) -> Self {
        Self {
            latitude: place.latitude,
            longitude: place.longitude,
            name: place.name,
            address: place.address,
        }
    }
}

/// A note of a call.
#[derive(SimpleObject)]
pub(crate) struct CallContent {
    /// What was sent in it.
    kind: CallKind,
    /// What became of it.
    outcome: CallOutcome,
    /// How long it took, in seconds.
    duration_seconds: i32,
}

impl From<CallNote> for CallContent {
    fn from(note: CallNote) -> Self {
        Self {
            kind: note.kind.into(),
            outcome: note.outcome.into(),
            duration_seconds: note.duration,
        }
    }
}

/// What a message to send is about. Exactly one is given, and the message is of that kind.
#[derive(OneofObject)]
pub(crate) enum MessageContentInput {
    /// A picture.
    Image(MediaInput),
    /// A file of any other type.
    File(MediaInput),
    /// Something spoken.
    Voice(MediaInput),
    /// A film.
    Video(MediaInput),
    /// A place.
    Location(LocationInput),
    /// A note of a call.
    Call(CallInput),
}

impl From<MessageContentInput> for (NewMessageKind, Body) {
    fn from(input: MessageContentInput) -> Self {
        use NewMessageKind::{Call, File, Image, Location, Video, Voice};
        match input {
            MessageContentInput::Image(media) => (Image, Body::Media(media.into())),
            MessageContentInput::File(media) => (File, Body::Media(media.into())),
            MessageContentInput::Voice(media) => (Voice, Body::Media(media.into())),
            MessageContentInput::Video(media) => (Video, Body::Media(media.into())),
            MessageContentInput::Location(place) => (Location, Body::Location(place.into())),
            MessageContentInput::Call(note) => (Call, Body::Call(note.into())),
        }
    }
}

/// A picture, a file, something spoken, or a film: where it is, and what is known of it.
#[derive(InputObject)]
pub(crate) struct MediaInput {
    /// Absolute http or https URL, at most 2,048 bytes.
    url: String,
    /// What the file is called: 1 to 255 bytes, without slashes.
    name: Option<String>,
    /// Media type (RFC 6838), like image/png, at most 255 bytes.
    mime_type: Option<String>,
    /// In bytes: 0 to 2,147,483,647.
    size: Option<i32>,
    /// In pixels: 1 to 100,000.
    width: Option<i32>,
    /// In pixels: 1 to 100,000.
    height: Option<i32>,
    /// In milliseconds, at most a day.
    duration_ms: Option<i32>,
    /// Absolute http or https URL of a small picture of it, at most 2,048 bytes.
    thumbnail_url: Option<String>,
    /// How loud it is, evenly over its duration: at most 128 numbers of 0 to 100.
    waveform: Option<Vec<i32>>,
}

impl From<MediaInput> for Media {
    fn from(input: MediaInput) -> Self {
        Self {
            url: input.url,
            name: input.name,
            mime_type: input.mime_type,
            size: input.size,
            width: input.width,
            height: input.height,
            duration_ms: input.duration_ms,
            thumbnail_url: input.thumbnail_url,
            waveform: input.waveform.unwrap_or_default(),
        }
    }
}

/// A place.
#[derive(InputObject)]
pub(crate) struct LocationInput {
    /// In degrees, north is positive (WGS 84): -90 to 90.
    latitude: f64,
    /// In degrees, east is positive: -180 to 180.
    longitude: f64,
    /// What it is called, at most 500 characters.
    name: Option<String>,
    /// Where it is, in words, at most 500 characters.
    address: Option<String>,
}

impl From<LocationInput> for Location {
    fn from(input: LocationInput) -> Self {
        Self {
            latitude: input.latitude,
            longitude: input.longitude,
            name: input.name,
            address: input.address,
        }
    }
}

/// A note of a call.
#[derive(InputObject)]
pub(crate) struct CallInput {
    /// What was sent in it.
    kind: CallKind,
    /// What became of it.
    outcome: CallOutcome,
    /// How long it took, in seconds, at most a week.
    duration_seconds: i32,
}

impl From<CallInput> for CallNote {
    fn from(input: CallInput) -> Self {
        Self {
            kind: input.kind.into(),
            outcome: input.outcome.into(),
            duration: input.duration_seconds,
        }
    }
}

/// What a stretch of a text can be. The text itself is plain: it holds no markup.
#[derive(Clone, Copy, PartialEq, Eq, Enum)]
#[graphql(remote = "EntityKind")]
pub(crate) enum TextEntityKind {
    /// Bold.
    Bold,
    /// Italic.
    Italic,
    /// Underlined.
    Underline,
    /// Struck through.
    Strikethrough,
    /// Hidden until it is asked for.
    Spoiler,
    /// Code within a line.
    Code,
    /// Code on lines of its own.
    Pre,
    /// Quoted from elsewhere.
    Quote,
    /// A link to `url`.
    Link,
    /// The mention of `user`: it counts in the `unreadMentionCount` of a member.
    Mention,
    /// The mention of everyone: it counts in the `unreadMentionCount` of all members. Any member of a
    /// DIRECT conversation or GROUP may; in a CHANNEL or ROOM, owners and admins.
    MentionEveryone,
}

/// What a stretch of a text is.
pub(crate) struct TextEntity {
    scope: Scope,
    row: EntityRow,
}

impl TextEntity {
    pub(crate) fn new(scope: &Scope, row: &EntityRow) -> Self {
        Self {
            scope: scope.clone(),
            row: row.clone(),
        }
    }
}

/// What a stretch of a text is. Offsets and lengths count UTF-16 code units, as JavaScript and Dart do.
#[Object]
impl TextEntity {
    /// What it is.
    async fn kind(&self) -> TextEntityKind {
        self.row.kind.into()
    }

    /// Where it begins.
    async fn offset(&self) -> i32 {
        self.row.offset
    }

    /// How long it is.
    async fn length(&self) -> i32 {
        self.row.length
    }

    /// Where a LINK leads.
    async fn url(&self) -> Option<&str> {
        self.row.url.as_deref()
    }

    /// Of which language PRE is.
    async fn language(&self) -> Option<&str> {
        self.row.language.as_deref()
    }

    /// Whom a MENTION is of.
    async fn user(&self) -> Result<Option<User>> {
        match self.row.user_id {
            Some(id) => {
                let row = self.scope.loaders().find_user(id).await?;
                Ok(row.map(|row| User::new(&self.scope, row)))
            }
            None => Ok(None),
        }
    }
}

/// What a stretch of a text is. Offsets and lengths count UTF-16 code units, as JavaScript and Dart do.
#[derive(InputObject)]
pub(crate) struct TextEntityInput {
    /// What it is.
    kind: TextEntityKind,
    /// Where it begins.
    offset: i32,
    /// How long it is, at least 1.
    length: i32,
    /// Where a LINK leads: absolute http or https URL, at most 2,048 bytes.
    url: Option<String>,
    /// Of which language PRE is: at most 64 letters, digits, dots, underscores and dashes.
    language: Option<String>,
    /// Whom a MENTION is of.
    user_id: Option<ID>,
}

/// Reads entities; whoever is mentioned by an id that is none does not exist.
pub(crate) fn parse_entities(input: Option<Vec<TextEntityInput>>) -> Result<Vec<EntityRow>> {
    let entities = input.unwrap_or_default().into_iter().map(|input| {
        Ok(EntityRow {
            kind: input.kind.into(),
            offset: input.offset,
            length: input.length,
            url: input.url,
            language: input.language,
            user_id: input.user_id.as_ref().map(UserId::parse).transpose()?,
        })
    });
    entities.collect()
}

/// Where a message that was forwarded comes from.
pub(crate) struct Forwarded {
    pub(crate) scope: Scope,
    pub(crate) row: ForwardedRow,
}

/// Where a message that was forwarded comes from.
#[Object]
impl Forwarded {
    /// Who sent it first; null where there is no such user any more.
    async fn sender(&self) -> Result<Option<User>> {
        match self.row.sender_id {
            Some(id) => {
                let row = self.scope.loaders().find_user(id).await?;
                Ok(row.map(|row| User::new(&self.scope, row)))
            }
            None => Ok(None),
        }
    }

    /// When that was.
    async fn sent_at(&self) -> DateTime {
        self.row.sent_at.into()
    }

    /// How often it was forwarded since.
    async fn hops(&self) -> i32 {
        self.row.hops
    }
}
