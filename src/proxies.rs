//! Where a request came from that reverse proxies have passed on.
//!
//! Anybody can write into a header where they come from. So only what a trusted proxy wrote counts:
//! each adds at the end from where it took the request, and of what stands before that, only what
//! another trusted proxy wrote.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::FORWARDED;
use axum::http::{HeaderMap, HeaderName};
use ipnet::IpNet;

use crate::config::Config;

/// What most proxies write.
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The proxies of `TRUSTED_PROXIES`.
pub(crate) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(crate) fn new(config: &Config) -> Self {
        Self(config.trusted_proxies.clone())
    }

    /// The nearest address on a request's way here that is no trusted proxy's.
    pub(crate) fn origin(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        let mut origin = peer.to_canonical();
        if !self.trust(origin) {
            return origin;
        }
        for hop in hops(headers).into_iter().rev() {
            // One that hides, or makes no sense: beyond it nobody is to be believed.
            let Some(address) = hop else { break };
            origin = address;
            if !self.trust(origin) {
                break;
            }
        }
        origin
    }

    fn trust(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// From where each proxy says it took the request, the last one's word last. A proxy that writes one
/// of the two headers passes the other on as it came, so it must not be believed in both.
fn hops(headers: &HeaderMap) -> Vec<Option<IpAddr>> {
    if headers.contains_key(X_FORWARDED_FOR) {
        let lines = texts(headers, X_FORWARDED_FOR);
        return lines
            .flat_map(|line| line.split(',').map(address))
            .collect();
    }
    let lines = texts(headers, FORWARDED);
    lines
        .flat_map(|line| parts(line, ',').into_iter().map(forwarded_for))
        .collect()
}

/// What is no text is nothing that makes sense.
fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values.map(|value| value.to_str().unwrap_or_default())
}

/// The address in one element of `Forwarded` (RFC 7239).
fn forwarded_for(element: &str) -> Option<IpAddr> {
    let pairs = parts(element, ';').into_iter();
    let mut named = pairs.filter_map(|pair| pair.split_once('='));
    let (_, node) = named.find(|(name, _)| name.trim().eq_ignore_ascii_case("for"))?;
    let node = node.trim();
    let quoted = node
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    address(quoted.unwrap_or(node))
}

/// The parts of a text between separators that are not in quotes: what is in them may be the client's
/// own words.
fn parts(text: &str, separator: char) -> Vec<&str> {
    let (mut parts, mut begin, mut in_quotes, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if in_quotes && c == '\\' {
            escaped = true;
        } else if c == '"' {
            in_quotes = !in_quotes;
        } else if c == separator && !in_quotes {
            parts.push(&text[begin..at]);
            begin = at + 1;
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// An address, with or without a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let alone = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']')?.0,
        None => text,
    };
    let with_port = || Some(text.parse::<SocketAddr>().ok()?.ip());
    let address = alone.parse().ok().or_else(with_port)?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who is nearest, with a proxy at the other end and two networks that are trusted.
    fn origin(headers: &[(&HeaderName, &str)]) -> String {
        origin_from("10.0.0.1", headers)
    }

    fn origin_from(peer: &str, headers: &[(&HeaderName, &str)]) -> String {
        let trusted = ["10.0.0.0/8", "2001:db8:ffff::/48"];
        let proxies = Proxies(
            trusted
                .map(|network| network.parse().expect("a network"))
                .into(),
        );
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().expect("a header"));
        }
        let peer = peer.parse().expect("an address");
        proxies.origin(peer, &map).to_string()
    }

    #[test]
    fn who_is_not_trusted_is_not_believed() {
        let headers = [
            (&X_FORWARDED_FOR, "192.0.2.1"),
            (&FORWARDED, "for=192.0.2.2"),
        ];
        assert_eq!(origin_from("198.51.100.9", &headers), "198.51.100.9");
        assert_eq!(origin_from("::ffff:198.51.100.9", &headers), "198.51.100.9");
        assert_eq!(origin_from("::ffff:10.0.0.9", &headers), "192.0.2.1");
    }

    #[test]
    fn the_last_hop_that_is_not_trusted_counts() {
        for (value, expected) in [
            ("192.0.2.1", "192.0.2.1"),
            ("6.6.6.6, 192.0.2.1", "192.0.2.1"),
            ("6.6.6.6,192.0.2.1 , 10.1.1.1,2001:db8:ffff::7", "192.0.2.1"),
            ("192.0.2.1:4711", "192.0.2.1"),
            ("[2001:db8::1]:4711", "2001:db8::1"),
            ("2001:db8::1", "2001:db8::1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            // All of them are ours.
            ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
            // Beyond what makes no sense, nobody is believed.
            ("6.6.6.6, unknown, 10.2.2.2", "10.2.2.2"),
            ("6.6.6.6, ", "10.0.0.1"),
            ("", "10.0.0.1"),
            ("192.0.2.999", "10.0.0.1"),
        ] {
            assert_eq!(origin(&[(&X_FORWARDED_FOR, value)]), expected, "{value}");
        }
        let lines = [
            (&X_FORWARDED_FOR, "6.6.6.6"),
            (&X_FORWARDED_FOR, "192.0.2.1, 10.1.1.1"),
        ];
        assert_eq!(origin(&lines), "192.0.2.1");
        assert_eq!(origin(&[]), "10.0.0.1");
    }

    #[test]
    fn forwarded_is_read_where_it_is_all_there_is() {
        for (value, expected) in [
            ("for=192.0.2.1", "192.0.2.1"),
            (
                "For=6.6.6.6, for=192.0.2.1;proto=https;by=10.1.1.1",
                "192.0.2.1",
            ),
            ("proto=https; for=\"192.0.2.1:4711\"", "192.0.2.1"),
            ("for=\"[2001:db8::1]:4711\"", "2001:db8::1"),
            ("for=6.6.6.6, for=_hidden", "10.0.0.1"),
            ("for=6.6.6.6, proto=https", "10.0.0.1"),
            // The words of a client, repeated in quotes, are not the proxy's.
            ("for=192.0.2.1;host=\"a,for=6.6.6.6;b\"", "192.0.2.1"),
            (
                "for=192.0.2.1;host=\"a\\\",for=6.6.6.6;b=\\\"\"",
                "192.0.2.1",
            ),
            ("host=\"for=6.6.6.6\";for=192.0.2.1", "192.0.2.1"),
        ] {
            assert_eq!(origin(&[(&FORWARDED, value)]), expected, "{value}");
        }
        let both = [(&FORWARDED, "for=6.6.6.6"), (&X_FORWARDED_FOR, "192.0.2.1")];
        assert_eq!(origin(&both), "192.0.2.1");
    }
}
