//! Texts that can be told apart in raw bytes: nothing is parsed for each of a million deliveries.

use std::sync::LazyLock;
use std::time::Instant;

use memchr::memmem::Finder;

/// What a message's text begins with, before the two numbers.
const OPENING: &str = "[message ";
/// Digits of its number, and of the microsecond it was sent in.
const NUMBER: usize = 9;
const MICROSECOND: usize = 13;
/// How long a text is.
const LENGTH: usize = 120;

static FINDER: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(OPENING));
static SEQ: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new("\"seq\":"));

/// What is known of a message by its text.
#[derive(Clone, Copy)]
pub(crate) struct Marker {
    pub(crate) number: u64,
    /// When it was sent, or was to be.
    pub(crate) at: u64,
}

/// Microseconds since this process first asked.
pub(crate) fn now() -> u64 {
    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(BEGINNING.elapsed().as_micros()).expect("this does not take that long")
}

impl Marker {
    /// The message of a number, sent now.
    pub(crate) fn now(number: u64) -> Self {
        Self { number, at: now() }
    }

    /// Its text.
    pub(crate) fn text(self) -> String {
        let Self { number, at } = self;
        let begins = format!("{OPENING}{number:0NUMBER$} {at:0MICROSECOND$}]");
        format!("{begins} {:.<1$}", "", LENGTH - begins.len() - 1)
    }

    /// The first one in some bytes.
    pub(crate) fn find(bytes: &[u8]) -> Option<Self> {
        let at = FINDER.find(bytes)? + OPENING.len();
        let bytes = bytes.get(at..at + NUMBER + 1 + MICROSECOND)?;
        Some(Self {
            number: number(&bytes[..NUMBER])?,
            at: number(&bytes[NUMBER + 1..])?,
        })
    }

    /// How many there are in some bytes.
    pub(crate) fn count(bytes: &[u8]) -> usize {
        FINDER.find_iter(bytes).count()
    }
}

/// The first `seq` in some JSON.
pub(crate) fn seq(json: &[u8]) -> Option<u64> {
    let digits = &json[SEQ.find(json)? + 6..];
    let end = digits.iter().position(|byte| !byte.is_ascii_digit());
    number(&digits[..end.unwrap_or(digits.len())])
}

fn number(digits: &[u8]) -> Option<u64> {
    str::from_utf8(digits).ok()?.parse().ok()
}
