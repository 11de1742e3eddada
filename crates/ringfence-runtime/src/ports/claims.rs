//! What sessions of one user tell each other: which files they have just made themselves, so that what one agent writes
//! is not, to another in the same project, a file that somebody outside is about to put in place.
//!
//! A file for each session, `TIME PATH` with the time in milliseconds and a NUL at the end, and nothing in it that is
//! older than moments matters: it is removed when it is found old, and begun anew when it is long.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ringfence_core::{Clock, SessionId};

/// Most bytes of one session's file.
const FILE_MAX: u64 = 1 << 20;

/// How far from the claim a file may have come to be: what is renamed is older, what is made younger.
const WITHIN: Duration = Duration::from_secs(5);

/// After how long a file of claims that nobody wrote to says nothing any more.
const STALE: Duration = Duration::from_mins(1);

/// One session's claims, and where those of others are.
pub struct Claims {
    dir: PathBuf,
    own: PathBuf,
    clock: Arc<dyn Clock>,
}

impl Claims {
    /// Those of a session; removes what earlier ones left behind.
    pub(crate) fn of(dir: PathBuf, session: &SessionId, clock: Arc<dyn Clock>) -> Claims {
        for (path, modified) in files(&dir) {
            if is_older(modified, STALE) {
                // What stays is ignored all the same.
                let _ = fs::remove_file(path);
            }
        }
        Claims { own: dir.join(session.as_str()), dir, clock }
    }

    /// Tells other sessions that a file is this one's. What is not told, they leave alone for a while.
    pub(super) fn tell(&self, path: &Path) {
        let _ = self.write(path);
    }

    fn write(&self, path: &Path) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.append(true).create(true).mode(0o600).open(&self.own)?;
        if file.metadata()?.len() > FILE_MAX {
            file.set_len(0)?;
        }
        let mut record = self.clock.now_ms().to_string().into_bytes();
        record.push(b' ');
        record.extend_from_slice(path.as_os_str().as_bytes());
        record.push(0);
        file.write_all(&record)
    }

    /// Whether another session said of the file that came to be at this time that it is its own.
    pub(super) fn is_anothers(&self, path: &Path, made_at: SystemTime) -> bool {
        let lately = files(&self.dir)
            .filter(|(file, modified)| *file != self.own && !is_older(*modified, STALE));
        lately.into_iter().any(|(file, _)| claims(&file, path, made_at).unwrap_or(false))
    }
}

fn claims(file: &Path, path: &Path, made_at: SystemTime) -> io::Result<bool> {
    let mut all = Vec::new();
    fs::File::open(file)?.take(FILE_MAX * 2).read_to_end(&mut all)?;
    let made_at = since_epoch(made_at);
    let is_near = |at: Duration| at.abs_diff(made_at) <= WITHIN;
    Ok(all
        .split(|byte| *byte == 0)
        .filter_map(record)
        .any(|(at, claimed)| claimed == path.as_os_str().as_bytes() && is_near(at)))
}

fn record(record: &[u8]) -> Option<(Duration, &[u8])> {
    let end = record.iter().position(|byte| *byte == b' ')?;
    let (at, path) = record.split_at_checked(end)?;
    let at: u64 = std::str::from_utf8(at).ok()?.parse().ok()?;
    Some((Duration::from_millis(at), path.get(1..)?))
}

fn files(dir: &Path) -> impl Iterator<Item = (PathBuf, SystemTime)> {
    let entries = fs::read_dir(dir).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some((entry.path(), entry.metadata().ok()?.modified().ok()?)))
}

fn is_older(at: SystemTime, than: Duration) -> bool {
    at.elapsed().is_ok_and(|age| age > than)
}

fn since_epoch(at: SystemTime) -> Duration {
    at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::HostClock;

    fn claims_of(dir: &Path, name: &str) -> Claims {
        let clock = Arc::new(HostClock::utc());
        Claims::of(dir.to_owned(), &name.parse().unwrap(), clock)
    }

    #[test]
    fn what_another_session_made_is_known_by_its_path_and_time() {
        let dir = tempfile::tempdir().unwrap();
        let [one, two] = ["sr4xzjq3d", "spbafduq8"].map(|it| claims_of(dir.path(), it));
        let (ours, other) = (Path::new("/p/a b"), Path::new("/p/a"));
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(one.clock.now_ms());
        assert!(!two.is_anothers(ours, now));
        one.tell(ours);
        assert!(two.is_anothers(ours, now));
        assert!(!one.is_anothers(ours, now), "one's own are known otherwise");
        assert!(!two.is_anothers(other, now));
        assert!(!two.is_anothers(ours, now + Duration::from_mins(1)));
        assert!(!two.is_anothers(ours, now.checked_sub(Duration::from_mins(1)).unwrap()));
    }

    #[test]
    fn what_is_no_record_claims_nothing() {
        for bad in [&b""[..], b" ", b"x /p", b"12", b"-1 /p", b"99999999999999999999999 /p"] {
            assert!(record(bad).is_none(), "{bad:?}");
        }
        assert!(record(b"12 ").is_some_and(|(_, path)| path.is_empty()));
    }

    #[test]
    fn a_file_of_claims_stays_small() {
        let dir = tempfile::tempdir().unwrap();
        let one = claims_of(dir.path(), "sr4xzjq3d");
        fs::write(&one.own, vec![b'x'; 1 << 21]).unwrap();
        one.tell(Path::new("/p"));
        assert!(fs::metadata(&one.own).unwrap().len() < 100);
    }
}
