//! Why a command did not start: what it is outside of the world, and what of that is in it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, ServerName};
use ringfence_policy::grant::GrantText;
use ringfence_sandbox::world::{Access, Bind, Programs, WorldSpec};
use rustix::io::Errno;
use serde::Serialize;

use super::RunRequest;
use crate::advice::{Advice, Session};
use crate::denials::First;
use crate::grants;
use crate::module::ModuleEnd;
use crate::wording::{self, printable, shell_word};

/// As much of a script's first line as the kernel reads.
const FIRST_LINE_BYTES: u64 = 256;

/// A command that did not start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotStarted {
    /// Why: lower case, no full stop.
    pub reason: String,
    /// What would make it start.
    pub hints: Vec<String>,
    /// Whether it has been said where the command's errors go.
    #[serde(skip)]
    pub said: Said,
}

/// Whether somebody was told already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Said {
    /// Nobody was.
    #[default]
    NotYet,
    /// It was said.
    Already,
}

impl NotStarted {
    /// A command that was denied, in a session that has ended with that.
    pub(super) fn denied(first: &First) -> NotStarted {
        let First { denial, advice } = first;
        let act = wording::describe(&denial.request.act);
        let agent = printable(&denial.request.agent.0);
        let rule = wording::rule_line(&denial.grounds);
        let grant = advice.as_ref().and_then(|advice| advice.hint(Session::Ended));
        let explain = denial
            .entry
            .as_ref()
            .map(|entry| format!("to see the whole reasoning, run `ringfence explain {entry}`"));
        NotStarted {
            reason: format!("denied: agent `{agent}` may not {act}: {rule}"),
            hints: grant.into_iter().chain(explain).collect(),
            said: Said::Already,
        }
    }

    fn because(reason: String, hints: Vec<String>) -> NotStarted {
        NotStarted { reason, hints, said: Said::NotYet }
    }
}

/// The command of a world, and what that world shows.
#[derive(Debug)]
pub(super) struct Wanted {
    program: OsString,
    path: OsString,
    cwd: PathBuf,
    shown: Vec<PathBuf>,
    covered: Vec<PathBuf>,
    /// The image whose programs the world has, where they are not this host's.
    image: Option<String>,
    /// Where it may write, if nothing starts from there.
    starts_nothing: Vec<PathBuf>,
    /// What its program runs in turn, if that is a module.
    pub(super) module: ModuleEnd,
    pub(super) whose: Whose,
}

/// The server of tools whose world it is, where it is one's, and what stands in for its policy.
#[derive(Debug, Clone, Default)]
pub(crate) struct Whose {
    server: Option<ServerName>,
    overrides: Vec<PathBuf>,
}

impl Whose {
    fn of(request: &RunRequest) -> Whose {
        Whose { server: request.server(), overrides: request.overrides.clone() }
    }
}

impl Wanted {
    /// What is to be run in a world.
    pub(super) fn of(request: &RunRequest, spec: &WorldSpec, module: ModuleEnd) -> Wanted {
        let path = spec.env.iter().rev().find(|(name, _)| name == "PATH");
        let base = spec.base.binds.iter().chain(spec.base.links.iter().map(|(link, _)| link));
        // What is bound from elsewhere is another file than the host's of that name.
        let (same, other): (Vec<&Bind>, Vec<&Bind>) =
            spec.binds.iter().partition(|bind| bind.source == bind.target);
        let private = other.into_iter().map(|bind| &bind.target);
        let private = private.chain(&spec.base.dirs).chain(&spec.dirs);
        Wanted {
            program: spec.argv.first().cloned().unwrap_or_default(),
            path: path.map(|(_, value)| value.clone()).unwrap_or_default(),
            cwd: spec.cwd.clone(),
            shown: base.chain(same.into_iter().map(|bind| &bind.target)).cloned().collect(),
            covered: private.chain(&spec.masks).chain(&spec.hidden).cloned().collect(),
            starts_nothing: match spec.programs {
                Programs::NotWhereWritten => writable(spec),
                Programs::Anywhere => Vec::new(),
            },
            image: spec.container.as_ref().map(|container| container.image.clone()),
            module,
            whose: Whose::of(request),
        }
    }

    /// Why it did not start, by what the kernel said in the world and what is there outside of it.
    pub(super) fn explain(&self, errno: Errno) -> NotStarted {
        let name = printable(&self.program.to_string_lossy());
        if let (Some(image), Errno::NOENT) = (&self.image, errno) {
            // What is on this host says nothing of it, and put into the container would break it.
            let image = printable(image);
            let reason = format!(
                "there is no program `{name}`, or none that runs it, in the image `{image}`"
            );
            return NotStarted::because(reason, Vec::new());
        }
        let Some(found) = self.found() else {
            return self.not_found(&name, errno);
        };
        let program = fs::canonicalize(&found).unwrap_or_else(|_| found.clone());
        let hidden = self.hidden(&found, &program);
        if errno == Errno::NOENT && !hidden.is_empty() {
            let place = printable(&found.to_string_lossy());
            let reason = if place == name {
                format!("`{name}` is not in this world, only outside of it")
            } else {
                format!("`{name}` is not in this world; outside of it, it is {place}")
            };
            return NotStarted::because(reason, grants_for(&hidden, &self.whose));
        }
        if errno == Errno::NOENT {
            return self.no_interpreter(&name, &program);
        }
        if errno == Errno::ACCESS && self.starts_nothing.iter().any(|dir| program.starts_with(dir))
        {
            let place = printable(&program.to_string_lossy());
            let reason =
                format!("cannot run `{name}`: nothing starts from where a world may write");
            let hint =
                format!("`[world] noexec = true` has it so, and {place} lies in such a place");
            return NotStarted::because(reason, vec![hint]);
        }
        let reason = format!("cannot run `{name}`: {}", said(errno));
        let hint = (errno == Errno::NOEXEC)
            .then(|| "a script says in its first line what runs it, such as #!/bin/sh".to_owned());
        NotStarted::because(reason, hint.into_iter().collect())
    }

