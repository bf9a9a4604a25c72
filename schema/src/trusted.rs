//! The trusted list: documents that the operator knows, in a file that a client's build wrote.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::document::Parsed;
use crate::documents::Digest;

/// Whether documents that are not on the list may be run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Others {
    /// They may.
    #[default]
    Allowed,
    /// They may not.
    Refused,
}

/// Documents by the ids under which clients ask for them.
#[derive(Default)]
pub struct Trusted {
    ids: HashMap<String, Digest>,
    texts: HashMap<Digest, Box<str>>,
    others: Others,
}

/// Why a list cannot be used.
#[derive(Debug)]
pub struct ManifestError(String);

impl std::fmt::Display for ManifestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ManifestError {}

/// What `generate-persisted-query-manifest` of Apollo writes; or what Relay's compiler and
/// GraphQL Code Generator do, which is texts by id.
#[derive(Deserialize)]
#[serde(untagged)]
enum Manifest {
    Apollo {
        format: String,
        version: u64,
        operations: Vec<Entry>,
    },
    Plain(BTreeMap<String, String>),
}

#[derive(Deserialize)]
struct Entry {
    id: String,
    body: String,
}

impl Trusted {
    /// Reads a list. Its documents must be within the limits that hold for all.
    ///
    /// # Errors
    /// When it is of neither form, or a document is refused.
    pub fn read(manifest: &[u8], others: Others) -> Result<Self, ManifestError> {
        let manifest: Manifest = serde_json::from_slice(manifest).map_err(|_| {
            let forms =
                "it is neither Apollo's manifest of persisted queries nor an object of texts by id";
            ManifestError(forms.to_owned())
        })?;
        let entries = match manifest {
            Manifest::Apollo {
                format,
                version,
                operations,
            } => {
                if format != "apollo-persisted-query-manifest" || version != 1 {
                    let unknown = format!("format {format:?}, version {version} is not known");
                    return Err(ManifestError(unknown));
                }
                operations
            }
            Manifest::Plain(texts) => texts
                .into_iter()
                .map(|(id, body)| Entry { id, body })
                .collect(),
        };
        let mut trusted = Self {
            others,
            ..Self::default()
        };
        for Entry { id, body } in entries {
            if let Err(refusal) = Parsed::of(&body) {
                let because = refusal.errors.first().map_or("", |error| &error.message);
                return Err(ManifestError(format!("the document {id:?}: {because}")));
            }
            let digest = Digest::of(&body);
            trusted.ids.insert(id, digest);
            trusted.texts.insert(digest, body.into());
        }
        Ok(trusted)
    }

    /// How many documents are on it.
    #[must_use]
    pub fn documents(&self) -> usize {
        self.texts.len()
    }

    /// The hash of the document of this id.
    pub(crate) fn digest(&self, id: &str) -> Option<Digest> {
        self.ids.get(id).copied()
    }

    pub(crate) fn text(&self, digest: &Digest) -> Option<&str> {
        self.texts.get(digest).map(AsRef::as_ref)
    }

    /// Whether nothing else may be run.
    pub(crate) fn is_all(&self) -> bool {
        self.others == Others::Refused
    }

    /// Whether a document may be run.
    pub(crate) fn allows(&self, digest: &Digest) -> bool {
        !self.is_all() || self.texts.contains_key(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(manifest: &str) -> Result<Trusted, ManifestError> {
        Trusted::read(manifest.as_bytes(), Others::Refused)
    }

    #[test]
    fn both_forms_are_read() {
        let apollo = r#"{"format":"apollo-persisted-query-manifest","version":1,"operations":[
            {"id":"a1","name":"A","type":"query","body":"query A { viewer { user { id } } }"}]}"#;
        let plain = r#"{"a1":"query A { viewer { user { id } } }"}"#;
        for manifest in [apollo, plain] {
            let trusted = read(manifest).expect("a manifest");
            let digest = trusted.digest("a1").expect("it is listed");
            assert_eq!(
                trusted.text(&digest),
                Some("query A { viewer { user { id } } }")
            );
            assert!(trusted.allows(&digest));
            assert!(!trusted.allows(&Digest::of("{ viewer { user { id } } }")));
        }
    }

    #[test]
    fn what_cannot_be_run_is_named() {
        let error = read(r#"{"a1":"query A {"}"#).err().expect("refused");
        assert!(error.to_string().contains("a1"), "{error}");
        let error = read(r#"{"format":"other","version":1,"operations":[]}"#);
        let error = error.err().expect("refused").to_string();
        assert!(error.contains("other"), "{error}");
        assert!(read("[]").is_err());
    }
}
