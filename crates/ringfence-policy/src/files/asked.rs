//! Where approvals can permit more of files than holds without them.

use std::collections::BTreeSet;

use ringfence_core::{AbsolutePath, Action, AskedPath, FilePlan};

use super::{Compiled, FILE_ACTIONS};
use crate::formula::{Moment, Spot, Truth};
use crate::rule::{Approvable, Rule};

/// What approvals change at a spot.
struct Asked<'a> {
    acts: Vec<Action>,
    asks: Vec<Action>,
    because: Option<&'a Rule>,
}

/// Adds each place where something is asked about, and each beneath it where nothing is.
pub(super) fn add(plan: &mut FilePlan, sets: &[Compiled<'_>], paths: &BTreeSet<AbsolutePath>) {
    for path in paths {
        let (at, beneath) = (asked(sets, Spot::At(path)), asked(sets, Spot::Beneath(path)));
        // The gate decides each act: one place too many costs a question less than it seems.
        let found = if beneath.asks.is_empty() { at } else { beneath };
        let inherited = plan.asked(path).map(|asked| (&asked.acts, &asked.asks));
        let nothing = found.asks.is_empty();
        if nothing && inherited.is_none() || inherited == Some((&found.acts, &found.asks)) {
            continue;
        }
        if path.parent().is_none() {
            plan.left_out.push(
                "files in general are not asked about: name the file or the directory".to_owned(),
            );
            continue;
        }
        plan.asked.push(AskedPath {
            path: path.clone(),
            acts: if nothing { Vec::new() } else { found.acts },
            asks: found.asks,
            because: found.because.map(|rule| rule.place.clone()),
        });
    }
}

/// What all sets together would let be approved.
fn asked<'a>(sets: &[Compiled<'a>], spot: Spot<'_>) -> Asked<'a> {
    let all =
        |action: Action, moment| sets.iter().all(|set| set.permitted(action, spot, moment).is_ok());
    let acts: Vec<Action> =
        FILE_ACTIONS.into_iter().filter(|action| all(*action, Moment::Approved)).collect();
    let asks: Vec<Action> =
        acts.iter().copied().filter(|action| !all(*action, Moment::Unasked)).collect();
    let because = asks.first().and_then(|action| {
        sets.iter().find_map(|set| {
            let rules = set.rules(*action, spot).into_iter();
            let mut open = rules.filter(|(rule, formula)| {
                rule.approvable == Approvable::Yes && formula.at(spot) == Truth::Unknown
            });
            open.next().map(|(rule, _)| rule)
        })
    });
    Asked { acts, asks, because }
}
