//! Content negotiation (GraphQL over HTTP, section 6.1; RFC 9110, section 12.5.1).

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Of a result in JSON. They differ in the status of a request that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaType {
    /// `application/graphql-response+json`: the status tells.
    GraphQlResponse,
    /// `application/json`: 200 whatever happened, as old clients expect.
    Json,
}

impl MediaType {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::GraphQlResponse => "application/graphql-response+json; charset=utf-8",
            Self::Json => "application/json; charset=utf-8",
        }
    }
}

/// What a client takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Accepted {
    /// The better of the two for results, if either.
    pub(super) json: Option<MediaType>,
    /// Whether it takes `text/event-stream`.
    pub(super) event_stream: bool,
}

/// Reads `Accept`. Without one, or with `*/*`, results are `application/json`, as the
/// specification has it for clients of before 2025.
pub(super) fn accepted(headers: &HeaderMap) -> Accepted {
    let mut lines = headers.get_all(ACCEPT).iter().peekable();
    if lines.peek().is_none() {
        return Accepted {
            json: Some(MediaType::Json),
            event_stream: false,
        };
    }
    let (mut json, mut event_stream) = (None, false);
    let mut best = 0.0;
    for range in lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(','))
    {
        let (essence, quality) = parse(range);
        let offered = match essence.as_str() {
            "application/graphql-response+json" => Some(MediaType::GraphQlResponse),
            "application/json" | "application/*" | "*/*" => Some(MediaType::Json),
            _ => None,
        };
        // Of equals the first is taken.
        if offered.is_some() && quality > best {
            (json, best) = (offered, quality);
        }
        event_stream |= essence == "text/event-stream" && quality > 0.0;
    }
    Accepted { json, event_stream }
}

/// A media range in lower case and its weight.
fn parse(range: &str) -> (String, f32) {
    let mut parts = range.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
    let quality = parts
        .find_map(|parameter| {
            parameter
                .strip_prefix("q=")
                .or_else(|| parameter.strip_prefix("Q="))
        })
        .map_or(1.0, |quality| quality.parse().unwrap_or(0.0));
    (essence, quality)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn of(accept: &'static str) -> Accepted {
        accepted(&HeaderMap::from_iter([(
            ACCEPT,
            HeaderValue::from_static(accept),
        )]))
    }

    #[test]
    fn the_preferred_of_both_json_types_is_taken() {
        let both = "application/json;q=0.5, application/graphql-response+json";
        assert_eq!(of(both).json, Some(MediaType::GraphQlResponse));
        let apollo = "application/graphql-response+json,application/json;q=0.9";
        assert_eq!(of(apollo).json, Some(MediaType::GraphQlResponse));
        assert_eq!(
            of("application/json, application/graphql-response+json").json,
            Some(MediaType::Json)
        );
    }

    #[test]
    fn a_client_that_says_nothing_gets_json() {
        let json = Accepted {
            json: Some(MediaType::Json),
            event_stream: false,
        };
        assert_eq!(accepted(&HeaderMap::new()), json);
        assert_eq!(of("*/*"), json);
    }

    #[test]
    fn what_is_refused_by_weight_is_not_taken() {
        assert_eq!(of("application/json;q=0, text/html").json, None);
        assert!(!of("text/event-stream;q=0").event_stream);
        assert!(of("text/event-stream").event_stream);
    }
}
