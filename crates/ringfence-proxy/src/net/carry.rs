//! A decided connection while it is open: what the client speaks is told by its first bytes, the
//! host it names must be the one that was decided, and then the bytes pass.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Bytes;
use ringfence_core::{Carried, Endpoint, Host};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::exchange;
use super::first::{Speaks, speaks};
use super::hello::{self, HANDSHAKE};
use super::inspect;
use super::join::join;
use super::line::Counted;
use super::live::Client;
use super::open::{Opened, Port};
use super::retry::{Watch, Wrong};
use super::rewind::Rewind;
use super::straight;
use super::turned_away;

/// How much is read at a time until it is known what a client speaks.
const FIRST_BYTES: usize = 16 * 1024;

/// How long a client may pause within a line before what it has sent is let through, in milliseconds.
const PAUSE_MS: u64 = 200;

/// A client whose connection was decided and made.
pub(super) struct Decided {
    /// The client's socket.
    pub(super) client: TcpStream,
    /// What it has sent already.
    pub(super) early: Vec<u8>,
    /// Where it was decided that it may go.
    pub(super) endpoint: Endpoint,
    /// The connection there.
    pub(super) opened: Opened,
}

/// What is known once a client has spoken, or ended without a word.
enum Heard {
    /// It speaks this.
    Speaks(Speaks),
    /// Nothing more comes from it.
    Ended,
}

/// Carries a decided connection to its end, which is recorded.
pub(super) async fn carry(port: &Arc<Port>, who: &Client, decided: Decided) {
    // Boxed, each by itself: what a connection needs at its beginning is not kept for its whole life.
    if !port.inspects(&decided.endpoint) {
        Box::pin(pass(port, who, decided)).await;
    } else if let Some(inspected) = Box::pin(inspect::begin(port, who, decided)).await {
        Box::pin(inspected.serve()).await;
    }
}

/// Carries a connection that is looked into no further than to its first words.
async fn pass(port: &Arc<Port>, who: &Client, decided: Decided) {
    let Decided { mut client, early, endpoint, opened } = decided;
    let Opened { mut stream, mut line } = opened;
    let mut first = First { sent: early, released: 0, answered: false, unsaid: Vec::new() };
    let heard = match first.hear(&mut client, &mut stream, port).await {
        Ok(heard) => heard,
        Err(error) => {
            line.fail(&error);
            cut(&client, &stream);
            return;
        }
    };
    let wrong = match &heard {
        Heard::Ended | Heard::Speaks(Speaks::Other | Speaks::More) => None,
        Heard::Speaks(Speaks::Tls(name)) => disagrees(name.as_deref(), &endpoint),
        Heard::Speaks(Speaks::Http | Speaks::Http2) if first.answered || first.released > 0 => {
            Some("an HTTP request that does not come first and at once is not carried".to_owned())
        }
        Heard::Speaks(Speaks::Http) => {
            let client = Rewind::new(client, Bytes::from(first.sent));
            let opened = Opened { stream, line };
            let decided = exchange::Decided { client, endpoint, opened };
            return Box::pin(exchange::serve(port, who, decided)).await;
        }
        Heard::Speaks(Speaks::Http2) => Some(
            "HTTP/2 without TLS is not carried: its requests name hosts of their own".to_owned(),
        ),
        Heard::Speaks(Speaks::Unclear(wrong)) => Some((*wrong).to_owned()),
    };
    let wrong = match (wrong, &heard) {
        (None, Heard::Speaks(Speaks::Tls(_))) => {
            let said = first.again(&mut client, &mut stream, &endpoint).await;
            said.unwrap_or_else(|error| Some(error.to_string()))
        }
        (wrong, _) => wrong,
    };
    // Said before it is asked: a reload in between finds the one or the other.
    line.passes();
    let wrong = wrong.or_else(|| newly_inspected(port, &endpoint));
    if let Some(reason) = wrong {
        line.fail(&reason);
        port.tell_failed(line.request(), &reason);
        stream.reset_on_close();
        drop((stream, line));
        // Only now: a program that has heard it ends, and could be told no reason any more.
        if client.write_all(&first.unsaid).await.is_ok() {
            turned_away::close(client, &first.sent).await;
        }
        return;
    }
    line.carries(match &heard {
        Heard::Speaks(Speaks::Tls(_)) => Carried::Tls,
        Heard::Speaks(_) | Heard::Ended => Carried::Other,
    });
    let client = line.hold(client);
    let joined = async {
        stream.write_all(first.unreleased()).await?;
        if matches!(heard, Heard::Ended) {
            stream.shutdown().await?;
        }
        join(&client.stream, &stream).await
    };
    if let Err(error) = joined.await {
        line.fail(&error);
        cut(&client.stream, &stream);
    }
}

/// Why a connection may not pass unseen that could when it was opened.
pub(super) fn newly_inspected(port: &Port, endpoint: &Endpoint) -> Option<String> {
    let reason = || format!("each request to `{endpoint}` is decided since a moment ago");
    port.inspects(endpoint).then(reason)
}

