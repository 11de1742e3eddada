//! TLS that is opened: the client is answered by this session's authority, and the server must show
//! that it is whom the client means.

use std::io;
use std::sync::Arc;

use ringfence_core::{Carried, Endpoint};
use rustls::ClientConfig;
use rustls::server::Acceptor;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, StartHandshake, TlsConnector};

use super::super::carry::disagrees;
use super::super::live::Client;
use super::super::open::{Opened, Port};
use super::super::reply::Refusal;
use super::super::rewind::Rewind;
use super::super::trust::{self, server_name};
use super::Inspected;
use super::exchange::Exchange;
use super::server::{Fresh, Spoken, Within};

/// A client that has begun to speak TLS, and the server that it means.
pub(super) struct Hello {
    pub(super) client: Rewind,
    pub(super) endpoint: Endpoint,
    pub(super) opened: Opened,
}

/// Opens TLS on both sides; a failure is on the line's account.
pub(super) async fn open(port: &Arc<Port>, who: &Client, hello: Hello) -> Option<Inspected> {
    let Hello { client, endpoint, mut opened } = hello;
    let wait = port.config.limits.head_wait;
    let begun = match timeout(wait, LazyConfigAcceptor::new(Acceptor::default(), client)).await {
        Ok(Ok(begun)) => begun,
        Ok(Err(error)) => {
            opened.line.fail(&error);
            return None;
        }
        Err(_) => {
            opened.line.fail(&"the TLS client's hello took too long");
            return None;
        }
    };
    // Read again by what will answer it: two readings of one hello must agree.
    let asked = begun.client_hello().server_name().map(str::to_owned);
    if let Some(reason) = disagrees(asked.as_deref(), &endpoint) {
        opened.line.fail(&reason);
        return None;
    }
    let (server, accepted) = shake(port, &endpoint, (begun, opened)).await;
    match accepted {
        Ok(client) => {
            let spoken = Spoken::by(client.get_ref().1.alpn_protocol());
            let place = (endpoint, ringfence_core::Scheme::Https, spoken);
            let exchange = Exchange::new(port, who, place, server);
            Some(Inspected::Tls(exchange, Box::new(client)))
        }
        Err(error) => {
            let reason = format!("the client ended TLS: {error}");
            if let Ok(mut fresh) = server {
                fresh.line.fail(&reason);
                port.tell_failed(fresh.line.request(), &reason);
            }
            None
        }
    }
}

/// Both handshakes.
async fn shake(
    port: &Arc<Port>,
    endpoint: &Endpoint,
    (begun, opened): (StartHandshake<Rewind>, Opened),
) -> (Result<Fresh, Refusal>, io::Result<TlsStream<Rewind>>) {
    let offered = offered(&begun);
    let connecting = connect(port, (endpoint, &offered), opened);
    if let [] | [Spoken::Http1] = *offered {
        // What the server speaks makes no difference: one need not wait for the other.
        tokio::join!(connecting, accept(port, endpoint, (begun, &[Spoken::Http1])))
    } else {
        let server = connecting.await;
        // Where there is none, the client is told why by whatever it speaks.
        let spoken = server.as_ref().map_or(offered, |fresh| vec![fresh.spoken]);
        (server, accept(port, endpoint, (begun, &spoken)).await)
    }
}

/// What of what we speak a client offers; nothing where it offers nothing at all.
fn offered(begun: &StartHandshake<Rewind>) -> Vec<Spoken> {
    let hello = begun.client_hello();
    let Some(named) = hello.alpn() else { return Vec::new() };
    let named: Vec<&[u8]> = named.collect();
    let ours = [Spoken::Http2, Spoken::Http1].into_iter();
    let known: Vec<Spoken> = ours.filter(|it| named.contains(&it.alpn())).collect();
    // It offers others only: the handshake says that there is none in common.
    if known.is_empty() { vec![Spoken::Http1] } else { known }
}

async fn accept(
    port: &Port,
    endpoint: &Endpoint,
    (begun, spoken): (StartHandshake<Rewind>, &[Spoken]),
) -> io::Result<TlsStream<Rewind>> {
    let mut config = port.config.authority.server(&endpoint.host).map_err(io::Error::other)?;
    config.alpn_protocols = spoken.iter().map(|it| it.alpn().to_vec()).collect();
    let accepting = timeout(port.config.limits.head_wait, begun.into_stream(Arc::new(config)));
    accepting.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// How a server is spoken to; the host's store is read once.
async fn believed(port: &Arc<Port>) -> Result<ClientConfig, String> {
    if let Some(known) = port.config.trust.known() {
        return known;
    }
    let port = Arc::clone(port);
    let read = tokio::task::spawn_blocking(move || port.config.trust.client());
    read.await.map_err(|error| error.to_string())?
}

/// Speaks TLS to the server, which must be `endpoint`.
pub(super) async fn connect(
    port: &Arc<Port>,
    (endpoint, offered): (&Endpoint, &[Spoken]),
    opened: Opened,
) -> Result<Fresh, Refusal> {
    let Opened { mut stream, mut line } = opened;
    stream.read_ahead();
    let made = async {
        let mut config = believed(port).await.map_err(io::Error::other)?;
        config.alpn_protocols = offered.iter().map(|it| it.alpn().to_vec()).collect();
        let name = server_name(&endpoint.host).map_err(io::Error::other)?;
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        match timeout(port.config.limits.dial_wait, connecting).await {
            Ok(connected) => connected,
            Err(_) => Err(io::Error::other("it gave no answer")),
        }
    };
    match made.await {
        Ok(stream) => {
            line.carries(Carried::Opened);
            let spoken = Spoken::by(stream.get_ref().1.alpn_protocol());
            Ok(Fresh { stream: Within::Tls(Box::new(stream)), line, spoken })
        }
        Err(error) => {
            let reason = trust::why(endpoint, &error);
            line.fail(&reason);
            port.tell_failed(line.request(), &reason);
            Err(Refusal::Unreachable(reason))
        }
    }
}
