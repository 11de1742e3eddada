//! `policy edit`: the person's editor on a private copy, checked before it takes effect.

use std::ffi::OsString;
use std::io::{self, IsTerminal as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use ringfence_core::SetName;
use ringfence_policy::{Policy, Source};
use ringfence_runtime::environment::Environment;
use ringfence_runtime::state::StateDirs;
use ringfence_runtime::trust::{Project, Trust, TrustError};
use ringfence_runtime::whole_file::{self, FileText, Links};
use ringfence_runtime::writing::{Replaced, Writing};

use super::{context, in_force, reload, trust};
use crate::cli::PolicyEditArgs;
use crate::exit::{Done, Failure, Message};
use crate::prompt::{self, Consent};
use crate::screen::Screen;

/// Editor where neither `VISUAL` nor `EDITOR` names one (POSIX `more`, `crontab` do the same).
const EDITOR_DEFAULT: &str = "vi";

/// What is edited.
pub(super) struct Target {
    pub(super) set: SetName,
    pub(super) path: PathBuf,
    pub(super) shown: String,
    pub(super) text: String,
    /// What its file says; `None` where there is none yet.
    found: Option<String>,
    /// The project that it is the policy of.
    project: Option<Project>,
}

pub(crate) fn edit(args: &PolicyEditArgs, screen: &Screen) -> Result<Done, Failure> {
    let environment = context::environment();
    prompt::outside_only(&environment, "the policy cannot be edited")?;
    let dirs = context::dirs()?;
    dirs.create()?;
    let target = if args.user {
        user_target(&dirs)?
    } else {
        project_target(&trust::project(&dirs, None)?, dirs.home())?
    };
    let Some(text) = edited(&dirs, &target, &target.text, screen)? else {
        screen.note("nothing changed");
        return Ok(Done::Yes);
    };
    match save(&dirs, &target, text.clone(), screen)? {
        Replaced::Yes => Ok(Done::Yes),
        Replaced::ChangedMeanwhile => {
            let again = if args.user {
                "`ringfence policy edit --user`"
            } else {
                "`ringfence policy edit`"
            };
            Err(Message::new(format!(
                "`{}` was changed meanwhile: nothing was written",
                target.shown
            ))
            .hint(format!(
                "to change it as it is now, run {again}; your text is in {}",
                kept(&dirs, &text)?.display()
            ))
            .no())
        }
    }
}

/// Where a text is kept that somebody has written, and that could not be saved.
pub(super) fn kept(dirs: &StateDirs, text: &str) -> Result<PathBuf, Failure> {
    Ok(Copy::make(dirs, text)?.file)
}

/// The text that a person makes of `first` in an editor, once it is right; `None` where it is the target's own.
pub(super) fn edited(
    dirs: &StateDirs,
    target: &Target,
    first: &str,
    screen: &Screen,
) -> Result<Option<String>, Failure> {
    let copy = Copy::make(dirs, first)?;
    let text = edit_until_right(target, &copy, &context::environment(), screen)?;
    copy.remove();
    Ok(text)
}

pub(super) fn user_target(dirs: &StateDirs) -> Result<Target, Failure> {
    let path = dirs.user_policy();
    let found = whole_file::read_text(&path, Links::Follow)?.map(|file| file.text);
    let text = found.clone().unwrap_or_else(|| USER_TEXT.to_owned());
    let shown = path.display().to_string();
    Ok(Target { set: SetName::User, path, shown, text, found, project: None })
}

/// What a new policy of the user's begins with.
const USER_TEXT: &str = "// What holds in every project, beside each project's own policy.\n\
    // A forbid here cannot be undone by a project.\n";

pub(super) fn project_target(project: &Project, home: &Path) -> Result<Target, Failure> {
    let Some(policy) = &project.policy else {
        let (dir, home) = (project.dir.clone(), home.to_owned());
        return Err(TrustError::Nothing { dir, home }.into());
    };
    Ok(Target {
        set: SetName::Project,
        path: policy.path.clone(),
        shown: in_force::PROJECT_POLICY.to_owned(),
        text: policy.text.clone(),
        found: Some(policy.text.clone()),
        project: Some(project.clone()),
    })
}

/// The new text once it is right; `None` when nothing changed.
fn edit_until_right(
    target: &Target,
    copy: &Copy,
    environment: &Environment,
    screen: &Screen,
) -> Result<Option<String>, Failure> {
    let settings = in_force::settings_here(screen)?;
    let project = Project::find(&context::current_dir()?, context::dirs()?.home())?;
    let options = in_force::options_of(&project, &settings, screen)?;
    loop {
        open_editor(environment, &copy.file)?;
        let text = whole_file::read_text(&copy.file, Links::Refuse)?.map(|file| file.text);
        let text = text
            .ok_or_else(|| Message::new("the editor left no file: nothing changed").could_not())?;
        if text == target.text {
            return Ok(None);
        }
        let source = Source {
            set: target.set,
            file: target.shown.clone(),
            text: text.clone(),
            approves: Vec::new(),
        };
        let Err(errors) = Policy::load(vec![source], &options) else {
            return Ok(Some(text));
        };
        in_force::say(&errors, screen);
        let kept = copy.file.display();
        let flag = format!("the policy in force is unchanged; your text is in {kept}");
        if prompt::consent("edit again?", &flag)? == Consent::Refused {
            return Err(Message::new("nothing changed: the policy was refused").hint(flag).no());
        }
    }
}

/// Runs the editor as a shell would: its variable may hold arguments.
fn open_editor(environment: &Environment, file: &Path) -> Result<(), Failure> {
    let named = |name| environment.get(name).map(OsString::from);
    let editor = named("VISUAL").or_else(|| named("EDITOR"));
    // An editor that was named may work by itself; the usual one would wait for ever.
    if editor.is_none() && !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Message::new("there is no terminal to edit on")
            .hint("change the file itself, then run `ringfence trust`; or set EDITOR to a program that edits by itself")
            .could_not());
    }
    let mut script = editor.unwrap_or_else(|| EDITOR_DEFAULT.into());
    let shown = script.to_string_lossy().into_owned();
    script.push(" \"$1\"");
    let status = Command::new("/bin/sh").arg("-c").arg(&script).arg("sh").arg(file).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Message::new(format!("editor `{shown}` failed: {status}"))
            .hint("set EDITOR to an editor that is installed")
            .could_not()),
        Err(error) => Err(Message::new(format!("cannot start the editor: {error}")).could_not()),
    }
}

