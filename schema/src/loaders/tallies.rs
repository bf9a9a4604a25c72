//! How what people do to messages is fetched.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use backchannel_domain::messages::hiding;
use backchannel_domain::messages::pins::{self, Pin, PinPosition};
use backchannel_domain::page::{Page, PageRequest};
use backchannel_domain::polls::{self, OptionKey, Poll};
use backchannel_domain::reactions::{self, ReactionKey};
use backchannel_domain::tallies::TallyPosition;
use backchannel_domain::{ConversationId, Cx, MessageId, Result, stars};

use super::gathering::Source;
use super::sources::by_request;

pub(super) struct OwnReactions;

impl Source for OwnReactions {
    type Key = MessageId;
    type Value = Arc<HashSet<String>>;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, Self::Value>> {
        reactions::of_actor(cx, keys).await
    }
}

pub(super) struct ReactionPages;

impl Source for ReactionPages {
    type Key = (PageRequest<TallyPosition>, ReactionKey);
    type Value = Arc<Page<TallyPosition>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        let keys: Vec<_> = keys
            .iter()
            .map(|(request, key)| (request.clone(), key))
            .collect();
        for (request, keys) in by_request(&keys) {
            for (key, page) in reactions::pages(cx, &keys, request).await? {
                found.insert((request.clone(), key), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct Pins;

impl Source for Pins {
    type Key = (PageRequest<PinPosition>, ConversationId);
    type Value = Arc<Page<Pin>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, ids) in by_request(keys) {
            for (id, page) in pins::pages(cx, &ids, request).await? {
                found.insert((request.clone(), id), Arc::new(page));
            }
        }
        Ok(found)
    }
}

pub(super) struct OwnStars;

impl Source for OwnStars {
    type Key = MessageId;
    type Value = ();

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, ()>> {
        let starred = stars::of_actor(cx, keys).await?;
        Ok(starred.into_iter().map(|id| (id, ())).collect())
    }
}

pub(super) struct OwnHidden;

impl Source for OwnHidden {
    type Key = MessageId;
    type Value = ();

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, ()>> {
        let hidden = hiding::of_actor(cx, keys).await?;
        Ok(hidden.into_iter().map(|id| (id, ())).collect())
    }
}

pub(super) struct Polls;

impl Source for Polls {
    type Key = MessageId;
    type Value = Arc<Poll>;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, Arc<Poll>>> {
        polls::find_many(cx, keys).await
    }
}

pub(super) struct OwnVotes;

impl Source for OwnVotes {
    type Key = MessageId;
    type Value = Arc<Vec<i32>>;

    async fn fetch(cx: &Cx, keys: &[MessageId]) -> Result<HashMap<MessageId, Self::Value>> {
        polls::of_actor(cx, keys).await
    }
}

pub(super) struct VoterPages;

impl Source for VoterPages {
    type Key = (PageRequest<TallyPosition>, OptionKey);
    type Value = Arc<Page<TallyPosition>>;

    async fn fetch(cx: &Cx, keys: &[Self::Key]) -> Result<HashMap<Self::Key, Self::Value>> {
        let mut found = HashMap::with_capacity(keys.len());
        for (request, keys) in by_request(keys) {
            for (key, page) in polls::pages(cx, &keys, request).await? {
                found.insert((request.clone(), key), Arc::new(page));
            }
        }
        Ok(found)
    }
}
