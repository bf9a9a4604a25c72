//! The one place that names the settings: flags, file keys, `check-config` and the README's
//! table all come from [`SETTINGS`], so a name, a default or a bound has one text.

use super::Mode;

/// One thing an operator can set.
#[derive(Debug)]
pub struct Setting {
    /// Its name in the environment; the flag and the file key are derived from it.
    pub name: &'static str,
    /// What holds when nobody sets it.
    pub default: DefaultText,
    /// How much of a value may be shown.
    pub shown: Shown,
    /// What a value looks like, to follow the word "expected".
    pub expects: &'static str,
    /// What it does, as one sentence.
    pub help: &'static str,
}

impl Setting {
    /// The flag without its dashes: `JWT_SECRET` is `jwt-secret`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.name.to_ascii_lowercase().replace('_', "-")
    }

    /// The key in the TOML file: `JWT_SECRET` is `jwt_secret`.
    #[must_use]
    pub fn key(&self) -> String {
        self.name.to_ascii_lowercase()
    }

    /// Whether the file may set it: all but the name of the file itself.
    pub(super) fn in_file(&self) -> bool {
        self.name != CONFIG.name
    }
}

/// A default, as an operator would write it.
#[derive(Debug, Clone, Copy)]
pub enum DefaultText {
    /// The same everywhere. `{DATA_DIR}` stands for that setting's value.
    Always(&'static str),
    /// Convenient in development, careful in production.
    ByMode {
        /// While `BACKCHANNEL_ENV` is `development`.
        development: &'static str,
        /// While `BACKCHANNEL_ENV` is `production`.
        production: &'static str,
    },
    /// No value, and what that means.
    Unset(&'static str),
}

impl DefaultText {
    /// The text that holds in `mode`, if there is one.
    pub(super) fn in_mode(self, mode: Mode) -> Option<&'static str> {
        match (self, mode) {
            (Self::Always(text), _)
            | (
                Self::ByMode {
                    development: text, ..
                },
                Mode::Development,
            )
            | (
                Self::ByMode {
                    production: text, ..
                },
                Mode::Production,
            ) => Some(text),
            (Self::Unset(_), _) => None,
        }
    }

    fn markdown(self) -> String {
        match self {
            Self::Always(text) => format!("`{text}`"),
            Self::ByMode {
                development,
                production,
            } => {
                format!("`{development}` in development, `{production}` in production")
            }
            Self::Unset(meaning) => format!("not set: {meaning}"),
        }
    }

    fn help(self) -> String {
        self.markdown().replace('`', "")
    }
}

/// How much of a value may be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// All of it.
    Plain,
    /// A URL that may hold a password: shown without user, password and query.
    Url,
    /// Only whether it is set.
    Secret,
}

macro_rules! settings {
    ($($name:ident: $shown:ident, $default:expr, $expects:literal, $help:literal;)*) => {
        $(
            #[doc = $help]
            pub(super) static $name: Setting = Setting {
                name: stringify!($name),
                default: $default,
                shown: Shown::$shown,
                expects: $expects,
                help: $help,
            };
        )*

        /// Every setting, in the order operators read them.
        pub static SETTINGS: &[&Setting] = &[$(&$name),*];
    };
}

use DefaultText::{Always, ByMode, Unset};

