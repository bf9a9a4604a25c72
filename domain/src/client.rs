//! The program that asks: where it is, and what it calls itself. Nothing of that is proved:
//! people read it in the list of their sessions, and limits count by the address.

use std::net::IpAddr;
use std::sync::Arc;

use crate::limits::{NAME_CHARS, USER_AGENT_CHARS};
use crate::{Cx, Result, limits};

/// What a door has learned of the program on the other side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Client {
    /// Where it is; none for what the node does by itself.
    pub address: Option<IpAddr>,
    /// What it calls itself.
    pub user_agent: Option<String>,
    /// What its device is called.
    pub device_name: Option<String>,
}

impl Client {
    /// What was said of it. A program must not be refused for how it introduces itself, so what
    /// is too long is cut, and control characters are left out.
    #[must_use]
    pub fn new(
        address: Option<IpAddr>,
        user_agent: Option<&str>,
        device_name: Option<&str>,
    ) -> Self {
        Self {
            // An IPv4 address is the same one on a socket for both versions.
            address: address.map(|address| address.to_canonical()),
            user_agent: user_agent.and_then(|text| tidied(text, USER_AGENT_CHARS)),
            device_name: device_name.and_then(|text| tidied(text, NAME_CHARS)),
        }
    }
}

fn tidied(text: &str, most: usize) -> Option<String> {
    let printable: String = text.chars().filter(|c| !c.is_control()).collect();
    let text: String = printable.trim().chars().take(most).collect();
    let text = text.trim_end();
    (!text.is_empty()).then(|| text.to_owned())
}

impl Cx {
    /// The program that asks.
    #[must_use]
    pub fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The same, asked by `client`.
    #[must_use]
    pub fn asked_by(self, client: Arc<Client>) -> Self {
        Self { client, ..self }
    }

    /// The same, asked from a device of this name, if there is one.
    ///
    /// # Errors
    /// [`crate::Error::BadInput`] for a name that is blank, too long or not on one line.
    pub fn on_device(&self, name: Option<&str>) -> Result<Self> {
        let Some(name) = name else {
            return Ok(self.clone());
        };
        let client = Client {
            device_name: Some(limits::name("deviceName", name)?),
            ..Client::clone(&self.client)
        };
        Ok(self.clone().asked_by(Arc::new(client)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_program_calls_itself_is_cut_and_tidied() {
        let client = Client::new(None, Some(" a\u{1b}[31m\r\nb \0"), Some("\t\n"));
        assert_eq!(client.user_agent.as_deref(), Some("a[31mb"));
        assert_eq!(client.device_name, None);
        let long = "ü".repeat(1_000);
        let client = Client::new(None, Some(&long), Some(&long));
        let chars = |text: Option<String>| text.map(|text| text.chars().count());
        assert_eq!(chars(client.user_agent), Some(USER_AGENT_CHARS));
        assert_eq!(chars(client.device_name), Some(NAME_CHARS));
    }

    #[test]
    fn an_address_has_one_spelling() {
        let mapped = "::ffff:192.0.2.7".parse().ok();
        let client = Client::new(mapped, None, None);
        assert_eq!(client.address, "192.0.2.7".parse().ok());
    }
}
