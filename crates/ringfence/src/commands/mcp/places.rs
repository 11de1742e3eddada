//! What a server is made of and was given: its program, who interprets it, the package that it is in, and the files and
//! directories that its command and its variables name. None of that is in the log of a start that never came so far.

mod made;
mod runs;
mod started;

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Act, Agent, Decide as _, Facts, Request, ServerName, Verdict};
use ringfence_policy::Policy;
use ringfence_policy::grant::GrantText;
use ringfence_runtime::compose::SECRET_PLACES;
use ringfence_runtime::kept::typed::{Places, secret_in};
use ringfence_runtime::servers::{ServerFile, proposal};
use ringfence_runtime::wording::printable;

use self::made::made;
use self::runs::{programs, start};
use self::started::{is_interpreter, is_program, is_script, shebang, started};

/// What every world has, or has one of its own of.
const IN_EVERY_WORLD: &[&str] =
    &["/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/alternatives", "/dev", "/proc"];

/// Variables whose directories and files a server is made of.
const LOADED_FROM: &[&str] = &[
    "CLASSPATH",
    "GEM_HOME",
    "GEM_PATH",
    "JAVA_HOME",
    "LD_LIBRARY_PATH",
    "LD_PRELOAD",
    "NODE_PATH",
    "PERL5LIB",
    "PYTHONHOME",
    "PYTHONPATH",
    "RUBYLIB",
    "VIRTUAL_ENV",
];

/// The variable whose directories have programs of all kinds: what is found there is looked at, and no more of it.
const PROGRAMS: &str = "PATH";

/// What lies in a directory that has a policy in it, beside what lies in homes.
const KEPT: &[&str] = &[".ringfence", ".config/ringfence"];

/// Most links that are followed from one name.
const LINKS_MAX: usize = 16;

/// Most files that one command is made of.
const FILES_MAX: usize = 64;

/// Where a command is started, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct Around<'a> {
    pub(super) cwd: &'a Path,
    pub(super) home: &'a Path,
    /// Where programs are looked for.
    pub(super) path: &'a OsStr,
    /// The person's project here, whose policy keeps it from servers.
    pub(super) project: &'a Path,
    /// What is proposed to nobody.
    pub(super) kept: &'a Places,
}

/// What is proposed for a server before it is started.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Proposed {
    pub(super) rules: proposal::Places,
    /// What is proposed less widely than it might need.
    pub(super) notes: Vec<String>,
    /// What is not proposed at all.
    pub(super) kept_back: Vec<String>,
}

/// What a server may not read of itself, and what it was given and may not use, as rules for it alone.
pub(super) fn proposed(
    (server, file): (&ServerName, &ServerFile),
    around: Around<'_>,
    (policy, facts): (&Policy, &Facts),
) -> Proposed {
    let agent = Agent(server.to_string());
    let is_act_denied = |act: Act| {
        let request = Request { agent: agent.clone(), act, process: None };
        policy.decide(&request, facts).verdict == Verdict::Deny
    };
    let is_denied = |path: &Path, act: fn(AbsolutePath) -> Act| {
        let path = path.to_str().and_then(|it| AbsolutePath::parse(it).ok());
        path.is_some_and(|path| is_act_denied(act(path)))
    };
    let is_lacking = |path: &Path| !is_common(path) && is_denied(path, Act::Read);
    let (parts, mut wanted) = (files(&file.command, around), Wanted::default());
    for (path, use_of_it) in given(file, around).into_iter().filter(|(it, _)| !parts.contains(it)) {
        let has_it = match use_of_it {
            UseOf::Works => !is_denied(&path, Act::Read) && !is_denied(&path, Act::Write),
            UseOf::Reads => !is_denied(&path, Act::Read),
        };
        if !has_it && !is_common(&path) {
            wanted.give((path, use_of_it), around);
        }
    }
    for made in made(file, around) {
        let dir = made.path.parent().unwrap_or(&made.path);
        let may_work = !is_denied(dir, Act::Read) && !is_denied(dir, Act::Write);
        if !may_work && !is_common(dir) && !parts.contains(&made.path) {
            wanted.make(&made, around);
        }
    }
    for program in programs(&file.command, around) {
        let may_run = start(&program, &file.command, around).is_none_or(|it| !is_act_denied(it));
        if !may_run && around.kept.why_run(&program).is_none() {
            wanted.runs.insert(program);
        }
    }
    for part in parts {
        if is_lacking(&part) {
            wanted.load(&part, around);
        }
    }
    if names_from_here(&file.command, around) && is_lacking(around.cwd) {
        let why_not =
            shut(around.cwd, around).map(str::to_owned).or_else(|| kept_back(around.cwd, around));
        if let Some(why) = why_not {
            wanted.notes.push(format!(
                "{} is {why}, and not opened to it: name what lies there as a whole path",
                shown(around.cwd)
            ));
        } else {
            wanted.point_at_secret_in(around.cwd);
            wanted.reads.insert(around.cwd.to_owned());
        }
    }
    wanted.rules(server)
}

