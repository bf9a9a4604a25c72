//! What identifies an account: an e-mail address or a phone number, in the form it is kept and
//! compared in.

use backchannel_entities::code::Purpose;
use backchannel_entities::{Timestamp, user};
use sea_orm::Set;

use crate::couriers::Channel;
use crate::users::User;
use crate::{Domain, Error, Result, limits, phones};

/// What identifies an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Identifier {
    /// In lower case.
    Email(String),
    /// In E.164.
    Phone(String),
}

impl Identifier {
    /// Checks that exactly one is given.
    pub(crate) fn parse(domain: &Domain, email: Option<&str>, phone: Option<&str>) -> Result<Self> {
        match (email, phone) {
            (Some(email), None) => Ok(Self::Email(parse_email(email)?)),
            (None, Some(phone)) => Ok(Self::Phone(parse_phone(domain, phone)?)),
            (None, None) | (Some(_), Some(_)) => Err(Error::bad_input(
                "email",
                "give an e-mail address or a phone number",
            )),
        }
    }

    /// What [`Identifier::as_str`] has made of one.
    pub(crate) fn of_text(text: String) -> Self {
        if text.contains('@') {
            Self::Email(text)
        } else {
            Self::Phone(text)
        }
    }

    pub(crate) fn into_string(self) -> String {
        match self {
            Self::Email(text) | Self::Phone(text) => text,
        }
    }

    /// How somebody is reached there.
    pub(crate) fn channel(&self) -> Channel {
        match self {
            Self::Email(_) => Channel::Email,
            Self::Phone(_) => Channel::Sms,
        }
    }

    /// Whether a link is of use there, for what can be done by one.
    pub(crate) fn link_for(&self, purpose: Purpose) -> bool {
        match (self, purpose) {
            (Self::Email(_), Purpose::Attach | Purpose::ResetPassword) => true,
            (Self::Email(_), Purpose::Register | Purpose::SignIn) | (Self::Phone(_), _) => false,
        }
    }

    /// Whether the user, who has it, has proved that it is theirs.
    pub(crate) fn is_verified_of(&self, user: &User) -> bool {
        match self {
            Self::Email(_) => user.email_verified_at.is_some(),
            Self::Phone(_) => user.phone_verified_at.is_some(),
        }
    }

    /// Notes that the user has proved it.
    pub(crate) fn verify(&self, row: &mut user::ActiveModel, now: Timestamp) {
        match self {
            Self::Email(_) => row.email_verified_at = Set(Some(now)),
            Self::Phone(_) => row.phone_verified_at = Set(Some(now)),
        }
    }

    /// Gives it to the user.
    pub(crate) fn write_to(self, row: &mut user::ActiveModel) {
        match self {
            Self::Email(email) => row.email = Set(Some(email)),
            Self::Phone(phone) => row.phone = Set(Some(phone)),
        }
    }

    /// No two of them are the same text.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Email(text) | Self::Phone(text) => text,
        }
    }
}

/// An e-mail address in the form it is kept and compared in. Whether it exists is for a
/// message sent to it to tell, so little is demanded of its form.
pub(crate) fn parse_email(email: &str) -> Result<String> {
    let email = email.trim().to_lowercase();
    let well_formed = email.len() <= limits::EMAIL_BYTES
        && !email.chars().any(|c| c.is_whitespace() || c.is_control())
        && email.split_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !domain.contains('@')
        });
    if well_formed {
        Ok(email)
    } else {
        Err(Error::bad_input("email", "is not an e-mail address"))
    }
}

/// A phone number in the form it is kept and compared in.
pub(crate) fn parse_phone(domain: &Domain, phone: &str) -> Result<String> {
    phones::parse("phone", phone, domain.0.settings.default_region)
}
