//! Leading connections of a world to its net gate.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use ringfence_proxy::net::claims::Claims;
use ringfence_sandbox::notify::{Lead, Word};
use ringfence_sandbox::world::Network;

/// How connections are led to the net gate, where the kernel does not send them there.
pub(super) fn lead(network: &Network, claims: Option<&Arc<Claims>>) -> io::Result<Option<Lead>> {
    let Some(claims) = claims.map(Arc::clone) else { return Ok(None) };
    let v6 = network.capture.tcp_v6.as_ref();
    Ok(Some(Lead {
        v4: network.capture.tcp.local_addr()?,
        v6: v6.map(TcpListener::local_addr).transpose()?,
        loopback: network.loopback,
        tell: Box::new(move |client, word| match word {
            Word::Meant(target) => claims.say(client, target),
            Word::Withdrawn => claims.withdraw(client),
        }),
    }))
}
