//! Control groups: what the kernel counts and bounds for all processes of a world together.
//!
//! Version 1 (`Documentation/admin-guide/cgroup-v1`) has a tree for each controller, which root may
//! write to; version 2 (`cgroup-v2.rst`) has one, a part of which may be delegated to a user. Where
//! neither can be had for a bound, that is said, and somebody else has to look.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How our groups are called; what follows is the session.
const PREFIX: &str = "ringfence-";
/// The group in which a broker waits aside: in version 2 a group with processes has no groups that are
/// bounded.
const ASIDE: &str = "ringfence-brokers";
/// The period over which a share of the processors is counted, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// For how long a group may be without a process.
const YOUNG: Duration = Duration::from_mins(1);
/// How often a group is tried to be removed whose last process is just going.
const REMOVE_TRIES: u32 = 500;
const REMOVE_WAIT: Duration = Duration::from_millis(2);

/// What all processes of a world may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quotas {
    /// Most memory, in bytes.
    pub memory_bytes: Option<u64>,
    /// Most processes and threads.
    pub processes: Option<u64>,
    /// Most of the processors' time, in percent of one.
    pub cpu_percent: Option<u64>,
    /// Most that is read from each disk, and most that is written to it, in bytes a second.
    pub io_bytes_per_second: Option<u64>,
    /// Most seconds of the processors: only counted, for somebody to look at.
    pub cpu_seconds: Option<u64>,
}

/// A disk, as the kernel numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Disk {
    /// What drives it.
    pub major: u32,
    /// Which of those that this drives.
    pub minor: u32,
}

/// One of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quota {
    /// [`Quotas::memory_bytes`].
    Memory,
    /// [`Quotas::processes`].
    Processes,
    /// [`Quotas::cpu_percent`].
    Cpu,
    /// [`Quotas::io_bytes_per_second`].
    Io,
    /// [`Quotas::cpu_seconds`].
    CpuTime,
}

/// What a group has counted; `None` where it does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counted {
    /// How often a process was killed for want of memory.
    pub out_of_memory: Option<u64>,
    /// How many processes and threads there are now.
    pub processes: Option<u64>,
    /// How often one could not be started.
    pub forks_refused: Option<u64>,
    /// Processor time of all that ever were in the group.
    pub cpu: Option<Duration>,
}

/// The groups of one world, removed when dropped.
#[derive(Debug)]
pub struct Cgroup {
    parts: Vec<Part>,
}

/// A group in one tree.
#[derive(Debug)]
struct Part {
    dir: PathBuf,
    version: Version,
    bounds: Vec<Quota>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// A tree of groups, and where in it this process is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tree {
    own: PathBuf,
    version: Version,
    controllers: Vec<String>,
}

impl Quotas {
    /// Those that are set, with what they are set to.
    fn set(self) -> impl Iterator<Item = (Quota, u64)> {
        let all = [
            (Quota::Memory, self.memory_bytes),
            (Quota::Processes, self.processes),
            (Quota::Cpu, self.cpu_percent),
            (Quota::Io, self.io_bytes_per_second),
            (Quota::CpuTime, self.cpu_seconds),
        ];
        all.into_iter().filter_map(|(quota, most)| most.map(|most| (quota, most)))
    }
}

impl Quota {
    /// The controller that counts it.
    fn controller(self, version: Version) -> &'static str {
        match (self, version) {
            (Quota::Memory, _) => "memory",
            (Quota::Processes, _) => "pids",
            (Quota::Cpu, _) | (Quota::CpuTime, Version::Two) => "cpu",
            (Quota::Io, Version::One) => "blkio",
            (Quota::Io, Version::Two) => "io",
            (Quota::CpuTime, Version::One) => "cpuacct",
        }
    }

    /// The files that bound it, and what is written to them, the last one first that must be there.
    fn writes(self, version: Version, most: u64) -> Vec<(&'static str, String)> {
        let quota = most.saturating_mul(CPU_PERIOD_US / 100);
        match (self, version) {
            (Quota::Memory, Version::One) => vec![("memory.limit_in_bytes", most.to_string())],
            (Quota::Memory, Version::Two) => vec![("memory.max", most.to_string())],
            (Quota::Processes, _) => vec![("pids.max", most.to_string())],
            (Quota::Cpu, Version::One) => vec![
                ("cpu.cfs_period_us", CPU_PERIOD_US.to_string()),
                ("cpu.cfs_quota_us", quota.to_string()),
            ],
            (Quota::Cpu, Version::Two) => vec![("cpu.max", format!("{quota} {CPU_PERIOD_US}"))],
            // Bounded disk by disk, when they are known; only counted.
            (Quota::Io | Quota::CpuTime, _) => Vec::new(),
        }
    }
}

impl Disk {
    /// The whole disk of which this is a part: the kernel bounds no partition by itself.
    #[must_use]
    pub fn whole(self) -> Disk {
        let Disk { major, minor } = self;
        let part = format!("/sys/dev/block/{major}:{minor}");
        if !Path::new(&part).join("partition").exists() {
            return self;
        }
        let text = fs::read_to_string(Path::new(&part).join("../dev")).unwrap_or_default();
        let numbers = text.trim().split_once(':');
        let whole = numbers.and_then(|(major, minor)| {
            Some(Disk { major: major.parse().ok()?, minor: minor.parse().ok()? })
        });
        whole.unwrap_or(self)
    }

