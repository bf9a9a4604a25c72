//! A message on its way from the commit to those who listen: executed, and encoded for each.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use serde_json::{Value, json};

use crate::node::{Answers, Node, Person, data, request, take};

/// The same, as different clients write it.
const SHARED: [&str; 3] = [
    "subscription($id: ID!) { conversationEvents(conversationId: $id, after: 0) {
        seq at ... on MessageSent { message { id text createdAt sender { id displayName } } }
    } }",
    "# A comment.
    subscription Named($which: ID!) { conversationEvents(conversationId: $which, after: 0) {
        seq, at, ...Sent
    } }
    fragment Sent on MessageSent { message { id, text, createdAt, sender { id, displayName } } }",
    "subscription On($id:ID!,$after:Int=0){conversationEvents(after:$after conversationId:$id){seq at ...on MessageSent{message{id text createdAt sender{id displayName}}}}}",
];

/// What depends on who asks, and is executed for each.
const PER_VIEWER: [&str; 1] = ["subscription($id: ID!) {
    conversationEvents(conversationId: $id, after: 0) {
        seq at ... on MessageSent { message { conversation { unreadCount } id text } }
    } }"];

struct Conversation {
    node: Node,
    ann: Person,
    id: String,
    listeners: Vec<Answers>,
}

impl Conversation {
    /// A conversation with so many listeners, who write what they ask in one of the `forms` each.
    fn followed_by(listeners: usize, forms: &[&str]) -> Self {
        let node = Node::new();
        let [ann, bob] = ["Ann", "Bob"].map(|name| node.person(name));
        let id = node.conversation(&ann, &[&bob]);
        let requests = forms.iter().cycle().take(listeners).map(|form| {
            let name = if form.contains("$which") {
                "which"
            } else {
                "id"
            };
            request(*form, json!({ name: id }))
        });
        let listeners = requests.map(|request| node.subscribe(&bob, request));
        let listeners = listeners.collect();
        let mut conversation = Self {
            node,
            ann,
            id,
            listeners,
        };
        conversation.open();
        conversation
    }

    /// Has the streams opened by a first message, and looks at what they bring.
    fn open(&mut self) {
        self.node.send(&self.ann, &self.id);
        for listener in &mut self.listeners {
            let mut text = String::new();
            self.node.run(take(listener, &mut text));
            let event = &data(&text)["conversationEvents"];
            assert_eq!(event["seq"], 1, "{event}");
            assert_ne!(event["message"]["text"], Value::Null, "{event}");
        }
    }

    /// Measures messages, from when each is committed until everybody has its bytes.
    fn deliver(&mut self, bencher: Bencher) {
        let Self {
            node,
            ann,
            id,
            listeners,
        } = self;
        let mut text = String::new();
        bencher
            .counter(ItemsCount::new(listeners.len()))
            .with_inputs(|| node.send(ann, id))
            .bench_local_values(|()| {
                node.run(async {
                    for listener in &mut *listeners {
                        text.clear();
                        take(listener, &mut text).await;
                        black_box(&text);
                    }
                });
            });
    }
}

/// The message is executed once. One at a time: each is sent before its time is taken.
#[divan::bench(args = [1, 1_000], sample_size = 1)]
fn shared(bencher: Bencher, listeners: usize) {
    Conversation::followed_by(listeners, &SHARED).deliver(bencher);
}

/// The message is executed for each, and here something is read each time.
#[divan::bench(args = [1, 100], sample_size = 1, sample_count = 30)]
fn per_viewer(bencher: Bencher, listeners: usize) {
    Conversation::followed_by(listeners, &PER_VIEWER).deliver(bencher);
}
