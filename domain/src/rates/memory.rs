//! What a node has counted, in memory.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use hashlink::LruCache;

use crate::{Error, Result};

use super::table::Rate;
use super::{Allowance, Key};

/// How many are kept count of, for each rate; the least recently counted goes first, and what it
/// owed with it. That is a few MB, and more than a node has clients.
const ROOM: usize = 65_536;

/// What was counted of one rate. An instant for each whom it is counted for is all it takes: each
/// time takes up some time, and they follow each other.
///
/// Instants are the node's uptime: the wall clock may be set, and nobody is to be locked out by
/// that.
pub(super) struct Memory {
    pub(super) rate: &'static Rate,
    contents: Mutex<Contents>,
}

struct Contents {
    entries: LruCache<Key, Entry>,
    /// Those of whom other nodes are to be told; none where there is nobody to tell.
    untold: Option<Vec<Key>>,
}

#[derive(Clone, Copy, Default)]
struct Entry {
    paid_until: Duration,
    /// How many times are not told of yet.
    untold: u32,
}

/// How much somebody owes for what they did here lately.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) key: Key,
    pub(super) time: Duration,
}

impl Memory {
    /// Of a node that has nobody to tell.
    pub(super) fn alone(rate: &'static Rate) -> Self {
        Self::new(rate, None)
    }

    /// Of a node among others.
    pub(super) fn shared(rate: &'static Rate) -> Self {
        Self::new(rate, Some(Vec::new()))
    }

    fn new(rate: &'static Rate, untold: Option<Vec<Key>>) -> Self {
        let entries = LruCache::new(ROOM);
        Self {
            rate,
            contents: Mutex::new(Contents { entries, untold }),
        }
    }

    /// Counts so many times at `now`; answers what is left.
    pub(super) fn take(&self, key: Key, times: u32, now: Duration) -> Result<Allowance> {
        let rate = self.rate;
        let mut contents = self.contents();
        let Entry {
            paid_until,
            mut untold,
        } = contents.entries.get(&key).copied().unwrap_or_default();
        let paid_until = paid_until.max(now) + rate.each * times;
        let most = now + rate.whole();
        if let Some(retry_after) = paid_until.checked_sub(most).filter(|time| !time.is_zero()) {
            return Err(Error::RateLimited { retry_after });
        }
        if let Some(list) = &mut contents.untold
            && (untold > 0 || list.len() < ROOM)
        {
            if untold == 0 {
                list.push(key);
            }
            untold += times;
        }
        contents.entries.insert(key, Entry { paid_until, untold });
        Ok(Allowance {
            remaining: times_in(most - paid_until, rate.each),
            reset: paid_until - now,
        })
    }

    /// What is owed for all that was not told of yet; it counts as told.
    pub(super) fn untold(&self, now: Duration) -> Vec<Owed> {
        let mut contents = self.contents();
        let Contents { entries, untold } = &mut *contents;
        let keys = untold.as_mut().map(std::mem::take).unwrap_or_default();
        let owed = keys.into_iter().filter_map(|key| {
            let entry = entries.peek_mut(&key)?;
            let times = std::mem::take(&mut entry.untold);
            // Some of it may be paid off by now.
            let left = entry.paid_until.saturating_sub(now);
            let time = (self.rate.each * times).min(left);
            (!time.is_zero()).then_some(Owed { key, time })
        });
        owed.collect()
    }

    /// Learns what somebody owes on all nodes together; what was done here meanwhile comes on top.
    pub(super) fn learn(&self, owed: Owed, now: Duration) {
        let mut contents = self.contents();
        if let Some(entry) = contents.entries.peek_mut(&owed.key) {
            let everywhere = now + owed.time + self.rate.each * entry.untold;
            entry.paid_until = entry.paid_until.max(everywhere);
        }
    }

    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().expect("no holder panics")
    }
}

fn times_in(time: Duration, each: Duration) -> u32 {
    let times = time.as_millis() / each.as_millis();
    u32::try_from(times).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use backchannel_entities::UserId;
    use uuid::Uuid;

    use super::super::table::{Action, TABLE, What};
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    fn sends() -> &'static Rate {
        let mut rates = TABLE.iter();
        let found = rates.find(|rate| rate.what == What::Action(Action::Send));
        found.expect("sends are limited")
    }

    fn somebody(n: u128) -> Key {
        Key::User(UserId(Uuid::from_u128(n)))
    }

    fn retry_after(refused: Result<Allowance>) -> Duration {
        match refused {
            Err(Error::RateLimited { retry_after }) => retry_after,
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn so_many_pass_at_once_and_then_one_each_so_long() {
        let (rate, ann) = (sends(), somebody(1));
        let memory = Memory::alone(rate);
        for n in 1..=rate.burst {
            let allowance = memory.take(ann, 1, START).expect("within the burst");
            assert_eq!(allowance.remaining, rate.burst - n);
            assert_eq!(allowance.reset, rate.each * n);
        }
        assert_eq!(retry_after(memory.take(ann, 1, START)), rate.each);
        assert_eq!(retry_after(memory.take(ann, 3, START)), rate.each * 3);
        // A refusal costs nothing, and others are not concerned.
        memory
            .take(ann, 3, START + rate.each * 3)
            .expect("paid off");
        memory
            .take(somebody(2), rate.burst, START)
            .expect("another");
        let later = START + rate.whole() * 2;
        let all = memory.take(ann, rate.burst, later).expect("all again");
        assert_eq!(all.remaining, 0);
    }

    #[test]
    fn what_nodes_tell_each_other_adds_up() {
        let (rate, ann) = (sends(), somebody(1));
        let [here, there] = [(); 2].map(|()| Memory::shared(rate));
        here.take(ann, 100, START).expect("a first hundred");
        there.take(ann, 100, START).expect("another, elsewhere");
        let now = START + Duration::from_millis(100);
        let told = here.untold(now);
        let time = rate.each * 100 - Duration::from_millis(100);
        assert_eq!(told, [Owed { key: ann, time }]);
        assert_eq!(here.untold(now), [], "once");
        // What was done since comes on top of what all owe.
        there.untold(now);
        there.take(ann, 10, now).expect("ten more");
        let all = Owed {
            key: ann,
            time: rate.each * 200,
        };
        there.learn(all, now);
        let owed = rate.each * 210 + rate.each - rate.whole();
        assert_eq!(retry_after(there.take(ann, 1, now)), owed);
        // Less than is known is no news.
        let nothing = Owed {
            key: ann,
            time: Duration::ZERO,
        };
        there.learn(nothing, now);
        assert_eq!(retry_after(there.take(ann, 1, now)), owed);
        assert_eq!(there.untold(now + rate.whole() * 3), [], "paid off untold");
    }

    #[test]
    fn a_flood_of_keys_takes_up_a_bounded_room() {
        let memory = Memory::shared(sends());
        for n in 0..3 * ROOM as u128 {
            memory.take(somebody(n), 1, START).expect("a stranger");
        }
        assert_eq!(memory.contents().entries.len(), ROOM);
        assert!(memory.untold(START).len() <= ROOM);
        // Who was counted last is still known.
        let last = somebody(3 * ROOM as u128 - 1);
        let allowance = memory.take(last, 1, START).expect("within the burst");
        assert_eq!(allowance.remaining, sends().burst - 2);
    }
}