settings! {
    CONFIG: Plain, Unset("no file"),
        "the path of a TOML file that can be read",
        "TOML file with settings under their names in lower case; only a flag or the environment can name it.";
    BACKCHANNEL_ENV: Plain, Always("development"),
        "development or production",
        "Which defaults hold, and whether unsafe settings are refused.";
    PORT: Plain, Always("4000"),
        "a port number from 0 to 65535",
        "TCP port to listen on; 0 takes any free one.";
    HOST: Plain, Unset("all interfaces"),
        "an IP address such as 127.0.0.1 or ::1",
        "IP address to listen on.";
    MAX_CONNECTIONS: Plain, Always("20000"),
        "a number from 1 to 1000000",
        "TCP connections open at once.";
    MAX_SOCKETS_PER_USER: Plain, Always("100"),
        "a number from 1 to 1000000",
        "WebSockets of one user open at once on this node; one more is told to come back later.";
    DATA_DIR: Plain, Always("./data"),
        "the path of a directory",
        "Directory of everything Backchannel keeps in files; created if missing.";
    DATABASE_URL: Url, Always("sqlite://{DATA_DIR}/backchannel.db"),
        "postgres://user:password@host/database, postgresql://… or sqlite://path/of/file.db",
        "Database: Postgres, or a SQLite file.";
    DATABASE_POOL: Plain, Always("10"),
        "a number from 1 to 500",
        "Postgres connections open at once; SQLite has one writer and four readers.";
    REDIS_URL: Url, Unset("events stay in this process"),
        "redis://[user:password@]host[:port][/number]",
        "Redis that carries events between several servers.";
    JWT_SECRET: Secret, Unset("in development a random one, kept in DATA_DIR/jwt_secret; production refuses to start"),
        "at least 32 bytes",
        "Secret that signs access tokens; prefer the environment or the file, a flag is visible to other users.";
    LEGACY_JWT_SECRET: Secret, Unset("access tokens of older servers are refused"),
        "the secret of the older servers, not the same as JWT_SECRET",
        "Secret that signed the access tokens of the servers that came before, which are then accepted until they expire.";
    JWT_ACCESS_EXPIRES_IN: Plain, Always("15m"),
        "a duration such as 500ms, 30s, 15m, 12h or 7d, at most 365d",
        "Lifetime of an access token.";
    JWT_REFRESH_EXPIRES_IN: Plain, Always("7d"),
        "a duration such as 500ms, 30s, 15m, 12h or 7d, at most 365d",
        "Lifetime of a refresh token.";
    REFRESH_GRACE: Plain, Always("30s"),
        "a duration such as 500ms, 30s or 15m, at most 1h",
        "How long a used refresh token still answers, for a client that lost the reply.";
    MAX_SESSIONS_PER_USER: Plain, Always("50"),
        "a number from 1 to 1000",
        "Sessions of one user at once; one more ends the one that was used longest ago.";
    ALLOWED_ORIGINS: Plain, Unset("only the server's own origin"),
        "origins separated by commas, such as https://chat.example.org,http://localhost:5173",
        "Web origins whose pages may call the API.";
    PUBLIC_URL: Url, Unset("taken from each request"),
        "an http:// or https:// URL without user, query or fragment",
        "Address under which clients reach this server; its origin may open sockets.";
    DEFAULT_REGION: Plain, Unset("phone numbers need their country code"),
        "a country code of ISO 3166 such as DE or US",
        "Country of phone numbers that are given without one.";
    OTP_WEBHOOK_URL: Url, Unset("codes are logged in development; without SMTP_URL either there are none in production"),
        "an http:// or https:// URL",
        "Where one-time codes are posted to as JSON, to be sent to phones, and to mailboxes where SMTP_URL is not set.";
    SMTP_URL: Url, Unset("mail goes the way of text messages"),
        "smtps://user:password@host:port or smtp://user:password@host:port?tls=required",
        "Mail server that takes codes and links to mailboxes.";
    MAIL_FROM: Plain, Unset("no mail is sent"),
        "an e-mail address such as Backchannel <no-reply@chat.example.org>",
        "Sender of that mail; needed with SMTP_URL.";
    TURN_URLS: Plain, Unset("calls connect without help, which fails between many networks"),
        "stun:, stuns:, turn: and turns: URLs separated by commas, such as turn:turn.example.org:3478?transport=udp",
        "STUN and TURN servers that clients use for calls.";
    TURN_SECRET: Secret, Unset("only STUN servers can be named"),
        "the static-auth-secret of the TURN servers",
        "Secret shared with the TURN servers, from which credentials are made for each call.";
    RATE_LIMITS: Plain, Always("on"),
        "on or off; in production only on",
        "Limits on how often callers may ask, how many WebSockets a user may open and how fast each is read.";
    TRUSTED_PROXIES: Plain, Unset("none: callers are where their connections come from"),
        "IP addresses and networks separated by commas, such as 127.0.0.1,10.0.0.0/8,fd00::/8",
        "Reverse proxies that are believed where a request came from, by X-Forwarded-For or Forwarded.";
    PLAYGROUND: Plain, ByMode { development: "on", production: "off" },
        "on or off",
        "Whether browsers are served the GraphiQL page.";
    INTROSPECTION: Plain, ByMode { development: "on", production: "off" },
        "on or off",
        "Whether GraphQL clients may ask for the schema.";
    TRUSTED_OPERATIONS: Plain, Unset("no list"),
        "the path of a file that Apollo's generate-persisted-query-manifest, Relay's compiler or GraphQL Code Generator wrote",
        "List of documents that clients may ask for by their ids; read at the start.";
    ONLY_TRUSTED_OPERATIONS: Plain, Always("off"),
        "on or off; on needs TRUSTED_OPERATIONS",
        "Whether every GraphQL document that is not on that list is refused, introspection and the playground's included.";
    LOG_FORMAT: Plain, ByMode { development: "text", production: "json" },
        "text or json",
        "One line per fact for people, or one JSON object per line.";
    LOG_LEVEL: Plain, Always("info"),
        "off, error, warn, info, debug or trace, alone or as target=level, separated by commas",
        "What is logged; database statements only if sqlx or sea_orm is named.";
}

/// The line of help behind a flag.
pub(crate) fn flag_help(setting: &Setting) -> String {
    format!(
        "{} [{}] [default: {}]",
        setting.help,
        setting.expects,
        setting.default.help()
    )
}

/// The table of settings in `README.md`.
#[must_use]
pub fn settings_markdown() -> String {
    let mut table =
        String::from("| Setting | Default | Takes | Meaning |\n| --- | --- | --- | --- |\n");
    for setting in SETTINGS {
        let Setting {
            name,
            default,
            expects,
            help,
            ..
        } = setting;
        table += &format!(
            "| `{name}` | {} | {expects} | {help} |\n",
            default.markdown()
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_and_key_follow_from_the_name() {
        assert_eq!(JWT_ACCESS_EXPIRES_IN.flag(), "jwt-access-expires-in");
        assert_eq!(JWT_ACCESS_EXPIRES_IN.key(), "jwt_access_expires_in");
    }

    #[test]
    fn the_markdown_has_one_row_of_four_cells_for_each_setting() {
        let markdown = settings_markdown();
        assert_eq!(markdown.lines().count(), SETTINGS.len() + 2);
        for row in markdown.lines() {
            assert_eq!(row.matches('|').count(), 5, "{row}");
        }
        assert!(markdown.contains("| `PORT` | `4000` |"), "{markdown}");
        assert!(
            markdown.contains("| `LOG_FORMAT` | `text` in development, `json` in production |")
        );
    }
}
