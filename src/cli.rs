//! The command line: one command, and one flag for each setting of [`crate::config`].

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches};

use crate::config::{self, Config, Overrides, SETTINGS, Setting};

/// The exit code for a command line or a configuration that is wrong, as clap has it.
pub const EXIT_MISUSE: u8 = 2;

const DEMO: &str = "demo";
const SERVE: &str = "serve";
const MIGRATE: &str = "migrate";
const SCHEMA: &str = "schema";
const CHECK_CONFIG: &str = "check-config";
const GRANT_OPERATOR: &str = "grant-operator";
const REVOKE_OPERATOR: &str = "revoke-operator";
const VERIFY_AUDIT: &str = "verify-audit";
const WHO: &str = "WHO";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Run the server until it is told to stop.
    Serve {
        /// Whether to fill an empty database with people and conversations to look at.
        demo: bool,
    },
    /// Bring the database's tables up to date and stop.
    Migrate,
    /// Print the GraphQL schema and stop.
    Schema,
    /// Print the effective configuration and stop.
    CheckConfig,
    /// Make somebody an operator, or one no longer, and stop.
    SetOperator {
        /// E-mail address or phone number of the account.
        who: String,
        /// Which of the two.
        is_operator: bool,
    },
    /// Check the audit log and stop.
    VerifyAudit,
}

/// A command line that makes sense; whether its settings do, [`Config::load`] tells.
#[derive(Debug, Clone)]
pub struct Cli {
    /// What to do.
    pub command: Command,
    /// The settings given as flags.
    pub overrides: Overrides,
}

/// Reads the command line of this process; prints help, the version or what is wrong, and exits
/// where nothing is left to do.
#[must_use]
pub fn parse() -> Cli {
    parse_from(std::env::args_os()).unwrap_or_else(|error| error.exit())
}

/// Reads `args`, of which the first is the program's name.
///
/// # Errors
/// What is wrong with them, or the help or version text they ask for.
pub fn parse_from(
    args: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<Cli, clap::Error> {
    let mut grammar = grammar();
    let matches = grammar.try_get_matches_from_mut(args)?;
    let (name, inner) = matches.subcommand().unwrap_or((SERVE, &matches));
    if matches.get_flag(DEMO) && name != SERVE {
        let message = format!("--{DEMO} goes with `{SERVE}`, not with `{name}`");
        return Err(grammar.error(ErrorKind::ArgumentConflict, message));
    }
    let command = match name {
        SERVE => Command::Serve {
            demo: matches.get_flag(DEMO) || inner.get_flag(DEMO),
        },
        MIGRATE => Command::Migrate,
        SCHEMA => Command::Schema,
        CHECK_CONFIG => Command::CheckConfig,
        GRANT_OPERATOR | REVOKE_OPERATOR => Command::SetOperator {
            who: inner.get_one::<String>(WHO).cloned().unwrap_or_default(),
            is_operator: name == GRANT_OPERATOR,
        },
        VERIFY_AUDIT => Command::VerifyAudit,
        other => unreachable!("clap lets no command through that the grammar lacks: {other}"),
    };
    Ok(Cli {
        command,
        overrides: overrides(inner),
    })
}

/// Prints the effective configuration of this process, or all its mistakes on standard error.
#[must_use]
pub fn check_config(overrides: &Overrides) -> ExitCode {
    match Config::explain(overrides, config::process_env) {
        Ok(lines) => match io::stdout().write_all(lines.as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(errors) => {
            // If standard error is closed, the exit code still tells.
            let _ = writeln!(io::stderr(), "{errors}");
            ExitCode::from(EXIT_MISUSE)
        }
    }
}

fn grammar() -> clap::Command {
    let demo = || {
        Arg::new(DEMO)
            .long(DEMO)
            .action(ArgAction::SetTrue)
            .help("Fill an empty database with people and conversations to look at")
    };
    let who = || {
        Arg::new(WHO)
            .required(true)
            .help("E-mail address or phone number of the account")
    };
    let command = clap::Command::new;
    command("backchannel")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "A messaging backend: one GraphQL schema over HTTP, WebSocket and server-sent events.",
        )
        .after_help(
            "Each setting can also stand in the environment or in a TOML file; a flag beats both.",
        )
        .arg(demo())
        .subcommand(
            command(SERVE)
                .about("Run the server; the default")
                .arg(demo()),
        )
        .subcommand(command(MIGRATE).about("Bring the database's tables up to date"))
        .subcommand(command(SCHEMA).about("Print the GraphQL schema"))
        .subcommand(
            command(CHECK_CONFIG).about("Print the effective configuration, or all mistakes in it"),
        )
        .subcommand(
            command(GRANT_OPERATOR)
                .about("Let a user read what operators may, such as the audit log")
                .arg(who()),
        )
        .subcommand(command(REVOKE_OPERATOR).about("Take that back").arg(who()))
        .subcommand(
            command(VERIFY_AUDIT)
                .about("Check that no entry of the audit log was changed or taken out"),
        )
        .args(SETTINGS.iter().map(|setting| flag(setting)))
}

fn flag(setting: &'static Setting) -> Arg {
    Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.name)
        .help(config::flag_help(setting))
        .help_heading("Settings")
        // Whether a value makes sense is for Config to say, together with all others.
        .allow_hyphen_values(true)
        .global(true)
}

