//! [`Domain`]: the handles a node has. [`Cx`]: these and who acts. [`Tx`]: a change in
//! the making.

mod tx;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sea_orm::{QueryResult, Statement};
use tracing::Instrument as _;

use crate::audit::By;
use crate::bots::{Scope, Scopes};
use crate::bus::{Bus, News};
use crate::calls;
use crate::client::Client;
use crate::clock::Clock;
use crate::codes;
use crate::conversations;
use crate::couriers::{Courier, Couriers};
use crate::db::{Connections, DatabaseUrl, Db, Plan, RanFor, StatementLog, as_upkeep};
use crate::directory;
use crate::error::Unauthenticated;
use crate::event::Event;
use crate::invitations;
use crate::join_requests;
use crate::messages::SendQueue;
use crate::passwords::Passwords;
use crate::phones::Region;
use crate::polls::Vote;
use crate::presence::{self, Devices};
use crate::proofs::Proofs;
use crate::rates::{self, Rates};
use crate::reactions::Reaction;
use crate::reports;
use crate::requests;
use crate::retention;
use crate::scheduled;
use crate::sessions::{self, SignedIn, Uses};
use crate::tallies::TallyQueue;
use crate::tokens::AccessTokens;
use crate::users::User;
use crate::{Error, Result};

pub(crate) use self::tx::Tx;

/// What the domain must be told; the server's configuration fills it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where the rows are.
    pub database: DatabaseUrl,
    /// Most Postgres connections.
    pub database_pool: u32,
    /// `redis://` URL of the bus between nodes; none for a single node.
    pub redis_url: Option<String>,
    /// Signs access tokens.
    pub jwt_secret: Vec<u8>,
    /// How long an access token is good.
    pub access_token_lifetime: Duration,
    /// How long a refresh token is good.
    pub refresh_token_lifetime: Duration,
    /// How long a spent refresh token is honoured again.
    pub refresh_grace: Duration,
    /// The country of phone numbers that are given without one.
    pub default_region: Option<Region>,
    /// Most sessions of a user.
    pub sessions_per_user: u64,
    /// Signed the access tokens of the servers that came before; none where those are refused.
    pub legacy_jwt_secret: Option<Vec<u8>>,
    /// Servers that help the devices of a call to reach each other.
    pub turn: calls::Turn,
    /// Whether callers are limited in how often they may ask.
    pub rate_limits: bool,
    /// Those who take codes to people, the one to be preferred first.
    pub couriers: Vec<Arc<dyn Courier>>,
}

#[cfg(test)]
impl Settings {
    /// Those of a node alone on a file of SQLite.
    pub(crate) fn alone_on(file: std::path::PathBuf) -> Self {
        Self {
            database: DatabaseUrl::Sqlite(file),
            database_pool: 1,
            redis_url: None,
            jwt_secret: vec![7; 32],
            access_token_lifetime: Duration::from_secs(900),
            refresh_token_lifetime: Duration::from_secs(900),
            refresh_grace: Duration::from_secs(30),
            default_region: None,
            sessions_per_user: 50,
            legacy_jwt_secret: None,
            turn: calls::Turn::default(),
            rate_limits: false,
            couriers: Vec::new(),
        }
    }
}

/// A node's handles. Cheap to clone.
#[derive(Clone)]
pub struct Domain(pub(crate) Arc<Handles>);

pub(crate) struct Handles {
    pub(crate) db: Db,
    pub(crate) bus: Bus,
    pub(crate) proofs: Proofs,
    pub(crate) clock: Clock,
    pub(crate) devices: Arc<Devices>,
    pub(crate) passwords: Passwords,
    pub(crate) access_tokens: AccessTokens,
    pub(crate) uses: Uses,
    pub(crate) sends: SendQueue,
    pub(crate) reactions: TallyQueue<Reaction>,
    pub(crate) votes: TallyQueue<Vote>,
    pub(crate) rates: Rates,
    pub(crate) couriers: Couriers,
    pub(crate) settings: Settings,
}

