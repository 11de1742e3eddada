//! Where those who keep worlds ready, and the worlds themselves, are found.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::whole_file::{FileError, create_private_dir, sha256_hex};

/// As many letters of a digest as tell a user's projects apart; paths of sockets are short.
const KEY_LETTERS: usize = 12;

/// What listens at a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A world that waits for a caller.
    World,
    /// Who keeps worlds ready.
    Keeper,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::World => "world",
            Kind::Keeper => "keeper",
        }
    }
}

/// The directory of the sockets; it is made for their owner alone.
pub fn create_dir(runtime: &Path) -> Result<PathBuf, FileError> {
    let dir = dir(runtime);
    create_private_dir(&dir)?;
    Ok(dir)
}

fn dir(runtime: &Path) -> PathBuf {
    runtime.join("warm")
}

/// The socket of one process.
pub fn socket(runtime: &Path, kind: Kind, project: &Path, pid: u32) -> PathBuf {
    dir(runtime).join(format!("{}{pid}", prefix(kind, project)))
}

/// The sockets of one kind for a project, in no order; of all projects where none is named.
pub fn sockets(runtime: &Path, kind: Kind, project: Option<&Path>) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(dir(runtime)) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let wanted = project.map_or_else(|| format!("{}-", kind.name()), |it| prefix(kind, it));
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().as_bytes();
        if name.starts_with(wanted.as_bytes()) {
            found.push(path);
        }
    }
    Ok(found)
}

/// The project is only a way to find what fits: whatever is found reads everything again.
fn prefix(kind: Kind, project: &Path) -> String {
    let digest = sha256_hex(project.as_os_str().as_bytes());
    format!("{}-{}-", kind.name(), digest.get(..KEY_LETTERS).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_found_by_its_project_alone() {
        let runtime = tempfile::tempdir().unwrap();
        let (here, there) = (Path::new("/srv/app"), Path::new("/srv/other"));
        assert_eq!(sockets(runtime.path(), Kind::World, None).unwrap(), Vec::<PathBuf>::new());
        create_dir(runtime.path()).unwrap();
        let path = socket(runtime.path(), Kind::World, here, 7);
        fs::write(&path, "").unwrap();
        let found = |kind, project| sockets(runtime.path(), kind, project).unwrap().len();
        assert_eq!(found(Kind::World, Some(here)), 1);
        assert_eq!(found(Kind::World, None), 1);
        assert_eq!(found(Kind::World, Some(there)), 0);
        assert_eq!(found(Kind::Keeper, Some(here)), 0);
        assert_eq!(found(Kind::Keeper, None), 0);
    }
}
