//! What is known of the program on the other side of a request: the one place that says so.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::header::USER_AGENT;
use axum::http::{HeaderName, Request};
use backchannel_domain::client::Client;

use crate::state::State;

/// What the device is called, as the desktop app says.
const DEVICE_NAME: HeaderName = HeaderName::from_static("x-device-name");

/// The other end of a connection, in each request that comes in by it.
#[derive(Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

/// The program that sends a request, or opens a socket by it.
pub(crate) fn client<B>(state: &State, request: &Request<B>) -> Arc<Client> {
    let peer = request.extensions().get::<Peer>();
    let header = |name: HeaderName| {
        let value = request.headers().get(name)?;
        Some(String::from_utf8_lossy(value.as_bytes()))
    };
    Arc::new(Client::new(
        peer.map(|Peer(address)| state.proxies().origin(*address, request.headers())),
        header(USER_AGENT).as_deref(),
        header(DEVICE_NAME).as_deref(),
    ))
}
