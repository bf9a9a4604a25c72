//! Whose turn it is.

use backchannel_entities::{Timestamp, UserId};
use uuid::Uuid;

use crate::messages::{NewMessage, Parts};
use crate::users::{Audience, User};

use super::*;

fn waiting(conversation: u128) -> Waiting {
    let sender = User {
        id: UserId(Uuid::from_u128(1)),
        email: None,
        phone: None,
        password_hash: None,
        display_name: "Ann".to_owned(),
        avatar_url: None,
        username: None,
        bio: None,
        locale: None,
        date_of_birth: None,
        is_onboarded: false,
        created_at: Timestamp(0),
        read_receipts: true,
        email_verified_at: None,
        phone_verified_at: None,
        found_by_email: Audience::Everyone,
        found_by_phone: Audience::Everyone,
        shows_last_seen: Audience::Everyone,
        shows_avatar: Audience::Everyone,
        chats_from: Audience::Everyone,
        owner_id: None,
        is_operator: false,
        is_selective: false,
        is_listed: true,
        stamp: 0,
    };
    let id = ConversationId(Uuid::from_u128(conversation));
    let new =
        NewMessage::parse(id, Some("hi".to_owned()), None, Parts::default()).expect("a message");
    Waiting {
        send: Outgoing::new(Arc::new(sender), new),
        since: Instant::now(),
        answer: oneshot::channel().0,
    }
}

fn of(state: &mut State, conversation: u128, count: usize) {
    for _ in 0..count {
        state.add(waiting(conversation)).expect("there is room");
    }
}

/// How many of each conversation are taken, in the order of their first.
fn taken(batch: &[Waiting]) -> Vec<(u128, usize)> {
    let mut counts: Vec<(u128, usize)> = Vec::new();
    for waiting in batch {
        let id = waiting.conversation_id().0.as_u128();
        match counts.iter_mut().find(|(of, _)| *of == id) {
            Some((_, count)) => *count += 1,
            None => counts.push((id, 1)),
        }
    }
    counts
}

fn ids(batch: &[Waiting]) -> HashSet<ConversationId> {
    batch.iter().map(Waiting::conversation_id).collect()
}

#[test]
fn a_busy_conversation_makes_others_wait_for_one_commit() {
    let mut state = State::default();
    of(&mut state, 1, 1_000);
    of(&mut state, 2, 1);
    of(&mut state, 3, 20);
    let batch = state.take();
    assert_eq!(taken(&batch), [(1, SHARE), (2, 1), (3, 20)]);
    // What comes for one that commits goes with the next.
    of(&mut state, 2, 1);
    of(&mut state, 4, 1);
    let other = state.take();
    assert_eq!(taken(&other), [(4, 1)]);
    state.under_way = 2;
    state.finish(ids(&batch), Vec::new());
    state.finish(ids(&other), Vec::new());
    let next = state.take();
    let mut counts = taken(&next);
    counts.sort_unstable();
    assert_eq!(counts, [(1, SHARE), (2, 1)]);
    assert_eq!(state.waiting, 1_000 - 2 * SHARE);
}

#[test]
fn a_commit_is_not_larger_than_it_may_be() {
    let mut state = State::default();
    for conversation in 0..100 {
        of(&mut state, conversation, 30);
    }
    let batch = state.take();
    assert_eq!(batch.len(), BATCH);
    assert_eq!(taken(&batch).len(), BATCH.div_ceil(30));
    let last = batch.last().map(|w| w.conversation_id().0.as_u128());
    let next = state.take();
    assert!(!ids(&next).contains(&ConversationId(Uuid::from_u128(last.expect("one")))));
    assert_eq!((next.len(), state.waiting), (BATCH, 3_000 - 2 * BATCH));
}

#[test]
fn one_that_is_held_elsewhere_ends_up_by_itself() {
    let mut state = State::default();
    of(&mut state, 1, 2);
    let mut rounds = Vec::new();
    for _ in 0..3 {
        of(&mut state, 2, 1);
        let batch = state.take();
        rounds.push(taken(&batch));
        state.under_way = 1;
        let ids = ids(&batch);
        let held = |waiting: &Waiting| waiting.conversation_id().0.as_u128() == 1;
        state.finish(ids, batch.into_iter().filter(held).collect());
    }
    let both = |counts: &Vec<(u128, usize)>| counts.contains(&(1, 2)) && counts.len() == 2;
    assert!(rounds[..2].iter().all(both), "{rounds:?}");
    assert_eq!(rounds[2], [(1, 2)]);
}

#[test]
fn nothing_is_left_of_what_is_done() {
    let mut state = State::default();
    of(&mut state, 1, 3);
    let batch = state.take();
    state.under_way = 1;
    state.finish(ids(&batch), Vec::new());
    assert!(state.lanes.is_empty() && state.turns.is_empty());
    assert_eq!((state.waiting, state.under_way), (0, 0));
}

#[test]
fn a_full_queue_and_a_full_lane_refuse() {
    let mut state = State::default();
    of(&mut state, 1, WAITING_IN_LANE);
    assert!(matches!(
        state.add(waiting(1)),
        Err(Error::RateLimited { .. })
    ));
    for conversation in 2..=4 {
        of(&mut state, conversation, WAITING_IN_LANE);
    }
    assert!(matches!(
        state.add(waiting(5)),
        Err(Error::RateLimited { .. })
    ));
    assert_eq!(state.waiting, WAITING);
}
