//! Pages: a bounded stretch of an ordered list, between two cursors.

use std::collections::HashMap;
use std::hash::Hash;

use crate::limits::{DEFAULT_PAGE_SIZE, PAGE_SIZE};
use crate::{Error, Result};

/// The four arguments of a connection (Relay Cursor Connections), cursors decoded.
#[derive(Clone, Debug)]
pub struct PageArgs<C> {
    /// Take so many from the beginning.
    pub first: Option<i32>,
    /// Start behind this one.
    pub after: Option<C>,
    /// Take so many from the end.
    pub last: Option<i32>,
    /// Stop in front of this one.
    pub before: Option<C>,
}

/// Which end of the list a page is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum End {
    /// The first so many.
    Start,
    /// The last so many.
    Finish,
}

/// A page to read; its size is within bounds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PageRequest<C> {
    /// Exclusive lower bound.
    pub after: Option<C>,
    /// Exclusive upper bound.
    pub before: Option<C>,
    /// Which end.
    pub end: End,
    /// How many, 1 to [`PAGE_SIZE`].
    pub size: u32,
}

impl<C> PageArgs<C> {
    /// Checks the arguments; `default_end` decides where neither `first` nor `last` nor a
    /// cursor does.
    ///
    /// # Errors
    /// [`Error::BadInput`] on `first` or `last` for a size out of bounds, or for both.
    pub fn check(self, default_end: End) -> Result<PageRequest<C>> {
        let (end, size) = match (self.first, self.last) {
            (Some(_), Some(_)) => {
                return Err(Error::bad_input("last", "give `first` or `last`, not both"));
            }
            (Some(first), None) => (End::Start, page_size("first", first)?),
            (None, Some(last)) => (End::Finish, page_size("last", last)?),
            (None, None) => {
                let end = match (&self.after, &self.before) {
                    (Some(_), None) => End::Start,
                    (None, Some(_)) => End::Finish,
                    (None, None) | (Some(_), Some(_)) => default_end,
                };
                (end, DEFAULT_PAGE_SIZE)
            }
        };
        Ok(PageRequest {
            after: self.after,
            before: self.before,
            end,
            size,
        })
    }
}

fn page_size(field: &'static str, size: i32) -> Result<u32> {
    u32::try_from(size)
        .ok()
        .filter(|size| (1..=PAGE_SIZE).contains(size))
        .ok_or_else(|| Error::bad_input(field, format!("must be 1 to {PAGE_SIZE}")))
}

impl<C> PageRequest<C> {
    /// How many rows to read: one more than the page, which tells whether there are more.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.size) + 1
    }

    /// Makes the page of `rows`, which were read from the asked end inwards.
    pub(crate) fn page<T>(&self, mut rows: Vec<T>) -> Page<T> {
        let size = self.size as usize;
        let more = rows.len() > size;
        rows.truncate(size);
        // On the side that was not read, a cursor given means that something lies there.
        match self.end {
            End::Start => Page {
                has_next: more,
                has_previous: self.after.is_some(),
                items: rows,
            },
            End::Finish => {
                rows.reverse();
                Page {
                    has_next: self.before.is_some(),
                    has_previous: more,
                    items: rows,
                }
            }
        }
    }

    /// Makes one page for each key out of `rows`, which were read key by key.
    pub(crate) fn pages<K: Eq + Hash, T>(
        &self,
        rows: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> HashMap<K, Page<T>> {
        let mut by_key: HashMap<K, Vec<T>> = HashMap::new();
        for row in rows {
            by_key.entry(key(&row)).or_default().push(row);
        }
        by_key
            .into_iter()
            .map(|(key, rows)| (key, self.page(rows)))
            .collect()
    }

    /// The same for all of `keys`: an empty page for those that have no rows.
    pub(crate) fn pages_of<K: Copy + Eq + Hash, T>(
        &self,
        keys: &[K],
        rows: Vec<T>,
        key: impl Fn(&T) -> K,
    ) -> HashMap<K, Page<T>> {
        let mut pages = self.pages(rows, key);
        for key in keys {
            pages.entry(*key).or_insert_with(|| self.page(Vec::new()));
        }
        pages
    }
}

/// A page that was read.
#[derive(Clone, Debug)]
pub struct Page<T> {
    /// In list order, whichever end was asked for.
    pub items: Vec<T>,
    /// Whether more follow.
    pub has_next: bool,
    /// Whether more precede.
    pub has_previous: bool,
}

impl<T> Page<T> {
    /// The same page of something else.
    pub(crate) fn map<U>(self, item: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(item).collect(),
            has_next: self.has_next,
            has_previous: self.has_previous,
        }
    }
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            has_next: false,
            has_previous: false,
        }
    }
}
