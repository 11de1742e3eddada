//! The session's own files that a world sees: its home, its copies, its list of denials.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::process::{Resource, getrlimit};

use super::{ComposeError, Kind, Payload};
use crate::protected::COMMON_DIR_ITSELF;
use crate::whole_file::create_private_dir;

/// Where copies appear in the world.
const COPIES: &str = "/run/ringfence/copies";

/// One directory, in memory where there is some, in which every directory that the payload writes is bound by itself: it can
/// then not be renamed, and no link can be put in its place for us to follow.
#[derive(Debug)]
pub(crate) struct Private {
    dir: PathBuf,
    cache: PathBuf,
    payload: Payload,
    copies: Cell<usize>,
}

/// A copy that a world works on: as a file on the host and as a place in the world.
#[derive(Debug)]
pub(crate) struct Copy {
    /// The directory on the host; it holds nothing but the copy.
    pub(crate) dir: PathBuf,
    /// The copy on the host.
    pub(crate) file: PathBuf,
    /// The directory in the world.
    pub(crate) dir_in_world: PathBuf,
    /// A symbolic link on the host that says where the copy is in the world. Mounted over the
    /// original it survives tools that replace the file by rename, which a mounted file does not.
    pub(crate) link: PathBuf,
}

impl Private {
    pub(super) fn create(
        dir: &Path,
        cache: PathBuf,
        payload: &Payload,
    ) -> Result<Private, ComposeError> {
        create_private_dir(dir)?;
        let payload = payload.clone();
        let private = Private { dir: dir.to_owned(), cache, payload, copies: Cell::new(0) };
        // The payload only passes through here where the directory itself is bound; its mode is
        // what it sees of its home.
        for name in ["home", "empty", "copies", "links"] {
            private.make_dir(&dir.join(name))?;
        }
        private.write(&private.denials(), b"", 0o644)?;
        private.write(&private.common_dir(), COMMON_DIR_ITSELF.as_bytes(), 0o644)?;
        Ok(private)
    }

    /// Where all of them are.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// An empty directory to build the world's root on.
    pub(super) fn scratch(&self) -> Result<PathBuf, ComposeError> {
        let scratch = self.dir.join("world");
        create_private_dir(&scratch)?;
        Ok(scratch)
    }

    /// The home directory of this world.
    pub(crate) fn home(&self) -> PathBuf {
        self.dir.join("home")
    }

    /// The cache directory of that home, on the disk, as old as the project: downloads and build
    /// results may be large, and are wanted again.
    pub(crate) fn cache(&self) -> Result<&Path, ComposeError> {
        if !self.cache.exists() {
            self.make_dir(&self.cache)?;
        }
        Ok(&self.cache)
    }

    /// An empty directory, to cover absent ones.
    pub(crate) fn empty_dir(&self) -> PathBuf {
        self.dir.join("empty")
    }

    /// What stands where a repository says that it takes nothing from elsewhere.
    pub(crate) fn common_dir(&self) -> PathBuf {
        self.dir.join("commondir")
    }

    /// The file behind `RINGFENCE_DENIALS`.
    pub(crate) fn denials(&self) -> PathBuf {
        self.dir.join("denials.jsonl")
    }

    /// Where the runner of a WASM module says how that ended.
    pub(crate) fn wasm_end(&self) -> PathBuf {
        Private::wasm_end_in(&self.dir)
    }

    /// The same, for who knows the directory.
    pub(crate) fn wasm_end_in(dir: &Path) -> PathBuf {
        dir.join("wasm-end.json")
    }

    /// Where programs ask, in a world that advises.
    pub(super) fn line(&self) -> PathBuf {
        self.dir.join("line")
    }

    /// The socket behind the world's `SSH_AUTH_SOCK`.
    pub(crate) fn ssh_agent(&self) -> PathBuf {
        self.dir.join("ssh-agent")
    }

    /// The socket of the servers of tools.
    pub(crate) fn tools(&self) -> PathBuf {
        self.dir.join("tools")
    }

