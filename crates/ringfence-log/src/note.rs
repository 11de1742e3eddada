//! The checkpoint: a C2SP signed note that says how large a log is and what its root is.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::key::{HostKey, PublicKey};
use crate::tree::Hash;

/// Extension line of the last checkpoint a log ever gets.
const CLOSED_LINE: &str = "closed";

/// Longest checkpoint that is read, in bytes; room for cosignatures is left.
pub(crate) const CHECKPOINT_BYTES_MAX: u64 = 64 * 1024;

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which log: host key id, slash, session id.
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// Root hash over them.
    pub root: Hash,
    /// Whether the log was closed with them.
    pub closed: bool,
}

impl Checkpoint {
    fn text(&self) -> String {
        let closed = if self.closed { "closed\n" } else { "" };
        format!("{}\n{}\n{}\n{closed}", self.origin, self.size, BASE64.encode(self.root))
    }

    /// The signed note.
    pub(crate) fn signed(&self, key: &HostKey) -> String {
        signed(&self.text(), &self.origin, key)
    }

    /// Reads a note and checks its signature; the text says what is wrong.
    pub fn verify(note: &[u8], origin: &str, key: &PublicKey) -> Result<Checkpoint, &'static str> {
        let text = open(note, origin, key)?;
        let checkpoint = parse(&text).ok_or("its checkpoint is malformed")?;
        if checkpoint.origin != origin {
            return Err("its checkpoint belongs to another log or another host key");
        }
        Ok(checkpoint)
    }
}

/// A C2SP signed note over `text`, which ends with a newline, in the name of `origin`.
pub(crate) fn signed(text: &str, origin: &str, key: &HostKey) -> String {
    let mut signature = key.public().note_hash(origin).to_vec();
    signature.extend_from_slice(&key.sign(text.as_bytes()));
    format!("{text}\n\u{2014} {origin} {}\n", BASE64.encode(signature))
}

/// The text of a note that `key` has signed in the name of `origin`.
pub(crate) fn open(note: &[u8], origin: &str, key: &PublicKey) -> Result<String, &'static str> {
    let note = std::str::from_utf8(note).map_err(|_| "its checkpoint is not text")?;
    let (text, signatures) =
        note.split_once("\n\n").ok_or("its checkpoint is not a signed note")?;
    let text = format!("{text}\n");
    let signatures = signatures.strip_suffix('\n').ok_or("its checkpoint is cut short")?;
    if signatures.split('\n').any(|line| signs(line, &text, origin, key)) {
        return Ok(text);
    }
    // What a person can tell apart: a note of somebody else, and one that was changed.
    if text.lines().next() == Some(origin) {
        Err("the signature of its checkpoint is wrong")
    } else {
        Err("its checkpoint belongs to another log or another host key")
    }
}

fn parse(text: &str) -> Option<Checkpoint> {
    let mut lines = text.lines();
    let origin = lines.next()?.to_owned();
    let size = lines.next()?.parse().ok()?;
    let root: Hash = BASE64.decode(lines.next()?).ok()?.try_into().ok()?;
    let closed = match lines.next() {
        None => false,
        Some(line) if line == CLOSED_LINE => true,
        Some(_) => return None,
    };
    let checkpoint = Checkpoint { origin, size, root, closed };
    // One spelling only: what is signed is what would be written.
    (checkpoint.text() == text).then_some(checkpoint)
}

fn signs(line: &str, text: &str, origin: &str, key: &PublicKey) -> bool {
    let encoded = line.strip_prefix("\u{2014} ").and_then(|rest| rest.strip_prefix(origin));
    let Some(encoded) = encoded.and_then(|rest| rest.strip_prefix(' ')) else { return false };
    let Ok(bytes) = BASE64.decode(encoded) else { return false };
    let Some((hash, signature)) = bytes.split_first_chunk::<4>() else { return false };
    let Ok(signature) = <&[u8; 64]>::try_from(signature) else { return false };
    *hash == key.note_hash(origin) && key.verifies(text.as_bytes(), signature)
}
