//! The second hello of a TLS client: a server may ask for one, and it must be for the same host.

use std::io;

use ringfence_core::Endpoint;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::hello::{self, Answer, HANDSHAKE, HELLO_BYTES_MAX, Seen};
use super::line::Counted;
use super::trust::no_tls;

/// How much is read at a time.
const PART_BYTES: usize = 16 * 1024;

/// A client whose first hello has been passed on.
pub(super) struct Watch<'a> {
    pub(super) client: &'a mut TcpStream,
    pub(super) server: &'a mut Counted,
    /// Whom the server is.
    pub(super) endpoint: &'a Endpoint,
    /// Why a name may not be asked for; `None` where it may.
    pub(super) disagrees: &'a (dyn Fn(Option<&str>) -> Option<String> + Sync),
}

/// Why a client may not go on.
pub(super) struct Wrong {
    /// In words.
    pub(super) reason: String,
    /// What the server has said, and the client has not been given.
    pub(super) unsaid: Vec<u8>,
}

/// What becomes of what the client has sent.
enum Next {
    /// All of it may pass, and what follows too.
    Pass,
    /// More is needed to tell.
    Wait,
    /// It may not pass.
    Refuse(String),
}

impl Watch<'_> {
    /// Carries the handshake until no hello can follow, from what was `sent` behind the first one;
    /// the answer is why it may not go on.
    pub(super) async fn run(self, mut sent: Vec<u8>) -> io::Result<Option<Wrong>> {
        let Watch { client, server, endpoint, disagrees } = self;
        let mut said = Vec::new();
        let (mut from_client, mut from_server) = (vec![0; PART_BYTES], vec![0; PART_BYTES]);
        let mut answer = Answer::More;
        loop {
            let (passing, next) = look(&sent, answer, disagrees);
            server.write_all(sent.get(..passing).unwrap_or_default()).await?;
            sent.drain(..passing.min(sent.len()));
            match next {
                Next::Wait => {}
                Next::Pass => {
                    server.write_all(&sent).await?;
                    return Ok(None);
                }
                Next::Refuse(reason) => return Ok(Some(Wrong { reason, unsaid: Vec::new() })),
            }
            tokio::select! {
                read = client.read(&mut from_client), if sent.len() < HELLO_BYTES_MAX => {
                    match read? {
                        0 if sent.is_empty() => return Ok(None),
                        0 => return Err(io::Error::other("the TLS client broke off")),
                        count => sent.extend(from_client.iter().take(count)),
                    }
                }
                read = server.read(&mut from_server) => {
                    let count = read?;
                    if count == 0 {
                        return Ok(None);
                    }
                    let part = from_server.get(..count).unwrap_or_default();
                    if said.is_empty() && !hello::answers_tls(part) {
                        let (reason, unsaid) = (no_tls(endpoint), part.to_vec());
                        return Ok(Some(Wrong { reason, unsaid }));
                    }
                    client.write_all(part).await?;
                    said.extend_from_slice(part);
                    answer = hello::answer(&said);
                }
            }
        }
    }
}

/// How much of what a client has sent may pass, and what becomes of the rest.
fn look(
    sent: &[u8],
    answer: Answer,
    disagrees: &dyn Fn(Option<&str>) -> Option<String>,
) -> (usize, Next) {
    let mut passing = 0;
    let mut rest = sent;
    loop {
        match (answer, rest.first()) {
            (Answer::Final, _) => return (passing, Next::Pass),
            // Until the server has answered, what may be a hello has to wait.
            (Answer::More, Some(&HANDSHAKE)) | (_, None) => return (passing, Next::Wait),
            (Answer::Retry, Some(&HANDSHAKE)) => return (passing, second(rest, disagrees)),
            // Early data, and what is sent for the sake of old middleboxes.
            (_, Some(_)) => match hello::record(rest) {
                Some((_, _, after)) => {
                    passing = sent.len().saturating_sub(after.len());
                    rest = after;
                }
                None => return (passing, Next::Wait),
            },
        }
    }
}

fn second(sent: &[u8], disagrees: &dyn Fn(Option<&str>) -> Option<String>) -> Next {
    let wrong = match hello::read(sent) {
        Seen::More => return Next::Wait,
        Seen::Named(name) => disagrees(Some(&name)),
        Seen::Unnamed => disagrees(None),
        Seen::Malformed(wrong) => Some(wrong.to_owned()),
    };
    wrong.map_or(Next::Pass, Next::Refuse)
}
