use std::collections::HashMap;
use std::fs;

use super::*;

const LONG_SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Flags and environment as pairs, and perhaps the text of a file.
#[derive(Default)]
struct Sources<'a> {
    flags: &'a [(&'static str, &'a str)],
    env: &'a [(&'a str, &'a str)],
    file: Option<&'a str>,
}

impl Sources<'_> {
    fn read(&self) -> Result<(Config, String), ConfigErrors> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let path = dir.path().join("backchannel.toml");
        let mut env: HashMap<String, OsString> = self
            .env
            .iter()
            .map(|(name, text)| ((*name).to_owned(), OsString::from(text)))
            .collect();
        if let Some(text) = self.file {
            fs::write(&path, text).expect("the file");
            env.insert("CONFIG".to_owned(), path.into_os_string());
        }
        let flags = self
            .flags
            .iter()
            .map(|(name, text)| (*name, (*text).to_owned()))
            .collect();
        read(&flags, &|name| env.get(name).cloned())
    }

    fn config(&self) -> Config {
        self.read().unwrap_or_else(|errors| panic!("{errors}")).0
    }

    fn explained(&self) -> String {
        self.read().unwrap_or_else(|errors| panic!("{errors}")).1
    }

    fn mistakes(&self) -> Vec<String> {
        let errors = self.read().expect_err("mistakes");
        errors.to_string().lines().map(str::to_owned).collect()
    }
}

fn env(env: &[(&str, &str)]) -> Result<(Config, String), ConfigErrors> {
    Sources {
        env,
        ..Sources::default()
    }
    .read()
}

