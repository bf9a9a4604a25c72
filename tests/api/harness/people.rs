//! People as values: `ann.sends(&room, "hi").await`.

use std::time::Duration;

use serde_json::{Value, json};

use super::app::App;
use super::clients::{Answer, Ended, Http, Socket};
use super::until;

/// Good enough for every test account.
pub(crate) const PASSWORD: &str = "correct horse battery 9";

/// What a stream selects of each event.
pub(crate) const EVENTS: &str = "subscription($id: ID!, $after: Int) {
    conversationEvents(conversationId: $id, after: $after) {
        __typename conversationId seq at actor { id displayName }
        ... on MessageSent { message { ...Message } }
        ... on MessageEdited { message { ...Message } }
        ... on MessageDeleted { message { ...Message } }
        ... on MemberJoined { member { user { id } role joinedAt } }
        ... on MemberLeft { user { id } }
        ... on MemberRoleChanged { member { user { id } role } }
        ... on CallEnded { call { id outcome } }
        ... on ConversationUpdated { details { title description avatarUrl archivedAt settings { onlyAdminsSend slowModeSeconds } } }
        ... on ConversationDeleted { deletedAt }
        ... on MessageReactionsChanged { message { ...Message } }
        ... on MessagePinned { message { ...Message } }
        ... on MessageUnpinned { message { ...Message } }
        ... on PollChanged { message { ...Message } }
    }
}
fragment Message on Message { id seq text sender { id } clientMessageId createdAt editedAt deletedAt reactions { emoji count } pinnedAt poll { isClosed voterCount options { number count } } }";

/// What a stream of everything selects: of each event the same.
pub(crate) fn viewer_events() -> String {
    let (_, fields) = EVENTS.split_once("$after) {").expect("the fields");
    let (fields, fragment) = fields.split_once("}\nfragment").expect("a fragment");
    let head = "subscription($after: Cursor) { viewerEvents(after: $after) { cursor event {";
    format!("{head} {fields} }} }} fragment {fragment}")
}

/// Where people are on: a node's GraphQL endpoint, and a client for it.
#[derive(Clone)]
pub(crate) struct Node {
    pub(crate) endpoint: String,
    pub(crate) http: Http,
}

/// Somebody signed in on a node.
#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) email: String,
    /// Global id.
    pub(crate) id: String,
    pub(crate) token: String,
    pub(crate) refresh_token: String,
    node: Node,
}

/// A conversation.
#[derive(Clone, Debug)]
pub(crate) struct Room {
    pub(crate) id: String,
}

/// A message that was acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sent {
    pub(crate) id: String,
    pub(crate) seq: i64,
}

impl Person {
    pub(crate) async fn register(node: &Node, name: &str) -> Self {
        Self::register_with(node, name, None).await
    }

