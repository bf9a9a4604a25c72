//! The documents that clients ask for, parsed once and kept.
//!
//! Parsing is two thirds of a small request, and clients ask for the same few documents all day.
//! They are kept by the SHA-256 of their text, which is also how clients ask for them without
//! sending them (automatic persisted queries): whatever was sent once, by anybody, may be asked
//! for by its hash, for a hash cannot be guessed to belong to another text.
//!
//! A document that is refused is not kept. One that passes all checks here and is then found not
//! to fit the schema is kept like others: whether it fits can depend on the variables.

use std::sync::{Arc, Mutex, MutexGuard};

use async_graphql::Response;
use hashlink::LruCache;
use sha2::{Digest as _, Sha256};

use crate::Introspection;
use crate::completion::Types;
use crate::document::{Operations, Parsed, bad};
use crate::error::{code, refusal};
use crate::request::Asked;
use crate::trusted::Trusted;

/// Most documents kept.
const DOCUMENTS: usize = 1_000;
/// Most bytes of their texts together. Parsed, a document takes some fifty times as much: one of
/// 262 bytes took 14 kB, so that all together come to 14 MB.
const TEXT_BYTES: usize = 256 * 1_024;

/// What Apollo's clients look for, in the message.
const NOT_FOUND_TEXT: &str = "PersistedQueryNotFound";

/// SHA-256 of a document's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest([u8; 32]);

impl Digest {
    pub(crate) fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Reads 64 hexadecimal digits.
    fn parse(hex: &str) -> Option<Self> {
        let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
        if pairs.len() != 32 || !rest.is_empty() {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(pairs) {
            let digit = |digit: u8| char::from(digit).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Self(bytes))
    }
}

/// All documents that are known.
pub(crate) struct Documents {
    types: Types,
    introspection: Introspection,
    trusted: Trusted,
    kept: Mutex<Kept>,
}

impl Documents {
    pub(crate) fn new(types: Types, introspection: Introspection, trusted: Trusted) -> Self {
        Self {
            types,
            introspection,
            trusted,
            kept: Mutex::new(Kept::new(DOCUMENTS, TEXT_BYTES)),
        }
    }

    /// The operations of a document, however it is asked for.
    pub(crate) fn find(&self, asked: Asked) -> Result<Arc<Operations>, Box<Response>> {
        match asked {
            Asked::Text(text) => self.of_text(Digest::of(&text), &text),
            Asked::Hashed { text, hash } => {
                let digest = Digest::of(&text);
                // An id of the trusted list need not be a hash.
                let is_its_own = Digest::parse(&hash) == Some(digest)
                    || self.trusted.digest(&hash) == Some(digest);
                if !is_its_own {
                    return Err(bad("the `sha256Hash` is not that of the document"));
                }
                self.of_text(digest, &text)
            }
            Asked::Id(id) => self.of_id(&id),
        }
    }

    fn of_text(&self, digest: Digest, text: &str) -> Result<Arc<Operations>, Box<Response>> {
        if !self.trusted.allows(&digest) {
            return Err(not_in_list());
        }
        if let Some(found) = self.kept().get(&digest) {
            return Ok(found);
        }
        let operations = Operations::of(&self.types, self.introspection, Parsed::of(text)?)?;
        Ok(self.kept().put(digest, Arc::new(operations), text.len()))
    }

