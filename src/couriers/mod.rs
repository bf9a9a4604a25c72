//! How codes reach people: one file a way.
//!
//! 1. [`smtp`] takes them to mailboxes, where `SMTP_URL` names a mail server.
//! 2. [`webhook`] takes the rest to `OTP_WEBHOOK_URL`, by which an operator sends text messages.
//! 3. [`log`] shows them to developers, where nothing else takes them. Never in production.

mod log;
mod smtp;
mod webhook;

use std::sync::Arc;

use backchannel_domain::couriers::{Courier, Letter, Purpose};

use crate::account;
use crate::config::{Config, Mode};

/// Those that are configured, the one to be preferred first.
pub(crate) fn configured(config: &Config) -> Vec<Arc<dyn Courier>> {
    let mut couriers: Vec<Arc<dyn Courier>> = Vec::new();
    let links = Links(config.public_url.clone());
    if let (Some(url), Some(from)) = (&config.smtp_url, &config.mail_from) {
        couriers.push(Arc::new(smtp::Smtp::new(url, from.clone(), links.clone())));
    }
    if let Some(url) = &config.otp_webhook_url {
        couriers.push(Arc::new(webhook::Webhook::new(url, links.clone())));
    }
    match config.mode {
        Mode::Development => couriers.push(Arc::new(log::Log(links))),
        Mode::Production => {}
    }
    couriers
}

/// Makes links, where it is known under which address clients reach this server.
#[derive(Clone, Debug)]
struct Links(Option<String>);

impl Links {
    fn of(&self, letter: &Letter) -> Option<String> {
        let (base, secret) = (self.0.as_deref()?, letter.link.as_deref()?);
        let path = match letter.purpose {
            Purpose::Attach => account::VERIFY,
            Purpose::ResetPassword => account::RESET_PASSWORD,
            Purpose::Register | Purpose::SignIn => return None,
        };
        Some(format!("{base}{path}?link={secret}"))
    }
}

/// The purpose as programs read it.
fn word(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Register => "register",
        Purpose::SignIn => "sign_in",
        Purpose::Attach => "attach",
        Purpose::ResetPassword => "reset_password",
    }
}
