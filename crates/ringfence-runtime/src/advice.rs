//! What a person can do about a denied act: the grant that helps, and when it can take effect.

use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, ServerName, SessionId};
use ringfence_policy::grant::GrantText;
use ringfence_sandbox::notify::is_engine;
use ringfence_sandbox::world::Tier;

use crate::compose::{GRANTABLE, Real, real};
use crate::kept;
use crate::trust::is_too_high;
use crate::wording::{printable, shell_word};

/// Directories that every world has by itself, read-only or of its own: what a policy names there
/// is shown from the start or not at all.
const OF_EVERY_WORLD: &[&str] = &[
    "/bin", "/dev", "/etc", "/gnu", "/lib", "/lib32", "/lib64", "/libx32", "/nix", "/proc",
    "/sbin", "/sys", "/usr",
];

/// How the grant of a tool begins.
const OF_TOOLS: &str = "tool:";

/// What such a grant does not say itself.
const ANY_ARGUMENTS: &str = " (with any arguments; a rule can say with which)";

/// What helps against a denial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// A grant, at once.
    Grant(String),
    /// A grant, once there is something that it can show.
    Make {
        /// What is not there.
        place: AbsolutePath,
        /// The grant.
        grant: String,
        /// The directory in which a server of tools could make it.
        dir: Option<AbsolutePath>,
    },
    /// A grant, from the next session on: a running world cannot be given the place.
    NextSession {
        /// The place.
        place: AbsolutePath,
        /// The grant.
        grant: String,
    },
    /// No grant: the place belongs to every world.
    Base(PathBuf),
    /// No grant: an engine of containers listens there.
    Engine(AbsolutePath),
    /// None is offered: secrets are kept there, or given out. A person may write one.
    Kept {
        /// What it would be for, as the grant names it.
        grant: String,
        /// Why.
        why: String,
    },
    /// Of a session of a server of tools: once that has ended, a rule for this server, for a grant would be everybody's.
    ForServer {
        /// The server.
        server: ServerName,
        /// The rule.
        rule: String,
        /// The file that stands in for the policy, where one does.
        file: Option<PathBuf>,
        /// What helps while the session runs.
        running: Box<Advice>,
    },
}

/// Whether the session that was denied something still runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Session<'a> {
    /// It does.
    Runs(&'a SessionId),
    /// It does not, so that only later ones can be helped.
    Ended,
    /// The same, in another project than the one where this is said.
    EndedIn(&'a Path),
}

/// Whether a session goes on after something was denied in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lasts {
    /// It does: a grant to it may help.
    #[default]
    GoesOn,
    /// It ends with what it is for (a server that is looked at, one call that is tried), so that only later ones can be
    /// helped.
    EndsSoon,
}

impl Lasts {
    /// The session, as a person will find it who reads of the denial.
    pub fn session(self, id: &SessionId) -> Session<'_> {
        match self {
            Lasts::GoesOn => Session::Runs(id),
            Lasts::EndsSoon => Session::Ended,
        }
    }
}

impl Session<'_> {
    /// The same when it has ended.
    fn after(self) -> Self {
        match self {
            Session::Runs(_) | Session::Ended => Session::Ended,
            Session::EndedIn(dir) => Session::EndedIn(dir),
        }
    }
}

/// What advice is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sight {
    /// The host's files as they are now.
    Host,
    /// Names alone.
    Names,
}

impl Advice {
    /// The same for what `server` was denied, if it is one's session; `files` stand in for the policy.
    #[must_use]
    pub fn to_server(
        self,
        server: Option<&ServerName>,
        (grant, files): (&GrantText, &[PathBuf]),
    ) -> Advice {
        match (self, server) {
            (
                running @ (Advice::Grant(_) | Advice::Make { .. } | Advice::NextSession { .. }),
                Some(server),
            ) => Advice::ForServer {
                server: server.clone(),
                rule: match &running {
                    // A world can only be shown what is there.
                    Advice::Make { dir: Some(dir), .. } => {
                        rule_for(&GrantText::Write(dir.clone()), server)
                    }
                    Advice::Make { .. }
                    | Advice::Grant(_)
                    | Advice::NextSession { .. }
                    | Advice::Base(_)
                    | Advice::Engine(_)
                    | Advice::Kept { .. }
                    | Advice::ForServer { .. } => rule_for(grant, server),
                },
                file: files.first().cloned(),
                running: Box::new(running),
            },
            (advice, _) => advice,
        }
    }

