//! Files that are read and replaced as a whole: small, private, never seen half written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

/// Largest policy, settings, trust or grant file, in bytes: they are written by people.
pub const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Why one of our own or a person's files could not be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The system refused.
    #[error("cannot {what} `{}`: {source}", path.display())]
    Io {
        /// `read`, `write`, `create`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// More than [`FILE_BYTES_MAX`].
    #[error("`{}` has more than {FILE_BYTES_MAX} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// Not a text.
    #[error("`{}` is not UTF-8", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// A symbolic link, directory or device stands where a file should.
    #[error("`{}` is not a regular file (a symbolic link is not followed here)", path.display())]
    NotRegular {
        /// The file.
        path: PathBuf,
    },
}

impl FileError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> FileError {
        FileError::Io { what, path: path.to_owned(), source }
    }
}

/// A text file as it was read once: what is checked is what is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileText {
    /// Where it was read.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// SHA-256 of its bytes, lower-case hex.
    pub sha256: String,
}

impl FileText {
    /// Takes a text and computes its digest.
    pub fn new(path: PathBuf, text: String) -> FileText {
        let sha256 = sha256_hex(text.as_bytes());
        FileText { path, text, sha256 }
    }
}

/// Whether the last component of a path may be a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It may (a person's own files).
    Follow,
    /// It may not (files of a project that somebody else may have written).
    Refuse,
}

/// Reads a text file; `None` where it does not exist.
pub fn read_text(path: &Path, links: Links) -> Result<Option<FileText>, FileError> {
    let nofollow = match links {
        Links::Follow => 0,
        Links::Refuse => rustix::fs::OFlags::NOFOLLOW.bits(),
    };
    // A fifo must not hang the start: opened without waiting for a writer, then refused.
    let flags = nofollow | rustix::fs::OFlags::NONBLOCK.bits();
    let opened = OpenOptions::new().read(true).custom_flags(flags.cast_signed()).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        Err(error) => return Err(FileError::io("read", path, error)),
    };
    let metadata = file.metadata().map_err(|error| FileError::io("read", path, error))?;
    if !metadata.is_file() {
        return Err(FileError::NotRegular { path: path.to_owned() });
    }
    let bytes = read_bounded(path, file)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(FileText::new(path.to_owned(), text))),
        Err(_) => Err(FileError::NotUtf8 { path: path.to_owned() }),
    }
}

fn read_bounded(path: &Path, file: File) -> Result<Vec<u8>, FileError> {
    let mut bytes = Vec::new();
    let read = file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes);
    let length = read.map_err(|error| FileError::io("read", path, error))?;
    if length as u64 > FILE_BYTES_MAX {
        return Err(FileError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Replaces a file whole: written beside, synced, renamed over. `mode` is its permission bits.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    let fail = |error| FileError::io("write", path, error);
    put(path, bytes, (mode, Lasts::PowerLoss))?;
    // The rename itself must survive a loss of power, as the content does.
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(fail)
}

/// The same for a file that means nothing after a restart of the machine: nobody waits for a disk.
pub fn replace_for_now(path: &Path, bytes: &[u8], mode: u32) -> Result<(), FileError> {
    put(path, bytes, (mode, Lasts::ThisBoot))
}

/// How long a file has to last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasts {
    PowerLoss,
    ThisBoot,
}

fn put(path: &Path, bytes: &[u8], as_what: (u32, Lasts)) -> Result<(), FileError> {
    let fail = |error| FileError::io("write", path, error);
    let dir = path.parent().unwrap_or(Path::new("/"));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = dir.join(format!(".{name}.{}", random_hex(4).map_err(fail)?));
    let result = write_new(&beside, bytes, as_what).and_then(|()| fs::rename(&beside, path));
    if result.is_err() {
        // The temporary file is ours alone; a failure to remove it changes nothing.
        let _ = fs::remove_file(&beside);
    }
    result.map_err(fail)
}

fn write_new(path: &Path, bytes: &[u8], (mode, lasts): (u32, Lasts)) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    match lasts {
        Lasts::PowerLoss => file.sync_all(),
        Lasts::ThisBoot => Ok(()),
    }
}

/// Makes a directory (and those above it) that only its owner may enter.
pub fn create_private_dir(path: &Path) -> Result<(), FileError> {
    let fail = |error| FileError::io("create", path, error);
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fail)?;
    let mode = fs::symlink_metadata(path).map_err(fail)?.permissions().mode();
    if mode & 0o077 != 0 {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(fail)?;
    }
    Ok(())
}

/// SHA-256 as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// `length` random bytes as lower-case hex.
pub(crate) fn random_hex(length: usize) -> io::Result<String> {
    let mut bytes = vec![0; length];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(hex(&bytes))
}

/// Bytes as lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