    /// Somebody who has a phone number, perhaps.
    pub(crate) async fn register_with(node: &Node, name: &str, phone: Option<&str>) -> Self {
        let email = format!("{}@example.com", name.to_lowercase().replace(' ', "."));
        let query = "mutation($input: RegisterInput!) {
            register(input: $input) { accessToken refreshToken viewer { user { id } } }
        }";
        let input =
            json!({ "email": email, "phone": phone, "password": PASSWORD, "displayName": name });
        let body = json!({ "query": query, "variables": { "input": input } });
        let answer = node.http.post(&node.endpoint, None, &body).await.json();
        let session = &answer["data"]["register"];
        Self {
            name: name.to_owned(),
            email,
            id: text(&session["viewer"]["user"]["id"]),
            token: text(&session["accessToken"]),
            refresh_token: text(&session["refreshToken"]),
            node: node.clone(),
        }
    }

    /// The same person, signed in once more.
    pub(crate) async fn signs_in_again(&self) -> Self {
        let query = "mutation($input: SignInInput!) {
            signIn(input: $input) { accessToken refreshToken }
        }";
        let input = json!({ "email": self.email, "password": PASSWORD });
        let session = self.asks(query, json!({ "input": input })).await["signIn"].clone();
        Self {
            token: text(&session["accessToken"]),
            refresh_token: text(&session["refreshToken"]),
            ..self.clone()
        }
    }

    /// The same person by another session.
    pub(crate) fn by(&self, token: &Value) -> Self {
        Self {
            token: text(token),
            ..self.clone()
        }
    }

    /// The same session on another node.
    pub(crate) fn on(&self, app: &App) -> Self {
        self.at(app.node())
    }

    /// The same session on another node.
    pub(crate) fn at(&self, node: Node) -> Self {
        Self {
            node,
            ..self.clone()
        }
    }

    /// The same session over connections that nobody else uses.
    pub(crate) fn with_connections_of_their_own(&self) -> Self {
        let endpoint = self.node.endpoint.clone();
        let http = Http::new();
        Self {
            node: Node { endpoint, http },
            ..self.clone()
        }
    }

    /// The whole answer to a request.
    pub(crate) async fn request(&self, query: &str, variables: Value) -> Answer {
        let body = json!({ "query": query, "variables": variables });
        self.node
            .http
            .post(&self.node.endpoint, Some(&self.token), &body)
            .await
    }

    /// The data of a request that must succeed.
    pub(crate) async fn asks(&self, query: &str, variables: Value) -> Value {
        let mut answer = self.request(query, variables).await.json();
        assert_eq!(
            answer["errors"],
            Value::Null,
            "asked by {}: {query}",
            self.name
        );
        answer["data"].take()
    }

    /// The code of the one error of a request that must fail.
    pub(crate) async fn is_refused(&self, query: &str, variables: Value) -> String {
        text(&self.is_refused_with(query, variables).await["code"])
    }

    /// The extensions of the one error of a request that must fail.
    pub(crate) async fn is_refused_with(&self, query: &str, variables: Value) -> Value {
        let answer = self.request(query, variables).await.json();
        let errors = answer["errors"]
            .as_array()
            .unwrap_or_else(|| panic!("refused: {answer}"));
        assert_eq!(errors.len(), 1, "{answer}");
        errors[0]["extensions"].clone()
    }

    pub(crate) async fn makes(&self, input: Value) -> Room {
        let query = "mutation($input: CreateConversationInput!) {
            createConversation(input: $input) { conversation { id } }
        }";
        let made = self.asks(query, json!({ "input": input })).await;
        Room {
            id: text(&made["createConversation"]["conversation"]["id"]),
        }
    }

    pub(crate) async fn makes_group(&self, title: &str, others: &[&Self]) -> Room {
        let members: Vec<_> = others.iter().map(|other| other.id.as_str()).collect();
        self.makes(json!({ "kind": "GROUP", "title": title, "memberIds": members }))
            .await
    }

    pub(crate) async fn sends(&self, room: &Room, text: &str) -> Sent {
        let input = json!({ "conversationId": room.id, "text": text });
        Sent::of(&self.asks(SEND, json!({ "input": input })).await)
    }

    pub(crate) async fn sends_with_key(&self, room: &Room, text: &str, key: &str) -> Sent {
        let input = json!({ "conversationId": room.id, "text": text, "clientMessageId": key });
        Sent::of(&self.asks(SEND, json!({ "input": input })).await)
    }

    pub(crate) async fn edits(&self, message: &Sent, text: &str) {
        let input = json!({ "messageId": message.id, "text": text });
        self.asks(EDIT, json!({ "input": input })).await;
    }

    pub(crate) async fn deletes(&self, message: &Sent) {
        self.asks(DELETE, json!({ "input": { "messageId": message.id } }))
            .await;
    }

    pub(crate) async fn adds(&self, room: &Room, others: &[&Self]) {
        let users: Vec<_> = others.iter().map(|other| other.id.as_str()).collect();
        let input = json!({ "conversationId": room.id, "userIds": users });
        self.asks(ADD, json!({ "input": input })).await;
    }

    pub(crate) async fn removes(&self, room: &Room, other: &Self) {
        let input = json!({ "conversationId": room.id, "userId": other.id });
        self.asks(REMOVE, json!({ "input": input })).await;
    }

    /// Changes a conversation; answers it.
    pub(crate) async fn updates(&self, room: &Room, change: Value) -> Value {
        let mut input = change;
        input["conversationId"] = json!(room.id);
        let updated = self.asks(UPDATE, json!({ "input": input })).await;
        updated["updateConversation"]["conversation"].clone()
    }

    /// Gives somebody another role.
    pub(crate) async fn sets_role(&self, room: &Room, other: &Self, role: &str) {
        let input = json!({ "conversationId": room.id, "userId": other.id, "role": role });
        let set = self.asks(SET_ROLE, json!({ "input": input })).await;
        assert_eq!(set["setMemberRole"]["member"]["role"], role);
    }

    pub(crate) async fn last_seq(&self, room: &Room) -> i64 {
        let query = "query($id: ID!) { conversation(id: $id) { lastSeq } }";
        let found = self.asks(query, json!({ "id": room.id })).await;
        found["conversation"]["lastSeq"].as_i64().expect("a number")
    }

    /// Follows a conversation over a WebSocket of its own.
    pub(crate) async fn follows(&self, room: &Room, after: Option<i64>) -> Following {
        let mut socket = self.opens_socket().await;
        socket
            .subscribe("1", EVENTS, &json!({ "id": room.id, "after": after }))
            .await;
        Following {
            socket,
            field: "conversationEvents",
        }
    }

    /// Follows how far the members of a conversation come; the stream is open when this
    /// returns.
    pub(crate) async fn follows_receipts(&self, app: &App, room: &Room) -> Following {
        self.follows_signals(app, room, RECEIPTS, "receiptAdvanced")
            .await
    }

    /// Follows who types in a conversation; the stream is open when this returns.
    pub(crate) async fn follows_typing(&self, app: &App, room: &Room) -> Following {
        self.follows_signals(app, room, TYPING, "typingChanged")
            .await
    }

    async fn follows_signals(
        &self,
        app: &App,
        room: &Room,
        query: &str,
        field: &'static str,
    ) -> Following {
        let before = app.domain.open_signal_streams();
        let mut socket = self.on(app).opens_socket().await;
        socket
            .subscribe("1", query, &json!({ "id": room.id }))
            .await;
        until("the stream is open", || async {
            app.domain.open_signal_streams() > before
        })
        .await;
        Following { socket, field }
    }

    /// Marks as read; answers the member.
    pub(crate) async fn reads(&self, room: &Room, seq: i64) -> Value {
        let input = json!({ "conversationId": room.id, "seq": seq });
        self.asks(MARK_READ, json!({ "input": input })).await["markRead"]["member"].clone()
    }

    /// Marks as delivered to this device; answers the member.
    pub(crate) async fn receives(&self, room: &Room, seq: i64) -> Value {
        let input = json!({ "conversationId": room.id, "seq": seq });
        self.asks(MARK_DELIVERED, json!({ "input": input })).await["markDelivered"]["member"]
            .clone()
    }

    /// Says whether they are typing.
    pub(crate) async fn types(&self, room: &Room, typing: bool) {
        let input = json!({ "conversationId": room.id, "typing": typing });
        self.asks(SET_TYPING, json!({ "input": input })).await;
    }

    /// Switches read receipts on or off.
    pub(crate) async fn sets_read_receipts(&self, enabled: bool) {
        let set = self.asks(
            SET_READ_RECEIPTS,
            json!({ "input": { "enabled": enabled } }),
        );
        assert_eq!(
            set.await["setReadReceipts"]["viewer"]["readReceipts"],
            enabled
        );
    }

    /// Follows all conversations over a WebSocket of its own.
    pub(crate) async fn follows_all(&self, after: Option<&str>) -> FollowingAll {
        let mut socket = self.opens_socket().await;
        let after = json!({ "after": after });
        socket.subscribe("1", &viewer_events(), &after).await;
        FollowingAll { socket }
    }

    /// Where the stream of all conversations stands now.
    pub(crate) async fn event_cursor(&self) -> String {
        let found = self.asks("{ viewer { eventCursor } }", json!({})).await;
        text(&found["viewer"]["eventCursor"])
    }

    pub(crate) async fn opens_socket(&self) -> Socket {
        Socket::open(&self.node.endpoint, Some(&self.token)).await
    }
}

