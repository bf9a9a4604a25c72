//! The one table of how often anything may be done, and why.

use std::fmt::Write as _;
use std::time::Duration;

/// What is counted in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Anything that is asked.
    Request,
    /// A message, or something that is done to one, or to a conversation.
    Send,
    /// A conversation that is made, or a member who comes, goes or gets a role.
    Membership,
    /// A password that is checked, or a session that is renewed.
    SignIn,
    /// A search.
    Search,
    /// Presence, typing, drafts, how far threads are read, or what devices in a call say to each other.
    Signal,
}

/// What is counted in the database: whoever is after this would ask the next node, or wait for
/// Redis to be away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Guarded {
    /// A password that is wrong.
    WrongPassword,
    /// An account that is made, or found to be there already.
    Register,
    /// A one-time code that is asked for.
    Code,
    /// A one-time code that is wrong.
    WrongCode,
    /// A phone number in an address book that is given.
    Number,
    /// Somebody who is asked for a direct conversation.
    ChatRequest,
    /// Something that is reported.
    Report,
}

/// Either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Action(Action),
    Guarded(Guarded),
}

/// For whom it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Per {
    User,
    /// A session, which is a device.
    Session,
    /// An IPv4 address, or 64 bits of an IPv6 one.
    Network,
    /// The same, of those who are not signed in: of others, many may share one.
    Stranger,
    /// An e-mail address or phone number, whether or not it is anybody's.
    Identifier,
}

/// How often: so many at once, and then one each so long (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Rate {
    pub(super) what: What,
    pub(super) per: Per,
    pub(super) burst: u32,
    pub(super) each: Duration,
    /// For whoever wants to change it.
    why: &'static str,
}

const fn action(action: Action, per: Per, burst: u32, each_ms: u64, why: &'static str) -> Rate {
    rate(What::Action(action), per, burst, each_ms, why)
}

const fn guarded(guarded: Guarded, per: Per, burst: u32, each_ms: u64, why: &'static str) -> Rate {
    rate(What::Guarded(guarded), per, burst, each_ms, why)
}

const fn rate(what: What, per: Per, burst: u32, each_ms: u64, why: &'static str) -> Rate {
    Rate {
        what,
        per,
        burst,
        each: Duration::from_millis(each_ms),
        why,
    }
}

/// All there are. Of those of one action the narrowest comes first: what that refuses is not
/// counted for the others.
pub(super) static TABLE: [Rate; 18] = [
    action(
        Action::Request,
        Per::Session,
        600,
        50,
        "An app that polls asks once a second; a screen full of parts asks dozens at once. A device that runs wild leaves room for the user's others",
    ),
    action(
        Action::Request,
        Per::User,
        1_200,
        25,
        "Twice as much for all devices together",
    ),
    action(
        Action::Request,
        Per::Stranger,
        600,
        50,
        "Whoever is signed in is not counted here, however many share the address; what is left is signing in, registering, renewing",
    ),
    action(
        Action::Send,
        Per::User,
        120,
        200,
        "Nobody types five messages a second for long; pasting and forwarding come in bursts",
    ),
    action(
        Action::Membership,
        Per::User,
        300,
        200,
        "Who moves in sets up dozens of conversations at once, and an admin clears one out by hand; each tells all members, and two hundred can be added by one",
    ),
    action(
        Action::SignIn,
        Per::Network,
        600,
        50,
        "A password costs 13 ms of a core. An office of 18,000 devices behind one address renews its sessions at this pace",
    ),
    action(
        Action::Search,
        Per::User,
        60,
        500,
        "One for each letter of a name, and then at the pace of reading",
    ),
    action(
        Action::Signal,
        Per::Session,
        300,
        100,
        "A call begins with dozens of candidates; typing is told about once a second",
    ),
    guarded(
        Guarded::WrongPassword,
        Per::Identifier,
        10,
        60_000,
        "1,450 guesses a day at an account, from however many addresses; its owner mistypes a few times",
    ),
    guarded(
        Guarded::WrongPassword,
        Per::Network,
        100,
        10_000,
        "An office mistypes; who tries one password on many accounts is at 8,740 a day",
    ),
    guarded(
        Guarded::Register,
        Per::Network,
        100,
        60_000,
        "A school registers in a morning; a farm of accounts, or a list of addresses that is tried for accounts, is at 1,540 a day",
    ),
    guarded(
        Guarded::Code,
        Per::Identifier,
        5,
        120_000,
        "Each is a message that somebody pays for and somebody is disturbed by; apps wait a minute before they ask again",
    ),
    guarded(
        Guarded::Code,
        Per::Network,
        30,
        30_000,
        "Codes for ever other numbers, at the operator's cost",
    ),
    guarded(
        Guarded::WrongCode,
        Per::Identifier,
        20,
        1_200_000,
        "92 guesses a day at one in a million, however many codes are asked for; its owner mistypes a few times",
    ),
    guarded(
        Guarded::WrongCode,
        Per::Network,
        100,
        10_000,
        "As for passwords; here a guess is for one of a few codes that are open",
    ),
    guarded(
        Guarded::Number,
        Per::User,
        20_000,
        5_000,
        "The largest address book, whole, from each of four devices; who tries all numbers of a country for people is at 17,280 a day",
    ),
    guarded(
        Guarded::ChatRequest,
        Per::User,
        20,
        1_800_000,
        "Each disturbs a stranger, or tries whether an address is anybody's; a newcomer asks all their friends in an evening",
    ),
    guarded(
        Guarded::Report,
        Per::User,
        30,
        600_000,
        "Somebody has to read each; who cleans up a group after spammers reports dozens",
    ),
];

