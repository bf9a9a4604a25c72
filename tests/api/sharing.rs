//! An event is executed once for all who ask the same of it, and for each where it depends on who
//! asks.

use std::collections::BTreeMap;
use std::time::Duration;

use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, Type, TypeKind, TypeSystemDefinition,
};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::calls::HANG_UP;
use crate::harness::clients::Socket;
use crate::harness::people::text;
use crate::harness::{App, Person, Room, on_both};
use crate::polls::poll;

/// The same, as different clients write it: of a new member, things that must be read.
const FORMS: [&str; 4] = [
    "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) { seq ... on MemberJoined { member { role user { displayName presence { state } } } } } }",
    "# A comment.\nsubscription   Named($which: ID!,){conversationEvents(after:0 conversationId:$which){seq ...on MemberJoined{member{role,user{displayName presence{state}}}}}}",
    "subscription($id: ID!, $after: Int = 0) { conversationEvents(after: $after, conversationId: $id) { seq ...Joined } }
     fragment Joined on MemberJoined { member { role user { displayName presence { state } } } }",
    "query Other { __typename } subscription Chosen($id: ID!) { conversationEvents(conversationId: $id, after: 0) { seq ...J } }
     fragment J on MemberJoined { member { role user { displayName presence { state } } } }",
];

/// Follows a conversation with one message, in the `n`th form; the stream is open when this
/// returns.
async fn follows(person: &Person, room: &Room, n: usize) -> Socket {
    let mut socket = person.opens_socket().await;
    let form = n % FORMS.len();
    let name = if form == 2 { "which" } else { "id" };
    let variables = if form == 1 {
        json!({ "which": room.id })
    } else {
        json!({ "id": room.id })
    };
    let payload = json!({
        "query": FORMS[form],
        "operationName": (form == 3).then_some("Chosen"),
        "variables": variables,
    });
    let message = json!({ "id": format!("{name}{n}"), "type": "subscribe", "payload": payload });
    socket.send(&message).await;
    assert_eq!(next(&mut socket).await["conversationEvents"]["seq"], 1);
    socket
}

/// The data of the next result.
async fn next(socket: &mut Socket) -> Value {
    let message = socket.next().await.expect("the socket stays open");
    assert_eq!(message["type"], "next", "{message}");
    assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
    message["payload"]["data"].clone()
}

/// The statements that it costs to tell so many of a new member.
async fn cost(app: &App, ann: &Person, new: &Person, followers: usize) -> Vec<String> {
    let people = [ann.signs_in_again().await, ann.signs_in_again().await];
    let room = ann.makes_group("Shared", &[]).await;
    ann.sends(&room, "one").await;
    let sockets = (0..followers).map(|n| follows(&people[n % people.len()], &room, n));
    let mut sockets = join_all(sockets).await;
    // The session may have been read a moment ago; it is once a second.
    app.advance(Duration::from_secs(1));
    app.domain.statements().record();
    ann.adds(&room, &[new]).await;
    for socket in &mut sockets {
        let event = next(socket).await["conversationEvents"].clone();
        let user = json!({ "displayName": new.name, "presence": { "state": "OFFLINE" } });
        assert_eq!(
            event,
            json!({ "seq": 2, "member": { "role": "MEMBER", "user": user } })
        );
    }
    let mut statements = app.recorded_statements().await;
    statements.sort();
    statements
}

