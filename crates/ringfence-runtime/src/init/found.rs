//! What is found in a project and around it.

use std::fs;
use std::path::{Path, PathBuf};

use super::registries::{self, Registry};
use super::{InitRequest, agents, exists};
use crate::account;
use crate::grants;
use crate::notice::Notice;
use crate::settings::ProfileName;
use crate::state::StateDirs;

/// What every world shows anyway.
const RUNTIME_BASE: &[&str] = &["/bin", "/lib", "/lib32", "/lib64", "/sbin", "/usr"];

/// A language or build tool that a project uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// `Cargo.toml`.
    Rust,
    /// `package.json`.
    Node,
    /// `pyproject.toml`, `setup.py`, `requirements.txt`.
    Python,
    /// `go.mod`.
    Go,
    /// `pom.xml`.
    Java,
    /// `CMakeLists.txt`, `Makefile`, `meson.build`.
    C,
}

impl Language {
    const ALL: [Language; 6] = [
        Language::Rust,
        Language::Node,
        Language::Python,
        Language::Go,
        Language::Java,
        Language::C,
    ];

    /// How it is called.
    pub fn name(self) -> &'static str {
        match self {
            Language::Rust => "Rust",
            Language::Node => "Node",
            Language::Python => "Python",
            Language::Go => "Go",
            Language::Java => "Java",
            Language::C => "C or Make",
        }
    }

    fn marks(self) -> &'static [&'static str] {
        match self {
            Language::Rust => &["Cargo.toml"],
            Language::Node => &["package.json"],
            Language::Python => &["pyproject.toml", "setup.py", "requirements.txt"],
            Language::Go => &["go.mod"],
            Language::Java => &["pom.xml"],
            Language::C => &["CMakeLists.txt", "Makefile", "meson.build"],
        }
    }

    /// Tools and caches below the home directory, with what they are.
    fn dirs(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Language::Rust => &[
                (".cargo/bin", "Rust's tools"),
                (".cargo/config.toml", "Cargo's settings"),
                (".cargo/registry", "Cargo's cache"),
                (".cargo/git", "Cargo's cache"),
                (".rustup", "Rust's toolchains"),
            ],
            Language::Node => &[
                (".nvm", "Node's versions"),
                (".volta", "Node's versions"),
                (".npm/_cacache", "npm's cache"),
            ],
            Language::Python => &[
                (".pyenv", "Python's versions"),
                (".local/share/uv", "Python's versions"),
                (".cache/pip", "pip's cache"),
            ],
            Language::Go => &[("go/pkg/mod", "Go's modules"), ("go/bin", "Go's tools")],
            Language::Java => &[(".m2/repository", "Maven's cache")],
            Language::C => &[],
        }
    }
}

/// What is known when a policy is written.
pub(super) struct Surroundings {
    pub(super) project: PathBuf,
    pub(super) home: PathBuf,
    pub(super) profile: ProfileName,
    pub(super) languages: Vec<Language>,
    /// Directories to be read, with what they are.
    pub(super) readable: Vec<(PathBuf, String)>,
    /// A repository's directory that lies outside the project, for a linked worktree.
    pub(super) git_dir: Option<PathBuf>,
    pub(super) registries: Vec<Registry>,
    pub(super) model: Vec<String>,
    /// `PATH`, for the programs that ask.
    pub(super) path: String,
}

impl Surroundings {
    pub(super) fn notices(&self) -> Vec<Notice> {
        let needs = |language: &Language| *language != Language::C;
        if self.registries.is_empty() && self.languages.iter().any(needs) {
            let text = "no package registry is allowed: your configuration names none";
            return vec![Notice::new(text).hint(
                "the first denial names the host; then run `ringfence grant net:HOST:443 --always`",
            )];
        }
        Vec::new()
    }
}

