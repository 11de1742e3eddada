//! Well-known places of secrets: shown as places nobody may look into, so that programs say
//! *permission denied* and not that there are none.

mod named;
mod opened;
mod other_names;

use std::fs;
use std::path::{Path, PathBuf};

use super::layout::{GRANTABLE, Layout, Use};
use super::mountpoints::Kind;
use super::private::Private;
use super::way::{Straight, Way, straight};
use super::{ComposeError, RunRequest, stand_ins};
use crate::environment::Environment;
use crate::notice::Notice;
use crate::state::StateDirs;
pub(super) use opened::Permitted;

/// Secret places, relative to the home directory, and what stands there where they are absent.
pub const SECRET_PLACES: &[(&str, Kind)] = &[
    (".aws", Kind::Dir),
    (".azure", Kind::Dir),
    (".bao-token", Kind::File),
    (".bash_history", Kind::File),
    (".cargo/credentials.toml", Kind::File),
    (".config/chromium", Kind::Dir),
    (".config/doctl", Kind::Dir),
    (".config/gcloud", Kind::Dir),
    (".config/gh", Kind::Dir),
    (".config/google-chrome", Kind::Dir),
    (".config/hub", Kind::Dir),
    (".config/op", Kind::Dir),
    (".config/BraveSoftware", Kind::Dir),
    (".docker/config.json", Kind::File),
    (".git-credentials", Kind::File),
    (".gnupg", Kind::Dir),
    (".kube", Kind::Dir),
    (".local/share/keyrings", Kind::Dir),
    (".local/share/kwalletd", Kind::Dir),
    (".mozilla", Kind::Dir),
    (".netrc", Kind::File),
    (".password-store", Kind::Dir),
    (".pgpass", Kind::File),
    (".pki", Kind::Dir),
    (".pypirc", Kind::File),
    (".ssh", Kind::Dir),
    (".terraform.d/credentials.tfrc.json", Kind::File),
    (".thunderbird", Kind::Dir),
    (".vault-token", Kind::File),
    (".zsh_history", Kind::File),
];

/// Every place of secrets that this host has or could have, and what it is.
pub(crate) fn known(home: &Path, cwd: &Path, environment: &Environment) -> Vec<(PathBuf, Kind)> {
    let well_known = SECRET_PLACES.iter().map(|(name, kind)| (home.join(name), *kind));
    well_known.chain(named::places(home, cwd, environment)).collect()
}

/// Most entries of a covered directory among which links are looked for.
const ENTRIES_MAX: usize = 4_096;

