//! After the run: what is taken back from copies, and what an agent left that the host would run.

mod born;
mod held;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use ringfence_core::{FilePlan, SessionId, TakenBack};
use serde::Serialize;

use crate::compose::List;
use crate::gitconfig::{self, MergedBack};
use crate::home::merge_claude;
use crate::notice::Notice;
use crate::protected::{self, Kind, Place, Stamp, Surveys};
use crate::real_dir::RealDir;
use crate::review::{self, Kept};
use crate::state::StateDirs;
use crate::whole_file::{self, FileText, Links};
use crate::wording::printable;

use held::Reach;
pub(crate) use held::{Held, OpenedTrees};

/// A copy of a repository's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GitCopy {
    pub(crate) host: PathBuf,
    pub(crate) copy: PathBuf,
    pub(crate) base: String,
}

/// A copy of `~/.claude.json`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaudeCopy {
    pub(crate) host: PathBuf,
    pub(crate) copy: PathBuf,
    pub(crate) base: String,
}

/// What is to be done on the host once a world has ended; without it nothing is taken back.
#[derive(Debug)]
#[must_use]
pub struct After {
    session: SessionId,
    roots: Vec<PathBuf>,
    before: BTreeMap<PathBuf, Stamp>,
    absent: Vec<Place>,
    opened: OpenedTrees,
    held: Held,
    git: Vec<GitCopy>,
    claude: Vec<ClaudeCopy>,
    placeholders: Option<List>,
    review: Option<(StateDirs, Kept)>,
}

/// How a run left the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Finished {
    /// Files that the host would run by itself.
    pub quarantined: Vec<Quarantined>,
    /// What of the copies of git configurations was taken over, and what not.
    pub taken_back: Vec<TakenBack>,
    /// What the person should know.
    pub notices: Vec<Notice>,
    /// How many changes wait for review, in a session under review.
    pub review: Option<usize>,
}

/// A new or changed file that the host would run by itself: git, the shell, an editor or an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Quarantined {
    /// Where it was put.
    pub path: PathBuf,
    /// Why it is here.
    pub why: String,
    /// Where it is now, until the person accepts it by moving it back; `None` where it could not
    /// be moved, or existed before and was changed.
    pub kept_as: Option<PathBuf>,
}

impl Quarantined {
    /// The command that accepts the file.
    pub fn accept(&self) -> Option<String> {
        let kept = self.kept_as.as_ref()?;
        Some(format!("mv {} {}", word(kept), word(&self.path)))
    }
}

impl After {
    /// Notes what there is before the run.
    pub(crate) fn new(session: &SessionId, roots: &[PathBuf], surveys: &mut Surveys) -> After {
        let runnable = roots.iter().map(|root| surveys.of(root).runnable.clone());
        After {
            session: session.clone(),
            roots: roots.to_vec(),
            before: runnable.flatten().collect(),
            absent: Vec::new(),
            opened: OpenedTrees::default(),
            held: Held::default(),
            git: Vec::new(),
            claude: Vec::new(),
            placeholders: None,
            review: None,
        }
    }

    /// The session's changes are kept aside: nothing of them is on the host.
    pub(crate) fn keep(&mut self, dirs: &StateDirs, kept: Kept) {
        self.opened.keep_aside();
        self.review = Some((dirs.clone(), kept));
    }

    /// Places at which nothing was before the run, and which the host would run or read.
    pub(crate) fn look_for(&mut self, absent: Vec<Place>) {
        self.absent = absent;
    }

    /// What the world is kept from: by mounts, and single files by the gate where `plan` holds them.
    pub(crate) fn hold(&mut self, held: Held, plan: &FilePlan, files: Vec<PathBuf>) {
        let absent = self.absent.iter().filter(|place| place.kind == Kind::File);
        let absent = absent.map(|place| place.path.clone()).collect();
        self.opened.hold_by_gate(absent, plan, files);
        self.held = held;
    }

    /// The list of trees that become writable during the run.
    pub(crate) fn opened(&self) -> OpenedTrees {
        self.opened.clone()
    }

    pub(crate) fn take_away(&mut self, placeholders: List) {
        self.placeholders = Some(placeholders);
    }

    pub(crate) fn take_back_git(&mut self, copy: GitCopy) {
        self.git.push(copy);
    }

    pub(crate) fn take_back_claude(&mut self, copy: ClaudeCopy) {
        self.claude.push(copy);
    }

