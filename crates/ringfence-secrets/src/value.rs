//! A secret's value: wiped when dropped, and without any way to be printed.

use std::fmt;

use ringfence_core::SecretName;
use zeroize::Zeroizing;

use crate::sigv4::key::KeyError;

/// Shortest value, in bytes: a shorter one cannot be told from other text in what a server answers.
pub(crate) const VALUE_BYTES_MIN: usize = 8;
/// Longest value, in bytes; it has to fit into a head of HTTP beside others.
pub(crate) const VALUE_BYTES_MAX: usize = 8 * 1024;

/// A secret with its value.
pub struct Secret {
    name: SecretName,
    value: Zeroizing<String>,
}

/// Why a value was refused; it never quotes the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Too short.
    #[error("a secret has at least {VALUE_BYTES_MIN} bytes")]
    Short,
    /// Too long.
    #[error("a secret has at most {VALUE_BYTES_MAX} bytes")]
    Long,
    /// Not ASCII that can be seen: it could not stand in a header.
    #[error("a secret is one line of visible ASCII characters, without spaces")]
    Characters,
    /// No key of AWS.
    #[error(transparent)]
    Aws(#[from] KeyError),
}

impl Secret {
    /// Takes a value; one line's end after it is dropped.
    pub fn new(name: SecretName, value: &str) -> Result<Secret, ValueError> {
        let bare = value.strip_suffix('\n').unwrap_or(value);
        let bare = bare.strip_suffix('\r').unwrap_or(bare);
        if bare.len() < VALUE_BYTES_MIN {
            return Err(ValueError::Short);
        }
        if bare.len() > VALUE_BYTES_MAX {
            return Err(ValueError::Long);
        }
        if !bare.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ValueError::Characters);
        }
        Ok(Secret { name, value: Zeroizing::new(bare.to_owned()) })
    }

    /// The secret's name.
    pub fn name(&self) -> &SecretName {
        &self.name
    }

    /// The value itself: for a request that was permitted, a backend or a scrubber, never for text
    /// that somebody reads.
    pub fn dangerous_reveal(&self) -> &str {
        &self.value
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", self.name)
    }
}
