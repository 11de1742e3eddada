//! What of a session's limits a control group would hold on this machine.

use std::path::Path;

use ringfence_sandbox::cgroup::{Cgroup, Quota, Quotas};

use super::{Finding, State};

const NAME: &str = "limits";
/// Large enough for whatever would be in the group, which is nothing.
const PLENTY: u64 = 1 << 30;

/// Makes a group as a session would, and takes it away again.
pub(super) fn limits() -> Finding {
    let quotas = Quotas {
        memory_bytes: Some(PLENTY),
        processes: Some(1000),
        cpu_percent: Some(100),
        io_bytes_per_second: Some(PLENTY),
        cpu_seconds: Some(PLENTY),
    };
    let (group, lacking) = Cgroup::make("doctor", quotas);
    let held: Vec<&str> = [
        (Quota::Memory, "memory"),
        (Quota::Processes, "processes"),
        (Quota::Cpu, "share of the processors"),
        (Quota::CpuTime, "processor time"),
        (Quota::Io, "rate of disks"),
    ]
    .into_iter()
    .filter_map(|(quota, name)| group.holds(quota).then_some(name))
    .collect();
    let Some((_, why)) = lacking.into_iter().next() else {
        let found = format!("held by control groups: {}", held.join(", "));
        return Finding::new(NAME, State::Ok, found, "");
    };
    let held = if held.is_empty() { "nothing".to_owned() } else { held.join(", ") };
    let found = format!("held by control groups: {held}; the rest is not: {why}");
    let means = "`[limits]` without a control group are looked at from time to time, and ended; shares \
                 of processors and rates of disks are not bounded";
    let finding = Finding::new(NAME, State::Note, found, means);
    // Where systemd runs, it can give a group away.
    if !Path::new("/run/systemd/system").exists() {
        return finding;
    }
    finding.fix("systemd-run --user --scope -p Delegate=yes ringfence run ...")
}
