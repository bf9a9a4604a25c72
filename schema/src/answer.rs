//! Results as JSON.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use async_graphql::{Response, ServerError, Value};
use backchannel_domain::clock::random_bytes;
use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde::Serialize;

use crate::json;

/// What an operation has to say at a time.
pub enum Answer {
    /// Nothing of it was executed; see [`is_request_error`].
    Refused(Box<Response>),
    /// A result.
    Result(Encoded),
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        if is_request_error(&response) {
            Self::Refused(Box::new(response))
        } else {
            Self::Result(Encoded::from(Template::whole(to_json(&response))))
        }
    }
}

/// Whether nothing of the request was executed: a *request error* in the words of the
/// GraphQL specification, section 7.1. An error that happened while executing has a path.
#[must_use]
pub fn is_request_error(response: &Response) -> bool {
    !response.errors.is_empty()
        && matches!(response.data, Value::Null)
        && response.errors.iter().all(|error| error.path.is_empty())
}

/// A result as JSON. After a request error it has no `data`, not even null.
#[must_use]
pub fn to_json(response: &Response) -> String {
    #[derive(Serialize)]
    struct RequestError<'a> {
        errors: &'a [ServerError],
        #[serde(skip_serializing_if = "BTreeMap::is_empty")]
        extensions: &'a BTreeMap<String, Value>,
    }
    if !is_request_error(response) {
        return json::result(response);
    }
    let refusal = serde_json::to_string(&RequestError {
        errors: &response.errors,
        extensions: &response.extensions,
    });
    refusal.unwrap_or_else(|error| {
        tracing::error!(%error, "a refusal could not be encoded");
        r#"{"errors":[{"message":"something went wrong on the server","extensions":{"code":"INTERNAL"}}]}"#.to_owned()
    })
}

/// Stands in a result for what is each subscriber's own. Nobody outside can know it, so no
/// text of theirs has it.
pub(crate) fn placeholder() -> &'static str {
    static PLACEHOLDER: LazyLock<String> =
        LazyLock::new(|| BASE64_URL_SAFE_NO_PAD.encode(random_bytes::<24>()));
    &PLACEHOLDER
}

/// A result as JSON, with gaps for what is each subscriber's own.
pub(crate) struct Template {
    /// Between two of them is a gap.
    pieces: Box<[Box<str>]>,
}

impl Template {
    /// One without gaps.
    fn whole(json: String) -> Self {
        Self {
            pieces: [json.into_boxed_str()].into(),
        }
    }

    /// One with a gap at every placeholder.
    pub(crate) fn of(json: &str) -> Self {
        Self {
            pieces: json.split(placeholder()).map(Box::from).collect(),
        }
    }

    /// Its length, gaps left out.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

/// A result as JSON; its bytes are shared by all whom it is for.
pub struct Encoded {
    template: Arc<Template>,
    /// Goes into the gaps.
    own: Box<str>,
}

impl From<Template> for Encoded {
    fn from(template: Template) -> Self {
        Self::new(Arc::new(template), Box::default())
    }
}

impl Encoded {
    pub(crate) fn new(template: Arc<Template>, own: Box<str>) -> Self {
        Self { template, own }
    }

    /// Bytes of the text.
    #[must_use]
    pub fn len(&self) -> usize {
        self.template.len() + (self.template.pieces.len() - 1) * self.own.len()
    }

    /// Whether the text is empty, which no result is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends the text.
    pub fn append_to(&self, text: &mut String) {
        for (n, piece) in self.template.pieces.iter().enumerate() {
            if n > 0 {
                text.push_str(&self.own);
            }
            text.push_str(piece);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ones_own_goes_into_each_gap() {
        let gap = placeholder();
        let template = Arc::new(Template::of(&format!(r#"{{"a":"{gap}","b":"{gap}"}}"#)));
        for own in ["one", "another"] {
            let encoded = Encoded::new(Arc::clone(&template), own.into());
            let mut text = String::new();
            encoded.append_to(&mut text);
            assert_eq!(text, format!(r#"{{"a":"{own}","b":"{own}"}}"#));
            assert_eq!(text.len(), encoded.len());
        }
    }
}
