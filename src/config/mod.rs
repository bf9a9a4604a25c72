//! Every setting of the server, read once at the start: flag, else environment, else TOML file,
//! else default.
//!
//! 1. `table` names each setting, its default and its help, once.
//! 2. `values` finds the text of a setting among the sources and collects all mistakes.
//! 3. `parse` turns a text into a value, with the help of `url`.
//! 4. [`Config::load`] here lists the settings with their types, and the rules between them.
//! 5. `secret` makes what is kept on disk; [`Config::prepare`] is the only step that writes.

mod parse;
mod secret;
mod table;
mod url;
mod values;

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use backchannel_domain::phones::Region;
use ipnet::IpNet;
use lettre::message::Mailbox;

pub(crate) use table::flag_help;
pub use table::{DefaultText, SETTINGS, Setting, Shown, settings_markdown};

pub use secret::{PrepareError, Secret};
pub use values::{ConfigErrors, Overrides};

use secret::MIN_SECRET_BYTES;
use values::Values;

/// Which defaults hold, and whether unsafe settings are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Runs from an empty directory, with every convenience.
    Development,
    /// Refuses what is unsafe, and tells outsiders less.
    Production,
}

/// The shape of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// One line per fact, for people.
    Text,
    /// One JSON object per line, for machines.
    Json,
}

/// Where the rows are.
#[derive(Debug, Clone)]
pub enum Database {
    /// One file, which may not exist yet; its directory does, if it is the data directory.
    Sqlite(PathBuf),
    /// A `postgres://` or `postgresql://` URL, secret because of its password.
    Postgres(Secret),
}

/// The whole configuration, valid as it stands. Relative paths start at the working directory.
#[derive(Debug, Clone)]
pub struct Config {
    /// `BACKCHANNEL_ENV`.
    pub mode: Mode,
    /// TCP port to listen on; 0 takes any free one.
    pub port: u16,
    /// Address to listen on; none means all interfaces.
    pub host: Option<IpAddr>,
    /// TCP connections open at once.
    pub max_connections: usize,
    /// WebSockets of one user open at once.
    pub max_sockets_per_user: usize,
    /// Directory of everything kept in files; [`Config::prepare`] creates it.
    pub data_dir: PathBuf,
    /// Where the rows are.
    pub database: Database,
    /// Database connections open at once.
    pub database_pool: u32,
    /// `redis://` URL; none means that events stay in this process.
    pub redis_url: Option<Secret>,
    /// Secret that signs access tokens, if somebody gave one; [`Config::prepare`] finds the other.
    pub jwt_secret: Option<Secret>,
    /// Secret that signed the access tokens of the servers that came before; none means that those
    /// are refused.
    pub legacy_jwt_secret: Option<Secret>,
    /// Lifetime of an access token.
    pub jwt_access_expires_in: Duration,
    /// Lifetime of a refresh token.
    pub jwt_refresh_expires_in: Duration,
    /// How long a used refresh token still answers, for a client that lost the reply.
    pub refresh_grace: Duration,
    /// Sessions of one user at once.
    pub max_sessions_per_user: u64,
    /// Web origins whose pages may call the API, as browsers spell them: lower case, without
    /// default port or path. The server's own origin is not among them.
    pub allowed_origins: Vec<String>,
    /// `http(s)` URL under which clients reach this server, without a slash at its end.
    pub public_url: Option<String>,
    /// The country of phone numbers that are given without one.
    pub default_region: Option<Region>,
    /// Where codes are posted to.
    pub otp_webhook_url: Option<Secret>,
    /// Mail server, by a URL that lettre reads; there is a sender then.
    pub smtp_url: Option<Secret>,
    /// Sender of mail.
    pub mail_from: Option<Mailbox>,
    /// STUN and TURN servers for calls, as WebRTC spells their URLs.
    pub turn_urls: Vec<String>,
    /// Secret shared with the TURN servers; there is one if one of them is named.
    pub turn_secret: Option<Secret>,
    /// Whether callers are limited in how often they may ask.
    pub rate_limits: bool,
    /// Reverse proxies that are believed where a request came from.
    pub trusted_proxies: Vec<IpNet>,
    /// Whether browsers are served the GraphiQL page.
    pub playground: bool,
    /// Whether GraphQL clients may ask for the schema.
    pub introspection: bool,
    /// List of documents that clients may ask for by their ids.
    pub trusted_operations: Option<PathBuf>,
    /// Whether documents that are not on that list are refused; there is one then.
    pub only_trusted_operations: bool,
    /// The shape of the log.
    pub log_format: LogFormat,
    /// Directives of `tracing_subscriber::filter::Targets`, known to be valid.
    pub log_level: String,
}