    /// Nothing of that name can be run, outside of the world neither.
    fn not_found(&self, name: &str, errno: Errno) -> NotStarted {
        if !self.has_slash() {
            let reason = format!(
                "there is no program `{name}` in PATH, neither in this world nor outside of it"
            );
            return NotStarted::because(reason, Vec::new());
        }
        let place = self.cwd.join(&self.program);
        let (reason, hint) = match fs::metadata(&place) {
            Ok(meta) if meta.is_dir() => (format!("`{name}` is a directory"), None),
            Ok(meta) if meta.permissions().mode() & 0o111 == 0 => (
                format!("`{name}` is not a program"),
                Some(format!("to make it one, run `chmod +x {name}`")),
            ),
            Ok(_) => (format!("cannot run `{name}`: {}", said(errno)), None),
            Err(error) => (format!("cannot run `{name}`: {}", plain(&error)), None),
        };
        NotStarted::because(reason, hint.into_iter().collect())
    }

    /// The program is there, and what is needed to start it is not.
    fn no_interpreter(&self, name: &str, program: &Path) -> NotStarted {
        let Some(interpreter) = interpreter(program) else {
            let reason = format!("`{name}` is in this world, and the loader that it needs is not");
            return NotStarted::because(reason, Vec::new());
        };
        let shown = printable(&interpreter.to_string_lossy());
        let Ok(target) = fs::canonicalize(&interpreter) else {
            let reason = format!("`{name}` is to be run by {shown}, which does not exist");
            return NotStarted::because(reason, Vec::new());
        };
        let reason = format!("`{name}` is to be run by {shown}, which is not in this world");
        NotStarted::because(reason, grants_for(&self.hidden(&interpreter, &target), &self.whose))
    }

    fn has_slash(&self) -> bool {
        self.program.as_bytes().contains(&b'/')
    }

    /// The file that the same command would start outside, under the name it is found by.
    fn found(&self) -> Option<PathBuf> {
        let name = self.program.to_str()?;
        let dirs: Vec<&OsStr> = if self.has_slash() {
            vec![OsStr::new("")]
        } else {
            self.path.as_bytes().split(|byte| *byte == b':').map(OsStr::from_bytes).collect()
        };
        let candidates = dirs.into_iter().map(|dir| self.cwd.join(dir).join(name));
        let runs = |path: &PathBuf| {
            path.to_str().is_some_and(|text| grants::resolve_program(text, "", &self.cwd).is_ok())
        };
        candidates.into_iter().find(runs)
    }

    /// What of a program the world does not show: the place it is found at, the file it is.
    fn hidden(&self, found: &Path, program: &Path) -> Vec<PathBuf> {
        let mut hidden = Vec::new();
        if found != program && !self.shows(found) {
            // A link is seen where its directory is: a grant for the link is one for its target.
            hidden.extend(found.parent().map(Path::to_path_buf));
        }
        let dir_suffices = hidden.iter().any(|dir| program.starts_with(dir));
        if !self.shows(program) && !dir_suffices {
            hidden.push(program.to_path_buf());
        }
        hidden
    }

    /// Whether a path leads to the same file in the world: the deepest place decides.
    fn shows(&self, path: &Path) -> bool {
        let depth = |places: &[PathBuf]| {
            let above = places.iter().filter(|place| path.starts_with(place));
            above.map(|place| place.components().count()).max()
        };
        depth(&self.shown) > depth(&self.covered)
    }
}

/// What a world may write.
fn writable(spec: &WorldSpec) -> Vec<PathBuf> {
    let of_host = spec.binds.iter().filter(|bind| bind.access == Access::Write);
    let overlaid = spec.overlays.iter().map(|overlay| overlay.lower.clone());
    of_host.map(|bind| bind.target.clone()).chain(overlaid).collect()
}

/// Hints at what opens these. For a server of tools nothing is said here: whoever started it knows all that it lacks, and
/// how that is proposed.
pub(crate) fn grants_for(hidden: &[PathBuf], whose: &Whose) -> Vec<String> {
    if whose.server.is_some() && whose.overrides.is_empty() {
        return Vec::new();
    }
    let grant = |path: &PathBuf| {
        if whose.server.is_some() {
            let grant = GrantText::Read(AbsolutePath::parse(path.to_str()?).ok()?);
            let advice = Advice::Grant(grant.to_string());
            let advice = advice.to_server(whose.server.as_ref(), (&grant, &whose.overrides));
            return advice.hint(Session::Ended);
        }
        let word = shell_word(&format!("fs.read:{}", path.to_str()?))?;
        Some(format!("to let the agent see it, run `ringfence grant {word} --always`"))
    };
    hidden.iter().filter_map(grant).collect()
}

/// The program that a script names in its first line.
fn interpreter(script: &Path) -> Option<PathBuf> {
    let mut line = Vec::new();
    let file = File::open(script).ok()?;
    BufReader::new(file.take(FIRST_LINE_BYTES)).read_until(b'\n', &mut line).ok()?;
    let words = line.strip_prefix(b"#!")?.trim_ascii();
    let program = words.split(u8::is_ascii_whitespace).next()?;
    (!program.is_empty()).then(|| PathBuf::from(OsStr::from_bytes(program)))
}

/// What the kernel said, as a person reads it.
fn said(errno: Errno) -> String {
    plain(&io::Error::from(errno))
}

fn plain(error: &io::Error) -> String {
    let text = error.to_string().to_lowercase();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
