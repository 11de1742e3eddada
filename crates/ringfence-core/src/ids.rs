//! Names of sessions, of entries in their logs, and of secrets.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A session's name: `s` and 8 to 26 lowercase letters or digits, chosen at random by the broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SessionId(String);

/// The alphabet of session names: 32 characters that are not mistaken for one another.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Longest name of a secret, in bytes.
const SECRET_NAME_BYTES_MAX: usize = 64;

/// A secret's name: lower-case letters, digits and hyphens, a letter first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct SecretName(String);

/// What is wrong with a name that was given for a session, an entry or a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Not the name of a session or an entry.
    #[error("`{0}` does not name a session or an entry")]
    Session(String),
    /// Not the name of a secret.
    #[error(
        "`{0}` is no name for a secret: lower-case letters, digits and hyphens, a letter first, \
         at most {SECRET_NAME_BYTES_MAX}"
    )]
    Secret(String),
}

impl SecretName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = IdError;
    fn from_str(text: &str) -> Result<SecretName, IdError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let fits = (1..=SECRET_NAME_BYTES_MAX).contains(&text.len())
            && text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(plain);
        if fits { Ok(SecretName(text.to_owned())) } else { Err(IdError::Secret(text.to_owned())) }
    }
}

impl TryFrom<String> for SecretName {
    type Error = IdError;
    fn try_from(text: String) -> Result<SecretName, IdError> {
        text.parse()
    }
}

impl From<SecretName> for String {
    fn from(name: SecretName) -> String {
        name.0
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SessionId {
    /// Makes a name from eight random bytes.
    pub fn from_random(random: [u8; 8]) -> SessionId {
        let text = random
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte & 31)))
            .map(|&byte| char::from(byte));
        SessionId(std::iter::once('s').chain(text).collect())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SessionId {
    type Err = IdError;
    fn from_str(text: &str) -> Result<SessionId, IdError> {
        let tail = text.strip_prefix('s').ok_or_else(|| IdError::Session(text.to_owned()))?;
        let fits = (8..=26).contains(&tail.len())
            && tail.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        if fits { Ok(SessionId(text.to_owned())) } else { Err(IdError::Session(text.to_owned())) }
    }
}

impl TryFrom<String> for SessionId {
    type Error = IdError;
    fn try_from(text: String) -> Result<SessionId, IdError> {
        text.parse()
    }
}

impl From<SessionId> for String {
    fn from(id: SessionId) -> String {
        id.0
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An entry's full name, written `SESSION/INDEX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EntryRef {
    /// The session whose log holds the entry.
    pub session: SessionId,
    /// The entry's index in that log, from 0.
    pub index: u64,
}

impl fmt::Display for EntryRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.session, self.index)
    }
}

impl FromStr for EntryRef {
    type Err = IdError;
    fn from_str(text: &str) -> Result<EntryRef, IdError> {
        let wrong = || IdError::Session(text.to_owned());
        let (session, index) = text.split_once('/').ok_or_else(wrong)?;
        Ok(EntryRef { session: session.parse()?, index: index.parse().map_err(|_| wrong())? })
    }
}