    /// The files that bound how fast it is read and written, and what is written to them.
    fn writes(self, version: Version, most: u64) -> Vec<(&'static str, String)> {
        let Disk { major, minor } = self;
        match version {
            Version::One => vec![
                ("blkio.throttle.read_bps_device", format!("{major}:{minor} {most}")),
                ("blkio.throttle.write_bps_device", format!("{major}:{minor} {most}")),
            ],
            Version::Two => vec![("io.max", format!("{major}:{minor} rbps={most} wbps={most}"))],
        }
    }
}

impl Cgroup {
    /// Makes groups for the world of `session` that hold as many of `quotas` as can be had here.
    ///
    /// The other result is what cannot, each with the reason.
    pub fn make(session: &str, quotas: Quotas) -> (Cgroup, Vec<(Quota, String)>) {
        let mut cgroup = Cgroup { parts: Vec::new() };
        let mut lacking = Vec::new();
        let trees = trees().unwrap_or_default();
        for (quota, most) in quotas.set() {
            if let Err(why) = cgroup.bound(&trees, session, (quota, most)) {
                lacking.push((quota, why));
            }
        }
        (cgroup, lacking)
    }

    /// Whether it bounds anything.
    pub fn holds(&self, quota: Quota) -> bool {
        self.parts.iter().any(|part| part.bounds.contains(&quota))
    }

    /// Whether there is any group to be in.
    pub fn holds_any(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether writes that wait in memory before they go to a disk are bounded as well: only version 2
    /// knows whose they are (`cgroup-v2.rst`, "Writeback").
    pub fn bounds_late_writes(&self) -> bool {
        let mut parts = self.parts.iter().filter(|part| part.bounds.contains(&Quota::Io));
        parts.all(|part| part.version == Version::Two)
    }

    /// Bounds how fast these disks are read and written.
    pub fn slow(&self, disks: &[Disk], most: u64) -> Result<(), String> {
        for part in self.parts.iter().filter(|part| part.bounds.contains(&Quota::Io)) {
            for disk in disks {
                for (file, value) in disk.writes(part.version, most) {
                    let why =
                        |error| format!("cannot bound disk {}:{}: {error}", disk.major, disk.minor);
                    fs::write(part.dir.join(file), value).map_err(why)?;
                }
            }
        }
        Ok(())
    }

    /// Takes a process in, and with it all that it starts from here on.
    pub fn take_in(&self, pid: i32) -> io::Result<()> {
        let join = |part: &Part| fs::write(part.dir.join("cgroup.procs"), pid.to_string());
        self.parts.iter().try_for_each(join)
    }

    /// What was counted so far.
    pub fn counted(&self) -> Counted {
        let mut counted = Counted::default();
        for part in &self.parts {
            let read = |name| fs::read_to_string(part.dir.join(name)).ok();
            if part.bounds.contains(&Quota::Memory) {
                let text = match part.version {
                    Version::One => read("memory.oom_control"),
                    Version::Two => read("memory.events"),
                };
                counted.out_of_memory = text.and_then(|text| field(&text, "oom_kill"));
            }
            if part.bounds.contains(&Quota::Processes) {
                let text = read("pids.events");
                counted.processes = read("pids.current").and_then(|text| text.trim().parse().ok());
                counted.forks_refused = text.and_then(|text| field(&text, "max"));
            }
            if part.bounds.contains(&Quota::CpuTime) {
                counted.cpu = match part.version {
                    Version::One => read("cpuacct.usage")
                        .and_then(|text| text.trim().parse().ok())
                        .map(Duration::from_nanos),
                    Version::Two => read("cpu.stat")
                        .and_then(|text| field(&text, "usage_usec"))
                        .map(Duration::from_micros),
                };
            }
        }
        counted
    }

    /// Finds or makes the group of `quota`'s controller, and bounds it there.
    fn bound(&mut self, trees: &[Tree], session: &str, quota: (Quota, u64)) -> Result<(), String> {
        let (quota, most) = quota;
        let has = |tree: &&Tree| {
            tree.controllers.iter().any(|name| name == quota.controller(tree.version))
        };
        let Some(tree) = trees.iter().find(has) else {
            return Err(format!("there is no `{}` controller", quota.controller(Version::Two)));
        };
        let controller = quota.controller(tree.version);
        let why = |what: &str, error: &io::Error| format!("{what} `{controller}`: {error}");
        let dir = tree.own.join(format!("{PREFIX}{session}"));
        if tree.version == Version::Two {
            tree.delegate(controller).map_err(|error| why("cannot delegate", &error))?;
        }
        let known = self.parts.iter().position(|part| part.dir == dir);
        if known.is_none() {
            sweep(&tree.own);
            fs::create_dir(&dir).map_err(|error| why("cannot make a group of", &error))?;
            self.parts.push(Part { dir, version: tree.version, bounds: Vec::new() });
        }
        let at = known.unwrap_or(self.parts.len().saturating_sub(1));
        let Some(part) = self.parts.get_mut(at) else { return Ok(()) };
        for (file, value) in quota.writes(tree.version, most) {
            fs::write(part.dir.join(file), value).map_err(|error| why("cannot bound", &error))?;
        }
        if quota == Quota::Memory {
            // What would only be moved out of memory is not to be had beyond the bound either; older
            // kernels, and those without swap, have no such file.
            let swap = match tree.version {
                Version::One => ("memory.memsw.limit_in_bytes", most.to_string()),
                Version::Two => ("memory.swap.max", "0".to_owned()),
            };
            let _ = fs::write(part.dir.join(swap.0), swap.1);
        }
        part.bounds.push(quota);
        Ok(())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        for part in &self.parts {
            for _ in 0..REMOVE_TRIES {
                match fs::remove_dir(&part.dir) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        std::thread::sleep(REMOVE_WAIT);
                    }
                    // One that stays is swept by a later session.
                    Ok(()) | Err(_) => break,
                }
            }
        }
    }
}

