//! Well-known places of secrets: shown as places nobody may look into, so that programs say
//! *permission denied* and not that there are none.

mod named;
mod opened;

use std::path::{Path, PathBuf};

use super::layout::Layout;
use super::mountpoints::Kind;
use super::private::Private;
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

/// What is covered in a world: its secret places, but for those where a stand-in is found.
pub(super) fn of_world(
    (request, cwd): (&RunRequest, &Path),
    (dirs, permitted): (&StateDirs, &Permitted<'_>),
    (layout, private): (&mut Layout, &Private),
) -> Result<Vec<(PathBuf, Kind)>, ComposeError> {
    let home = dirs.home();
    let all = masks((home, cwd, &request.environment), permitted, &mut layout.notices);
    let mut covers = stand_ins::not_covered(all, request);
    opened::open(&mut covers, permitted, (layout, private))?;
    Ok(covers)
}

/// The secret places that are covered, the well-known ones and those that the environment names: all but
/// those that the policy itself opens.
pub(super) fn masks(
    (home, cwd, environment): (&Path, &Path, &Environment),
    permitted: &Permitted<'_>,
    notices: &mut Vec<Notice>,
) -> Vec<(PathBuf, Kind)> {
    let mut masks = Vec::new();
    let known = SECRET_PLACES.iter().map(|(name, kind)| (home.join(name), *kind));
    for (place, kind) in known.chain(named::places(home, cwd, environment)) {
        let kind = if place.is_dir() { Kind::Dir } else { kind };
        if permitted.names((&place, kind)) {
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
