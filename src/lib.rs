//! The server: every door, the configuration, and the wiring of one node.
//!
//! 1. [`cli`] and [`config`] say what to do and with which settings.
//! 2. [`Application::build`] starts the domain and binds the port.
//! 3. [`http`] is the whole router on one screen; [`graphql`] the doors of the GraphQL API.
//!    [`account`] are the pages that mail leads to, [`couriers`] the ways to send it.
//! 4. [`Application::run_until`] accepts connections until told to stop, then drains.
//!
//! No rule and no SQL is here: doors decode, call, and encode.

mod account;
mod auth;
pub mod cli;
mod client;
pub mod config;
mod couriers;
mod demo;
mod graphql;
mod health;
mod http;
pub mod operators;
mod origin;
mod playground;
mod proxies;
pub mod server;
pub mod shutdown;
mod state;
pub mod telemetry;
mod trusted;

use std::net::SocketAddr;
use std::path::PathBuf;

use backchannel_domain::calls::Turn;
use backchannel_domain::clock::Clock;
use backchannel_domain::db::DatabaseUrl;
use backchannel_domain::{Domain, Settings};
use config::{Config, Database, PrepareError, Secret};
use server::Listener;
use state::State;

pub use backchannel_schema::Api;
pub use demo::fill as fill_with_demo;

/// Why a node could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A directory or file.
    #[error(transparent)]
    Files(#[from] PrepareError),
    /// The list of trusted operations.
    #[error("cannot use TRUSTED_OPERATIONS, {}: {because}", path.display())]
    Trusted {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        because: String,
    },
    /// The database.
    #[error(transparent)]
    Domain(#[from] backchannel_domain::Error),
    /// The port.
    #[error("cannot listen on port {port}: {cause}")]
    Listen {
        /// The port asked for.
        port: u16,
        /// What the operating system said.
        cause: std::io::Error,
    },
}

/// One node: its domain is up and its port is bound.
pub struct Application {
    state: State,
    listener: Listener,
}

impl Application {
    /// Prepares the data directory, connects, migrates and binds the port.
    ///
    /// # Errors
    /// What could not be made ready.
    pub async fn build(config: Config) -> Result<Self, StartError> {
        Self::build_at(config, Clock::default()).await
    }

    /// [`Application::build`], by a clock that tests may move.
    ///
    /// # Errors
    /// What could not be made ready.
    pub async fn build_at(config: Config, clock: Clock) -> Result<Self, StartError> {
        let secret = config.prepare()?;
        let trusted = trusted::read(&config)?;
        let domain = Domain::start(settings(&config, &secret), clock).await?;
        let listener =
            Listener::bind(config.host, config.port, config.max_connections).map_err(|cause| {
                StartError::Listen {
                    port: config.port,
                    cause,
                }
            })?;
        Ok(Self {
            state: State::new(&config, domain, trusted),
            listener,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.listener.address()
    }

    /// The node's domain.
    #[must_use]
    pub fn domain(&self) -> &Domain {
        self.state.domain()
    }

    /// Serves until `stop` completes, then drains: no new connections, sockets told to
    /// come back later, requests finished, at most [`shutdown::DRAIN`].
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        let Self { state, listener } = self;
        let domain = state.domain().clone();
        let router = http::router(state.clone());
        let leaving = domain.clone();
        let stop = async move {
            stop.await;
            leaving.drain();
        };
        listener
            .serve(router, stop, state.draining(), state.streams())
            .await;
        domain.stop().await;
    }
}

/// Brings the configured database up to date.
///
/// # Errors
/// When the data directory or the database cannot be used.
pub async fn migrate(config: &Config) -> Result<(), StartError> {
    config.create_data_dir()?;
    let no_secret = Secret::new(String::new());
    Ok(Domain::migrate(&settings(config, &no_secret)).await?)
}

fn settings(config: &Config, jwt_secret: &Secret) -> Settings {
    Settings {
        database: match &config.database {
            Database::Sqlite(path) => DatabaseUrl::Sqlite(path.clone()),
            Database::Postgres(url) => DatabaseUrl::Postgres(url.expose().to_owned()),
        },
        database_pool: config.database_pool,
        redis_url: config.redis_url.as_ref().map(|url| url.expose().to_owned()),
        jwt_secret: jwt_secret.expose().as_bytes().to_vec(),
        access_token_lifetime: config.jwt_access_expires_in,
        refresh_token_lifetime: config.jwt_refresh_expires_in,
        refresh_grace: config.refresh_grace,
        default_region: config.default_region,
        sessions_per_user: config.max_sessions_per_user,
        legacy_jwt_secret: (config.legacy_jwt_secret.as_ref())
            .map(|secret| secret.expose().as_bytes().to_vec()),
        rate_limits: config.rate_limits,
        couriers: couriers::configured(config),
        turn: Turn {
            urls: config.turn_urls.clone(),
            secret: config
                .turn_secret
                .as_ref()
                .map(|secret| secret.expose().as_bytes().to_vec()),
        },
    }
}