#[test]
fn nothing_set_is_a_working_development_server() {
    let config = Sources::default().config();
    assert_eq!(config.mode, Mode::Development);
    assert_eq!(config.port, 4000);
    assert_eq!(config.host, None);
    assert!(
        matches!(config.database, Database::Sqlite(file) if file.ends_with("data/backchannel.db"))
    );
    assert_eq!(config.jwt_access_expires_in, Duration::from_secs(15 * 60));
    assert_eq!(config.log_format, LogFormat::Text);
    assert!(config.playground && config.introspection && config.rate_limits);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_which_beats_the_default() {
    let file = Some("port = 3\nmax_connections = 3\ndatabase_pool = 3");
    let env: &[_] = &[("PORT", "2"), ("MAX_CONNECTIONS", "2")];
    let config = Sources {
        flags: &[("PORT", "1")],
        env,
        file,
    }
    .config();
    assert_eq!(
        (config.port, config.max_connections, config.database_pool),
        (1, 2, 3)
    );
    assert_eq!(config.refresh_grace, Duration::from_secs(30));
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let (config, _) = env(&[("PORT", ""), ("REDIS_URL", "")]).expect("a valid configuration");
    assert_eq!(config.port, 4000);
    assert!(config.redis_url.is_none());
}

#[test]
fn a_file_may_use_tomls_own_types() {
    let file =
        Some("port = 0\nplayground = false\nallowed_origins = [\"http://a\", \"HTTP://B:80\"]");
    let config = Sources {
        file,
        ..Sources::default()
    }
    .config();
    assert_eq!(config.port, 0);
    assert!(!config.playground);
    assert_eq!(config.allowed_origins, ["http://a", "http://b"]);
}

#[test]
fn the_default_database_lies_in_the_data_directory_however_odd() {
    let (config, _) = env(&[("DATA_DIR", "/var/my data?")]).expect("a valid configuration");
    let expected = PathBuf::from("/var/my data?/backchannel.db");
    assert!(matches!(config.database, Database::Sqlite(file) if file == expected));
}

#[test]
fn all_mistakes_are_named_at_once_with_key_source_and_expectation() {
    let mistakes = Sources {
        flags: &[("PORT", "70000"), ("REFRESH_GRACE", "0s")],
        env: &[
            ("HOST", "localhost"),
            ("ALLOWED_ORIGINS", "*, http://ok, http://a/b"),
            ("LOG_LEVEL", "loud"),
        ],
        file: Some("database_pool = 0\nplayground = \"yes\"\nlog_format = 1.5\nprt = 1"),
    }
    .mistakes();
    let expected = [
        ("prt (from: file", "unknown key"),
        (
            "PORT (from: flag --port): \"70000\" is out of range",
            "expected a port number",
        ),
        (
            "HOST (from: environment): \"localhost\" is not",
            "expected an IP address",
        ),
        (
            "DATABASE_POOL (from: file",
            "\"0\" is out of range; expected a number from 1 to 500",
        ),
        (
            "REFRESH_GRACE (from: flag --refresh-grace): \"0s\" is no time",
            "expected a duration",
        ),
        (
            "ALLOWED_ORIGINS (from: environment): \"*\" would let every site",
            "expected origins",
        ),
        (
            "ALLOWED_ORIGINS (from: environment): \"http://a/b\" has a path",
            "expected origins",
        ),
        (
            "PLAYGROUND (from: file",
            "\"yes\" is neither; expected on or off",
        ),
        ("LOG_FORMAT (from: file", "the value is no text"),
        (
            "LOG_LEVEL (from: environment): \"loud\" names no level",
            "expected off, error",
        ),
    ];
    assert_eq!(mistakes.len(), expected.len(), "{mistakes:#?}");
    for (line, (start, part)) in mistakes.iter().zip(expected) {
        assert!(line.starts_with(start) && line.contains(part), "{line}");
    }
}

#[test]
fn unknown_keys_in_the_file_are_refused_with_a_near_one() {
    let file = Some(
        "jwt-secert = \"hunter2\"\nconfig = \"other.toml\"\n\"a\\nb\" = 1\n[server]\nport = 1",
    );
    let mistakes = Sources {
        file,
        ..Sources::default()
    }
    .mistakes();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    assert!(
        mistakes
            .iter()
            .any(|line| line.contains("unknown key; did you mean jwt_secret?")),
        "{mistakes:#?}"
    );
    assert!(
        mistakes
            .iter()
            .any(|line| line.starts_with("server (from: file")),
        "{mistakes:#?}"
    );
}

#[test]
fn a_file_that_is_missing_or_broken_is_one_mistake_and_shows_no_line() {
    let (production, missing) = (
        ("BACKCHANNEL_ENV", "production"),
        ("CONFIG", "/nowhere/x.toml"),
    );
    let mistakes = Sources {
        env: &[production, missing],
        ..Sources::default()
    }
    .mistakes();
    assert_eq!(
        mistakes.len(),
        1,
        "the secret may stand in the file: {mistakes:#?}"
    );
    assert!(
        mistakes[0].starts_with("CONFIG (from: environment): \"/nowhere/x.toml\" cannot be read")
    );

    let file = Some("port = 1\njwt_secret = \"hunter2");
    let mistakes = Sources {
        file,
        ..Sources::default()
    }
    .mistakes();
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    assert!(mistakes[0].contains("is not TOML: line 2"), "{mistakes:#?}");
    assert!(!mistakes[0].contains("hunter2"), "{mistakes:#?}");
}

#[test]
fn secrets_are_never_displayed() {
    let sources = Sources {
        flags: &[("JWT_SECRET", "hunter2")],
        env: &[
            ("DATABASE_URL", "postgres://me:hunter2@db/chat"),
            ("REDIS_URL", "redis://:hunter2@cache"),
        ],
        file: None,
    };
    let (config, lines) = sources.read().expect("a valid configuration");
    assert!(!format!("{config:?}").contains("hunter2"));
    assert!(!lines.contains("hunter2"), "{lines}");
    assert!(lines.contains("JWT_SECRET = set  (from: flag)"), "{lines}");
    assert!(
        lines.contains("DATABASE_URL = postgres://***@db/chat  (from: environment)"),
        "{lines}"
    );

    let wrong = Sources {
        env: &[
            ("BACKCHANNEL_ENV", "production"),
            ("JWT_SECRET", "hunter2"),
            ("DATABASE_URL", "mysql://me:hunter2@db/chat"),
            ("REDIS_URL", "rediss://:hunter2@cache"),
            ("PUBLIC_URL", "https://me:hunter2@chat.example"),
        ],
        ..Sources::default()
    };
    let mistakes = wrong.mistakes();
    assert_eq!(mistakes.len(), 4, "{mistakes:#?}");
    assert!(!mistakes.concat().contains("hunter2"), "{mistakes:#?}");
}

#[test]
fn the_explanation_has_one_line_per_setting_with_its_source() {
    let explained = Sources {
        flags: &[("PORT", "1")],
        env: &[],
        file: Some("database_pool = 3"),
    }
    .explained();
    assert_eq!(explained.lines().count(), SETTINGS.len());
    for line in [
        "PORT = 1  (from: flag)",
        "DATABASE_POOL = 3  (from: file)",
        "DATA_DIR = ./data  (from: default)",
        "DATABASE_URL = sqlite://./data/backchannel.db  (from: default)",
        "HOST = not set (all interfaces)  (from: default)",
    ] {
        assert!(
            explained.lines().any(|found| found == line),
            "{line} is missing in\n{explained}"
        );
    }
}

#[test]
fn every_setting_of_the_table_is_read() {
    use std::cell::RefCell;
    let asked = RefCell::new(Vec::new());
    let answer = Config::load(&Overrides::default(), |name| {
        asked.borrow_mut().push(name.to_owned());
        None
    });
    assert!(answer.is_ok());
    let mut asked = asked.into_inner();
    let mut named: Vec<_> = SETTINGS
        .iter()
        .map(|setting| setting.name.to_owned())
        .collect();
    asked.sort();
    named.sort();
    assert_eq!(asked, named);
}

#[test]
fn the_bounds_the_table_tells_are_the_bounds_that_hold() {
    for (name, within, beyond) in [
        ("PORT", "65535", "65536"),
        ("MAX_CONNECTIONS", "1000000", "1000001"),
        ("MAX_CONNECTIONS", "1", "0"),
        ("MAX_SOCKETS_PER_USER", "1000000", "1000001"),
        ("MAX_SOCKETS_PER_USER", "1", "0"),
        ("DATABASE_POOL", "500", "501"),
        ("DATABASE_POOL", "1", "0"),
        ("JWT_ACCESS_EXPIRES_IN", "365d", "366d"),
        ("JWT_REFRESH_EXPIRES_IN", "365d", "366d"),
        ("REFRESH_GRACE", "1h", "61m"),
    ] {
        assert!(env(&[(name, within)]).is_ok(), "{name} {within}");
        assert!(env(&[(name, beyond)]).is_err(), "{name} {beyond}");
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == name)
            .expect("a setting");
        assert!(
            setting.expects.contains(within),
            "{name} does not tell {within}"
        );
    }
}

