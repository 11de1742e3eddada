//! What is kept back even where a person's own command names it: a word is soon typed or pasted, and who agrees to a
//! proposal unseen (`--yes`) has not agreed to that.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use super::{LIBRARIES, NAMES_MAX, below_home, logins, looks_secret, looks_secret_by};
use crate::compose::secret_places;
use crate::environment::Environment;
use crate::wording::printable;

/// Most names in one place of secrets or logins among which links are looked for; what lies directly in it comes first.
const LINKS_AMONG_MAX: usize = 4096;

/// How files end that people write for agents (`CLAUDE.md`) and link from where those keep their logins.
const PAGES: &[&str] = &["md", "mdc"];

/// Where secrets and logins of a person are kept, however they are called.
#[derive(Debug)]
pub struct Places {
    all: Vec<Place>,
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
        Places { all }
    }

    /// Why a path is kept back for where it is, if that is so.
    pub fn why(&self, path: &Path) -> Option<Why> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let above: Vec<FileId> = real.ancestors().filter_map(id).collect();
        let has_it = |place: &&Place| {
            let is_above = place.is.is_some_and(|it| above.contains(&it));
            is_above || [path, &real].iter().any(|path| is_beneath(path, &place.path))
        };
        if let Some(place) = self.all.iter().find(has_it) {
            return Some(Why::Is(place.holds));
        }
        // Nothing lies in what is not there.
        let is = id(&real)?;
        let lies_in_it = |place: &&Place| {
            place.is.is_some() && place.holds != Holds::Named && place.lies_in((&real, is))
        };
        let found = self.all.iter().find(lies_in_it)?;
        Some(Why::Has(found.path.clone(), found.holds))
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

impl Place {
    fn of(path: PathBuf, holds: Holds) -> Place {
        Place { is: id(&path), path, holds }
    }

    /// What links in it lead to, out of it: files from wherever in it, and directories from directly in it, for what is
    /// further down may be a project that is worked on. What the home lies in is no such place.
    fn linked(&self, home: &Path) -> Vec<Place> {
        let Ok(root) = fs::canonicalize(&self.path) else { return Vec::new() };
        let home = fs::canonicalize(home).unwrap_or_else(|_| home.to_owned());
        let mut all = Vec::new();
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
                let is_one = if to.is_dir() {
                    dir == root && !home.starts_with(&to)
                } else {
                    to.is_file() && !self.is_page(&to)
                };
                if is_one {
                    all.push(Place::of(to, self.holds));
                }
            }
        }
        all
    }

    /// Whether a file is a page for agents, where those keep their logins.
    fn is_page(&self, file: &Path) -> bool {
        let ending = file.extension().and_then(OsStr::to_str);
        self.holds == Holds::Logins && ending.is_some_and(|it| PAGES.contains(&it))
    }

    /// Whether it is somewhere beneath a directory, by its own path or by where that leads.
    fn lies_in(&self, (dir, is): (&Path, FileId)) -> bool {
        let real = fs::canonicalize(&self.path).ok();
        let ways = [Some(&self.path), real.as_ref()];
        let mut above = ways.into_iter().flatten().flat_map(|way| way.ancestors().skip(1));
        above.any(|above| above == dir || id(above) == Some(is))
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
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn places_of_logins_are_known_by_every_way_that_leads_to_them() {
        let host = tempfile::tempdir().unwrap();
        let home = host.path().join("home");
        let at = |name: &str| home.join(name);
        for dir in [".claude/projects/a", ".config/gh", ".config/app", "work/.claude", "dots/aws"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        fs::write(at(".config/gh/hosts.yml"), "").unwrap();
        symlink(at(".claude"), at("link")).unwrap();
        symlink(at("dots/aws"), at(".aws")).unwrap();
        symlink(&home, host.path().join("other")).unwrap();
        let places = Places::of(&home, &home, &Environment::default());
        for name in [
            ".claude",
            ".claude/projects/a",
            ".claude/../.claude",
            ".CLAUDE",
            ".Claude/none",
            ".config/gh/hosts.yml",
            ".config/gh",
            "link",
            "link/projects",
            // Where the place itself leads.
            "dots/aws",
            "../other/.claude",
            ".codex/none",
        ] {
            let why = places.why(&at(name));
            assert!(matches!(why, Some(Why::Is(_))), "{name}: {why:?}");
        }
        for name in ["", ".config", "dots", "../other", ".."] {
            let why = places.why(&at(name));
            assert!(matches!(why, Some(Why::Has(..))), "{name}: {why:?}");
        }
        // A project has such a directory of its own.
        for name in ["work", "work/.claude", ".config/app", "none", ".claudes"] {
            assert_eq!(places.why(&at(name)), None, "{name}");
        }
    }

    #[test]
    fn what_links_in_such_a_place_lead_to_is_one_as_well() {
        let host = tempfile::tempdir().unwrap();
        let home = fs::canonicalize(host.path()).unwrap().join("home");
        let at = |name: &str| home.join(name);
        let make = |name: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), "").unwrap();
        };
        for name in ["c/login", "keys/age", "tree/a", "ssh/id", "pages/AGENTS.md", "plugin/a.js"] {
            make(&format!("dots/{name}"));
        }
        for dir in [".claude/plugins", ".config/sops/age", ".ssh", "many"] {
            fs::create_dir_all(at(dir)).unwrap();
        }
        let link = |to: &str, name: &str| symlink(at(to), at(name)).unwrap();
        link("dots/c/login", ".claude/.credentials.json");
        link("dots/tree", ".claude/projects");
        link("dots/keys/age", ".config/sops/age/keys.txt");
        link("dots/ssh/id", ".ssh/id_work");
        // None of these makes a place of what it leads to.
        link("dots/pages/AGENTS.md", ".claude/CLAUDE.md");
        link("dots/plugin", ".claude/plugins/own");
        link("", ".claude/home");
        link(".claude/plugins", ".claude/inside");
        link("nowhere", ".claude/gone");
        let places = Places::of(&home, &home, &Environment::default());
        for name in ["c/login", "tree", "tree/a", "keys/age", "ssh/id"] {
            let why = places.why(&at("dots").join(name));
            assert!(matches!(why, Some(Why::Is(_))), "{name}: {why:?}");
        }
        for name in ["", "c", "keys", "ssh"] {
            let why = places.why(&at("dots").join(name));
            assert!(matches!(why, Some(Why::Has(..))), "{name}: {why:?}");
        }
        for name in ["dots/pages", "dots/pages/AGENTS.md", "dots/plugin", "many", "nowhere"] {
            assert_eq!(places.why(&at(name)), None, "{name}");
        }
    }

    #[test]
    fn what_looks_like_a_secret_is_none_for_being_about_keys_where_it_is_run() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::of(dir.path(), dir.path(), &Environment::default());
        let make = |name: &str, text: &str| {
            fs::write(dir.path().join(name), text).unwrap();
            dir.path().join(name)
        };
        let key = "-----BEGIN PRIVATE KEY-----\n";
        let (program, named) = (make("server.js", key), make("auth.json", ""));
        assert!(places.why_read(&program).is_some() && places.why_run(&program).is_none());
        assert!(places.why_read(&named).is_some() && places.why_run(&named).is_some());
        assert_eq!(places.why_read(&make("settings.json", "{}")), None);
        assert_eq!(secret_in(dir.path()), Some(named));
    }
}
