//! Any order of acts of two people with three devices each agrees with a model too simple to be
//! wrong: who wins, what each device is told, and that each call ends once.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::*;
use crate::harness::until;

/// How many sequences are tried on each database.
const CASES: u32 = 12;
const DEVICES: usize = 3;

/// A device: whose, and which.
type Device = (usize, usize);

#[derive(Clone, Debug)]
enum Act {
    Start(Device),
    Answer(Device),
    Decline(Device),
    HangUp(Device),
    Say(Device),
    /// The device goes for good, and another comes in its place.
    Replace(Device),
    /// The device loses its stream and opens another.
    Reopen(Device),
    /// Time for a call that rings to be missed.
    Wait,
}

fn act() -> impl Strategy<Value = Act> {
    let device = || (0..2_usize, 0..DEVICES);
    prop_oneof![
        4 => device().prop_map(Act::Start),
        3 => device().prop_map(Act::Answer),
        1 => device().prop_map(Act::Decline),
        1 => device().prop_map(Act::HangUp),
        4 => device().prop_map(Act::Say),
        1 => device().prop_map(Act::Replace),
        2 => device().prop_map(Act::Reopen),
        1 => Just(Act::Wait),
    ]
}

/// What should be so of a call that goes on.
struct Live {
    id: String,
    caller: Device,
    answerer: Option<Device>,
    /// Said by the caller before the answer.
    waiting: usize,
}

/// A device, and the calls whose remains its stream may still bring.
struct Handset {
    person: Person,
    phone: Phone,
    past: BTreeSet<String>,
    /// What it was told of the call that goes on.
    told: Vec<&'static str>,
}

impl Handset {
    async fn of(person: Person, past: BTreeSet<String>) -> Self {
        Self {
            phone: person.listens().await,
            person,
            past,
            told: Vec::new(),
        }
    }

    async fn hears(&mut self, kind: &'static str, call: &str) {
        loop {
            let signal = self.phone.next().await;
            if self
                .past
                .contains(signal["call"]["id"].as_str().expect("an id"))
            {
                continue;
            }
            assert_eq!(
                (&signal["kind"], &signal["call"]["id"]),
                (&json!(kind), &json!(call)),
                "{signal}"
            );
            self.told.push(kind);
            return;
        }
    }
}

struct World<'a> {
    app: &'a App,
    room: Room,
    handsets: [Vec<Handset>; 2],
    live: Option<Live>,
    /// Calls that are over and their outcomes, in order.
    over: Vec<(String, &'static str)>,
    waits: usize,
}

impl<'a> World<'a> {
    async fn new(app: &'a App, case: u64) -> Self {
        let [ann, bob] = [
            app.person(&format!("Ann {case}")).await,
            app.person(&format!("Bob {case}")).await,
        ];
        let room = ann.makes_direct(&bob).await;
        let mut handsets = [Vec::new(), Vec::new()];
        for (person, handsets) in [ann, bob].into_iter().zip(&mut handsets) {
            for _ in 0..DEVICES {
                let device = person.signs_in_again().await;
                handsets.push(Handset::of(device, BTreeSet::new()).await);
            }
        }
        Self {
            app,
            room,
            handsets,
            live: None,
            over: Vec::new(),
            waits: 0,
        }
    }

    fn person(&self, (user, device): Device) -> &Person {
        &self.handsets[user][device].person
    }

    async fn hears(&mut self, (user, device): Device, kind: &'static str, call: &str) {
        self.handsets[user][device].hears(kind, call).await;
    }

    async fn act(&mut self, act: &Act) {
        match *act {
            Act::Start(by) => self.start(by).await,
            Act::Answer(by) => self.answer(by).await,
            Act::Decline(by) => self.decline(by).await,
            Act::HangUp(by) => self.hang_up(by).await,
            Act::Say(by) => self.say(by).await,
            Act::Replace(device) => self.replace(device).await,
            Act::Reopen(device) => self.reopen(device).await,
            Act::Wait => self.wait().await,
        }
    }

    async fn start(&mut self, by: Device) {
        let call = self.person(by).calls(&self.room).await;
        let id = text(&call["id"]);
        let Some(live) = &self.live else {
            assert_eq!(call["state"], "RINGING");
            for device in 0..DEVICES {
                self.hears((1 - by.0, device), "RINGING", &id).await;
            }
            self.live = Some(Live {
                id,
                caller: by,
                answerer: None,
                waiting: 0,
            });
            return;
        };
        if live.answerer.is_none() && by.0 != live.caller.0 {
            assert_eq!((&call["state"], &id), (&json!("ANSWERED"), &live.id));
            self.is_answered(by).await;
        } else if by == live.caller || Some(by) == live.answerer {
            assert_eq!(id, live.id, "the same again");
        } else {
            assert_eq!(call["outcome"], "BUSY");
            self.over.push((id, "BUSY"));
        }
    }

