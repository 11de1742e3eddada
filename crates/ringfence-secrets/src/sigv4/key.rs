//! An AWS access key: its id, its secret, and the token of temporary ones.

use std::fmt;

use serde_json::Value;
use zeroize::Zeroizing;

/// Longest part of a key, in bytes; tokens are the longest.
const PART_BYTES_MAX: usize = 6 * 1024;
/// Fewest bytes of an id and of a secret.
const PART_BYTES_MIN: usize = 8;
/// The names that the parts have in JSON and in files of credentials.
const ID_NAMES: [&str; 3] = ["AccessKeyId", "aws_access_key_id", "access_key"];
const SECRET_NAMES: [&str; 3] = ["SecretAccessKey", "aws_secret_access_key", "secret_key"];
const TOKEN_NAMES: [&str; 4] =
    ["SessionToken", "aws_session_token", "security_token", "session_token"];

/// An access key.
#[derive(Clone)]
pub struct Key {
    id: String,
    secret: Zeroizing<String>,
    token: Option<Zeroizing<String>>,
}

/// Why a text is no access key; it never quotes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// None of the forms.
    #[error(
        "an AWS key is `ID:SECRET` or `ID:SECRET:TOKEN`, the JSON that `aws configure \
         export-credentials` prints, or one profile of a credentials file"
    )]
    Form,
    /// More than one profile.
    #[error("there is more than one profile in it: give one")]
    Profiles,
    /// A part that cannot be one.
    #[error("its {0} is none: it has other characters, or is too short or too long")]
    Part(&'static str),
}

impl Key {
    /// A key of its parts.
    pub fn new(id: &str, secret: &str, token: Option<&str>) -> Result<Key, KeyError> {
        let within = |text: &str, least: usize| (least..=PART_BYTES_MAX).contains(&text.len());
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-.".contains(&byte);
        if !within(id, PART_BYTES_MIN) || !id.bytes().all(word) {
            return Err(KeyError::Part("access key id"));
        }
        if !within(secret, PART_BYTES_MIN) || !secret.bytes().all(base64) {
            return Err(KeyError::Part("secret access key"));
        }
        let token = token.filter(|it| !it.is_empty());
        if token.is_some_and(|it| !within(it, PART_BYTES_MIN) || !it.bytes().all(base64)) {
            return Err(KeyError::Part("session token"));
        }
        Ok(Key {
            id: id.to_owned(),
            secret: Zeroizing::new(secret.to_owned()),
            token: token.map(|it| Zeroizing::new(it.to_owned())),
        })
    }

    /// Reads a key in any of the forms that it is had in.
    pub fn parse(text: &str) -> Result<Key, KeyError> {
        let text = text.trim();
        if text.starts_with('{') {
            Key::from_json(text)
        } else if text.contains(['=', '[']) && text.contains('\n') {
            Key::from_profile(text)
        } else {
            let mut parts = text.split(':');
            let (Some(id), Some(secret)) = (parts.next(), parts.next()) else {
                return Err(KeyError::Form);
            };
            let token = parts.next();
            if parts.next().is_some() { Err(KeyError::Form) } else { Key::new(id, secret, token) }
        }
    }

    /// `{"AccessKeyId": ..., "SecretAccessKey": ..., "SessionToken": ...}`, or what a vault says.
    fn from_json(text: &str) -> Result<Key, KeyError> {
        // A parser's error could quote the value.
        let all: Value = serde_json::from_str(text).map_err(|_| KeyError::Form)?;
        // `aws sts assume-role` wraps them.
        let all = all.get("Credentials").unwrap_or(&all);
        let named = |names: &[&str]| names.iter().find_map(|name| all.get(name)?.as_str());
        match (named(&ID_NAMES), named(&SECRET_NAMES)) {
            (Some(id), Some(secret)) => Key::new(id, secret, named(&TOKEN_NAMES)),
            (Some(_) | None, _) => Err(KeyError::Form),
        }
    }

    /// One profile of a shared credentials file, or `NAME=VALUE` of an environment.
    fn from_profile(text: &str) -> Result<Key, KeyError> {
        let (mut id, mut secret, mut token) = (None, None, None);
        let mut profiles = 0;
        for line in text.lines().map(str::trim) {
            if line.starts_with('[') {
                profiles += 1;
            }
            let Some((name, value)) = line.split_once('=') else { continue };
            let name = name.trim().trim_start_matches("export ").trim();
            let is = |names: &[&str]| names.iter().any(|it| it.eq_ignore_ascii_case(name));
            let part = if is(&ID_NAMES) {
                &mut id
            } else if is(&SECRET_NAMES) {
                &mut secret
            } else if is(&TOKEN_NAMES) {
                &mut token
            } else {
                continue;
            };
            if part.replace(value.trim()).is_some() {
                return Err(KeyError::Profiles);
            }
        }
        match (id, secret) {
            _ if profiles > 1 => Err(KeyError::Profiles),
            (Some(id), Some(secret)) => Key::new(id, secret, token),
            (Some(_) | None, _) => Err(KeyError::Form),
        }
    }

    /// The one form that it is kept in: `ID:SECRET` or `ID:SECRET:TOKEN`.
    pub fn dangerous_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(format!("{}:{}", self.id, &*self.secret));
        if let Some(token) = &self.token {
            text.push(':');
            text.push_str(token);
        }
        text
    }

    /// Its id, which is sent with each request.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What signs.
    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    /// What is sent beside the id of a temporary key.
    pub(crate) fn token(&self) -> Option<&str> {
        self.token.as_ref().map(|it| it.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

#[cfg(test)]
mod tests;
