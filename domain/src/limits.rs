//! The bounds of what is accepted, each in one place, and the checks of text.

use std::collections::BTreeSet;

use crate::{Error, Result};

/// Longest text of a message, in characters.
pub const TEXT_CHARS: usize = 4_000;
/// Longest title of a conversation and longest display name, in characters.
pub const NAME_CHARS: usize = 100;
/// Longest name of a client that is kept, in characters.
pub const USER_AGENT_CHARS: usize = 256;
/// Longest text of a presence, in characters.
pub const PRESENCE_TEXT_CHARS: usize = 140;
/// Longest bio, and longest description of a conversation, in characters.
pub const PARAGRAPH_CHARS: usize = 500;
/// Longest comment to a report, in characters.
pub const COMMENT_CHARS: usize = 1_000;
/// Fewest and most characters of a username.
pub const USERNAME_CHARS: std::ops::RangeInclusive<usize> = 3..=32;
/// Longest URL, in bytes.
pub const URL_BYTES: usize = 2_048;
/// Longest language tag, in bytes (RFC 5646, section 4.4.1).
pub const LANGUAGE_TAG_BYTES: usize = 35;
/// Longest name that a client gives itself, in bytes.
pub const CLIENT_NAME_BYTES: usize = 64;
/// Longest JSON that a client keeps for a user, in bytes.
pub const PREFERENCES_BYTES: usize = 16_384;
/// Fewest and most characters of a query for people.
pub const QUERY_CHARS: std::ops::RangeInclusive<usize> = 2..=100;
/// Most numbers in one address book that is given.
pub const NUMBERS: usize = 5_000;
/// Most contacts of a user.
pub const CONTACTS: u64 = 10_000;
/// Most conversations that a user has pinned.
pub const PINNED: u64 = 20;
/// Most tags of a conversation.
pub const TAGS: usize = 10;
/// Longest tag, in characters.
pub const TAG_CHARS: usize = 32;
/// Most templates of a user.
pub const TEMPLATES: u64 = 50;
/// Longest slug, in characters.
pub const SLUG_CHARS: usize = 64;
/// Longest idempotency key, in bytes.
pub const CLIENT_MESSAGE_ID_BYTES: usize = 128;
/// Longest e-mail address, in bytes (RFC 5321, section 4.5.3.1.3, less the brackets).
pub const EMAIL_BYTES: usize = 254;
/// Bounds of slow mode, in seconds.
pub const SLOW_MODE_SECONDS: std::ops::RangeInclusive<i32> = 0..=3_600;
/// Bounds of how long messages are kept where they disappear: a minute to a year, in seconds.
pub const RETENTION_SECONDS: std::ops::RangeInclusive<i32> = 60..=31_536_000;
/// How long after sending a message it can be edited or deleted by its sender, where that is limited: up to a
/// year.
pub const WINDOW_SECONDS: std::ops::RangeInclusive<i32> = 0..=31_536_000;
/// Most invitations to a conversation that go on.
pub const INVITATIONS: u64 = 200;
/// Most uses of an invitation where they are limited.
pub const INVITATION_USES: i32 = 100_000;
/// Most users named in one request.
pub const IDS_PER_REQUEST: usize = 200;
/// Longest payload of a call signal, in bytes.
pub const SIGNAL_BYTES: usize = 65_536;
/// Most signals kept of what one user sends in a call.
pub const SIGNALS_KEPT: u64 = 256;
/// Largest page.
pub const PAGE_SIZE: u32 = 200;
/// Page size where none is asked for.
pub const DEFAULT_PAGE_SIZE: u32 = 50;
/// Largest seq: GraphQL's `Int` has 32 bits.
pub const SEQ: i64 = i32::MAX as i64;

/// A name people read: trimmed, not blank, at most [`NAME_CHARS`], on one line.
pub(crate) fn name(field: &'static str, value: &str) -> Result<String> {
    let value = value.trim();
    if value.is_empty() {
        return Err(Error::bad_input(field, "must not be blank"));
    }
    if value.chars().count() > NAME_CHARS {
        return Err(Error::bad_input(
            field,
            format!("must have at most {NAME_CHARS} characters"),
        ));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::bad_input(
            field,
            "must not contain control characters",
        ));
    }
    Ok(value.to_owned())
}

