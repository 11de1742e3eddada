//! Where the person's browser comes back to: a port of this host, for one answer.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::oauth::OauthError;
use ringfence_proxy::mcp::oauth::flow::{Asked, Came};

use super::super::started::named;
use super::LoginError;

/// Longest request that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How long a request may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// Most that are read at a time. How many come one after another does not count: the time ends it.
const AT_ONCE_MAX: usize = 64;

/// How long is waited until the port is looked at again.
const LOOK: Duration = Duration::from_millis(20);

/// A port that waits for one answer.
pub(super) struct Listener {
    socket: TcpListener,
    at: SocketAddr,
    /// Where on that port.
    path: String,
}

impl Listener {
    /// Listens at the loopback alone.
    pub(super) fn open(port: u16, path: String) -> io::Result<Listener> {
        let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        socket.set_nonblocking(true)?;
        let at = socket.local_addr()?;
        Ok(Listener { socket, at, path })
    }

    /// What the browser is sent back to.
    pub(super) fn redirect(&self) -> String {
        format!("http://{}{}", self.at, self.path)
    }

    /// Waits for the code; whoever comes with something else is sent away, and keeps nobody else from coming: any page that
    /// the person has open can knock here.
    pub(super) fn wait(
        self,
        asked: &Asked,
        wait: Duration,
    ) -> Result<zeroize::Zeroizing<String>, LoginError> {
        let until = Instant::now() + wait;
        let (tells, heard) = sync_channel(AT_ONCE_MAX);
        let mut at_once = 0_usize;
        while Instant::now() < until {
            while let Ok((mut stream, query)) = heard.try_recv() {
                at_once = at_once.saturating_sub(1);
                if let Some(done) = came(asked, &mut stream, query) {
                    return done;
                }
            }
            match self.socket.accept() {
                Ok((stream, _)) if at_once < AT_ONCE_MAX => {
                    let (tells, at, path) = (tells.clone(), self.at, self.path.clone());
                    let read = move || {
                        let mut stream = stream;
                        let query = query(&mut stream, (at, &path));
                        // Nobody waits any more once the one has come that is waited for.
                        let _ = tells.send((stream, query));
                    };
                    named("browser", read)
                        .map_err(|error| LoginError::Io("listen for the browser", error))?;
                    at_once = at_once.saturating_add(1);
                }
                // They have said nothing so far, and are too many.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(LOOK);
                }
                Err(error) => return Err(LoginError::Io("listen for the browser", error)),
            }
        }
        Err(LoginError::Slow)
    }
}

/// What came, where it is what is waited for.
fn came(
    asked: &Asked,
    stream: &mut TcpStream,
    query: Option<String>,
) -> Option<Result<zeroize::Zeroizing<String>, LoginError>> {
    match query.map(|query| asked.came(&query)) {
        Some(Came::Code(code)) => {
            answer(stream, "200 OK", "You are logged in. You may close this page.");
            Some(Ok(code))
        }
        Some(Came::Refused(why)) => {
            answer(stream, "400 Bad Request", "There is no login. You may close this page.");
            Some(Err(OauthError::Refused(why).into()))
        }
        Some(Came::NotOurs) | None => {
            answer(stream, "400 Bad Request", "Nobody asked for this.");
            None
        }
    }
}

/// The query of a request for our path at our address; nothing of any other.
fn query(stream: &mut TcpStream, (at, path): (SocketAddr, &str)) -> Option<String> {
    stream.set_nonblocking(false).ok()?;
    stream.set_read_timeout(Some(REQUEST_WAIT)).ok()?;
    stream.set_write_timeout(Some(REQUEST_WAIT)).ok()?;
    let until = Instant::now() + REQUEST_WAIT;
    let (mut head, mut piece) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        let read = stream.read(&mut piece).ok().filter(|read| *read > 0)?;
        head.extend_from_slice(piece.get(..read)?);
        if head.len() > REQUEST_BYTES_MAX || Instant::now() > until {
            return None;
        }
    }
    let head = String::from_utf8(head).ok()?;
    let mut lines = head.split("\r\n");
    let target = lines.next()?.strip_prefix("GET ")?.split(' ').next()?.to_owned();
    // A page of another host whose name leads here has that name (DNS rebinding).
    let mut hosts = lines
        .filter_map(|line| line.split_once(':'))
        .filter(|(name, _)| name.eq_ignore_ascii_case("host"));
    let host = hosts.next().filter(|_| hosts.next().is_none())?.1.trim().to_owned();
    let is_ours = host == at.to_string();
    target.strip_prefix(path)?.strip_prefix('?').filter(|_| is_ours).map(str::to_owned)
}

/// A page that says one thing, and from which nothing leads elsewhere.
fn answer(stream: &mut TcpStream, status: &str, said: &str) {
    let length = said.len();
    // A browser that is gone needs none.
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\n\
         referrer-policy: no-referrer\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{said}"
    );
}
