//! What worlds of another tier than the default would hold on this machine.

use ringfence_core::LayerState;
use ringfence_sandbox::{LANDLOCK_TIER_LACKS, landlock_tier};

use super::{Finding, State};

/// What it is called in findings.
const NAME: &str = "tier landlock";

/// The tier without namespaces, as tried now, and what it cannot hold anywhere.
pub(super) fn landlock() -> Vec<Finding> {
    let tried = landlock_tier();
    let missing: Vec<String> = tried
        .iter()
        .filter(|layer| layer.state == LayerState::Off)
        .map(|layer| format!("{}: {}", layer.layer, layer.detail))
        .collect();
    if !missing.is_empty() {
        let means = "`run --tier landlock` refuses to start; nothing is weaker for it elsewhere";
        return vec![Finding::new(NAME, State::Note, missing.join("; "), means)];
    }
    let names: Vec<String> = tried
        .iter()
        .map(|layer| match layer.state {
            LayerState::Enforced => format!("{} enforced", layer.layer),
            LayerState::Degraded | LayerState::Off => format!("{} degraded", layer.layer),
        })
        .collect();
    let found = format!("can be started: {}; namespaces and mounts off", names.join(", "));
    let means = "for machines without user namespaces, by `run --tier landlock`; it does not hold:";
    let lacks = LANDLOCK_TIER_LACKS.iter().map(|text| Finding::new(NAME, State::Note, *text, ""));
    std::iter::once(Finding::new(NAME, State::Ok, found, means)).chain(lacks).collect()
}
