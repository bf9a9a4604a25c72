//! The words by which people are found, in one form however they are written.

use std::collections::BTreeSet;

use unicode_normalization::UnicodeNormalization as _;

use crate::users::User;

/// Longest word that is kept, and looked for, in characters.
const CHARS: usize = 64;
/// Marks above and below letters, as they are written apart from them.
const DIACRITICS: std::ops::RangeInclusive<char> = '\u{300}'..='\u{36f}';

/// A text in lower case, without diacritics and differences of form. By way of upper case, so that
/// what has no lower case of its own is like what it stands for: ß like ss, ς like σ.
pub(crate) fn folded(text: &str) -> String {
    text.nfkd()
        .filter(|c| !DIACRITICS.contains(c))
        .flat_map(char::to_uppercase)
        .flat_map(char::to_lowercase)
        .collect()
}

/// A folded text, as far as it is kept.
pub(crate) fn key(text: &str) -> String {
    cut(&folded(text))
}

/// The words by whose beginnings a user is found: those of the name, and the username.
pub(super) fn of_user(user: &User) -> BTreeSet<String> {
    let mut terms = of_name(&user.display_name);
    terms.extend(user.username.as_deref().map(key));
    terms
}

/// The words of a name, with what is joined by hyphens and the like also by its parts.
pub(crate) fn of_name(name: &str) -> BTreeSet<String> {
    let mut terms: BTreeSet<String> = words(name).into_iter().collect();
    let parts = terms.iter().flat_map(|word| word.split(is_no_letter));
    let parts: Vec<String> = parts
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect();
    terms.extend(parts);
    terms
}

/// The words of a text: what stands between spaces, without what is around it.
pub(crate) fn words(text: &str) -> Vec<String> {
    let folded = folded(text);
    let words = folded.split_whitespace();
    let words = words.map(|word| cut(word.trim_matches(is_no_letter)));
    words.filter(|word| !word.is_empty()).collect()
}

/// The end of the range of what begins with `word`: no character comes after this one.
pub(crate) fn end_of(word: &str) -> String {
    format!("{word}{}", char::MAX)
}

fn is_no_letter(c: char) -> bool {
    !c.is_alphanumeric()
}

fn cut(word: &str) -> String {
    word.chars().take(CHARS).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_name_has_one_form() {
        for (name, form) in [
            ("Ángström", "angstrom"),
            ("A\u{301}ngstro\u{308}m", "angstrom"),
            ("STRASSE", "strasse"),
            ("Straße", "strasse"),
            ("ΣΊΣΥΦΟΣ", "σισυφοσ"),
            ("Σίσυφος", "σισυφοσ"),
            ("ｆｕｌｌ", "full"),
            ("İstanbul", "istanbul"),
            ("Łódź", "łodz"),
            ("हिन्दी", "हिन्दी"),
        ] {
            assert_eq!(folded(name), form, "{name}");
        }
    }

    #[test]
    fn a_joined_name_is_found_by_its_parts_too() {
        assert_eq!(words(" (Jean-Luc)  O'Neil, "), ["jean-luc", "o'neil"]);
        assert_eq!(words("… !"), Vec::<String>::new());
    }

    proptest! {
        #[test]
        fn what_is_folded_stays_so(text in "\\PC{0,40}") {
            let once = folded(&text);
            for word in words(&text) {
                prop_assert!(word.chars().count() <= CHARS);
                prop_assert!(end_of(&word) > word);
            }
            prop_assert_eq!(folded(&once), once);
        }
    }
}
