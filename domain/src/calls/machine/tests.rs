//! Any order of acts of two users with three devices each, many thousand times: never two
//! winners, never a device that rings on for ever, and every call ends once.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Answer(Device),
    Decline(Device),
    HangUp(Device),
    Say(Device),
    Gone(Device),
    Back(Device),
    Pass(u64),
}

fn device_of(user: u128, device: u128) -> Device {
    Device {
        user_id: UserId(Uuid::from_u128(user)),
        session_id: SessionId(Uuid::from_u128(10 * user + device)),
    }
}

fn devices() -> impl Iterator<Item = Device> {
    (1..=2).flat_map(|user| (1..=3).map(move |device| device_of(user, device)))
}

fn act() -> impl Strategy<Value = Act> {
    let device = || (1..=2_u128, 1..=3_u128).prop_map(|(user, device)| device_of(user, device));
    prop_oneof![
        3 => device().prop_map(Act::Answer),
        1 => device().prop_map(Act::Decline),
        1 => device().prop_map(Act::HangUp),
        2 => device().prop_map(Act::Say),
        3 => device().prop_map(Act::Gone),
        2 => device().prop_map(Act::Back),
        4 => (1..=12_u64).prop_map(Act::Pass),
    ]
}

/// What each device has been told, the last thing last, and how it stands in a plain telling
/// of the rules.
struct World {
    call: Call,
    now: Timestamp,
    told: BTreeMap<Device, Vec<SignalKind>>,
    caller: Device,
    winner: Option<Device>,
    absent: BTreeMap<SessionId, Timestamp>,
    answered_at: Option<Timestamp>,
    outcome: Option<Outcome>,
}

impl World {
    fn new(caller: Device) -> Self {
        let now = Timestamp(1_000_000);
        let rung = if caller.user_id == device_of(1, 1).user_id {
            device_of(2, 1).user_id
        } else {
            device_of(1, 1).user_id
        };
        let new = NewCall {
            id: CallId(Uuid::from_u128(7)),
            conversation_id: ConversationId(Uuid::from_u128(8)),
            kind: CallKind::Audio,
            caller,
        };
        let (call, told) = Call::ringing(new, &[rung], now);
        let mut world = Self {
            call,
            now,
            told: devices().map(|device| (device, Vec::new())).collect(),
            caller,
            winner: None,
            absent: BTreeMap::new(),
            answered_at: None,
            outcome: None,
        };
        world.tell(told);
        world
    }

    fn tell(&mut self, told: Vec<Told>) {
        for told in told {
            for (device, heard) in &mut self.told {
                let reached = match told.to {
                    Address::Device(one) => one == *device,
                    Address::AllOf(user_id) => user_id == device.user_id,
                    Address::AllBut(one) => one.user_id == device.user_id && one != *device,
                    Address::WhoeverAnswers => false,
                };
                if reached {
                    heard.push(told.kind);
                }
            }
        }
    }

    fn is_callee(&self, by: Device) -> bool {
        by.user_id != self.caller.user_id
    }