#[test]
fn trusting_only_a_list_needs_the_list() {
    let only = ("ONLY_TRUSTED_OPERATIONS", "on");
    let mistakes = env(&[only]).expect_err("refused").to_string();
    assert!(
        mistakes.contains("TRUSTED_OPERATIONS names no list"),
        "{mistakes}"
    );
    let (config, _) = env(&[only, ("TRUSTED_OPERATIONS", "list.json")]).expect("valid");
    assert!(config.only_trusted_operations);
    assert!(!env(&[]).expect("valid").0.only_trusted_operations);
}

#[test]
fn production_has_careful_defaults() {
    let (config, _) = env(&[
        ("BACKCHANNEL_ENV", "production"),
        ("JWT_SECRET", LONG_SECRET),
    ])
    .expect("valid");
    assert_eq!(config.log_format, LogFormat::Json);
    assert!(!config.playground && !config.introspection);
}

#[test]
fn production_refuses_a_missing_or_short_secret_and_no_limits() {
    let production = ("BACKCHANNEL_ENV", "production");
    let mistakes = Sources {
        env: &[production, ("RATE_LIMITS", "off")],
        ..Sources::default()
    }
    .mistakes();
    assert_eq!(mistakes.len(), 2, "{mistakes:#?}");
    assert!(
        mistakes[0].starts_with("JWT_SECRET (from: default): not set"),
        "{mistakes:#?}"
    );
    assert!(
        mistakes[1].starts_with("RATE_LIMITS (from: environment): \"off\" is refused"),
        "{mistakes:#?}"
    );

    let short = &LONG_SECRET[1..];
    let mistakes = Sources {
        env: &[production, ("JWT_SECRET", short)],
        ..Sources::default()
    }
    .mistakes();
    assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
    assert!(
        mistakes[0].contains("too short for production; expected at least 32 bytes"),
        "{mistakes:#?}"
    );
}

#[cfg(unix)]
#[test]
fn a_secret_that_is_no_utf8_is_one_mistake_and_not_shown() {
    use std::os::unix::ffi::OsStringExt;
    let errors = Config::load(&Overrides::default(), |name| match name {
        "JWT_SECRET" => Some(OsString::from_vec(b"hunter2\xff".to_vec())),
        "BACKCHANNEL_ENV" => Some("production".into()),
        _ => None,
    });
    let text = errors.expect_err("a mistake").to_string();
    assert_eq!(
        text,
        "JWT_SECRET (from: environment): the value is not valid UTF-8; expected at least 32 bytes"
    );
}

#[test]
fn loading_touches_no_disk_and_preparing_keeps_a_secret() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let data_dir = dir.path().join("data");
    let (config, _) = env(&[("DATA_DIR", data_dir.to_str().expect("UTF-8"))]).expect("valid");
    assert!(!data_dir.exists());
    let secret = config.prepare().expect("a secret");
    assert_eq!(
        secret.expose(),
        config.prepare().expect("the same").expose()
    );
}

#[test]
fn production_does_not_use_a_kept_secret() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (mut config, _) = env(&[("DATA_DIR", dir.path().to_str().expect("UTF-8"))]).expect("valid");
    config.prepare().expect("a kept secret");
    config.mode = Mode::Production;
    assert!(matches!(config.prepare(), Err(PrepareError::SecretMissing)));
    config.jwt_secret = Some(Secret::new(LONG_SECRET));
    assert_eq!(
        config.prepare().expect("the given one").expose(),
        LONG_SECRET
    );
}
