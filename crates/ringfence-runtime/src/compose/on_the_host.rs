//! The same world without mounts: everything at its own place on the host, and what is the world's
//! alone in a directory of its own, which variables and a home of links lead to.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use ringfence_sandbox::world::{Access, Bind, WorldSpec};

use super::identity::Payload;
use super::own_names::{Own, OwnNames};
use super::private::Private;
use super::{ComposeError, environment};
use crate::notice::Notice;

/// Variables that lists of paths are in, which no single place stands for.
const LISTS: [&str; 2] = ["PATH", "MANPATH"];
/// Names asked over TCP, resolv.conf(5): there are no datagrams.
const RESOLVER: (&str, &str) = ("RES_OPTIONS", "use-vc");

/// Where a world with mounts has its temporary directory.
pub(super) const TEMPORARY: &str = "/tmp";

/// Changes a world made for mounts into one without; returns the directories that are its own, where
/// no change is an act, and what programs in them are called.
pub(super) fn adapt(
    spec: &mut WorldSpec,
    (private, payload): (&Private, &Payload),
    home: &Path,
    notices: &mut Vec<Notice>,
) -> Result<Own, ComposeError> {
    notices.extend(check_owner(spec, payload)?);
    if let Some(hooks) = &mut spec.hooks {
        hooks.line = private.line();
    }
    let_through(private, payload)?;
    let temporary = private.dir().join("tmp");
    private.make_dir(&temporary)?;
    let binds = std::mem::take(&mut spec.binds);
    let (shown, ours): (Vec<Bind>, Vec<Bind>) =
        binds.into_iter().partition(|bind| bind.source == bind.target);
    if ours.iter().any(|bind| bind.target == home) {
        link_home(home, private, (&shown, &ours))?;
    }
    cover(spec, &shown, &ours);
    let names = own_names(spec, (&shown, &ours), (home, &temporary));
    let dirs = ours
        .iter()
        .filter(|bind| bind.access == Access::Write)
        .map(|bind| bind.source.clone())
        .chain([temporary.clone()])
        .collect();
    rename_in(&mut spec.env, &ours);
    for (name, value) in [("TMPDIR", temporary.as_os_str()), (RESOLVER.0, OsStr::new(RESOLVER.1))] {
        environment::set(&mut spec.env, name, value);
    }
    if spec.cwd == Path::new(TEMPORARY) && !shows(&shown, &spec.cwd) {
        spec.cwd.clone_from(&temporary);
    }
    spec.binds = shown;
    let at_source = |bind: &Bind| Bind { target: bind.source.clone(), ..bind.clone() };
    spec.binds.extend(ours.iter().map(at_source));
    let access = Access::Write;
    spec.binds.push(Bind { source: temporary.clone(), target: temporary, access });
    spec.grantable.clear();
    for file in spec.files.drain(..) {
        let text = format!("`{}` is not in this world: nothing is mounted", file.target.display());
        notices.push(Notice::new(text));
    }
    Ok(Own { dirs, names })
}

/// Whether a place of the host is shown as it is.
fn shows(shown: &[Bind], place: &Path) -> bool {
    shown.iter().any(|bind| place.starts_with(&bind.target))
}

/// What programs are called that the session has made for itself, in its home or to be thrown away.
fn own_names(
    spec: &WorldSpec,
    (shown, ours): (&[Bind], &[Bind]),
    (home, temporary): (&Path, &Path),
) -> OwnNames {
    let is_own = |bind: &&Bind| bind.access == Access::Write && bind.target.starts_with(home);
    let (own, others): (Vec<&Bind>, Vec<&Bind>) = ours.iter().partition(is_own);
    let dirs = own.into_iter().map(|bind| (bind.source.clone(), bind.target.clone()));
    let base = spec.base.binds.iter().chain(spec.base.links.iter().map(|(link, _)| link));
    let covered = spec.masks.iter().chain(&spec.hidden);
    let bound = shown.iter().chain(others).map(|bind| &bind.target);
    OwnNames::new(
        dirs.chain([(temporary.to_owned(), PathBuf::from(TEMPORARY))]).collect(),
        base.chain(covered).chain(bound).cloned().collect(),
    )
}

/// What a mount of ours would lie over stays what it is, and out of reach; where there is nothing,
/// nothing can be made, and a link stays the link it is.
fn cover(spec: &mut WorldSpec, shown: &[Bind], ours: &[Bind]) {
    let in_plan = |place: &Path| shown.iter().any(|bind| place.starts_with(&bind.target));
    for bind in ours.iter().filter(|bind| in_plan(&bind.target)) {
        match fs::symlink_metadata(&bind.target) {
            Ok(meta) if !meta.is_symlink() => spec.hidden.push(bind.target.clone()),
            Ok(_) | Err(_) => {
                let place = bind.target.clone();
                spec.binds.push(Bind {
                    source: place.clone(),
                    target: place,
                    access: Access::Read,
                });
            }
        }
    }
}

