//! One look at a process in `/proc`.

use ringfence_core::Usage;
use rustix::fs::{CWD, Mode, OFlags, openat};

/// Most of a file in `/proc/PID` that is read, in bytes: the longest, `status`, has about 1,500.
const TEXT_BYTES_MAX: usize = 4096;

/// What a process has used so far; what cannot be read is unknown.
///
/// Bytes include those of children that it has waited for (proc_pid_io(5)).
pub fn sample(pid: i32) -> Usage {
    let peak = read(pid, "status", |text| field(text, "VmHWM:"));
    Usage { peak_memory_mb: peak.map(|kib| kib.div_ceil(1024)), ..of_ended(pid) }
}

/// The same of one that has ended and has not been reaped: its memory is gone.
pub(super) fn of_ended(pid: i32) -> Usage {
    let ticks = rustix::param::clock_ticks_per_second();
    let bytes = read(pid, "io", |io| Some((field(io, "read_bytes:"), field(io, "write_bytes:"))));
    let (disk_read_bytes, disk_write_bytes) = bytes.unwrap_or_default();
    Usage {
        cpu_time_ms: read(pid, "stat", |stat| cpu_time_ms(stat, ticks)),
        peak_memory_mb: None,
        disk_read_bytes,
        disk_write_bytes,
        sampled: true,
    }
}

/// Reads a file of `/proc/PID` with one call: the kernel makes its text anew for each.
fn read<T>(pid: i32, name: &str, find: impl FnOnce(&str) -> Option<T>) -> Option<T> {
    let path = format!("/proc/{pid}/{name}");
    let file = openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut text = [0; TEXT_BYTES_MAX];
    let length = rustix::io::read(&file, &mut text).ok()?;
    // A program's name, as it may choose it itself, need not be UTF-8.
    find(&String::from_utf8_lossy(text.get(..length)?))
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
