//! Looks at all processes of a world in `/proc`, and what they have used up to then.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use super::occupied::is_gone;

/// What the processes of a world use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Sample {
    /// Of all that were seen or waited for.
    pub(super) cpu: Duration,
    /// Resident memory; what is shared counts for each.
    pub(super) memory_bytes: u64,
    pub(super) threads: u64,
    /// To file systems, by all that were seen or waited for.
    pub(super) written_bytes: u64,
    /// A process that does not let itself be seen writing.
    pub(super) unreadable: Option<i32>,
}

/// What was seen at the last look.
///
/// The kernel adds what a process has used to the one that waits for it. One that nobody waits for
/// (its parent ignores `SIGCHLD`) takes it along: what the others have not gained since the last
/// look counts as lost, and is kept.
#[derive(Debug, Default)]
pub(super) struct Seen {
    last: HashMap<Key, Member>,
    lost: Used,
}

/// A process: its id, and when it started, since ids are used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key(i32, u64);

#[derive(Debug, Clone, Copy, Default)]
struct Member {
    parent: i32,
    used: Used,
}

/// What a process and those that it waited for have used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Used {
    ticks: u64,
    written: u64,
}

/// The processes of the world whose first process is `init`, as the broker counts them: all that
/// descend from it, for in its namespace orphans become its children.
pub(crate) fn members(init: i32) -> io::Result<Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        // One that is gone has no parent any more.
        if let Some(stat) = stat_of(pid)? {
            children.entry(stat.parent).or_default().push(pid);
        }
    }
    let mut members = vec![init];
    let mut next = 0;
    while let Some(pid) = members.get(next) {
        members.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    Ok(members)
}

impl Seen {
    /// Looks at all of them; one that ends meanwhile counts with its parent.
    pub(super) fn look(&mut self, init: i32) -> io::Result<Sample> {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let page = u64::try_from(rustix::param::page_size()).unwrap_or_default();
        let mut now = HashMap::new();
        let mut sample = Sample::default();
        for pid in members(init)? {
            let Some(stat) = stat_of(pid)? else { continue };
            let key = Key(pid, stat.started);
            let before = self.last.get(&key).map(|member| member.used.written);
            let written = written_by(pid, &stat, init).unwrap_or_else(|Unreadable| {
                sample.unreadable = Some(pid);
                None
            });
            let written = written.or(before).unwrap_or_default();
            sample.memory_bytes =
                sample.memory_bytes.saturating_add(stat.pages.saturating_mul(page));
            sample.threads = sample.threads.saturating_add(stat.threads);
            let used = Used { ticks: stat.ticks, written };
            now.insert(key, Member { parent: stat.parent, used });
        }
        self.lost = self.lost.and(self.lost_until(&now, init));
        let used = now.values().fold(self.lost, |all, member| all.and(member.used));
        self.last = now;
        sample.cpu = Duration::from_millis(used.ticks.saturating_mul(1000) / ticks);
        sample.written_bytes = used.written;
        Ok(sample)
    }

    /// What those who are gone had used, less what those above them have gained since.
    fn lost_until(&self, now: &HashMap<Key, Member>, init: i32) -> Used {
        let mut gone = Used::default();
        let mut above: Vec<Key> = Vec::new();
        let parents: HashMap<i32, Key> = self.last.keys().map(|key| (key.0, *key)).collect();
        for (_, member) in self.last.iter().filter(|(key, _)| !now.contains_key(*key)) {
            gone = gone.and(member.used);
            // Whoever waited was above, or is the first process, whose children orphans become.
            let mut next = parents.get(&member.parent).copied();
            while let Some(key) = next.filter(|key| !now.contains_key(key)) {
                let parent = self.last.get(&key).map(|member| member.parent);
                next = parent.and_then(|parent| parents.get(&parent)).copied();
            }
            above.extend(next);
        }
        above.extend(parents.get(&init));
        above.sort_unstable_by_key(|key| (key.0, key.1));
        above.dedup();
        let gained = above.iter().fold(Used::default(), |all, key| {
            let used = |members: &HashMap<Key, Member>| {
                members.get(key).map(|member| member.used).unwrap_or_default()
            };
            all.and(used(now).less(used(&self.last)))
        });
        gone.less(gained)
    }
}

impl Used {
    fn and(self, other: Used) -> Used {
        Used {
            ticks: self.ticks.saturating_add(other.ticks),
            written: self.written.saturating_add(other.written),
        }
    }

    fn less(self, other: Used) -> Used {
        Used {
            ticks: self.ticks.saturating_sub(other.ticks),
            written: self.written.saturating_sub(other.written),
        }
    }
}

/// What stands in `/proc/PID/stat`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Stat {
    state: char,
    parent: i32,
    ticks: u64,
    threads: u64,
    started: u64,
    pages: u64,
}

/// `None` of a process that is gone.
fn stat_of(pid: i32) -> io::Result<Option<Stat>> {
    match fs::read(format!("/proc/{pid}/stat")) {
        Ok(stat) => Ok(of_stat(&String::from_utf8_lossy(&stat))),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// `state`, `ppid`, `utime` to `cstime`, `num_threads`, `starttime` and `rss`: fields 3, 4, 14 to 17,
/// 20, 22 and 24 of proc_pid_stat(5), counted behind the command's name, which may be anything.
fn of_stat(text: &str) -> Option<Stat> {
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<u64>().ok();
    Some(Stat {
        state: fields.first()?.chars().next()?,
        parent: fields.get(1)?.parse().ok()?,
        ticks: (11..15).try_fold(0_u64, |sum, at| Some(sum.saturating_add(number(at)?)))?,
        threads: number(17)?,
        started: number(19)?,
        pages: number(21)?,
    })
}

/// A process has made itself unreadable, or never was readable.
struct Unreadable;

/// What a process has written; `None` where that cannot be known any more, or never, as of the first
/// one, which is ours: what that would gain then counts as lost by those it has waited for.
fn written_by(pid: i32, stat: &Stat, init: i32) -> Result<Option<u64>, Unreadable> {
    match fs::read_to_string(format!("/proc/{pid}/io")) {
        Ok(text) => written(&text).map(Some).ok_or(Unreadable),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            // What has ended and is not waited for yet belongs to root as well.
            let has_ended = |stat: &Stat| matches!(stat.state, 'Z' | 'X');
            let now = stat_of(pid).map_err(|_| Unreadable)?;
            let ends = has_ended(stat) || now.is_none_or(|now| has_ended(&now));
            if pid == init || ends { Ok(None) } else { Err(Unreadable) }
        }
        Err(error) if is_gone(&error) => Ok(None),
        Err(_) => Err(Unreadable),
    }
}

/// `write_bytes` of proc_pid_io(5).
fn written(io: &str) -> Option<u64> {
    io.lines().find_map(|line| line.strip_prefix("write_bytes: "))?.parse().ok()
}

#[cfg(test)]
#[path = "sampled_tests.rs"]
mod tests;