    /// The call the act is about: the one that goes on, or else the last one.
    fn subject(&self) -> Option<String> {
        let live = self.live.as_ref().map(|live| live.id.clone());
        live.or_else(|| self.over.last().map(|(id, _)| id.clone()))
    }

    /// Does it, and answers the refusal's code.
    async fn tries(&self, by: Device, mutation: &str, variables: Value) -> Option<String> {
        let answer = self.person(by).request(mutation, variables).await.json();
        let code = &answer["errors"][0]["extensions"]["code"];
        code.as_str().map(str::to_owned)
    }

    async fn answer(&mut self, by: Device) {
        let Some(id) = self.subject() else { return };
        let refusal = self.tries(by, ANSWER, on_call(&id)).await;
        let (expected, wins) = match &self.live {
            None => (Some("CONFLICT"), false),
            Some(live) if by.0 == live.caller.0 => (Some("FORBIDDEN"), false),
            Some(live) => match live.answerer {
                None => (None, true),
                Some(winner) if winner == by => (None, false),
                Some(_) => (Some("CONFLICT"), false),
            },
        };
        assert_eq!(refusal.as_deref(), expected);
        if wins {
            self.is_answered(by).await;
        }
    }

    async fn is_answered(&mut self, by: Device) {
        let live = self.live.as_mut().expect("a call");
        live.answerer = Some(by);
        let (id, caller, waiting) = (live.id.clone(), live.caller, live.waiting);
        self.hears(caller, "ANSWERED", &id).await;
        for device in 0..DEVICES {
            let kind = if device == by.1 {
                "ANSWERED"
            } else {
                "ANSWERED_ELSEWHERE"
            };
            self.hears((by.0, device), kind, &id).await;
        }
        for _ in 0..waiting {
            self.hears(by, "CANDIDATE", &id).await;
        }
    }

    async fn decline(&mut self, by: Device) {
        let Some(id) = self.subject() else { return };
        let refusal = self.tries(by, DECLINE, on_call(&id)).await;
        let (expected, ends) = match &self.live {
            None => (None, false),
            Some(live) if by.0 == live.caller.0 => (Some("FORBIDDEN"), false),
            Some(live) if live.answerer.is_some() => (Some("CONFLICT"), false),
            Some(_) => (None, true),
        };
        assert_eq!(refusal.as_deref(), expected);
        if ends {
            self.is_declined(by).await;
        }
    }

    async fn is_declined(&mut self, by: Device) {
        let live = self.live.take().expect("a call");
        self.hears(live.caller, "ENDED", &live.id).await;
        for device in 0..DEVICES {
            let kind = if device == by.1 {
                "ENDED"
            } else {
                "DECLINED_ELSEWHERE"
            };
            self.hears((by.0, device), kind, &live.id).await;
        }
        self.is_over(live, "DECLINED");
    }

    async fn hang_up(&mut self, by: Device) {
        let Some(id) = self.subject() else { return };
        assert_eq!(self.tries(by, HANG_UP, on_call(&id)).await, None);
        match &self.live {
            None => {}
            Some(live) if live.answerer.is_none() && by.0 != live.caller.0 => {
                self.is_declined(by).await;
            }
            Some(_) => self.ends_for_all("CANCELLED").await,
        }
    }

    /// Ends for every device that it concerns; as completed, if it had been answered.
    async fn ends_for_all(&mut self, unanswered: &'static str) {
        let live = self.live.take().expect("a call");
        self.hears(live.caller, "ENDED", &live.id).await;
        let outcome = match live.answerer {
            Some(answerer) => {
                self.hears(answerer, "ENDED", &live.id).await;
                "COMPLETED"
            }
            None => {
                for device in 0..DEVICES {
                    self.hears((1 - live.caller.0, device), "ENDED", &live.id)
                        .await;
                }
                unanswered
            }
        };
        self.is_over(live, outcome);
    }

    fn is_over(&mut self, live: Live, outcome: &'static str) {
        self.over.push((live.id, outcome));
        for handset in self.handsets.iter_mut().flatten() {
            handset.told.clear();
        }
    }

    async fn say(&mut self, by: Device) {
        let Some(id) = self.subject() else { return };
        let refusal = self.tries(by, SAY, said(&id, "CANDIDATE", "c")).await;
        let other = match &mut self.live {
            None => {
                assert_eq!(refusal.as_deref(), Some("CONFLICT"));
                return;
            }
            Some(live) if by == live.caller => {
                live.waiting += usize::from(live.answerer.is_none());
                live.answerer
            }
            Some(live) if Some(by) == live.answerer => Some(live.caller),
            Some(_) => {
                assert_eq!(refusal.as_deref(), Some("FORBIDDEN"));
                return;
            }
        };
        assert_eq!(refusal, None);
        if let Some(other) = other {
            self.hears(other, "CANDIDATE", &id).await;
        }
    }

