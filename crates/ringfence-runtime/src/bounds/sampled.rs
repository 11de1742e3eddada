//! One look at all processes of a world in `/proc`.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

/// What the processes of a world use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sample {
    /// Of those that run, and of those that somebody has waited for.
    pub(super) cpu: Duration,
    /// Resident memory; what is shared counts for each.
    pub(super) memory_bytes: u64,
    pub(super) threads: u64,
    /// To file systems, by those that run and those that somebody has waited for.
    pub(super) written_bytes: u64,
}

/// The processes of the world whose first process is `init`, as the broker counts them: all that
/// descend from it, for in its namespace orphans become its children.
pub(super) fn members(init: i32) -> Vec<i32> {
    let names = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = names.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for pid in pids {
        // One that is gone has no parent any more.
        if let Some(parent) = stat_of(pid).and_then(|text| parent(&text)) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut members = vec![init];
    let mut next = 0;
    while let Some(pid) = members.get(next) {
        members.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    members
}

fn stat_of(pid: i32) -> Option<String> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    Some(String::from_utf8_lossy(&stat).into_owned())
}

/// `ppid`, field 4 of proc_pid_stat(5).
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(1)?.parse().ok()
}

/// Looks at all of them; one that ends meanwhile counts with its parent.
pub(super) fn sample(init: i32) -> Sample {
    let ticks = rustix::param::clock_ticks_per_second().max(1);
    let page = u64::try_from(rustix::param::page_size()).unwrap_or_default();
    members(init).into_iter().fold(Sample::default(), |all, pid| {
        let stat = stat_of(pid).and_then(|text| of_stat(&text)).unwrap_or_default();
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        let millis = stat.ticks.saturating_mul(1000) / ticks;
        Sample {
            cpu: all.cpu.saturating_add(Duration::from_millis(millis)),
            memory_bytes: all.memory_bytes.saturating_add(stat.pages.saturating_mul(page)),
            threads: all.threads.saturating_add(stat.threads),
            written_bytes: all.written_bytes.saturating_add(written(&io).unwrap_or_default()),
        }
    })
}

/// What stands in `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stat {
    ticks: u64,
    threads: u64,
    pages: u64,
}

/// `utime`, `stime`, `cutime`, `cstime`, `num_threads` and `rss`: fields 14 to 17, 20 and 24 of
/// proc_pid_stat(5), counted behind the command's name, which may be anything.
fn of_stat(text: &str) -> Option<Stat> {
    let fields: Vec<u64> = text
        .rsplit_once(')')?
        .1
        .split_ascii_whitespace()
        .skip(11)
        .map(|field| field.parse().unwrap_or_default())
        .collect();
    let ticks = fields.get(..4)?.iter().fold(0_u64, |sum, part| sum.saturating_add(*part));
    Some(Stat { ticks, threads: *fields.get(6)?, pages: *fields.get(10)? })
}

/// `write_bytes` of proc_pid_io(5).
fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{Stat, members, of_stat, parent, written};

    #[test]
    fn the_fields_are_counted_behind_a_name_with_parentheses_and_blanks() {
        let stat = "7 (a) b 1) S 1 2 3 4 5 6 7 8 9 10 100 20 3 4 20 0 9 0 555 1000 42 184";
        assert_eq!(of_stat(stat), Some(Stat { ticks: 127, threads: 9, pages: 42 }));
        assert_eq!(parent(stat), Some(1));
        assert_eq!(of_stat("7 (a) S 1"), None);
        assert_eq!(of_stat(""), None);
    }

    #[test]
    fn everybody_who_descends_from_a_process_is_a_member() {
        let own = i32::try_from(std::process::id()).unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let found = members(own);
        assert!(found.contains(&own) && found.contains(&i32::try_from(child.id()).unwrap()));
        assert!(!found.contains(&1));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn bytes_that_were_taken_back_do_not_count_as_written() {
        let io = "rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 512\n";
        assert_eq!(written(io), Some(4096));
        assert_eq!(written("cancelled_write_bytes: 512\n"), None);
    }
}
