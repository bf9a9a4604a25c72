//! What may happen to a call and who is told of it, apart from any database.
//!
//! Each function takes a call as it is, changes it and answers what is to be told. Nothing here
//! counts on there being two parties; that there are is a rule of [`crate::access`].

use std::time::Duration;

use backchannel_entities::{CallId, ConversationId, SessionId, Timestamp, UserId};

use crate::{Error, Result};

use super::{Call, CallKind, CallState, Outcome, Party, PartyState, Row, SignalKind};

/// How long it rings.
pub(super) const RING: Duration = Duration::from_secs(40);
/// How long a device that takes part may be out of reach.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// How long a call may last: one whose devices went without a trace must end, too.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3_600);
/// How long signals are kept: of a call that is over, and of one that goes on.
pub(super) const KEEP: Duration = Duration::from_secs(120);

/// A user's device: one login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Device {
    pub(crate) user_id: UserId,
    pub(crate) session_id: SessionId,
}

/// Who is told something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// One device.
    Device(Device),
    /// All devices of a user.
    AllOf(UserId),
    /// All devices of a user but this one.
    AllBut(Device),
    /// The device that will answer: it waits until then.
    WhoeverAnswers,
}

/// Something to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) to: Address,
    pub(super) kind: SignalKind,
    /// Who caused it.
    pub(super) from: Option<UserId>,
    pub(super) payload: Option<String>,
}

impl Told {
    fn new(to: Address, kind: SignalKind, from: Option<UserId>) -> Self {
        Self {
            to,
            kind,
            from,
            payload: None,
        }
    }
}

/// What happens to a call by itself.
#[derive(Clone, Copy)]
enum Cause {
    Unanswered,
    Absent(UserId),
    TooLong,
}

const ENDED: Error = Error::Conflict {
    field: None,
    message: "the call has ended",
};
const ANSWERED_ELSEWHERE: Error = Error::Conflict {
    field: None,
    message: "the call was answered on another device",
};

impl Call {
    /// A call that rings.
    pub(super) fn ringing(new: NewCall, rung: &[UserId], now: Timestamp) -> (Self, Vec<Told>) {
        let caller = new.caller;
        let mut call = new.made(now);
        call.add(caller.user_id, Some(caller.session_id), PartyState::Joined);
        let mut told = Vec::new();
        for user_id in rung {
            call.add(*user_id, None, PartyState::Ringing);
            let to = Address::AllOf(*user_id);
            told.push(Told::new(to, SignalKind::Ringing, Some(caller.user_id)));
        }
        call.row.due_at = call.due_at();
        (call, told)
    }

    /// A call that never rings, because these of its parties are in others.
    pub(super) fn busy(new: NewCall, others: &[UserId], busy: &[UserId], now: Timestamp) -> Self {
        let caller = new.caller;
        let mut call = new.made(now);
        let state_or = |user_id, otherwise| {
            if busy.contains(user_id) {
                PartyState::Busy
            } else {
                otherwise
            }
        };
        let state = state_or(&caller.user_id, PartyState::Left);
        call.add(caller.user_id, Some(caller.session_id), state);
        for user_id in others {
            call.add(*user_id, None, state_or(user_id, PartyState::Missed));
        }
        call.row.state = CallState::Ended;
        call.row.ended_at = Some(now);
        call.row.outcome = Some(Outcome::Busy);
        call
    }

    fn add(&mut self, user_id: UserId, session_id: Option<SessionId>, state: PartyState) {
        self.parties.push(Party {
            call_id: self.row.id,
            user_id,
            session_id,
            state,
            live: is_live(state),
            absent_since: None,
            started_at: self.row.started_at,
        });
    }

    /// A device of one who is rung answers. The first wins; answering again is no change.
    pub(super) fn answer(&mut self, by: Device, now: Timestamp) -> Result<Vec<Told>> {
        self.goes_on()?;
        let index = self.index_of(by)?;
        let party = &mut self.parties[index];
        match party.state {
            PartyState::Ringing => {}
            PartyState::Joined if by.user_id == self.row.caller_id => {
                return Err(Error::Forbidden("only one who is rung can answer"));
            }
            PartyState::Joined if party.session_id == Some(by.session_id) => return Ok(Vec::new()),
            PartyState::Joined => return Err(ANSWERED_ELSEWHERE),
            PartyState::Declined | PartyState::Left | PartyState::Missed | PartyState::Busy => {
                return Err(ENDED);
            }
        }
        set(party, PartyState::Joined);
        party.session_id = Some(by.session_id);
        if self.row.state == CallState::Ringing {
            self.row.state = CallState::Answered;
            self.row.answered_at = Some(now);
        }
        self.row.due_at = self.due_at();
        let from = Some(by.user_id);
        let mut told: Vec<Told> = self
            .joined()
            .map(|device| Told::new(Address::Device(device), SignalKind::Answered, from))
            .collect();
        let others = Address::AllBut(by);
        told.push(Told::new(others, SignalKind::AnsweredElsewhere, from));
        Ok(told)
    }

