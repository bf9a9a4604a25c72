//! A wire between a node and Postgres that is cut at a chosen word.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// When the connection is cut that has said the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// Before the server hears the last one.
    Before,
    /// After the server has answered it, and before the node hears that.
    After,
}

/// Carries a node's connections to Postgres. Ends with its runtime.
pub(crate) struct Wire(Arc<Mutex<VecDeque<Order>>>);

#[derive(Clone)]
struct Order {
    cut: Cut,
    words: Vec<Vec<u8>>,
}

impl Wire {
    /// A wire to the server of a database, and the database's URL by that way.
    pub(crate) async fn to(database: &str) -> (Self, String) {
        let (_, address) = database.split_once('@').expect("a database's URL");
        let (address, name) = address.split_once('/').expect("a database's URL");
        let address = address.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        let url = format!("postgres://postgres@127.0.0.1:{port}/{name}");
        let wire = Self(Arc::default());
        let orders = Arc::clone(&wire.0);
        tokio::spawn(async move {
            while let Ok((node, _)) = listener.accept().await {
                let server = TcpStream::connect(&address).await.expect("Postgres is up");
                tokio::spawn(carry(node, server, Arc::clone(&orders)));
            }
        });
        (wire, url)
    }

    /// Cuts, once, the connection on which the node says all of these, one after the other; that
    /// is after what was ordered before.
    pub(crate) fn cuts(&self, cut: Cut, words: &[&str]) {
        let words = words.iter().map(|word| word.as_bytes().to_vec()).collect();
        let mut orders = self.0.lock().expect("no holder panics");
        orders.push_back(Order { cut, words });
    }

    /// Whether all that was ordered is done.
    pub(crate) fn has_cut(&self) -> bool {
        self.0.lock().expect("no holder panics").is_empty()
    }
}

/// Carries bytes both ways until either end closes, or the order is carried out.
async fn carry(mut node: TcpStream, mut server: TcpStream, orders: Arc<Mutex<VecDeque<Order>>>) {
    let mut said = Vec::new();
    let (mut to_server, mut to_node) = ([0; 16_384], [0; 16_384]);
    loop {
        let written = tokio::select! {
            read = node.read(&mut to_server) => {
                let Ok(count @ 1..) = read else { return };
                said.extend_from_slice(&to_server[..count]);
                match take_if_said(&orders, &mut said) {
                    None => server.write_all(&to_server[..count]).await,
                    Some(Cut::Before) => return,
                    Some(Cut::After) => {
                        let _ = server.write_all(&to_server[..count]).await;
                        let _ = server.read(&mut to_node).await;
                        return;
                    }
                }
            }
            read = server.read(&mut to_node) => {
                let Ok(count @ 1..) = read else { return };
                node.write_all(&to_node[..count]).await
            }
        };
        if written.is_err() {
            return;
        }
    }
}

/// Takes the next order if all its words have been said. What was said while there was none is
/// forgotten.
fn take_if_said(orders: &Mutex<VecDeque<Order>>, said: &mut Vec<u8>) -> Option<Cut> {
    let mut orders = orders.lock().expect("no holder panics");
    let Some(Order { words, .. }) = orders.front() else {
        said.clear();
        return None;
    };
    let mut rest = said.as_slice();
    for word in words {
        let at = rest.windows(word.len()).position(|window| window == word)?;
        rest = &rest[at + word.len()..];
    }
    orders.pop_front().map(|order| order.cut)
}
