//! Address books, as devices have them.

use std::collections::HashSet;

use crate::phones::{self, Region};
use crate::{Error, Result, limits};

/// A number in an address book.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// As it was typed.
    pub phone: String,
    /// Under which name.
    pub name: Option<String>,
}

/// An address book, read.
#[derive(Default)]
pub(super) struct Book {
    /// Each number once, in E.164.
    pub(super) numbers: Vec<(String, Entry)>,
    /// How many entries have none that can be read.
    pub(super) unreadable: usize,
}

impl Book {
    /// Reads it. A number that is there twice counts where it came first; a name that is not
    /// acceptable counts as none, for it is typed by people for themselves.
    pub(super) fn read(entries: Vec<Entry>, region: Option<Region>) -> Self {
        let mut book = Self::default();
        let mut seen = HashSet::with_capacity(entries.len());
        for Entry { phone, name } in entries {
            let Some(number) = phones::read(&phone, region) else {
                book.unreadable += 1;
                continue;
            };
            if seen.insert(number.clone()) {
                let name = name.and_then(|name| limits::name("name", &name).ok());
                book.numbers.push((number, Entry { phone, name }));
            }
        }
        book
    }
}

/// Refuses a book that is too long to be read.
pub(super) fn check(entries: &[Entry]) -> Result<()> {
    if entries.len() > limits::NUMBERS {
        let message = format!("must have at most {}", limits::NUMBERS);
        return Err(Error::bad_input("contacts", message));
    }
    Ok(())
}