    /// What becomes of a grant that the policy would honour, on a host as it is now.
    pub fn of(grant: &GrantText, home: &Path, project: &Path) -> Advice {
        Advice::seen(Sight::Host, grant, (home, project))
    }

    /// The same for a session that has no world, whose files are the host's own.
    pub fn without_a_world(grant: &GrantText, home: &Path) -> Advice {
        match kept::at_all(grant, home) {
            Some(why) => Advice::Kept { grant: grant.to_string(), why },
            None => Advice::Grant(grant.to_string()),
        }
    }

    fn seen(sight: Sight, grant: &GrantText, (home, project): (&Path, &Path)) -> Advice {
        let text = grant.to_string();
        let kept = match sight {
            Sight::Host => kept::at_all(grant, home),
            Sight::Names => kept::by_name(grant, home),
        };
        let place = match grant {
            GrantText::ConnectUnix(socket) if is_engine(socket.as_str()) => {
                return Advice::Engine(socket.clone());
            }
            GrantText::Read(place) | GrantText::Write(place) => place.clone(),
            GrantText::Connect(_)
            | GrantText::ConnectUnix(_)
            | GrantText::Request { .. }
            | GrantText::UseSecret(_)
            | GrantText::CallTool(_)
            | GrantText::Exec { .. } => {
                return match kept {
                    Some(why) => Advice::Kept { grant: text, why },
                    None => Advice::Grant(text),
                };
            }
        };
        let path = place.as_path();
        if let Some(dir) = of_every_world(sight, path) {
            return Advice::Base(dir);
        }
        if let Some(why) = kept {
            return Advice::Kept { grant: text, why };
        }
        let known = GRANTABLE.iter().map(Path::new);
        let near = [Some(home), project.parent(), Some(project)].into_iter().flatten();
        let beneath = |dir: &Path| path.starts_with(dir) && path != dir;
        let reached = known.chain(near).filter(|dir| dir.parent().is_some()).any(beneath);
        let there = match sight {
            Sight::Host => real(path),
            Sight::Names => Real::Is,
        };
        match (there, reached) {
            (Real::Absent, _) => {
                let dir = made_in(grant, home);
                Advice::Make { place, grant: text, dir }
            }
            (Real::Is | Real::Through { .. }, true) => Advice::Grant(text),
            (Real::Is | Real::Through { .. }, false) => Advice::NextSession { place, grant: text },
        }
    }

    /// The same for a session of this tier: a world without mounts is given no files while it runs.
    pub fn in_tier(tier: Tier, grant: &GrantText, places: (&Path, &Path)) -> Advice {
        Advice::seen(Sight::Host, grant, places).given(tier, grant)
    }

    /// The same as a session's world is told it: by names alone, for what else there is on the host, and what
    /// is in it, is not the agent's to know.
    pub fn inside(tier: Tier, grant: &GrantText, places: (&Path, &Path)) -> Advice {
        Advice::seen(Sight::Names, grant, places).given(tier, grant)
    }

    fn given(self, tier: Tier, grant: &GrantText) -> Advice {
        match (self, grant) {
            (
                Advice::Grant(text) | Advice::Make { grant: text, .. },
                GrantText::Read(place) | GrantText::Write(place),
            ) if !tier.has_mounts() => Advice::NextSession { place: place.clone(), grant: text },
            (advice, _) => advice,
        }
    }

