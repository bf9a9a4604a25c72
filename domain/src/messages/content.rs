//! What messages hold besides their text: the checks of it. A text is plain, never markup; what
//! stretches of it are is said beside it.

use backchannel_entities::UserId;
use backchannel_entities::mention::EVERYONE;

use crate::{Error, Result, limits};

use super::new::Kind;

pub use backchannel_entities::message_detail::{
    Body, CallNote, EntityKind, Forwarded, Location, Media, TextEntity,
};

/// Most entities of a text.
const ENTITIES: usize = 100;
/// Longest URLs of entities in all, in bytes.
const URLS_BYTES: usize = 8_192;
/// Most users mentioned in a text.
const MENTIONS: usize = 50;
/// Most pixels in a row.
const PIXELS: i32 = 100_000;
/// Longest duration, in milliseconds.
const DURATION_MS: i32 = 86_400_000;
/// Longest call, in seconds.
const CALL_SECONDS: i32 = 604_800;
/// Most steps of a waveform.
const WAVEFORM: usize = 128;
/// Longest name of a file, in bytes, as most file systems have it.
const FILE_NAME_BYTES: usize = 255;
/// Longest media type, in bytes (RFC 6838, section 4.2: two names of at most 127).
const MIME_TYPE_BYTES: usize = 255;

/// What a message is about, if it is as it must be for its kind.
pub(super) fn checked(kind: Kind, body: Body) -> Result<Body> {
    match (kind, body) {
        (Kind::Image | Kind::File | Kind::Voice | Kind::Video, Body::Media(media)) => {
            Ok(Body::Media(checked_media(media)?))
        }
        (Kind::Location, Body::Location(place)) => Ok(Body::Location(checked_location(place)?)),
        (Kind::Call, Body::Call(note)) => {
            within("durationSeconds", Some(note.duration), 0..=CALL_SECONDS)?;
            Ok(Body::Call(note))
        }
        (_, Body::Media(_) | Body::Location(_) | Body::Call(_)) => Err(Error::bad_input(
            "content",
            "does not go with this kind of message",
        )),
    }
}

fn checked_media(media: Media) -> Result<Media> {
    within("size", media.size, 0..=i32::MAX)?;
    within("width", media.width, 1..=PIXELS)?;
    within("height", media.height, 1..=PIXELS)?;
    within("durationMs", media.duration_ms, 0..=DURATION_MS)?;
    if media.waveform.len() > WAVEFORM {
        let message = format!("must have at most {WAVEFORM} steps");
        return Err(Error::bad_input("waveform", message));
    }
    for step in &media.waveform {
        within("waveform", Some(*step), 0..=100)?;
    }
    let thumbnail_url = media.thumbnail_url.as_deref();
    Ok(Media {
        url: limits::web_url("url", &media.url)?,
        name: media.name.as_deref().map(file_name).transpose()?,
        mime_type: media.mime_type.as_deref().map(mime_type).transpose()?,
        thumbnail_url: thumbnail_url
            .map(|url| limits::web_url("thumbnailUrl", url))
            .transpose()?,
        ..media
    })
}

fn checked_location(place: Location) -> Result<Location> {
    let is_on_earth = |degrees: f64, most: f64| degrees.is_finite() && degrees.abs() <= most;
    if !is_on_earth(place.latitude, 90.0) {
        return Err(Error::bad_input("latitude", "must be -90 to 90 degrees"));
    }
    if !is_on_earth(place.longitude, 180.0) {
        return Err(Error::bad_input("longitude", "must be -180 to 180 degrees"));
    }
    let checked = |field, text: Option<String>| {
        let text = text.as_deref().map(|text| limits::paragraph(field, text));
        text.transpose()
    };
    Ok(Location {
        name: checked("name", place.name)?,
        address: checked("address", place.address)?,
        ..place
    })
}

fn within(
    field: &'static str,
    number: Option<i32>,
    range: std::ops::RangeInclusive<i32>,
) -> Result<()> {
    if number.is_none_or(|number| range.contains(&number)) {
        return Ok(());
    }
    let message = format!("must be {} to {}", range.start(), range.end());
    Err(Error::bad_input(field, message))
}