impl Tree {
    /// Has groups below this one be counted by `controller` (version 2).
    fn delegate(&self, controller: &str) -> io::Result<()> {
        let file = self.own.join("cgroup.subtree_control");
        let on = fs::read_to_string(&file)?;
        if on.split_ascii_whitespace().any(|name| name == controller) {
            return Ok(());
        }
        let turn_on = || fs::write(&file, format!("+{controller}"));
        match turn_on() {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                self.step_aside()?;
                turn_on()
            }
            done => done,
        }
    }

    /// Moves this process and its children into a group of their own, if nobody else is in theirs.
    fn step_aside(&self) -> io::Result<()> {
        let own = std::process::id();
        let text = fs::read_to_string(self.own.join("cgroup.procs"))?;
        let pids: Vec<u32> = text.lines().filter_map(|line| line.parse().ok()).collect();
        if !pids.iter().all(|pid| *pid == own || parent_of(*pid) == Some(own)) {
            let message = "others are in the group of this process; start it in one of its own \
                           (`systemd-run --user --scope -p Delegate=yes`)";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, message));
        }
        let aside = self.own.join(ASIDE);
        fs::create_dir_all(&aside)?;
        let join = |pid: &u32| fs::write(aside.join("cgroup.procs"), pid.to_string());
        pids.iter().try_for_each(join)
    }
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    u32::try_from(field(&status, "PPid:")?).ok()
}

/// Removes groups that killed brokers left; one with processes stays, and so does a young one, whose
/// world may not be in it yet.
fn sweep(own: &Path) {
    for found in fs::read_dir(own).into_iter().flatten().flatten() {
        let is_ours = found.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let made = found.metadata().and_then(|meta| meta.modified()).ok();
        let is_old = made.and_then(|made| made.elapsed().ok()).is_some_and(|age| age > YOUNG);
        if is_ours && is_old && found.file_name() != ASIDE {
            let _ = fs::remove_dir(found.path());
        }
    }
}

/// Every tree that is mounted, and where this process is in it.
fn trees() -> io::Result<Vec<Tree>> {
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mut trees = parse(&groups, &mounts);
    for tree in trees.iter_mut().filter(|tree| tree.version == Version::Two) {
        let text = fs::read_to_string(tree.own.join("cgroup.controllers")).unwrap_or_default();
        tree.controllers = text.split_ascii_whitespace().map(str::to_owned).collect();
    }
    Ok(trees)
}

/// `/proc/self/cgroup` has a line `NUMBER:CONTROLLERS:PATH` for each tree (cgroups(7)); where a tree is
/// mounted stands in `/proc/self/mountinfo` (proc_pid_mountinfo(5)).
fn parse(groups: &str, mounts: &str) -> Vec<Tree> {
    let mut trees = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(names), Some(path)) = (parts.next(), parts.next()) else { continue };
        let version = if names.is_empty() { Version::Two } else { Version::One };
        let controllers: Vec<String> =
            names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
        let Some(own) = mounts.lines().find_map(|mount| place(mount, path, &controllers)) else {
            continue;
        };
        trees.push(Tree { own, version, controllers });
    }
    trees
}

/// Where a path of the tree with these controllers (none: version 2) is, if this mount shows it.
fn place(mount: &str, path: &str, controllers: &[String]) -> Option<PathBuf> {
    let (before, after) = mount.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, target) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1)?;
    let shows = match controllers.first() {
        None => kind == "cgroup2",
        Some(first) => kind == "cgroup" && options.split(',').any(|option| option == first),
    };
    let below = Path::new(path).strip_prefix(root).ok()?;
    shows.then(|| Path::new(target).join(below))
}

/// The number behind a name, on a line of its own.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_ascii_whitespace);
    lines.find_map(|mut words| (words.next()? == name).then(|| words.next()?.parse().ok())?)
}

#[cfg(test)]
#[path = "cgroup_tests.rs"]
mod tests;
