//! Which host a TLS client asks for, read from its first message (RFC 8446, section 4.1.2).

/// Largest first message, in bytes: post-quantum keys and tickets fit many times over.
pub const HELLO_BYTES_MAX: usize = 64 * 1024;

/// The first byte of a record of the handshake.
pub(super) const HANDSHAKE: u8 = 22;
/// A record of an earlier step that clients send for the sake of old middleboxes.
const CHANGE_CIPHER_SPEC: u8 = 20;
/// `alert`, a record by which a side says no.
const ALERT: u8 = 21;
/// The type of a client's first message.
const CLIENT_HELLO: u8 = 1;
/// Record type, version and length.
const RECORD_HEADER_BYTES: usize = 5;
/// Message type and length.
const MESSAGE_HEADER_BYTES: usize = 4;
/// Longest record (RFC 8446, section 5.1).
const RECORD_BYTES_MAX: usize = 1 << 14;
/// `server_name` (RFC 6066), and the one kind of name there is.
const SERVER_NAME: u16 = 0;
const HOST_NAME: u8 = 0;

/// What the first bytes of a TLS client say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Not all of the message is there.
    More,
    /// It asks for this host, as it wrote it.
    Named(String),
    /// It names no host.
    Unnamed,
    /// It is no client's first message, or one that can be read in two ways.
    Malformed(&'static str),
}

/// Reads the first message from what a client has sent so far.
pub fn read(sent: &[u8]) -> Seen {
    match message(sent) {
        Ok(Some((message, _))) => match server_name(&message) {
            Ok(Some(name)) => Seen::Named(name),
            Ok(None) => Seen::Unnamed,
            Err(wrong) => Seen::Malformed(wrong),
        },
        Ok(None) if sent.len() < HELLO_BYTES_MAX => Seen::More,
        Ok(None) => Seen::Malformed("the TLS client's first message is too long"),
        Err(wrong) => Seen::Malformed(wrong),
    }
}

/// How many bytes the first message takes, once all of it is there.
pub(super) fn length(sent: &[u8]) -> Option<usize> {
    message(sent).ok().flatten().map(|(_, length)| length)
}

/// What a server's first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Not enough is there.
    More,
    /// The client says hello once more (RFC 8446, section 4.1.4), and could name another host.
    Retry,
    /// Anything else: no hello follows.
    Final,
}

/// Type of a server's first message, and where its random is, behind header and version.
const SERVER_HELLO: u8 = 2;
const RANDOM_START: usize = MESSAGE_HEADER_BYTES + 2;
/// The random that asks for another hello.
const RETRY: [u8; 32] = [
    0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11, 0xbe, 0x1d, 0x8c, 0x02, 0x1e, 0x65, 0xb8, 0x91,
    0xc2, 0xa2, 0x11, 0x16, 0x7a, 0xbb, 0x8c, 0x5e, 0x07, 0x9e, 0x09, 0xe2, 0xc8, 0xa8, 0x33, 0x9c,
];

/// Reads what a server has answered so far.
pub fn answer(said: &[u8]) -> Answer {
    let mut rest = said;
    let mut message = Vec::new();
    while let Some((kind, body, after)) = record(rest) {
        if kind != HANDSHAKE || body.is_empty() {
            return Answer::Final;
        }
        message.extend_from_slice(body);
        let random = message.get(RANDOM_START..RANDOM_START.saturating_add(RETRY.len()));
        match (message.first(), random) {
            (Some(&SERVER_HELLO), Some(random)) if random == RETRY => return Answer::Retry,
            (Some(&SERVER_HELLO), None) => rest = after,
            _ => return Answer::Final,
        }
    }
    // No record is this long.
    if said.len() > 2 * RECORD_BYTES_MAX { Answer::Final } else { Answer::More }
}

/// The first whole record: its type, its body, and what follows it.
pub(super) fn record(sent: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let header = sent.first_chunk::<RECORD_HEADER_BYTES>()?;
    let [kind, _, _, high, low] = *header;
    let end = RECORD_HEADER_BYTES.saturating_add(usize::from(u16::from_be_bytes([high, low])));
    let (record, after) = sent.split_at_checked(end)?;
    Some((kind, record.get(RECORD_HEADER_BYTES..)?, after))
}