/// The text of a message: kept as it is, not blank, at most [`TEXT_CHARS`], without NUL,
/// which Postgres cannot store.
pub(crate) fn text(field: &'static str, value: String) -> Result<String> {
    if value.trim().is_empty() {
        return Err(Error::bad_input(field, "must not be blank"));
    }
    if value.chars().count() > TEXT_CHARS {
        return Err(Error::bad_input(
            field,
            format!("must have at most {TEXT_CHARS} characters"),
        ));
    }
    if value.contains('\0') {
        return Err(Error::bad_input(field, "must not contain NUL"));
    }
    Ok(value)
}

/// What a user says to their presence: trimmed, at most [`PRESENCE_TEXT_CHARS`], on one line;
/// blank is none.
pub(crate) fn presence_text(field: &'static str, value: &str) -> Result<Option<String>> {
    let value = value.trim();
    if value.chars().count() > PRESENCE_TEXT_CHARS {
        let message = format!("must have at most {PRESENCE_TEXT_CHARS} characters");
        return Err(Error::bad_input(field, message));
    }
    if value.chars().any(char::is_control) {
        let message = "must not contain control characters";
        return Err(Error::bad_input(field, message));
    }
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
}

/// What is said to a report: trimmed, at most [`COMMENT_CHARS`]; blank is none.
pub(crate) fn comment(field: &'static str, value: &str) -> Result<Option<String>> {
    let value = value.trim();
    if value.chars().count() > COMMENT_CHARS {
        let message = format!("must have at most {COMMENT_CHARS} characters");
        return Err(Error::bad_input(field, message));
    }
    if value.contains('\0') {
        return Err(Error::bad_input(field, "must not contain NUL"));
    }
    Ok(Some(value.to_owned()).filter(|value| !value.is_empty()))
}

/// What is said about a user or a conversation: trimmed, at most [`PARAGRAPH_CHARS`], line breaks among them.
pub(crate) fn paragraph(field: &'static str, value: &str) -> Result<String> {
    let value = value.trim();
    if value.is_empty() || value.chars().count() > PARAGRAPH_CHARS {
        let message = format!("must have 1 to {PARAGRAPH_CHARS} characters; null takes it away");
        return Err(Error::bad_input(field, message));
    }
    if value.chars().any(|c| c.is_control() && c != '\n') {
        let message = "must not contain control characters but line breaks";
        return Err(Error::bad_input(field, message));
    }
    Ok(value.to_owned())
}

/// What is looked for: trimmed, [`QUERY_CHARS`], on one line.
pub(crate) fn query<'v>(field: &'static str, value: &'v str) -> Result<&'v str> {
    let value = value.trim();
    if !QUERY_CHARS.contains(&value.chars().count()) {
        let (least, most) = (QUERY_CHARS.start(), QUERY_CHARS.end());
        let message = format!("must have {least} to {most} characters");
        return Err(Error::bad_input(field, message));
    }
    if value.chars().any(char::is_control) {
        let message = "must not contain control characters";
        return Err(Error::bad_input(field, message));
    }
    Ok(value)
}

/// A username, in lower case: a letter, then letters, digits, `_` and single dots between them.
pub(crate) fn username(field: &'static str, value: &str) -> Result<String> {
    let value = value.trim().to_ascii_lowercase();
    let well_formed = USERNAME_CHARS.contains(&value.len())
        && value.starts_with(|c: char| c.is_ascii_lowercase())
        && value.split('.').all(|part| !part.is_empty())
        && value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'.');
    if well_formed {
        Ok(value)
    } else {
        let (least, most) = (USERNAME_CHARS.start(), USERNAME_CHARS.end());
        let message = format!(
            "must be {least} to {most} letters, digits, underscores and single dots, a letter first"
        );
        Err(Error::bad_input(field, message))
    }
}

/// An absolute URL of the web, as clients can load it; kept as it is.
pub(crate) fn web_url(field: &'static str, value: &str) -> Result<String> {
    let value = value.trim();
    let rest = ["https://", "http://"]
        .iter()
        .find_map(|scheme| value.strip_prefix(scheme));
    let well_formed = value.len() <= URL_BYTES
        && rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', ':']))
        && value.bytes().all(|b| b.is_ascii_graphic());
    if well_formed {
        Ok(value.to_owned())
    } else {
        let message = format!("must be an http or https URL of at most {URL_BYTES} bytes");
        Err(Error::bad_input(field, message))
    }
}