on_both! {
    async fn an_event_is_executed_once_however_many_listen(app) {
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let of_one = cost(app, &ann, &bob, 1).await;
        assert!(of_one.iter().any(|sql| sql.contains("presences")), "something is read for it");
        assert_eq!(cost(app, &ann, &bob, 60).await, of_one);
    }

    async fn the_values_of_variables_are_told_apart(app) {
        const QUERY: &str = "subscription($id: ID!, $with: Boolean = true) {
            conversationEvents(conversationId: $id, after: 0) { seq actor @include(if: $with) { id } }
        }";
        let [ann, bob] = app.people(["Ann", "Bob"]).await;
        let room = ann.makes_group("Values", &[&bob]).await;
        ann.sends(&room, "one").await;
        let mut sockets = Vec::new();
        for with in [Some(true), Some(false), None, Some(false), Some(true)] {
            let mut socket = bob.opens_socket().await;
            let mut variables = json!({ "id": room.id });
            if let Some(with) = with {
                variables["with"] = json!(with);
            }
            socket.subscribe("1", QUERY, &variables).await;
            assert_eq!(next(&mut socket).await["conversationEvents"]["seq"], 1);
            sockets.push((with.unwrap_or(true), socket));
        }
        ann.sends(&room, "two").await;
        for (with, socket) in &mut sockets {
            let event = next(socket).await["conversationEvents"].clone();
            let expected = if *with {
                json!({ "seq": 2, "actor": { "id": ann.id } })
            } else {
                json!({ "seq": 2 })
            };
            assert_eq!(event, expected);
        }
    }

    async fn what_depends_on_the_viewer_is_executed_for_each(app) {
        const QUERY: &str = "subscription { viewerEvents { event { seq
            ... on MessageSent { message { seenBy { totalCount } } }
        } } }";
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = ann.makes_group("Each", &[&bob, &cleo]).await;
        cleo.sets_read_receipts(false).await;
        let mut sockets = Vec::new();
        for person in [&ann, &bob, &cleo] {
            let start = person.event_cursor().await;
            let mut socket = person.opens_socket().await;
            let query = QUERY.replace("viewerEvents", &format!("viewerEvents(after: \"{start}\")"));
            socket.subscribe("1", &query, &json!({})).await;
            sockets.push(socket);
        }
        let said = ann.sends(&room, "one").await;
        bob.reads(&room, said.seq).await;
        // The first may be told before it was read; what is told of the next must differ.
        ann.edits(&said, "two").await;
        for socket in &mut sockets {
            next(socket).await;
        }
        for (person, shown) in [(&ann, 1), (&bob, 1), (&cleo, 0)] {
            let mut socket = person.opens_socket().await;
            socket.subscribe("1", "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
                seq ... on MessageSent { message { seenBy { totalCount } } }
            } }", &json!({ "id": room.id })).await;
            let event = next(&mut socket).await["conversationEvents"].clone();
            assert_eq!(event["message"]["seenBy"]["totalCount"], shown, "{}", person.name);
        }
    }

    async fn what_is_not_marked_does_not_depend_on_the_viewer(app) {
        let [ann, bob, cleo] = app.people(["Ann", "Bob", "Cleo"]).await;
        let room = cleo.makes_group("Marked", &[&ann, &bob]).await;
        let direct = ann.makes_direct(&bob).await;
        bob.sets_read_receipts(false).await;
        bob.sets_presence(json!({ "state": "AWAY" })).await;
        ann.sends(&room, "zero").await;
        bob.reads(&room, 1).await;
        // Each has an audience of their own, and so an execution. All of it is more than one document holds.
        let mut sockets = Vec::new();
        for part in 0..PARTS {
            let everything = everything_but_marked("ViewerEvent", part);
            for (n, person) in [&ann, &bob].into_iter().enumerate() {
                let start = person.event_cursor().await;
                let query = format!("subscription {{ viewerEvents(after: \"{start}\") {{ own{n}: __typename {everything} }} }}");
                let mut socket = person.opens_socket().await;
                socket.subscribe("1", &query, &json!({})).await;
                sockets.push(socket);
            }
        }
        let mut kinds = BTreeMap::new();
        let mut told = async |count: usize| {
            for _ in 0..count {
                let mut kind = String::new();
                for sockets in sockets.chunks_mut(2) {
                    let mut events = Vec::new();
                    for socket in sockets {
                        events.push(next(socket).await["viewerEvents"]["event"].clone());
                    }
                    assert_eq!(events[0], events[1]);
                    kind = text(&events[0]["__typename"]);
                }
                *kinds.entry(kind).or_insert(0) += 1;
            }
        };
        let dan = app.person("Dan").await;
        let said = ann.sends(&room, "one").await;
        told(1).await;
        bob.sends(&room, "two").await;
        told(1).await;
        ann.edits(&said, "three").await;
        told(1).await;
        ann.deletes(&said).await;
        told(1).await;
        ann.adds(&room, &[&dan]).await;
        told(1).await;
        cleo.removes(&room, &dan).await;
        told(1).await;
        // Its owner goes, and leaves it to somebody.
        cleo.removes(&room, &cleo).await;
        told(2).await;
        ann.updates(&room, json!({ "title": "Another" })).await;
        told(1).await;
        let asked = ann.asks_poll(&room, poll(&["a", "b"])).await;
        told(1).await;
        bob.votes(&asked, &[1]).await;
        told(1).await;
        bob.reacts(&asked, "👍").await;
        told(1).await;
        ann.pins(&asked).await;
        told(1).await;
        bob.unpins(&asked).await;
        told(1).await;
        let gone = cleo.makes_group("Gone", &[&ann, &bob]).await;
        cleo.deletes_conversation(&gone).await;
        told(1).await;
        let call = ann.calls(&direct).await;
        ann.does(HANG_UP, &text(&call["id"])).await;
        told(1).await;
        assert_eq!(kinds.len(), kinds_of_events(), "{kinds:?}");
    }
}

