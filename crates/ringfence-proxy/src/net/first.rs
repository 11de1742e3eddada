//! What a client speaks, told by the first bytes it sends.

use super::HEAD_BYTES_MAX;
use super::hello::{self, HANDSHAKE, Seen};

/// The protocol of a connection, as far as it names hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaks {
    /// More bytes are needed to tell.
    More,
    /// TLS, towards this host; `None` where the client names none.
    Tls(Option<String>),
    /// HTTP/1: every request names its host.
    Http,
    /// HTTP/2 without TLS: every request names its host.
    Http2,
    /// Something that names no host.
    Other,
    /// Something that could be taken for more than one of these.
    Unclear(&'static str),
}

/// How HTTP/2 begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What ends a request line, up to the number.
const VERSION: &[u8] = b"HTTP/";

/// Tells what a client speaks from what it has sent so far.
pub fn speaks(sent: &[u8]) -> Speaks {
    match sent.first() {
        None => Speaks::More,
        Some(&HANDSHAKE) => match hello::read(sent) {
            Seen::More => Speaks::More,
            Seen::Named(name) => Speaks::Tls(Some(name)),
            Seen::Unnamed => Speaks::Tls(None),
            Seen::Malformed(wrong) => Speaks::Unclear(wrong),
        },
        Some(_) => line(sent),
    }
}

/// HTTP is told by the version that ends its first line. Some servers pass over empty lines before
/// it, and take any word for a method: so are they taken here.
fn line(sent: &[u8]) -> Speaks {
    let text = sent.trim_ascii_start();
    let Some(first) = text.first() else {
        return if sent.len() < HEAD_BYTES_MAX { Speaks::More } else { Speaks::Other };
    };
    if !first.is_ascii_graphic() {
        return Speaks::Other;
    }
    let end = text.iter().position(|byte| *byte == b'\n');
    let line = end.and_then(|end| text.get(..end)).unwrap_or(text);
    let version = position(line, VERSION);
    // Without what may be the beginning of a version: it is judged once it is there.
    let begun = (1..VERSION.len()).rev().find(|count| {
        let (part, tail) = (VERSION.get(..*count), line.len().checked_sub(*count));
        let tail = tail.and_then(|at| line.get(at..));
        part.zip(tail).is_some_and(|(part, tail)| part.eq_ignore_ascii_case(tail))
    });
    let front = version.unwrap_or(line.len().saturating_sub(begun.unwrap_or(0)));
    let front = line.get(..front).unwrap_or(line);
    match (end, version) {
        _ if !may_be_request(front) => Speaks::Other,
        (Some(_), Some(_)) if PREFACE.starts_with(line) => Speaks::Http2,
        (Some(_), Some(_)) => Speaks::Http,
        (Some(_), None) => Speaks::Other,
        (None, _) if sent.len() < HEAD_BYTES_MAX => Speaks::More,
        (None, _) => Speaks::Unclear("the first line does not end"),
    }
}

/// Whether this may be how a request line of some lenient server's begins: a word that could be a
/// method, of any length, and no NUL byte, which none of them takes.
fn may_be_request(front: &[u8]) -> bool {
    let method = front.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    let word = |byte: &u8| byte.is_ascii_graphic() || *byte >= 0x80;
    method.iter().all(word) && !front.contains(&0)
}

fn position(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|part| part.eq_ignore_ascii_case(wanted))
}

#[cfg(test)]
mod tests;
