//! Who watches the processes of a session.

use ringfence_core::Gate;
use ringfence_sandbox::notify::Exits;
use ringfence_sandbox::signals::Signals;

use super::RunError;
use super::why::Why;
use crate::processes::Processes;
use crate::settings::LimitSettings;

/// Those who look at processes from time to time, and record their ends.
pub(super) fn watch_processes(
    gate: &Gate,
    why: &Why,
    limits: &LimitSettings,
) -> Result<Processes, RunError> {
    Processes::start(gate.clone(), why.reads(), limits.file_bytes_max)
        .map_err(RunError::step("watch processes"))
}

/// Those who watch each to its end, where its stops are heard of.
pub(super) fn watch_exits(
    stops: Option<Signals>,
    to: &Processes,
) -> Result<Option<Exits>, RunError> {
    let start = |stops| {
        let watch = to.watch();
        Exits::start(stops, move |pid, moment| watch.at(pid, moment))
    };
    stops.map(start).transpose().map_err(RunError::step("watch the ends of processes"))
}
