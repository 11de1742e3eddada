//! Two sockets joined: bytes pass both ways untouched, a half-close passes too.

use std::io;

use hyper::upgrade::{OnUpgrade, Parts, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncWriteExt, copy_bidirectional_with_sizes};
use tokio::net::TcpStream;

use super::line::{Counted, Line};
use super::open::Opened;

/// Bytes held per direction of a tunnel.
const SPLICE_BUFFER_BYTES: usize = 64 * 1024;

/// A tunnel that starts once the client's HTTP has ended.
pub(super) struct Tunnel {
    client: OnUpgrade,
    server: Server,
    /// Dropped at the end of the tunnel, which records it.
    line: Line,
}

/// The upstream's end of a tunnel.
enum Server {
    /// Dialled for a CONNECT.
    Dialled(Counted),
    /// Left by an HTTP exchange that switched protocols.
    Switched(OnUpgrade),
}

impl Tunnel {
    /// The tunnel behind a CONNECT.
    pub(super) fn dialled(client: OnUpgrade, opened: Opened) -> Tunnel {
        let Opened { stream, line } = opened;
        Tunnel { client, server: Server::Dialled(stream), line }
    }

    /// The tunnel behind a 101.
    pub(super) fn switched(client: OnUpgrade, server: OnUpgrade, line: Line) -> Tunnel {
        Tunnel { client, server: Server::Switched(server), line }
    }

    /// Carries bytes until both sides are done or one fails; records the end.
    pub(super) async fn run(mut self) {
        if let Err(error) = join(self.client, self.server).await {
            self.line.fail(&error);
        }
    }
}

async fn join(client: OnUpgrade, server: Server) -> io::Result<()> {
    let (mut client, early) = take::<TcpStream>(client.await.map_err(io::Error::other)?)?;
    let (mut server, late) = match server {
        Server::Dialled(stream) => (stream, Vec::new()),
        Server::Switched(server) => take::<Counted>(server.await.map_err(io::Error::other)?)?,
    };
    let joined = async {
        server.write_all(&early).await?;
        client.write_all(&late).await?;
        let size = SPLICE_BUFFER_BYTES;
        copy_bidirectional_with_sizes(&mut client, &mut server, size, size).await
    };
    let result = joined.await;
    if result.is_err() {
        // Best effort: without it the client sees an ordinary end.
        let _ = client.set_zero_linger();
        server.reset_on_close();
    }
    result.map(|_| ())
}

/// The socket below an upgraded connection, and what had been read ahead from it.
fn take<S>(upgraded: Upgraded) -> io::Result<(S, Vec<u8>)>
where
    TokioIo<S>: hyper::rt::Read + hyper::rt::Write + Unpin + 'static,
{
    match upgraded.downcast::<TokioIo<S>>() {
        Ok(Parts { io, read_buf, .. }) => Ok((io.into_inner(), read_buf.to_vec())),
        Err(_) => Err(io::Error::other("the connection is of another kind")),
    }
}
