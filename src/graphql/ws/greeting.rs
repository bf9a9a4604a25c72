//! Who a socket is, and for how long.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::WebSocket;
use backchannel_domain::bus::SessionWatch;
use backchannel_domain::client::Client;
use backchannel_domain::error::Unauthenticated;
use backchannel_domain::{Cx, Error};
use tokio::time::{Instant, timeout, timeout_at};

use crate::auth;
use crate::graphql::ending::Ending;
use crate::state::State;

use super::connection::{Stop, incoming, write};
use super::pace::Pace;
use super::protocol::{self, Close, Incoming};
use super::seats::Seat;

/// How long the greeting may take.
const INIT: Duration = Duration::from_secs(10);
/// How long a renewal may take; nothing else is read from the socket meanwhile.
const RENEWAL: Duration = Duration::from_secs(10);

const FORBIDDEN: Close = Close::Forbidden("Forbidden");

/// A greeted socket.
pub(super) struct Greeted {
    pub(super) cx: Cx,
    pub(super) ending: Ending,
    pub(super) pace: Pace,
    /// A user's; nobody in particular needs none.
    pub(super) seat: Option<Seat>,
}

/// Waits for `connection_init` and learns who it is.
pub(super) async fn greet(
    socket: &mut WebSocket,
    state: &State,
    client: Arc<Client>,
) -> Result<Greeted, Stop> {
    let draining = state.draining();
    tokio::select! {
        biased;
        () = draining.cancelled() => Err(Close::Restarting.into()),
        greeted = greet_in_time(socket, state, client) => greeted,
    }
}

async fn greet_in_time(
    socket: &mut WebSocket,
    state: &State,
    client: Arc<Client>,
) -> Result<Greeted, Stop> {
    let deadline = Instant::now() + INIT;
    let mut pace = Pace::new(state.rate_limits());
    loop {
        let next = async {
            pace.keep().await;
            socket.recv().await
        };
        let received = timeout_at(deadline, next).await;
        pace.count();
        match incoming(received.map_err(|_| Close::InitTimeout)?)? {
            None | Some(Incoming::Pong | Incoming::Complete { .. }) => {}
            Some(Incoming::Ping { payload }) => {
                write(socket, vec![protocol::pong(payload.as_deref())]).await?;
            }
            // Of what is nobody's yet there is nothing to renew.
            Some(Incoming::Renew { .. }) => write(socket, vec![protocol::pong(None)]).await?,
            Some(Incoming::Subscribe { .. }) => return Err(Close::Unauthorized.into()),
            Some(Incoming::Init { token }) => {
                let known = authenticate(state, token.as_deref(), client);
                let known = timeout_at(deadline, known).await;
                let (cx, session) = known.map_err(|_| Close::TryAgainLater)??;
                let seat = seat(state, &cx)?;
                write(socket, vec![protocol::ack()]).await?;
                let ending = Ending::of(state, &cx, session);
                return Ok(Greeted {
                    cx,
                    ending,
                    pace,
                    seat,
                });
            }
        }
    }
}

async fn authenticate(
    state: &State,
    token: Option<&str>,
    client: Arc<Client>,
) -> Result<(Cx, Option<SessionWatch>), Close> {
    let Some(token) = token else {
        let nobody = state.domain().anonymous(Unauthenticated::NoToken);
        return Ok((nobody.asked_by(client), None));
    };
    let token = auth::strip_scheme(token);
    let known = state.domain().authenticate_and_watch(token, client);
    match state.admission().in_turn(known).await {
        Ok((cx, watch)) => Ok((cx, Some(watch))),
        Err(Error::Unauthenticated(_)) => Err(FORBIDDEN),
        Err(error) => {
            tracing::error!(%error, "authenticating a socket failed");
            Err(Close::TryAgainLater)
        }
    }
}

fn seat(state: &State, cx: &Cx) -> Result<Option<Seat>, Close> {
    match cx.signed_in() {
        Ok(signed_in) => {
            let seat = state.seats().take(signed_in.user.id);
            seat.map(Some).ok_or(Close::TooManySockets)
        }
        Err(_) => Ok(None),
    }
}

/// The actor of a new token, which must be of the socket's own session; none when that
/// cannot be learned just now. The session is watched already.
pub(super) async fn renew(state: State, before: Cx, token: String) -> Result<Option<Cx>, Close> {
    let token = auth::strip_scheme(&token);
    let client = Arc::clone(before.client());
    let known = state.domain().authenticate(Some(token), client);
    let cx = match timeout(RENEWAL, state.admission().in_turn(known)).await {
        Ok(Ok(cx)) => cx,
        Ok(Err(error)) => {
            tracing::error!(%error, "renewing a socket's token failed");
            return Ok(None);
        }
        Err(_) => return Ok(None),
    };
    let session_of = |cx: &Cx| cx.signed_in().map(|signed_in| signed_in.session_id);
    match (session_of(&cx), session_of(&before)) {
        (Ok(new), Ok(own)) if new == own => Ok(Some(cx)),
        (Ok(_) | Err(_), Ok(_) | Err(_)) => Err(FORBIDDEN),
    }
}
