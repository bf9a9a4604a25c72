//! What was acknowledged, what is stored and what was seen, compared.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::harness::caller::World;

use super::chaos::{Kill, Log};
use super::reader::{Gap, Reader, Seen};
use super::sender::{Acked, Key, Sender};
use super::table::{Table, Times};
use super::{Plan, say};

/// How soon nearly every client must have caught up after a kill.
const CAUGHT_UP: (f64, Duration) = (0.99, Duration::from_secs(5));
/// How soon every event must arrive while Redis is out of order.
const UNHINTED: (f64, Duration) = (1.0, Duration::from_secs(3));
/// How soon nearly every send must be acknowledged while Redis is out of order.
const ACKED: (f64, Duration) = (0.99, Duration::from_secs(1));

/// All that is known after a run.
pub(super) struct Verdict {
    pub(super) plan: Plan,
    pub(super) rate: u32,
    pub(super) took: Duration,
    pub(super) log: Log,
    pub(super) senders: Vec<Sender>,
    pub(super) readers: Vec<Reader>,
    pub(super) last_seqs: Vec<i64>,
    /// The messages that the database has, by conversation.
    pub(super) stored: Vec<Vec<Value>>,
    pub(super) world: Arc<World>,
}

impl Verdict {
    pub(super) fn tell(&self, table: &mut Table) {
        table.head(self.plan.to_string());
        let (senders, readers) = (self.senders.len(), self.readers.len());
        let viewers = self.readers.iter().filter(|reader| reader.follows_all());
        table.fact(
            "clients: senders / conversationEvents / viewerEvents",
            format!(
                "{senders} / {} / {}",
                readers - viewers.clone().count(),
                viewers.count()
            ),
        );
        let acked: HashMap<Key, &Acked> = self.acked().map(|acked| (acked.key, acked)).collect();
        let rate = acked.len() as f64 / self.took.as_secs_f64();
        table.least("messages a second", rate, f64::from(self.rate) * 0.98);
        self.tell_of_the_database(table, &acked);
        self.tell_of_readers(table, &acked);
        self.tell_of_answers(table);
        match &self.log {
            Log::Kills(kills) => self.tell_of_kills(table, kills, &acked),
            Log::Outage(times) => self.tell_of_outage(table, times, &acked),
        }
    }

    fn acked(&self) -> impl Iterator<Item = &Acked> {
        self.senders.iter().flat_map(|sender| &sender.acked)
    }

    fn tell_of_the_database(&self, table: &mut Table, acked: &HashMap<Key, &Acked>) {
        let mut found = HashSet::new();
        let (mut twice, mut other) = (0, 0);
        for (room, messages) in self.stored.iter().enumerate() {
            for message in messages {
                let key = super::sender::key(&message["clientMessageId"]);
                let as_acked = acked.get(&key).is_some_and(|acked| {
                    (acked.room, Some(acked.seq)) == (room, message["seq"].as_i64())
                        && message["id"] == acked.id
                });
                other += usize::from(!as_acked);
                twice += usize::from(!found.insert(key));
            }
        }
        let lost = acked.keys().filter(|key| !found.contains(key)).count();
        table.fact("acknowledged messages", acked.len());
        table.none("acknowledged and lost", lost);
        table.none("stored twice", twice);
        table.none("stored elsewhere than acknowledged, or unknown", other);
        let disorder = |sender: &&Sender| {
            let mut last = vec![0; self.last_seqs.len()];
            let in_order =
                |acked: &Acked| std::mem::replace(&mut last[acked.room], acked.seq) < acked.seq;
            !sender.acked.iter().all(in_order)
        };
        table.none(
            "senders whose messages changed order",
            self.senders.iter().filter(disorder).count(),
        );
    }

    fn tell_of_readers(&self, table: &mut Table, acked: &HashMap<Key, &Acked>) {
        let mut flaws = Flaws::default();
        for reader in &self.readers {
            for room in reader.rooms() {
                let seen = reader.seen.iter().filter(|seen| seen.room == *room);
                flaws.look_for(seen, self.last_seqs[*room], acked);
            }
        }
        table.fact(
            "events delivered",
            self.world.events.load(Ordering::Relaxed),
        );
        table.none("not delivered", flaws.missing);
        table.none("repeated", flaws.repeated);
        table.none("holes", flaws.holes);
        table.none("out of order", flaws.disorder);
        table.none("other than acknowledged", flaws.other);
    }

    fn tell_of_answers(&self, table: &mut Table) {
        let repeats: usize = self.senders.iter().map(|sender| sender.repeats).sum();
        table.fact("sends repeated", repeats);
        table.none(
            "answers that something went wrong",
            self.world.failures.load(Ordering::Relaxed),
        );
        let faults = self.world.faults.lock().expect("no holder panics");
        table.none("answers that did not come in time", faults.len());
    }

