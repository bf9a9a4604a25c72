//! `backchannel`: parse the command line, read the configuration, run.

use std::io::Write as _;
use std::process::ExitCode;

use backchannel::cli::{self, Cli, Command};
use backchannel::config::{self, Config};
use backchannel::{Api, Application, StartError, fill_with_demo, operators, shutdown, telemetry};

/// Unlike the one of glibc, it gives back what closed sockets and hashed passwords leave.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let Cli { command, overrides } = cli::parse();
    match command {
        Command::CheckConfig => return cli::check_config(&overrides),
        Command::Schema => return print(&Api::sdl()),
        Command::Serve { .. }
        | Command::Migrate
        | Command::SetOperator { .. }
        | Command::VerifyAudit => {}
    }
    let config = match Config::load(&overrides, config::process_env) {
        Ok(config) => config,
        Err(mistakes) => return complain(&mistakes, cli::EXIT_MISUSE),
    };
    telemetry::init(config.log_format, &config.log_level);
    let done = match command {
        Command::Serve { demo } => serve(config, demo).await,
        Command::Migrate => backchannel::migrate(&config).await,
        Command::SetOperator { who, is_operator } => {
            match operators::set_operator(&config, &who, is_operator).await {
                Ok(line) => return print(&line),
                Err(error) => Err(error),
            }
        }
        Command::VerifyAudit => match operators::verify_audit(&config).await {
            Ok((line, true)) => return print(&line),
            Ok((line, false)) => return complain(&line.trim_end(), 1),
            Err(error) => Err(error),
        },
        Command::CheckConfig | Command::Schema => Ok(()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(&error, 1),
    }
}

async fn serve(config: Config, demo: bool) -> Result<(), StartError> {
    let playground = config.playground;
    let application = Application::build(config).await?;
    let guide = if demo {
        fill_with_demo(application.domain()).await?
    } else {
        String::new()
    };
    let port = application.address().port();
    let playground = playground.then(|| format!("http://localhost:{port}/"));
    tracing::info!(port, playground, "listening");
    print(&guide);
    application.run_until(shutdown::signal()).await;
    Ok(())
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn complain(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    // With standard error gone there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{error}");
    ExitCode::from(code)
}
