//! What worlds of another tier than the default would hold on this machine.

use ringfence_core::LayerState;
use ringfence_sandbox::world::Engine;
use ringfence_sandbox::{
    LANDLOCK_TIER_LACKS, PRELOAD_TIER_LACKS, PTRACE_TIER_LACKS, landlock_tier, ptrace_tier,
};

use super::{Finding, State};
use crate::commands::run::{preload_library, wasm_runner};

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

/// The tier that advises: whether its library is there, and what passes it by anywhere.
pub(super) fn preload() -> Vec<Finding> {
    let name = "tier preload";
    let Some(library) = preload_library() else {
        let means = "`run --tier preload` refuses to start; nothing is weaker for it elsewhere";
        let found = "no `libringfence_preload.so` beside `ringfence`";
        return vec![Finding::new(name, State::Note, found, means)];
    };
    let found = format!("advisory, never chosen by itself; its library is {}", library.display());
    let means = "for kernels without Landlock and seccomp notification, by `run --tier preload`; what \
                 passes it by:";
    let lacks = PRELOAD_TIER_LACKS.iter().map(|text| Finding::new(name, State::Note, *text, ""));
    std::iter::once(Finding::new(name, State::Note, found, means)).chain(lacks).collect()
}

/// The other tier that advises: whether a process can be traced and filtered here.
pub(super) fn ptrace() -> Vec<Finding> {
    let name = "tier ptrace";
    if let Some(missing) = ptrace_tier().into_iter().find(|layer| layer.state == LayerState::Off) {
        let means = "`run --tier ptrace` refuses to start; nothing is weaker for it elsewhere";
        return vec![Finding::new(name, State::Note, missing.detail, means)];
    }
    let found = "advisory, never chosen by itself; processes can be traced and filtered";
    let means = "for kernels and sandboxes without seccomp notification, by `run --tier ptrace`; what \
                 passes it by:";
    let lacks = PTRACE_TIER_LACKS.iter().map(|text| Finding::new(name, State::Note, *text, ""));
    std::iter::once(Finding::new(name, State::Note, found, means)).chain(lacks).collect()
}

/// Whether WASM modules can be run.
pub(super) fn wasm() -> Finding {
    if wasm_runner().is_file() {
        let means = "a module runs inside a world of the default tier, by `run --wasm`";
        return Finding::new("wasm", State::Ok, "the runner is beside `ringfence`", means);
    }
    let means = "`run --wasm` refuses to start; nothing is weaker for it elsewhere";
    Finding::new("wasm", State::Note, "no `ringfence-wasm` beside `ringfence`", means)
        .fix("cargo install --path crates/ringfence-wasm --features wasm")
}

/// The tier in a container: which engine there is. Whether one can make a container shows when it does.
pub(super) fn oci() -> Finding {
    let name = "tier oci";
    let found: Vec<String> = Engine::ALL.iter().filter_map(|it| it.version().ok()).collect();
    if found.is_empty() {
        let means = "`run --tier oci` refuses to start; it needs podman or docker";
        return Finding::new(
            name,
            State::Note,
            "there is neither podman nor docker in /usr/bin or /usr/local/bin",
            means,
        );
    }
    let means = "`run --tier oci --image IMAGE` makes a world within a container; to see what holds there, \
                 run `ringfence world verify --tier oci --image IMAGE`";
    Finding::new(name, State::Ok, found.join("; "), means)
}
