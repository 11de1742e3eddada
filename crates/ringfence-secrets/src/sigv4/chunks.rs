//! Bodies that are signed piece by piece (`aws-chunked`): each piece is found right before it goes on,
//! and signed anew. Lengths stay what they were.
//!
//! Source: "Signature calculations for the authorization header: transferring payload in multiple
//! chunks" of the Amazon S3 API reference.

use std::fmt;

use super::{SignatureError, SigningKey, digest};

/// Largest piece, in bytes: all of one is kept until its signature is known.
pub const CHUNK_BYTES_MAX: usize = 1024 * 1024;
/// Longest line in front of a piece, in bytes.
const LINE_BYTES_MAX: usize = 256;
/// Longest text behind the last piece, in bytes.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
/// What stands between the size of a piece and its signature.
const EXTENSION: &str = ";chunk-signature=";
/// What stands in front of the signature of a trailer.
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature:";

/// What comes behind the last piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trailer {
    Absent,
    Signed,
}

/// Signs a body anew as it streams by.
pub struct Chunks {
    about: String,
    trailer: Trailer,
    theirs: Chain,
    ours: Chain,
    at: At,
    kept: Vec<u8>,
}

/// A key, and the signature that the next one builds on.
struct Chain {
    key: SigningKey,
    last: String,
}

/// What comes next.
#[derive(Debug, Clone, PartialEq, Eq)]
enum At {
    Line,
    Piece { digits: String, size: usize, signature: String },
    Trailer,
    End,
}

impl Chunks {
    pub(super) fn new(
        about: String,
        trailer: Trailer,
        (theirs, ours): (SigningKey, SigningKey),
        (their_seed, our_seed): (String, String),
    ) -> Chunks {
        let theirs = Chain { key: theirs, last: their_seed };
        let ours = Chain { key: ours, last: our_seed };
        Chunks { about, trailer, theirs, ours, at: At::Line, kept: Vec::new() }
    }

    /// Takes what came, and gives what is right of it, signed anew.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<u8>, SignatureError> {
        self.kept.extend_from_slice(bytes);
        let mut out = Vec::with_capacity(bytes.len());
        while self.advance(&mut out)? {}
        Ok(out)
    }

    /// Whether all of the body was there.
    pub fn is_complete(&self) -> bool {
        self.at == At::End && self.kept.is_empty()
    }

    /// One step; whether there may be another.
    fn advance(&mut self, out: &mut Vec<u8>) -> Result<bool, SignatureError> {
        match self.at.clone() {
            At::Line => {
                let Some(line) = self.until("\r\n", LINE_BYTES_MAX)? else { return Ok(false) };
                let (size, signature) = line.split_once(EXTENSION).ok_or(WRONG)?;
                let (digits, signature) = (size.to_owned(), signature.to_owned());
                let size = size_of(&digits)?;
                self.at = At::Piece { digits, size, signature };
                Ok(true)
            }
            At::Piece { digits, size, signature } => {
                let last = size == 0;
                // The end of the last piece's line is that of the body, or a trailer follows.
                let behind = usize::from(!(last && self.trailer == Trailer::Signed)) * 2;
                if self.kept.len() < size + behind {
                    return Ok(false);
                }
                let rest = self.kept.split_off(size + behind);
                let piece = std::mem::replace(&mut self.kept, rest);
                let (data, end) = piece.split_at_checked(size).ok_or(WRONG)?;
                if !matches!(end, b"" | b"\r\n") {
                    return Err(WRONG);
                }
                let signature = self.signed_anew("PAYLOAD", &signature, data)?;
                out.extend_from_slice(format!("{digits}{EXTENSION}{signature}\r\n").as_bytes());
                out.extend_from_slice(&piece);
                self.at = match (last, self.trailer) {
                    (false, _) => At::Line,
                    (true, Trailer::Signed) => At::Trailer,
                    (true, Trailer::Absent) => At::End,
                };
                Ok(true)
            }
            At::Trailer => {
                let Some(text) = self.until("\r\n\r\n", TRAILER_BYTES_MAX)? else {
                    return Ok(false);
                };
                let (lines, signature) = text.rsplit_once("\r\n").ok_or(WRONG)?;
                let signature = signature.strip_prefix(TRAILER_SIGNATURE).ok_or(WRONG)?;
                let signed: String = lines.split("\r\n").flat_map(|line| [line, "\n"]).collect();
                let signature = self.signed_anew("TRAILER", signature, signed.as_bytes())?;
                let text = format!("{lines}\r\n{TRAILER_SIGNATURE}{signature}\r\n\r\n");
                out.extend_from_slice(text.as_bytes());
                self.at = At::End;
                Ok(true)
            }
            At::End if self.kept.is_empty() => Ok(false),
            At::End => Err(WRONG),
        }
    }

    /// The text in front of an end, which is taken as well; `None` while it is not there.
    fn until(&mut self, end: &str, most: usize) -> Result<Option<String>, SignatureError> {
        let Some(at) = memchr::memmem::find(&self.kept, end.as_bytes()) else {
            return if self.kept.len() > most { Err(WRONG) } else { Ok(None) };
        };
        if at > most {
            return Err(WRONG);
        }
        let rest = self.kept.split_off(at + end.len());
        let mut line = std::mem::replace(&mut self.kept, rest);
        line.truncate(at);
        String::from_utf8(line).map(Some).map_err(|_| WRONG)
    }

    /// Finds the signature of a piece right; the one that takes its place.
    fn signed_anew(
        &mut self,
        what: &str,
        signature: &str,
        data: &[u8],
    ) -> Result<String, SignatureError> {
        let of = match what {
            "TRAILER" => digest(data),
            _ => format!("{}\n{}", digest(b""), digest(data)),
        };
        let text = |chain: &Chain| {
            format!("AWS4-HMAC-SHA256-{what}\n{}\n{}\n{of}", self.about, chain.last)
        };
        if !self.theirs.key.verifies(&text(&self.theirs), signature) {
            return Err(SignatureError::Forged(
                "a chunk's signature is not what the stand-in makes of it",
            ));
        }
        let ours = self.ours.key.sign(&text(&self.ours));
        signature.clone_into(&mut self.theirs.last);
        self.ours.last.clone_from(&ours);
        Ok(ours)
    }
}

/// A body that is not written as it should be.
const WRONG: SignatureError =
    SignatureError::Forged("its body is not in chunks as its signature says");

/// The size of a piece; its digits go on as they are, so that lengths stay.
fn size_of(digits: &str) -> Result<usize, SignatureError> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(WRONG);
    }
    let size = usize::from_str_radix(digits, 16).ok().filter(|size| *size <= CHUNK_BYTES_MAX);
    size.ok_or(SignatureError::Unsupported("a chunk of its body has more than 1 MiB"))
}

impl fmt::Debug for Chunks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chunks")
    }
}

#[cfg(test)]
mod tests;
