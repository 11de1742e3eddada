//! What no suggestion opens, and how large a directory may be that one opens.

use std::fs;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Act, Decide as _, Endpoint, Host, Request, Verdict};
use ringfence_policy::grant::{GrantText, Paths};
use ringfence_proxy::net;

use super::Around;
use crate::compose::{GRANTABLE, secret_places};
use crate::kept::{self, LOGIN};
use crate::protected;
use crate::wording;

/// Most files and directories of a directory that is opened as a whole.
const ENTRIES_MAX: usize = 256;

/// Directories whose content is the kernel's, and secrets of others among it.
const OF_THE_KERNEL: &[&str] = &["/dev", "/proc", "/sys"];

/// What is looked for.
pub(super) struct Never<'a> {
    around: &'a Around<'a>,
    secrets: Vec<PathBuf>,
    logins: Vec<PathBuf>,
    programs: Vec<PathBuf>,
}

/// What a path would be opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Reading,
    Writing,
}

impl<'a> Never<'a> {
    pub(super) fn of(around: &'a Around<'a>) -> Never<'a> {
        let home = around.dirs.home();
        let mut secrets: Vec<PathBuf> = secret_places(home, around.cwd, around.environment)
            .into_iter()
            .map(|(place, _)| place)
            .collect();
        secrets.extend(kept::below_home().map(|name| home.join(name)));
        let path = around.environment.text("PATH").unwrap_or("");
        let programs = path.split(':').filter(|dir| dir.starts_with('/')).map(PathBuf::from);
        Never { around, secrets, logins: kept::logins(home), programs: programs.collect() }
    }

    /// Why an act is never suggested, if that is so.
    pub(super) fn at_all(&self, act: &Act) -> Option<String> {
        match act {
            Act::Read(path) => {
                let path = path.as_path();
                self.path(path, For::Reading).or_else(|| self.all_in(path))
            }
            Act::Write(path) | Act::Delete(path) => self.path(path.as_path(), For::Writing),
            Act::ConnectUnix(_) => Some(
                "it is a socket of the host: what listens there acts outside of every world"
                    .to_owned(),
            ),
            Act::Connect(to) => endpoint(to),
            Act::Request(http) => endpoint(&http.endpoint),
            Act::UseSecret(_) => {
                Some("the use of a secret is permitted by hand, by its name".to_owned())
            }
            Act::Exec(_) | Act::CallTool(_) => None,
        }
    }

    /// Why a directory is not opened, which a rule would open with all that is in it.
    fn all_in(&self, path: &Path) -> Option<String> {
        let is_dir = fs::symlink_metadata(path).is_ok_and(|it| it.is_dir());
        (is_dir && kept::holds(path, self.around.dirs.home())).then(|| {
            "it is a directory in which something may be a secret: name what is needed of it"
                .to_owned()
        })
    }

    fn path(&self, path: &Path, what_for: For) -> Option<String> {
        if OF_THE_KERNEL.iter().any(|dir| path.starts_with(dir)) {
            return Some("it is the kernel's, and tells of the host".to_owned());
        }
        if self.secrets.iter().any(|secret| path.starts_with(secret)) {
            return Some(kept::COVERED.to_owned());
        }
        if self.logins.iter().any(|login| path.starts_with(login)) {
            return Some(LOGIN.to_owned());
        }
        if path.starts_with(self.around.dirs.home().join(".cache")) {
            return Some("every project has a `.cache` of its own in its worlds".to_owned());
        }
        if fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket()) {
            return Some("it is a socket of the host".to_owned());
        }
        if let Some(why) = kept::looks_secret(path) {
            return Some(why);
        }
        match what_for {
            For::Reading => None,
            For::Writing => self.run_by_the_host(path),
        }
    }

    /// Why the host would run what is written to a path.
    fn run_by_the_host(&self, path: &Path) -> Option<String> {
        if self.programs.iter().any(|dir| path.starts_with(dir)) {
            return Some("the host runs programs from there".to_owned());
        }
        let parts = || path.components().filter_map(|part| part.as_os_str().to_str());
        let listed =
            protected::IN_PROJECT.iter().find(|(name, _, _)| parts().any(|it| it == *name));
        if let Some((_, _, why)) = listed {
            return Some((*why).to_owned());
        }
        if parts().any(|part| part == ".git") {
            return Some("git runs programs that are named there".to_owned());
        }
        let hidden = |below: &Path| {
            let first = below.components().next();
            first.is_some_and(|it| it.as_os_str().to_str().is_some_and(|it| it.starts_with('.')))
        };
        let in_home = path.strip_prefix(self.around.dirs.home()).ok();
        in_home.is_some_and(hidden).then(|| {
            "programs of the host obey, or run, what is in hidden places of the home".to_owned()
        })
    }

    /// Whether a grant may be for all that lies in a directory.
    pub(super) fn widely(&self, grant: &GrantText) -> bool {
        match grant {
            GrantText::Read(dir) => self.dir(dir.as_path(), For::Reading),
            GrantText::Write(dir) => self.dir(dir.as_path(), For::Writing),
            GrantText::Request { to, path: Paths::Beneath(_), .. } => endpoint(to).is_none(),
            GrantText::Request { .. }
            | GrantText::Connect(_)
            | GrantText::ConnectUnix(_)
            | GrantText::UseSecret(_)
            | GrantText::CallTool(_)
            | GrantText::Exec { .. } => true,
        }
    }

    /// Whether a directory is small, is no place that much else lives in, and holds nothing that is kept.
    fn dir(&self, dir: &Path, what_for: For) -> bool {
        let project = self.around.assembled.project.dir.as_path();
        let tops = GRANTABLE.iter().chain(&["/tmp", "/var/tmp"]).map(Path::new);
        let near = [self.around.dirs.home(), project, self.around.cwd];
        if dir.parent().is_none_or(|above| above.parent().is_none())
            || tops.chain(near).any(|place| place.starts_with(dir))
            || self.secrets.iter().chain(&self.logins).any(|secret| secret.starts_with(dir))
            || !fs::symlink_metadata(dir).is_ok_and(|it| it.is_dir())
        {
            return false;
        }
        let mut waiting = vec![dir.to_owned()];
        let mut seen = 0;
        while let Some(next) = waiting.pop() {
            seen += 1;
            if seen > ENTRIES_MAX || self.kept(&next, what_for) {
                return false;
            }
            if fs::symlink_metadata(&next).is_ok_and(|it| it.is_dir()) {
                // What cannot be looked at is not opened unseen.
                let Ok(entries) = fs::read_dir(&next) else { return false };
                waiting.extend(entries.flatten().take(ENTRIES_MAX + 1).map(|entry| entry.path()));
            }
        }
        true
    }

    /// Whether a place in a directory is kept: by this list, or by a rule that forbids it.
    fn kept(&self, path: &Path, what_for: For) -> bool {
        let Some(named) = path.to_str().and_then(|text| AbsolutePath::parse(text).ok()) else {
            return true;
        };
        let act = match what_for {
            For::Reading => Act::Read(named),
            For::Writing => Act::Write(named),
        };
        if self.path(path, what_for).is_some() {
            return true;
        }
        let request = Request { agent: self.around.agent.clone(), act, process: None };
        let ruling = self.around.assembled.policy.decide(&request, self.around.facts);
        ruling.verdict == Verdict::Deny && !ruling.grounds.rules.is_empty()
    }
}

/// Why a host is never suggested.
fn endpoint(to: &Endpoint) -> Option<String> {
    let nearby = |special: &str| {
        format!("it is {special}, whose services trust whoever reaches them: permit it by hand")
    };
    kept::endpoint(to).or_else(|| match &to.host {
        Host::Address(address) => net::special(*address).map(nearby),
        Host::Name(_) if to.is_localhost() => wording::localhost(to),
        Host::Name(_) => None,
    })
}