pub(crate) const SEND: &str =
    "mutation($input: SendMessageInput!) { sendMessage(input: $input) { message { id seq } } }";
pub(crate) const EDIT: &str =
    "mutation($input: EditMessageInput!) { editMessage(input: $input) { message { id text } } }";
pub(crate) const DELETE: &str =
    "mutation($input: DeleteMessageInput!) { deleteMessage(input: $input) { message { id } } }";
pub(crate) const ADD: &str =
    "mutation($input: AddMembersInput!) { addMembers(input: $input) { conversation { id } } }";
pub(crate) const REMOVE: &str =
    "mutation($input: RemoveMemberInput!) { removeMember(input: $input) { conversation { id } } }";

pub(crate) const UPDATE: &str = "mutation($input: UpdateConversationInput!) {
    updateConversation(input: $input) { conversation { title description avatarUrl lastSeq } }
}";
pub(crate) const JOIN_ROOM: &str =
    "mutation($input: JoinRoomInput!) { joinRoom(input: $input) { conversation { id lastSeq } } }";
pub(crate) const SET_ROLE: &str =
    "mutation($input: SetMemberRoleInput!) { setMemberRole(input: $input) { member { role } } }";

pub(crate) const MARK_READ: &str =
    "mutation($input: MarkInput!) { markRead(input: $input) { member { deliveredSeq readSeq } } }";
