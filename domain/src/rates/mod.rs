//! How often anybody may do anything.
//!
//! 1. The [`table`] says how often, counted for whom, and why.
//! 2. Use cases count themselves, once each time they are executed, before they do anything:
//!    [`count`], [`count_guarded`]. So every alias of a document and every part of a batch counts,
//!    through whichever door it came. Doors count requests and nothing else
//!    ([`Domain::count_requests`]).
//! 3. What is counted is kept in [`memory`], and told to other nodes afterwards ([`sharing`]).
//! 4. What is [`Guarded`] is kept in the database ([`rows`]), whatever becomes of nodes and Redis.

mod memory;
mod rows;
mod sharing;
mod table;

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use backchannel_entities::{SessionId, UserId};

use crate::client::Client;
use crate::cx::{Settings, Tx};
use crate::db::as_upkeep;
use crate::tokens::Holder;
use crate::{Cx, Domain, Result};

use self::memory::Memory;
use self::rows::Counted;
use self::table::{Per, TABLE, What};

pub use self::table::markdown;
pub(crate) use self::table::{Action, Guarded};

/// Bits of an IPv6 address that one subscriber of a network has for themselves, and may change at
/// will.
const SUBSCRIBERS_OWN: u32 = 64;

/// What this node has counted; nothing is, where limits are off.
pub(crate) struct Rates {
    memories: Box<[Memory]>,
    is_on: bool,
}

/// How much more somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many times at once, from now.
    pub remaining: u32,
    /// How long until it is as many as ever.
    pub reset: Duration,
}

/// For whom something is counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Payer {
    user: Option<UserId>,
    /// None for those who are not signed in.
    session: Option<SessionId>,
    network: Option<Network>,
}

/// One for whom something is counted in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    User(UserId),
    Session(SessionId),
    Network(Network),
}

/// Where somebody comes from, as far as that cannot be changed at will: an IPv4 address, or an
/// IPv6 one without its second half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Network(IpAddr);

/// What an attempt has counted in the database.
#[derive(Default)]
pub(crate) struct Attempt(Vec<Counted>);

impl Rates {
    pub(crate) fn new(settings: &Settings) -> Self {
        let memory = match &settings.redis_url {
            Some(_) => Memory::shared,
            None => Memory::alone,
        };
        Self {
            memories: TABLE.iter().map(memory).collect(),
            is_on: settings.rate_limits,
        }
    }

    fn memories(&self) -> &[Memory] {
        &self.memories
    }

    fn take(
        &self,
        what: What,
        payer: &Payer,
        times: u32,
        now: Duration,
    ) -> Result<Option<Allowance>> {
        let mut least: Option<Allowance> = None;
        if !self.is_on || times == 0 {
            return Ok(least);
        }
        for memory in self.memories.iter().filter(|m| m.rate.what == what) {
            let Some(key) = payer.key(memory.rate.per) else {
                continue;
            };
            let left = memory.take(key, times, now)?;
            if least.is_none_or(|least| left.remaining < least.remaining) {
                least = Some(left);
            }
        }
        Ok(least)
    }
}

/// Does what is done in the background for it: nothing, where limits are off.
pub(crate) fn start(domain: &Domain) -> Result<()> {
    if !domain.0.rates.is_on {
        return Ok(());
    }
    tokio::spawn(as_upkeep(rows::keep_clearing(domain.clone())));
    if let Some(url) = &domain.0.settings.redis_url {
        let client = sharing::client(url)?;
        tokio::spawn(sharing::keep_sharing(domain.clone(), client));
    }
    Ok(())
}

/// Counts one time.
///
/// # Errors
/// [`crate::Error::RateLimited`] when it is too often.
pub(crate) fn count(cx: &Cx, action: Action) -> Result<()> {
    let now = cx.handles().clock.uptime();
    let rates = &cx.handles().rates;
    rates.take(What::Action(action), &cx.payer(), 1, now)?;
    Ok(())
}

/// Counts one time, in the database; for an identifier too, where there is one. When the database
/// fails, so does this: nobody gets past.
///
/// # Errors
/// [`crate::Error::RateLimited`] when it is too often; nothing is counted then.
pub(crate) async fn count_guarded(
    cx: &Cx,
    guarded: Guarded,
    identifier: Option<&str>,
) -> Result<Attempt> {
    count_guarded_times(cx, guarded, identifier, 1).await
}