impl Config {
    /// Reads every source and names every mistake. Of the disk it touches only the file that
    /// `CONFIG` names.
    ///
    /// # Errors
    /// All mistakes at once, one line each, none showing a secret.
    pub fn load(
        flags: &Overrides,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, ConfigErrors> {
        read(flags, &env).map(|(config, _)| config)
    }

    /// The same reading, told to an operator: `NAME = value  (from: source)` for each setting,
    /// one a line, secrets only as `set` or `not set`.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn explain(
        flags: &Overrides,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<String, ConfigErrors> {
        read(flags, &env).map(|(_, lines)| lines)
    }

    /// Creates [`Config::data_dir`], where SQLite keeps its file by default.
    ///
    /// # Errors
    /// What the operating system said, with the path.
    pub fn create_data_dir(&self) -> Result<(), PrepareError> {
        secret::create_data_dir(&self.data_dir)
    }

    /// Makes the disk ready to serve and returns the secret that signs access tokens: the one
    /// configured, else, in development only, the one kept in the data directory.
    ///
    /// # Errors
    /// What could not be made or read, with path and cause.
    pub fn prepare(&self) -> Result<Secret, PrepareError> {
        self.create_data_dir()?;
        let secret = match (&self.jwt_secret, self.mode) {
            (Some(secret), _) => secret.clone(),
            (None, Mode::Development) => secret::kept_secret(&self.data_dir)?,
            (None, Mode::Production) => return Err(PrepareError::SecretMissing),
        };
        if is_same(&secret, self.legacy_jwt_secret.as_ref()) {
            return Err(PrepareError::SecretsAlike);
        }
        Ok(secret)
    }
}

/// The environment of this process, for [`Config::load`] and [`Config::explain`].
#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the environment"
)]
#[must_use]
pub fn process_env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}

/// Whether our secret is also that of the older servers: tokens of the one kind would then pass
/// for tokens of the other.
fn is_same(secret: &Secret, legacy: Option<&Secret>) -> bool {
    legacy.is_some_and(|legacy| legacy.expose() == secret.expose())
}

const HOUR: Duration = Duration::from_secs(3_600);
const YEAR: Duration = Duration::from_secs(365 * 24 * 3_600);

