//! URLs and origins: enough of their grammar to refuse mistakes at the start, without a URL crate;
//! the drivers read the rest. Errors are worded as in [`super::parse`].

use std::path::PathBuf;

use lettre::{AsyncSmtpTransport, Tokio1Executor};

use super::parse::{Parsed, digits};
use super::{Database, Secret};

/// `postgres://…`, `postgresql://…` or `sqlite://file`.
pub(super) fn database(text: &str) -> Parsed<Database> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("is not a URL".into());
    };
    match scheme {
        "sqlite" => Ok(Database::Sqlite(sqlite_file(rest)?)),
        // No host is fine: Postgres also listens on a Unix socket, named in the query.
        "postgres" | "postgresql" => {
            authority(rest)?;
            Ok(Database::Postgres(Secret::new(text)))
        }
        _ => Err("has an unknown scheme".into()),
    }
}

fn sqlite_file(rest: &str) -> Parsed<PathBuf> {
    match rest.split_once('?') {
        // What other programs need to be told, Backchannel does anyway: make the file if missing.
        None | Some((_, "mode=rwc")) => {}
        Some(_) => return Err("has options, and SQLite's are not for setting".into()),
    }
    match rest.split('?').next() {
        None | Some("") => Err("names no file".into()),
        Some(":memory:") => Err("would forget everything: SQLite needs a file".into()),
        Some(path) => path_from_url(path).ok_or("has a % without its two digits".into()),
    }
}

pub(super) fn redis_url(text: &str) -> Parsed<Secret> {
    match text.split_once("://") {
        Some(("redis", rest)) if authority(rest)?.host.is_empty() => Err("names no host".into()),
        Some(("redis", _)) => Ok(Secret::new(text)),
        Some(("rediss", _)) => Err("asks for TLS, which is not supported yet".into()),
        Some(_) => Err("has an unknown scheme".into()),
        None => Err("is not a URL".into()),
    }
}

/// An `http` or `https` URL; user, password and query are the receiver's affair.
pub(super) fn webhook(text: &str) -> Parsed<Secret> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("is not a URL".into());
    };
    if !matches!(scheme, "http" | "https") {
        return Err("has an unknown scheme".into());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a space in it".into());
    }
    host_name(authority(rest)?.host)?;
    Ok(Secret::new(text))
}

/// The URL of a mail server, as its driver reads it.
pub(super) fn smtp(text: &str) -> Parsed<Secret> {
    match text.split_once("://") {
        Some(("smtp" | "smtps", rest)) if authority(rest)?.host.is_empty() => {
            Err("names no host".into())
        }
        Some(("smtp" | "smtps", _)) => match AsyncSmtpTransport::<Tokio1Executor>::from_url(text) {
            Ok(_) => Ok(Secret::new(text)),
            Err(_) => Err("is not the URL of a mail server".into()),
        },
        Some(_) => Err("has an unknown scheme".into()),
        None => Err("is not a URL".into()),
    }
}

/// An `http` or `https` URL, without the slash at its end so that paths can be appended.
pub(super) fn public_url(text: &str) -> Parsed<String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("is not a URL".into());
    };
    if !matches!(scheme, "http" | "https") {
        return Err("has an unknown scheme".into());
    }
    if rest.contains(['?', '#', '@']) {
        return Err("has a user, query or fragment".into());
    }
    if rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("has a space in it".into());
    }
    let Authority { host, .. } = authority(rest)?;
    host_name(host)?;
    Ok(text.trim_end_matches('/').to_owned())
}

/// An origin as a browser's `Origin` header spells it: lower case, no default port.
pub(super) fn origin(text: &str) -> Parsed<String> {
    if text == "*" {
        return Err("would let every site act as its visitors: name each origin".into());
    }
    let text = text.to_ascii_lowercase();
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err("has no scheme://".into());
    };
    let scheme_char = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c);
    if !scheme.starts_with(|c: char| c.is_ascii_lowercase()) || !scheme.chars().all(scheme_char) {
        return Err("has no valid scheme".into());
    }
    if rest.contains(['/', '?', '#']) {
        return Err("has a path: an origin ends after host and port".into());
    }
    if rest.contains('@') {
        return Err("has a user: an origin has none".into());
    }
    let Authority { host, port } = authority(rest)?;
    host_name(host)?;
    match (scheme, port) {
        (_, None) | ("http", Some(80)) | ("https", Some(443)) => Ok(format!("{scheme}://{host}")),
        (_, Some(port)) => Ok(format!("{scheme}://{host}:{port}")),
    }
}

/// A STUN or TURN server, as WebRTC has it: `turn:host:port?transport=udp` (RFC 7064, 7065).
pub(super) fn ice_server(text: &str) -> Parsed<String> {
    let Some((scheme, rest)) = text.split_once(':') else {
        return Err("is not a URL".into());
    };
    let place = match scheme {
        "stun" | "stuns" => rest,
        "turn" | "turns" => match rest.split_once('?') {
            None | Some((_, "transport=udp" | "transport=tcp")) => {
                rest.split('?').next().unwrap_or_default()
            }
            Some(_) => return Err("has options other than transport=udp or transport=tcp".into()),
        },
        _ => return Err("has an unknown scheme".into()),
    };
    if place.contains(['/', '?', '#', '@']) {
        return Err("has more to it than host and port".into());
    }
    host_name(authority(place)?.host)?;
    Ok(text.to_owned())
}

/// What of a URL may be shown: neither user nor password nor query, wherever the `@` stands.
pub(super) fn without_credentials(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let (hidden, rest) = rest
        .rsplit_once('@')
        .map_or(("", rest), |(_, rest)| ("***@", rest));
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}://{hidden}{rest}")
}

