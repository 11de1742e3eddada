//! What is kept back even where a person's own command names it: a word is soon typed or pasted, and who agrees to a
//! proposal unseen (`--yes`) has not agreed to that.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{LIBRARIES, NAMES_MAX, below_home, head, logins, looks_secret, looks_secret_by};
use crate::compose::secret_places;
use crate::environment::Environment;
use crate::wording::printable;

/// Most names in one place of secrets or logins among which links are looked for; what lies directly in it comes first.
const LINKS_AMONG_MAX: usize = 4096;

/// Most directories that links deeper in such a place lead to which are looked through, and most entries of all of them.
const FOLLOWED_DIRS_MAX: usize = 64;
const FOLLOWED_MAX: usize = 2048;

/// What below a home runs by itself, or by a name that is typed, when its owner logs in or opens a shell, an editor or a
/// desktop: who writes there runs later, outside of every world.
const RUNS_LATER: &[&str] = &[
    ".bash_aliases",
    ".bash_login",
    ".bash_logout",
    ".bash_profile",
    ".bashrc",
    ".bashrc.d",
    ".config/autostart",
    ".config/environment.d",
    ".config/fish",
    ".config/git",
    ".config/nvim",
    ".config/plasma-workspace",
    ".config/systemd",
    ".config/zsh",
    ".emacs.d",
    ".gitconfig",
    ".local/bin",
    ".local/share/applications",
    ".local/share/systemd",
    ".oh-my-zsh",
    ".pam_environment",
    ".profile",
    ".ssh",
    ".tmux.conf",
    ".vim",
    ".vimrc",
    ".xinitrc",
    ".xprofile",
    ".xsession",
    ".xsessionrc",
    ".zlogin",
    ".zlogout",
    ".zprofile",
    ".zshenv",
    ".zshrc",
    "bin",
];

/// A repository's own directory: Git runs its hooks, and programs that its settings name.
const GIT_DIR: &str = ".git";

/// How files end that people write for agents (`CLAUDE.md`) and link from where those keep their logins.
const PAGES: &[&str] = &["md", "mdc"];

/// Where secrets and logins of a person are kept, however they are called.
#[derive(Debug)]
pub struct Places {
    all: Vec<Place>,
    /// What runs by itself.
    later: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    path: PathBuf,
    /// What it is on the disk, where it is there: links, mounts and spellings lead to the same.
    is: Option<FileId>,
    holds: Holds,
}

/// Device and number of a file.
type FileId = (u64, u64);

/// What is kept in a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Secrets.
    Secrets,
    /// The same, by a variable: a world covers it in whatever it lies.
    Named,
    /// What agents, clients and services have of a login.
    Logins,
    /// What runs by itself: it may be read.
    RunsLater,
}

/// Why something is kept back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// It is such a place, or lies in one.
    Is(Holds),
    /// Such a place lies in it.
    Has(PathBuf, Holds),
    /// It looks like a secret.
    Looks(String),
}

impl fmt::Display for Holds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Holds::Secrets | Holds::Named => "secrets are kept there",
            Holds::Logins => "agents, clients or services keep logins there",
            Holds::RunsLater => {
                "what lies there runs by itself, outside of every world: at a login, in a shell, by its name"
            }
        })
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Is(holds) => holds.fmt(f),
            Why::Has(place, holds) => {
                write!(f, "`{}` is in it, and {holds}", printable(&place.to_string_lossy()))
            }
            Why::Looks(why) => f.write_str(why),
        }
    }
}