impl Rate {
    /// Tells it from the others, in Redis and in the database.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.what.name(), self.per.name())
    }

    /// What may be owed at most.
    pub(super) fn whole(&self) -> Duration {
        self.each * self.burst
    }
}

impl What {
    fn name(self) -> &'static str {
        match self {
            Self::Action(Action::Request) => "request",
            Self::Action(Action::Send) => "send",
            Self::Action(Action::Membership) => "membership",
            Self::Action(Action::SignIn) => "sign-in",
            Self::Action(Action::Search) => "search",
            Self::Action(Action::Signal) => "signal",
            Self::Guarded(Guarded::WrongPassword) => "wrong-password",
            Self::Guarded(Guarded::Register) => "register",
            Self::Guarded(Guarded::Code) => "code",
            Self::Guarded(Guarded::WrongCode) => "wrong-code",
            Self::Guarded(Guarded::Number) => "number",
            Self::Guarded(Guarded::ChatRequest) => "chat-request",
            Self::Guarded(Guarded::Report) => "report",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Action(Action::Request) => "Operations, each of a batch too",
            Self::Action(Action::Send) => {
                "Messages, and what is done to messages and conversations"
            }
            Self::Action(Action::Membership) => {
                "Conversations made, and members who come, go or get a role"
            }
            Self::Action(Action::SignIn) => "Sign-ins and renewals",
            Self::Action(Action::Search) => "Searches, codes of invitations, requests to join",
            Self::Action(Action::Signal) => {
                "Presence, typing, drafts, marks of threads, signals of calls"
            }
            Self::Guarded(Guarded::WrongPassword) => "Wrong passwords",
            Self::Guarded(Guarded::Register) => "Registrations",
            Self::Guarded(Guarded::Code) => "One-time codes",
            Self::Guarded(Guarded::WrongCode) => "Wrong one-time codes",
            Self::Guarded(Guarded::Number) => "Phone numbers of contacts",
            Self::Guarded(Guarded::ChatRequest) => "Chat requests",
            Self::Guarded(Guarded::Report) => "Reports",
        }
    }
}

impl Per {
    fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "session",
            Self::Network => "network",
            Self::Stranger => "stranger",
            Self::Identifier => "identifier",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Session => "device",
            Self::Network => "address",
            Self::Stranger => "address, unless signed in",
            Self::Identifier => "e-mail address or phone number",
        }
    }
}

/// The table as `docs/operators.md` has it.
#[must_use]
pub fn markdown() -> String {
    let mut markdown = String::from(
        "| What | For each | At once | Then one each | Why |\n| --- | --- | ---: | ---: | --- |\n",
    );
    for rate in &TABLE {
        let (what, per) = (rate.what.words(), rate.per.words());
        let Rate {
            burst, each, why, ..
        } = rate;
        // Writing to a string cannot fail.
        let _ = writeln!(markdown, "| {what} | {per} | {burst} | {each:?} | {why} |");
    }
    markdown
}