fn read(
    flags: &Overrides,
    env: &dyn Fn(&str) -> Option<OsString>,
) -> Result<(Config, String), ConfigErrors> {
    let mut values = Values::open(flags, env);
    // First of all, for the defaults of others depend on it.
    values.mode = values.required(&table::BACKCHANNEL_ENV, parse::mode);
    let config = Config {
        mode: values.mode,
        port: values.required(&table::PORT, parse::number(0..=u16::MAX)),
        host: values.optional(&table::HOST, parse::host),
        max_connections: values.required(&table::MAX_CONNECTIONS, parse::number(1..=1_000_000)),
        max_sockets_per_user: values
            .required(&table::MAX_SOCKETS_PER_USER, parse::number(1..=1_000_000)),
        // Before the database, whose default lies in it.
        data_dir: values.required(&table::DATA_DIR, parse::path),
        database: values.required(&table::DATABASE_URL, url::database),
        database_pool: values.required(&table::DATABASE_POOL, parse::number(1..=500)),
        redis_url: values.optional(&table::REDIS_URL, url::redis_url),
        jwt_secret: values.optional(&table::JWT_SECRET, parse::secret),
        legacy_jwt_secret: values.optional(&table::LEGACY_JWT_SECRET, parse::secret),
        jwt_access_expires_in: values
            .required(&table::JWT_ACCESS_EXPIRES_IN, parse::duration(YEAR)),
        jwt_refresh_expires_in: values
            .required(&table::JWT_REFRESH_EXPIRES_IN, parse::duration(YEAR)),
        refresh_grace: values.required(&table::REFRESH_GRACE, parse::duration(HOUR)),
        max_sessions_per_user: values
            .required(&table::MAX_SESSIONS_PER_USER, parse::number(1..=1_000)),
        allowed_origins: values.list(&table::ALLOWED_ORIGINS, url::origin),
        public_url: values.optional(&table::PUBLIC_URL, url::public_url),
        default_region: values.optional(&table::DEFAULT_REGION, parse::region),
        otp_webhook_url: values.optional(&table::OTP_WEBHOOK_URL, url::webhook),
        smtp_url: values.optional(&table::SMTP_URL, url::smtp),
        mail_from: values.optional(&table::MAIL_FROM, parse::mailbox),
        turn_urls: values.list(&table::TURN_URLS, url::ice_server),
        turn_secret: values.optional(&table::TURN_SECRET, parse::secret),
        rate_limits: values.required(&table::RATE_LIMITS, parse::switch),
        trusted_proxies: values.list(&table::TRUSTED_PROXIES, parse::network),
        playground: values.required(&table::PLAYGROUND, parse::switch),
        introspection: values.required(&table::INTROSPECTION, parse::switch),
        trusted_operations: values.optional(&table::TRUSTED_OPERATIONS, parse::path),
        only_trusted_operations: values.required(&table::ONLY_TRUSTED_OPERATIONS, parse::switch),
        log_format: values.required(&table::LOG_FORMAT, parse::log_format),
        log_level: values.required(&table::LOG_LEVEL, parse::log_level),
    };
    let legacy = config.legacy_jwt_secret.as_ref();
    if (config.jwt_secret.as_ref()).is_some_and(|secret| is_same(secret, legacy)) {
        values.refuse(&table::LEGACY_JWT_SECRET, "the same as JWT_SECRET");
    }
    let names_turn = config.turn_urls.iter().any(|url| url.starts_with("turn"));
    if names_turn && config.turn_secret.is_none() && !values.may_be_set(&table::TURN_SECRET) {
        values.refuse(
            &table::TURN_SECRET,
            "not set, and TURN_URLS names a TURN server",
        );
    }
    let names_sender = values.may_be_set(&table::MAIL_FROM);
    if config.smtp_url.is_some() && config.mail_from.is_none() && !names_sender {
        values.refuse(
            &table::MAIL_FROM,
            "not set, and SMTP_URL names a mail server",
        );
    }
    let names_list = values.may_be_set(&table::TRUSTED_OPERATIONS);
    if config.only_trusted_operations && config.trusted_operations.is_none() && !names_list {
        values.refuse(
            &table::ONLY_TRUSTED_OPERATIONS,
            "\"on\", and TRUSTED_OPERATIONS names no list",
        );
    }
    match config.mode {
        Mode::Development => {}
        Mode::Production => refuse_in_production(&config, &mut values),
    }
    let lines = values.finish()?;
    Ok((config, lines))
}

fn refuse_in_production(config: &Config, values: &mut Values<'_>) {
    match &config.jwt_secret {
        Some(secret) if secret.expose().len() < MIN_SECRET_BYTES => {
            values.refuse(&table::JWT_SECRET, "the value is too short for production");
        }
        Some(_) => {}
        None if values.may_be_set(&table::JWT_SECRET) => {}
        None => values.refuse(&table::JWT_SECRET, "not set, and production makes none up"),
    }
    if !config.rate_limits {
        values.refuse(&table::RATE_LIMITS, "\"off\" is refused in production");
    }
}

#[cfg(test)]
mod tests;
