//! What all processes of a session may use together: time, processors, memory, processes, disks.
//!
//! Control groups hold what they can be had for; everything else is looked at from time to time. A
//! session that goes beyond is recorded and ended: what is stopped in the middle of a bomb is not
//! worth going on with.

mod machine;
mod mounts;
mod occupied;
mod sampled;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use ringfence_core::{Durability, Event, Gate, LayerState, LayerStatus, SessionId};
use ringfence_sandbox::cgroup::{Cgroup, Disk, Quota, Quotas};
use ringfence_sandbox::world::World;
use rustix::io::Errno;

use crate::broker::RunError;
use crate::notice::Notice;
use crate::settings::LimitSettings;
pub(crate) use machine::Beyond;
use occupied::{Occupied, has_ended, unmapped_bytes};
pub(crate) use sampled::members;
use sampled::{Sample, Seen};

/// How often a session is looked at.
const LOOK_PERIOD: Duration = Duration::from_millis(100);
/// At how many looks in a row there are as many processes as there may be before that ends a session: a
/// build that touches the limit once goes on.
const STUCK_LOOKS: u32 = 10;
/// At how many looks in a row nothing can be seen before that ends a session.
const BLIND_LOOKS: u32 = 5;
/// What a person can do about a limit that ended a session.
pub(crate) const RAISE_HINT: &str = "to raise it, change `[limits]` in your settings or the project's (of several the \
                          least holds)";
/// The longest that disks are not walked over.
const WALK_PERIOD_MAX: Duration = Duration::from_secs(5);
/// How often processes are looked for that were started while others were taken in.
const TAKE_IN_TRIES: u32 = 8;

/// For each second that a walk over the disks takes, how many pass before the next.
const REST_PER_WALK: u32 = 9;

/// What the limits are called in the settings.
const MEMORY: &str = "memory_bytes_max";
const DISK: &str = "disk_bytes_max";

/// The limits of one session, and what holds them.
#[derive(Debug)]
pub(crate) struct Bounds {
    limits: LimitSettings,
    cgroup: Cgroup,
    lacking: Vec<(Quota, String)>,
    occupied: Occupied,
}

/// The thread that looks.
#[derive(Debug)]
pub(crate) struct Looking {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    processes_max: Option<u64>,
}

/// What limits did to a session.
#[derive(Debug, Default)]
pub(crate) struct Limited {
    /// What ended it, if a limit did.
    pub(crate) ended: Option<Notice>,
    /// What it went on with.
    pub(crate) refused: Option<Notice>,
}

#[derive(Debug)]
struct Shared {
    over: AtomicBool,
    reached: Mutex<Option<Reached>>,
    /// How often a process or a thread could not be started.
    forks_refused: AtomicU64,
}

/// A limit that was reached, or that nobody can say is not.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Reached {
    limit: &'static str,
    most: u64,
    unseen: Option<String>,
}

/// What is looked at, and what was seen before.
struct Look {
    limits: LimitSettings,
    cgroup: Cgroup,
    since: Instant,
    init: i32,
    root: OwnedFd,
    seen: Seen,
    forks_refused: u64,
    stuck: u32,
    blind_looks: u32,
}

impl Bounds {
    /// Makes the control groups that `limits` ask for.
    pub(crate) fn make(
        session: &SessionId,
        limits: &LimitSettings,
        project: &Path,
    ) -> Result<Bounds, Beyond> {
        machine::check(limits, project)?;
        let quotas = Quotas {
            memory_bytes: limits.memory_bytes_max,
            processes: limits.processes_max,
            cpu_percent: limits.cpu_percent_max,
            io_bytes_per_second: limits.io_bytes_per_second_max,
            cpu_seconds: limits.cpu_seconds_max,
        };
        let (cgroup, lacking) = Cgroup::make(&session.to_string(), quotas);
        Ok(Bounds { limits: limits.clone(), cgroup, lacking, occupied: Occupied::default() })
    }

    /// Takes a world in of which nothing that an agent chose runs yet, unless starts are not decided.
    pub(crate) fn take_in(&mut self, world: &World) -> io::Result<()> {
        self.measure(world)?;
        if !self.cgroup.holds_any() {
            return Ok(());
        }
        self.cgroup.take_in(world.init_pid)?;
        let mut taken = vec![world.init_pid];
        for _ in 0..TAKE_IN_TRIES {
            let pids = members(world.init_pid)?;
            let new: Vec<i32> = pids.into_iter().filter(|pid| !taken.contains(pid)).collect();
            if new.is_empty() {
                return Ok(());
            }
            for pid in new {
                match self.cgroup.take_in(pid) {
                    // One that has ended needs no bounds.
                    Err(error) if error.raw_os_error() != Some(Errno::SRCH.raw_os_error()) => {
                        return Err(error);
                    }
                    Ok(()) | Err(_) => taken.push(pid),
                }
            }
        }
        Err(io::Error::other("its processes start others faster than they can be taken in"))
    }

