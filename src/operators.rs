//! What operators do at the command line, beside a running server or without one.

use backchannel_domain::audit::{self, Verdict};
use backchannel_domain::clock::Clock;
use backchannel_domain::{Domain, operators};
use backchannel_schema::rfc3339;

use crate::config::Config;
use crate::{StartError, settings};

/// Makes somebody an operator, or one no longer; answers a line to print.
///
/// # Errors
/// When the database cannot be used, or nobody has this e-mail address or phone number.
pub async fn set_operator(
    config: &Config,
    who: &str,
    is_operator: bool,
) -> Result<String, StartError> {
    let domain = start(config).await?;
    let done = operators::set(&domain, who, is_operator).await;
    domain.stop().await;
    done?;
    let what = if is_operator {
        "an operator"
    } else {
        "no operator"
    };
    Ok(format!("{who} is {what} now\n"))
}

/// Checks the audit log; answers a line to print, and whether all is well.
///
/// # Errors
/// When the database cannot be used.
pub async fn verify_audit(config: &Config) -> Result<(String, bool), StartError> {
    let domain = start(config).await?;
    let verdict = audit::verify(&domain).await;
    domain.stop().await;
    Ok(match verdict? {
        Verdict::Intact { count, last: None } => (format!("{count} entries\n"), true),
        Verdict::Intact {
            count,
            last: Some((at, hash)),
        } => {
            let at = rfc3339(at);
            (
                format!("{count} entries, intact; the last at {at} has the hash {hash}\n"),
                true,
            )
        }
        Verdict::Broken { seq } => (
            format!("entry {seq} is missing or not what was written; those before it are intact\n"),
            false,
        ),
    })
}

async fn start(config: &Config) -> Result<Domain, StartError> {
    let secret = config.prepare()?;
    Ok(Domain::start(settings(config, &secret), Clock::default()).await?)
}