    /// The advice as a sentence after *hint:*; `None` where no quoting makes its command safe.
    pub fn hint(&self, session: Session<'_>) -> Option<String> {
        let command = |grant: &str, lasting: Session<'_>| {
            let grant = shell_word(grant)?;
            Some(match lasting {
                Session::Runs(id) => format!("`ringfence grant {grant} --session {id}`"),
                Session::Ended => format!("`ringfence grant {grant} --always`"),
                Session::EndedIn(_) => format!("`ringfence grant {grant} --always` there"),
            })
        };
        let to_allow_it = match session {
            Session::Runs(_) => "to allow it for this session".to_owned(),
            Session::Ended => "to allow it in this project from now on".to_owned(),
            Session::EndedIn(dir) => {
                let dir = printable(&dir.to_string_lossy());
                format!("to allow it in {dir} from now on")
            }
        };
        Some(match self {
            Advice::ForServer { running, .. } if matches!(session, Session::Runs(_)) => {
                return running.hint(session);
            }
            Advice::ForServer { server, rule, file, .. } => {
                let rule = printable(rule);
                let at = match file {
                    Some(file) => format!("write into `{}`", printable(&file.to_string_lossy())),
                    None => "run `ringfence policy edit --user` and write".to_owned(),
                };
                format!("to allow it to the server `{server}` from now on, {at}: {rule}")
            }
            Advice::Grant(grant) => {
                let all = if grant.starts_with(OF_TOOLS) { ANY_ARGUMENTS } else { "" };
                format!("{to_allow_it}, run {}{all}", command(grant, session)?)
            }
            Advice::Make { place, grant, dir: _ } => {
                let (place, command) = (printable(place.as_str()), command(grant, session)?);
                format!(
                    "{to_allow_it}, make `{place}` yourself, for a grant can only show what is there; then run {command}"
                )
            }
            Advice::NextSession { place, grant } => {
                let place = printable(place.as_str());
                let command = command(grant, session.after())?;
                format!(
                    "a running world cannot be given `{place}`; to allow it from the next session on, run {command}"
                )
            }
            Advice::Engine(socket) => format!(
                "whoever may talk to `{}` runs what they like on this host, outside of every world: \
                 programs that need an engine of containers do not work in one; start them yourself",
                printable(socket.as_str())
            ),
            Advice::Kept { grant, why } => {
                format!(
                    "no grant is offered for `{}`: {why}; whoever means it writes that grant by hand",
                    printable(grant)
                )
            }
            Advice::Base(dir) => format!(
                "`{}` belongs to the runtime base, which no grant opens in a running world: have it written somewhere else, such as in the project or in /tmp",
                dir.display()
            ),
        })
    }
}

/// The directory of what is to be made, where it may be opened as a whole to a server.
fn made_in(grant: &GrantText, home: &Path) -> Option<AbsolutePath> {
    let GrantText::Write(path) = grant else { return None };
    let dir = path.parent()?;
    let at = dir.as_path();
    let is_wide = is_too_high(at, home) || home.starts_with(at) || at.components().count() < 3;
    let is_kept = kept::at_all(&GrantText::Write(dir.clone()), home).is_some()
        || kept::beneath(at, home)
        || kept::typed::runs_later(at, home);
    (at.is_dir() && !is_wide && !is_kept).then_some(dir)
}

/// A grant as a rule for a server alone; a file is named as one.
fn rule_for(grant: &GrantText, server: &ServerName) -> String {
    let rule = grant.rule_for(server.as_str());
    match grant {
        GrantText::Read(path) | GrantText::Write(path) if path.as_path().is_file() => {
            rule.replacen("resource in Dir::", "resource == Path::", 1)
        }
        GrantText::Read(_)
        | GrantText::Write(_)
        | GrantText::Connect(_)
        | GrantText::ConnectUnix(_)
        | GrantText::Request { .. }
        | GrantText::UseSecret(_)
        | GrantText::CallTool(_)
        | GrantText::Exec { .. } => rule,
    }
}

/// The directory of every world that a path is in, or that it is itself.
fn of_every_world(sight: Sight, path: &Path) -> Option<PathBuf> {
    let dir = OF_EVERY_WORLD.iter().map(Path::new).find(|dir| path.starts_with(dir));
    // Right in the root there are only directories that the world was started with.
    let top = path.parent().filter(|parent| parent.parent().is_none());
    let is_absent = || sight == Sight::Host && !path.exists();
    dir.or(top.filter(|_| is_absent())).map(Path::to_path_buf)
}

#[cfg(test)]
#[path = "advice_tests.rs"]
mod tests;
