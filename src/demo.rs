//! `--demo`: a few people and conversations to look at.

use std::fmt::Write as _;

use backchannel_domain::conversations::{self, ConversationKind, NewConversation};
use backchannel_domain::error::Unauthenticated;
use backchannel_domain::messages::{self, NewMessage, Parts};
use backchannel_domain::users::{self, NewUser};
use backchannel_domain::{ConversationId, Cx, Domain, Result};

const PASSWORD: &str = "correct horse battery staple";

/// Who there is: display name and the e-mail address to sign in with.
const PEOPLE: [(&str, &str); 4] = [
    ("Ann Ito", "ann@example.com"),
    ("Bob Marsh", "bob@example.com"),
    ("Cleo Duarte", "cleo@example.com"),
    ("Dan Osei", "dan@example.com"),
];

/// What is said in the group: index of the sender, and the text.
const WEEKEND: [(usize, &str); 9] = [
    (0, "Who is in for the lake on Saturday? ☀️"),
    (1, "Me! I can bring the small tent."),
    (2, "In. Is the 9:40 train too early for anybody?"),
    (3, "For me it is, but I will manage."),
    (0, "9:40 then. Dan gets coffee."),
    (1, "Does anyone have a second gas cartridge?"),
    (2, "I have two. And a pot this time, I promise."),
    (3, "After last year I bring my own pot 😄"),
    (0, "Platform 4, nine thirty. See you there!"),
];

const LUNCH: [(usize, &str); 4] = [
    (1, "Lunch at the usual place?"),
    (0, "Gladly, half past twelve?"),
    (1, "Make it one, I am in a meeting until then."),
    (0, "One it is."),
];

const RELEASES: [(usize, &str); 2] = [
    (
        2,
        "1.4 is out: faster history, and drafts follow you to your other devices.",
    ),
    (
        2,
        "1.4.1 mends the badge that stayed at one. Thank you for the reports.",
    ),
];

/// Fills an empty database and answers how to sign in. One that holds people already is
/// left as it is.
///
/// # Errors
/// When the database fails.
pub async fn fill(domain: &Domain) -> Result<String> {
    if users::any(domain).await? {
        return Ok("The database holds people already; no demo was added.\n".to_owned());
    }
    let mut people = Vec::with_capacity(PEOPLE.len());
    for (name, email) in PEOPLE {
        let new = NewUser::parse(domain, Some(email), None, PASSWORD.to_owned(), name)?;
        let nobody = domain.anonymous(Unauthenticated::NoToken);
        people.push(users::register(&nobody, new).await?.cx);
    }
    let weekend = make(
        &people,
        0,
        ConversationKind::Group,
        &[1, 2, 3],
        Some("Lake weekend"),
    )
    .await?;
    say(&people, weekend, &WEEKEND).await?;
    let lunch = make(&people, 1, ConversationKind::Direct, &[0], None).await?;
    say(&people, lunch, &LUNCH).await?;
    let releases = make(
        &people,
        2,
        ConversationKind::Channel,
        &[0, 1, 3],
        Some("Releases"),
    )
    .await?;
    say(&people, releases, &RELEASES).await?;
    Ok(guide())
}

fn guide() -> String {
    let mut guide = String::from("\nDemo people, all with the password \"");
    guide.push_str(PASSWORD);
    guide.push_str("\":\n");
    for (name, email) in PEOPLE.iter().take(2) {
        // Writing to a string cannot fail.
        let _ = writeln!(guide, "  {name:<12} {email}");
    }
    guide.push_str("Sign in as both in the playground and watch one write to the other.\n\n");
    guide
}

async fn make(
    people: &[Cx],
    owner: usize,
    kind: ConversationKind,
    others: &[usize],
    title: Option<&str>,
) -> Result<ConversationId> {
    let members: Result<Vec<_>> = others
        .iter()
        .map(|index| Ok(people[*index].signed_in()?.user.id))
        .collect();
    let new = NewConversation::parse(kind, members?, title, None)?;
    Ok(conversations::create(&people[owner], new).await?.id)
}

async fn say(people: &[Cx], id: ConversationId, lines: &[(usize, &str)]) -> Result<()> {
    for (sender, text) in lines {
        let new = NewMessage::parse(id, Some((*text).to_owned()), None, Parts::default())?;
        messages::send(&people[*sender], new).await?;
    }
    Ok(())
}
