//! Where a caller is: behind a proxy that is trusted, or none.

use super::*;

/// Registrations at once from one address.
const BURST: usize = 100;

on_both! {
    with &[("RATE_LIMITS", "on"), ("TRUSTED_PROXIES", "127.0.0.1")];

    async fn a_trusted_proxy_tells_callers_apart(app) {
        app.person("Ann").await;
        for address in ["192.0.2.50", "6.6.6.6, 192.0.2.51"] {
            assert_eq!(count(&tries_to_register(app, address, 20).await, "CONFLICT"), 20);
        }
        // The caller's own words before the proxy's make no difference.
        let refused = tries_to_register(app, "192.0.2.50, 192.0.2.51", 20).await;
        assert_eq!(count(&refused, "CONFLICT"), BURST - 20, "{refused}");
        assert_eq!(count(&refused, "RATE_LIMITED"), 40 - BURST, "{refused}");
        let other = tries_to_register(app, "192.0.2.50", 20).await;
        assert_eq!(count(&other, "CONFLICT"), BURST - 20, "{other}");
    }

    async fn all_addresses_of_one_ipv6_subscriber_are_counted_together(app) {
        app.person("Ann").await;
        for address in ["2001:db8:1:2::1", "2001:db8:1:2:aaaa:bbbb:cccc:dddd"] {
            tries_to_register(app, address, 15).await;
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
            let answer = tries_to_register(app, &format!("192.0.2.{n}"), 10).await;
            tried += count(&answer, "CONFLICT");
        }
        // Ann was the first.
        assert_eq!(tried, BURST - 1);
        // It is over when it is paid off.
        app.advance(MINUTE);
        let answer = tries_to_register(app, "192.0.2.99", 2).await;
        assert_eq!(codes(&answer), ["CONFLICT", "RATE_LIMITED"]);
    }
}
