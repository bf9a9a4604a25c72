//! Requests as clients send them.

use async_graphql::Variables;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A request whose form is right: it names a document, and its variables are an object.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Sent")]
pub struct GraphQlRequest {
    /// What to run.
    pub document: Asked,
    /// Which of the document's operations.
    pub operation_name: Option<String>,
    /// Values of its variables.
    pub variables: Variables,
}

/// How a request names its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// In full.
    Text(String),
    /// In full, under the SHA-256 by which the client will ask for it from now on.
    Hashed {
        /// The document.
        text: String,
        /// What the client takes for its hash, in hexadecimal digits.
        hash: String,
    },
    /// By its hash, or by its id in the trusted list.
    Id(String),
}

/// A request's members, as GraphQL over HTTP and the clients' extensions of it name them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sent {
    /// The document.
    #[serde(default)]
    pub query: Option<String>,
    /// Its id, in place of itself (GraphQL over HTTP, appendix on persisted documents).
    #[serde(default)]
    pub document_id: Option<String>,
    /// Which of its operations to run.
    #[serde(default)]
    pub operation_name: Option<String>,
    /// Values of its variables.
    #[serde(default)]
    pub variables: Option<Variables>,
    /// Of these, `persistedQuery` is acted upon, which Apollo's clients send.
    #[serde(default)]
    pub extensions: Option<Map<String, Value>>,
}

/// `extensions.persistedQuery`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PersistedQuery {
    version: u64,
    sha256_hash: String,
}

impl TryFrom<Sent> for GraphQlRequest {
    type Error = &'static str;

    fn try_from(sent: Sent) -> Result<Self, Self::Error> {
        let persisted = sent
            .extensions
            .and_then(|mut extensions| extensions.remove("persistedQuery"))
            .filter(|persisted| !persisted.is_null())
            .map(hash_of)
            .transpose()?;
        // Some clients send an empty text with the hash.
        let text = sent
            .query
            .filter(|text| !text.is_empty() || (persisted.is_none() && sent.document_id.is_none()));
        let document = match (text, persisted, sent.document_id) {
            (Some(_), _, Some(_)) => return Err("give `query` or `documentId`, not both"),
            (Some(text), None, None) => Asked::Text(text),
            (Some(text), Some(hash), None) => Asked::Hashed { text, hash },
            (None, _, Some(id)) | (None, Some(id), None) => Asked::Id(id),
            (None, None, None) => return Err("`query` is missing"),
        };
        Ok(Self {
            document,
            operation_name: sent.operation_name,
            variables: sent.variables.unwrap_or_default(),
        })
    }
}

fn hash_of(persisted: Value) -> Result<String, &'static str> {
    let is_object = persisted.is_object();
    match serde_json::from_value::<PersistedQuery>(persisted) {
        Ok(persisted) if persisted.version == 1 => Ok(persisted.sha256_hash),
        Ok(_) => Err("the `version` of `extensions.persistedQuery` must be 1"),
        Err(_) if is_object => Err("`extensions.persistedQuery` needs `version` and `sha256Hash`"),
        Err(_) => Err("`extensions.persistedQuery` must be an object"),
    }
}
