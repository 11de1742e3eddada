//! Places where acts are asked about: what the world shows there, and what is opened outside of it.

mod names;

use std::path::{Path, PathBuf};

use ringfence_core::{AbsolutePath, Access, Action, AskedPath, FilePlan};
use ringfence_sandbox::base::Base;
use ringfence_sandbox::world::{NotifyClasses, Switch, Tier};

use names::Named;

use super::layout::{Layout, Real, Use, WORLD_ONLY, real};
use super::mountpoints::Kind;
use super::private::Private;
use super::{Changes, ComposeError, RunRequest};
use crate::notice::Notice;

/// What is asked about in one world.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// The places.
    pub places: Vec<AskedPlace>,
    /// Places in those that the world's mounts show as ever.
    pub except: Vec<AbsolutePath>,
    /// Places that no mount closes, for there was nothing: what comes to be there is decided by its name.
    pub shut: Vec<AbsolutePath>,
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedPlace {
    /// The file or directory.
    pub path: AbsolutePath,
    /// Whether what is read there is decided; else the world's mounts show it.
    pub reads: Switch,
    /// Whether anything may be changed there, once that is decided.
    pub writes: Switch,
}

/// Finds out what can be asked about in this world, and leaves the rest out of the plan: there it is
/// denied, as if nobody could be asked.
pub(super) fn find(
    request: &RunRequest,
    base: &Base,
    plan: &mut FilePlan,
    notices: &mut Vec<Notice>,
) -> Result<Asked, ComposeError> {
    let mut asked = Asked::default();
    for place in std::mem::take(&mut plan.asked) {
        if place.acts.is_empty() {
            asked.except.push(place.path.clone());
            plan.asked.push(place);
            continue;
        }
        if let Some(why) = impossible(&place.path, base) {
            notices.push(Notice::new(format!("`{}` is not asked about: {why}", place.path)));
            continue;
        }
        check(request, &place)?;
        let hidden = plan.access(&place.path).0 == Access::Hidden;
        let changes = place.acts.iter().any(|act| *act != Action::FsRead);
        asked.places.push(AskedPlace {
            path: place.path.clone(),
            reads: if hidden { Switch::On } else { Switch::Off },
            writes: if changes { Switch::On } else { Switch::Off },
        });
        plan.asked.push(place);
    }
    if asked.places.is_empty() {
        (asked.except, plan.asked) = (Vec::new(), Vec::new());
    }
    // Only where every open is looked at anyway.
    if asked.places.iter().any(|place| place.reads == Switch::On) {
        let shut = plan.rules.iter().filter(|rule| rule.access == Access::Hidden);
        let absent = shut.filter(|rule| real(rule.path.as_path()) == Real::Absent);
        asked.shut = absent.map(|rule| rule.path.clone()).collect();
    }
    Ok(asked)
}

/// Why nothing at a path can be opened outside.
fn impossible(path: &AbsolutePath, base: &Base) -> Option<String> {
    let lies_in = |above: &Path| path.as_path().starts_with(above);
    if WORLD_ONLY.iter().any(|own| lies_in(Path::new(own))) {
        return Some("it is the world's own".to_owned());
    }
    if base.binds.iter().any(|bind| lies_in(bind)) {
        return Some("every world shows it, read-only".to_owned());
    }
    match real(path.as_path()) {
        Real::Is => None,
        Real::Through { link, .. } => {
            Some(format!("`{}` is a symbolic link; name where it leads", link.display()))
        }
        Real::Absent => {
            let parent = path.as_path().parent().is_some_and(|it| real(it) == Real::Is);
            (!parent).then(|| "the directory it would be in does not exist".to_owned())
        }
    }
}

/// Refuses what cannot be held.
fn check(request: &RunRequest, place: &AskedPath) -> Result<(), ComposeError> {
    let refused = |reason: &'static str, hint: &'static str| {
        Err(ComposeError::Asked { path: place.path.as_path().to_owned(), reason, hint })
    };
    if request.tier != Tier::Namespaces {
        return refused(
            "only the tier `namespaces` keeps it closed meanwhile",
            "run it in that tier (`--tier namespaces`, or `[world] tier` in your settings), or take the rule \
             that asks out",
        );
    }
    let changes = place.asks.iter().any(|act| *act != Action::FsRead);
    if request.changes == Changes::Review && changes {
        return refused(
            "what is changed there would reach the host at once, not the review",
            "run it without `--review`, or take the rule that asks out",
        );
    }
    Ok(())
}

impl Asked {
    /// What is notified besides: what is asked about a file and is no open, and where reading is asked
    /// about, every open.
    pub(super) fn notified(&self, classes: NotifyClasses) -> NotifyClasses {
        let on = |is_on| if is_on { Switch::On } else { Switch::Off };
        let reads = self.places.iter().any(|place| place.reads == Switch::On);
        let read = if reads { Switch::On } else { classes.read };
        NotifyClasses { read, ask: on(!self.places.is_empty()), ..classes }
    }

    /// Shows what exists and may not be read without a question: directories with the names in them, where
    /// they are not `covered` as a whole, and files closed.
    pub(super) fn show(
        &self,
        covered: &[(PathBuf, Kind)],
        (layout, private): (&mut Layout, &Private),
    ) -> Result<(), ComposeError> {
        for place in self.places.iter().filter(|place| place.reads == Switch::On) {
            let path = place.path.as_path();
            let is_covered = covered.iter().any(|(above, _)| path.starts_with(above));
            if is_covered || real(path) != Real::Is {
                continue;
            }
            if !path.is_dir() {
                if !layout.hides(path) || layout.hides_just(path) {
                    close(path, (layout, private))?;
                }
                continue;
            }
            let named = |path: &Path| {
                if !self.except.iter().any(|it| it.as_path() == path) {
                    Named::WithAllBeneath
                } else if layout.shows(path) {
                    Named::Alone
                } else {
                    Named::Not
                }
            };
            let (names, left) = names::of(path, private, &named)?;
            if left == 0 {
                let text = format!(
                    "`{}` has more than {} names, of which those are shown; what lies there is asked \
                     about all the same",
                    path.display(),
                    names::NAMES_MAX
                );
                layout.notices.push(Notice::new(text));
            }
            layout.bind_private(path, &names, Use::Read);
        }
        Ok(())
    }
}

/// Puts a closed file that looks like it over a file.
fn close(path: &Path, (layout, private): (&mut Layout, &Private)) -> Result<(), ComposeError> {
    let name = path.file_name().unwrap_or_default();
    let closed = private.opened()?.join(name);
    private.close_file(&closed, path)?;
    if let Some(root) = layout.writable_root_of(path) {
        layout.anchor(&root, path);
    }
    layout.bind_private(path, &closed, Use::Read);
    Ok(())
}
