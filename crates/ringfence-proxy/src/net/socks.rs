//! SOCKS 5 (RFC 1928), for programs that insist on it: CONNECT without authentication.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ringfence_core::{Endpoint, Host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The first byte of everything that is said.
pub(super) const VERSION: u8 = 5;

const NO_AUTHENTICATION: u8 = 0;
const NO_METHOD: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// How a request was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reply {
    /// It stands.
    Done = 0,
    /// The policy says no.
    NotAllowed = 2,
    /// It did not come about.
    Unreachable = 4,
    /// Not CONNECT.
    UnknownCommand = 7,
    /// No address that could be decided about.
    UnknownAddress = 8,
}

/// What a client has said so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said<T> {
    /// Not all of it.
    More,
    /// This, in so many bytes.
    Whole(T, usize),
    /// Something that gets this answer.
    Wrong(Reply),
}

/// Whether a client's greeting offers to go without authentication.
pub fn greeting(said: &[u8]) -> Said<bool> {
    let [version, count, methods @ ..] = said else { return Said::More };
    if *version != VERSION {
        return Said::Wrong(Reply::UnknownCommand);
    }
    let count = usize::from(*count);
    match methods.get(..count) {
        Some(methods) => Said::Whole(methods.contains(&NO_AUTHENTICATION), count.saturating_add(2)),
        None => Said::More,
    }
}

/// Where a client wants to go.
pub fn request(said: &[u8]) -> Said<Endpoint> {
    let [version, command, _, kind, rest @ ..] = said else { return Said::More };
    if *version != VERSION || *command != CONNECT {
        return Said::Wrong(Reply::UnknownCommand);
    }
    let (length, before) = match *kind {
        IPV4 => (4, 4),
        IPV6 => (16, 4),
        NAME => match rest.first() {
            Some(length) => (usize::from(*length), 5),
            None => return Said::More,
        },
        _ => return Said::Wrong(Reply::UnknownAddress),
    };
    let Some(rest) = said.get(before..) else { return Said::More };
    let (Some(address), Some(port)) =
        (rest.get(..length), rest.get(length..).and_then(|rest| rest.first_chunk()))
    else {
        return Said::More;
    };
    let port = u16::from_be_bytes(*port);
    match endpoint(*kind, address, port) {
        Some(endpoint) => Said::Whole(endpoint, before.saturating_add(length).saturating_add(2)),
        None => Said::Wrong(Reply::UnknownAddress),
    }
}

fn endpoint(kind: u8, address: &[u8], port: u16) -> Option<Endpoint> {
    let address = match kind {
        IPV4 => IpAddr::V4(Ipv4Addr::from(*address.first_chunk::<4>()?)),
        IPV6 => IpAddr::V6(Ipv6Addr::from(*address.first_chunk::<16>()?)).to_canonical(),
        _ => return Endpoint::new(std::str::from_utf8(address).ok()?, port).ok(),
    };
    (port != 0).then_some(Endpoint { host: Host::Address(address), port })
}

/// Speaks with a client until it has said where it wants to go; `None` when it was turned away.
pub(super) async fn hear(stream: &mut TcpStream) -> Option<Endpoint> {
    let offers = take(stream, greeting).await.ok()?;
    let method = if offers { NO_AUTHENTICATION } else { NO_METHOD };
    stream.write_all(&[VERSION, method]).await.ok()?;
    if !offers {
        return None;
    }
    match take(stream, request).await {
        Ok(endpoint) => Some(endpoint),
        Err(Some(wrong)) => {
            tell(stream, wrong).await;
            None
        }
        Err(None) => None,
    }
}

/// Answers a request.
pub(super) async fn tell(stream: &mut TcpStream, reply: Reply) {
    let [a, b, c, d] = Ipv4Addr::UNSPECIFIED.octets();
    // A client that is gone needs no answer.
    let _ = stream.write_all(&[VERSION, reply as u8, 0, IPV4, a, b, c, d, 0, 0]).await;
}

/// Reads one message and not a byte more: what follows it is not ours.
async fn take<T>(
    stream: &mut TcpStream,
    parse: impl Fn(&[u8]) -> Said<T>,
) -> Result<T, Option<Reply>> {
    let mut said = Vec::new();
    loop {
        match parse(&said) {
            Said::Whole(found, _) => return Ok(found),
            Said::Wrong(reply) => return Err(Some(reply)),
            Said::More => said.push(stream.read_u8().await.map_err(|_| None)?),
        }
    }
}

#[cfg(test)]
mod tests;