/// Writes the text if the file is as it was when the target was read, and trusts exactly those bytes where the project is
/// trusted as it was then.
pub(super) fn save(
    dirs: &StateDirs,
    target: &Target,
    text: String,
    screen: &Screen,
) -> Result<Replaced, Failure> {
    let writing = Writing::begin(dirs.state())?;
    let found = target.found.as_deref();
    if let Some(project) = &target.project {
        let was = project.trust(dirs)?;
        let of = (target.path.as_path(), Links::Refuse);
        if writing.replace(of, found, (&text, 0o644))? == Replaced::ChangedMeanwhile {
            return Ok(Replaced::ChangedMeanwhile);
        }
        // Not what is on the disk by now, but what the person saved.
        let edited =
            Project { policy: Some(FileText::new(target.path.clone(), text)), ..project.clone() };
        if was == Trust::Trusted {
            edited.give_trust(dirs, context::now_ms())?;
            screen.note(&format!("saved and trusted: {}", target.shown));
        } else {
            screen.note(&format!("saved: {}", target.shown));
            screen.hint(match was {
                Trust::Changed { .. } => {
                    "the project was changed since it was trusted: to see how, and to trust it, run `ringfence trust`"
                }
                Trust::Trusted | Trust::Untrusted => {
                    "the project was not trusted before: to trust it, run `ringfence trust`"
                }
            });
        }
    } else {
        whole_file::create_private_dir(dirs.config())?;
        let of = (target.path.as_path(), Links::Follow);
        if writing.replace(of, found, (&text, 0o600))? == Replaced::ChangedMeanwhile {
            return Ok(Replaced::ChangedMeanwhile);
        }
        screen.note(&format!("saved: {}", target.shown));
    }
    drop(writing);
    if !reload::running(dirs)?.is_empty() {
        screen.hint("to let running sessions load it, run `ringfence policy reload`");
    }
    Ok(Replaced::Yes)
}

/// A private copy, which no agent can change while the person edits it.
struct Copy {
    dir: PathBuf,
    file: PathBuf,
}

impl Copy {
    fn make(dirs: &StateDirs, text: &str) -> Result<Copy, Failure> {
        let name = format!("edit-{}-{}", std::process::id(), context::now_ms());
        let dir = dirs.state().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&dir).map_err(|error| {
            Message::new(format!("cannot create `{}`: {error}", dir.display())).could_not()
        })?;
        let file = dir.join("policy.cedar");
        whole_file::replace(&file, text.as_bytes(), 0o600)?;
        Ok(Copy { dir, file })
    }

    fn remove(&self) {
        // What is left is private, and holds nothing that is not in the policy.
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
