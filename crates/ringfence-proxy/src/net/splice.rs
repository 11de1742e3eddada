//! What becomes of a connection once its HTTP has ended: a tunnel.

use std::io;
use std::sync::Arc;

use hyper::upgrade::{OnUpgrade, Parts};
use hyper_util::rt::TokioIo;
use ringfence_core::Endpoint;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use super::carry::{Decided, carry, newly_inspected};
use super::inspect::Switched;
use super::join::join;
use super::line::{Counted, Line};
use super::live::Client;
use super::open::{Opened, Port};
use super::reply::Refusal;
use super::rewind::Rewind;

/// Bytes held per direction of a tunnel.
pub(super) const SPLICE_BUFFER_BYTES: usize = 64 * 1024;

/// A tunnel that starts once the client's HTTP has ended.
pub(super) enum Tunnel {
    /// Behind a CONNECT: what the client speaks is yet to be seen.
    Dialled {
        /// The client.
        client: OnUpgrade,
        /// Where it goes.
        endpoint: Endpoint,
        /// The connection there.
        opened: Opened,
    },
    /// Behind a 101, between two that agreed on it.
    Switched {
        /// The client.
        client: OnUpgrade,
        /// The server.
        server: OnUpgrade,
        /// Dropped at the end of the tunnel, which records it.
        line: Line,
    },
    /// The same, where the request for it was decided.
    Inspected(Box<Switched>),
}

impl Tunnel {
    /// The tunnel behind a CONNECT.
    pub(super) fn dialled(client: OnUpgrade, endpoint: Endpoint, opened: Opened) -> Tunnel {
        Tunnel::Dialled { client, endpoint, opened }
    }

    /// The tunnel behind a 101.
    pub(super) fn switched(client: OnUpgrade, server: OnUpgrade, line: Line) -> Tunnel {
        Tunnel::Switched { client, server, line }
    }

    /// The same, where what passes through it is seen by nobody from now on; not where each request
    /// is decided.
    pub(super) fn unseen(self, port: &Port, endpoint: &Endpoint) -> Result<Tunnel, Refusal> {
        if let Tunnel::Switched { line, .. } = &self {
            line.passes();
        }
        match newly_inspected(port, endpoint) {
            Some(reason) => Err(Refusal::Unreachable(reason)),
            None => Ok(self),
        }
    }

    /// Carries bytes until both sides are done or one fails; records the end.
    pub(super) async fn run(self, port: &Arc<Port>, who: &Client) {
        match self {
            Tunnel::Dialled { client, endpoint, mut opened } => match taken(client).await {
                Ok((client, early)) => {
                    // Boxed: what is carried may be HTTP again, and that may end in a tunnel.
                    let decided = Decided { client, early, endpoint, opened };
                    Box::pin(carry(port, who, decided)).await;
                }
                Err(error) => opened.line.fail(&error),
            },
            Tunnel::Switched { client, server, mut line } => {
                if let Err(error) = switch(client, server).await {
                    line.fail(&error);
                }
            }
            Tunnel::Inspected(switched) => switched.run().await,
        }
    }
}

async fn switch(client: OnUpgrade, server: OnUpgrade) -> io::Result<()> {
    let (mut client, early) = taken(client).await?;
    let server = server.await.map_err(io::Error::other)?;
    let Parts { io, read_buf: late, .. } =
        server.downcast::<TokioIo<Counted>>().map_err(|_| another_kind())?;
    let mut server = io.into_inner();
    let joined = async {
        server.write_all(&early).await?;
        client.write_all(&late).await?;
        join(&client, &server).await
    };
    let result = joined.await;
    if result.is_err() {
        // Best effort: without it the client sees an ordinary end.
        let _ = client.set_zero_linger();
        server.reset_on_close();
    }
    result
}

/// The socket below a client's connection, and what had been read ahead from it.
async fn taken(client: OnUpgrade) -> io::Result<(TcpStream, Vec<u8>)> {
    let client = client.await.map_err(io::Error::other)?;
    match client.downcast::<TokioIo<TcpStream>>() {
        Ok(Parts { io, read_buf, .. }) => Ok((io.into_inner(), read_buf.to_vec())),
        Err(client) => {
            let Parts { io, read_buf, .. } =
                client.downcast::<TokioIo<Rewind>>().map_err(|_| another_kind())?;
            let (stream, before) = io.into_inner().into_parts();
            Ok((stream, [read_buf.as_ref(), before.as_ref()].concat()))
        }
    }
}

fn another_kind() -> io::Error {
    io::Error::other("the connection is of another kind")
}