impl Handles {
    /// Runs a statement that is a transaction by itself, then publishes the events that `made`
    /// reads from its rows; answers with what else `made` reads.
    pub(crate) async fn write_in_one<T>(
        &self,
        statement: Statement,
        made: impl FnOnce(&[QueryResult]) -> Result<(T, Vec<Event>)>,
    ) -> Result<T> {
        let rows = self.db.run_alone(statement).await?;
        let (read, events) = made(&rows)?;
        self.bus.publish(News {
            events: events.into_iter().map(Arc::new).collect(),
            ..News::default()
        });
        Ok(read)
    }
}

impl Domain {
    /// Connects to the database, brings it up to date and joins the bus. A Redis that is
    /// away does not keep a node from starting.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn start(settings: Settings, clock: Clock) -> Result<Self> {
        let db = migrated(&settings).await?;
        let bus = Bus::start(db.clone(), clock.clone(), settings.redis_url.as_deref()).await?;
        let domain = Self(Arc::new(Handles {
            bus,
            proofs: Proofs::start(&db.reader),
            devices: Devices::new(clock.clone()),
            passwords: Passwords::new()?,
            access_tokens: AccessTokens::new(&settings),
            uses: Uses::default(),
            sends: SendQueue::new(db.stamps, settings.database_pool),
            reactions: TallyQueue::default(),
            votes: TallyQueue::default(),
            rates: Rates::new(&settings),
            couriers: Couriers::start(settings.couriers.clone()),
            db,
            clock,
            settings,
        }));
        tokio::spawn(as_upkeep(presence::keep_leases(domain.clone())));
        tokio::spawn(as_upkeep(presence::keep_beating(domain.clone())));
        tokio::spawn(as_upkeep(sessions::keep_uses(domain.clone())));
        tokio::spawn(as_upkeep(sessions::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(codes::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(directory::keep_listing(domain.clone())));
        tokio::spawn(as_upkeep(requests::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(reports::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(scheduled::keep_sending(domain.clone())));
        tokio::spawn(as_upkeep(scheduled::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(retention::keep_deleting(domain.clone())));
        tokio::spawn(as_upkeep(invitations::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(join_requests::keep_clearing(domain.clone())));
        tokio::spawn(as_upkeep(conversations::keep_erasing(domain.clone())));
        let nobody = domain.anonymous(Unauthenticated::NoToken);
        tokio::spawn(as_upkeep(calls::run(nobody)));
        rates::start(&domain)?;
        Ok(domain)
    }

    /// Brings the database up to date and nothing else.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn migrate(settings: &Settings) -> Result<()> {
        migrated(settings).await?.close().await;
        Ok(())
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn check_database(&self) -> Result<()> {
        Ok(self.0.db.reader.ping().await?)
    }

    /// Whether the bus reaches other nodes; none where there is only this one.
    #[must_use]
    pub fn bus_connected(&self) -> Option<bool> {
        self.0.bus.redis_connected()
    }

    /// What is known of the statements run so far.
    #[must_use]
    pub fn statements(&self) -> &StatementLog {
        &self.0.db.statements
    }

    /// The plan of every statement recorded since [`StatementLog::record`].
    ///
    /// # Errors
    /// When the database fails.
    pub async fn explain_recorded(&self) -> Result<Vec<Plan>> {
        self.0.db.explain().await
    }

    /// The clock everything here goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// How many conversations have open streams on this node.
    #[must_use]
    pub fn open_feeds(&self) -> usize {
        self.0.bus.open_feeds()
    }

    /// How many streams of receipts and typing are open on this node.
    #[must_use]
    pub fn open_signal_streams(&self) -> usize {
        self.0.bus.open_signal_streams()
    }

    /// How many sends wait on this node for a commit to take them along.
    #[must_use]
    pub fn waiting_sends(&self) -> usize {
        self.0.sends.waiting()
    }

    /// To be called before sockets are closed because the node stops: their devices are not
    /// gone, they come back elsewhere.
    pub fn drain(&self) {
        self.0.devices.stop();
    }

    /// Ends every stream and closes the connections.
    pub async fn stop(&self) {
        self.drain();
        self.0.bus.stop();
        self.0.db.close().await;
    }

    /// A context in which nobody acts.
    #[must_use]
    pub fn anonymous(&self, because: Unauthenticated) -> Cx {
        Cx {
            domain: self.clone(),
            actor: Actor::Anonymous(because),
            client: Arc::default(),
        }
    }
}

async fn migrated(settings: &Settings) -> Result<Db> {
    Db::open(&settings.database, settings.database_pool)
        .await
        .map_err(|error| crate::db::unavailable(&settings.database, error))
}

const NOT_FOR_KEYS: Error = Error::Forbidden("this API key may not do this");

/// Who acts.
#[derive(Clone, Debug)]
pub(crate) enum Actor {
    Anonymous(Unauthenticated),
    User(Arc<SignedIn>),
}

/// What every use case is called with: who acts, by which program, on which node. Cheap to clone.
#[derive(Clone)]
pub struct Cx {
    pub(crate) domain: Domain,
    pub(crate) actor: Actor,
    pub(crate) client: Arc<Client>,
}

impl Cx {
    /// The signed-in user who acts.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody is signed in.
    pub fn signed_in(&self) -> Result<&Arc<SignedIn>> {
        match &self.actor {
            Actor::User(signed_in) => Ok(signed_in),
            Actor::Anonymous(because) => Err(Error::Unauthenticated(*because)),
        }
    }

    /// The same node, with somebody who acts there.
    pub(crate) fn acting_as(&self, signed_in: SignedIn) -> Self {
        Self {
            domain: self.domain.clone(),
            actor: Actor::User(Arc::new(signed_in)),
            client: Arc::clone(&self.client),
        }
    }

    /// The actor's user as they are now, acting by the same session.
    ///
    /// # Errors
    /// [`Error::Unauthenticated`] when nobody is signed in.
    pub fn acting_now_as(&self, user: Arc<User>) -> Result<Self> {
        let signed_in = self.signed_in()?;
        Ok(self.acting_as(SignedIn {
            user,
            ..**signed_in
        }))
    }

    /// The node this runs on.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    pub(crate) fn handles(&self) -> &Handles {
        &self.domain.0
    }

    /// The way to read. No statement of a read needs the snapshot of another: what must
    /// agree is read in one statement.
    pub(crate) fn read(&self) -> &Connections {
        &self.handles().db.reader
    }

    /// Whether the actor may do what `scope` is for: people may, and keys that have it.
    ///
    /// # Errors
    /// [`Error::Forbidden`] to other keys.
    pub(crate) fn may(&self, scope: Scope) -> Result<()> {
        match self.scopes() {
            Some(scopes) if !scopes.has(scope) => Err(NOT_FOR_KEYS),
            Some(_) | None => Ok(()),
        }
    }

    fn scopes(&self) -> Option<Scopes> {
        self.signed_in().ok().and_then(|signed_in| signed_in.scopes)
    }

    /// [`Cx::write`], for what keys with this scope may do too.
    pub(crate) async fn write_in<T, F>(&self, scope: Scope, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        self.may(scope)?;
        self.transact(work).await
    }

    /// Runs `work` in a transaction, commits, then publishes what it recorded. Keys may not:
    /// see [`Cx::write_in`].
    ///
    /// It runs in a task of its own: a client that hangs up drops the caller's future, and
    /// must not thereby drop a commit half-way or the events after it.
    pub(crate) async fn write<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        if self.scopes().is_some() {
            return Err(NOT_FOR_KEYS);
        }
        self.transact(work).await
    }

    async fn transact<T, F>(&self, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<T>> + Send + 'static,
    {
        let (domain, by) = (self.domain.clone(), By::of(self));
        let transaction = async move {
            let mut tx = Tx::begin(&domain.0).await?.by(by);
            match work(&mut tx).await {
                Ok(value) => {
                    tx.commit(&domain.0).await?;
                    Ok(value)
                }
                Err(error) => {
                    tx.roll_back().await;
                    Err(error)
                }
            }
        };
        let task = match RanFor::now() {
            RanFor::Clients => tokio::spawn(transaction.in_current_span()),
            RanFor::Upkeep => tokio::spawn(as_upkeep(transaction.in_current_span())),
        };
        task.await.map_err(Error::internal)?
    }
}
