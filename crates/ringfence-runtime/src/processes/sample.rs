//! One look at a process in `/proc`.

use std::fs;

use ringfence_core::Usage;

/// What a process has used so far; what cannot be read is unknown.
///
/// Bytes include those of children that it has waited for (proc_pid_io(5)).
pub fn sample(pid: i32) -> Usage {
    let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let io = read("io");
    Usage {
        cpu_time_ms: cpu_time_ms(&read("stat"), rustix::param::clock_ticks_per_second()),
        peak_memory_mb: field(&read("status"), "VmHWM:").map(|kib| kib.div_ceil(1024)),
        disk_read_bytes: field(&io, "read_bytes:"),
        disk_write_bytes: field(&io, "write_bytes:"),
        sampled: true,
    }
}

/// `utime` and `stime`, fields 14 and 15 of proc_pid_stat(5), counted behind the command's name.
fn cpu_time_ms(stat: &str, ticks_per_second: u64) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    user.checked_add(system)?.checked_mul(1000)?.checked_div(ticks_per_second)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{cpu_time_ms, field};

    #[test]
    fn cpu_time_is_read_behind_a_name_with_parentheses() {
        let stat = "7 (a) b) R 1 2 3 4 5 6 7 8 9 10 150 50 0 0";
        assert_eq!(cpu_time_ms(stat, 100), Some(2000));
    }

    #[test]
    fn what_is_missing_is_unknown_and_not_zero() {
        assert_eq!(cpu_time_ms("", 100), None);
        assert_eq!(cpu_time_ms("7 (a) R 1", 100), None);
        assert_eq!(field("VmPeak: 1 kB", "VmHWM:"), None);
        assert_eq!(super::sample(-1).cpu_time_ms, None);
    }
}
