//! Files that a person was shown and agreed to change, replaced only while they are what was shown.
//!
//! Between a question and its answer others write as well: an editor, or one of us at another terminal. What is written
//! then is made from a text that is not there any more, and would take back what they wrote.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::whole_file::{self, FileError, Links};

/// Longest wait for others of us that write: each does for as long as a disk takes, and only one that was stopped for longer.
const WRITING_WAIT_MAX: Duration = Duration::from_secs(10);

/// How often it is looked whether they are done.
const LOOK_PERIOD: Duration = Duration::from_millis(10);

/// The right to write policies, servers' files and what is remembered of them: one of us has it at a time.
///
/// Others than us know nothing of it: what they write between the last look at a file and its replacement, a moment later,
/// cannot be seen.
#[derive(Debug)]
pub struct Writing {
    _lock: File,
}

/// What became of a file that was to be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Replaced {
    /// It says what it was to say.
    Yes,
    /// It was another than was shown: nothing was written.
    ChangedMeanwhile,
}

impl Writing {
    /// Waits until no other of us writes, though not for ever; `state` is the state directory.
    pub fn begin(state: &Path) -> Result<Writing, FileError> {
        whole_file::create_private_dir(state)?;
        let path = state.join("writing");
        let fail = |error| FileError::io("lock", &path, error);
        let lock = open(&path).map_err(fail)?;
        let begun = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Writing { _lock: lock }),
                Err(TryLockError::Error(error)) => return Err(fail(error)),
                Err(TryLockError::WouldBlock) if begun.elapsed() < WRITING_WAIT_MAX => {
                    thread::sleep(LOOK_PERIOD);
                }
                Err(TryLockError::WouldBlock) => {
                    return Err(fail(io::Error::other(
                        "another `ringfence` writes, and does not end",
                    )));
                }
            }
        }
    }

    /// Replaces a file whole if it still says what was shown of it; `None` is for one that was not there. Where links are
    /// followed, what they lead to is replaced, and they stay.
    pub fn replace(
        &self,
        (path, links): (&Path, Links),
        shown: Option<&str>,
        (text, mode): (&str, u32),
    ) -> Result<Replaced, FileError> {
        let now = whole_file::read_text(path, links)?;
        if now.as_ref().map(|file| file.text.as_str()) != shown {
            return Ok(Replaced::ChangedMeanwhile);
        }
        let led = match links {
            Links::Follow => fs::canonicalize(path).ok(),
            Links::Refuse => None,
        };
        whole_file::replace(led.as_deref().unwrap_or(path), text.as_bytes(), mode)?;
        Ok(Replaced::Yes)
    }
}

fn open(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let nofollow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = File::options();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(nofollow).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_as_it_was_shown_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (state, file) = (dir.path().join("state"), dir.path().join("policy.cedar"));
        let replace = |shown: Option<&str>, text: &str| {
            let writing = Writing::begin(&state).unwrap();
            writing.replace((&file, Links::Follow), shown, (text, 0o600)).unwrap()
        };
        assert_eq!(replace(Some("x"), "gone"), Replaced::ChangedMeanwhile);
        assert!(!file.exists());
        assert_eq!(replace(None, "one"), Replaced::Yes);
        assert_eq!(replace(None, "two"), Replaced::ChangedMeanwhile);
        assert_eq!(replace(Some("on"), "two"), Replaced::ChangedMeanwhile);
        assert_eq!(fs::read_to_string(&file).unwrap(), "one");
        assert_eq!(replace(Some("one"), "two"), Replaced::Yes);
        assert_eq!(fs::read_to_string(&file).unwrap(), "two");
    }

    #[test]
    fn a_file_that_is_a_link_stays_one_where_links_are_followed_and_is_refused_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let (state, link) = (dir.path().join("state"), dir.path().join("policy.cedar"));
        let real = dir.path().join("dotfiles/policy.cedar");
        fs::create_dir(dir.path().join("dotfiles")).unwrap();
        fs::write(&real, "one").unwrap();
        std::os::unix::fs::symlink("dotfiles/policy.cedar", &link).unwrap();
        let writing = Writing::begin(&state).unwrap();
        let of = |links| writing.replace((&link, links), Some("one"), ("two", 0o600));
        assert!(of(Links::Refuse).is_err());
        assert_eq!(fs::read_to_string(&real).unwrap(), "one");
        assert_eq!(of(Links::Follow).unwrap(), Replaced::Yes);
        assert_eq!(fs::read_to_string(&real).unwrap(), "two");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }

    #[test]
    fn of_many_that_write_at_once_none_takes_back_what_another_wrote() {
        const WRITERS: usize = 8;
        let dir = tempfile::tempdir().unwrap();
        let (state, file) = (dir.path().join("state"), dir.path().join("policy.cedar"));
        thread::scope(|scope| {
            for writer in 0..WRITERS {
                let (state, file) = (&state, &file);
                scope.spawn(move || {
                    loop {
                        let was = whole_file::read_text(file, Links::Follow).unwrap();
                        let was = was.map(|it| it.text);
                        let text = format!("{}{writer}\n", was.as_deref().unwrap_or_default());
                        let writing = Writing::begin(state).unwrap();
                        let of = (file.as_path(), Links::Follow);
                        let done = writing.replace(of, was.as_deref(), (&text, 0o600)).unwrap();
                        if done == Replaced::Yes {
                            break;
                        }
                    }
                });
            }
        });
        assert_eq!(fs::read_to_string(&file).unwrap().lines().count(), WRITERS);
    }
}
