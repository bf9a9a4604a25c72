//! How many sockets a user has open here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

use backchannel_domain::UserId;

/// The open sockets of each user, counted.
pub(crate) struct Seats {
    each: usize,
    taken: Mutex<HashMap<UserId, usize>>,
}

/// One socket's share, given back when dropped.
pub(super) struct Seat {
    seats: Arc<Seats>,
    user: UserId,
}

impl Seats {
    /// `each` for every user.
    pub(crate) fn new(each: usize) -> Self {
        let taken = Mutex::default();
        Self { each, taken }
    }

    /// One more for `user`, if there is one left.
    pub(super) fn take(self: &Arc<Self>, user: UserId) -> Option<Seat> {
        let mut taken = self.taken();
        let count = taken.entry(user).or_default();
        // Nothing is left behind: without a seat left, others hold the entry.
        if *count >= self.each {
            return None;
        }
        *count += 1;
        let seats = Arc::clone(self);
        Some(Seat { seats, user })
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<UserId, usize>> {
        self.taken.lock().expect("no holder panics")
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        if let Some(count) = taken.get_mut(&self.user) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.user);
            }
        }
    }
}
