//! GraphQL over WebSocket, graphql-transport-ws:
//! <https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md>.
//!
//! 1. [`open`] checks the origin, which browsers leave to the server, and upgrades.
//! 2. [`connection`] sees a socket through, in one task: a greeting, service, a close.
//! 3. [`greeting`]: `connection_init` within ten seconds, with a good token or none.
//! 4. [`serving`]: messages in, results out, and whatever ends it.
//! 5. [`socket`] is read when there may be something to read.
//! 6. [`protocol`] is the messages and the close codes; nothing else knows their spelling.
//!
//! Bounds: a user has so many sockets ([`seats`]); each is read at a certain pace ([`pace`]);
//! greetings, and the streams of all doors, begin in turns (`domain`'s `admission`).
//!
//! Backpressure: an operation's stream is asked for its next result only when the last one
//! has been written. A client that reads slowly makes its streams fall behind the bus, and
//! they go on from the database; nothing piles up here. One that does not read at all is
//! closed with 1013 and resumes by `after`.

mod connection;
mod greeting;
mod pace;
mod protocol;
mod seats;
mod serving;
mod socket;

pub(crate) use seats::Seats;

use axum::extract::{Request, WebSocketUpgrade};
use axum::http::StatusCode;
use axum::response::Response;

use crate::client::client;
use crate::http::error;
use crate::server::Place;
use crate::state::State;

use self::protocol::SUBPROTOCOL;

/// Largest message read whole. Larger than what is accepted, so that a message somewhat too
/// large is refused with a close code instead of a cut connection.
const READ_BYTES: usize = 256 * 1_024;
/// What clients send is mostly short. The default, 128 KiB, is kept by every socket and cleared
/// at every read: as measured, twice the processor time of a delivery.
const READ_BUFFER: usize = 1_024;
/// Messages that are written in one go gather here. A socket keeps what it once needed, so that
/// the default, 128 KiB, is too much.
const WRITE_BUFFER: usize = 4_096;

/// Upgrades a request to a socket.
pub(super) fn open(state: State, upgrade: WebSocketUpgrade, request: &Request) -> Response {
    if !state.origins().admit(request.headers()) {
        let message = "pages of this origin may not open a socket; see ALLOWED_ORIGINS";
        return error(StatusCode::FORBIDDEN, "origin_not_allowed", message);
    }
    let upgrade = upgrade
        .protocols([SUBPROTOCOL])
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(READ_BYTES)
        .max_frame_size(READ_BYTES);
    let offered = upgrade.selected_protocol().is_some();
    let client = client(&state, request);
    let place = request.extensions().get::<Place>().cloned();
    let streams = state.streams().clone();
    upgrade.on_upgrade(move |socket| {
        // Boxed: each future on the way would keep a place for it, to the end.
        let socket = Box::new(socket);
        streams.track_future(async move {
            if offered {
                connection::serve(socket, state, client).await;
            } else {
                connection::refuse_subprotocol(socket).await;
            }
            drop(place);
        })
    })
}