fn overrides(matches: &ArgMatches) -> Overrides {
    SETTINGS
        .iter()
        .filter_map(|setting| {
            Some((
                setting.name,
                matches.get_one::<String>(setting.name)?.clone(),
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Cli {
        parse_from(line.split(' ')).unwrap_or_else(|error| panic!("{line}: {error}"))
    }

    fn port(cli: &Cli) -> u16 {
        Config::load(&cli.overrides, |_| None)
            .expect("a valid configuration")
            .port
    }

    #[test]
    fn the_grammar_contradicts_itself_nowhere() {
        grammar().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        assert_eq!(parse("backchannel").command, Command::Serve { demo: false });
        assert_eq!(
            parse("backchannel serve").command,
            Command::Serve { demo: false }
        );
        assert_eq!(parse("backchannel migrate").command, Command::Migrate);
        assert_eq!(parse("backchannel schema").command, Command::Schema);
        assert_eq!(
            parse("backchannel check-config").command,
            Command::CheckConfig
        );
    }

    #[test]
    fn operators_are_named() {
        let set = |who: &str, is_operator| Command::SetOperator {
            who: who.to_owned(),
            is_operator,
        };
        let granted = parse("backchannel grant-operator ann@example.com").command;
        assert_eq!(granted, set("ann@example.com", true));
        let revoked = parse("backchannel revoke-operator +12025550173").command;
        assert_eq!(revoked, set("+12025550173", false));
        assert!(parse_from(["backchannel", "grant-operator"]).is_err());
        assert_eq!(
            parse("backchannel verify-audit").command,
            Command::VerifyAudit
        );
    }

    #[test]
    fn a_demo_can_only_be_served() {
        for line in [
            "backchannel --demo",
            "backchannel --demo serve",
            "backchannel serve --demo",
        ] {
            assert_eq!(parse(line).command, Command::Serve { demo: true }, "{line}");
        }
        for line in ["backchannel --demo migrate", "backchannel migrate --demo"] {
            assert!(parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn settings_are_flags_before_and_after_the_command() {
        for line in [
            "backchannel --port 7",
            "backchannel --port=7 serve",
            "backchannel serve --port 7",
        ] {
            assert_eq!(port(&parse(line)), 7, "{line}");
        }
        assert_eq!(
            port(&parse("backchannel --port 7 check-config --port 8")),
            8
        );
    }

    #[test]
    fn a_wrong_value_is_left_for_the_configuration_to_name() {
        let cli = parse("backchannel --port -1 --host nowhere");
        let errors = Config::load(&cli.overrides, |_| None).expect_err("two mistakes");
        assert_eq!(errors.to_string().lines().count(), 2, "{errors}");
    }

    #[test]
    fn every_setting_is_in_the_help_with_its_default() {
        let help = grammar().render_help().to_string();
        for setting in SETTINGS {
            assert!(
                help.contains(&format!("--{} <{}>", setting.flag(), setting.name)),
                "{}",
                setting.name
            );
        }
        assert!(help.contains("[default: 4000]"), "{help}");
    }

    #[test]
    fn an_unknown_flag_is_refused_with_a_near_one() {
        let error = parse_from(["backchannel", "--prt", "7"]).expect_err("no such flag");
        assert!(error.to_string().contains("--port"), "{error}");
    }
}
