//! Slugs of rooms that are given none.

use crate::limits::SLUG_CHARS;

/// The slug of a title: its ASCII letters and digits in lower case, with single dashes where there
/// are spaces, underscores or dashes; everything else is dropped. None where nothing is left.
pub(super) fn of_title(title: &str) -> Option<String> {
    let mut slug = String::with_capacity(title.len());
    for c in title.to_lowercase().chars() {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if (c.is_whitespace() || c == '_' || c == '-') && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(SLUG_CHARS + 1);
    let slug = slug.trim_start_matches('-');
    let slug = slug[..slug.len().min(SLUG_CHARS)].trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits;

    #[test]
    fn titles_have_the_slugs_that_older_servers_gave_them() {
        for (title, slug) in [
            ("General", Some("general")),
            ("  Rust & Friends!  ", Some("rust-friends")),
            ("a__b--c \t d", Some("a-b-c-d")),
            ("--Déjà vu--", Some("dj-vu")),
            ("日本語", None),
            ("- _ -", None),
        ] {
            assert_eq!(of_title(title).as_deref(), slug, "{title}");
        }
    }

    proptest! {
        #[test]
        fn what_comes_out_is_a_slug(title in "\\PC{0,120}") {
            if let Some(slug) = of_title(&title) {
                prop_assert!(limits::slug("slug", &slug).is_ok(), "{}", slug);
            }
        }
    }
}
