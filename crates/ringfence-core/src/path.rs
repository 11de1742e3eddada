//! Paths in the one form that policy and plan understand.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest path that is understood, in bytes (Linux `PATH_MAX`).
pub const PATH_BYTES_MAX: usize = 4096;

/// An absolute UTF-8 path without `.`, `..`, empty components, NUL or a trailing slash.
///
/// It is lexical: symbolic links are the business of whoever made it (the ports resolve them).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AbsolutePath(String);

/// Why a path was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// The path does not start at the root.
    #[error("path `{0}` is not absolute")]
    NotAbsolute(String),
    /// The path is longer than [`PATH_BYTES_MAX`].
    #[error("path has {0} bytes, more than {PATH_BYTES_MAX}")]
    TooLong(usize),
    /// The path is not UTF-8; the text is the path with replacement characters.
    #[error("path `{0}` is not UTF-8")]
    NotUtf8(String),
    /// The path holds a NUL byte.
    #[error("path holds a NUL byte")]
    Nul,
}

impl AbsolutePath {
    /// Parses and normalises: `/a//b/./c/../d/` becomes `/a/b/d`; `..` at the root stays there.
    pub fn parse(text: &str) -> Result<AbsolutePath, PathError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(PathError::TooLong(text.len()));
        }
        if text.contains('\0') {
            return Err(PathError::Nul);
        }
        if !text.starts_with('/') {
            return Err(PathError::NotAbsolute(text.to_owned()));
        }
        // Most are canonical: what the kernel says is.
        let mut names = text.split('/').skip(1);
        if names.all(|part| !matches!(part, "" | "." | "..")) {
            return Ok(AbsolutePath(text.to_owned()));
        }
        let mut parts: Vec<&str> = Vec::new();
        for part in text.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop();
                }
                name => parts.push(name),
            }
        }
        Ok(AbsolutePath(format!("/{}", parts.join("/"))))
    }

    /// Parses bytes as the kernel gives them.
    pub fn from_bytes(bytes: &[u8]) -> Result<AbsolutePath, PathError> {
        match std::str::from_utf8(bytes) {
            Ok(text) => AbsolutePath::parse(text),
            Err(_) => Err(PathError::NotUtf8(String::from_utf8_lossy(bytes).into_owned())),
        }
    }

    /// Parses `text`, which may be relative to `base`.
    pub fn resolve(base: &AbsolutePath, text: &str) -> Result<AbsolutePath, PathError> {
        if text.starts_with('/') {
            AbsolutePath::parse(text)
        } else {
            AbsolutePath::parse(&format!("{}/{text}", base.0))
        }
    }

    /// The root directory, `/`.
    pub fn root() -> AbsolutePath {
        AbsolutePath("/".to_owned())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path as the standard library's type.
    pub fn as_path(&self) -> &std::path::Path {
        std::path::Path::new(&self.0)
    }

    /// The last component; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or("")
    }

    /// The directory that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<AbsolutePath> {
        if self.0 == "/" {
            return None;
        }
        let (head, _) = self.0.rsplit_once('/')?;
        Some(AbsolutePath(if head.is_empty() { "/".to_owned() } else { head.to_owned() }))
    }

    /// All directories above this path, nearest first, ending with the root.
    pub fn ancestors(&self) -> impl Iterator<Item = AbsolutePath> {
        std::iter::successors(self.parent(), AbsolutePath::parent)
    }

    /// This path with one more component; `name` must not hold a slash.
    pub fn join(&self, name: &str) -> Result<AbsolutePath, PathError> {
        AbsolutePath::resolve(self, name)
    }

    /// Whether this path is `dir` or lies beneath it.
    pub fn is_within(&self, dir: &AbsolutePath) -> bool {
        dir.0 == "/"
            || self
                .0
                .strip_prefix(dir.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = PathError;
    fn try_from(text: String) -> Result<AbsolutePath, PathError> {
        AbsolutePath::parse(&text)
    }
}

impl From<AbsolutePath> for String {
    fn from(path: AbsolutePath) -> String {
        path.0
    }
}

impl AsRef<std::path::Path> for AbsolutePath {
    fn as_ref(&self) -> &std::path::Path {
        self.as_path()
    }
}
