//! The host's gpg, asked for the person's public keys before a world is started.
//!
//! It runs outside, as the person, and only where settings name keys of it.

use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::environment::Environment;
use crate::signing::assuan::Keygrip;

/// Where gpg is looked for. Not in `PATH`: that may lead into a tree that agents write.
const DIRS: &[&str] = &["/usr/bin", "/usr/local/bin", "/run/current-system/sw/bin"];

/// Most that is read of what it says, in bytes: a key with many signatures is large.
const OUTPUT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How long it may take, in seconds: it may have to start its agent.
const WAIT: Duration = Duration::from_secs(20);

/// The host's gpg.
pub(crate) struct HostGpg<'a> {
    dir: &'static Path,
    environment: &'a Environment,
}

/// A secret key of the person's, or a subkey of one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SecretKey {
    pub(crate) fingerprint: String,
    /// That of the key it is a subkey of, or its own.
    pub(crate) primary: String,
    pub(crate) keygrip: String,
    /// What it is good for, as gpg writes it.
    signs: bool,
}

impl<'a> HostGpg<'a> {
    /// The host's gpg, if it has one.
    pub(crate) fn find(environment: &'a Environment) -> Option<HostGpg<'a>> {
        let dir = DIRS.iter().map(Path::new).find(|dir| dir.join("gpg").is_file())?;
        Some(HostGpg { dir, environment })
    }

    /// All secret keys that the person has.
    pub(crate) fn secret_keys(&self) -> io::Result<Vec<SecretKey>> {
        let words = ["--with-colons", "--with-keygrip", "--list-secret-keys"];
        Ok(secret_keys(&String::from_utf8_lossy(&self.gpg(&words)?)))
    }

    /// The public keys with these fingerprints, as a file of keys has them.
    pub(crate) fn public_keys(&self, fingerprints: &[&str]) -> io::Result<Vec<u8>> {
        let words = ["--export-options", "export-minimal", "--export", "--"];
        self.gpg(&[&words[..], fingerprints].concat())
    }

    /// The socket on which the person's agent serves others than its owner: it signs, and does
    /// nothing to keys.
    pub(crate) fn agent(&self) -> io::Result<PathBuf> {
        let said = self.run("gpgconf", &["--list-dirs", "agent-extra-socket"])?;
        let path = String::from_utf8(said).map_err(io::Error::other)?;
        let path = PathBuf::from(path.trim_end_matches('\n'));
        if path.is_absolute() { Ok(path) } else { Err(io::Error::other("it names no socket")) }
    }

    fn gpg(&self, words: &[&str]) -> io::Result<Vec<u8>> {
        // What it believes of keys does not matter here, and is not to be looked through for long.
        let quiet = ["--batch", "--no-tty", "--quiet", "--trust-model", "always"];
        self.run("gpg", &[&quiet[..], words].concat())
    }

    fn run(&self, program: &str, words: &[&str]) -> io::Result<Vec<u8>> {
        let mut child = Command::new(self.dir.join(program))
            .args(words)
            .env_clear()
            .envs(self.environment.iter())
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = read(&mut child, Instant::now() + WAIT);
        if said.is_err() {
            // It has ended by itself, or is too slow to be waited for.
            let _ = child.kill();
        }
        let status = child.wait()?;
        let said = said?;
        if status.success() { Ok(said) } else { Err(io::Error::other(status.to_string())) }
    }
}

/// All that a program says, until it says no more.
fn read(child: &mut Child, until: Instant) -> io::Result<Vec<u8>> {
    let mut stdout = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let (mut all, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        match poll(&mut [PollFd::new(&stdout, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        }
        let count = stdout.read(&mut piece)?;
        all.extend(piece.iter().take(count));
        if count == 0 {
            return Ok(all);
        }
        if all.len() > OUTPUT_BYTES_MAX {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
}

/// The keys of a listing (doc/DETAILS of GnuPG).
fn secret_keys(listing: &str) -> Vec<SecretKey> {
    let mut keys: Vec<SecretKey> = Vec::new();
    let mut primary = String::new();
    for line in listing.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let field = |at: usize| fields.get(at).copied().unwrap_or("");
        match (field(0), keys.last_mut()) {
            (kind @ ("sec" | "ssb"), _) => {
                if kind == "sec" {
                    primary.clear();
                }
                // Revoked, expired, disabled or invalid; or not here but for its name.
                let over = field(1).contains(['r', 'e', 'd', 'i', 'n']) || field(14) == "#";
                let signs = field(11).contains('s') && !over;
                keys.push(SecretKey { primary: primary.clone(), signs, ..SecretKey::default() });
            }
            ("fpr", Some(key)) if key.fingerprint.is_empty() => {
                field(9).clone_into(&mut key.fingerprint);
                if primary.is_empty() {
                    primary.clone_from(&key.fingerprint);
                    key.primary.clone_from(&primary);
                }
            }
            ("grp", Some(key)) if key.keygrip.is_empty() => {
                field(9).clone_into(&mut key.keygrip);
            }
            _ => {}
        }
    }
    keys
}

/// The keys that gpg would sign with where it is told this fingerprint: that key; but where a key has
/// subkeys that sign, those, for its own signature can do more (it certifies keys).
pub(crate) fn signing<'a>(keys: &'a [SecretKey], fingerprint: &str) -> Vec<&'a SecretKey> {
    let of = |it: &&SecretKey| it.signs && it.primary == fingerprint;
    let subkeys: Vec<_> =
        keys.iter().filter(of).filter(|it| it.fingerprint != fingerprint).collect();
    if !subkeys.is_empty() {
        return subkeys;
    }
    keys.iter().filter(|it| it.signs && it.fingerprint == fingerprint).collect()
}

impl SecretKey {
    /// What its agent calls it.
    pub(crate) fn grip(&self) -> Option<Keygrip> {
        Keygrip::parse(&self.keygrip)
    }
}

#[cfg(test)]
mod tests;