    /// Looks at what the run left, takes harmless changes of copies back, and moves aside what the
    /// host would run. No process of the world may be alive any more.
    pub fn finish(mut self) -> Finished {
        let mut finished = Finished::default();
        let mut persons = Vec::new();
        // First, so that nothing of ours is taken for something the run left.
        drop(self.placeholders.take());
        if let Some((dirs, kept)) = self.review.take() {
            return self.finish_aside(&dirs, kept);
        }
        for root in self.roots.iter().chain(&self.opened.trees()) {
            let seen = protected::survey_opening(root);
            finished.notices.extend(opened(&seen.opened));
            if seen.cut_short {
                let text = format!(
                    "`{}` is large, or has an index or a directory that cannot be read: not all of \
                     it was looked at for files that the host would run",
                    root.display()
                );
                finished.notices.push(Notice::new(text));
            }
            // All are judged before one is moved: without it, its repository may be no longer one.
            let changed =
                seen.runnable.iter().filter(|(path, now)| self.before.get(*path) != Some(now));
            let judged: Vec<(&PathBuf, String)> =
                changed.filter_map(|(path, _)| Some((path, born::why(path)?))).collect();
            for (path, why) in judged {
                match self.reach(path) {
                    Reach::Nothing => {}
                    Reach::Gate => persons.push(path.clone()),
                    Reach::World => finished.quarantined.extend(self.hold_back(path, why)),
                }
            }
        }
        for Place { path, why, .. } in &self.absent {
            if fs::symlink_metadata(path).is_ok() {
                match self.reach(path) {
                    Reach::Nothing => {}
                    Reach::Gate => persons.push(path.clone()),
                    Reach::World => {
                        finished.quarantined.extend(self.put_aside(path, (*why).to_owned()));
                    }
                }
            }
        }
        finished.notices.extend(changed_outside(&persons));
        let put = |host: &Path, text: &str| replace_in_place(host, text);
        let taken_back: Vec<_> = self.git.iter().filter_map(|it| it.take_back(&put)).collect();
        finished.notices.extend(taken_back.iter().flat_map(taken_over));
        finished.taken_back = taken_back;
        for copy in &self.claude {
            finished.notices.extend(copy.take_back());
        }
        finished
    }

    /// The same where what the run left is under review: what would be taken back is one change
    /// more, and the person looks at what the host would run before it is there.
    fn finish_aside(&self, dirs: &StateDirs, kept: Kept) -> Finished {
        let mut finished = Finished::default();
        let kept = RefCell::new(kept);
        let put =
            |host: &Path, text: &str| review::keep_text(dirs, &mut kept.borrow_mut(), host, text);
        let taken_back: Vec<_> = self.git.iter().filter_map(|it| it.take_back(&put)).collect();
        finished.notices.extend(taken_back.iter().flat_map(taken_over));
        finished.taken_back = taken_back;
        if self.claude.iter().any(ClaudeCopy::has_changed) {
            let text = "the agent's own state was not taken back from a session under review";
            finished.notices.push(Notice::new(text));
        }
        match review::settle(dirs, &mut kept.borrow_mut()) {
            Ok(waiting) => finished.review = Some(waiting),
            Err(why) => {
                let text = format!("what the session changed could not be looked at: {why}");
                finished.notices.push(Notice::new(text));
            }
        }
        finished
    }

    /// Who could have changed a file. It is the world if it had another name before: that is one
    /// by which it could be written.
    fn reach(&self, path: &Path) -> Reach {
        if self.before.get(path).is_some_and(Stamp::has_other_names) {
            return Reach::World;
        }
        self.held.reach(path, &self.opened)
    }

    fn hold_back(&self, path: &Path, why: String) -> Option<Quarantined> {
        if self.before.contains_key(path) {
            return Some(Quarantined { path: path.to_owned(), why, kept_as: None });
        }
        self.put_aside(path, why)
    }

    fn put_aside(&self, path: &Path, why: String) -> Option<Quarantined> {
        let mut name = path.file_name()?.to_owned();
        name.push(format!(".quarantined-{}", self.session));
        let kept_as = self.move_aside(path, name).ok().map(|name| path.with_file_name(name));
        Some(Quarantined { path: path.to_owned(), why, kept_as })
    }

    /// Gives a file this name, or one that nobody could foresee: the session knows its own, and may
    /// have made something there, or have chosen a name that leaves no room for more.
    fn move_aside(&self, path: &Path, name: OsString) -> io::Result<OsString> {
        let (dir, was) = RealDir::of(path)?;
        dir.allow_changes()?;
        if dir.rename(was, &name).is_ok() {
            return Ok(name);
        }
        let other = format!("quarantined-{}-{}", self.session, whole_file::random_hex(8)?);
        let other = OsString::from(other);
        dir.rename(was, &other)?;
        Ok(other)
    }
}

impl GitCopy {
    /// Takes back what may come back; nothing to say where nothing was changed.
    fn take_back(&self, put: &Put<'_>) -> Option<TakenBack> {
        let file = self.host.to_string_lossy().into_owned();
        let (taken, left, error) = match self.merge(put) {
            Ok(MergedBack { taken, refused, .. }) => (taken, refused, None),
            Err(why) => (Vec::new(), Vec::new(), Some(why)),
        };
        let nothing = taken.is_empty() && left.is_empty() && error.is_none();
        (!nothing).then_some(TakenBack { file, taken, left, error })
    }