/// How a server uses what it was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum UseOf {
    /// It works in it.
    Works,
    /// It only reads it.
    Reads,
}

/// What is to be proposed.
#[derive(Default)]
struct Wanted {
    reads: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    works: BTreeSet<PathBuf>,
    /// Programs.
    runs: BTreeSet<PathBuf>,
    notes: Vec<String>,
    kept_back: Vec<String>,
}

impl Wanted {
    /// Something that a server was given.
    fn give(&mut self, (path, use_of_it): (PathBuf, UseOf), around: Around<'_>) {
        if !path.is_dir() {
            match around.kept.why_read(&path) {
                Some(why) => self.keep_back(&path, &why.to_string()),
                None => drop(self.files.insert(path)),
            }
            return;
        }
        if let Some(why) = shut(&path, around) {
            self.keep_back(&path, &format!("it is {why}"));
        } else if let Some(why) = around.kept.why_read(&path) {
            self.keep_back(&path, &why.to_string());
        } else {
            self.point_at_secret_in(&path);
            let why_not_change = around.kept.why_not_change(&path);
            let to = match (use_of_it, why_not_change) {
                (UseOf::Works, Some(why)) => {
                    self.kept_back.push(format!(
                        "{} is kept back from being changed, and proposed to be read alone: {why}",
                        shown(&path)
                    ));
                    &mut self.files
                }
                (UseOf::Works, None) => &mut self.works,
                (UseOf::Reads, _) => &mut self.reads,
            };
            to.insert(path);
        }
    }

    /// Something that a server is made of: with the least around it that it does not work without.
    fn load(&mut self, file: &Path, around: Around<'_>) {
        // By a link and by where that leads: the directory of the link would be opened, and so may be what it leads to.
        let real = fs::canonicalize(file).unwrap_or_else(|_| file.to_owned());
        let why = |it: &Path| {
            if is_program(&real) { around.kept.why_run(it) } else { around.kept.why_read(it) }
        };
        if let Some(why) = why(file).or_else(|| why(&real)) {
            self.keep_back(file, &why.to_string());
            return;
        }
        let why_not =
            |dir: &Path| shut(dir, around).map(str::to_owned).or_else(|| kept_back(dir, around));
        let is_open = |dir: &PathBuf| why_not(dir).is_none();
        let dir = whole(file);
        // A world shows no link that lies in what it does not show.
        let beside = file.parent().filter(|_| file.is_symlink()).map(Path::to_owned);
        let least = beside.filter(is_open).unwrap_or_else(|| file.to_owned());
        if let Some((dir, why)) = dir.as_ref().and_then(|dir| Some((dir, why_not(dir)?))) {
            let (dir, least) = (shown(dir), shown(&least));
            self.notes.push(format!("{dir} is {why}: of it {least} alone is proposed"));
        }
        // What others made and put there as a whole has certificates of tests in it.
        let is_own = dir.is_none() || (is_script(file) && modules(file).is_none());
        let opened = dir.filter(is_open).unwrap_or(least);
        if is_own && opened.is_dir() {
            self.point_at_secret_in(&opened);
        }
        self.reads.insert(opened);
    }

