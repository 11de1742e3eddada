//! Connections that were captured: where each was meant to go, said by the kernel, and what that
//! address stands for.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use ringfence_core::{Endpoint, HOST_SERVICE_NAME, Host};
use rustix::net::sockopt::{ip_original_dst, ipv6_original_dst};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use super::ahead::nothing;
use super::carry::{Decided, carry};
use super::claims::Claims;
use super::dns::{QUESTION_BYTES_MAX, answer};
use super::live::Client;
use super::names::Meaning;
use super::open::Port;
use super::turned_away;

/// The port of DNS.
const DNS_PORT: u16 = 53;

/// Why a connection to our own listener is refused.
const ITSELF: &str = "this is the net gate itself";

/// Serves one captured connection to its end, `target` being where it was meant to go.
pub(super) async fn serve(
    (port, client): (Arc<Port>, Client),
    stream: TcpStream,
    target: Result<SocketAddr, String>,
    _place: OwnedSemaphorePermit,
) {
    // Best effort: the client only waits longer without it.
    let _ = stream.set_nodelay(true);
    let target = match target {
        Ok(target) => target,
        Err(why) => return Box::pin(turn_away(&port, stream, &client, &why)).await,
    };
    if target.port() == DNS_PORT {
        // A client that breaks off has nothing to be told.
        let _ = questions(&port, stream).await;
        return;
    }
    let host = match port.names.meaning(target.ip()) {
        // Only where a world has no loopback of its own: this is the host's.
        _ if target.ip().is_loopback() => Host::Name(HOST_SERVICE_NAME.to_owned()),
        Meaning::Name(name) => Host::Name(name.to_string()),
        Meaning::Itself => Host::Address(target.ip().to_canonical()),
        Meaning::Nothing => {
            return turn_away(&port, stream, &client, &nothing(target.ip())).await;
        }
    };
    let endpoint = Endpoint { host, port: target.port() };
    match Box::pin(port.open(endpoint.clone(), &client)).await {
        Ok(opened) => {
            let decided = Decided { client: stream, early: Vec::new(), endpoint, opened };
            carry(&port, &client, decided).await;
        }
        Err(refusal) => {
            let response = refusal.into_reply(&port.config.denied);
            Box::pin(turned_away::refuse(stream, response)).await;
        }
    }
}

/// Where a captured connection was meant to go; the error says why it may not.
pub(super) fn target(stream: &TcpStream) -> Result<SocketAddr, String> {
    let own = stream.local_addr().map_err(|error| error.to_string())?;
    let target: io::Result<SocketAddr> = match own {
        SocketAddr::V4(_) => ip_original_dst(stream).map(Into::into).map_err(Into::into),
        SocketAddr::V6(_) => ipv6_original_dst(stream).map(Into::into).map_err(Into::into),
    };
    let target = target.map_err(|error| format!("the kernel does not say where to: {error}"))?;
    if target.ip() == own.ip() && target.port() == own.port() {
        return Err(ITSELF.to_owned());
    }
    Ok(target)
}

/// Where a connection was meant to go that was led here; the error says why it may not.
pub(super) fn claimed(claims: &Claims, client: SocketAddr) -> Result<SocketAddr, String> {
    claims.take(client).ok_or_else(|| ITSELF.to_owned())
}

/// Refuses what no policy could speak of, recorded and said.
async fn turn_away(port: &Port, stream: TcpStream, client: &Client, why: &str) {
    port.note_refused(client, ("connect", why)).await;
    turned_away::reset(&stream);
}

/// Answers questions for names over UDP, for as long as it is polled.
pub(super) async fn datagrams(port: Arc<Port>, socket: tokio::net::UdpSocket) {
    let mut question = vec![0; QUESTION_BYTES_MAX];
    loop {
        let Ok((count, from)) = socket.recv_from(&mut question).await else {
            // An earlier answer that nobody took; the next question may be there already.
            tokio::task::yield_now().await;
            continue;
        };
        let question = question.get(..count).unwrap_or_default();
        if let Some(answer) = answer(question, &port.names, port.families) {
            // A program that is gone has no use for it.
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

/// Answers questions for names over TCP (RFC 7766).
async fn questions(port: &Port, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let wait = port.config.limits.head_wait;
        let question = timeout(wait, async {
            let length = usize::from(stream.read_u16().await?);
            let mut question = vec![0; length];
            stream.read_exact(&mut question).await?;
            Ok::<_, io::Error>(question)
        });
        let question = question.await.map_err(|_| io::ErrorKind::TimedOut)??;
        let Some(answer) = answer(&question, &port.names, port.families) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}

/// A socket that was bound elsewhere, for the gate's thread.
pub(super) fn adopt(socket: UdpSocket) -> io::Result<tokio::net::UdpSocket> {
    socket.set_nonblocking(true)?;
    tokio::net::UdpSocket::from_std(socket)
}
