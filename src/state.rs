//! What every handler is given.

use std::sync::Arc;

use backchannel_domain::Domain;
use backchannel_domain::admission::Admission;
use backchannel_schema::{Api, Introspection, Trusted};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Config, Database};
use crate::graphql::Seats;
use crate::origin::Origins;
use crate::proxies::Proxies;

/// The node as handlers see it. Cheap to clone.
#[derive(Clone)]
pub(crate) struct State(Arc<Shared>);

struct Shared {
    api: Api,
    domain: Domain,
    origins: Origins,
    proxies: Proxies,
    playground: bool,
    rate_limits: bool,
    admission: Admission,
    seats: Arc<Seats>,
    draining: CancellationToken,
    streams: TaskTracker,
}

impl State {
    pub(crate) fn new(config: &Config, domain: Domain, trusted: Trusted) -> Self {
        let introspection = if config.introspection {
            Introspection::Allowed
        } else {
            Introspection::Refused
        };
        let admission = Admission::new(width(config));
        let seats = if config.rate_limits {
            config.max_sockets_per_user
        } else {
            usize::MAX
        };
        Self(Arc::new(Shared {
            api: Api::new(introspection, admission.clone(), trusted),
            domain,
            origins: Origins::new(config),
            proxies: Proxies::new(config),
            playground: config.playground,
            rate_limits: config.rate_limits,
            admission,
            seats: Arc::new(Seats::new(seats)),
            draining: CancellationToken::new(),
            streams: TaskTracker::new(),
        }))
    }

    pub(crate) fn api(&self) -> &Api {
        &self.0.api
    }

    pub(crate) fn domain(&self) -> &Domain {
        &self.0.domain
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.0.origins
    }

    pub(crate) fn proxies(&self) -> &Proxies {
        &self.0.proxies
    }

    pub(crate) fn playground(&self) -> bool {
        self.0.playground
    }

    /// Whether callers are limited in how often they may ask.
    pub(crate) fn rate_limits(&self) -> bool {
        self.0.rate_limits
    }

    /// Where clients that come back wait for their turn.
    pub(crate) fn admission(&self) -> &Admission {
        &self.0.admission
    }

    /// The open WebSockets of each user.
    pub(crate) fn seats(&self) -> &Arc<Seats> {
        &self.0.seats
    }

    /// The open WebSockets, which outlive the connections they came in by, and streams of
    /// server-sent events.
    pub(crate) fn streams(&self) -> &TaskTracker {
        &self.0.streams
    }

    /// Cancelled when the node is about to stop.
    pub(crate) fn draining(&self) -> CancellationToken {
        self.0.draining.clone()
    }
}

/// How many clients that come back may be at the database at once: half of its connections
/// for reading, so that the other half is everybody else's.
fn width(config: &Config) -> usize {
    match config.database {
        Database::Sqlite(_) => 2,
        Database::Postgres(_) => config.database_pool.div_ceil(2) as usize,
    }
}
