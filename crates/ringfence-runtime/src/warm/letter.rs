//! What a caller has, as bytes: its words, its environment and its directory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, fstat, memfd_create};

use crate::environment::Environment;

/// First bytes of every letter: what it is, and which version.
const MAGIC: &[u8] = b"ringfence-warm 1";

/// Largest letter, in bytes: arguments and environment of an exec are at most 6 MiB, execve(2).
const LETTER_BYTES_MAX: u64 = 8 << 20;

/// Nobody changes a letter that is being read, nor makes it shorter than it was said to be.
const SEALS: SealFlags =
    SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// What a caller has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// The words of its command line, the program's own name first.
    pub words: Vec<OsString>,
    /// Its environment.
    pub environment: Environment,
    /// Its directory.
    pub cwd: PathBuf,
}

impl Letter {
    /// Writes it into a file in memory that nobody can change any more.
    pub fn write(&self) -> io::Result<OwnedFd> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let mut file = File::from(memfd_create("ringfence-letter", flags)?);
        file.write_all(&self.to_bytes())?;
        fcntl_add_seals(&file, SEALS)?;
        Ok(file.into())
    }

    /// Reads one from a file in memory; what is not such a file is refused before it is read.
    pub fn read(memory: impl AsFd) -> io::Result<Letter> {
        // Only files in memory have seals: whatever else is sent could keep the reader waiting.
        if !fcntl_get_seals(memory.as_fd())?.contains(SEALS) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let length = u64::try_from(fstat(memory.as_fd())?.st_size).unwrap_or(u64::MAX);
        if length > LETTER_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or_default()];
        File::from(memory.as_fd().try_clone_to_owned()?).read_exact_at(&mut bytes, 0)?;
        Letter::from_bytes(&bytes).ok_or_else(|| io::ErrorKind::InvalidData.into())
    }

    /// Strings that end with a NUL, which none of them can hold: magic, directory, the number of
    /// words, the words, names of variables each with its value.
    fn to_bytes(&self) -> Vec<u8> {
        let count = self.words.len().to_string();
        let head = [MAGIC, self.cwd.as_os_str().as_bytes(), count.as_bytes()];
        let words = self.words.iter().map(|word| word.as_bytes());
        let variables =
            self.environment.iter().flat_map(|(name, value)| [name.as_bytes(), value.as_bytes()]);
        let mut bytes = Vec::new();
        for string in head.into_iter().chain(words).chain(variables) {
            bytes.extend_from_slice(string);
            bytes.push(0);
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Letter> {
        let mut strings = bytes.strip_suffix(&[0])?.split(|byte| *byte == 0);
        if strings.next()? != MAGIC {
            return None;
        }
        let cwd = PathBuf::from(OsStr::from_bytes(strings.next()?));
        let count: usize = std::str::from_utf8(strings.next()?).ok()?.parse().ok()?;
        let mut next = || strings.next().map(|it| OsString::from_vec(it.to_vec()));
        // No room is made for a number that only says so.
        let words: Vec<OsString> = std::iter::from_fn(&mut next).take(count).collect();
        let mut variables = Vec::new();
        while let Some(name) = next() {
            variables.push((name, next()?));
        }
        let whole = words.len() == count && cwd.is_absolute();
        whole.then(|| Letter { words, environment: variables.into_iter().collect(), cwd })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter() -> Letter {
        let words = ["ringfence", "run", "--warm", "--", "sh", "-c", "", "a\nb"];
        let not_text = OsString::from_vec(vec![0xff, b'=']);
        Letter {
            words: words.into_iter().map(OsString::from).chain([not_text.clone()]).collect(),
            environment: [(OsString::from("A"), OsString::new()), (OsString::from("B"), not_text)]
                .into_iter()
                .collect(),
            cwd: "/srv/app".into(),
        }
    }

    #[test]
    fn a_letter_is_read_as_it_was_written() {
        assert_eq!(Letter::read(letter().write().unwrap()).unwrap(), letter());
    }

    #[test]
    fn a_letter_that_is_cut_is_none() {
        let bytes = letter().to_bytes();
        for length in 0..bytes.len() {
            let cut = Letter::from_bytes(&bytes[..length]);
            // Cut between two variables it is another letter; it is never read as the whole one.
            assert_ne!(cut, Some(letter()), "{length}");
        }
        for wrong in ["", "\0", "ringfence-warm 1\0", "ringfence-warm 1\0/\0", "other\0/\x000\0"] {
            assert_eq!(Letter::from_bytes(wrong.as_bytes()), None, "`{wrong}`");
        }
        for wrong in ["2\0a\0", "-1\0", "x\0", "99999999999999999999\0", "0\0A\0"] {
            let bytes = format!("ringfence-warm 1\0/\0{wrong}");
            assert_eq!(Letter::from_bytes(bytes.as_bytes()), None, "`{wrong}`");
        }
        assert_eq!(Letter::from_bytes(b"ringfence-warm 1\0relative\x000\0"), None);
    }

    #[test]
    fn what_could_change_or_keep_the_reader_waiting_is_not_read() {
        let open = memfd_create("open", MemfdFlags::ALLOW_SEALING).unwrap();
        File::from(open.try_clone().unwrap()).write_all(&letter().to_bytes()).unwrap();
        assert!(Letter::read(&open).is_err());
        let (read, _write) = rustix::pipe::pipe().unwrap();
        assert!(Letter::read(&read).is_err());
        assert!(Letter::read(File::open("/etc/passwd").unwrap()).is_err());
    }
}