    /// What the disks hold before the agent starts, and how fast they may be used.
    fn measure(&mut self, world: &World) -> io::Result<()> {
        let init = world.init_pid;
        let LimitSettings { disk_bytes_max, io_bytes_per_second_max, .. } = self.limits;
        if disk_bytes_max.is_none() && io_bytes_per_second_max.is_none() {
            return Ok(());
        }
        let mounts = mounts::of_world(init)?;
        if disk_bytes_max.is_some() && !world.tier.has_mounts() {
            let text =
                "`disk_bytes_max` would count the whole host's disks in a tier without mounts";
            return Err(io::Error::other(text));
        }
        if disk_bytes_max.is_some() {
            self.occupied.look((world.root.as_fd(), init), &AtomicBool::new(false))?;
        }
        let Some(most) = io_bytes_per_second_max.filter(|_| self.cgroup.holds(Quota::Io)) else {
            return Ok(());
        };
        let on_disk = mounts.iter().filter(|mount| mount.is_on_disk());
        let mut disks: Vec<Disk> = on_disk.map(|mount| mount.device.whole()).collect();
        disks.sort_unstable();
        disks.dedup();
        if let Err(why) = self.cgroup.slow(&disks, most) {
            self.lacking.push((Quota::Io, why));
        } else if !self.cgroup.bounds_late_writes() {
            let why = "control groups of version 1 know only who reads, and who writes past the \
                       page cache";
            self.lacking.push((Quota::Io, why.to_owned()));
        }
        Ok(())
    }

    /// What holds the limits; nothing where none is set.
    pub(crate) fn layer(&self) -> Option<LayerStatus> {
        let limits = &self.limits;
        let named = [
            (Quota::Memory, "memory", limits.memory_bytes_max),
            (Quota::Processes, "processes", limits.processes_max),
            (Quota::Cpu, "share of the processors", limits.cpu_percent_max),
            (Quota::Io, "bytes a second of a disk", limits.io_bytes_per_second_max),
            (Quota::CpuTime, "seconds of processor time", limits.cpu_seconds_max),
        ];
        let mut said = Vec::new();
        for (quota, name, most) in named {
            let Some(most) = most else { continue };
            let lacking = self.lacking.iter().find(|(lacks, _)| *lacks == quota);
            said.push(match lacking {
                None => format!("{name} at most {most} by a control group"),
                Some((_, why)) if quota == Quota::Cpu => format!("{name} not bounded ({why})"),
                Some((_, why)) if quota == Quota::Io => format!("{name} not all bounded ({why})"),
                Some((_, why)) => {
                    format!("{name} at most {most}, looked at from time to time ({why})")
                }
            });
        }
        let looked_at = [
            ("seconds", limits.wall_seconds_max),
            ("bytes written", limits.written_bytes_max),
            ("bytes more on disks", limits.disk_bytes_max),
        ];
        let looked_at = looked_at.into_iter().filter_map(|(name, most)| Some((name, most?)));
        said.extend(looked_at.map(|(name, most)| format!("at most {most} {name}, looked at")));
        let state =
            if self.lacking.is_empty() { LayerState::Enforced } else { LayerState::Degraded };
        let detail = said.join("; ");
        (!said.is_empty()).then(|| LayerStatus { layer: "limits".to_owned(), state, detail })
    }

    /// Looks at the world from now on.
    pub(crate) fn look(self, world: &Arc<World>, gate: &Gate) -> Result<Looking, RunError> {
        let shared = Arc::new(Shared {
            over: AtomicBool::new(false),
            reached: Mutex::new(None),
            forks_refused: AtomicU64::new(0),
        });
        let processes_max = self.limits.processes_max;
        let mut looking =
            Looking { shared: Arc::clone(&shared), threads: Vec::new(), processes_max };
        if self.layer().is_none() {
            return Ok(looking);
        }
        let init = world.init_pid;
        if let Some(most) = self.limits.disk_bytes_max {
            let mut occupied = self.occupied;
            let (ends, gate) = (Ends(Arc::downgrade(world)), gate.clone());
            let shared = Arc::clone(&shared);
            let root = world.root.try_clone().map_err(RunError::step("look at the disks"))?;
            looking.start("disks", move || {
                let _ends = ends;
                walk((&mut occupied, most), (&root, init), &gate, &shared);
            })?;
        }
        let root = world.root.try_clone().map_err(RunError::step("look at the limits"))?;
        let mut look = Look {
            limits: self.limits,
            root,
            cgroup: self.cgroup,
            since: Instant::now(),
            init,
            seen: Seen::default(),
            forks_refused: 0,
            stuck: 0,
            blind_looks: 0,
        };
        let (ends, gate) = (Ends(Arc::downgrade(world)), gate.clone());
        looking.start("limits", move || look.run(&ends.0, &gate, &shared))?;
        Ok(looking)
    }
}