    /// Says what is called like a secret in a directory that is proposed.
    fn point_at_secret_in(&mut self, dir: &Path) {
        let Some(secret) = secret_in(dir) else { return };
        let secret = shown(&secret);
        let note =
            format!("{secret} is called like a secret, and the server could read it as well");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    fn keep_back(&mut self, path: &Path, why: &str) {
        let note = format!("{} is kept back, no rule for it is proposed: {why}", shown(path));
        if !self.kept_back.contains(&note) {
            self.kept_back.push(note);
        }
    }

    fn rules(self, server: &ServerName) -> Proposed {
        let Wanted { reads, files, works, runs, notes, kept_back } = self;
        let permit = |action: &str, path: &Path| {
            let kind = if path.is_dir() { "in Dir" } else { "== Path" };
            let path = path.to_str()?.escape_debug().to_string();
            Some(format!(
                "permit (principal == Agent::\"{server}\", action {action}, resource {kind}::\"{path}\");"
            ))
        };
        let run = |program: &Path| {
            let program = AbsolutePath::parse(program.to_str()?).ok()?;
            Some(GrantText::Exec { program, subcommand: None }.rule_for(server.as_str()))
        };
        let is_within = |path: &PathBuf| {
            let mut wider = reads.iter().filter(|dir| *dir != path).chain(&works);
            wider.any(|dir| path.starts_with(dir))
        };
        let to_read = |all: &BTreeSet<PathBuf>| -> Vec<String> {
            let all = all.iter().filter(|it| !is_within(it));
            all.filter_map(|path| permit("== Action::\"fs.read\"", path)).collect()
        };
        // What a server is made of is given to it as that.
        let files: BTreeSet<PathBuf> = files.difference(&reads).cloned().collect();
        let rules = proposal::Places {
            reads: to_read(&reads),
            files: to_read(&files),
            works: works.iter().filter_map(|dir| permit("in Action::\"fs\"", dir)).collect(),
            runs: runs.iter().filter_map(|program| run(program)).collect(),
        };
        Proposed { rules, notes, kept_back }
    }
}

/// Where the programs of a server are looked for.
pub(super) fn search_path(file: &ServerFile) -> OsString {
    let own = file.env.get(PROGRAMS).map(OsString::from);
    own.or_else(|| std::env::var_os(PROGRAMS)).unwrap_or_default()
}

/// Where a program lies that is named without a directory; none where it is named with one, or is in none of these.
pub(super) fn found_in(program: &str, path: &OsStr) -> Option<String> {
    if program.contains('/') {
        return None;
    }
    let is_program = |file: &PathBuf| {
        let is_run = |it: fs::Metadata| it.is_file() && it.permissions().mode() & 0o111 != 0;
        file.is_absolute() && fs::metadata(file).is_ok_and(is_run)
    };
    let file = std::env::split_paths(path).map(|dir| dir.join(program)).find(is_program)?;
    file.to_str().map(str::to_owned)
}

/// The program of a command, where there is none of that name.
pub(super) fn missing<'a>(command: &'a [String], cwd: &Path, path: &OsStr) -> Option<&'a str> {
    let program = command.first()?;
    // What cannot be looked at may be there.
    let is_there = |file: PathBuf| file.try_exists().unwrap_or(true);
    let found = if program.contains('/') {
        is_there(cwd.join(program))
    } else {
        path.is_empty() || std::env::split_paths(path).any(|dir| is_there(dir.join(program)))
    };
    (!found).then_some(program)
}

fn shown(path: &Path) -> String {
    format!("`{}`", printable(&path.to_string_lossy()))
}

/// Whether every world has it, or shows something else there.
fn is_common(path: &Path) -> bool {
    IN_EVERY_WORLD.iter().any(|dir| path.starts_with(dir))
}