    async fn replace(&mut self, device: Device) {
        let again = self.person(device).signs_in_again().await;
        let gone = "mutation { signOut { ok } }";
        assert_eq!(self.tries(device, gone, json!({})).await, None);
        let past = self.over.iter().map(|(id, _)| id.clone()).collect();
        self.handsets[device.0][device.1] = Handset::of(again, past).await;
        let Some(live) = &self.live else { return };
        let (id, caller, answerer) = (live.id.clone(), live.caller, live.answerer);
        if device == caller || Some(device) == answerer {
            // Its place in the call is not the newcomer's.
            let other = if device == caller {
                answerer
            } else {
                Some(caller)
            };
            if answerer.is_some() && device != caller {
                self.hears(device, "ANSWERED_ELSEWHERE", &id).await;
            }
            self.app.advance(GRACE);
            let live = self.live.take().expect("a call");
            let told: Vec<Device> = match other {
                Some(other) => vec![other],
                None => (0..DEVICES).map(|n| (1 - caller.0, n)).collect(),
            };
            for device in told {
                self.hears(device, "ENDED", &id).await;
            }
            let outcome = answerer.map_or("CANCELLED", |_| "COMPLETED");
            self.is_over(live, outcome);
            return;
        }
        if device.0 != caller.0 {
            let kind = answerer.map_or("RINGING", |_| "ANSWERED_ELSEWHERE");
            self.hears(device, kind, &id).await;
        }
    }

    async fn reopen(&mut self, (user, device): Device) {
        let past = self.over.iter().map(|(id, _)| id.clone()).collect();
        let person = self.person((user, device)).clone();
        let told = std::mem::take(&mut self.handsets[user][device].told);
        self.handsets[user][device] = Handset::of(person, past).await;
        let Some(live) = &self.live else { return };
        let takes_part = (user, device) == live.caller || Some((user, device)) == live.answerer;
        let (id, is_rung) = (live.id.clone(), live.answerer.is_none());
        let needed = match told.last() {
            Some(_) if takes_part || is_rung => told,
            Some(last) => vec![*last],
            None => Vec::new(),
        };
        for kind in needed {
            self.hears((user, device), kind, &id).await;
        }
    }

    /// Lets more time pass than a call rings; not so often that access tokens expire.
    async fn wait(&mut self) {
        if self.waits == 10 {
            return;
        }
        self.waits += 1;
        self.app.advance(RING);
        if self
            .live
            .as_ref()
            .is_some_and(|live| live.answerer.is_none())
        {
            self.ends_for_all("MISSED").await;
        }
    }

    /// The streams brought nothing else, and each call left one event and one record.
    async fn check(mut self) {
        if self.live.is_some() {
            self.hang_up((0, 0)).await;
        }
        for user in 0..2 {
            self.start((user, 0)).await;
            self.hang_up((user, 1)).await;
        }
        let ann = self.person((0, 0)).clone();
        let count = self.over.len();
        until("every call has left its event", || async {
            ann.last_seq(&self.room).await >= i64::try_from(count).expect("it fits")
        })
        .await;
        let mut socket = ann.opens_socket().await;
        let query = "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
            ... on CallEnded { call { id outcome } } } }";
        socket
            .subscribe("1", query, &json!({ "id": self.room.id }))
            .await;
        for (id, outcome) in &self.over {
            let event = socket.next().await.expect("an event");
            let call = &event["payload"]["data"]["conversationEvents"]["call"];
            assert_eq!(*call, json!({ "id": id, "outcome": outcome }));
        }
        assert_eq!(ann.last_seq(&self.room).await, count as i64, "and no more");
        let history = ann.history(json!({ "first": 200 })).await;
        let calls = history["nodes"].as_array().expect("a list").len();
        assert_eq!(calls, count);
    }
}

on_both! {
    async fn every_order_of_acts_agrees_with_the_model(app) {
        let runtime = tokio::runtime::Handle::current();
        let case = std::cell::Cell::new(0);
        tokio::task::block_in_place(|| {
            let config = Config { cases: CASES, failure_persistence: None, max_shrink_iters: 64, ..Config::default() };
            let acts = prop::collection::vec(act(), 1..30);
            let outcome = TestRunner::new(config).run(&acts, |acts| {
                case.set(case.get() + 1);
                let run = async {
                    let mut world = World::new(app, case.get()).await;
                    for act in &acts {
                        world.act(act).await;
                    }
                    world.check().await;
                };
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| runtime.block_on(run)));
                outcome.map_err(|_| TestCaseError::fail("an act disagreed with the model"))
            });
            outcome.unwrap_or_else(|failure| panic!("{failure}"));
        });
    }
}