    fn takes_part(&self, by: Device) -> bool {
        self.outcome.is_none() && (by == self.caller || Some(by) == self.winner)
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::Answer(by) => {
                let wins = self.outcome.is_none() && self.is_callee(by) && self.winner.is_none();
                let again = self.outcome.is_none() && self.winner == Some(by);
                let told = self.call.answer(by, self.now);
                assert_eq!(told.is_ok(), wins || again, "{told:?}");
                if wins {
                    self.winner = Some(by);
                    self.answered_at = Some(self.now);
                }
                self.tell(told.unwrap_or_default());
            }
            Act::Decline(by) => {
                let over = self.outcome.is_some();
                let declines = !over && self.is_callee(by) && self.winner.is_none();
                let told = self.call.decline(by, self.now);
                assert_eq!(told.is_ok(), declines || over, "{told:?}");
                if declines {
                    self.outcome = Some(Outcome::Declined);
                }
                self.tell(told.unwrap_or_default());
            }
            Act::HangUp(by) => {
                let told = self.call.hang_up(by, self.now).expect("both are parties");
                if self.outcome.is_none() {
                    self.outcome = Some(match self.winner {
                        Some(_) => Outcome::Completed,
                        None if self.is_callee(by) => Outcome::Declined,
                        None => Outcome::Cancelled,
                    });
                }
                self.tell(told);
            }
            Act::Say(by) => {
                let told = self.call.relay(by, SignalKind::Candidate, "c");
                assert_eq!(told.is_ok(), self.takes_part(by), "{told:?}");
                let other = if by == self.caller {
                    self.winner
                } else {
                    Some(self.caller)
                };
                let to = other.map_or(Address::WhoeverAnswers, Address::Device);
                assert!(told.unwrap_or_default().iter().all(|told| told.to == to));
            }
            Act::Gone(device) => {
                self.call.note_absence(device.session_id, Some(self.now));
                if self.takes_part(device) {
                    self.absent.entry(device.session_id).or_insert(self.now);
                }
            }
            Act::Back(device) => {
                self.call.note_absence(device.session_id, None);
                self.absent.remove(&device.session_id);
            }
            Act::Pass(seconds) => {
                for _ in 0..seconds {
                    self.second();
                }
            }
        }
        self.check();
    }

    /// Second by second, as the rules are told.
    fn second(&mut self) {
        self.now = self.now.plus(Duration::from_secs(1));
        let is_due = |since: Timestamp, after: Duration| since.plus(after) <= self.now;
        let away = self.absent.values().any(|since| is_due(*since, GRACE));
        if self.outcome.is_none() {
            self.outcome = match self.winner {
                Some(_) if away => Some(Outcome::Completed),
                None if away => Some(Outcome::Cancelled),
                None if is_due(self.call.row.started_at, RING) => Some(Outcome::Missed),
                Some(_) | None => None,
            };
        }
        if self
            .call
            .row
            .due_at
            .is_some_and(|due_at| due_at <= self.now)
            && self.call.row.state != CallState::Ended
        {
            let told = self.call.tick(self.now);
            self.tell(told);
        }
    }

    fn check(&self) {
        assert_eq!(self.call.row.outcome, self.outcome);
        assert_eq!(self.call.row.answered_at, self.answered_at);
        assert_eq!(self.call.row.ended_at.is_some(), self.outcome.is_some());
        let joined: Vec<Device> = self.call.joined().collect();
        let expected = [Some(self.caller), self.winner].into_iter().flatten();
        let mut expected: Vec<Device> =
            expected.filter(|device| self.takes_part(*device)).collect();
        expected.sort_by_key(|device| *device != self.caller);
        assert_eq!(joined, expected, "those who are in it");
        for (device, heard) in &self.told {
            let times = |kind| heard.iter().filter(|heard| **heard == kind).count();
            let ends = times(SignalKind::Ended)
                + times(SignalKind::AnsweredElsewhere)
                + times(SignalKind::DeclinedElsewhere);
            let concerned = self.is_callee(*device) || *device == self.caller;
            let is_over =
                self.outcome.is_some() || (self.winner.is_some() && !self.takes_part(*device));
            assert_eq!(
                ends,
                usize::from(concerned && is_over),
                "{device:?} {heard:?}"
            );
            assert_eq!(
                times(SignalKind::Ringing),
                usize::from(self.is_callee(*device))
            );
            let won =
                self.winner.is_some() && (*device == self.caller || Some(*device) == self.winner);
            assert_eq!(times(SignalKind::Answered), usize::from(won));
        }
    }

    /// Left alone, with its devices gone, it ends.
    fn settle(mut self) {
        for device in devices() {
            self.act(&Act::Gone(device));
        }
        self.act(&Act::Pass(60));
        assert!(self.outcome.is_some(), "nothing rings or lasts for ever");
        assert_eq!(self.call.row.state, CallState::Ended);
        assert!(self.call.parties.iter().all(|party| !party.live));
        let forget_at = self.call.row.ended_at.expect("an end").plus(KEEP);
        assert_eq!(self.call.row.due_at, Some(forget_at));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_order_of_acts_has_one_winner_and_one_end(
        caller in (1..=2_u128, 1..=3_u128),
        acts in prop::collection::vec(act(), 0..30),
    ) {
        let mut world = World::new(device_of(caller.0, caller.1));
        for act in &acts {
            world.act(act);
        }
        world.settle();
    }
}

#[test]
fn a_call_whose_devices_leave_no_trace_ends_after_a_day() {
    let mut world = World::new(device_of(1, 1));
    world.act(&Act::Answer(device_of(2, 2)));
    let end = world.now.plus(LONGEST);
    assert_eq!(world.call.row.due_at, Some(end));
    assert_eq!(world.call.tick(end).len(), 2);
    assert_eq!(world.call.row.outcome, Some(Outcome::Completed));
}
