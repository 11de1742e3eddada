//! What this machine has: a limit beyond that would hold nothing.

use std::fs;
use std::path::Path;

use crate::settings::LimitSettings;

/// A limit that is more than the machine has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{limit} = {most}` is more than this machine has: {has} {what}")]
pub struct Beyond {
    /// Its key in `[limits]`.
    pub limit: &'static str,
    /// What it says.
    pub most: u64,
    /// What there is.
    pub has: u64,
    /// Of what.
    pub what: &'static str,
}

/// Refuses limits that could not be reached; `project` lies on the disk that is written.
pub(super) fn check(limits: &LimitSettings, project: &Path) -> Result<(), Beyond> {
    let disk = disk_bytes(project);
    let all = [
        ("memory_bytes_max", limits.memory_bytes_max, memory_bytes(), "bytes of memory"),
        ("processes_max", limits.processes_max, number("/proc/sys/kernel/pid_max"), "process ids"),
        ("open_files_max", limits.open_files_max, number("/proc/sys/fs/nr_open"), "open files"),
        ("cpu_percent_max", limits.cpu_percent_max, cpu_percent(), "percent of one processor"),
        ("disk_bytes_max", limits.disk_bytes_max, disk, "bytes on the disk of the project"),
    ];
    // What cannot be known here bounds nothing.
    let beyond = all.into_iter().find_map(|(limit, most, has, what)| {
        let (most, has) = (most?, has?);
        (most > has).then_some(Beyond { limit, most, has, what })
    });
    beyond.map_or(Ok(()), Err)
}

fn number(path: &str) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Memory and what can be moved out of it (proc_meminfo(5)).
fn memory_bytes() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let kib = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()
    };
    Some((kib("MemTotal:")?.saturating_add(kib("SwapTotal:")?)).saturating_mul(1024))
}

fn cpu_percent() -> Option<u64> {
    u64::try_from(std::thread::available_parallelism().ok()?.get()).ok()?.checked_mul(100)
}

fn disk_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    found.f_blocks.checked_mul(found.f_frsize)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{LimitSettings, check};

    #[test]
    fn a_limit_beyond_the_machine_is_refused_by_its_name() {
        let none = LimitSettings::default();
        let cases = [
            ("memory_bytes_max", LimitSettings { memory_bytes_max: Some(1 << 60), ..none.clone() }),
            ("processes_max", LimitSettings { processes_max: Some(1 << 40), ..none.clone() }),
            ("open_files_max", LimitSettings { open_files_max: Some(1 << 40), ..none.clone() }),
            ("cpu_percent_max", LimitSettings { cpu_percent_max: Some(1 << 40), ..none.clone() }),
            ("disk_bytes_max", LimitSettings { disk_bytes_max: Some(1 << 60), ..none.clone() }),
        ];
        for (limit, limits) in cases {
            let beyond = check(&limits, Path::new("/")).unwrap_err();
            assert_eq!(beyond.limit, limit);
            assert!(beyond.to_string().contains("more than this machine has"), "{beyond}");
        }
        let within = LimitSettings { memory_bytes_max: Some(1 << 20), ..none.clone() };
        assert_eq!(check(&within, Path::new("/")), Ok(()));
        let unbounded = LimitSettings { written_bytes_max: Some(u64::MAX), ..none };
        assert_eq!(check(&unbounded, Path::new("/")), Ok(()));
    }
}
