//! Connections whose requests are decided one by one, because a rule speaks of them.
//!
//! What is spoken on them must be HTTP, plain or within TLS that is opened here; anything else is
//! refused: a rule on requests is never passed by with what it cannot see.

mod account;
mod answered;
mod client;
mod exchange;
mod heads;
mod http1;
mod looked;
mod looking;
mod own;
mod packages;
mod registry;
mod server;
mod tls;

use std::sync::Arc;

use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response};
use ringfence_core::{Endpoint, Scheme};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

pub(super) use answered::{Answered, Cut};
pub(super) use exchange::Switched;
pub(super) use looked::Begun;
pub use own::{Coming, Own, Secrets, header};

use super::carry::{Decided, disagrees};
use super::first::{Speaks, speaks};
use super::live::Client;
use super::open::{Opened, Port};
use super::reply::Reply;
use super::rewind::Rewind;
use super::splice::Tunnel;
use super::turned_away;
use exchange::Exchange;
use server::{Fresh, Spoken};

/// How much is read at a time until it is known what a client speaks.
const FIRST_BYTES: usize = 16 * 1024;

/// A connection over which requests come, each of which is decided.
pub(super) enum Inspected {
    /// Without TLS.
    Plain(Arc<Exchange>, Rewind),
    /// Within TLS that was opened.
    Tls(Arc<Exchange>, Box<TlsStream<Rewind>>),
}

impl Inspected {
    /// Carries it to its end.
    pub(super) async fn serve(self) {
        match self {
            Inspected::Plain(exchange, client) => exchange.serve(client).await,
            Inspected::Tls(exchange, client) => exchange.serve(client).await,
        }
    }
}

/// Finds out what is spoken on a connection; it is refused where that cannot be looked into.
pub(super) async fn begin(port: &Arc<Port>, who: &Client, decided: Decided) -> Option<Inspected> {
    let Decided { mut client, early, endpoint, opened } = decided;
    let mut sent = early;
    let speaks = hear(port, &mut client, &mut sent).await;
    let refused = match speaks {
        Speaks::Tls(name) => {
            if let Some(reason) = disagrees(name.as_deref(), &endpoint) {
                reason
            } else {
                let client = Rewind::new(client, Bytes::from(sent));
                return tls::open(port, who, tls::Hello { client, endpoint, opened }).await;
            }
        }
        Speaks::Http => {
            let client = Rewind::new(client, Bytes::from(sent));
            let place = (endpoint, Scheme::Http, Spoken::Http1);
            let exchange = Exchange::new(port, who, place, Ok(Fresh::plain(opened)));
            return Some(Inspected::Plain(exchange, client));
        }
        Speaks::Http2 => "HTTP/2 without TLS is not carried".to_owned(),
        Speaks::Unclear(wrong) => wrong.to_owned(),
        Speaks::More | Speaks::Other => format!(
            "each request to `{endpoint}` is looked at, and what the client speaks is not HTTP"
        ),
    };
    refuse(port, (client, &sent), opened, &refused).await;
    None
}

/// Decides and passes on one request of a client that speaks to a proxy.
pub(super) async fn forward(
    (port, who): (&Arc<Port>, &Client),
    request: Request<Incoming>,
    (endpoint, opened): (Endpoint, Opened),
) -> (Response<Reply>, Option<Tunnel>) {
    let fresh = Fresh::plain(opened);
    let place = (endpoint, Scheme::Http, Spoken::Http1);
    Exchange::new(port, who, place, Ok(fresh)).once(request).await
}

/// Ends a connection that cannot be looked into.
async fn refuse(port: &Port, (client, sent): (TcpStream, &[u8]), opened: Opened, reason: &str) {
    let Opened { stream, mut line } = opened;
    line.fail(&reason);
    port.tell_failed(line.request(), reason);
    stream.reset_on_close();
    drop((stream, line));
    turned_away::close(client, sent).await;
}

/// Waits until it is clear what a client speaks; the server hears nothing of it yet.
async fn hear(port: &Port, client: &mut TcpStream, sent: &mut Vec<u8>) -> Speaks {
    let hearing = async {
        let mut part = vec![0; FIRST_BYTES];
        while speaks(sent) == Speaks::More {
            match client.read(&mut part).await {
                Ok(count) if count > 0 => sent.extend(part.iter().take(count)),
                Ok(_) | Err(_) => return,
            }
        }
    };
    // Who says nothing by then has said what is refused.
    let _ = timeout(port.config.limits.head_wait, hearing).await;
    speaks(sent)
}