/// Ends a world that nobody looks at any more, however that came about.
struct Ends(Weak<World>);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(world) = self.0.upgrade() {
            world.kill();
        }
    }
}

impl Shared {
    fn record(&self, reached: Reached, gate: &Gate) {
        let mut first = self.reached.lock().unwrap_or_else(PoisonError::into_inner);
        if first.is_some() {
            return;
        }
        let Reached { limit, most, unseen } = reached.clone();
        let limit = limit.to_owned();
        // A log that fails ends the session by itself.
        let _ = gate.note(Event::LimitReached { limit, most, unseen }, Durability::Soon);
        *first = Some(reached);
    }
}

impl Looking {
    /// To be said when the world has ended.
    pub(crate) fn finish(self) -> Limited {
        self.shared.over.store(true, Ordering::Release);
        for thread in self.threads {
            thread.thread().unpark();
            let _ = thread.join();
        }
        let reached = self.shared.reached.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = reached.map(|Reached { limit, most, unseen }| match unseen {
            None => Notice::new(format!("the session was ended: it reached `{limit} = {most}`"))
                .hint(RAISE_HINT),
            Some(why) => Notice::new(format!(
                "the session was ended: it cannot be held to `{limit} = {most}` any more: {why}"
            )),
        });
        let times = self.shared.forks_refused.load(Ordering::Acquire);
        let most = self.processes_max.filter(|_| times > 0 && ended.is_none());
        let refused = most.map(|most| {
            let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
            let text =
                format!("`processes_max = {most}` kept a process or thread from starting {times}");
            Notice::new(text).hint(RAISE_HINT)
        });
        Limited { ended, refused }
    }

    fn start(&mut self, name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), RunError> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        self.threads.push(thread.map_err(RunError::step("look at the limits"))?);
        Ok(())
    }
}

/// Walks over the disks until more is taken than may be.
fn walk(
    (occupied, most): (&mut Occupied, u64),
    (root, init): (&OwnedFd, i32),
    gate: &Gate,
    shared: &Shared,
) {
    while !shared.over.load(Ordering::Acquire) {
        let start = Instant::now();
        let looked = occupied.look((root.as_fd(), init), &shared.over);
        let unseen = match looked {
            // A world that has ended takes its root along.
            _ if shared.over.load(Ordering::Acquire) || has_ended(init) => break,
            Ok(bytes) if bytes < most => {
                let rest = start.elapsed().saturating_mul(REST_PER_WALK);
                std::thread::park_timeout(rest.clamp(LOOK_PERIOD, WALK_PERIOD_MAX));
                continue;
            }
            Ok(_) => None,
            Err(error) => Some(error.to_string()),
        };
        shared.record(Reached { limit: DISK, most, unseen }, gate);
        return;
    }
}

impl Look {
    fn run(&mut self, world: &Weak<World>, gate: &Gate, shared: &Shared) {
        while !shared.over.load(Ordering::Acquire) {
            if let Some(reached) = self.reached() {
                // First in the log, then ended.
                shared.record(reached, gate);
                if let Some(world) = world.upgrade() {
                    world.kill();
                }
                return;
            }
            std::thread::park_timeout(LOOK_PERIOD);
        }
        let refused = self.cgroup.counted().forks_refused.unwrap_or_default();
        shared.forks_refused.store(refused, Ordering::Release);
        // What was killed for want of memory may have been the agent itself.
        if self.is_killed()
            && let Some(most) = self.limits.memory_bytes_max
        {
            shared.record(Reached { limit: MEMORY, most, unseen: None }, gate);
        }
    }

    /// Whether the kernel has killed a process for want of memory.
    fn is_killed(&self) -> bool {
        self.cgroup.counted().out_of_memory.is_some_and(|kills| kills > 0)
    }