pub(super) fn look(project: &Path, home: &Path, request: &InitRequest<'_>) -> Surroundings {
    let path =
        request.environment.text("PATH").unwrap_or("/usr/local/bin:/usr/bin:/bin").to_owned();
    // What starts agents under Ringfence is no agent, and Ringfence's own.
    let path = match StateDirs::locate(request.environment) {
        Ok(dirs) => account::path_without(&path, &account::dir(&dirs)),
        Err(_) => path,
    };
    let profile = request.profile.unwrap_or_else(|| agents::installed(&path));
    let has = |language: &Language| language.marks().iter().any(|mark| project.join(mark).exists());
    let languages: Vec<Language> = Language::ALL.into_iter().filter(has).collect();
    let mut readable: Vec<(PathBuf, String)> = languages
        .iter()
        .flat_map(|language| language.dirs())
        .map(|(name, what)| (home.join(name), (*what).to_owned()))
        .filter(|(path, _)| !holds_login(path))
        .collect();
    readable.extend(program_dirs(&path).into_iter().map(|dir| (dir, "programs".to_owned())));
    readable
        .extend(agents::program_dir(profile, &path, project).map(|dir| (dir, profile.to_string())));
    let readable = tidy(readable, project);
    Surroundings {
        git_dir: outer_git_dir(project),
        registries: registries::of_person(home, project, request.environment),
        model: agents::endpoints(profile, request.environment),
        project: project.to_owned(),
        home: home.to_owned(),
        profile,
        languages,
        readable,
        path,
    }
}

/// Whether a file of settings may hold a login, or has a place for one.
fn holds_login(path: &Path) -> bool {
    if !path.is_file() {
        return false;
    }
    // What cannot be read is not shown either.
    let Ok(text) = fs::read_to_string(path) else { return true };
    let small = text.to_ascii_lowercase();
    let words = [
        "@",
        "\\u",
        "auth",
        "credential",
        "env",
        "key",
        "login",
        "pass",
        "proxy",
        "secret",
        "token",
    ];
    words.iter().any(|word| small.contains(word))
}

/// Directories of `PATH` that a world does not show anyway; of `/opt/NAME/bin`, `/opt/NAME`.
fn program_dirs(path: &str) -> Vec<PathBuf> {
    let dirs = path.split(':').filter(|dir| dir.starts_with('/')).map(PathBuf::from);
    dirs.filter_map(|dir| fs::canonicalize(dir).ok())
        .map(|dir| match dir.parent() {
            Some(parent) if dir.starts_with("/opt") && parent != Path::new("/opt") => {
                parent.to_owned()
            }
            Some(_) | None => dir,
        })
        .collect()
}

/// Only what exists, is named once, and is neither shown anyway nor part of something listed.
fn tidy(mut all: Vec<(PathBuf, String)>, project: &Path) -> Vec<(PathBuf, String)> {
    for (dir, _) in &mut all {
        if let Ok(real) = fs::canonicalize(&dir) {
            *dir = real;
        }
    }
    let shown = |dir: &Path| RUNTIME_BASE.iter().any(|base| dir.starts_with(base));
    let mut kept: Vec<(PathBuf, String)> = Vec::new();
    all.retain(|(dir, _)| {
        exists(dir) && !shown(dir) && !dir.starts_with(project) && !project.starts_with(dir)
    });
    all.sort();
    for (dir, what) in all {
        if !kept.iter().any(|(above, _)| dir.starts_with(above)) {
            kept.push((dir, what));
        }
    }
    kept
}

/// `.git` of a linked worktree is a file that names a directory in the main repository.
fn outer_git_dir(project: &Path) -> Option<PathBuf> {
    let text = fs::read_to_string(project.join(".git")).ok()?;
    let named = text.strip_prefix("gitdir:")?.trim();
    let git_dir = fs::canonicalize(project.join(named)).ok()?;
    let common = fs::read_to_string(git_dir.join("commondir")).ok();
    let common = common.and_then(|text| fs::canonicalize(git_dir.join(text.trim())).ok());
    let found = common.unwrap_or(git_dir);
    // A file in a clone may say anything: only a repository is taken.
    crate::protected::is_git_dir(&found).then_some(found).filter(|dir| !dir.starts_with(project))
}

/// All files in `PATH` under this name, links resolved.
pub(super) fn programs(name: &str, path: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = path
        .split(':')
        .filter(|dir| dir.starts_with('/'))
        .filter_map(|dir| grants::resolve_program(name, dir, Path::new("/")).ok())
        .collect();
    found.sort();
    found.dedup();
    found
}
