//! Phone numbers in the form they are kept and compared in: E.164 (ITU-T), `+` and digits.
//!
//! Which number a text stands for is decided by Google's libphonenumber, ported to Rust with its
//! tables. That the number is in service is for a code sent to it to tell: new ranges are given out
//! before tables know them, so no more is asked than that its country exists and its length is
//! possible.

use rlibphonenumber::enums::Region as Known;
use rlibphonenumber::{PHONE_NUMBER_UTIL, PhoneNumber, PhoneNumberFormat};

use crate::{Error, Result};

/// Longest text read as a number, in bytes: the longest number, generously spaced.
const TEXT_BYTES: usize = 64;
/// Fewest and most digits, country code included (ITU-T E.164, section 6).
const DIGITS: std::ops::RangeInclusive<usize> = 8..=15;

/// The country of numbers that are given without one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region(Known);

impl Region {
    /// By its code of ISO 3166-1, two letters; none for what is no country with telephones.
    #[must_use]
    pub fn parse(code: &str) -> Option<Self> {
        let asked = code.parse().ok()?;
        let mut known = PHONE_NUMBER_UTIL.get_supported_regions();
        known.any(|known| known == asked).then_some(Self(asked))
    }
}

/// A number as people write it, in the form it is kept in.
///
/// # Errors
/// [`Error::BadInput`] for what stands for no number.
pub(crate) fn parse(field: &'static str, text: &str, region: Option<Region>) -> Result<String> {
    read(text, region).ok_or_else(|| {
        let message = match region {
            None => "is not a phone number with country code, like +493012345678",
            Some(_) => "is not a phone number",
        };
        Error::bad_input(field, message)
    })
}

/// As [`parse`], without a word about what is wrong.
pub(crate) fn read(text: &str, region: Option<Region>) -> Option<String> {
    if text.len() > TEXT_BYTES {
        return None;
    }
    let number = PhoneNumber::parse(text, region.map(|Region(known)| known)).ok()?;
    let number = number.format_as(PhoneNumberFormat::E164).into_owned();
    let digits = number.strip_prefix('+')?;
    let is_number = DIGITS.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    // What would be read as another number is none: nobody could give it again.
    let again = PhoneNumber::parse(&number, None).ok()?;
    let is_final = again.format_as(PhoneNumberFormat::E164) == number;
    (is_number && is_final).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_number_has_one_form() {
        let germany = Region::parse("DE");
        assert!(germany.is_some());
        for text in [
            "+493012345678",
            "+49 30 1234-5678",
            "+49 (0)30 / 12345678",
            " +49.30.12345678 ",
            "030 12345678",
            "0049 30 12345678",
            "tel:+49-30-12345678",
            "\u{ff0b}49\u{a0}30\u{a0}12345678",
            "+49 30 12345678 ext. 9",
        ] {
            assert_eq!(
                read(text, germany).as_deref(),
                Some("+493012345678"),
                "{text}"
            );
        }
        let states = Region::parse("US");
        assert_eq!(
            read("(202) 555-0173", states).as_deref(),
            Some("+12025550173")
        );
        assert_eq!(
            read("+39 06 1234 5678", states).as_deref(),
            Some("+390612345678")
        );
    }

    #[test]
    fn without_a_country_there_must_be_a_code() {
        assert_eq!(read("+12025550173", None).as_deref(), Some("+12025550173"));
        for text in ["2025550173", "030 12345678", "+0012345678", "+999123456789"] {
            assert_eq!(read(text, None), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let long = format!("+49{}30 12345678", " ".repeat(60));
        for text in [
            "",
            "+",
            "++49",
            "hello",
            "+49",
            "+49301",
            "+4930123456789012345",
            "ann@example.com",
            // An Austrian one would lose a zero each time it is read.
            "+4300000000",
            &long,
        ] {
            assert_eq!(read(text, Region::parse("DE")), None, "{text}");
        }
    }

    #[test]
    fn countries_are_those_with_telephones() {
        for code in ["", "DEU", "XX", "ZZ", "001", "D"] {
            assert_eq!(Region::parse(code), None, "{code}");
        }
    }

    proptest! {
        /// What is kept is read as itself, so that one number is never two.
        #[test]
        fn the_form_is_final(text in "\\PC{0,70}", digits in "[+]?[0-9 ()./-]{0,20}") {
            for text in [text, digits] {
                for region in [None, Region::parse("DE"), Region::parse("IT"), Region::parse("US")] {
                    if let Some(number) = read(&text, region) {
                        prop_assert_eq!(read(&number, None), Some(number.clone()));
                    }
                }
            }
        }
    }
}
