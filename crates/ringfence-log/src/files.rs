//! Where a log's files lie and how they are put there so that a crash leaves the old or the new.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::key::HostKey;
use crate::note::{CHECKPOINT_BYTES_MAX, Checkpoint};
use crate::tree::Tree;
use crate::{LogError, VerifyError};

/// The directory of the host key and the host log.
pub(crate) fn host_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("host")
}

/// The directory of all sessions.
pub(crate) fn sessions_dir(state_dir: &Path) -> PathBuf {
    state_dir.join("sessions")
}

/// The files of one log: `segments/`, `origin`, `checkpoint`, `leaves`.
#[derive(Debug, Clone)]
pub(crate) struct LogDir {
    pub(crate) path: PathBuf,
}

impl LogDir {
    /// The log of the session (or the host) whose directory is `dir`.
    pub(crate) fn of(dir: &Path) -> LogDir {
        LogDir { path: dir.join("log") }
    }

    pub(crate) fn segments(&self) -> PathBuf {
        self.path.join("segments")
    }

    /// The segment whose first entry is `first`.
    pub(crate) fn segment(&self, first: u64) -> PathBuf {
        self.segments().join(format!("{first:020}.log"))
    }

    pub(crate) fn origin(&self) -> PathBuf {
        self.path.join("origin")
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.path.join("checkpoint")
    }

    /// Where the host log is read on from; signed, and derived from the rest.
    pub(crate) fn resume(&self) -> PathBuf {
        self.path.join("resume")
    }

    /// Leaf hashes, 32 bytes each; made from the segments, only used to name a bad entry.
    pub(crate) fn leaves(&self) -> PathBuf {
        self.path.join("leaves")
    }

    /// Makes an empty log with a signed checkpoint of size 0, all at once or not at all.
    ///
    /// Returns the directory, locked: nobody ever sees the log without its writer.
    pub(crate) fn create(&self, origin: &str, key: &HostKey) -> Result<File, LogError> {
        self.prepare(origin, key)?.put()
    }

    /// Makes the same beside its place, where nobody takes it for a log yet.
    pub(crate) fn prepare(&self, origin: &str, key: &HostKey) -> Result<NewDir, LogError> {
        let failed = |error| LogError::io("create", &self.path)(error);
        let parent = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(failed)?;
        if fs::symlink_metadata(&self.path).is_ok() {
            return Err(LogError::Exists(self.path.clone()));
        }
        let new = LogDir { path: parent.join(temporary_name("log")) };
        // Left behind by a process that had this id and was killed here.
        let _ = fs::remove_dir_all(&new.path);
        let empty = Checkpoint {
            origin: origin.to_owned(),
            size: 0,
            root: Tree::new().root(),
            closed: false,
        };
        let made = fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(new.segments())
            .and_then(|()| write_file(&new.origin(), format!("{origin}\n").as_bytes()))
            .and_then(|()| write_file(&new.checkpoint(), empty.signed(key).as_bytes()))
            .and_then(|()| write_file(&new.segment(0), b""))
            .and_then(|()| write_file(&new.leaves(), b""))
            .and_then(|()| File::open(&new.path))
            .and_then(|lock| lock.lock().map(|()| lock));
        let mut dir = NewDir { new, at: self.clone(), lock: None };
        // Where this failed, `dir` takes away what there is of it.
        dir.lock = Some(made.map_err(failed)?);
        Ok(dir)
    }

    /// Makes a log that was just created survive a loss of power, up to the state directory.
    pub(crate) fn sync_created(&self) -> io::Result<()> {
        for file in [self.origin(), self.checkpoint()] {
            File::open(file)?.sync_all()?;
        }
        sync_dir(&self.segments())?;
        self.path.ancestors().take(3).try_for_each(sync_dir)
    }

    /// Replaces the checkpoint so that a crash leaves the old one or the new one.
    pub(crate) fn write_checkpoint(&self, note: &str) -> Result<(), LogError> {
        let (path, new) = (self.checkpoint(), self.path.join("checkpoint.new"));
        let written = write_file(&new, note.as_bytes())
            .and_then(|()| File::open(&new)?.sync_all())
            .and_then(|()| fs::rename(&new, &path))
            .and_then(|()| sync_dir(&self.path));
        written.map_err(LogError::io("write", &path))
    }

    /// Replaces the note that says where the log is read on from.
    ///
    /// Not synced: what a crash leaves of it is the old one, the new one, or one that is refused.
    pub(crate) fn write_resume(&self, note: &str) -> Result<(), LogError> {
        let (path, new) = (self.resume(), self.path.join("resume.new"));
        let written = write_file(&new, note.as_bytes()).and_then(|()| fs::rename(&new, &path));
        written.map_err(LogError::io("write", &path))
    }

    /// The checkpoint's bytes; `None` when there is no such file.
    pub(crate) fn read_checkpoint(&self) -> Result<Option<Vec<u8>>, VerifyError> {
        let path = self.checkpoint();
        let mut bytes = Vec::new();
        let read = File::open(&path)
            .and_then(|file| file.take(CHECKPOINT_BYTES_MAX).read_to_end(&mut bytes));
        match read {
            Ok(_) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(VerifyError::io(&path)(error)),
        }
    }
}

/// A log's files before they are put in their place; dropping it removes them.
#[derive(Debug)]
pub(crate) struct NewDir {
    new: LogDir,
    at: LogDir,
    /// The directory, locked; absent where the files could not be made.
    lock: Option<File>,
}

impl NewDir {
    /// Puts it where logs are looked for.
    pub(crate) fn put(mut self) -> Result<File, LogError> {
        let taken = [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::AlreadyExists];
        fs::rename(&self.new.path, &self.at.path).map_err(|error| {
            if taken.contains(&error.kind()) {
                return LogError::Exists(self.at.path.clone());
            }
            LogError::io("create", &self.at.path)(error)
        })?;
        self.lock.take().ok_or_else(|| LogError::Exists(self.at.path.clone()))
    }
}

impl Drop for NewDir {
    fn drop(&mut self) {
        // There is nothing any more where it was put in its place.
        let _ = fs::remove_dir_all(&self.new.path);
    }
}

/// Removes what a process left that was killed while it prepared the log of the session whose
/// directory is `dir`. Nobody may be preparing one there.
pub fn remove_unfinished(dir: &Path) {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    for entry in entries {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("log.") && name.ends_with(".new") {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Opens a segment (or the leaves) for appending, making it when needed.
pub(crate) fn open_append(path: &Path) -> Result<File, LogError> {
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path)
        .map_err(LogError::io("open", path))
}

/// A name that nothing else in this process and no other process uses.
pub(crate) fn temporary_name(stem: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    format!("{stem}.{}.{}.new", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Makes a directory's entries survive a loss of power.
pub(crate) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600).open(path)?.write_all(bytes)
}
