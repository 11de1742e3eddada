//! What is said to an ssh agent (draft-ietf-sshm-ssh-agent), as far as it passes: which keys there are,
//! sign this, and whose connection it is for. Everything else is told apart and not taken apart.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest as _, Sha256};

/// Largest message, in bytes, as OpenSSH has it.
pub const MESSAGE_BYTES_MAX: usize = 256 * 1024;

/// `SSH_AGENTC_REQUEST_IDENTITIES`, `SSH_AGENTC_SIGN_REQUEST`, `SSH_AGENTC_EXTENSION`.
const REQUEST_IDENTITIES: u8 = 11;
const SIGN_REQUEST: u8 = 13;
const EXTENSION: u8 = 27;
/// What changes an agent, from `SSH_AGENTC_ADD_IDENTITY` on, and what it does.
const CHANGES: &[(u8, &str)] = &[
    (17, "adds a key"),
    (18, "removes a key"),
    (19, "removes all keys"),
    (20, "adds keys of a smartcard"),
    (21, "removes keys of a smartcard"),
    (22, "locks it"),
    (23, "unlocks it"),
    (25, "adds a key"),
    (26, "adds keys of a smartcard"),
];
/// `SSH_AGENT_IDENTITIES_ANSWER`.
const IDENTITIES_ANSWER: u8 = 12;
/// `SSH_AGENT_SUCCESS`.
const SUCCESS: u8 = 6;

/// Tells the agent whose connection it is asked for (OpenSSH's PROTOCOL.agent).
const SESSION_BIND: &[u8] = b"session-bind@openssh.com";

/// `SSH_MSG_USERAUTH_REQUEST` (RFC 4252).
const USERAUTH_REQUEST: u8 = 50;
/// How OpenSSH's clients log in where the server's key is signed too (OpenSSH's PROTOCOL).
const HOST_BOUND: &[u8] = b"publickey-hostbound-v00@openssh.com";
/// What every signature of something other than a login begins with (OpenSSH's PROTOCOL.sshsig).
const SSHSIG: &[u8] = b"SSHSIG";

/// The answer to what does not pass.
pub const FAILURE: &[u8] = &[5];

/// What a program asks of its agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked<'a> {
    /// The keys there are.
    Identities,
    /// A signature.
    Sign {
        /// The public half of the key.
        key: &'a [u8],
        /// What is to be signed.
        data: &'a [u8],
    },
    /// It says to which server it is connected, and the server's signature proves it.
    Bind {
        /// The server's key.
        host_key: &'a [u8],
        /// The connection.
        session: &'a [u8],
    },
    /// To change the agent, in these words.
    Change(&'static str),
    /// Anything else.
    Other,
}

/// What a signature is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose<'a> {
    /// To log in.
    Login {
        /// As whom.
        user: &'a str,
        /// The connection.
        session: &'a [u8],
        /// The server's key, where it is signed too.
        host_key: Option<&'a [u8]>,
    },
    /// To sign a message, such as a commit.
    Message {
        /// What kind of message; `git` for git's.
        namespace: &'a str,
    },
}

/// Takes a message apart, without its length; what is not whole is `Other`.
pub fn asked(message: &[u8]) -> Asked<'_> {
    let mut rest = Reader(message);
    let parsed = match rest.byte() {
        Some(REQUEST_IDENTITIES) => rest.end().map(|()| Asked::Identities),
        Some(SIGN_REQUEST) => sign(rest),
        Some(EXTENSION) => bind(rest),
        Some(number) => {
            let change = CHANGES.iter().find(|(known, _)| *known == number);
            change.map(|(_, does)| Asked::Change(does))
        }
        None => None,
    };
    parsed.unwrap_or(Asked::Other)
}

fn sign(mut rest: Reader<'_>) -> Option<Asked<'_>> {
    let (key, data) = (rest.string()?, rest.string()?);
    rest.take(4)?;
    rest.end()?;
    Some(Asked::Sign { key, data })
}

fn bind(mut rest: Reader<'_>) -> Option<Asked<'_>> {
    if rest.string()? != SESSION_BIND {
        return None;
    }
    let (host_key, session, _signature) = (rest.string()?, rest.string()?, rest.string()?);
    let forwarding = rest.byte()?;
    rest.end()?;
    // Forwarded: whoever asks next is somewhere else.
    (forwarding == 0).then_some(Asked::Bind { host_key, session })
}

/// What is signed, if it is one of the two things that ssh keys sign; for `key` alone.
pub fn purpose<'a>(data: &'a [u8], key: &[u8]) -> Option<Purpose<'a>> {
    match data.strip_prefix(SSHSIG) {
        Some(rest) => message(Reader(rest)),
        None => login(Reader(data), key),
    }
}

fn message(mut rest: Reader<'_>) -> Option<Purpose<'_>> {
    let namespace = std::str::from_utf8(rest.string()?).ok()?;
    let (_reserved, _hash, _digest) = (rest.string()?, rest.string()?, rest.string()?);
    rest.end()?;
    (!namespace.is_empty()).then_some(Purpose::Message { namespace })
}

fn login<'a>(mut rest: Reader<'a>, key: &[u8]) -> Option<Purpose<'a>> {
    let session = rest.string()?;
    if rest.byte()? != USERAUTH_REQUEST {
        return None;
    }
    let user = std::str::from_utf8(rest.string()?).ok()?;
    let service = rest.string()?;
    let method = rest.string()?;
    let signs = rest.byte()? == 1;
    let (_algorithm, named) = (rest.string()?, rest.string()?);
    let host_key = if method == HOST_BOUND { Some(rest.string()?) } else { None };
    rest.end()?;
    let plain = host_key.is_some() || method == b"publickey";
    let whole = service == b"ssh-connection" && plain && signs && named == key;
    (whole && !session.is_empty()).then_some(Purpose::Login { user, session, host_key })
}

/// An agent's list of keys with those alone that `keep` takes; `None` where it is no such list.
pub fn only(answer: &[u8], keep: impl Fn(&[u8]) -> bool) -> Option<Vec<u8>> {
    let mut rest = Reader(answer);
    if rest.byte()? != IDENTITIES_ANSWER {
        return None;
    }
    let count = rest.number()?;
    let (mut kept, mut body) = (0_u32, Vec::new());
    for _ in 0..count {
        let (key, comment) = (rest.string()?, rest.string()?);
        if keep(key) {
            kept = kept.checked_add(1)?;
            for part in [key, comment] {
                body.extend(u32::try_from(part.len()).ok()?.to_be_bytes());
                body.extend(part);
            }
        }
    }
    rest.end()?;
    Some([&[IDENTITIES_ANSWER][..], &kept.to_be_bytes(), &body].concat())
}

/// Asks for the keys there are.
pub const ASK_FOR_KEYS: &[u8] = &[REQUEST_IDENTITIES];

/// The fingerprints of the keys in an agent's answer.
pub fn fingerprints(answer: &[u8]) -> Option<BTreeSet<String>> {
    let mut rest = Reader(answer);
    let count = rest.byte().filter(|kind| *kind == IDENTITIES_ANSWER).and(rest.number())?;
    let mut key = || rest.string().map(fingerprint).filter(|_| rest.string().is_some());
    (0..count).map(|_| key()).collect()
}

/// Whether an agent agreed.
pub fn is_success(answer: &[u8]) -> bool {
    answer == [SUCCESS]
}

/// The fingerprint of a key, as `ssh-keygen -l` writes it.
pub fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

/// Bytes that are still to be read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    fn number(&mut self) -> Option<u32> {
        self.take(4)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
    }

    fn string(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length)
    }

    fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
