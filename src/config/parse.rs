//! From a text to a value. An error says what is wrong and never repeats the text, which may be
//! secret: it reads on from the value's place in "… is not a number".

use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use backchannel_domain::phones::Region;
use ipnet::IpNet;
use lettre::message::Mailbox;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::{LogFormat, Mode, Secret};

/// A value, or what is wrong with its text.
pub(super) type Parsed<T> = Result<T, Cow<'static, str>>;

pub(super) fn mode(text: &str) -> Parsed<Mode> {
    match text {
        "development" => Ok(Mode::Development),
        "production" => Ok(Mode::Production),
        _ => Err("is neither".into()),
    }
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("is neither".into()),
    }
}

pub(super) fn switch(text: &str) -> Parsed<bool> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("is neither".into()),
    }
}

/// A whole number within `range`.
pub(super) fn number<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Parsed<T>
where
    T: FromStr + PartialOrd,
{
    move |text| match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ if digits(text) => Err("is out of range".into()),
        _ => Err("is not a whole number".into()),
    }
}

pub(super) fn region(text: &str) -> Parsed<Region> {
    Region::parse(text).ok_or_else(|| "is none".into())
}

pub(super) fn host(text: &str) -> Parsed<IpAddr> {
    text.parse().map_err(|_| "is not an IP address".into())
}

/// An e-mail address, with or without a name.
pub(super) fn mailbox(text: &str) -> Parsed<Mailbox> {
    text.parse().map_err(|_| "is not an e-mail address".into())
}

/// A network, or a single address.
pub(super) fn network(text: &str) -> Parsed<IpNet> {
    let single = |_| {
        text.parse()
            .map(|address: IpAddr| address.to_canonical().into())
    };
    let network = text.parse().or_else(single);
    network.map_err(|_| "is no network and no address".into())
}

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() {
        Err("is empty".into())
    } else {
        Ok(text.into())
    }
}

/// Any secret: that production asks for a long one is a rule between two settings.
pub(super) fn secret(text: &str) -> Parsed<Secret> {
    if text.is_empty() {
        Err("is empty".into())
    } else {
        Ok(Secret::new(text))
    }
}

/// A whole number and its unit, more than nothing and at most `max`.
pub(super) fn duration(max: Duration) -> impl Fn(&str) -> Parsed<Duration> {
    move |text| {
        let (amount, unit) = text.split_at(
            text.find(|c: char| !c.is_ascii_digit())
                .unwrap_or(text.len()),
        );
        let milliseconds = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" if digits(amount) => return Err("has no unit".into()),
            _ => return Err("is not a duration".into()),
        };
        if amount.is_empty() {
            return Err("is not a duration".into());
        }
        let total = amount
            .parse::<u64>()
            .ok()
            .and_then(|amount| amount.checked_mul(milliseconds));
        match total.map(Duration::from_millis) {
            Some(Duration::ZERO) => Err("is no time at all".into()),
            Some(duration) if duration <= max => Ok(duration),
            _ => Err("is too long".into()),
        }
    }
}

/// Directives for the log, kept as text: the filter itself can be neither cloned nor compared.
pub(super) fn log_level(text: &str) -> Parsed<String> {
    // A lone word that is no level would be taken for a target, and quietly log nothing else.
    let no_level = |word: &str| {
        !word.contains('=') && (word.is_empty() || word.parse::<LevelFilter>().is_err())
    };
    if text.split(',').map(str::trim).any(no_level) {
        return Err("names no level".into());
    }
    if text.contains('[') {
        return Err("is refused: spans cannot be named".into());
    }
    match text.parse::<Targets>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!("is refused: {error}").into()),
    }
}

pub(super) fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn durations_have_a_number_and_a_unit() {
        let parse = duration(365 * DAY);
        for (text, seconds) in [("30s", 30), ("15m", 900), ("12h", 43_200), ("7d", 604_800)] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse("365d"), Ok(365 * DAY));
    }

    #[test]
    fn durations_of_nothing_too_much_or_no_sense_are_refused() {
        let parse = duration(365 * DAY);
        for (text, problem) in [
            ("0s", "is no time at all"),
            ("366d", "is too long"),
            ("99999999999999999999d", "is too long"),
            ("15", "has no unit"),
            ("m", "is not a duration"),
            ("", "is not a duration"),
            ("-5m", "is not a duration"),
            ("1.5h", "is not a duration"),
            ("15 m", "is not a duration"),
            ("1h30m", "is not a duration"),
        ] {
            assert_eq!(parse(text), Err(problem.into()), "{text}");
        }
    }

    #[test]
    fn networks_are_written_with_their_length_or_are_one_address() {
        for (text, within, without) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("fd00::/8", "fd12::1", "fe80::1"),
            ("::1", "::1", "::2"),
        ] {
            let network = network(text).expect(text);
            let contains =
                |address: &str| network.contains(&address.parse::<IpAddr>().expect("one"));
            assert!(contains(within) && !contains(without), "{text}");
        }
        for text in ["10.0.0.0/33", "10.0.0", "proxy.example", "10.0.0.0/", "*"] {
            assert_eq!(
                network(text),
                Err("is no network and no address".into()),
                "{text}"
            );
        }
    }

    #[test]
    fn log_levels_are_levels_or_directives() {
        for text in [
            "info",
            "WARN",
            "warn,backchannel=debug",
            "off,sqlx::query=trace",
        ] {
            assert!(log_level(text).is_ok(), "{text}");
        }
        for text in [
            "verbose",
            "backchannel",
            "backchannel=loud",
            "[request]=debug",
            "",
        ] {
            assert!(log_level(text).is_err(), "{text}");
        }
    }
}
