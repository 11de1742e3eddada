//! Where the person's browser comes back to: a port of this host, for one answer.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use ringfence_proxy::mcp::oauth::OauthError;
use ringfence_proxy::mcp::oauth::flow::{Asked, Came};

use super::LoginError;

/// Where on that port.
const PATH: &str = "/callback";

/// Longest request that is read, in bytes.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How long a request may take.
const REQUEST_WAIT: Duration = Duration::from_secs(5);

/// Most answers to something else that was not asked.
const OTHERS_MAX: u32 = 64;

/// How long is waited until the port is looked at again.
const LOOK: Duration = Duration::from_millis(20);

/// A port that waits for one answer.
pub(super) struct Listener {
    listener: TcpListener,
    at: SocketAddr,
}

impl Listener {
    /// Listens at the loopback alone.
    pub(super) fn open(port: u16) -> io::Result<Listener> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        listener.set_nonblocking(true)?;
        let at = listener.local_addr()?;
        Ok(Listener { listener, at })
    }

    /// What the browser is sent back to.
    pub(super) fn redirect(&self) -> String {
        format!("http://{}{PATH}", self.at)
    }

    /// Waits for the code; whoever comes with something else is sent away.
    pub(super) fn wait(
        self,
        asked: &Asked,
        wait: Duration,
    ) -> Result<zeroize::Zeroizing<String>, LoginError> {
        let until = Instant::now() + wait;
        let mut others = 0_u32;
        while Instant::now() < until {
            let mut stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    std::thread::sleep(LOOK);
                    continue;
                }
                Err(error) => return Err(LoginError::Io("listen for the browser", error)),
            };
            let came = self.query(&mut stream).map(|query| asked.came(&query));
            match came {
                Some(Came::Code(code)) => {
                    answer(&mut stream, "200 OK", "You are logged in. You may close this page.");
                    return Ok(code);
                }
                Some(Came::Refused(why)) => {
                    answer(
                        &mut stream,
                        "400 Bad Request",
                        "There is no login. You may close this page.",
                    );
                    return Err(OauthError::Refused(why).into());
                }
                Some(Came::NotOurs) | None => {
                    answer(&mut stream, "400 Bad Request", "Nobody asked for this.");
                    others = others.saturating_add(1);
                    if others > OTHERS_MAX {
                        let why = format!("more than {OTHERS_MAX} answers to something else came");
                        return Err(OauthError::Refused(why).into());
                    }
                }
            }
        }
        Err(LoginError::Slow)
    }

    /// The query of a request for our path at our address; nothing of any other.
    fn query(&self, stream: &mut TcpStream) -> Option<String> {
        stream.set_nonblocking(false).ok()?;
        stream.set_read_timeout(Some(REQUEST_WAIT)).ok()?;
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
        let is_ours = host == self.at.to_string();
        target.strip_prefix(PATH)?.strip_prefix('?').filter(|_| is_ours).map(str::to_owned)
    }
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