/// Why a directory is opened to nobody as a whole, besides what is kept in it.
fn shut(dir: &Path, around: Around<'_>) -> Option<&'static str> {
    let home = around.home;
    let homes = [Some(home.to_owned()), fs::canonicalize(home).ok()];
    let real = fs::canonicalize(dir).unwrap_or_else(|_| dir.to_owned());
    for dir in [dir, &real] {
        // `/`, `/home`, `/opt` ...
        if dir.components().count() < 3 {
            return Some("a directory of the host");
        }
        for home in homes.iter().flatten() {
            let shared = [".local", ".local/share", ".config", ".cache"];
            if home.starts_with(dir) || shared.iter().any(|name| home.join(name) == dir) {
                return Some("a home, or what all programs share of it");
            }
        }
        // What is in force for the project is protected in it, whoever may work there.
        let policies = KEPT.iter().filter(|_| dir != around.project);
        let mut kept = SECRET_PLACES.iter().map(|(name, _)| *name).chain(policies.copied());
        if kept.any(|name| fs::symlink_metadata(dir.join(name)).is_ok()) {
            return Some("a home or a project, with secrets or a policy in it");
        }
    }
    None
}

/// Why a directory is kept back, as a part of a sentence.
fn kept_back(dir: &Path, around: Around<'_>) -> Option<String> {
    around.kept.why(dir).map(|why| format!("kept back ({why})"))
}

/// Whether a command names something by where it lies from here: it works only where it is started here.
fn names_from_here(command: &[String], around: Around<'_>) -> bool {
    let mut words = command.iter().enumerate();
    words.any(|(number, word)| {
        // A program without a directory is looked for elsewhere.
        let looks_like = if number == 0 { word.contains('/') } else { word.contains(['/', '.']) };
        let is_path = looks_like && !word.starts_with(['/', '-']);
        is_path && fs::symlink_metadata(around.cwd.join(word)).is_ok()
    })
}

/// The whole path of what a word of a command names outside of the directory that it is typed in; none where it names
/// nothing there, or is no such word.
pub(super) fn outside(word: &str, cwd: &Path) -> Option<String> {
    if word != ".." && !word.starts_with("../") {
        return None;
    }
    let cwd = fs::canonicalize(cwd).ok()?;
    let whole = normal(&cwd.join(word))?;
    // Behind a link, `..` is another directory than it reads like.
    let is_same = fs::canonicalize(&whole).ok()? == fs::canonicalize(cwd.join(word)).ok()?;
    let whole = whole.to_str()?.to_owned();
    (is_same && !Path::new(&whole).starts_with(&cwd)).then_some(whole)
}

/// The files and directories that stand in a command and in the variables beside it, where they exist.
fn given(file: &ServerFile, around: Around<'_>) -> Vec<(PathBuf, UseOf)> {
    let in_command = file.command.iter().skip(1).map(|word| match word.split_once('=') {
        Some((name, value)) if name.starts_with('-') => value,
        Some(_) | None => word.as_str(),
    });
    let mut all: Vec<(PathBuf, UseOf)> = Vec::new();
    let mut add = |word: &str, use_of_it: UseOf| {
        let Some(path) = typed(word, around) else { return };
        let is_file_or_dir = path.is_dir() || path.is_file();
        if is_file_or_dir && !all.contains(&(path.clone(), use_of_it)) {
            all.push((path, use_of_it));
        }
    };
    in_command.for_each(|word| add(word, UseOf::Works));
    for (name, value) in file.env.iter().filter(|(name, _)| *name != PROGRAMS) {
        let is_loaded = LOADED_FROM.contains(&name.as_str());
        let use_of_it = if is_loaded { UseOf::Reads } else { UseOf::Works };
        // Some take it as one name, some as several.
        std::iter::once(value.as_str()).chain(value.split(':')).for_each(|it| add(it, use_of_it));
    }
    all
}

/// What a word leads to, where it looks like a path and is there.
fn typed(word: &str, around: Around<'_>) -> Option<PathBuf> {
    fs::canonicalize(at(word, around)?).ok()
}

/// What a word names, where it looks like a path: shells and programs know the home by `~`.
fn at(word: &str, around: Around<'_>) -> Option<PathBuf> {
    Some(match word.strip_prefix('~') {
        Some("") => around.home.to_owned(),
        Some(rest) => around.home.join(rest.strip_prefix('/')?),
        None if word.starts_with(['/', '.']) => around.cwd.join(word),
        None => return None,
    })
}

/// The files that a command is made of, and each link on the way to them.
fn files(command: &[String], around: Around<'_>) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = Vec::new();
    let mut next: Vec<PathBuf> = started(command, around);
    while let Some(file) = next.pop() {
        if all.len() >= FILES_MAX || all.contains(&file) || !file.is_file() {
            continue;
        }
        let ways = ways(&file);
        if let Some(words) = ways.last().and_then(|real| shebang(real)) {
            next.extend(started(&words, around));
        }
        all.extend(ways);
    }
    all.sort();
    all.dedup();
    all
}

/// A path without `.` and `..`.
fn normal(path: &Path) -> Option<PathBuf> {
    AbsolutePath::parse(path.to_str()?).ok().map(|it| it.as_path().to_owned())
}

/// A file, or each link that leads to it and it itself, where they lie.
fn ways(file: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut at = file.to_owned();
    for _ in 0..LINKS_MAX {
        let (Some(dir), Some(name)) = (at.parent(), at.file_name()) else { break };
        let Ok(dir) = fs::canonicalize(dir) else { break };
        let real = dir.join(name);
        all.push(real.clone());
        let Ok(says) = fs::read_link(&real) else { break };
        let Some(to) = normal(&dir.join(says)) else { break };
        at = to;
    }
    all
}

/// The least directory that a file does not work without; `None` where that is the file alone.
fn whole(file: &Path) -> Option<PathBuf> {
    if let Some(modules) = modules(file) {
        return Some(modules);
    }
    let dir = file.parent()?;
    if let Some(environment) = dir.ancestors().find(|dir| dir.join("pyvenv.cfg").is_file()) {
        return Some(environment.to_owned());
    }
    let name = file.file_name()?.to_str()?;
    if is_interpreter(name) && dir.ends_with("bin") {
        return dir.parent().filter(|root| root.join("lib").is_dir()).map(Path::to_owned);
    }
    if !is_script(file) {
        return None;
    }
    let is_of_node =
        ["js", "mjs", "cjs", "ts", "mts"].iter().any(|it| file.extension() == Some(OsStr::new(it)));
    let is_package =
        |dir: &&Path| dir.join("node_modules").is_dir() || dir.join("package.json").is_file();
    let package = dir.ancestors().find(is_package).filter(|_| is_of_node);
    Some(package.unwrap_or(dir).to_owned())
}

/// The outermost `node_modules` that a file is in: what it loads may lie in each.
fn modules(file: &Path) -> Option<PathBuf> {
    let is_modules = |dir: &&Path| dir.file_name() == Some(OsStr::new("node_modules"));
    file.ancestors().filter(is_modules).last().map(Path::to_owned)
}
