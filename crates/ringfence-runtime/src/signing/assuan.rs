//! What is said to a gpg agent, line by line (the Assuan protocol, as libassuan has it), as far as it
//! passes: which keys there are, sign this digest. Everything else is told apart and not taken apart.

use std::io::{self, BufRead, Read as _};

/// Longest line, in bytes, without its end.
pub const LINE_BYTES_MAX: usize = 1000;
/// Longest name of a command that is shown, in bytes.
const VERB_BYTES_MAX: usize = 32;
/// A keygrip, in hexadecimal digits: the SHA-1 of what makes a public key.
const KEYGRIP_DIGITS: usize = 40;
/// Bytes of data in one line, escaped threefold at most, after `D `.
const DATA_BYTES: usize = 300;

/// Hashes that OpenPGP signs (RFC 4880, 9.4): number, name, and length in bytes. MD5 is none of them.
const HASHES: &[(u8, &str, usize)] = &[
    (2, "sha1", 20),
    (3, "ripemd160", 20),
    (8, "sha256", 32),
    (9, "sha384", 48),
    (10, "sha512", 64),
    (11, "sha224", 28),
];

/// What an agent calls a key: 40 hexadecimal digits in capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Keygrip(String);

/// What is to be signed: a hash, and what it is the hash of nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    number: u8,
    name: &'static str,
    hex: String,
}

/// What a program asks of its agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// Nothing: an empty line, or a comment.
    Nothing,
    /// Something that is answered and changes nothing: an option, or a text for the person, which is
    /// not shown.
    Courtesy,
    /// To forget what was said before.
    Reset,
    /// To part.
    Bye,
    /// The agent's version.
    Version,
    /// Something about the agent that is not told.
    Untold,
    /// Whether there is any of these keys.
    Have(Vec<Keygrip>),
    /// Which keys there are.
    List,
    /// How a key is kept.
    Info(Keygrip),
    /// With which key it will have signed.
    Key(Keygrip),
    /// What it will have signed.
    Hash(Digest),
    /// Something about a smartcard: gpg looks for one before each signature.
    Card,
    /// A signature.
    Sign,
    /// Anything else, by the command's name.
    Other(String),
}

/// What an agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It is done.
    Done,
    /// It is not: a number of libgpg-error's.
    Failed(u32),
    /// A piece of what was asked for.
    Data(Vec<u8>),
    /// How it is going.
    Status,
    /// It asks back.
    Inquiry,
}

