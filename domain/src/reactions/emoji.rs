//! What one may react with: one emoji, in one spelling (Unicode Technical Standard 51).

use std::iter::Peekable;
use std::str::Chars;

use unicode_properties::UnicodeEmoji as _;
use unicode_properties::emoji::EmojiStatus;

use crate::{Error, Result};

/// Longest emoji, in bytes: the longest of today have 35.
const BYTES: usize = 64;

const JOINER: char = '\u{200D}';
/// Says that a character is meant as an emoji. Some keyboards leave it out.
const AS_EMOJI: char = '\u{FE0F}';
const KEYCAP: char = '\u{20E3}';

/// Checks an emoji. However it was spelled, the same one comes out the same.
pub(super) fn parse(field: &'static str, value: &str) -> Result<String> {
    let spelled = Some(value).filter(|value| value.len() <= BYTES);
    let spelled = spelled.and_then(spell).filter(|emoji| emoji.len() <= BYTES);
    spelled.ok_or_else(|| {
        Error::bad_input(
            field,
            format!("must be one emoji, of at most {BYTES} bytes"),
        )
    })
}

/// One emoji or several that are joined into one.
fn spell(value: &str) -> Option<String> {
    let mut rest = value.chars().peekable();
    let mut spelled = String::with_capacity(value.len() + AS_EMOJI.len_utf8());
    loop {
        spell_one(&mut rest, &mut spelled)?;
        match rest.next() {
            None => return Some(spelled),
            Some(JOINER) => spelled.push(JOINER),
            Some(_) => return None,
        }
    }
}

fn spell_one(rest: &mut Peekable<Chars<'_>>, spelled: &mut String) -> Option<()> {
    let first = rest.next()?;
    spelled.push(first);
    if is_letter_of_flag(first) {
        spelled.push(rest.next_if(|next| is_letter_of_flag(*next))?);
        return Some(());
    }
    if first.is_ascii() {
        // A digit, say, is an emoji only as a key.
        let _ = rest.next_if_eq(&AS_EMOJI);
        let is_key = first.is_emoji_char() && rest.next_if_eq(&KEYCAP).is_some();
        spelled.extend([AS_EMOJI, KEYCAP]);
        return is_key.then_some(());
    }
    let status = first.emoji_status();
    if !first.is_emoji_char() {
        return None;
    }
    let _ = rest.next_if_eq(&AS_EMOJI);
    if is_coloured(status)
        && let Some(colour) = rest.next_if(|next| ('\u{1F3FB}'..='\u{1F3FF}').contains(next))
    {
        spelled.push(colour);
    } else if !is_shown_as_emoji(status) {
        spelled.push(AS_EMOJI);
    }
    spell_tag(rest, spelled)
}

/// What makes a flag that of a region, like Scotland's.
fn spell_tag(rest: &mut Peekable<Chars<'_>>, spelled: &mut String) -> Option<()> {
    const END: char = '\u{E007F}';
    let before = spelled.len();
    while let Some(letter) = rest.next_if(|next| ('\u{E0020}'..='\u{E007E}').contains(next)) {
        spelled.push(letter);
    }
    if spelled.len() > before {
        spelled.push(rest.next_if_eq(&END)?);
    }
    Some(())
}

fn is_letter_of_flag(c: char) -> bool {
    ('\u{1F1E6}'..='\u{1F1FF}').contains(&c)
}

fn is_coloured(status: EmojiStatus) -> bool {
    matches!(
        status,
        EmojiStatus::EmojiModifierBase | EmojiStatus::EmojiPresentationAndModifierBase
    )
}

fn is_shown_as_emoji(status: EmojiStatus) -> bool {
    matches!(
        status,
        EmojiStatus::EmojiPresentation
            | EmojiStatus::EmojiPresentationAndModifierBase
            | EmojiStatus::EmojiPresentationAndEmojiComponent
            | EmojiStatus::EmojiPresentationAndModifierAndEmojiComponent
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_emoji_is_one_however_it_is_spelled() {
        for (given, spelled) in [
            ("👍", "👍"),
            ("👍🏽", "👍🏽"),
            ("❤", "❤\u{FE0F}"),
            ("❤\u{FE0F}", "❤\u{FE0F}"),
            ("☝🏽", "☝🏽"),
            ("☝\u{FE0F}🏽", "☝🏽"),
            ("👍\u{FE0F}", "👍"),
            ("❤\u{200D}🔥", "❤\u{FE0F}\u{200D}🔥"),
            (
                "👩\u{200D}👩\u{200D}👧\u{200D}👦",
                "👩\u{200D}👩\u{200D}👧\u{200D}👦",
            ),
            ("🏴\u{200D}☠", "🏴\u{200D}☠\u{FE0F}"),
            ("🇩🇪", "🇩🇪"),
            ("1\u{20E3}", "1\u{FE0F}\u{20E3}"),
            ("#\u{FE0F}\u{20E3}", "#\u{FE0F}\u{20E3}"),
            (
                "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
                "🏴\u{E0067}\u{E0062}\u{E0073}\u{E0063}\u{E0074}\u{E007F}",
            ),
        ] {
            let found = parse("emoji", given).expect("an emoji");
            assert_eq!(found, spelled, "{given:?}");
            assert_eq!(parse("emoji", &found).expect("an emoji"), found);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        let long = ["👩"; 8].join("\u{200D}").repeat(2);
        for text in [
            "",
            " ",
            "a",
            "ok",
            "1",
            "#",
            "👍👍",
            "👍 ",
            " 👍",
            "👍a",
            "🇩",
            "🇩🇪🇫",
            "\u{200D}",
            "👍\u{200D}",
            "\u{FE0F}",
            "😀🏽",
            "é",
            "\0",
            ":+1:",
            "🏴\u{E0067}",
            "👍\u{20E3}",
            "a\u{20E3}",
            &long,
        ] {
            assert!(parse("emoji", text).is_err(), "{text:?}");
        }
    }
}