pub(crate) const MARK_DELIVERED: &str = "mutation($input: MarkInput!) { markDelivered(input: $input) { member { deliveredSeq readSeq } } }";
pub(crate) const SET_TYPING: &str =
    "mutation($input: SetTypingInput!) { setTyping(input: $input) { ok } }";
pub(crate) const SET_READ_RECEIPTS: &str = "mutation($input: SetReadReceiptsInput!) {
    setReadReceipts(input: $input) { viewer { readReceipts } }
}";
pub(crate) const RECEIPTS: &str = "subscription($id: ID!) { receiptAdvanced(conversationId: $id) {
    conversationId userId deliveredSeq readSeq at
    others { conversationId userId deliveredSeq readSeq at }
} }";
pub(crate) const TYPING: &str = "subscription($id: ID!) {
    typingChanged(conversationId: $id) { conversationId userId typing }
}";

impl Sent {
    pub(crate) fn of(data: &Value) -> Self {
        let message = &data["sendMessage"]["message"];
        Self {
            id: text(&message["id"]),
            seq: message["seq"].as_i64().expect("a number"),
        }
    }
}

/// A stream of a conversation.
pub(crate) struct Following {
    pub(crate) socket: Socket,
    field: &'static str,
}

impl Following {
    /// The next event.
    pub(crate) async fn next(&mut self) -> Value {
        let message = self.socket.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        message["payload"]["data"][self.field].clone()
    }

    /// The next `count` events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Value> {
        let mut events = Vec::with_capacity(count);
        for _ in 0..count {
            events.push(self.next().await);
        }
        events
    }

    /// The stream completes; nothing comes before that.
    pub(crate) async fn completes(&mut self) {
        let message = self.socket.next().await.expect("the socket stays open");
        assert_eq!(message["type"], "complete", "{message}");
    }

    /// How the socket ends, whatever comes before.
    pub(crate) async fn ends(mut self) -> Ended {
        self.socket.ended().await
    }
}

/// A stream of the events of all conversations.
pub(crate) struct FollowingAll {
    pub(crate) socket: Socket,
}

impl FollowingAll {
    /// The next event and the cursor with it.
    pub(crate) async fn next(&mut self) -> (Value, String) {
        let message = self.socket.next().await.expect("the stream goes on");
        assert_eq!(message["type"], "next", "{message}");
        assert_eq!(message["payload"]["errors"], Value::Null, "{message}");
        let news = &message["payload"]["data"]["viewerEvents"];
        (news["event"].clone(), text(&news["cursor"]))
    }

    /// The next event and its cursor, if there is one before long.
    pub(crate) async fn next_within(&mut self, a_while: Duration) -> Option<(Value, String)> {
        tokio::time::timeout(a_while, self.next()).await.ok()
    }

    /// The next `count` events, and the cursor with the last.
    pub(crate) async fn take(&mut self, count: usize) -> (Vec<Value>, String) {
        let (mut events, mut cursor) = (Vec::with_capacity(count), String::new());
        for _ in 0..count {
            let (event, with) = self.next().await;
            events.push(event);
            cursor = with;
        }
        (events, cursor)
    }
}

pub(crate) fn text(value: &Value) -> String {
    value
        .as_str()
        .unwrap_or_else(|| panic!("expected a string, found {value}"))
        .to_owned()
}

pub(crate) fn seqs(events: &[Value]) -> Vec<i64> {
    events
        .iter()
        .map(|event| event["seq"].as_i64().expect("a number"))
        .collect()
}