    fn of_id(&self, id: &str) -> Result<Arc<Operations>, Box<Response>> {
        let digest = Digest::parse(id.strip_prefix("sha256:").unwrap_or(id));
        let digest = self.trusted.digest(id).or(digest);
        if let Some(text) = digest.and_then(|digest| self.trusted.text(&digest)) {
            return self.of_text(Digest::of(text), text);
        }
        if self.trusted.is_all() {
            return Err(not_in_list());
        }
        let found = digest.and_then(|digest| self.kept().get(&digest));
        found.ok_or_else(|| {
            let code = code::PERSISTED_QUERY_NOT_FOUND;
            Box::new(refusal(code, NOT_FOUND_TEXT, None))
        })
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder panics")
    }
}

fn not_in_list() -> Box<Response> {
    let message = "this server runs the documents of its trusted list alone";
    Box::new(refusal(code::PERSISTED_QUERY_NOT_IN_LIST, message, None))
}

/// What was parsed, the least recently asked for first to go.
struct Kept {
    recent: LruCache<Digest, (Arc<Operations>, usize)>,
    text_bytes: usize,
    most: (usize, usize),
}

impl Kept {
    /// Keeps at most so many documents, and so many bytes of text.
    fn new(documents: usize, text_bytes: usize) -> Self {
        Self {
            recent: LruCache::new_unbounded(),
            text_bytes: 0,
            most: (documents, text_bytes),
        }
    }

    fn get(&mut self, digest: &Digest) -> Option<Arc<Operations>> {
        let (found, _) = self.recent.get(digest)?;
        Some(Arc::clone(found))
    }

    /// Keeps `operations`, unless another request was quicker: then answers with what that one
    /// has put there, so that all share it.
    fn put(
        &mut self,
        digest: Digest,
        operations: Arc<Operations>,
        bytes: usize,
    ) -> Arc<Operations> {
        if let Some(found) = self.get(&digest) {
            return found;
        }
        self.text_bytes += bytes;
        let kept = (Arc::clone(&operations), bytes);
        self.recent.insert(digest, kept);
        while self.recent.len() > self.most.0 || self.text_bytes > self.most.1 {
            let Some((_, (_, bytes))) = self.recent.remove_lru() else {
                break;
            };
            self.text_bytes -= bytes;
        }
        operations
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operations() -> Arc<Operations> {
        let types = Types::of_sdl(&crate::Api::sdl());
        let parsed = Parsed::of("{ viewer { user { id } } }").expect("a document");
        Operations::of(&types, Introspection::Allowed, parsed)
            .map(Arc::new)
            .unwrap_or_else(|_| unreachable!("asks for no schema"))
    }

    #[test]
    fn a_hash_is_read_in_either_case() {
        let digest = Digest::of("");
        let hex = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::parse(hex), Some(digest));
        assert_eq!(Digest::parse(&hex.to_uppercase()), Some(digest));
        assert_eq!(Digest::parse(&hex[1..]), None);
        assert_eq!(Digest::parse(&hex.replace('e', "g")), None);
    }

    #[test]
    fn the_least_recently_asked_for_goes_when_there_are_too_many() {
        let (mut kept, operations) = (Kept::new(2, 1_000), operations());
        let [a, b, c] = ["a", "b", "c"].map(Digest::of);
        kept.put(a, Arc::clone(&operations), 1);
        kept.put(b, Arc::clone(&operations), 1);
        assert!(kept.get(&a).is_some());
        kept.put(c, Arc::clone(&operations), 1);
        let found = [a, b, c].map(|digest| kept.get(&digest).is_some());
        assert_eq!((found, kept.text_bytes), ([true, false, true], 2));
    }

    #[test]
    fn as_many_go_as_a_large_one_needs_room() {
        let (mut kept, operations) = (Kept::new(100, 10), operations());
        let [a, b, c] = ["a", "b", "c"].map(Digest::of);
        kept.put(a, Arc::clone(&operations), 5);
        kept.put(b, Arc::clone(&operations), 5);
        kept.put(c, Arc::clone(&operations), 8);
        let found = [a, b, c].map(|digest| kept.get(&digest).is_some());
        assert_eq!((found, kept.text_bytes), ([false, false, true], 8));
    }

    #[test]
    fn who_comes_second_gets_what_the_first_has_put() {
        let (mut kept, first) = (Kept::new(2, 10), operations());
        let digest = Digest::of("a");
        kept.put(digest, Arc::clone(&first), 5);
        assert!(Arc::ptr_eq(&kept.put(digest, operations(), 5), &first));
        assert_eq!(kept.text_bytes, 5);
    }
}