impl Places {
    /// All that are known by their places, those that variables name, and what links in one of them lead to: who keeps
    /// such files elsewhere (`~/dots`) links them file by file.
    pub fn of(home: &Path, cwd: &Path, environment: &Environment) -> Places {
        let secrets = below_home().map(|name| Place::of(home.join(name), Holds::Secrets));
        let logins = logins(home).into_iter().map(|path| Place::of(path, Holds::Logins));
        let named = secret_places(home, cwd, environment).into_iter();
        let named = named.map(|(path, _)| Place::of(path, Holds::Named));
        let mut all: Vec<Place> = secrets.chain(logins).chain(named).collect();
        let mut seen: BTreeSet<FileId> = all.iter().filter_map(|place| place.is).collect();
        let linked: Vec<Place> = all.iter().flat_map(|place| place.linked(home)).collect();
        all.extend(linked.into_iter().filter(|place| place.is.is_some_and(|it| seen.insert(it))));
        let later = RUNS_LATER.iter().map(|name| Place::of(home.join(name), Holds::RunsLater));
        let mut later: Vec<Place> = later.collect();
        let linked: Vec<Place> = later.iter().flat_map(|place| place.linked(home)).collect();
        later.extend(linked);
        Places { all, later }
    }

    /// Why a directory is not given to be changed, though it may be read.
    pub fn why_not_change(&self, dir: &Path) -> Option<Why> {
        let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
        if real.components().any(|part| part.as_os_str() == GIT_DIR) {
            return Some(Why::Is(Holds::RunsLater));
        }
        among(&self.later, (dir, &real))
    }

    /// Why a path is kept back for where it is, if that is so.
    pub fn why(&self, path: &Path) -> Option<Why> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        among(&self.all, (path, &real))
    }

    /// The same, and whether a file that is to be read looks like a secret, by its name or by how it begins.
    pub fn why_read(&self, path: &Path) -> Option<Why> {
        self.why(path).or_else(|| looks_secret(path).map(Why::Looks))
    }

    /// The same of what is run: a program's text may be about keys.
    pub fn why_run(&self, path: &Path) -> Option<Why> {
        self.why(path).or_else(|| looks_secret_by(path, &[]).map(Why::Looks))
    }
}

/// Whether what lies in a directory runs by itself, or whether such a place lies in it, by names alone.
pub(crate) fn runs_later(dir: &Path, home: &Path) -> bool {
    let is = |name: &str| {
        let place = home.join(name);
        dir.starts_with(&place) || place.starts_with(dir)
    };
    RUNS_LATER.iter().any(|name| is(name)) || dir.components().any(|it| it.as_os_str() == GIT_DIR)
}

/// Why a path is, or has in it, one of these places.
fn among(places: &[Place], (path, real): (&Path, &Path)) -> Option<Why> {
    let above: Vec<FileId> = real.ancestors().filter_map(id).collect();
    let has_it = |place: &&Place| {
        let is_above = place.is.is_some_and(|it| above.contains(&it));
        is_above || [path, real].iter().any(|path| is_beneath(path, &place.path))
    };
    if let Some(place) = places.iter().find(has_it) {
        return Some(Why::Is(place.holds));
    }
    // Nothing lies in what is not there.
    let is = id(real)?;
    let lies_in_it = |place: &&Place| {
        place.is.is_some() && place.holds != Holds::Named && place.lies_in((real, is))
    };
    let found = places.iter().find(lies_in_it)?;
    Some(Why::Has(found.path.clone(), found.holds))
}

impl Place {
    fn of(path: PathBuf, holds: Holds) -> Place {
        Place { is: id(&path), path, holds }
    }

    /// What links in it lead to, out of it: files from wherever in it, and directories from directly in it. What is
    /// further down may be a project that is worked on: of that, what is called like a login or a secret. What the home
    /// lies in is no such place.
    fn linked(&self, home: &Path) -> Vec<Place> {
        let Ok(root) = fs::canonicalize(&self.path) else { return Vec::new() };
        let home = fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
        let mut all = Vec::new();
        let mut deeper = Followed::default();
        let mut left = LINKS_AMONG_MAX;
        let mut dirs = VecDeque::from([root.clone()]);
        while let Some(dir) = dirs.pop_front() {
            let Ok(entries) = fs::read_dir(&dir) else { continue };
            for entry in entries.flatten() {
                let Some(fewer) = left.checked_sub(1) else { return all };
                left = fewer;
                let (path, Ok(kind)) = (entry.path(), entry.file_type()) else { continue };
                if kind.is_dir() {
                    dirs.push_back(path);
                    continue;
                }
                let to = kind.is_symlink().then(|| fs::canonicalize(&path).ok()).flatten();
                let Some(to) = to.filter(|to| !to.starts_with(&root)) else { continue };
                if to.is_dir() && home.starts_with(&to) {
                    continue;
                }
                if to.is_dir() && dir != root && self.holds != Holds::RunsLater {
                    all.extend(deeper.look(to).into_iter().map(|it| Place::of(it, self.holds)));
                    continue;
                }
                let is_one = to.is_dir() || (to.is_file() && !self.is_page((&path, &to)));
                if is_one {
                    all.push(Place::of(to, self.holds));
                }
            }
        }
        all
    }