/// A language tag in the form of BCP 47, like `de` or `pt-BR`; kept as it is.
pub(crate) fn language_tag(field: &'static str, value: String) -> Result<String> {
    let well_formed = value.len() <= LANGUAGE_TAG_BYTES
        && value.split('-').all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
        })
        && value.starts_with(|c: char| c.is_ascii_alphabetic());
    if well_formed {
        Ok(value)
    } else {
        Err(Error::bad_input(
            field,
            "is not a language tag like de or pt-BR",
        ))
    }
}

/// The name that a client gives itself.
pub(crate) fn client_name<'v>(field: &'static str, value: &'v str) -> Result<&'v str> {
    let well_formed = (1..=CLIENT_NAME_BYTES).contains(&value.len())
        && value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if well_formed {
        Ok(value)
    } else {
        let message = format!(
            "must be 1 to {CLIENT_NAME_BYTES} letters, digits, dots, underscores and dashes"
        );
        Err(Error::bad_input(field, message))
    }
}

/// An idempotency key: opaque, printable, 1 to [`CLIENT_MESSAGE_ID_BYTES`] bytes.
pub(crate) fn client_message_id(field: &'static str, value: String) -> Result<String> {
    if value.is_empty() || value.len() > CLIENT_MESSAGE_ID_BYTES {
        let message = format!("must have 1 to {CLIENT_MESSAGE_ID_BYTES} bytes");
        return Err(Error::bad_input(field, message));
    }
    if value.chars().any(char::is_control) {
        return Err(Error::bad_input(
            field,
            "must not contain control characters",
        ));
    }
    Ok(value)
}

/// What somebody has begun to write: kept as it is, at most [`TEXT_CHARS`], without NUL.
pub(crate) fn draft(field: &'static str, value: String) -> Result<String> {
    if value.chars().count() > TEXT_CHARS {
        let message = format!("must have at most {TEXT_CHARS} characters");
        return Err(Error::bad_input(field, message));
    }
    if value.contains('\0') {
        return Err(Error::bad_input(field, "must not contain NUL"));
    }
    Ok(value)
}

/// The slug of a room: lower-case letters, digits and single dashes between them.
pub(crate) fn slug(field: &'static str, value: &str) -> Result<String> {
    slug_of(field, value, SLUG_CHARS)
}

/// Tags: each like a slug of at most [`TAG_CHARS`], at most [`TAGS`] in all, in their order,
/// repeats removed.
pub(crate) fn tags(field: &'static str, values: Vec<String>) -> Result<Vec<String>> {
    if values.len() > TAGS {
        return Err(Error::bad_input(field, format!("must be at most {TAGS}")));
    }
    let tags = values.iter().map(|tag| slug_of(field, tag, TAG_CHARS));
    let tags: BTreeSet<String> = tags.collect::<Result<_>>()?;
    Ok(tags.into_iter().collect())
}

fn slug_of(field: &'static str, value: &str, most: usize) -> Result<String> {
    let well_formed = !value.is_empty()
        && value.len() <= most
        && value.split('-').all(|part| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
        });
    if well_formed {
        Ok(value.to_owned())
    } else {
        Err(Error::bad_input(
            field,
            format!("must be 1 to {most} lower-case letters, digits and single dashes"),
        ))
    }
}

/// A time in seconds, within bounds if there is one.
pub(crate) fn seconds(
    field: &'static str,
    seconds: Option<i32>,
    bounds: std::ops::RangeInclusive<i32>,
) -> Result<()> {
    if seconds.is_some_and(|seconds| !bounds.contains(&seconds)) {
        let (least, most) = (bounds.start(), bounds.end());
        return Err(Error::bad_input(
            field,
            format!("must be {least} to {most}"),
        ));
    }
    Ok(())
}

/// A list of ids: not longer than [`IDS_PER_REQUEST`], repeats removed, order kept.
pub(crate) fn ids<T: Copy + Eq + std::hash::Hash>(
    field: &'static str,
    ids: Vec<T>,
) -> Result<Vec<T>> {
    if ids.len() > IDS_PER_REQUEST {
        return Err(Error::bad_input(
            field,
            format!("must name at most {IDS_PER_REQUEST}"),
        ));
    }
    let mut seen = std::collections::HashSet::with_capacity(ids.len());
    Ok(ids.into_iter().filter(|id| seen.insert(*id)).collect())
}