/// Makes the private home lead to what of the person's is granted, and to our copies.
fn link_home(
    home: &Path,
    private: &Private,
    (shown, ours): (&[Bind], &[Bind]),
) -> Result<(), ComposeError> {
    let mut all: Vec<(&Path, &Path)> = shown
        .iter()
        .chain(ours)
        .filter_map(|bind| Some((bind.target.strip_prefix(home).ok()?, bind.source.as_path())))
        .filter(|(below, _)| !below.as_os_str().is_empty())
        .collect();
    // What lies above first: beneath a link nothing is ours to make.
    all.sort();
    for (below, source) in all {
        let at = private.home().join(below);
        if leads_on(&private.home(), below) {
            continue;
        }
        let failed = |source| ComposeError::Copy { path: at.clone(), source };
        at.parent().map(|above| private.make_dir(above)).transpose()?;
        // A link of ours says where its copy would be mounted.
        let says = fs::read_link(source).ok().and_then(|says| at_source(&says, ours));
        match symlink(says.as_deref().unwrap_or(source), &at) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made.map_err(failed)?,
        }
    }
    Ok(())
}

/// Whether a link is on the way to a place in our home, or at it.
fn leads_on(home: &Path, below: &Path) -> bool {
    let places = below.ancestors().filter(|part| !part.as_os_str().is_empty());
    let is_link =
        |part: &Path| fs::symlink_metadata(home.join(part)).is_ok_and(|it| it.is_symlink());
    places.into_iter().any(is_link)
}

/// Variables that name something of ours name it where it is.
fn rename_in(env: &mut [(OsString, OsString)], ours: &[Bind]) {
    for (_, value) in env.iter_mut().filter(|(name, _)| !LISTS.iter().any(|list| name == list)) {
        if let Some(there) = at_source(Path::new(&*value), ours) {
            *value = there.into_os_string();
        }
    }
}

/// Where something of ours really is.
fn at_source(path: &Path, ours: &[Bind]) -> Option<PathBuf> {
    let above = ours.iter().filter(|bind| path.starts_with(&bind.target));
    let bind = above.max_by_key(|bind| bind.target.as_os_str().len())?;
    let below = path.strip_prefix(&bind.target).ok()?;
    Some(bind.source.components().chain(below.components()).collect())
}

/// Lets the payload pass to the directory of its own, if we are not who it is.
fn let_through(private: &Private, payload: &Payload) -> Result<(), ComposeError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| ComposeError::Copy { path, source }
    };
    let dir = private.dir();
    payload.own(dir)?;
    fs::set_permissions(dir, fs::Permissions::from_mode(0o700)).map_err(failed(dir))?;
    // By name only: the names are sessions, which nobody guesses.
    let Some(above) = dir.parent() else { return Ok(()) };
    fs::set_permissions(above, fs::Permissions::from_mode(0o711)).map_err(failed(above))
}

/// What of the plan the payload's user may not write although the policy lets the agent: owners are
/// not mapped. Where that is everything, the start is refused.
fn check_owner(spec: &WorldSpec, payload: &Payload) -> Result<Vec<Notice>, ComposeError> {
    if !rustix::process::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let writable =
        spec.binds.iter().filter(|bind| bind.access == Access::Write && bind.source == bind.target);
    let (open, closed): (Vec<&Bind>, Vec<&Bind>) =
        writable.partition(|bind| may_write(&bind.target, payload));
    if let (true, Some(first)) = (open.is_empty(), closed.first()) {
        return Err(ComposeError::NotItsOwn {
            path: first.target.clone(),
            user: payload.name.clone(),
        });
    }
    let said = closed.iter().map(|bind| {
        let path = bind.target.display();
        Notice::new(format!(
            "`{path}` is not writable for user `{}`: owners are not mapped in a tier without mounts",
            payload.name
        ))
    });
    Ok(said.collect())
}

fn may_write(path: &Path, payload: &Payload) -> bool {
    let Ok(meta) = fs::metadata(path) else { return true };
    let mode = meta.mode();
    if meta.uid() == payload.identity.uid {
        mode & 0o200 != 0
    } else if meta.gid() == payload.identity.gid {
        mode & 0o020 != 0
    } else {
        mode & 0o002 != 0
    }
}