    /// Whether a file is a page for agents, where those keep their logins: by its name and by the link's, and by what is in
    /// it, for a login can be linked as one.
    fn is_page(&self, (link, file): (&Path, &Path)) -> bool {
        let ends = |it: &Path| {
            let ending = it.extension().and_then(OsStr::to_str);
            ending.is_some_and(|it| PAGES.contains(&it))
        };
        let is_called_so = self.holds == Holds::Logins && ends(link) && ends(file);
        is_called_so && looks_secret(file).is_none() && !head(file).trim_ascii().starts_with(b"{")
    }

    /// Whether it is somewhere beneath a directory, by its own path or by where that leads.
    fn lies_in(&self, (dir, is): (&Path, FileId)) -> bool {
        let real = fs::canonicalize(&self.path).ok();
        let ways = [Some(&self.path), real.as_ref()];
        let mut above = ways.into_iter().flatten().flat_map(|way| way.ancestors().skip(1));
        above.any(|above| above == dir || id(above) == Some(is))
    }
}

/// Directories that links deeper in a place lead to.
#[derive(Default)]
struct Followed {
    seen: BTreeSet<FileId>,
    entries: usize,
}

impl Followed {
    /// What in a directory is called like a login or a secret.
    fn look(&mut self, dir: PathBuf) -> Vec<PathBuf> {
        let mut all = Vec::new();
        let mut dirs = vec![dir];
        while let Some(dir) = dirs.pop() {
            let is_new = id(&dir).is_some_and(|it| self.seen.insert(it));
            if !is_new || self.seen.len() > FOLLOWED_DIRS_MAX {
                continue;
            }
            for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
                self.entries = self.entries.saturating_add(1);
                let (true, Ok(kind)) = (self.entries <= FOLLOWED_MAX, entry.file_type()) else {
                    return all;
                };
                let path = entry.path();
                let is_library = LIBRARIES.iter().any(|name| entry.file_name() == *name);
                if kind.is_dir() && !is_library {
                    dirs.push(path);
                } else if kind.is_file() && looks_secret_by(&path, &[]).is_some() {
                    all.push(path);
                }
            }
        }
        all
    }
}

/// What is there, at the end of all links.
fn id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|it| (it.dev(), it.ino()))
}

/// Whether a path is another, or is in it, also where capital letters make no difference.
fn is_beneath(path: &Path, above: &Path) -> bool {
    let mut parts = path.components();
    above.components().all(|wanted| {
        parts.next().is_some_and(|it| it.as_os_str().eq_ignore_ascii_case(wanted.as_os_str()))
    })
}

/// Something in a directory that is called like a secret, for a person to know who opens all of it. What libraries have is
/// passed over, and so is what comes behind the first [`NAMES_MAX`] names.
pub fn secret_in(dir: &Path) -> Option<PathBuf> {
    let mut left = NAMES_MAX;
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries.flatten() {
            left = left.checked_sub(1)?;
            let (path, kind) = (entry.path(), entry.file_type().ok()?);
            let is_library = LIBRARIES.iter().any(|name| entry.file_name() == *name);
            if kind.is_dir() && !is_library {
                dirs.push(path);
            } else if kind.is_file() && looks_secret_by(&path, &[]).is_some() {
                return Some(path);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests;