/// Counts so many times, as [`count_guarded`]: all of them or none.
///
/// # Errors
/// [`crate::Error::RateLimited`] when it is too often; nothing is counted then.
pub(crate) async fn count_guarded_times(
    cx: &Cx,
    guarded: Guarded,
    identifier: Option<&str>,
    times: u32,
) -> Result<Attempt> {
    if !cx.handles().rates.is_on || times == 0 {
        return Ok(Attempt::default());
    }
    let payer = cx.payer();
    let rates = TABLE
        .iter()
        .filter(|rate| rate.what == What::Guarded(guarded));
    let counted = rates.filter_map(|rate| {
        let whose = match rate.per {
            Per::Identifier => identifier.map(str::to_owned),
            per @ (Per::User | Per::Session | Per::Network | Per::Stranger) => {
                payer.key(per).map(|key| key.to_string())
            }
        };
        Some(Counted::new(rate, &whose?, times))
    });
    let attempt = Attempt(counted.collect());
    cx.write(move |tx| {
        Box::pin(async move {
            for counted in &attempt.0 {
                counted.take(tx).await?;
            }
            Ok(attempt)
        })
    })
    .await
}

impl Attempt {
    /// Gives it back by itself: what was attempted came to nothing.
    pub(crate) async fn undo(self, cx: &Cx) -> Result<()> {
        cx.write(move |tx| Box::pin(async move { self.give_back(tx).await }))
            .await
    }

    /// Gives it back. Rows are locked in the order in which they were counted.
    pub(crate) async fn give_back(self, tx: &Tx) -> Result<()> {
        for counted in &self.0 {
            counted.give_back(tx).await?;
        }
        Ok(())
    }
}

impl Domain {
    /// For whom a request is counted that came with this token: for its user, if we have signed
    /// it and it has not expired. Nothing is looked up for that.
    #[must_use]
    pub fn payer(&self, access_token: Option<&str>, client: &Client) -> Payer {
        if !self.0.rates.is_on {
            return Payer::default();
        }
        let now = self.0.clock.now();
        let token = access_token.and_then(|token| self.0.access_tokens.check(token, now).ok());
        // Anybody can make up a key: until it has been looked at, its holder is a stranger.
        let token = token.filter(|token| match token.holder {
            Holder::User(_) | Holder::Legacy(_) => true,
            Holder::Key(_) => self.is_known_key(token),
        });
        Payer {
            user: token.as_ref().and_then(|token| match token.holder {
                Holder::User(id) => Some(id),
                // It would have to be looked up; the session is counted.
                Holder::Legacy(_) | Holder::Key(_) => None,
            }),
            session: token.as_ref().map(|token| token.session_id),
            network: client.address.map(Network::of),
        }
    }

    /// Counts so many requests; answers what is left, where anything is limited.
    ///
    /// # Errors
    /// [`crate::Error::RateLimited`] when it is too often; none of them is counted then.
    pub fn count_requests(&self, payer: &Payer, requests: u32) -> Result<Option<Allowance>> {
        let what = What::Action(Action::Request);
        (self.0.rates).take(what, payer, requests, self.0.clock.uptime())
    }
}

impl Cx {
    /// For whom is counted what the actor does.
    #[must_use]
    pub fn payer(&self) -> Payer {
        let signed_in = self.signed_in().ok();
        Payer {
            user: signed_in.map(|signed_in| signed_in.user.id),
            session: signed_in.map(|signed_in| signed_in.session_id),
            network: self.client.address.map(Network::of),
        }
    }
}

impl Payer {
    fn key(&self, per: Per) -> Option<Key> {
        let network = || self.network.map(Key::Network);
        match per {
            Per::User => self.user.map(Key::User),
            Per::Session => self.session.map(Key::Session),
            Per::Network => network(),
            Per::Stranger if self.session.is_none() => network(),
            Per::Stranger | Per::Identifier => None,
        }
    }
}

impl Network {
    fn of(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            address @ IpAddr::V4(_) => address,
            IpAddr::V6(address) => {
                let subscriber = address.to_bits() >> SUBSCRIBERS_OWN << SUBSCRIBERS_OWN;
                Ipv6Addr::from_bits(subscriber).into()
            }
        })
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User(id) => write!(f, "{id}"),
            Self::Session(id) => write!(f, "{id}"),
            Self::Network(Network(address)) => write!(f, "{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(address: &str) -> Network {
        Network::of(address.parse().expect("an address"))
    }

    #[test]
    fn a_subscriber_of_a_network_is_one_whatever_address_they_take() {
        assert_eq!(
            network("2001:db8:1:2::1"),
            network("2001:db8:1:2:ffff:a:b:c")
        );
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("192.0.2.7"), network("::ffff:192.0.2.7"));
        assert_ne!(network("192.0.2.7"), network("192.0.2.8"));
    }
}
