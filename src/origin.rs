//! Which web pages may talk to this server.

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use std::time::Duration;
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::config::Config;
use crate::graphql::PREFLIGHT;

/// How long browsers may remember what they were allowed.
const REMEMBERED: Duration = Duration::from_secs(3_600);

/// The origins of `ALLOWED_ORIGINS`, and the server's own.
pub(crate) struct Origins {
    allowed: Vec<String>,
    own: Option<String>,
}

impl Origins {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            allowed: config.allowed_origins.clone(),
            own: config.public_url.as_deref().and_then(origin_of),
        }
    }

    /// Whether the page behind a WebSocket may open it. Browsers do not protect WebSockets
    /// as they do requests: the server must look itself. Without an `Origin` there is no
    /// page.
    pub(crate) fn admit(&self, headers: &HeaderMap) -> bool {
        let Some(origin) = headers.get(ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        let own_host = || {
            let host = headers.get(HOST)?.to_str().ok()?;
            let uri: Uri = origin.parse().ok()?;
            Some(uri.authority()?.as_str().eq_ignore_ascii_case(host))
        };
        self.is_allowed(origin) || own_host() == Some(true)
    }

    fn is_allowed(&self, origin: &str) -> bool {
        self.allowed
            .iter()
            .chain(&self.own)
            .any(|allowed| allowed.eq_ignore_ascii_case(origin))
    }

    /// Cross-origin resource sharing for the pages allowed, answered by name, never `*`.
    pub(crate) fn cors(&self) -> CorsLayer {
        let allowed = self
            .allowed
            .iter()
            .filter_map(|origin| HeaderValue::from_str(origin).ok());
        let client = ["x-device-name", "client-type"];
        let named = client
            .into_iter()
            .chain(PREFLIGHT)
            .map(HeaderName::from_static);
        let headers = [AUTHORIZATION, CONTENT_TYPE].into_iter().chain(named);
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(allowed))
            .allow_methods([
                Method::GET,
                Method::POST,
                Method::PUT,
                Method::PATCH,
                Method::DELETE,
                Method::OPTIONS,
            ])
            .allow_headers(headers.collect::<Vec<_>>())
            .expose_headers([RETRY_AFTER])
            .allow_credentials(true)
            .max_age(REMEMBERED)
    }
}

/// Scheme, host and port of a URL.
fn origin_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
    // Browsers leave the default port out.
    let default = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.strip_suffix(default).unwrap_or(authority);
    Some(format!("{scheme}://{authority}"))
}