    /// A device of one who is rung turns the call down, for all devices of that user. Once the
    /// call has ended, it is no change.
    pub(super) fn decline(&mut self, by: Device, now: Timestamp) -> Result<Vec<Told>> {
        let index = self.index_of(by)?;
        if self.goes_on().is_err() {
            return Ok(Vec::new());
        }
        let party = &mut self.parties[index];
        match party.state {
            PartyState::Ringing => {}
            PartyState::Joined if by.user_id == self.row.caller_id => {
                return Err(Error::Forbidden("only one who is rung can decline"));
            }
            PartyState::Joined if party.session_id == Some(by.session_id) => {
                return Err(Error::Conflict {
                    field: None,
                    message: "this device has answered the call; hang up instead",
                });
            }
            PartyState::Joined => return Err(ANSWERED_ELSEWHERE),
            PartyState::Declined | PartyState::Left | PartyState::Missed | PartyState::Busy => {
                return Ok(Vec::new());
            }
        }
        set(party, PartyState::Declined);
        let from = Some(by.user_id);
        let mut told = vec![
            Told::new(Address::AllBut(by), SignalKind::DeclinedElsewhere, from),
            Told::new(Address::Device(by), SignalKind::Ended, from),
        ];
        told.extend(self.end_without_company(Outcome::Declined, now, from));
        Ok(told)
    }

    /// A party leaves the call, by any of its devices; one who is rung declines thereby. Once
    /// the call has ended, it is no change.
    pub(super) fn hang_up(&mut self, by: Device, now: Timestamp) -> Result<Vec<Told>> {
        let index = self.index_of(by)?;
        match self.parties[index].state {
            PartyState::Joined => Ok(self.leave(index, now, Some(by.user_id))),
            PartyState::Ringing => self.decline(by, now),
            PartyState::Declined | PartyState::Left | PartyState::Missed | PartyState::Busy => {
                Ok(Vec::new())
            }
        }
    }

    /// Passes a payload from a device that takes part to the others that do, or, before there
    /// is another, to the one that will.
    pub(super) fn relay(&self, by: Device, kind: SignalKind, payload: &str) -> Result<Vec<Told>> {
        self.goes_on()?;
        let party = &self.parties[self.index_of(by)?];
        match party.state {
            PartyState::Joined if party.session_id == Some(by.session_id) => {}
            PartyState::Joined => {
                return Err(Error::Forbidden("another of your devices is in this call"));
            }
            PartyState::Ringing => return Err(Error::Forbidden("answer the call first")),
            PartyState::Declined | PartyState::Left | PartyState::Missed | PartyState::Busy => {
                return Err(ENDED);
            }
        }
        let mut others: Vec<Address> = self
            .joined()
            .filter(|device| *device != by)
            .map(Address::Device)
            .collect();
        if others.is_empty() {
            others.push(Address::WhoeverAnswers);
        }
        let told = |to| Told {
            payload: Some(payload.to_owned()),
            ..Told::new(to, kind, Some(by.user_id))
        };
        Ok(others.into_iter().map(told).collect())
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Timestamp) -> Vec<Told> {
        let mut told = Vec::new();
        while let Some((at, cause)) = self.next()
            && at <= now
        {
            match cause {
                Cause::Unanswered => {
                    told.extend(self.stop_ringing());
                    told.extend(self.end_without_company(Outcome::Missed, at, None));
                }
                Cause::Absent(user_id) => {
                    let index = self.parties.iter().position(|p| p.user_id == user_id);
                    let index = index.expect("the cause is one of the parties");
                    told.extend(self.leave(index, at, None));
                }
                Cause::TooLong => told.extend(self.end(Outcome::Completed, at, None)),
            }
        }
        self.row.due_at = self.due_at();
        told
    }

    /// Notes since when a device has been out of reach, or that it is not. Answers whether that
    /// is news.
    pub(super) fn note_absence(&mut self, id: SessionId, since: Option<Timestamp>) -> bool {
        let takes_part = |p: &&mut Party| p.live && p.session_id == Some(id);
        let Some(party) = self.parties.iter_mut().find(takes_part) else {
            return false;
        };
        if party.absent_since.is_some() == since.is_some() {
            return false;
        }
        party.absent_since = since;
        self.row.due_at = self.due_at();
        true
    }

    /// The devices that take part.
    pub(super) fn joined(&self) -> impl Iterator<Item = Device> {
        let joined = |party: &&Party| party.state == PartyState::Joined;
        self.parties.iter().filter(joined).filter_map(|party| {
            Some(Device {
                user_id: party.user_id,
                session_id: party.session_id?,
            })
        })
    }

    fn goes_on(&self) -> Result<()> {
        match self.row.state {
            CallState::Ringing | CallState::Answered => Ok(()),
            CallState::Ended => Err(ENDED),
        }
    }

