//! Where a caller is: behind a proxy that is trusted, or none.

use super::*;

/// Registrations at once from one address.
const BURST: usize = 100;

/// Of so many registrations, those that are not refused for being too many.
async fn tries_that_count(app: &App, address: &str, times: usize) -> usize {
    let mut counted = 0;
    for at_once in (0..times).step_by(20).map(|done| (times - done).min(20)) {
        let answer = tries_to_register(app, address, at_once).await;
        let refused = count(&answer, "RATE_LIMITED");
        counted += count(&answer, "CONFLICT");
        assert_eq!(refused + count(&answer, "CONFLICT"), at_once, "{answer}");
    }
    counted
}

on_both! {
    with &[("RATE_LIMITS", "on"), ("TRUSTED_PROXIES", "127.0.0.1")];

    async fn a_trusted_proxy_tells_callers_apart(app) {
        app.person("Ann").await;
        for address in ["192.0.2.50", "6.6.6.6, 192.0.2.51"] {
            assert_eq!(tries_that_count(app, address, 20).await, 20);
        }
        // The caller's own words before the proxy's make no difference.
        for address in ["192.0.2.50, 192.0.2.51", "192.0.2.50"] {
            assert_eq!(tries_that_count(app, address, BURST).await, BURST - 20, "{address}");
        }
    }

    async fn all_addresses_of_one_ipv6_subscriber_are_counted_together(app) {
        app.person("Ann").await;
        for address in ["2001:db8:1:2::1", "2001:db8:1:2:aaaa:bbbb:cccc:dddd"] {
            assert_eq!(tries_that_count(app, address, BURST / 2).await, BURST / 2);
        }
        let same = tries_to_register(app, "[2001:db8:1:2:ffff::9]:4711", 1).await;
        assert_eq!(codes(&same), ["RATE_LIMITED"]);
        let next = tries_to_register(app, "2001:db8:1:3::1", 1).await;
        assert_eq!(codes(&next), ["CONFLICT"]);
    }
}

on_both! {
    with &[("RATE_LIMITS", "on")];

    async fn who_is_no_trusted_proxy_is_not_believed(app) {
        app.person("Ann").await;
        let mut tried = 0;
        for n in 0..4 {
            tried += tries_that_count(app, &format!("192.0.2.{n}"), BURST / 2).await;
        }
        // Ann was the first.
        assert_eq!(tried, BURST - 1);
        // It is over when it is paid off.
        app.advance(MINUTE);
        let answer = tries_to_register(app, "192.0.2.99", 2).await;
        assert_eq!(codes(&answer), ["CONFLICT", "RATE_LIMITED"]);
    }
}