    fn tell_of_kills(&self, table: &mut Table, kills: &[Kill], acked: &HashMap<Key, &Acked>) {
        let nodes = kills.iter().filter(|kill| kill.node.is_some()).count();
        table.fact(
            "kills: nodes / Redis",
            format!("{nodes} / {}", kills.len() - nodes),
        );
        let sends = Times::of(self.acked().map(|acked| acked.at - acked.due));
        table.times("due to acknowledged", &sends);
        table.times("due to seen", &self.arrivals(acked, |_| true));

        let gaps = || self.readers.iter().flat_map(|reader| &reader.gaps);
        let killed = |gap: &Gap| {
            let mut before = kills.iter().rev().filter(|kill| kill.at <= gap.cut);
            before.find(|kill| kill.node == Some(gap.node))
        };
        table.fact("connections cut by kills", gaps().count());
        table.none(
            "cut though the node lived",
            gaps().filter(|gap| killed(gap).is_none()).count(),
        );
        let caught_up = gaps().filter_map(|gap| Some(gap.over - killed(gap)?.at));
        let what = "killed to caught up, by connection cut";
        table.bounded(what, &Times::of(caught_up), CAUGHT_UP);
        let what = "longest delay, by client and kill";
        table.bounded(what, &self.delays(kills, acked), CAUGHT_UP);
    }

    /// After each kill, each client: the longest that anything acknowledged had not arrived.
    fn delays(&self, kills: &[Kill], acked: &HashMap<Key, &Acked>) -> Times {
        let longest = self.readers.iter().flat_map(|reader| {
            let mut longest = vec![Duration::ZERO; kills.len()];
            for seen in &reader.seen {
                let after = kills.partition_point(|kill| kill.at <= seen.at);
                if let (Some(acked), Some(kill)) = (acked.get(&seen.key), after.checked_sub(1)) {
                    longest[kill] = longest[kill].max(seen.at.saturating_duration_since(acked.at));
                }
            }
            longest
        });
        Times::of(longest)
    }

    fn tell_of_outage(
        &self,
        table: &mut Table,
        times: &[Instant; 4],
        acked: &HashMap<Key, &Acked>,
    ) {
        for (phase, name) in ["before", "during", "after"].into_iter().enumerate() {
            let due = |acked: &Acked| (times[phase]..times[phase + 1]).contains(&acked.due);
            let sends = self.acked().filter(|acked| due(acked));
            let sends = Times::of(sends.map(|acked| acked.at - acked.due));
            table.bounded(&format!("{name}: due to acknowledged"), &sends, ACKED);
            let arrivals = self.arrivals(acked, due);
            table.bounded(&format!("{name}: due to seen"), &arrivals, UNHINTED);
        }
    }

    /// From when messages were due to when they were seen.
    fn arrivals(&self, acked: &HashMap<Key, &Acked>, of: impl Fn(&Acked) -> bool) -> Times {
        let seen = self.readers.iter().flat_map(|reader| &reader.seen);
        let sent = seen.filter_map(|seen| Some((seen.at, acked.get(&seen.key)?)));
        let sent = sent.filter(|(_, acked)| of(acked));
        Times::of(sent.map(|(at, acked)| at - acked.due))
    }
}

/// What is wrong with what a reader saw of a conversation.
#[derive(Default)]
struct Flaws {
    missing: usize,
    repeated: usize,
    holes: usize,
    disorder: usize,
    other: usize,
}

impl Flaws {
    fn look_for<'a>(
        &mut self,
        seen: impl Iterator<Item = &'a Seen>,
        last_seq: i64,
        acked: &HashMap<Key, &Acked>,
    ) {
        let (mut distinct, mut last) = (HashMap::new(), 0);
        for seen in seen {
            if let Some(before) = distinct.insert(seen.seq, seen.connection) {
                self.repeated += 1;
                say(&format!(
                    "repeated: {} of conversation {}, by connection {before} and {}; the last was {last}",
                    seen.seq, seen.room, seen.connection,
                ));
            }
            self.holes += usize::from(seen.seq > last + 1);
            self.disorder += usize::from(seen.seq < last);
            let known = acked.get(&seen.key);
            let same = known.is_some_and(|acked| (acked.room, acked.seq) == (seen.room, seen.seq));
            self.other += usize::from(!same);
            last = seen.seq;
        }
        self.missing += usize::try_from(last_seq).expect("not negative") - distinct.len();
    }
}