fn file_name(name: &str) -> Result<String> {
    let name = name.trim();
    let well_formed = (1..=FILE_NAME_BYTES).contains(&name.len())
        && !name
            .chars()
            .any(|c| c.is_control() || c == '/' || c == '\\');
    if well_formed {
        Ok(name.to_owned())
    } else {
        let message = format!("must be 1 to {FILE_NAME_BYTES} bytes without slashes");
        Err(Error::bad_input("name", message))
    }
}

/// A media type: two names, and parameters behind them.
fn mime_type(mime_type: &str) -> Result<String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    let essence = mime_type.split(';').next().unwrap_or_default().trim();
    let well_formed = mime_type.len() <= MIME_TYPE_BYTES
        && mime_type.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
        && essence
            .split_once('/')
            .is_some_and(|(first, second)| is_name(first) && is_name(second));
    if well_formed {
        Ok(mime_type.to_owned())
    } else {
        Err(Error::bad_input(
            "mimeType",
            "is not a media type like image/png",
        ))
    }
}

/// What stretches of `text` are, in order, if they are stretches of it.
pub(super) fn checked_entities(
    text: &str,
    mut entities: Vec<TextEntity>,
) -> Result<Vec<TextEntity>> {
    let refused = |message: String| Err(Error::bad_input("entities", message));
    if entities.is_empty() {
        return Ok(entities);
    }
    if entities.len() > ENTITIES {
        return refused(format!("must be at most {ENTITIES}"));
    }
    let boundaries = boundaries(text);
    let mut urls = 0;
    for entity in &mut entities {
        let end = entity.offset.checked_add(entity.length);
        let is_within = entity.length > 0
            && boundaries.binary_search(&entity.offset).is_ok()
            && end.is_some_and(|end| boundaries.binary_search(&end).is_ok());
        if !is_within {
            return refused("must begin and end between characters of the text".to_owned());
        }
        if (entity.kind == EntityKind::Link) != entity.url.is_some() {
            return refused("a LINK, and nothing else, has a `url`".to_owned());
        }
        if (entity.kind == EntityKind::Mention) != entity.user_id.is_some() {
            return refused("a MENTION, and nothing else, has a `userId`".to_owned());
        }
        if entity.kind != EntityKind::Pre && entity.language.is_some() {
            return refused("nothing but PRE has a `language`".to_owned());
        }
        if let Some(url) = &mut entity.url {
            *url = limits::web_url("entities", url)?;
            urls += url.len();
        }
        if let Some(language) = &entity.language {
            limits::client_name("entities", language)?;
        }
    }
    if urls > URLS_BYTES {
        return refused(format!(
            "must have URLs of at most {URLS_BYTES} bytes in all"
        ));
    }
    entities.sort_by_key(|entity| (entity.offset, -entity.length));
    if mentioned(&entities).len() > MENTIONS {
        return refused(format!("must mention at most {MENTIONS} users"));
    }
    Ok(entities)
}

/// Where characters of a text begin and end, in UTF-16 code units. A text is never longer than an `i32`.
fn boundaries(text: &str) -> Vec<i32> {
    let mut at = 0;
    let ends = text.chars().map(|c| {
        at += if c.len_utf16() == 2 { 2 } else { 1 };
        at
    });
    std::iter::once(0).chain(ends).collect()
}

/// Whom entities mention, each once; [`EVERYONE`] may be among them.
pub(super) fn mentioned(entities: &[TextEntity]) -> Vec<UserId> {
    let mut ids: Vec<UserId> = entities
        .iter()
        .filter_map(|entity| match entity.kind {
            EntityKind::Mention => entity.user_id.filter(|id| *id != EVERYONE),
            EntityKind::MentionEveryone => Some(EVERYONE),
            EntityKind::Bold
            | EntityKind::Italic
            | EntityKind::Underline
            | EntityKind::Strikethrough
            | EntityKind::Spoiler
            | EntityKind::Code
            | EntityKind::Pre
            | EntityKind::Quote
            | EntityKind::Link => None,
        })
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}