/// Why a TLS client may not go on: the name it asks for is not the one that was decided.
pub(super) fn disagrees(asked: Option<&str>, endpoint: &Endpoint) -> Option<String> {
    match (asked, &endpoint.host) {
        (None, Host::Address(_)) => None,
        (None, Host::Name(name)) => Some(format!(
            "the TLS client names no host, so that it cannot be told from one that means another \
             than `{name}`"
        )),
        (Some(asked), host) if Host::parse(asked).is_ok_and(|asked| asked == *host) => None,
        (Some(asked), host) => {
            Some(format!("the TLS client asks for `{asked}`, the connection is to `{host}`"))
        }
    }
}

/// What was cut off must not look complete.
fn cut(client: &TcpStream, server: &Counted) {
    // Best effort: without it the client sees an ordinary end.
    let _ = client.set_zero_linger();
    server.reset_on_close();
}

/// The client's first bytes, while the server may speak already.
struct First {
    sent: Vec<u8>,
    /// How much of that the server has been given.
    released: usize,
    /// Whether the server has spoken.
    answered: bool,
    /// What it has said and the client has not been given, where that ends the connection.
    unsaid: Vec<u8>,
}

/// What happens next on a connection.
enum Next {
    Client(usize),
    Server(usize),
    /// The client has paused.
    Pause,
    /// The client has begun something and does not come to its end.
    Late,
}

impl First {
    /// Waits until it is clear what the client speaks. What the server says meanwhile passes: many
    /// protocols begin with that.
    async fn hear(
        &mut self,
        client: &mut TcpStream,
        server: &mut Counted,
        port: &Port,
    ) -> io::Result<Heard> {
        let mut from_client = vec![0; FIRST_BYTES];
        let mut from_server = vec![0; FIRST_BYTES];
        if self.sent.is_empty() {
            straight::read(client, (&mut self.sent, &mut from_client));
        }
        let mut server_open = true;
        let mut begun = None;
        loop {
            let known = speaks(&self.sent);
            if known != Speaks::More {
                return Ok(Heard::Speaks(known));
            }
            if begun.is_none() && !self.sent.is_empty() {
                begun = Some(Instant::now());
            }
            let (pause, late) = self.waits(begun, port);
            let next = tokio::select! {
                read = client.read(&mut from_client) => Next::Client(read?),
                read = server.read(&mut from_server), if server_open => Next::Server(read?),
                () = sleep(pause) => Next::Pause,
                () = sleep(late) => Next::Late,
            };
            match next {
                Next::Client(0) => return Ok(Heard::Ended),
                Next::Client(count) => self.sent.extend(from_client.iter().take(count)),
                Next::Server(0) => {
                    server_open = false;
                    client.shutdown().await?;
                }
                Next::Server(count) => {
                    self.answered = true;
                    client.write_all(from_server.get(..count).unwrap_or_default()).await?;
                }
                Next::Pause => {
                    server.write_all(self.unreleased()).await?;
                    self.released = self.sent.len();
                }
                Next::Late => {
                    return Err(io::Error::other("the client's first words took too long"));
                }
            }
        }
    }

    /// Passes a TLS client's first hello on, and a second one only for the same host.
    async fn again(
        &mut self,
        client: &mut TcpStream,
        server: &mut Counted,
        endpoint: &Endpoint,
    ) -> io::Result<Option<String>> {
        // Only the hello: what follows it at once may be another.
        let after = hello::length(&self.sent).unwrap_or(self.sent.len()).min(self.sent.len());
        let sent = self.sent.split_off(after);
        server.write_all(&self.sent).await?;
        self.released = self.sent.len();
        let disagrees = |name: Option<&str>| disagrees(name, endpoint);
        let watch = Watch { client, server, endpoint, disagrees: &disagrees };
        Ok(watch.run(sent).await?.map(|Wrong { reason, unsaid }| {
            self.unsaid = unsaid;
            reason
        }))
    }

    /// What the server has not been given.
    fn unreleased(&self) -> &[u8] {
        self.sent.get(self.released..).unwrap_or_default()
    }

    /// How long the client may pause, and how long it may take.
    ///
    /// A text without an end of line may be all that a client says before it is answered. It is let
    /// through when the client pauses, and what follows is watched on: a line that turns out to be
    /// HTTP's then does not get to its end.
    fn waits(&self, begun: Option<Instant>, port: &Port) -> (Duration, Duration) {
        let Some(begun) = begun else { return (Duration::MAX, Duration::MAX) };
        if self.sent.first() == Some(&HANDSHAKE) {
            let left = port.config.limits.head_wait.saturating_sub(begun.elapsed());
            return (Duration::MAX, left);
        }
        let paused = self.released == self.sent.len();
        let pause = if paused { Duration::MAX } else { Duration::from_millis(PAUSE_MS) };
        (pause, Duration::MAX)
    }
}