    fn index_of(&self, by: Device) -> Result<usize> {
        let mut users = self.parties.iter().map(|party| party.user_id);
        users
            .position(|user_id| user_id == by.user_id)
            .ok_or(Error::Forbidden("you are not in this call"))
    }

    /// One who is in the call is so no longer.
    fn leave(&mut self, index: usize, at: Timestamp, from: Option<UserId>) -> Vec<Told> {
        let party = &mut self.parties[index];
        set(party, PartyState::Left);
        let mut told = vec![told_ended(party, from)];
        told.extend(self.end_without_company(Outcome::Cancelled, at, from));
        told
    }

    fn stop_ringing(&mut self) -> Vec<Told> {
        let ringing = |party: &&mut Party| party.state == PartyState::Ringing;
        let mut told = Vec::new();
        for party in self.parties.iter_mut().filter(ringing) {
            told.push(told_ended(party, None));
            set(party, PartyState::Missed);
        }
        told
    }

    /// Ends the call if nobody is left to talk with, or nobody to ring for; with this outcome
    /// unless it had been answered.
    fn end_without_company(
        &mut self,
        unanswered: Outcome,
        at: Timestamp,
        from: Option<UserId>,
    ) -> Vec<Told> {
        let live = self.parties.iter().filter(|party| party.live).count();
        if live >= 2 && self.joined().next().is_some() {
            self.row.due_at = self.due_at();
            return Vec::new();
        }
        let outcome = match self.row.answered_at {
            Some(_) => Outcome::Completed,
            None => unanswered,
        };
        self.end(outcome, at, from)
    }

    fn end(&mut self, outcome: Outcome, at: Timestamp, from: Option<UserId>) -> Vec<Told> {
        let mut told = Vec::new();
        for party in self.parties.iter_mut().filter(|party| party.live) {
            told.push(told_ended(party, from));
            if party.state == PartyState::Ringing {
                set(party, PartyState::Missed);
            } else {
                set(party, PartyState::Left);
            }
        }
        self.row.state = CallState::Ended;
        self.row.outcome = Some(outcome);
        // What was due may be noticed late, by a node whose clock was behind, too.
        self.row.ended_at = Some(at.max(self.row.answered_at.unwrap_or(self.row.started_at)));
        self.row.due_at = self.due_at();
        told
    }

    /// What happens next by itself, and when.
    fn next(&self) -> Option<(Timestamp, Cause)> {
        let live = self.parties.iter().filter(|party| party.live);
        let causes = live.filter_map(|party| {
            if party.state == PartyState::Ringing {
                return Some((self.row.started_at.plus(RING), Cause::Unanswered));
            }
            let since = party.absent_since?;
            Some((since.plus(GRACE), Cause::Absent(party.user_id)))
        });
        let ends = self.row.answered_at.filter(|_| self.goes_on().is_ok());
        causes
            .chain(ends.map(|at| (at.plus(LONGEST), Cause::TooLong)))
            .min_by_key(|(at, _)| *at)
    }

    /// When somebody must look after it.
    fn due_at(&self) -> Option<Timestamp> {
        match self.row.ended_at {
            // The last thing is to forget the signals.
            Some(ended_at) => Some(ended_at.plus(KEEP)),
            None => self.next().map(|(at, _)| at),
        }
    }
}

/// A call to be made.
#[derive(Clone, Copy)]
pub(super) struct NewCall {
    pub(super) id: CallId,
    pub(super) conversation_id: ConversationId,
    pub(super) kind: CallKind,
    pub(super) caller: Device,
}

impl NewCall {
    fn made(self, now: Timestamp) -> Call {
        Call {
            row: Row {
                id: self.id,
                conversation_id: self.conversation_id,
                kind: self.kind,
                state: CallState::Ringing,
                caller_id: self.caller.user_id,
                started_at: now,
                answered_at: None,
                ended_at: None,
                outcome: None,
                due_at: None,
                last_signal: 0,
                stamp: 0,
            },
            parties: Vec::new(),
        }
    }
}

fn set(party: &mut Party, state: PartyState) {
    party.state = state;
    party.live = is_live(state);
    party.absent_since = None;
}

fn is_live(state: PartyState) -> bool {
    match state {
        PartyState::Ringing | PartyState::Joined => true,
        PartyState::Declined | PartyState::Left | PartyState::Missed | PartyState::Busy => false,
    }
}

/// Tells the devices that a party's part in the call is over: the one that takes part, or all
/// that ring.
fn told_ended(party: &Party, from: Option<UserId>) -> Told {
    let user_id = party.user_id;
    let to = match party.session_id {
        Some(session_id) => Address::Device(Device {
            user_id,
            session_id,
        }),
        None => Address::AllOf(user_id),
    };
    Told::new(to, SignalKind::Ended, from)
}

#[cfg(test)]
mod tests;