    /// The first limit that is reached.
    fn reached(&mut self) -> Option<Reached> {
        let sample = match self.sample() {
            Ok(sample) => {
                self.blind_looks = 0;
                sample
            }
            Err(_) if has_ended(self.init) => None,
            // Nobody can say that it is not reached; a process that is just starting may be closed once.
            Err(error) => {
                self.blind_looks += 1;
                if self.blind_looks >= BLIND_LOOKS {
                    return self.blind(&error);
                }
                None
            }
        };
        let stuck = self.is_stuck(sample.as_ref());
        if let Some(unseen) = self.unseen(sample.as_ref()) {
            return Some(unseen);
        }
        let limits = &self.limits;
        let memory = if self.cgroup.holds(Quota::Memory) {
            self.is_killed()
        } else {
            is_used(limits.memory_bytes_max, sample.as_ref().map(|it| it.memory_bytes))
        };
        let seconds = Some(self.since.elapsed().as_secs());
        let counted = self.cgroup.counted().cpu;
        let cpu = counted.or(sample.as_ref().map(|it| it.cpu)).map(|it| it.as_secs());
        let written = sample.as_ref().map(|it| it.written_bytes);
        let all = [
            (MEMORY, limits.memory_bytes_max, memory),
            ("processes_max", limits.processes_max, stuck),
            (
                "written_bytes_max",
                limits.written_bytes_max,
                is_used(limits.written_bytes_max, written),
            ),
            ("cpu_seconds_max", limits.cpu_seconds_max, is_used(limits.cpu_seconds_max, cpu)),
            (
                "wall_seconds_max",
                limits.wall_seconds_max,
                is_used(limits.wall_seconds_max, seconds),
            ),
        ];
        let mut reached = all.into_iter().filter(|(.., is)| *is);
        reached.find_map(|(limit, most, _)| Some(Reached { limit, most: most?, unseen: None }))
    }

    /// One of the limits for which somebody has to look, when nobody can.
    fn blind(&self, error: &io::Error) -> Option<Reached> {
        let limits = &self.limits;
        let looked_at = [
            ("written_bytes_max", limits.written_bytes_max),
            (MEMORY, limits.memory_bytes_max),
            ("cpu_seconds_max", limits.cpu_seconds_max),
            ("processes_max", limits.processes_max),
        ];
        let (limit, most) = looked_at.into_iter().find_map(|(it, most)| Some((it, most?)))?;
        Some(Reached { limit, most, unseen: Some(error.to_string()) })
    }

    /// A limit that nobody can say is not reached.
    fn unseen(&self, sample: Option<&Sample>) -> Option<Reached> {
        let most = self.limits.written_bytes_max?;
        let pid = sample?.unreadable?;
        let unseen = Some(format!("process {pid} has made itself unreadable"));
        Some(Reached { limit: "written_bytes_max", most, unseen })
    }

    /// Whether there were as many processes as there may be for some time, and more were wanted.
    fn is_stuck(&mut self, sample: Option<&Sample>) -> bool {
        let counted = self.cgroup.counted();
        let (now, refused) = if self.cgroup.holds(Quota::Processes) {
            (counted.processes, counted.forks_refused.unwrap_or_default())
        } else {
            // Nobody counts what is refused: as many as there may be is all that is seen.
            (sample.map(|it| it.threads), u64::MAX)
        };
        if !is_used(self.limits.processes_max, now) {
            (self.stuck, self.forks_refused) = (0, refused);
            return false;
        }
        self.stuck = self.stuck.saturating_add(1);
        self.stuck >= STUCK_LOOKS && (refused > self.forks_refused || refused == u64::MAX)
    }

    /// What the processes have used, where somebody has to look.
    fn sample(&mut self) -> io::Result<Option<Sample>> {
        let limits = &self.limits;
        let looks_for = |quota, most: Option<u64>| most.is_some() && !self.cgroup.holds(quota);
        let memory = looks_for(Quota::Memory, limits.memory_bytes_max);
        let looks = memory
            || limits.written_bytes_max.is_some()
            || looks_for(Quota::CpuTime, limits.cpu_seconds_max)
            || looks_for(Quota::Processes, limits.processes_max);
        if !looks {
            return Ok(None);
        }
        let mut sample = self.seen.look(self.init)?;
        if memory {
            let unmapped = unmapped_bytes(&self.root, self.init)?;
            sample.memory_bytes = sample.memory_bytes.saturating_add(unmapped);
        }
        Ok(Some(sample))
    }
}

/// Whether all of a limit is used; what is not set or not known is not.
fn is_used(most: Option<u64>, used: Option<u64>) -> bool {
    matches!((most, used), (Some(most), Some(used)) if used >= most)
}