/// What is covered in a world: its secret places, but for those where a stand-in is found.
pub(super) fn of_world(
    (request, cwd): (&RunRequest, &Path),
    (dirs, permitted): (&StateDirs, &Permitted<'_>),
    (layout, private): (&mut Layout, &Private),
) -> Result<Vec<(PathBuf, Kind)>, ComposeError> {
    let home = dirs.home();
    let all = masks((home, cwd, &request.environment), permitted, &mut layout.notices);
    let all = stand_ins::not_covered(all, request);
    let mut covers = follow_links(all, (home, cwd), (layout, private))?;
    opened::open(&mut covers, permitted, (layout, private))?;
    other_names::cover(&mut covers, permitted, layout);
    Ok(covers)
}

/// Where nothing can be mounted because links lead on, what they lead to is covered: everybody who follows
/// them comes to the cover, and so does who knows the other name. The links stay, and are not the agent's.
pub(super) fn follow_links(
    masks: Vec<(PathBuf, Kind)>,
    around: (&Path, &Path),
    (layout, private): (&mut Layout, &Private),
) -> Result<Vec<(PathBuf, Kind)>, ComposeError> {
    let mut covers: Vec<(PathBuf, Kind)> = Vec::new();
    for (place, kind) in masks {
        let way = Way::of(&place);
        let is_there = way.links.first().is_some_and(|(link, _)| layout.has_link(link));
        if is_there {
            hold_links(&way, layout, private)?;
        } else {
            covers.push((place.clone(), kind));
        }
        if way.end != place {
            cover_end(&place, (way.end, kind), around, (layout, &mut covers));
        }
        let shown: Vec<PathBuf> =
            linked_in(&place).into_iter().filter(|file| layout.shows(file)).collect();
        for file in shown {
            cover_end(&place, (file, Kind::File), around, (layout, &mut covers));
        }
    }
    covers.sort_by(|(one, _), (other, _)| one.cmp(other));
    // Beneath a cover is nothing to be covered.
    covers.dedup_by(|(later, _), (above, _)| later.starts_with(above));
    Ok(covers)
}

/// Puts links of ours over those on the way to a secret place, where the world has them: nobody takes them away, and
/// what the person puts there in their place does not come in.
fn hold_links(way: &Way, layout: &mut Layout, private: &Private) -> Result<(), ComposeError> {
    for (link, says) in &way.links {
        if layout.shows(link) {
            if let Some(root) = layout.writable_root_of(link) {
                layout.anchor(&root, link);
            }
            layout.bind_private(link, &private.link_to(says)?, Use::Read);
        }
    }
    Ok(())
}

/// Covers where links of a secret place lead, unless that is no place for secrets.
fn cover_end(
    place: &Path,
    (end, kind): (PathBuf, Kind),
    (home, cwd): (&Path, &Path),
    (layout, covers): (&mut Layout, &mut Vec<(PathBuf, Kind)>),
) {
    let leads = format!("`{}` leads to `{}`", place.display(), end.display());
    if home.starts_with(&end) || cwd.starts_with(&end) {
        let text = format!("{leads}, which is not covered: the agent works there");
        layout.notices.push(Notice::new(text).hint("keep secrets out of it"));
        return;
    }
    let grantable = GRANTABLE.iter().map(Path::new).chain([home]);
    let can_be_shown = grantable.into_iter().any(|dir| end != dir && end.starts_with(dir));
    if named::is_no_file(&end) || !(can_be_shown || layout.root_above(&end).is_some()) {
        return;
    }
    if layout.shows(&end) && end.exists() {
        let text = format!("{leads}, which stays covered: it holds secrets");
        layout.notices.push(Notice::new(text).hint("to open it, name it in a rule of its own"));
    }
    covers.push((end, kind));
}

/// The files that links directly in a covered directory lead to.
fn linked_in(place: &Path) -> Vec<PathBuf> {
    if straight(place) == Some(Straight::Absent) {
        return Vec::new();
    }
    let Ok(place) = fs::canonicalize(place) else { return Vec::new() };
    let entries = fs::read_dir(&place).into_iter().flatten().take(ENTRIES_MAX).flatten();
    let links = entries.filter(|entry| entry.file_type().is_ok_and(|it| it.is_symlink()));
    let ends = links.filter_map(|link| fs::canonicalize(link.path()).ok());
    ends.filter(|end| end.is_file() && !end.starts_with(&place)).collect()
}

/// The secret places that are covered, the well-known ones and those that the environment names: all but
/// those that the policy itself opens.
pub(super) fn masks(
    (home, cwd, environment): (&Path, &Path, &Environment),
    permitted: &Permitted<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<(PathBuf, Kind)> {
    let mut masks = Vec::new();
    for (place, kind) in known(home, cwd, environment) {
        let kind = if place.is_dir() { Kind::Dir } else { kind };
        if permitted.names((&place, kind)) || permitted.names((&Way::of(&place).end, kind)) {
            continue;
        }
        let has_parts = permitted.parts_of(&place).next().is_some();
        if permitted.shows(&place) && !has_parts && place.exists() {
            let text = format!("`{}` stays covered: it holds secrets", place.display());
            notices.push(Notice::new(text).hint("to open it, name it in a rule of its own"));
        }
        masks.push((place, kind));
    }
    masks
}
