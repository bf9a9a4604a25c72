//! Codes to a program of the operator's, which passes them on.

use std::fmt;
use std::time::Duration;

use backchannel_domain::couriers::{Channel, Courier, Letter, Undelivered};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use reqwest::redirect::Policy;
use serde::Serialize;

use crate::config::Secret;

use super::{Links, word};

/// How long a try may take; the domain gives up a little later.
const TRY: Duration = Duration::from_secs(8);

pub(super) struct Webhook {
    url: Secret,
    client: reqwest::Client,
    links: Links,
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Webhook")
    }
}

/// What is posted.
#[derive(Serialize)]
struct Body<'l> {
    channel: &'static str,
    to: &'l str,
    code: &'l str,
    purpose: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<String>,
}

impl Webhook {
    pub(super) fn new(url: &Secret, links: Links) -> Self {
        // There may be one already: the process has but one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            .timeout(TRY)
            // A code goes nowhere but where the operator says.
            .redirect(Policy::none())
            .build();
        Self {
            url: url.clone(),
            client: client.expect("a client with TLS can be made"),
            links,
        }
    }

    async fn post(&self, letter: &Letter) -> Result<(), Undelivered> {
        let body = Body {
            channel: match letter.channel {
                Channel::Sms => "sms",
                Channel::Email => "email",
            },
            to: &letter.to,
            code: &letter.code,
            purpose: word(letter.purpose),
            link: self.links.of(letter),
        };
        let request = self.client.post(self.url.expose()).json(&body);
        let answer = request.send().await;
        // Without the URL, which may hold a secret.
        let answer = answer.map_err(|error| Undelivered(error.without_url().to_string()))?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(Undelivered(format!(
                "the webhook answered {}",
                answer.status()
            )))
        }
    }
}

impl Courier for Webhook {
    fn serves(&self, channel: Channel) -> bool {
        match channel {
            Channel::Sms | Channel::Email => true,
        }
    }

    fn deliver<'l>(&'l self, letter: &'l Letter) -> BoxFuture<'l, Result<(), Undelivered>> {
        self.post(letter).boxed()
    }
}
