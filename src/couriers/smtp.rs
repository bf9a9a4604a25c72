//! Codes to mailboxes, by a mail server.

use std::fmt;

use backchannel_domain::couriers::{Channel, Courier, Letter, Purpose, Undelivered};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::transport::smtp::PoolConfig;
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use crate::config::Secret;

use super::Links;

/// Connections to the mail server open at once.
const CONNECTIONS: u32 = 4;
const SECONDS_A_MINUTE: u64 = 60;

pub(super) struct Smtp {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    links: Links,
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Smtp")
    }
}

impl Smtp {
    pub(super) fn new(url: &Secret, from: Mailbox, links: Links) -> Self {
        let server = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose());
        let server = server.expect("the configuration has read it");
        Self {
            server: server
                .pool_config(PoolConfig::new().max_size(CONNECTIONS))
                .build(),
            from,
            links,
        }
    }

    fn message(&self, letter: &Letter) -> Result<Message, Undelivered> {
        // An address that a mail server cannot take is known by its form at last here.
        let to = letter.to.parse();
        let to = to.map_err(|_| Undelivered("it is no address for mail".to_owned()))?;
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(subject(letter.purpose))
            .header(ContentType::TEXT_PLAIN)
            .body(text(letter, self.links.of(letter).as_deref()))
            .map_err(|error| Undelivered(error.to_string()))
    }

    async fn send(&self, letter: &Letter) -> Result<(), Undelivered> {
        let message = self.message(letter)?;
        let sent = self.server.send(message).await;
        sent.map(drop).map_err(|error| {
            // A server's own words may repeat the address.
            Undelivered(match error.status() {
                Some(code) => format!("the mail server answered {code}"),
                None => "the mail server cannot be reached".to_owned(),
            })
        })
    }
}

/// Without the code, which would show on a locked screen.
fn subject(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Register => "Your code to register",
        Purpose::SignIn => "Your code to sign in",
        Purpose::Attach => "Confirm your e-mail address",
        Purpose::ResetPassword => "Set a new password",
    }
}

fn text(letter: &Letter, link: Option<&str>) -> String {
    let Letter { code, good_for, .. } = letter;
    let minutes = good_for.as_secs() / SECONDS_A_MINUTE;
    let link = link.map_or(String::new(), |link| {
        format!("Or open this page within an hour:\n\n{link}\n\n")
    });
    format!(
        "Your code is {code}. It is good for {minutes} minutes.\n\n{link}\
         If you did not ask for it, you need do nothing. Give the code to nobody.\n"
    )
}

impl Courier for Smtp {
    fn serves(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms => false,
            Channel::Email => true,
        }
    }

    fn deliver<'l>(&'l self, letter: &'l Letter) -> BoxFuture<'l, Result<(), Undelivered>> {
        self.send(letter).boxed()
    }
}
