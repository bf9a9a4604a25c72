//! Who and what there is before a workload begins: people, the conversations they are in, and
//! what they wrote. All of it is made through the API.

use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

use crate::Result;
use crate::http::Client;
use crate::marker::Marker;
use crate::node::Node;
use crate::sends::Sender;

const PEOPLE: usize = 1_000;
/// The first so many people write; the next ones read lists.
pub(crate) const SENDERS: usize = 64;
const READERS: usize = 16;
const CONVERSATIONS: usize = 100;
const MEMBERS: usize = 10;
const HISTORY: u64 = 3_000;
const LISTED: u64 = 50;
/// How many members can be named at a time.
const NAMED: usize = 200;
/// How many register at a time: checking passwords is work for the whole machine.
const REGISTERING: usize = 4;
/// How much else is done at a time.
const AT_ONCE: usize = 16;

pub(crate) struct World {
    pub(crate) people: Vec<Rc<Person>>,
    /// Conversations of ten senders each.
    pub(crate) conversations: Vec<Conversation>,
    /// The one in which everybody is.
    pub(crate) everybody: String,
    /// One in which much was written.
    pub(crate) history: String,
}

/// Somebody who has signed in.
pub(crate) struct Person {
    id: String,
    pub(crate) token: String,
}

pub(crate) struct Conversation {
    pub(crate) id: Rc<str>,
    /// Places in the world's list of people.
    pub(crate) members: Vec<usize>,
}

impl World {
    pub(crate) async fn seed(node: &Node) -> Result<Self> {
        let address = node.address;
        let people = stream::iter(0..PEOPLE).map(|n| register(address, n));
        let people: Vec<_> = people.buffered(REGISTERING).try_collect().await?;
        let all: Vec<_> = (0..PEOPLE).collect();
        let writing: Vec<_> = (0..AT_ONCE).collect();
        let founding = Founding {
            address,
            people: &people,
        };
        let everybody = founding.found(&all).await?;
        let history = founding.found(&writing).await?;
        let conversations = stream::iter(0..CONVERSATIONS).map(async |n| {
            let members: Vec<_> = (0..MEMBERS).map(|k| (n * MEMBERS + k) % SENDERS).collect();
            let id = founding.found(&members).await?.into();
            Result::Ok(Conversation { id, members })
        });
        let conversations = conversations.buffered(AT_ONCE).try_collect().await?;
        founding.write(&history, HISTORY).await?;
        founding.fill_lists().await?;
        Ok(Self {
            people,
            conversations,
            everybody,
            history,
        })
    }

    /// The conversations somebody is in, of those of ten.
    pub(crate) fn conversations_of(&self, person: usize) -> Vec<Rc<str>> {
        let all = self.conversations.iter();
        let own = all.filter(|conversation| conversation.members.contains(&person));
        own.map(|conversation| Rc::clone(&conversation.id))
            .collect()
    }

    /// Those who have a full list of conversations.
    pub(crate) fn readers(&self) -> &[Rc<Person>] {
        &self.people[SENDERS..SENDERS + READERS]
    }
}

async fn register(address: SocketAddr, n: usize) -> Result<Rc<Person>> {
    const REGISTER: &str = "mutation($input: RegisterInput!) {
        register(input: $input) { accessToken viewer { user { id } } }
    }";
    let input = json!({
        "email": format!("person{n}@example.com"),
        "password": "nine lives left",
        "displayName": format!("Person {n}"),
    });
    let mut nobody = Client::connect(address, "").await?;
    let session = nobody.ask(REGISTER, json!({ "input": input })).await?["register"].take();
    Ok(Rc::new(Person {
        id: text(&session["viewer"]["user"]["id"])?,
        token: text(&session["accessToken"])?,
    }))
}

struct Founding<'a> {
    address: SocketAddr,
    people: &'a [Rc<Person>],
}

impl Founding<'_> {
    /// Makes a conversation; the first of its members does.
    async fn found(&self, members: &[usize]) -> Result<String> {
        const CREATE: &str = "mutation($input: CreateConversationInput!) {
            createConversation(input: $input) { conversation { id } }
        }";
        const ADD: &str = "mutation($input: AddMembersInput!) {
            addMembers(input: $input) { conversation { id } }
        }";
        let owner = &self.people[members[0]];
        let mut client = Client::connect(self.address, &owner.token).await?;
        let others = members[1..].chunks(NAMED);
        let mut others = others.map(|chunk| -> Vec<_> {
            let ids = chunk.iter().map(|member| &self.people[*member].id);
            ids.collect()
        });
        let founders = others.next().unwrap_or_default();
        let input = json!({ "kind": "GROUP", "title": "Workload", "memberIds": founders });
        let made = client.ask(CREATE, json!({ "input": input })).await?;
        let id = text(&made["createConversation"]["conversation"]["id"])?;
        for chunk in others {
            let input = json!({ "conversationId": id, "userIds": chunk });
            client.ask(ADD, json!({ "input": input })).await?;
        }
        Ok(id)
    }

    /// Writes so many messages in a conversation, several people at a time.
    async fn write(&self, conversation: &str, messages: u64) -> Result<()> {
        let writers = self.people[..AT_ONCE].iter().enumerate();
        let writing = writers.map(async |(n, person)| {
            let mut sender = Sender::connect(self.address, &person.token).await?;
            for number in (n as u64..messages).step_by(AT_ONCE) {
                sender.send(conversation, Marker::now(number)).await?;
            }
            Result::Ok(())
        });
        futures_util::future::try_join_all(writing).await?;
        Ok(())
    }

    /// Gives the readers conversations with two messages of somebody else's in each.
    async fn fill_lists(&self) -> Result<()> {
        let author = SENDERS + READERS;
        let mut members = vec![author];
        members.extend(SENDERS..author);
        let mut sender = Sender::connect(self.address, &self.people[author].token).await?;
        for n in 0..LISTED {
            let conversation = self.found(&members).await?;
            for k in 0..2 {
                sender.send(&conversation, Marker::now(2 * n + k)).await?;
            }
        }
        Ok(())
    }
}

/// A string of an answer.
pub(crate) fn text(value: &Value) -> Result<String> {
    let text = value.as_str().ok_or("the answer lacks a string")?;
    Ok(text.to_owned())
}