/// The first message without its header, put together from the records it is cut into; and how many
/// bytes these are.
fn message(sent: &[u8]) -> Result<Option<(Vec<u8>, usize)>, &'static str> {
    let (whole_length, mut sent) = (sent.len(), sent);
    let mut message = Vec::new();
    loop {
        let Some(header) = sent.first_chunk::<RECORD_HEADER_BYTES>() else { return Ok(None) };
        let [kind, major, _, high, low] = *header;
        let length = usize::from(u16::from_be_bytes([high, low]));
        match kind {
            HANDSHAKE if major == 3 && (1..=RECORD_BYTES_MAX).contains(&length) => {}
            HANDSHAKE => return Err("the TLS record is malformed"),
            CHANGE_CIPHER_SPEC => {
                return Err("the TLS client changes ciphers before it says hello");
            }
            _ => return Err("the TLS client's first message is cut by another record"),
        }
        let end = RECORD_HEADER_BYTES.saturating_add(length);
        let cut = sent.len() < end;
        let body = sent.get(RECORD_HEADER_BYTES..end.min(sent.len())).unwrap_or_default();
        message.extend_from_slice(body);
        let whole = whole(&message)?.map(<[u8]>::to_vec);
        if cut {
            // Also where the message is there: what else the record holds is not.
            return Ok(None);
        }
        sent = sent.get(end..).unwrap_or_default();
        if let Some(whole) = whole {
            if message.len() > MESSAGE_HEADER_BYTES.saturating_add(whole.len()) {
                return Err("another message follows in the TLS client's first record");
            }
            return Ok(Some((whole, whole_length.saturating_sub(sent.len()))));
        }
    }
}

/// The body of the handshake message, once all of it is there.
fn whole(message: &[u8]) -> Result<Option<&[u8]>, &'static str> {
    let Some(header) = message.first_chunk::<MESSAGE_HEADER_BYTES>() else { return Ok(None) };
    let [kind, high, middle, low] = *header;
    if kind != CLIENT_HELLO {
        return Err("the TLS client does not say hello");
    }
    let length = usize::try_from(u32::from_be_bytes([0, high, middle, low])).unwrap_or(usize::MAX);
    if length > HELLO_BYTES_MAX {
        return Err("the TLS client's first message is too long");
    }
    Ok(message.get(MESSAGE_HEADER_BYTES..MESSAGE_HEADER_BYTES.saturating_add(length)))
}

const SHORT: &str = "the TLS client's first message ends too early";

/// Bytes that are taken from the front.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], &'static str> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, &'static str> {
        self.take(1)?.first().copied().ok_or(SHORT)
    }

    fn number(&mut self) -> Result<u16, &'static str> {
        Ok(u16::from_be_bytes(*self.take(2)?.first_chunk().ok_or(SHORT)?))
    }

    /// What a length of one byte announces.
    fn short(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    /// What a length of two bytes announces.
    fn long(&mut self) -> Result<&'a [u8], &'static str> {
        let length = self.number()?;
        self.take(usize::from(length))
    }
}

/// The host in a first message's body; the extension may be there once.
fn server_name(hello: &[u8]) -> Result<Option<String>, &'static str> {
    let mut rest = Rest(hello);
    // Version and random; session id; cipher suites; compression methods.
    rest.take(2 + 32)?;
    rest.short()?;
    rest.long()?;
    rest.short()?;
    if rest.0.is_empty() {
        return Ok(None);
    }
    let mut extensions = Rest(rest.long()?);
    if !rest.0.is_empty() {
        return Err("something follows the extensions of the TLS client's first message");
    }
    let mut found = None;
    while !extensions.0.is_empty() {
        let kind = extensions.number()?;
        let value = extensions.long()?;
        if kind == SERVER_NAME && found.replace(host_name(value)?).is_some() {
            return Err("the TLS client names two hosts");
        }
    }
    Ok(found)
}

/// The one host of a `server_name` extension.
fn host_name(value: &[u8]) -> Result<String, &'static str> {
    let mut rest = Rest(value);
    let mut list = Rest(rest.long()?);
    let kind = list.byte()?;
    let name = list.long()?;
    if kind != HOST_NAME || !list.0.is_empty() || !rest.0.is_empty() {
        return Err("the TLS client names more than one host");
    }
    std::str::from_utf8(name)
        .ok()
        .filter(|name| name.is_ascii())
        .map(str::to_owned)
        .ok_or("the host that the TLS client names is no text")
}

/// Whether a server's first words can be an answer to a hello.
pub(super) fn answers_tls(said: &[u8]) -> bool {
    matches!(said.first(), Some(&(HANDSHAKE | ALERT | CHANGE_CIPHER_SPEC)))
}

#[cfg(test)]
mod tests;
