//! coturn, the TURN server that relays calls.

use std::path::PathBuf;

use tokio::sync::OnceCell;

use super::watchdog::{Kind, Server};
use super::{missing, program_directory};

/// A TURN server of this test process, on loopback alone.
#[derive(Debug)]
pub(crate) struct Coturn {
    server: Server,
}

impl Coturn {
    /// What the server and the nodes share: credentials made with it are accepted.
    pub(crate) const SECRET: &'static str = "the secret of coturn and of the nodes";

    /// The one server that all tests of this process share; the first caller starts it.
    pub(crate) async fn shared() -> &'static Self {
        static SHARED: OnceCell<Coturn> = OnceCell::const_new();
        SHARED.get_or_init(Self::launch).await
    }

    /// Where clients reach it, as in `TURN_URLS`.
    pub(crate) fn urls(&self) -> String {
        let address = format!("turn:127.0.0.1:{}", self.server.port);
        format!("{address}?transport=udp,{address}?transport=tcp")
    }

    /// Relayed ports are coturn's usual ones, from 49152: it looks for free ones itself.
    async fn launch() -> Self {
        let script = format!(
            "exec \"$bin/turnserver\" -n --verbose --log-file=stdout --pidfile=\"$PWD/pid\" \
             --userdb=\"$PWD/users\" --listening-ip=127.0.0.1 --listening-port=\"$port\" \
             --relay-ip=127.0.0.1 --allow-loopback-peers --relay-threads=1 --no-tls --no-dtls \
             --no-cli --realm=backchannel --use-auth-secret --static-auth-secret='{}'",
            Self::SECRET
        );
        let server = Server::launch(&Kind {
            name: "coturn",
            script,
            bin: coturn_bin(),
            user: None,
            end_signal: "KILL",
            ready: "UDP listener opened on",
            port_taken: "Cannot bind",
        })
        .await;
        Self { server }
    }
}

/// The directory of `turnserver`.
fn coturn_bin() -> PathBuf {
    program_directory("turnserver")
        .unwrap_or_else(|| missing("the TURN server coturn (turnserver)", "coturn"))
}