    /// The directory behind the world's `GNUPGHOME`, closed to others: gpg complains of any other.
    pub(crate) fn gpg_home(&self) -> Result<PathBuf, ComposeError> {
        let dir = self.dir.join("gnupg");
        self.make_dir(&dir)?;
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700))
            .map_err(|source| ComposeError::Copy { path: dir.clone(), source })?;
        Ok(dir)
    }

    /// Makes a directory that the payload owns.
    pub(crate) fn make_dir(&self, path: &Path) -> Result<(), ComposeError> {
        let failed = |source| ComposeError::Copy { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        self.payload.own(path)
    }

    /// Writes a file that the payload owns.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8], mode: u32) -> Result<(), ComposeError> {
        let mut file = self.begin(path, mode)?;
        file.write_all(bytes).map_err(|source| ComposeError::Copy { path: path.to_owned(), source })
    }

    /// Makes an empty file that the payload owns, to be written by us.
    pub(super) fn begin(&self, path: &Path, mode: u32) -> Result<File, ComposeError> {
        let failed = |source| ComposeError::Copy { path: path.to_owned(), source };
        let file = File::create(path).map_err(failed)?;
        file.set_permissions(fs::Permissions::from_mode(mode)).map_err(failed)?;
        self.payload.own(path)?;
        Ok(file)
    }

    /// A file with nothing in it, as large and as old as `like` and with its permissions: tools read no more
    /// of what is opened for them than they were told there is, and give it the permissions that they saw.
    /// Who opens it by itself, past the question, finds zeros.
    pub(super) fn close_file(&self, path: &Path, like: &Path) -> Result<(), ComposeError> {
        let file = self.begin(path, 0o000)?;
        let most = getrlimit(Resource::Fsize).current;
        if let Ok(found) = fs::symlink_metadata(like)
            && found.is_file()
            && most.is_none_or(|most| found.len() <= most)
        {
            // What cannot be made alike is still closed.
            let _ = file.set_len(found.len());
            let _ = found.modified().and_then(|modified| file.set_modified(modified));
            let mode = found.permissions().mode() & 0o777;
            let _ = file.set_permissions(fs::Permissions::from_mode(mode));
        }
        Ok(())
    }

    /// A file of ours with this content, to be shown read-only somewhere.
    pub(crate) fn supply(&self, name: &str, content: &[u8]) -> Result<PathBuf, ComposeError> {
        let path = self.next("links")?.join(name);
        self.write(&path, content, 0o644)?;
        Ok(path)
    }

    /// A symbolic link of ours that says `target`.
    pub(crate) fn link_to(&self, target: &Path) -> Result<PathBuf, ComposeError> {
        let link = self.next("links")?.join("link");
        symlink(target, &link)
            .map_err(|source| ComposeError::Copy { path: link.clone(), source })?;
        Ok(link)
    }

    fn next(&self, below: &str) -> Result<PathBuf, ComposeError> {
        let number = self.copies.get();
        self.copies.set(number + 1);
        let dir = self.dir.join(below).join(number.to_string());
        self.make_dir(&dir)?;
        Ok(dir)
    }

    /// A directory for what is opened of a place that is covered.
    pub(super) fn opened(&self) -> Result<PathBuf, ComposeError> {
        let dir = self.next("links")?.join("opened");
        self.make_dir(&dir)?;
        Ok(dir)
    }

    /// Makes something empty in a directory of ours, to mount on.
    pub(super) fn make_place(
        &self,
        dir: &Path,
        below: &Path,
        kind: Kind,
    ) -> Result<(), ComposeError> {
        let place = dir.join(below);
        match (kind, place.parent()) {
            (Kind::Dir, _) | (Kind::File, None) => self.make_dir(&place),
            (Kind::File, Some(parent)) => {
                self.make_dir(parent)?;
                self.write(&place, b"", 0o444)
            }
        }
    }

    /// Makes a copy with this name and content.
    pub(crate) fn copy(&self, name: &str, bytes: &[u8]) -> Result<Copy, ComposeError> {
        let dir = self.next("copies")?;
        let file = dir.join(name);
        self.write(&file, bytes, 0o644)?;
        let dir_in_world = Path::new(COPIES).join(dir.file_name().unwrap_or_default());
        let link = self.link_to(&dir_in_world.join(name))?;
        Ok(Copy { dir, file, dir_in_world, link })
    }
}

/// Listens on a socket that the payload may connect to.
pub(super) fn listen(path: &Path) -> Result<UnixListener, ComposeError> {
    let failed = |source| ComposeError::Copy { path: path.to_owned(), source };
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Whoever may pass through the directories above is ours; the payload connects by its own user.
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).map_err(failed)?;
    Ok(listener)
}