impl Keygrip {
    /// A keygrip, in capitals or not.
    pub fn parse(text: &str) -> Option<Keygrip> {
        let whole = text.len() == KEYGRIP_DIGITS && is_hex(text);
        whole.then(|| Keygrip(text.to_ascii_uppercase()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The bytes that the digits stand for.
    pub fn bytes(&self) -> Vec<u8> {
        let digit = |byte: &u8| char::from(*byte).to_digit(16).unwrap_or_default();
        let digits: Vec<u32> = self.0.as_bytes().iter().map(digit).collect();
        let byte = |pair: &[u32]| pair.iter().fold(0, |sum, digit| sum * 16 + digit);
        digits.chunks(2).filter_map(|pair| u8::try_from(byte(pair)).ok()).collect()
    }
}

impl Digest {
    /// The hash's name and its digits: `sha256/0f...`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.name, self.hex)
    }

    /// The command that says it.
    pub fn command(&self) -> String {
        format!("SETHASH {} {}", self.number, self.hex.to_ascii_uppercase())
    }

    fn parse(words: &str) -> Option<Digest> {
        let (number, hex) = words.split_once(' ')?;
        let number: u8 = number.parse().ok()?;
        let (_, name, bytes) = HASHES.iter().find(|(known, _, _)| *known == number)?;
        let whole = hex.len() == bytes * 2 && is_hex(hex);
        whole.then(|| Digest { number, name, hex: hex.to_ascii_lowercase() })
    }
}

/// Takes a line apart, without its end; what is not understood as a whole is `Other`.
pub fn asked(line: &[u8]) -> Asked {
    if line.is_empty() || line.starts_with(b"#") {
        return Asked::Nothing;
    }
    let plain = |text: &&str| !text.chars().any(char::is_control);
    let Some(text) = std::str::from_utf8(line).ok().filter(plain) else {
        return Asked::Other(verb_of(line));
    };
    let (verb, words) = text.split_once(' ').unwrap_or((text, ""));
    let words = words.trim();
    let parsed = match verb.to_ascii_uppercase().as_str() {
        "NOP" | "OPTION" | "SETKEYDESC" => Some(Asked::Courtesy),
        "RESET" => Some(Asked::Reset),
        "BYE" => Some(Asked::Bye),
        "GETINFO" if words == "version" => Some(Asked::Version),
        "GETINFO" => Some(Asked::Untold),
        "SCD" => Some(Asked::Card),
        "HAVEKEY" if words == "--list" || words.starts_with("--list=") => Some(Asked::List),
        "HAVEKEY" => words.split(' ').map(Keygrip::parse).collect::<Option<_>>().map(Asked::Have),
        "KEYINFO" => Keygrip::parse(words).map(Asked::Info),
        "SIGKEY" | "SETKEY" => Keygrip::parse(words).map(Asked::Key),
        "SETHASH" => Digest::parse(words).map(Asked::Hash),
        "PKSIGN" => names_a_cache(words).then_some(Asked::Sign),
        _ => None,
    };
    parsed.unwrap_or_else(|| Asked::Other(verb_of(line)))
}

/// Whether a signature is asked for plainly: a passphrase that the agent may still know has a name,
/// which is not passed on, and there are no options.
fn names_a_cache(words: &str) -> bool {
    let name = words.strip_prefix("-- ").unwrap_or(words);
    name.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

/// The name of a command, for people.
fn verb_of(line: &[u8]) -> String {
    let verb = line.split(|byte| !(byte.is_ascii_alphanumeric() || *byte == b'_')).next();
    let verb = verb.unwrap_or_default().iter().take(VERB_BYTES_MAX);
    verb.map(|byte| char::from(byte.to_ascii_uppercase())).collect()
}

/// Takes an agent's line apart; `None` where it is none.
pub fn answered(line: &[u8]) -> Option<Answered> {
    let (verb, words) = match line.iter().position(|byte| *byte == b' ') {
        Some(at) => (line.get(..at)?, line.get(at + 1..)?),
        None => (line, &[][..]),
    };
    match verb {
        b"OK" => Some(Answered::Done),
        b"ERR" => {
            let number = words.split(|byte| *byte == b' ').next()?;
            std::str::from_utf8(number).ok()?.parse().ok().map(Answered::Failed)
        }
        b"D" => unescape(words).map(Answered::Data),
        b"S" => Some(Answered::Status),
        b"INQUIRE" => Some(Answered::Inquiry),
        _ => line.starts_with(b"#").then_some(Answered::Status),
    }
}

/// Bytes as lines of data, with their ends.
pub fn data(bytes: &[u8]) -> Vec<u8> {
    let mut lines = Vec::new();
    for piece in bytes.chunks(DATA_BYTES) {
        lines.extend(b"D ");
        for byte in piece {
            match byte {
                b'%' | b'\r' | b'\n' => lines.extend(format!("%{byte:02X}").bytes()),
                byte => lines.push(*byte),
            }
        }
        lines.push(b'\n');
    }
    lines
}

/// A text as one word.
pub fn word(text: &str) -> String {
    let escaped = |byte: u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_graphic() && byte != b'%' && byte != b'+' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escaped).collect()
}

fn unescape(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut rest = bytes.iter();
    let mut plain = Vec::with_capacity(bytes.len());
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            plain.push(*byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(*digit).to_digit(16));
        let number = digit()? * 16 + digit()?;
        plain.push(u8::try_from(number).ok()?);
    }
    Some(plain)
}

fn is_hex(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The next line, without its end (LF, or CR and LF); `None` at the end. A line that is longer than
/// [`LINE_BYTES_MAX`] is an error, and what comes after it is nobody's.
pub fn next_line(from: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let most = u64::try_from(LINE_BYTES_MAX + 2).map_err(io::Error::other)?;
    from.by_ref().take(most).read_until(b'\n', &mut line)?;
    let whole = line.pop_if(|last| *last == b'\n').is_some();
    if whole {
        line.pop_if(|last| *last == b'\r');
    }
    if line.len() > LINE_BYTES_MAX {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
    }
    Ok(whole.then_some(line))
}

#[cfg(test)]
#[path = "assuan_tests.rs"]
mod tests;