    /// Merges the copy into the host's file; nothing where one of them is gone.
    fn merge(&self, put: &Put<'_>) -> Result<MergedBack, String> {
        let why = |error: &dyn std::fmt::Display| error.to_string();
        let copy = whole_file::read_text(&self.copy, Links::Refuse).map_err(|it| why(&it))?;
        let Some(copy) = copy else { return Ok(MergedBack::default()) };
        let opened = RealDir::of(&self.host).and_then(|(dir, name)| dir.read_text(name));
        let host = match opened {
            Ok(opened) => opened,
            // The repository is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(MergedBack::default());
            }
            Err(error) => return Err(why(&error)),
        };
        let merged = gitconfig::merge_back(&self.base, &copy.text, &host).map_err(|it| why(&it))?;
        if let Some(text) = &merged.text {
            put(&self.host, text)?;
        }
        Ok(merged)
    }
}

/// Puts a text in the place of a file of the host's.
type Put<'a> = dyn Fn(&Path, &str) -> Result<(), String> + 'a;

fn replace_in_place(host: &Path, text: &str) -> Result<(), String> {
    let replaced = RealDir::of(host).and_then(|(dir, name)| dir.replace(name, text));
    replaced.map_err(|error| error.to_string())
}

impl ClaudeCopy {
    fn has_changed(&self) -> bool {
        let copy = whole_file::read_text(&self.copy, Links::Refuse).ok().flatten();
        copy.is_some_and(|copy| copy.text != self.base)
    }

    fn take_back(&self) -> Option<Notice> {
        let copy = whole_file::read_text(&self.copy, Links::Refuse).ok().flatten()?;
        if copy.text == self.base {
            return None;
        }
        let host = whole_file::read_text(&self.host, Links::Follow).ok().flatten();
        let host = host.unwrap_or_else(|| FileText::new(self.host.clone(), "{}".to_owned()));
        let text = merge_claude(&self.base, &copy.text, &host.text)?;
        let written = if self.host.exists() {
            replace_keeping(&host, &text)
        } else {
            whole_file::replace(&self.host, text.as_bytes(), 0o600)
        };
        written.err().map(|error| Notice::new(format!("agent state not taken back: {error}")))
    }
}

/// Says what was taken over into a git configuration, and what stays behind.
fn taken_over(back: &TakenBack) -> Vec<Notice> {
    let TakenBack { file, taken, left, error } = back;
    let config = printable(file);
    let listed = |names: &[String]| printable(&names.join(", "));
    let why = |why: &String| Notice::new(format!("nothing taken over into `{config}`: {why}"));
    let over = (!taken.is_empty())
        .then(|| Notice::new(format!("taken over into `{config}`: {}", listed(taken))));
    let behind = (!left.is_empty()).then(|| {
        let names = listed(left);
        Notice::new(format!("left in the world's copy of `{config}`, not in yours: {names}"))
            .hint("set them yourself with `git config` if they are right")
    });
    error.as_ref().map(why).into_iter().chain(over).chain(behind).collect()
}

/// Replaces a person's file, which keeps its mode and owner; a link to it stays a link.
fn replace_keeping(file: &FileText, text: &str) -> Result<(), whole_file::FileError> {
    let real = fs::canonicalize(&file.path).unwrap_or_else(|_| file.path.clone());
    let metadata = fs::metadata(&real).ok();
    let mode = metadata.as_ref().map_or(0o600, |metadata| metadata.permissions().mode() & 0o777);
    whole_file::replace(&real, text.as_bytes(), mode)?;
    if let Some(metadata) = metadata {
        // Only root can give a file away, and only then can the owner differ.
        let _ = std::os::unix::fs::chown(&real, Some(metadata.uid()), Some(metadata.gid()));
    }
    Ok(())
}

/// Says which directories are open to their owner now.
fn opened(dirs: &[PathBuf]) -> Option<Notice> {
    let names: Vec<String> = dirs.iter().map(|it| format!("`{}`", it.display())).collect();
    (!names.is_empty()).then(|| {
        let names = names.join(", ");
        Notice::new(format!("could not be looked into, and open to their owner now: {names}"))
    })
}

/// Says what changed at places where only the gate stood in the way: a person has done that, but a
/// thread that swaps a path can write to what a person makes.
fn changed_outside(paths: &[PathBuf]) -> Option<Notice> {
    let mut names: Vec<String> = paths.iter().map(|it| format!("`{}`", it.display())).collect();
    names.sort();
    names.dedup();
    (!names.is_empty()).then(|| {
        let text = format!(
            "changed while the session ran, which wrote nothing there by that name: {}",
            names.join(", ")
        );
        Notice::new(text).hint("look at it if that was not you: the host runs it")
    })
}

/// A path as one word for a shell.
fn word(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-+".contains(letter);
    if text.chars().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests;