type Fields = BTreeMap<String, Vec<FieldDefinition>>;

/// The fields of every object type, and the object types of every interface and union.
fn schema() -> (Fields, BTreeMap<String, Vec<String>>) {
    let document = parse_schema(backchannel::Api::sdl()).expect("the schema is well-formed");
    let (mut fields, mut members) = (Fields::new(), BTreeMap::<String, Vec<String>>::new());
    for definition in document.definitions {
        let TypeSystemDefinition::Type(definition) = definition else {
            continue;
        };
        let name = definition.node.name.node.to_string();
        if let TypeKind::Union(union) = &definition.node.kind {
            let of_union = union.members.iter().map(|member| member.node.to_string());
            members.insert(name.clone(), of_union.collect());
        }
        if let TypeKind::Object(object) = definition.node.kind {
            for interface in object.implements {
                let members = members.entry(interface.node.to_string()).or_default();
                members.push(name.clone());
            }
            let of_object = object.fields.into_iter().map(|field| field.node);
            fields.insert(name, of_object.collect());
        }
    }
    (fields, members)
}

fn kinds_of_events() -> usize {
    let kinds = &schema().1["ConversationEvent"];
    kinds.iter().count()
}

/// Messages have so many fields that they are selected in so many parts.
const PARTS: usize = 6;

/// Selects all of a type that is not marked as depending on the viewer, some levels deep, but of messages
/// only a part.
fn everything_but_marked(of: &str, part: usize) -> String {
    let (fields, members) = schema();
    Selection {
        fields,
        members,
        part,
    }
    .of(of, 5)
}

struct Selection {
    fields: Fields,
    members: BTreeMap<String, Vec<String>>,
    part: usize,
}

impl Selection {
    fn of(&self, of: &str, levels: usize) -> String {
        let Some(fields) = self.fields.get(of) else {
            let of_each = self.members[of].iter().map(|member| {
                let selected = self.of(member, levels);
                format!("... on {member} {{ {selected} }}")
            });
            return format!("__typename {}", of_each.collect::<Vec<_>>().join(" "));
        };
        let mut selected = vec!["__typename".to_owned()];
        for (n, field) in fields.iter().enumerate() {
            let is_marked = field
                .directives
                .iter()
                .any(|d| d.node.name.node == "perViewer");
            // Of a page, its items are enough.
            let is_twice = matches!(field.name.node.as_str(), "edges" | "pageInfo");
            let is_elsewhere = of == "Message" && n % PARTS != self.part;
            if is_marked || is_twice || is_elsewhere {
                continue;
            }
            let is_paged = field
                .arguments
                .iter()
                .any(|argument| argument.node.name.node == "first");
            let page = if is_paged { "(first: 2)" } else { "" };
            let name = field.name.node.as_str();
            let ty = named(&field.ty.node);
            if !self.fields.contains_key(ty) && !self.members.contains_key(ty) {
                selected.push(format!("{name}{page}"));
            } else if levels > 0 {
                let below = self.of(ty, levels - 1);
                selected.push(format!("{name}{page} {{ {below} }}"));
            }
        }
        selected.join(" ")
    }
}

fn named(ty: &Type) -> &str {
    match &ty.base {
        BaseType::Named(name) => name,
        BaseType::List(item) => named(item),
    }
}