/// A path as it stands in a URL: everything that may mean something there is escaped.
pub(super) fn path_in_url(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
    path.bytes()
        .map(|byte| {
            if plain(byte) {
                char::from(byte).to_string()
            } else {
                format!("%{byte:02X}")
            }
        })
        .collect()
}

/// The reverse, where every escape is one and the bytes are UTF-8.
fn path_from_url(path: &str) -> Option<PathBuf> {
    let mut bytes = Vec::with_capacity(path.len());
    let mut rest = path.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (escape, after) = rest.split_at_checked(2)?;
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(escape[0])? * 16 + digit(escape[1])?).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().map(PathBuf::from)
}

struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

/// Host and port of what follows `scheme://`.
fn authority(rest: &str) -> Parsed<Authority<'_>> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let address = authority
        .rsplit_once('@')
        .map_or(authority, |(_, address)| address);
    // The colons of an IPv6 address stand within brackets.
    let after_brackets = address.rfind(']').map_or(0, |bracket| bracket + 1);
    let (host, port) = match address[after_brackets..].find(':') {
        Some(colon) => {
            let (host, port) = address.split_at(after_brackets + colon);
            (host, Some(&port[1..]))
        }
        None => (address, None),
    };
    let port = match port.map(|port| (digits(port), port.parse())) {
        None => None,
        Some((true, Ok(port))) if port != 0 => Some(port),
        Some(_) => return Err("has no valid port".into()),
    };
    Ok(Authority { host, port })
}

/// Refuses what is neither a name in ASCII nor an IP address, the newer kind in brackets.
fn host_name(host: &str) -> Parsed<()> {
    let bracketed = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let valid = match bracketed {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-._".contains(c)),
    };
    match host {
        "" => Err("names no host".into()),
        _ if !host.is_ascii() => Err("has a host outside ASCII: write its xn-- form".into()),
        _ if !valid => Err("has no valid host".into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_spelt_as_browsers_spell_them() {
        for (text, spelt) in [
            ("HTTPS://Chat.Example.org", "https://chat.example.org"),
            ("https://chat.example.org:443", "https://chat.example.org"),
            ("http://localhost:5173", "http://localhost:5173"),
            ("http://localhost:80", "http://localhost"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("capacitor://localhost", "capacitor://localhost"),
        ] {
            assert_eq!(origin(text), Ok(spelt.into()), "{text}");
        }
    }

    #[test]
    fn what_no_browser_sends_as_origin_is_refused_with_the_reason() {
        for (text, reason) in [
            ("*", "every site"),
            ("https://*.example.org", "no valid host"),
            ("chat.example.org", "no scheme"),
            ("null", "no scheme"),
            ("https://chat.example.org/", "path"),
            ("https://me@chat.example.org", "user"),
            ("https://chat.example.org:99999", "port"),
            ("https://chat.example.org:+80", "port"),
            ("https://", "no host"),
            ("https://[::1", "no valid"),
            ("https://bücher.example", "xn--"),
            ("1a://host", "no valid scheme"),
        ] {
            let problem = origin(text).expect_err(text);
            assert!(problem.contains(reason), "{text}: {problem}");
        }
    }

    #[test]
    fn only_known_databases_are_taken() {
        for url in [
            "postgres://me:pw@db.example:5432/chat",
            "postgresql:///chat?host=/run/postgresql",
        ] {
            assert!(
                matches!(database(url), Ok(Database::Postgres(kept)) if kept.expose() == url),
                "{url}"
            );
        }
        for (url, path) in [
            ("sqlite://./data/chat.db", "./data/chat.db"),
            (
                "sqlite:///var/my%20lib/chat.db?mode=rwc",
                "/var/my lib/chat.db",
            ),
        ] {
            assert!(
                matches!(database(url), Ok(Database::Sqlite(file)) if file.to_str() == Some(path)),
                "{url}"
            );
        }
        for url in [
            "mysql://db/chat",
            "postgres://me:pw/chat",
            "chat.db",
            "sqlite://",
            "sqlite://:memory:",
            "sqlite://chat.db?mode=ro",
            "sqlite://100%.db",
            "sqlite://%+1.db",
        ] {
            assert!(database(url).is_err(), "{url}");
        }
    }

    #[test]
    fn redis_is_taken_without_tls_only() {
        assert!(redis_url("redis://:pw@localhost:6379/0").is_ok());
        assert!(redis_url("redis:///0").is_err());
        let problem = redis_url("rediss://cache.example").expect_err("no TLS yet");
        assert!(problem.contains("TLS"), "{problem}");
    }

    #[test]
    fn the_public_url_can_be_appended_to() {
        assert_eq!(
            public_url("https://example.org/chat/"),
            Ok("https://example.org/chat".into())
        );
        for url in [
            "ftp://example.org",
            "example.org",
            "https://",
            "https://me@example.org",
            "https://a?b",
        ] {
            assert!(public_url(url).is_err(), "{url}");
        }
    }

    #[test]
    fn shown_urls_hold_no_credentials_however_odd() {
        for (url, shown) in [
            (
                "postgres://me:pw@db:5432/chat?sslmode=require",
                "postgres://***@db:5432/chat",
            ),
            ("postgres://me:p@ss/w?rd@db/chat", "postgres://***@db/chat"),
            ("postgres://db/chat?password=pw", "postgres://db/chat"),
            ("redis://:pw@localhost", "redis://***@localhost"),
        ] {
            assert_eq!(without_credentials(url), shown);
        }
    }

    #[test]
    fn odd_paths_survive_in_a_url() {
        let path = "./mÿ data/50%?mode=ro#@";
        assert_eq!(path_from_url(&path_in_url(path)), Some(PathBuf::from(path)));
    }
}
